"""Who died first: a real process tree under a real supervisord, its cores and its logs."""

import json
import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.engine import Engine, Options
from evdiag.incident import Incident
from evdiag.model.report import Report, Sibling
from tests.conftest import need
from tests.support.core_files import CannotMakeCores
from tests.support.crasher_build import CannotBuild, build
from tests.support.processes import none_left
from tests.support.supervised import Supervised, supervised

STYLES = ("head", "2026.02")
TRACEBACK = """
import os
ready = int(os.environ["READY_FD"])
go = int(os.environ["GO_FD"])
os.write(ready, (os.environ["EV_MODULE"] + "\\n").encode())
os.close(ready)
while os.read(go, 1):
    pass


def on_session_started(session):
    return {}["iso15118"]


on_session_started(4711)
"""
UP = "EVerest up and running"


@pytest.fixture(autouse=True)
def tidy(request: pytest.FixtureRequest) -> Iterator[None]:
    """Neither compiler nor supervisord: say so. And nothing may be left running."""
    try:
        build()
    except (CannotBuild, CannotMakeCores) as reason:
        need(request, "native", str(reason))
    if shutil.which("supervisord") is None:
        need(request, "native", "there is no supervisord")
    with none_left():
        yield


def reports(*targets: Path) -> list[Report]:
    incident = Incident(Engine(Options()), targets, ())
    outcomes = list(incident.outcomes())
    assert [outcome.error for outcome in outcomes] == [None] * len(outcomes)
    return [outcome.report for outcome in outcomes if outcome.report is not None]


def by_name(report: Report) -> dict[str | None, Sibling]:
    return {sibling.module_id: sibling for sibling in report.siblings}


def clean_away(tree: Supervised) -> Path:
    """The folder as a person would collect it: cores and logs, nothing else."""
    for entry in tree.folder.iterdir():
        if entry.is_dir() and entry.name not in ("logs", "cores"):
            shutil.rmtree(entry)
    return tree.folder


@pytest.mark.native
@pytest.mark.parametrize("style", STYLES)
def test_the_first_of_two_cores_that_come_in_the_wrong_order(style: str, tmp_path: Path) -> None:
    crash = {"CRASH_MODE": "throw-thread", "CRASH_MODULE": "ocpp", "CRASH_ON_TERM": "evse_manager"}
    with supervised(tmp_path / "run", crash, style=style) as tree:
        tree.await_line("exited: everest")
        pids = tree.pids()
        first, second = tree.take_core("ocpp"), tree.take_core("evse_manager")
    now = first.stat().st_mtime
    os.utime(first, (now, now))
    os.utime(second, (now - 5, now - 5))

    incident = Incident(Engine(Options()), [clean_away(tree)], ())
    ocpp, evse_manager = [o.report for o in incident.outcomes() if o.report is not None]

    assert incident.headline.startswith("ocpp died first and took ")
    assert ocpp.process.module_id == "ocpp"
    assert ocpp.verdict.cls == "uncaught-exception"
    known = by_name(ocpp)
    assert known["ocpp"].role == "first_fault"
    assert known["ocpp"].pid == pids["ocpp"]
    assert known["ocpp"].core == str(first)
    modules = {"grid_connection", "evse_energy_sink", "evse_manager", "iso15118_charger"}
    assert {name for name, s in known.items() if s.role == "taken_down"} == {
        *modules,
        "iso15118_car",
        "everest",
    }
    assert {known[name].pid for name in modules} == {pids[name] for name in modules}
    assert known["everest"].status == "exit code 1"
    assert known["evse_manager"].note == "crashed while it was being shut down"
    assert (known["evse_manager"].cls, known["evse_manager"].core) == ("abort", str(second))
    said = " ".join(ocpp.verdict.evidence)
    assert "the manager's log names ocpp as the first to end (logs/everest.log, line " in said
    assert "5 others were taken down afterwards" in said
    assert "the core of evse_manager is 5 s older, but times of files prove nothing" in said
    assert "supervisord saw everest end afterwards: exit code 1" in said
    assert evse_manager.process.module_id == "evse_manager"
    assert by_name(evse_manager)["ocpp"].role == "first_fault"
    assert any("ocpp ended first" in text for text in evse_manager.verdict.evidence)
    assert evse_manager.verdict.advice[0].startswith("Look at ocpp first")
    lines = [line for excerpt in ocpp.logs for line in excerpt.lines]
    assert any("DC power supply set" in line and "ocpp:OCPP201" in line for line in lines)
    assert any(line.startswith("terminate called after throwing") for line in lines)
    assert not any("iso15118_charge" in line and "Session 4711" in line for line in lines)
    assert [event.kind for event in ocpp.timeline][:2] == ["service-start", "manager-start"]
    assert ocpp.timeline[-1].kind == "service-exit"


@pytest.mark.native
@pytest.mark.parametrize("style", STYLES)
def test_two_runs_are_kept_apart(style: str, tmp_path: Path) -> None:
    cores = {}
    for name in ("ocpp", "evse_manager"):
        crash = {"CRASH_MODE": "null-read", "CRASH_MODULE": name}
        with supervised(tmp_path / "run", crash, style=style) as tree:
            tree.await_line("exited: everest")
            cores[name] = tree.take_core(name)
    newest = cores["evse_manager"].stat().st_mtime
    os.utime(cores["ocpp"], (newest, newest))  # as a copy has it

    found = reports(tmp_path / "run/cores", tmp_path / "run/logs")

    assert [report.process.module_id for report in found] == ["ocpp", "evse_manager"]
    for report, other in zip(found, reversed(found), strict=True):
        assert report.process.pid is not None
        known = {(sibling.module_id, sibling.pid): sibling for sibling in report.siblings}
        own = known[report.process.module_id, report.process.pid]
        assert (own.role, own.core) == ("first_fault", report.core.path)
        far = known[other.process.module_id, other.process.pid]
        assert (far.role, far.core) == ("unrelated", other.core.path)
        assert sum(sibling.role == "first_fault" for sibling in report.siblings) == 1


@pytest.mark.native
@pytest.mark.parametrize("style", STYLES)
def test_a_python_module_that_dies_of_a_traceback(style: str, tmp_path: Path) -> None:
    made = build().prefix("O0")
    prefix = tmp_path / "prefix"
    modules = prefix / "libexec/everest/modules"
    modules.mkdir(parents=True)
    for entry in (made / "libexec/everest/modules").iterdir():
        if entry.name != "PyEvSim":
            (modules / entry.name).symlink_to(entry)
    for entry in made.iterdir():
        if entry.name != "libexec":
            (prefix / entry.name).symlink_to(entry)
    (modules / "PyEvSim").mkdir()
    (modules / "PyEvSim/module.py").write_text(TRACEBACK)
    crash = {"CRASH_ON_TERM": "evse_manager"}
    with supervised(tmp_path / "run", crash, style=style, prefix=prefix) as tree:
        tree.await_line("exited: everest")
        tree.take_core("evse_manager")

    python, evse_manager = reports(clean_away(tree))

    assert python.process.module_id == "iso15118_car"
    assert python.core.path is None
    assert python.provenance.rung == "logs"
    assert "KeyError" in python.title
    assert by_name(python)["iso15118_car"].status == "exit code 1"
    assert by_name(python)["iso15118_car"].role == "first_fault"
    message = python.soft_errors[0].message
    assert message == "there is no core of iso15118_car: a process that ends by itself leaves none"
    assert evse_manager.process.module_id == "evse_manager"
    assert by_name(evse_manager)["evse_manager"].note == "crashed while it was being shut down"


@pytest.mark.native
@pytest.mark.parametrize(
    ("flag", "kills", "cls", "confidence"),
    [
        (True, 1, "oom-killed", "high"),
        (True, None, "oom-killed", "medium"),
        (False, 1, "oom-killed", "medium"),
        (False, None, "unknown", "low"),
    ],
)
def test_a_module_that_was_killed(
    flag: bool, kills: int | None, cls: str, confidence: str, tmp_path: Path
) -> None:
    with supervised(tmp_path / "run", {}) as tree:
        tree.await_log(UP)
        os.kill(tree.pids()["ocpp"], signal.SIGKILL)
        tree.await_line("exited: everest")
    folder = clean_away(tree)
    state = {"Status": "exited", "ExitCode": 1, "OOMKilled": flag}
    (folder / "container.json").write_text(json.dumps([{"State": state, "Config": {}}]))
    if kills is not None:
        (folder / "memory.events").write_text(f"low 0\nhigh 0\nmax 9\noom 2\noom_kill {kills}\n")

    (report,) = reports(folder)

    assert (report.verdict.cls, report.verdict.confidence) == (cls, confidence)
    assert report.process.module_id == "ocpp"
    assert by_name(report)["ocpp"].status == "SIGKILL"
    assert report.container is not None
    assert (report.container.oom_killed, report.container.oom_kills) == (flag, kills)
    assert report.soft_errors[0].message == "there is no core of ocpp: SIGKILL never leaves one"


@pytest.mark.native
def test_the_manager_itself_crashes(tmp_path: Path) -> None:
    with supervised(tmp_path / "run", {}) as tree:
        tree.await_log(UP)
        pid = tree.manager_pid()
        os.kill(pid, signal.SIGSEGV)
        tree.await_line("exited: everest")
        core = tree.take_core("manager")

    (report,) = reports(clean_away(tree))

    assert report.process.pid == pid
    assert report.verdict.cls == "sent-signal"
    assert report.verdict.evidence[-2:] == (
        "supervisord saw everest end: SIGSEGV, core dumped",
        "the modules end with their manager (PR_SET_PDEATHSIG)",
    )
    (everest,) = report.siblings
    assert (everest.module_id, everest.role, everest.core) == ("everest", "first_fault", str(core))


@pytest.mark.native
def test_an_end_that_was_asked_for(tmp_path: Path) -> None:
    with supervised(tmp_path / "run", {}) as tree:
        tree.await_log(UP)
    (report,) = reports(clean_away(tree))

    assert report.verdict.cls == "no-crash"
    assert [s.role for s in report.siblings if s.role] == []
