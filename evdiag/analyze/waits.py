"""What every thread waits for, and which ones wait for each other."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from evdiag.analyze import futexes, names, roles, syscalls
from evdiag.analyze.frames import crash_frame
from evdiag.analyze.space import AddressSpace
from evdiag.model.core import CoreFacts, ThreadState
from evdiag.model.machine import X86_64
from evdiag.model.report import DeadlockMember, Frame, Thread, WaitsFor
from evdiag.model.signals import FAULTS, SIGABRT
from evdiag.model.syscalls import FUTEX, doing
from evdiag.parse import pthread
from evdiag.parse.memory import Memory
from evdiag.parse.pthread import MAX_TID, TID_IN_THREAD
from evdiag.parse.threadlocal import thread_pointer

FOREVER = (0xFFFF_FFFF, 0xFFFF_FFFF_FFFF_FFFF)
"""-1 as the time limit of poll(2), which is an int in a wider register."""
_LOCKERS = re.compile(
    r"(?:^|::)(?:(\w*(?:[Ll]ock|[Gg]uard|[Mm]utex)\w*)::\1|(?:try_)?lock(?:_shared)?(?:_for|_until)?)$"
)
"""What wraps a lock: constructors such as EVerest's scoped_lock_timeout, functions like lock()."""
_LOCK_CLASS = re.compile(
    r"[A-Z]\w*(?:Lock|Guard|Mutex)\w*|Lock\w*|(?:scoped|unique|shared)_lock\w*"
)
"""A constructor that is inlined has lost the name of its class."""
RUNNING, CRASHED = "running", "crashed"


def with_waits(
    space: AddressSpace, states: Sequence[ThreadState], threads: Sequence[Thread]
) -> list[Thread]:
    """The threads with their state, their role and what they wait for."""
    facts, memory = space.facts, space.memory
    can_tell = syscalls.known(facts.machine)
    known = _threads(facts, memory, states)
    found = []
    for state, thread in zip(states, threads, strict=True):
        doing_now, waits_for = None, None
        if can_tell:
            doing_now, waits_for = _state(facts, memory, state, thread, known)
        found.append(
            msgspec.structs.replace(
                thread,
                role=roles.role(thread, is_first=state.lwp == facts.pid),
                state=doing_now,
                waits_for=waits_for,
            )
        )
    return found


def _state(
    facts: CoreFacts,
    memory: Memory,
    state: ThreadState,
    thread: Thread,
    known: futexes.Threads,
) -> tuple[str, WaitsFor | None]:
    call = syscalls.sleeps_in(facts.machine, memory, state)
    if call is None:
        return (CRASHED if thread.crashed and _died_by_itself(facts) else RUNNING), None
    if call.name != FUTEX:
        return _doing(call), None
    waits_for = futexes.behind(memory, call, thread.frames, known)
    kind = waits_for.kind if waits_for is not None else None
    return futexes.STATES[kind or futexes.FUTEX], waits_for


def _doing(call: syscalls.Call) -> str:
    """What a thread does in a call; one that watches no file waits for the time or a signal."""
    if call.name in ("poll", "ppoll") and call.arguments[1] == 0:
        limit = call.arguments[2]
        endless = limit == 0 if call.name == "ppoll" else limit in FOREVER
        return doing("pause" if endless else "nanosleep", call.number)
    return doing(call.name, call.number)


def _died_by_itself(facts: CoreFacts) -> bool:
    """Whether the first thread is one that has crashed, not one that took a signal for all."""
    signal = facts.signal
    if signal is None:
        return False
    by_itself = signal.sender_pid in (None, facts.pid)
    return by_itself and (signal.number in FAULTS or signal.number == SIGABRT)


def _threads(facts: CoreFacts, memory: Memory, states: Sequence[ThreadState]) -> futexes.Threads:
    """The threads of the core by the numbers that they have in the memory of the process.

    Those are the LWPs of the core, unless the core was written from outside of a container.
    """
    lwps = {state.lwp: state.lwp for state in states if state.lwp > 0}
    pointers = {
        state.lwp: pointer
        for state in states
        if (pointer := thread_pointer(facts.machine, state)) is not None
    }
    if facts.machine.name == X86_64.name:
        inside = {
            pthread.number(memory, pointer + TID_IN_THREAD): lwp
            for lwp, pointer in pointers.items()
        }
        lwps = _translated(inside, lwps)
    return futexes.Threads(lwps=lwps, pointers=pointers)


def _translated(inside: Mapping[int | None, int], lwps: dict[int, int]) -> dict[int, int]:
    """The numbers by which the process knows its threads, if they are all there and others."""
    found = {tid: lwp for tid, lwp in inside.items() if tid is not None and 0 < tid < MAX_TID}
    if len(found) == len(lwps) and found.keys().isdisjoint(lwps):
        return found
    return lwps


def deadlock(threads: Sequence[Thread]) -> tuple[DeadlockMember, ...]:
    """The threads of a circle of waits, each waiting for the next; empty where there is none.

    Where there are more circles than one it is the one of the first thread that is in any.
    """
    by_lwp = {thread.lwp: thread for thread in threads if thread.lwp is not None}
    looked_at: dict[int, int] = {}  # LWP, and the thread that the look began with
    for start in by_lwp:
        lwp, path = start, list[int]()
        while lwp in by_lwp and lwp not in looked_at:
            looked_at[lwp] = start
            path.append(lwp)
            waits_for = by_lwp[lwp].waits_for
            owner = waits_for.owner_lwp if waits_for is not None else None
            if owner is None:
                break
            lwp = owner
            if looked_at.get(lwp) == start:
                return _members([by_lwp[member] for member in path[path.index(lwp) :]])
    return ()


def _members(circle: list[Thread]) -> tuple[DeadlockMember, ...]:
    """The circle, beginning at the same role in every run: the order of threads is any."""
    first = circle.index(min(circle, key=lambda thread: (thread.role or "", thread.number)))
    return tuple(_member(thread) for thread in circle[first:] + circle[:first])


def _member(thread: Thread) -> DeadlockMember:
    frames = thread.frames
    first = (i for i, f in enumerate(frames) if f.in_app and not _only_locks(f))
    frame = crash_frame(frames[next(first, 0) :])
    return DeadlockMember(
        thread=thread.number,
        lwp=thread.lwp,
        role=thread.role,
        waits_for=thread.waits_for,
        frame=None if frame is None else frame.level,
    )


def _only_locks(frame: Frame) -> bool:
    """Whether a function does no more than to lock, so that its caller says more."""
    if not frame.function:
        return False
    name = names.qualified(frame.function).replace(f"<{names.ELLIPSIS}>", "")
    inlined = frame.kind == "inline" and _LOCK_CLASS.fullmatch(name) is not None
    return inlined or _LOCKERS.search(name) is not None
