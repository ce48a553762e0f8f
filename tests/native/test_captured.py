"""Cores and notes of the image's own capture layer: who died first, also where no core was kept."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.engine import Engine, Options
from evdiag.incident import Incident
from evdiag.model.report import Report
from tests.conftest import need
from tests.support.capture import build_capture
from tests.support.core_files import CannotMakeCores
from tests.support.crasher_build import CannotBuild, build
from tests.support.processes import none_left
from tests.support.supervised import supervised

CRASH = {
    "CRASH_MODE": "throw-thread",
    "CRASH_MODULE": "ocpp",
    "CRASH_ON_TERM": "evse_manager",
}


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Neither compiler nor supervisord: say so. And nothing may be left running."""
    try:
        build()
        build_capture()
    except (CannotBuild, CannotMakeCores) as reason:
        need(request, "native", str(reason))
    if shutil.which("supervisord") is None:
        need(request, "native", "there is no supervisord")
    with none_left():
        yield


def crashed(folder: Path, **more: str) -> tuple[Path, dict[str, int]]:
    """Let the tree crash under the layer; gives its logs and cores, and its process ids."""
    capture = build_capture()
    made = folder / "everest-logs"
    made.mkdir()
    environment = {
        **CRASH,
        "LD_PRELOAD": str(capture.library),
        "EVDIAG_CORE_WRITER": str(capture.writer),
        "EVDIAG_CORE_DIR": str(made),
        **more,
    }
    with supervised(folder / "run", environment) as tree:
        tree.await_line("exited: everest")
        pids = tree.pids()
    for log in tree.logs.iterdir():
        shutil.copyfile(log, made / log.name)
    return made, pids


def reports(*targets: Path) -> list[Report]:
    outcomes = list(Incident(Engine(Options()), targets, ()).outcomes())
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return [outcome.report for outcome in outcomes if outcome.report is not None]


def said(report: Report) -> list[str]:
    """What went wrong with core and files, not with symbols."""
    return [error.message for error in report.soft_errors if error.stage in ("core", "files")]


@pytest.mark.native
def test_cores_with_their_notes_and_logs(tmp_path: Path) -> None:
    folder, pids = crashed(tmp_path)

    ocpp, evse_manager = reports(folder)

    assert [ocpp.process.module_id, evse_manager.process.module_id] == ["ocpp", "evse_manager"]
    assert [ocpp.process.pid, evse_manager.process.pid] == [pids["ocpp"], pids["evse_manager"]]
    assert ocpp.verdict.cls == "uncaught-exception"
    assert ocpp.siblings[0].role == "first_fault"
    assert [said(ocpp), said(evse_manager)] == [[], []]
    for report in (ocpp, evse_manager):
        started, died = report.process.started, report.process.crashed_at
        assert started is not None
        assert died is not None
        assert started.endswith(" UTC")
        assert started < died
    assert (ocpp.process.crashed_at or "") < (evse_manager.process.crashed_at or "")
    assert {excerpt.source for excerpt in ocpp.logs} == {"everest.log"}
    written = [event for event in ocpp.timeline if event.kind == "core-written"]
    assert [event.text.split()[2] for event in written] == ["ocpp:OCPP201", "evse_manager:Ev"]


@pytest.mark.native
def test_copied_cores_without_a_log(tmp_path: Path) -> None:
    """The files are of the same second, in any order: the notes tell it to the millisecond."""
    folder, _ = crashed(tmp_path)
    for path in folder.iterdir():
        if path.suffix == ".log":
            path.unlink()
        else:
            os.utime(path, (1, 1))

    ocpp, evse_manager = reports(folder)

    assert [ocpp.process.module_id, evse_manager.process.module_id] == ["ocpp", "evse_manager"]
    assert [sibling.role for sibling in ocpp.siblings] == ["first_fault", "taken_down"]
    assert any(
        text.startswith("no log names the first to end; ocpp crashed 0.0")
        and text.endswith(" s before the others, as the core writer noted")
        for text in ocpp.verdict.evidence
    )


@pytest.mark.native
@pytest.mark.parametrize("logs", [True, False])
def test_crashes_of_which_no_core_was_kept(logs: bool, tmp_path: Path) -> None:
    folder, pids = crashed(tmp_path, CRASH_MODE="null-read", EVDIAG_CORES_MAX="0")
    for path in folder.iterdir():
        if path.suffix == ".log" and not logs:
            path.unlink()

    ocpp, evse_manager = reports(folder)

    assert [ocpp.process.pid, evse_manager.process.pid] == [pids["ocpp"], pids["evse_manager"]]
    assert [ocpp.verdict.cls, evse_manager.verdict.cls] == ["null-access", "abort"]
    assert [ocpp.process.module_type, ocpp.provenance.rung] == ["OCPP201", "capture"]
    assert ocpp.signal is not None
    assert (ocpp.signal.name, ocpp.signal.code_name) == ("SIGSEGV", "SEGV_MAPERR")
    assert said(ocpp) == ["there is no core of ocpp: EVDIAG_CORES_MAX is 0"]
    assert bool(ocpp.logs) is logs
    assert [ocpp.siblings[0].role, ocpp.siblings[0].module_id] == ["first_fault", "ocpp"]


@pytest.mark.native
def test_a_core_that_had_no_room(tmp_path: Path) -> None:
    folder, _ = crashed(tmp_path, CRASH_ON_TERM="", EVDIAG_CORES_MAX_BYTES="300000")

    (ocpp,) = reports(folder)

    (problem,) = said(ocpp)
    assert problem.startswith("the core was not written whole (core.ocpp:OCPP201.")
    assert problem.endswith("bytes are missing: EVDIAG_CORES_MAX_BYTES is reached")
    assert ocpp.core.truncated
    # The writer's line comes right behind the text of the exception, and is no part of it.
    assert "evdiag capture" not in ocpp.verdict.summary
    assert "connector 2 exceeds its energy limit" in ocpp.verdict.summary
