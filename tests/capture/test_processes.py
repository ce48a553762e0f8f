"""Parents and children: who forks, who waits, who sees whom."""

from pathlib import Path

import pytest

from tests.capture.conftest import RunIt, analyse, functions
from tests.conftest import need
from tests.support.capture import UNLIMITED, Capture, Run, settings, signal_of
from tests.support.core_files import Ending, await_end, start
from tests.support.crasher_build import CannotBuild
from tests.support.crashers import build, read_pids

pytestmark = pytest.mark.native

SEGV, ABRT = "child: 0xb", "child: 0x6"  # wait statuses without the bit that says "core dumped"


def by_pid(run: Run) -> dict[int, Path]:
    """Cores by the process that their documents name."""
    assert len(run.left) == 2 * len(run.cores)
    return {told.pid: run.folder / str(told.core) for told in run.sidecars}


def test_a_child_without_exec_and_then_its_parent(run: RunIt) -> None:
    ended = run("processes", "fork")

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.stdout.splitlines() == [SEGV]
    cores = by_pid(ended)
    assert len(cores) == 2
    (child,) = cores.keys() - {ended.pid}
    assert analyse(cores[child]).process.pid == child
    assert functions(analyse(cores[child]))[:2] == functions(analyse(cores[ended.pid]))[:2]
    assert all(told.tid == told.pid for told in ended.sidecars)


def test_a_child_that_one_of_many_threads_forks(run: RunIt) -> None:
    ended = run("processes", "fork-thread")

    assert ended.status == 0
    assert ended.stdout.splitlines() == [ABRT]
    assert (ended.sidecar.threads, ended.sidecar.signal) == (1, 6)
    assert ended.sidecar.tid == ended.sidecar.pid != ended.pid
    report = analyse(ended.core)
    assert report.verdict.cls == "abort"
    assert "forks_in_thread" in functions(report)


def test_twenty_children_at_once(run: RunIt) -> None:
    ended = run("processes", "crowd", settings={"EVDIAG_CORES_MAX": "50"})

    assert ended.status == 0
    assert ended.stdout.splitlines() == [SEGV] * 20
    cores = by_pid(ended)
    assert len(cores) == 20
    assert all(told.error is None and not told.truncated for told in ended.sidecars)
    assert all(functions(analyse(core))[:2] == ["crash", "crowd"] for core in cores.values())


def test_vfork_and_spawn_go_on_as_ever(run: RunIt) -> None:
    ended = run("processes", "vfork")

    assert (ended.status, ended.left) == (0, [])
    assert ended.stdout.splitlines() == ["child: 0x100", "child: 0"]


def test_a_crash_between_vfork_and_exec_does_not_hide_that_of_the_parent(run: RunIt) -> None:
    ended = run("processes", "vfork-crash")

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.stdout.splitlines() == [SEGV]
    cores = by_pid(ended)
    assert ended.pid in cores
    assert functions(analyse(cores[ended.pid]))[:2] == ["crash", "vfork_crashes"]


def test_after_exec_the_new_program_is_under_the_layer(run: RunIt) -> None:
    ended = run("processes", "exec")

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.sidecar.argv == ["processes", "crash"]
    assert functions(analyse(ended.core))[:2] == ["crash", "main"]


@pytest.mark.parametrize("number", range(10))
def test_nobody_sees_a_stranger(number: int, run: RunIt) -> None:
    ended = run("processes", "strangers")

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.stdout == ""
    assert functions(analyse(ended.core))[:2] == ["crash", "strangers"]


@pytest.mark.parametrize("case", ["ignores", "no-status"])
def test_a_process_that_wants_to_hear_of_no_child(case: str, run: RunIt, folder: Path) -> None:
    """The layer has to learn all the same that the core is complete: there is no second one."""
    ended = run("processes", case, core_limit=UNLIMITED, cwd=folder)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.stdout == ""
    assert ended.sidecar.core == ended.core.name
    assert ended.stderr.count("\n") == 1


def test_a_parent_counts_its_children(run: RunIt) -> None:
    ended = run("processes", "counts")

    assert ended.status == 0
    assert sorted(ended.stdout.splitlines()) == ["SIGCHLD", SEGV]


# -- manager and modules


def run_manager(capture: Capture, folder: Path, tmp_path: Path, **environment: str) -> Ending:
    """Run the process tree; each module has a directory of its own, as cwd, for the kernel."""
    made = build()
    argv = ["manager", "--prefix", str(made.prefix("O0")), "--run-dir", str(tmp_path)]
    return await_end(
        start(
            str(made.manager("O0")), argv, tmp_path,
            {**settings(capture, folder), **environment}, merge=True,
        )
    )  # fmt: skip


def test_modules_under_their_manager(
    capture: Capture, folder: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    try:
        ending = run_manager(
            capture, folder, tmp_path, CRASH_MODE="null-write", CRASH_MODULE="ocpp",
            CRASH_ON_TERM="evse_manager",
        )  # fmt: skip
    except CannotBuild as reason:
        need(request, "native", str(reason))

    assert ending.status == 1
    assert "signal=11" in ending.stdout
    pids = read_pids(tmp_path / "pids")
    run = Run(pid=ending.pid, status=1, stdout="", stderr="", folder=folder, seconds=0)
    told = {each.pid: each for each in run.sidecars}
    assert set(told) == {pids["ocpp"], pids["evse_manager"]}
    assert told[pids["ocpp"]].argv[0] == "ocpp:OCPP201"
    assert told[pids["ocpp"]].crashed_at <= told[pids["evse_manager"]].crashed_at
    for module_id, module_type in (("ocpp", "OCPP201"), ("evse_manager", "EvseManager")):
        report = analyse(by_pid(run)[pids[module_id]])
        assert (report.process.module_id, report.process.module_type) == (module_id, module_type)
    # the limit of the kernel was unlimited: it has written none besides
    assert [path for path in tmp_path.glob("*/core*") if path.parent != folder] == []
