"""Programs with threads: one core with all of them, and threads that notice nothing."""

import pytest

from tests.capture.conftest import RunIt, analyse, functions
from tests.support.capture import signal_of

pytestmark = pytest.mark.native

ROUNDS = 15


@pytest.mark.parametrize("number", range(ROUNDS))
def test_eight_threads_crash_at_once(number: int, run: RunIt) -> None:
    ended = run("threads", "together")

    assert signal_of(ended).name == "SIGSEGV"
    report = analyse(ended.core)
    assert len(report.threads) == 9
    assert ended.sidecar.threads == 9
    assert report.threads[0].lwp == ended.sidecar.tid != ended.pid
    assert functions(report)[:2] == ["crash", "crash_together"]
    assert report.verdict.cls == "null-write"
    waits = [t for t in report.threads if t.lwp == ended.pid]
    assert "main" in [frame.function for frame in waits[0].frames]


def test_three_hundred_threads(run: RunIt) -> None:
    ended = run("threads", "many")

    assert signal_of(ended).name == "SIGSEGV"
    report = analyse(ended.core)
    assert ended.sidecar.threads == len(report.threads) == 300
    assert functions(report)[:2] == ["crash", "many"]
    others = [functions(report, number) for number in range(1, 300)]
    assert all("sleep_for_ever" in names for names in others)


def test_threads_that_come_and_go_leave_nothing_behind(run: RunIt) -> None:
    ended = run("threads", "churn")

    assert signal_of(ended).name == "SIGSEGV", ended.stderr
    more, _, rest = ended.stdout.partition(" ")
    assert rest == "mappings more\n"
    assert int(more) < 20  # 1,200 threads have come and gone
    assert functions(analyse(ended.core))[:2] == ["crash", "churn"]


@pytest.mark.parametrize("number", range(5))
def test_a_crash_while_other_threads_come_and_go(number: int, run: RunIt) -> None:
    ended = run("threads", "storm")

    assert signal_of(ended).name == "SIGSEGV"
    report = analyse(ended.core)
    assert functions(report)[:2] == ["crash", "storm"]
    assert len(report.threads) >= 5
    assert ended.sidecar.threads == len(report.threads)
    assert len({t.lwp for t in report.threads}) == len(report.threads)


@pytest.mark.parametrize(
    ("case", "frames"),
    [
        ("small-stack", ["crash", "crash_alone"]),
        ("c11", ["crash", "crash_as_c11"]),
        ("destructor", ["crash", "on_thread_end"]),
        ("without-main", ["crash", "outlives"]),
    ],
)
def test_a_thread_with_little(case: str, frames: list[str], run: RunIt) -> None:
    ended = run("threads", case)

    assert signal_of(ended).name == "SIGSEGV"
    report = analyse(ended.core)
    assert functions(report)[:2] == frames
    assert ended.sidecar.pid == ended.pid
    assert ended.sidecar.tid == report.threads[0].lwp != ended.pid
