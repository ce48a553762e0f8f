"""What threads wait for: by their registers and by memory, on both machines; and deadlocks."""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.waits import deadlock, with_waits
from evdiag.model.machine import AARCH64, ARM, I386, X86_64, Machine
from evdiag.model.report import Address, Frame, Thread, WaitsFor
from evdiag.parse.threadlocal import thread_pointer
from tests.support import elfwriter as w
from tests.unit.test_pthread import mutex, new_condition, old_condition, rwlock

CODE, DATA, TLS = 0x7F00_0000_0000, 0x7F00_0010_0000, 0x7F00_0020_0000
SYSCALL = b"\xb8\xca\0\0\0\x0f\x05"
SVC = b"\x48\x0c\x80\xd2\x01\0\0\xd4"
"""`mov x8, #98; svc #0`."""
RESTART, EINTR = (1 << 64) - 512, (1 << 64) - 4
WAIT, PRIVATE, LOCK_PI, BITSET = 0, 128, 6, 9
PROCESS = 100


def x86(
    lwp: int = 2, number: int = 202, *arguments: int, result: int = RESTART, **more: int
) -> w.Thread:
    """A thread behind a `syscall`."""
    names = ("rdi", "rsi", "rdx", "r10")
    registers = {"rip": CODE + 7, "orig_rax": number, "rax": result}
    return w.Thread(
        lwp=lwp,
        signal=0,
        registers={**registers, **dict(zip(names, arguments, strict=False)), **more},
    )


def futex(
    operation: int = PRIVATE, value: int = 2, *, lwp: int = 2, at: int = DATA, **more: int
) -> w.Thread:
    """A thread that sleeps on a futex."""
    return x86(lwp, 202, at, operation, value, **more)


def asked(
    threads: Sequence[w.Thread],
    data: bytes = b"",
    *,
    machine: Machine = X86_64,
    code: bytes = SYSCALL,
    functions: Sequence[str] = (),
    signal: w.SigInfo | None = None,
    more: Sequence[w.Piece] = (),
    more_notes: bytes = b"",
) -> list[Thread]:
    """The threads after they were asked; `data` lies at DATA, the first has the functions."""
    dump = w.core(
        threads=threads,
        memory=[
            w.Piece(start=CODE, data=code, flags=5),
            w.Piece(start=DATA, data=data, size=4096),
            *more,
        ],
        machine=machine,
        siginfo=signal,
        process=w.Process(pid=PROCESS),
        more_notes=more_notes,
    )
    space = w.address_space(dump, {})
    states = space.facts.threads
    frames = tuple(Frame(level=i, function=name) for i, name in enumerate(functions))
    unasked = [
        Thread(number=i + 1, lwp=state.lwp, crashed=i == 0, frames=() if i else frames)
        for i, state in enumerate(states)
    ]
    return with_waits(space, states, unasked)


def waits_for(*args: object, **more: object) -> WaitsFor | None:
    """What the first thread waits for."""
    return asked(*args, **more)[0].waits_for  # type: ignore[arg-type]


# -- states


@pytest.mark.parametrize(
    ("number", "state"),
    [
        (0, "reading"),
        (1, "writing"),
        (7, "waiting for events (poll)"),
        (23, "waiting for events (select)"),
        (34, "waiting for a signal"),
        (35, "sleeping"),
        (45, "receiving"),
        (61, "waiting for a child process"),
        (202, "waiting on a futex"),
        (230, "sleeping"),
        (232, "waiting for events (epoll)"),
        (288, "accepting a connection"),
        (999, "in system call 999"),
    ],
)
def test_the_system_call_that_a_thread_sleeps_in(number: int, state: str) -> None:
    (thread,) = asked([x86(2, number, DATA, 1)])
    assert thread.state == state


@pytest.mark.parametrize("result", [RESTART, EINTR, (1 << 64) - 516])
def test_a_call_that_the_end_of_the_process_interrupted(result: int) -> None:
    assert asked([x86(2, 0, result=result)])[0].state == "reading"


@pytest.mark.parametrize(
    "thread",
    [
        x86(2, 0, result=5),
        x86(2, (1 << 64) - 1),
        x86(2, 0xFFFF_FF02),
        x86(2, 0, rip=CODE + 8),
        x86(2, 0, result=0, rip=3),
    ],
    ids=["returned", "interrupted", "vector", "elsewhere", "low"],
)
def test_a_thread_that_runs(thread: w.Thread) -> None:
    assert asked([thread], code=SYSCALL + b"\x90")[0].state == "running"


def test_without_the_code_the_registers_are_believed() -> None:
    assert asked([x86(2, 0, rip=0x1000)])[0].state == "reading"
    assert asked([x86(2, 0, rip=3)])[0].state == "reading"


def test_a_call_that_goes_on_after_a_stop() -> None:
    assert asked([x86(2, 219, DATA, PRIVATE, 7)])[0].state == "waiting on a futex"
    bare = asked([x86(2, 219)], code=b"\x90" * 5 + b"\x0f\x05")
    assert bare[0].state == "in an interrupted system call"


@pytest.mark.parametrize(
    ("arguments", "state"),
    [
        ((7, 0, 0, (1 << 32) - 1), "waiting for a signal"),
        ((7, 0, 0, (1 << 64) - 1), "waiting for a signal"),
        ((7, 0, 0, 1000), "sleeping"),
        ((7, DATA, 1, 1000), "waiting for events (poll)"),
        ((271, 0, 0, 0), "waiting for a signal"),
        ((271, 0, 0, DATA), "sleeping"),
    ],
)
def test_a_poll_without_files(arguments: tuple[int, ...], state: str) -> None:
    assert asked([x86(2, *arguments)])[0].state == state


@pytest.mark.parametrize(
    ("signal", "state"),
    [
        (w.fault(0), "crashed"),
        (w.sent(6, pid=PROCESS, uid=1, code=-6), "crashed"),
        (w.sent(3, pid=PROCESS, uid=1), "running"),
        (w.sent(11, pid=1, uid=1), "running"),
        (w.SigInfo(number=19, code=0), "running"),
        (None, "running"),
    ],
)
def test_the_first_thread_has_crashed_or_only_took_the_signal(
    signal: w.SigInfo | None, state: str
) -> None:
    running = x86(2, (1 << 64) - 1)
    first, second = asked([running, x86(3, (1 << 64) - 1)], signal=signal)
    assert (first.state, second.state) == (state, "running")


def test_a_sleeping_thread_that_took_a_signal_from_outside() -> None:
    (thread,) = asked([x86(2, 34)], signal=w.sent(3, pid=1, uid=1))
    assert thread.state == "waiting for a signal"


@pytest.mark.parametrize("machine", [I386, ARM])
def test_other_machines_are_not_asked(machine: Machine) -> None:
    dump = w.core(threads=[w.Thread(lwp=PROCESS)], machine=machine, process=w.Process(pid=PROCESS))
    space = w.address_space(dump, {})
    unasked = [Thread(number=1, lwp=PROCESS)]
    (thread,) = with_waits(space, space.facts.threads, unasked)
    assert (thread.state, thread.waits_for, thread.role) == (None, None, "main")


# -- aarch64


def arm(lwp: int = 2, number: int = 98, *arguments: int, pc: int = CODE + 4) -> w.Thread:
    """A thread on an `svc`, as the kernel leaves one that it would let make its call again."""
    named = {f"x{i}": value for i, value in enumerate(arguments)}
    return w.Thread(lwp=lwp, signal=0, registers={**named, "x8": number, "pc": pc})


def test_a_mutex_on_arm() -> None:
    first, second = asked(
        [arm(2, 98, DATA, PRIVATE, 2), arm(3, 115)],
        mutex(owner=3),
        machine=AARCH64,
        code=SVC,
    )
    assert first.waits_for == WaitsFor(kind="mutex", address=Address(DATA), owner_lwp=3)
    assert (first.state, second.state) == ("waiting for a mutex", "sleeping")


def test_a_call_on_arm_that_is_never_made_again() -> None:
    (thread,) = asked([arm(2, 22, EINTR, pc=CODE + 8)], machine=AARCH64, code=SVC)
    assert thread.state == "waiting for events (epoll)"


@pytest.mark.parametrize("function", [None, "pthread_cond_wait"])
def test_a_futex_on_arm_whose_address_is_gone(function: str | None) -> None:
    (thread,) = asked(
        [arm(2, 98, EINTR, BITSET, 0, pc=CODE + 8)],
        machine=AARCH64,
        code=SVC,
        functions=[function] if function else [],
    )
    assert thread.waits_for == (WaitsFor(kind="condition variable") if function else None)
    assert thread.state == f"waiting {'for a condition variable' if function else 'on a futex'}"


@pytest.mark.parametrize(
    ("thread", "code"),
    [
        (arm(2, 98, 5, pc=CODE + 8), SVC),
        (arm(), b"\x1f\x20\x03\xd5" * 2),
        (arm(), b""),
        (arm(pc=0), SVC),
    ],
)
def test_a_thread_of_arm_that_runs(thread: w.Thread, code: bytes) -> None:
    assert asked([thread], machine=AARCH64, code=code)[0].state == "running"


def test_a_call_on_arm_that_goes_on_after_a_stop() -> None:
    (thread,) = asked([arm(2, 128, 0)], machine=AARCH64, code=SVC)
    assert thread.state == "waiting on a futex"
    (bare,) = asked([arm(2, 128, 0)], machine=AARCH64, code=bytes(4) + SVC[4:])
    assert bare.state == "in an interrupted system call"


# -- mutexes


@pytest.mark.parametrize("functions", [(), ("__lll_lock_wait", "___pthread_mutex_lock")])
@pytest.mark.parametrize("kind", ["mutex", "recursive mutex"])
def test_a_mutex_and_its_owner(kind: str, functions: tuple[str, ...]) -> None:
    data = mutex(owner=3, kind=int(kind != "mutex"))
    first, _ = asked([futex(), x86(3, 35)], data, functions=functions)
    assert first.waits_for == WaitsFor(kind=kind, address=Address(DATA), owner_lwp=3)
    assert first.state == "waiting for a mutex"


@pytest.mark.parametrize(
    "data", [mutex(lock=0, owner=3), mutex(owner=0), mutex(owner=77), b"", mutex(kind=1 << 20)]
)
def test_a_mutex_without_an_owner_among_the_threads(data: bytes) -> None:
    sleeping = [futex(), x86(3, 35)]
    named = waits_for(sleeping, data, functions=["pthread_mutex_lock"])
    assert named == WaitsFor(kind="mutex", address=Address(DATA))
    # without its name it may be anything
    assert waits_for(sleeping, data) == WaitsFor(kind="futex", address=Address(DATA))


def test_a_mutex_that_nobody_uses_is_none() -> None:
    found = waits_for([futex(), x86(3, 35)], mutex(owner=3, users=0))
    assert found == WaitsFor(kind="futex", address=Address(DATA))


@pytest.mark.parametrize("command", [LOCK_PI, 13])
def test_a_mutex_that_lends_its_priority(command: int) -> None:
    data = mutex(lock=1 << 31 | 3, owner=0, kind=32)
    found = waits_for([futex(command | PRIVATE, 0), x86(3, 35)], data)
    assert found == WaitsFor(kind="mutex", address=Address(DATA), owner_lwp=3)
    assert waits_for([futex(command, 0), x86(3, 35)], b"") == WaitsFor(
        kind="futex", address=Address(DATA)
    )


@pytest.mark.parametrize("kind", [16, 32])
def test_a_lock_whose_awaited_value_names_the_owner(kind: int) -> None:
    data = mutex(lock=1 << 31 | 3, kind=kind)
    found = waits_for([futex(value=1 << 31 | 3), x86(3, 35)], data)
    assert found == WaitsFor(kind="mutex", address=Address(DATA), owner_lwp=3)


@pytest.mark.parametrize(("kind", "owner"), [(1, 16), (2, 16), (129, 16), (0, None), (256, None)])
def test_a_mutex_of_musl(kind: int, owner: int | None) -> None:
    # a plain one has 16 for "held", whoever holds it
    data = struct.pack("<II", kind, 1 << 31 | 16) + bytes(32)
    found = waits_for([futex(value=1 << 31 | 16, at=DATA + 4), x86(16, 35)], data)
    assert found is not None
    assert found.owner_lwp == owner


def test_an_owner_who_is_no_thread() -> None:
    found = waits_for([futex(value=1 << 31 | 77)], mutex(lock=1 << 31 | 77, kind=16))
    assert found == WaitsFor(kind="futex", address=Address(DATA))


def test_a_mutex_that_glibc_sleeps_on_for_good() -> None:
    found = waits_for([futex(value=0)], functions=["__pthread_mutex_lock_full"])
    assert found == WaitsFor(kind="mutex")


def test_a_core_from_outside_of_a_container() -> None:
    # GIVEN threads that know themselves by the numbers 12 and 13
    numbers = [w.Piece(start=TLS, data=bytes(0x2D0) + struct.pack("<I", 12))]
    numbers += [w.Piece(start=TLS + 0x1000, data=bytes(0x2D0) + struct.pack("<I", 13))]
    threads = [futex(lwp=1002, fs_base=TLS), x86(1003, 35, fs_base=TLS + 0x1000)]
    found = waits_for(threads, mutex(owner=13), more=numbers)
    assert found == WaitsFor(kind="mutex", address=Address(DATA), owner_lwp=1003)


def test_numbers_that_are_not_all_there_are_not_used() -> None:
    threads = [futex(lwp=2, fs_base=TLS), x86(3, 35, fs_base=TLS)]
    piece = w.Piece(start=TLS, data=bytes(0x2D0) + struct.pack("<I", 12))
    found = waits_for(threads, mutex(owner=3), more=[piece])
    assert found is not None
    assert found.owner_lwp == 3


# -- read-write locks


@pytest.mark.parametrize("functions", [(), ("___pthread_rwlock_rdlock",)])
@pytest.mark.parametrize(("offset", "value"), [(8, 3), (8, 2), (12, 3)])
def test_a_read_write_lock(offset: int, value: int, functions: tuple[str, ...]) -> None:
    found = waits_for(
        [futex(BITSET | PRIVATE, value, at=DATA + offset), x86(3, 35)],
        rwlock(writer=3),
        functions=functions,
    )
    assert found == WaitsFor(kind="rwlock", address=Address(DATA), owner_lwp=3)


def test_readers_are_recorded_nowhere() -> None:
    first, _ = asked([futex(BITSET, 3, at=DATA + 8), x86(3, 35)], rwlock(writer=0))
    assert first.waits_for == WaitsFor(kind="rwlock", address=Address(DATA))
    assert first.state == "waiting for a read-write lock"


def test_a_read_write_lock_that_cannot_be_read() -> None:
    found = waits_for([futex(BITSET, 3)], functions=["pthread_rwlock_wrlock"])
    assert found == WaitsFor(kind="rwlock", address=Address(DATA))


# -- join


@pytest.mark.parametrize("functions", [(), ("__futex_wait", "__pthread_clockjoin_ex")])
def test_a_thread_whose_end_is_awaited(functions: tuple[str, ...]) -> None:
    first, _ = asked(
        [futex(BITSET, 3, at=TLS + 0x2D0), x86(3, 35, fs_base=TLS)], functions=functions
    )
    assert first.waits_for == WaitsFor(kind="join", address=Address(TLS + 0x2D0), owner_lwp=3)
    assert first.state == "waiting for a thread to end"


def test_a_thread_without_its_pointer() -> None:
    piece = w.Piece(start=TLS, data=w.words(TLS) + bytes(0x300))
    found = waits_for([futex(BITSET, 3, at=TLS + 0x2D0), x86(3, 35)], more=[piece])
    assert found == WaitsFor(kind="join", address=Address(TLS + 0x2D0), owner_lwp=3)


def test_the_number_of_a_thread_may_be_any_number() -> None:
    found = waits_for([futex(WAIT, 3), x86(3, 35, fs_base=TLS)])
    assert found == WaitsFor(kind="futex", address=Address(DATA))


def test_a_join_on_arm_ends_at_the_thread_pointer() -> None:
    pointer = w.note(0x401, b"LINUX", w.words(DATA + 0x700))
    dump = w.core(
        threads=[arm(2, 98, DATA + 0x10, BITSET, 3), arm(3, 115)],
        memory=[w.Piece(start=CODE, data=SVC, flags=5)],
        machine=AARCH64,
        more_notes=pointer,
    )
    space = w.address_space(dump, {})
    states = space.facts.threads
    assert thread_pointer(AARCH64, states[1]) == DATA + 0x700
    threads = [Thread(number=i, lwp=state.lwp) for i, state in enumerate(states)]
    first, _ = with_waits(space, states, threads)
    assert first.waits_for == WaitsFor(kind="join", address=Address(DATA + 0x10), owner_lwp=3)


# -- what nobody holds


@pytest.mark.parametrize("functions", [(), ("__pthread_cond_wait_common",)])
@pytest.mark.parametrize(("data", "offset"), [(old_condition(), 40), (new_condition(), 32)])
def test_a_condition_variable(data: bytes, offset: int, functions: tuple[str, ...]) -> None:
    sleeping = futex(BITSET | PRIVATE, 0, at=DATA + offset)
    first, _ = asked([sleeping, x86(3, 35)], data, functions=functions)
    assert first.waits_for == WaitsFor(kind="condition variable", address=Address(DATA))
    assert first.state == "waiting for a condition variable"


def test_a_condition_variable_that_cannot_be_read() -> None:
    found = waits_for([futex(BITSET, 0)], functions=["std::condition_variable::wait(int)"])
    assert found == WaitsFor(kind="condition variable", address=Address(DATA))


@pytest.mark.parametrize(
    ("operation", "value", "data", "function", "kind"),
    [
        (BITSET, 0, struct.pack("<3I", 0, 1, 0), None, "semaphore"),
        (BITSET, 0, b"", "__new_sem_wait_slow64", "semaphore"),
        (WAIT, 1 << 31, b"", None, "future"),
        (PRIVATE, 1 << 31, b"", None, "futex"),
        (BITSET, 5, b"", "std::__atomic_futex_unsigned_base::_M_futex_wait_until()", "future"),
        (PRIVATE, 5, b"", "void std::__detail::__platform_wait<int>(int const*)", "atomic"),
        (PRIVATE, 2, b"", "__lll_lock_wait_private", "lock"),
        (PRIVATE, 2, b"", None, "futex"),
        (PRIVATE, 0, b"", None, "futex"),
        (BITSET, 2, b"", "my::mutex::lock()", "futex"),
    ],
)
def test_a_futex_that_nobody_holds(
    operation: int, value: int, data: bytes, function: str | None, kind: str
) -> None:
    found = waits_for([futex(operation, value)], data, functions=[function] if function else [])
    assert found == WaitsFor(kind=kind, address=Address(DATA))


# -- hostile


@given(st.binary(max_size=128), st.integers(-64, 128), st.integers(0, 15), st.integers(0, 4))
def test_any_memory_behind_a_futex(data: bytes, offset: int, operation: int, value: int) -> None:
    threads = [futex(operation, value, at=DATA + offset), x86(3, 35, fs_base=DATA)]
    first, _ = asked(threads, data)
    assert first.state is not None
    assert first.waits_for is not None
    assert first.waits_for.owner_lwp in (None, 2, 3)


@given(
    st.lists(st.integers(0, (1 << 64) - 1), min_size=5, max_size=5),
    st.sampled_from([X86_64, AARCH64]),
)
def test_any_registers(values: list[int], machine: Machine) -> None:
    names = ("rip", "rdi", "rsi", "rdx", "fs_base")
    more = {"orig_rax": 202, "rax": RESTART}
    if machine is AARCH64:
        names, more = ("pc", "x0", "x1", "x2", "x3"), {"x8": 98}
    registers = {**dict(zip(names, values, strict=True)), **more}
    (thread,) = asked([w.Thread(lwp=2, registers=registers)], machine=machine)
    assert thread.state


# -- deadlocks


def waiting(number: int, owner: int | None, role: str | None = None) -> Thread:
    """A thread with the LWP ten times its number."""
    wait = WaitsFor(kind="mutex", owner_lwp=owner)
    frame = Frame(level=4, function="lock", in_app=True)
    return Thread(number=number, lwp=10 * number, role=role, waits_for=wait, frames=(frame,))


def circle(*threads: Thread) -> list[int | None]:
    """The numbers of the threads in the deadlock."""
    return [member.thread for member in deadlock(threads)]


def test_two_threads_wait_for_each_other() -> None:
    threads = (Thread(number=1, lwp=10), waiting(2, 30), waiting(3, 20), waiting(4, 20))
    first, second = deadlock(threads)
    assert (first.thread, first.lwp, first.frame) == (2, 20, 4)
    assert first.waits_for == threads[1].waits_for
    assert second.lwp == 30


def test_the_circle_begins_at_the_same_role_in_every_run() -> None:
    assert circle(waiting(1, 20, "b"), waiting(2, 10, "a")) == [2, 1]


def test_the_members_stand_in_the_order_of_their_waits() -> None:
    assert circle(waiting(1, 30), waiting(2, 10), waiting(3, 20)) == [1, 3, 2]


def test_a_thread_may_wait_for_itself() -> None:
    assert circle(waiting(1, 20), waiting(2, 20)) == [2]


def test_threads_that_only_wait_for_a_circle_are_not_in_it() -> None:
    assert circle(waiting(1, 20), waiting(2, 30), waiting(3, 20)) == [2, 3]


@pytest.mark.parametrize(
    "threads",
    [
        (),
        (waiting(1, 20), Thread(number=2, lwp=20)),
        (waiting(1, 20), waiting(2, None)),
        (waiting(1, 99),),
        (waiting(1, 20), waiting(2, 40), waiting(3, 20), Thread(number=4, lwp=40)),
        (Thread(number=1, waits_for=WaitsFor(owner_lwp=10)),),
    ],
)
def test_no_deadlock(threads: tuple[Thread, ...]) -> None:
    assert deadlock(threads) == ()


def test_a_member_without_a_stack() -> None:
    thread = Thread(number=1, lwp=10, waits_for=WaitsFor(owner_lwp=10))
    (member,) = deadlock([thread])
    assert member.frame is None


@pytest.mark.parametrize(
    ("function", "level"),
    [
        ("Everest::scoped_lock_timeout<std::timed_mutex>::scoped_lock_timeout(int)", 1),
        ("TimedLock::TimedLock(std::timed_mutex&)", 1),
        ("Meter::lock()", 1),
        ("bool TimedMutex<int>::try_lock_for<long>(long)", 1),
        ("Meter::lock_all()", 0),
        ("lock_meter_then_session()", 0),
        ("Clock::tick()", 0),
        ("TimedLock", 1),
        ("scoped_lock_timeout", 1),
        ("lock_meter", 0),
        (None, 0),
    ],
)
def test_a_member_waits_in_the_function_that_asked_for_the_lock(
    function: str | None, level: int
) -> None:
    frames = tuple(
        Frame(level=i, kind="inline", function=name, in_app=True)
        for i, name in enumerate((function, "caller()"))
    )
    wait = WaitsFor(kind="mutex", owner_lwp=10)
    (member,) = deadlock([Thread(number=1, lwp=10, waits_for=wait, frames=frames)])
    assert member.frame == level
    (member,) = deadlock([Thread(number=1, lwp=10, waits_for=wait, frames=frames[:1])])
    assert member.frame == 0


@given(st.lists(st.integers(0, 30), max_size=30))
def test_any_waits(owners: list[int]) -> None:
    threads = [waiting(n, 10 * owner) for n, owner in enumerate(owners)]
    members = deadlock(threads)
    after = [*members[1:], *members[:1]]
    for member, following in zip(members, after, strict=True):
        assert member.waits_for is not None
        assert member.waits_for.owner_lwp == following.lwp


def test_a_long_chain_takes_no_time_to_speak_of() -> None:
    count = 20_000
    threads = [waiting(n, 10 * (n + 1)) for n in range(count)]
    assert deadlock(threads) == ()
    assert len(deadlock([*threads, waiting(count, 0)])) == count + 1
