"""What the threads of real cores wait for, and who holds it; deadlocks of every kind of lock."""

import re

import pytest

from evdiag.analyze import waits
from evdiag.engine import Engine, Options
from evdiag.model.report import Report, Thread
from evdiag.report import FORMATS
from tests.native.conftest import Crash, analyse
from tests.support.crashers import OPTS, Mode, Opt, mode_named, modes_here

STATION = {
    "run_jobs": "waiting for a condition variable",
    "watch_config": "waiting for a condition variable",
    "await_contactor": "waiting on a futex",
    "read_mqtt": "waiting for events (poll)",
    "serve_websocket": "waiting for events (epoll)",
    "send_heartbeats": "sleeping",
    "await_token": "waiting for a semaphore",
    "receive_slac": "receiving",
    "await_certificate": "waiting for a future",
    "hold_relay": "sleeping",
    "switch_relay": "waiting for a mutex",
}
"""What the threads of tests/crashers/waits.cpp do, by their roles."""
WORKERS = 4
KINDS = {
    "deadlock": ["mutex", "mutex"],
    "deadlock-timed": ["mutex", "mutex"],
    "deadlock-recursive": ["recursive mutex", "recursive mutex"],
    "deadlock-shared": ["rwlock", "rwlock"],
    "deadlock-three": ["mutex", "mutex", "mutex"],
    "deadlock-join": ["mutex", "join"],
}
"""What the members of each deadlock wait for, in their order."""
DEADLOCKS = [mode for mode in modes_here() if mode.verdict_class == "deadlock"]
CASES = [
    pytest.param(mode_named(name), opt, id=f"{name}-{opt}")
    for name in ("null-write", "throw-main", "sent-quit", "sent-abort", "snapshot", "deadlock")
    for opt in OPTS
]


def by_role(report: Report) -> dict[str, Thread]:
    """The threads by their roles; of workers that share one, the last."""
    return {thread.role: thread for thread in report.threads if thread.role}


@pytest.mark.native
@pytest.mark.parametrize(("mode", "opt"), CASES)
def test_what_the_threads_of_the_station_wait_for(mode: Mode, opt: Opt, crash: Crash) -> None:
    report = analyse(crash(mode, opt).core)

    threads = by_role(report)
    assert {role: threads[role].state for role in STATION} == STATION
    workers = [thread for thread in report.threads if thread.role == "run_jobs"]
    assert len(workers) == WORKERS
    (queue,) = {str(worker.waits_for and worker.waits_for.address) for worker in workers}
    assert queue.startswith("0x")
    relay = threads["switch_relay"].waits_for
    assert relay is not None
    assert (relay.kind, relay.owner_lwp) == ("mutex", threads["hold_relay"].lwp)


@pytest.mark.native
@pytest.mark.parametrize("name", ["null-write", "sent-quit"])
def test_the_main_thread(name: str, crash: Crash) -> None:
    crashed = crash(mode_named(name), "O2")
    report = analyse(crashed.core)

    main = by_role(report)["main"]
    assert main.lwp == crashed.pid
    if name == "sent-quit":
        assert main.crashed
        assert main.state == "waiting for a signal"
        return
    assert report.threads[0].state == "crashed"
    assert main.state == "waiting for a thread to end"
    assert main.waits_for is not None
    assert main.waits_for.owner_lwp == report.threads[0].lwp


@pytest.mark.native
@pytest.mark.parametrize("name", ["sent-quit", "snapshot"])
def test_a_lock_that_is_held_for_long_is_no_deadlock(name: str, crash: Crash) -> None:
    mode = mode_named(name)
    report = analyse(crash(mode, "O2").core)
    assert report.deadlock == ()
    assert report.verdict.cls == mode.verdict_class


@pytest.mark.native
@pytest.mark.parametrize(
    ("mode", "opt"), [pytest.param(m, o, id=f"{m.name}-{o}") for m in DEADLOCKS for o in OPTS]
)
def test_a_deadlock_is_found_with_its_members(mode: Mode, opt: Opt, crash: Crash) -> None:
    report = analyse(crash(mode, opt).core)

    assert report.verdict.cls == "deadlock"
    members = report.deadlock
    assert [m.waits_for.kind for m in members if m.waits_for is not None] == KINDS[mode.name]
    for member, following in zip(members, [*members[1:], *members[:1]], strict=True):
        assert member.waits_for is not None
        assert member.waits_for.owner_lwp == following.lwp
        thread = next(thread for thread in report.threads if thread.number == member.thread)
        assert (thread.lwp, thread.waits_for) == (member.lwp, member.waits_for)
        frame = next(frame for frame in thread.frames if frame.level == member.frame)
        assert frame.in_app
        assert frame.file is not None
    for name in ("terminal", "markdown"):
        text = FORMATS[name].load().render(report)
        assert all(f"thread {member.thread} waits" in text for member in members)


@pytest.mark.native
@pytest.mark.parametrize("name", ["deadlock", "null-write"])
def test_bytes_tell_what_names_tell(name: str, crash: Crash) -> None:
    core = crash(mode_named(name), "O2").core
    named = Engine(Options()).analyse(core)
    unnamed = [
        Thread(number=thread.number, lwp=thread.lwp, crashed=thread.crashed)
        for thread in named.report.threads
    ]
    told = waits.with_waits(named.space, named.facts.threads, unnamed)
    expected = [(thread.state, thread.waits_for) for thread in named.report.threads]
    assert [(thread.state, thread.waits_for) for thread in told] == expected


@pytest.mark.native
def test_threads_with_the_same_stack_are_told_once(crash: Crash) -> None:
    shown = FORMATS["terminal"].load().render(analyse(crash(mode_named("null-write"), "O2").core))
    text = " ".join(shown.split())  # where lines end depends on the numbers of the threads
    told = re.search(r"4 threads: (?:#\d+ ?){4}\(run_jobs\), ([^,]*), all in", text)
    assert told is not None, text
    assert told[1] == "waiting for a condition variable"
