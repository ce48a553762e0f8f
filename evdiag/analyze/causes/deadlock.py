"""Threads wait for each other in a circle, and nothing else has ended the process."""

import msgspec

from evdiag.analyze import names, roles
from evdiag.analyze.causes import sent_signal, snapshot
from evdiag.analyze.causes._examples import PID, crash, sent
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.logs import LogEvent, LogFacts
from evdiag.model.report import Address, DeadlockMember, Frame, Thread, WaitsFor
from evdiag.model.signals import SI_TKILL, SI_USER, SIGABRT, SIGQUIT, SIGSEGV, describe

MAX_NAMED = 8
"""So many threads of a circle are told one by one."""
MAX_SUMMARY = 4
"""So many of them have a place in one sentence."""
MAX_EVENTS = 3
LOCK_TIMEOUT = "lock-timeout"


def check(facts: CrashFacts) -> Cause | None:
    """Recognise a deadlock in a process that was ended from outside, or that still lives.

    A process that faults or aborts with two of its threads in a deadlock has died of something
    else, unless it aborted because it waited too long, as EVerest's mutexes do.
    """
    if not facts.deadlock or not hung(facts):
        return None
    circle = facts.deadlock
    threads = {thread.lwp: thread for thread in facts.threads}
    told = [_told(member, circle, threads) for member in circle[:MAX_NAMED]]
    if len(circle) > MAX_NAMED:
        told.append(f"and so on: {len(circle)} threads in all")
    victims = _waiting_for(circle, facts.threads)
    if victims:
        told.append(f"{victims} more wait for one of them, directly or not")
    return Cause(
        cls="deadlock",
        summary=_summary(circle),
        evidence=(*told, *_log(facts), *_signal(facts)),
        advice=_advice(circle),
    )


def hung(facts: CrashFacts) -> bool:
    """Whether the process may have ended because its threads waited; asks nothing of stacks."""
    if snapshot.check(facts) is not None or sent_signal.check(facts) is not None:
        return True
    aborted = facts.signal is not None and facts.signal.number == SIGABRT
    return aborted and facts.log is not None and bool(facts.log.of(LOCK_TIMEOUT))


def _summary(circle: tuple[DeadlockMember, ...]) -> str:
    if len(circle) == 1:
        return f"thread {_who(circle[0])} waits for itself: {_itself(circle[0])}"
    if len(circle) > MAX_SUMMARY:
        return f"{len(circle)} threads wait for each other in a circle"
    *first, last = map(_who, circle)
    what = " in a circle" if len(circle) > 2 else ""
    kinds = {member.waits_for.kind for member in circle if member.waits_for is not None}
    locks = "" if "join" in kinds else "'s locks"
    return f"threads {', '.join(first)} and {last} wait for each other{locks}{what}"


def _itself(member: DeadlockMember) -> str:
    if member.waits_for is not None and member.waits_for.kind == "join":
        return "it joins itself"
    return "it already holds the lock that it wants"


def _who(member: DeadlockMember) -> str:
    return f"{member.thread}" + (f" ({member.role})" if member.role else "")


def _told(
    member: DeadlockMember, circle: tuple[DeadlockMember, ...], threads: dict[int | None, Thread]
) -> str:
    """`thread 6 waits for the mutex at 0x10, held by thread 8, in lock_meter at meter.cpp:12`."""
    wait = member.waits_for or WaitsFor()
    holder = next((m for m in circle if m.lwp is not None and m.lwp == wait.owner_lwp), None)
    other = (
        "itself" if holder is member else f"thread {holder.thread}" if holder else "another thread"
    )
    if wait.kind == "join":
        what = f"for {other} to end"
    else:
        kind = "read-write lock" if wait.kind == "rwlock" else wait.kind or "lock"
        where = "" if wait.address is None else f" at {wait.address}"
        what = f"for the {kind}{where}, held by {other}"
    function, frame = _function(member, threads), _frame(member, threads)
    line = f" at {names.basename(frame.file)}:{frame.line}" if frame and frame.file else ""
    return f"thread {member.thread} waits {what}" + (f", in {function}{line}" if function else "")


def _function(member: DeadlockMember, threads: dict[int | None, Thread]) -> str:
    """The function that waits; of a closure without a name, what the thread is for."""
    frame = _frame(member, threads)
    if frame is None or not frame.function:
        return ""
    return roles.short(names.qualified(frame.function)) or member.role or ""


def _frame(member: DeadlockMember, threads: dict[int | None, Thread]) -> Frame | None:
    thread = threads.get(member.lwp)
    frames = thread.frames if thread is not None else ()
    return next((f for f in frames if f.level == member.frame), None)


def _waiting_for(circle: tuple[DeadlockMember, ...], threads: tuple[Thread, ...]) -> int:
    """How many threads outside of the circle wait for a thread in it, by way of others too."""
    waiters: dict[int, list[int]] = {}
    for thread in threads:
        wait = thread.waits_for
        if thread.lwp is not None and wait is not None and wait.owner_lwp is not None:
            waiters.setdefault(wait.owner_lwp, []).append(thread.lwp)
    seen = {member.lwp for member in circle if member.lwp is not None}
    todo, found = list(seen), 0
    while todo:
        new = [lwp for lwp in waiters.get(todo.pop(), ()) if lwp not in seen]
        seen.update(new)
        todo += new
        found += len(new)
    return found


def _log(facts: CrashFacts) -> tuple[str, ...]:
    events = facts.log.of(LOCK_TIMEOUT)[:MAX_EVENTS] if facts.log is not None else ()
    return tuple(f"log: {event.text.partition(chr(10))[0]}" for event in events)


def _signal(facts: CrashFacts) -> tuple[str, ...]:
    signal = facts.signal
    return (describe(signal),) if signal is not None and signal.number else ()


def _advice(circle: tuple[DeadlockMember, ...]) -> tuple[str, ...]:
    kinds = {member.waits_for.kind for member in circle if member.waits_for is not None}
    if "join" in kinds:
        return ("Let go of all locks before a thread is joined, and never join from the thread.",)
    if len(circle) == 1:
        return (
            "Do not call a function that takes a lock while holding it: split off one that expects "
            "it to be held, or use a recursive mutex.",
        )
    return (
        "Take these locks in the same order everywhere, or all at once with std::scoped_lock.",
        "Do not call callbacks, signals or other modules while holding a lock.",
    )


# -- examples


def _member(number: int, owner: int, kind: str = "mutex") -> DeadlockMember:
    wait = WaitsFor(kind=kind, address=Address(0x1000 * number), owner_lwp=PID + owner)
    return DeadlockMember(
        thread=number, lwp=PID + number, role=f"worker_{number}", waits_for=wait, frame=0
    )


def _hanging(facts: CrashFacts, *circle: DeadlockMember, log: LogFacts | None = None) -> CrashFacts:
    threads = tuple(
        Thread(
            number=member.thread or 0,
            lwp=member.lwp,
            waits_for=member.waits_for,
            frames=(Frame(level=0, function=f"Meter::lock_{member.thread}()", in_app=True),),
        )
        for member in circle
    )
    return msgspec.structs.replace(facts, deadlock=circle, threads=threads, log=log)


_PAIR = (_member(2, 3), _member(3, 2))
_TIMED_OUT = LogFacts(
    events=(
        LogEvent(
            kind=LOCK_TIMEOUT,
            source="manager.log",
            line=1,
            text="Mutex deadlock detected: Failed to lock Charger.cpp:93, mutex held by main",
        ),
    )
)

RULE = Rule(
    id="deadlock",
    title="Threads wait for each other",
    explanation=(
        "A thread that sleeps in futex(2) has the address of the lock in a register, and "
        "glibc's pthread_mutex_t and pthread_rwlock_t hold the number of the thread that has "
        "locked them (`__owner`, `__cur_writer`; std::mutex, std::timed_mutex and "
        "std::shared_mutex are these). pthread_join sleeps on the number of the thread whose "
        "end it waits for. Threads that can be followed in a circle this way can never go on. "
        "That is the verdict when the process was ended by a signal from outside, when the core "
        "is a snapshot, or when it aborted after EVerest's log said that a lock could not be "
        "had in time; beside a fault or another abort the circle is told, but is not the cause. "
        "Who holds a read-write lock for reading is recorded nowhere."
    ),
    classes=("deadlock",),
    check=check,
    matches=(
        (_hanging(sent(SIGQUIT, SI_USER, 99), *_PAIR), "deadlock"),
        (_hanging(sent(SIGABRT, SI_USER, 1), *_PAIR), "deadlock"),
        (_hanging(CrashFacts(), *_PAIR), "deadlock"),
        (_hanging(CrashFacts(), _member(2, 2)), "deadlock"),
        (_hanging(CrashFacts(), _member(2, 3, "join"), _member(3, 2)), "deadlock"),
        (_hanging(sent(SIGABRT, SI_TKILL, PID), *_PAIR, log=_TIMED_OUT), "deadlock"),
    ),
    misses=(
        sent(SIGQUIT, SI_USER, 99),
        _hanging(crash(SIGSEGV, 1, 0), *_PAIR),
        _hanging(sent(SIGABRT, SI_TKILL, PID), *_PAIR),
        _hanging(sent(SIGABRT, SI_TKILL, PID), *_PAIR, log=LogFacts()),
    ),
)
