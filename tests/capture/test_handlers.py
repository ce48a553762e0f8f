"""Handlers of the program's own: the layer is not to be seen, and does not come in between."""

from signal import SIGABRT, SIGFPE, SIGQUIT, SIGSEGV, SIGTRAP

import pytest

from tests.capture.conftest import Compiled, RunIt, analyse, functions

pytestmark = pytest.mark.native


@pytest.mark.parametrize("case", ["query", "query-children"])
def test_the_program_sees_what_it_has_set(case: str, run: RunIt) -> None:
    usual = run("handlers", case, preload=False)

    ended = run("handlers", case)

    assert (ended.status, ended.stdout, ended.stderr) == (0, usual.stdout, usual.stderr)
    assert ended.left == []


@pytest.mark.parametrize(
    ("case", "status", "frames"),
    [
        ("reset-raise", -SIGSEGV, ["crash", "reset_raise"]),
        ("reset-return", -SIGSEGV, ["crash", "reset_return"]),
        ("reset-hand", -SIGSEGV, ["crash", "reset_hand"]),
        ("chain", -SIGSEGV, ["crash", "chain"]),
        ("blocked-abort", -SIGABRT, None),
        ("blocked-raise", -SIGFPE, None),
        ("own-stack", -SIGSEGV, ["recurse", "recurse"]),
        ("own-stack-8192", -SIGSEGV, ["crash", "own_stack_of_8192"]),
        ("no-stack", -SIGSEGV, ["crash", "no_stack"]),
        ("thread-own-stack", -SIGSEGV, ["recurse", "recurse"]),
    ],
)
def test_a_crash_that_goes_through_the_programs_hands(
    case: str, status: int, frames: list[str] | None, run: RunIt
) -> None:
    usual = run("handlers", case, preload=False)

    ended = run("handlers", case)

    assert ended.status == usual.status == status
    assert ended.stdout == usual.stdout
    report = analyse(ended.core)
    assert report.signal is not None
    assert report.signal.number == -status
    if frames is not None:
        assert functions(report)[: len(frames)] == frames


@pytest.mark.parametrize(
    ("case", "status"),
    [("exit", 3), ("jump", 0), ("quit-ignored", 0), ("roomy", 0)],
)
def test_no_crash_no_core(case: str, status: int, run: RunIt) -> None:
    usual = run("handlers", case, preload=False)

    ended = run("handlers", case)

    assert ended.status == usual.status == status
    assert (ended.stdout, ended.stderr) == (usual.stdout, usual.stderr)
    assert ended.left == []


@pytest.mark.parametrize(
    ("case", "status"),
    [
        ("abort-returns", -SIGABRT),
        ("abort-ignored", -SIGABRT),
        ("blocked-fault", -SIGSEGV),
    ],
)
def test_where_the_kernel_asks_nobody_the_process_dies_as_ever(
    case: str, status: int, run: RunIt
) -> None:
    usual = run("handlers", case, preload=False)

    ended = run("handlers", case)

    assert ended.status == usual.status == status
    assert ended.stdout == usual.stdout
    assert all(told.error is None for told in ended.sidecars)


def test_signals_that_were_ignored_at_the_start_stay_ignored(run: RunIt) -> None:
    ignored = (SIGQUIT, SIGTRAP)
    usual = run("handlers", "ask", preload=False, ignored=ignored)

    ended = run("handlers", "ask", ignored=ignored)

    assert ended.stdout == usual.stdout
    for number in ignored:
        assert f"now {int(number)}: ignored" in ended.stdout


def test_the_loaders_lock_is_not_wanted_in_a_handler(run: RunIt, compiled: Compiled) -> None:
    library = str(compiled("slow_library"))
    usual = run("loader", library, preload=False)

    ended = run("loader", library)

    assert ended.status == usual.status == -SIGSEGV
    assert functions(analyse(ended.core))[:2] == ["main", "__libc_start_call_main"]
    assert ended.sidecar.threads == 2
