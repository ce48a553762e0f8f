"""The verdict on threads that wait for each other: its words, its limits, the title."""

import msgspec
import pytest

from evdiag.analyze import assemble
from evdiag.analyze.causes import deadlock
from evdiag.analyze.waits import deadlock as circle_of
from evdiag.model.crash import Cause, CrashFacts
from evdiag.model.logs import LogEvent, LogFacts
from evdiag.model.report import Address, Frame, Thread, WaitsFor
from tests.unit.test_assemble import FOUND

SNAPSHOT = CrashFacts()


def waiting(
    number: int, owner: int | None, kind: str | None = "mutex", role: str | None = None
) -> Thread:
    """Thread `number` waits for the lock of thread `owner` in a function of its own."""
    wait = WaitsFor(
        kind=kind,
        address=Address(0x10 * number),
        owner_lwp=None if owner is None else 100 + owner,
    )
    frame = Frame(
        level=2,
        function=f"(anonymous namespace)::Meter::lock_{number}(int)",
        file="/src/meter.cpp",
        line=number,
        in_app=True,
    )
    system = Frame(level=1, function="pthread_mutex_lock")
    return Thread(
        number=number, lwp=100 + number, role=role, waits_for=wait, frames=(system, frame)
    )


def hung(*threads: Thread, **more: object) -> CrashFacts:
    """A snapshot of a process with these threads."""
    facts = msgspec.structs.replace(SNAPSHOT, threads=threads, deadlock=circle_of(threads))
    return msgspec.structs.replace(facts, **more)


def told(*threads: Thread, **more: object) -> Cause:
    """The verdict on such a process."""
    cause = deadlock.check(hung(*threads, **more))
    assert cause is not None
    return cause


def ring(count: int) -> list[Thread]:
    """So many threads, each waiting for the next."""
    return [waiting(n, n % count + 1) for n in range(1, count + 1)]


def test_two_threads() -> None:
    cause = told(waiting(1, 2, role="meter"), waiting(2, 1), waiting(3, 1), waiting(4, 3))
    assert cause.summary == "threads 2 and 1 (meter) wait for each other's locks"
    assert cause.evidence == (
        "thread 2 waits for the mutex at 0x20, held by thread 1, in Meter::lock_2 at meter.cpp:2",
        "thread 1 waits for the mutex at 0x10, held by thread 2, in Meter::lock_1 at meter.cpp:1",
        "2 more wait for one of them, directly or not",
    )
    assert cause.detail is None
    assert "std::scoped_lock" in cause.advice[0]


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("rwlock", "waits for the read-write lock at 0x10, held by thread 2"),
        ("recursive mutex", "waits for the recursive mutex at 0x10, held by thread 2"),
        (None, "waits for the lock at 0x10, held by thread 2"),
        ("join", "waits for thread 2 to end"),
    ],
)
def test_what_is_waited_for(kind: str | None, text: str) -> None:
    cause = told(waiting(1, 2, kind), waiting(2, 1))
    assert f"thread 1 {text}, in Meter::lock_1 at meter.cpp:1" in cause.evidence
    assert ("locks" in cause.summary) == (kind != "join")
    assert ("joined" in cause.advice[0]) == (kind == "join")


@pytest.mark.parametrize(
    ("kind", "summary"),
    [
        ("mutex", "thread 1 waits for itself: it already holds the lock that it wants"),
        ("join", "thread 1 waits for itself: it joins itself"),
    ],
)
def test_a_thread_that_waits_for_itself(kind: str, summary: str) -> None:
    cause = told(waiting(1, 1, kind))
    assert cause.summary == summary
    assert "itself" in cause.evidence[0]
    assert cause.advice


def test_of_a_large_circle_some_members_are_told() -> None:
    assert told(*ring(3)).summary == "threads 1, 2 and 3 wait for each other's locks in a circle"
    cause = told(*ring(12))
    assert cause.summary == "12 threads wait for each other in a circle"
    assert cause.evidence[-1] == "and so on: 12 threads in all"
    assert len(cause.evidence) == deadlock.MAX_NAMED + 1


def test_functions_without_names_are_left_out() -> None:
    bare = [msgspec.structs.replace(thread, frames=()) for thread in ring(2)]
    cause = told(*bare)
    assert cause.evidence[0] == "thread 1 waits for the mutex at 0x10, held by thread 2"
    closures = [
        msgspec.structs.replace(t, frames=(Frame(level=0, function="operator()", in_app=True),))
        for t in [waiting(1, 2, role="meter"), waiting(2, 1)]
    ]
    assert told(*closures).evidence[1].endswith(", held by thread 2, in meter")
    unnamed = [
        msgspec.structs.replace(thread, frames=(Frame(level=0, in_app=True),)) for thread in bare
    ]
    assert told(*unnamed) == cause


def test_members_of_which_little_is_known() -> None:
    members = circle_of(ring(2))
    lost = tuple(msgspec.structs.replace(m, waits_for=None, lwp=None) for m in members)
    cause = told(deadlock=lost)
    assert cause.evidence == (
        "thread 1 waits for the lock, held by another thread",
        "thread 2 waits for the lock, held by another thread",
    )


def test_what_the_log_says_is_evidence() -> None:
    text = "Mutex deadlock detected: Failed to lock a.cpp:1\nsecond line"
    event = LogEvent(kind="lock-timeout", source="log", line=1, text=text)
    other = LogEvent(kind="error", source="log", line=2, text="something else")
    cause = told(*ring(2), log=LogFacts(events=(other, *[event] * 9)))
    assert cause.evidence[2:] == ("log: " + text.partition("\n")[0],) * deadlock.MAX_EVENTS


def title_of(*threads: Thread) -> str:
    """The title of the report on such a process."""
    crash = hung(*threads)
    cause = told(*threads)
    made = msgspec.structs.replace(
        FOUND, threads=threads, crash=crash, cause=("deadlock", cause), executable="/bin/meterd"
    )
    return assemble.report(made).title


def test_the_title_names_a_function_that_waits() -> None:
    pausing = Thread(number=9, lwp=9, crashed=True, frames=(Frame(level=0, function="pause"),))
    title = title_of(pausing, *ring(2))
    assert title.startswith("meterd: deadlock")
    assert title.endswith("Meter::lock_1 at meter.cpp:1"), "not the function that took the signal"
    bare = [msgspec.structs.replace(thread, frames=()) for thread in ring(2)]
    assert title_of(pausing, *bare) == "meterd: deadlock"
