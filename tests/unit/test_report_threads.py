"""Threads in words: groups of equal stacks, what they did, who waits for whom, deadlocks."""

import pytest

from evdiag.model.report import Address, DeadlockMember, Frame, Report, Thread, Verdict, WaitsFor
from evdiag.report import FORMATS, threads

OWNED = WaitsFor(kind="mutex", address=Address(16), owner_lwp=9)


def text_of(name: str, report: Report) -> str:
    """The report in one of its formats, with line breaks where a person would not notice them."""
    return " ".join(FORMATS[name].load().render(report).split())


def test_threads_with_the_same_stack_are_one_group() -> None:
    frame = Frame(level=0, function="f", pc=Address(1))
    first, second = Thread(number=1, group=1), Thread(number=2, group=1)
    third, fourth = Thread(number=3, frames=(frame,)), Thread(number=4, frames=(frame,))
    crashed = Thread(number=5, crashed=True, group=1)
    assert threads.thread_groups([first, third, second, fourth]) == [
        (first, second),
        (third, fourth),
    ]
    report = Report(threads=(crashed, first, third, second, fourth))
    assert threads.others(report) == [(first, second), (third, fourth)]
    assert threads.others_title(report) == "4 other threads in 2 stacks"
    alike = Report(threads=(crashed, first, second))
    assert threads.others_title(alike) == "2 other threads with the same stack"
    assert threads.others_title(Report(threads=(crashed, first))) == "1 other thread"


def test_a_thread_that_waits_for_an_owner() -> None:
    lonely = Thread(number=3, state="waiting for a mutex", waits_for=OWNED)
    assert threads.group_title((lonely,)) == "#3, waits for the mutex at 0x10, held by LWP 9"
    named = {9: "#2 meter (LWP 9)"}
    title = "#3, waits for the mutex at 0x10, held by #2 meter (LWP 9)"
    assert threads.group_title((lonely,), named) == title


def test_a_thread_that_does_something_else() -> None:
    assert threads.group_title((Thread(number=3, state="sleeping"),)) == "#3, sleeping"
    assert threads.group_title((Thread(number=3),)) == "#3"


def test_a_pool_of_threads() -> None:
    frame = Frame(level=0, function="work()", in_app=True)
    wait = WaitsFor(kind="condition variable", address=Address(16))
    state = "waiting for a condition variable"
    pool = tuple(
        Thread(number=n, role="worker", state=state, waits_for=wait, frames=(frame,))
        for n in range(1, 21)
    )
    numbers = " ".join(f"#{number}" for number in range(1, 17))
    assert threads.group_title(pool) == (
        f"20 threads: {numbers} and 4 more (worker), {state}, all in work()"
    )
    assert threads.group_title((Thread(number=1), Thread(number=2))) == "2 threads: #1 #2"


def test_a_group_that_waits_for_different_locks_tells_only_its_state() -> None:
    other = WaitsFor(kind="mutex", address=Address(32), owner_lwp=8)
    pair = tuple(
        Thread(number=n, state="waiting for a mutex", waits_for=wait)
        for n, wait in ((1, OWNED), (2, other))
    )
    assert threads.group_title(pair) == "2 threads: #1 #2, waiting for a mutex"
    same = (pair[0], Thread(number=3, waits_for=OWNED))
    assert threads.group_title(same).endswith("waits for the mutex at 0x10, held by LWP 9")


@pytest.mark.parametrize(
    ("wait", "text"),
    [
        (None, ""),
        (WaitsFor(), "waits for a lock"),
        (WaitsFor(kind="rwlock"), "waits for a read-write lock"),
        (WaitsFor(kind="join"), "waits for a thread to end"),
        (WaitsFor(kind="join", owner_lwp=4), "waits for LWP 4 to end"),
        (WaitsFor(kind="mutex", owner_lwp=7), "waits for a mutex, held by itself"),
    ],
)
def test_waiting(wait: WaitsFor | None, text: str) -> None:
    assert threads.waiting(Thread(number=1, lwp=7, waits_for=wait)) == text


def deadlock(count: int) -> Report:
    """A circle of threads, each waiting for the next one."""
    frame = Frame(level=0, function="lock_it()", file="/src/meter.cpp", line=7, in_app=True)
    members = tuple(
        DeadlockMember(
            thread=n + 2,
            lwp=n,
            role=f"worker_{n}",
            waits_for=WaitsFor(kind="mutex", address=Address(n), owner_lwp=(n + 1) % count),
            frame=0,
        )
        for n in range(count)
    )
    waiting = tuple(
        Thread(number=m.thread or 0, lwp=m.lwp, role=m.role, waits_for=m.waits_for, frames=(frame,))
        for m in members
    )
    idle = Frame(level=1, function="idle()", file="/src/main.cpp", line=3, in_app=True)
    frames = (Frame(level=0, function="pause"), idle)
    crashed = Thread(number=1, lwp=99, crashed=True, frames=frames)
    return Report(
        verdict=Verdict(cls="deadlock", summary="threads wait for each other", frame=1),
        threads=(crashed, *waiting),
        deadlock=members,
    )


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_a_deadlock_is_told_with_its_stacks(name: str) -> None:
    text = text_of(name, deadlock(2))
    assert "#2 worker_0 (LWP 0) waits for the mutex at 0x0, held by #3 worker_1 (LWP 1)" in text
    assert "#3 worker_1 (LWP 1) waits for the mutex at 0x1, held by #2 worker_0 (LWP 0)" in text
    # in Markdown once for each thread, in a terminal first in brief
    assert text.count("meter.cpp:7") == {"terminal": 4, "markdown": 2}[name]


@pytest.mark.parametrize("name", ["terminal", "markdown"])
def test_of_a_large_circle_some_stacks_are_shown(name: str) -> None:
    text = text_of(name, deadlock(11))
    assert "3 more threads in the circle" in text
    assert text.count("meter.cpp:7") >= threads.MOST_DEADLOCKED


def test_a_member_that_is_no_thread_of_the_report() -> None:
    lost = Report(deadlock=(DeadlockMember(lwp=1, waits_for=OWNED), DeadlockMember(lwp=2)))
    assert threads.deadlock(lost) == ["LWP 1 waits for the mutex at 0x10, held by LWP 9", "LWP 2"]
    assert "LWP 1 waits for the mutex" in text_of("terminal", lost)
    assert "LWP 1 waits for the mutex" in text_of("markdown", lost)


def test_where_the_signal_struck_is_no_crash_line() -> None:
    text = text_of("terminal", deadlock(2))
    assert "main.cpp:3 in idle()" not in text
    assert text.index("meter.cpp:7") < text.index("main.cpp:3")
