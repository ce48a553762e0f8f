"""`evdiag backtrace` with logs: folders, --log, and crashes that left no core."""

import json
import os
import re
import shutil
from pathlib import Path

import jsonschema
import pytest

from evdiag.adapters import incident
from evdiag.report.schema import schema
from tests.cli.conftest import Evdiag

LOG = """\
2026-11-22 07:01:00.100000 [INFO] manager          :: Starting 3 modules
2026-11-22 07:01:09.000000 [INFO] evse_manager:Ev  :: Session started, password=hunter2
2026-11-22 07:01:09.500000 [INFO] ocpp:OCPP201     :: a line of another process
2026-11-22 07:01:10.200000 [CRIT] manager         int boot() :: Module {first} (pid: {pid}) exited \
with status: {status}. Terminating all modules.
2026-11-22 07:01:10.210000 [INFO] manager          :: SIGTERM of child: {other} (pid: {other_pid}) \
succeeded.
2026-11-22 07:01:10.220000 [CRIT] manager         int boot() :: Exiting manager.
"""
TRACEBACK = """\
Traceback (most recent call last):
  File "/opt/module.py", line 9, in <module>
    main()
KeyError: 'iso15118'
"""
SUPERVISOR = """\
2026-11-22 07:01:00,000 INFO spawned: 'everest' with pid 7
2026-11-22 07:01:10,300 WARN exited: everest (exit status 1; not expected)
"""


PID = 30414
"""Of the demo's core."""


def log(first: str, other: str, status: int = 139, pid: int = PID, other_pid: int = 9) -> str:
    return LOG.format(first=first, other=other, status=status, pid=pid, other_pid=other_pid)


@pytest.fixture
def folder(tmp_path: Path, core: Path) -> Path:
    """As EVerest's container leaves it: the demo's core, and the logs of its last moments."""
    made = tmp_path / "bundle"
    (made / "logs").mkdir(parents=True)
    (made / "cores").mkdir()
    shutil.copyfile(core, made / "cores/core.EvseManager")
    (made / "logs/everest.log").write_text(log("evse_manager", "ocpp"))
    (made / "logs/supervisord.log").write_text(SUPERVISOR)
    return made


def test_a_folder_with_a_core_and_logs(evdiag: Evdiag, folder: Path) -> None:
    (folder / "container.json").write_text(
        json.dumps([{"State": {"ExitCode": 1, "OOMKilled": False}, "Config": {"Image": "ev:1"}}])
    )

    code, out, err = evdiag("backtrace", folder, "--format", "json")

    assert (code, err) == (0, "")
    document = json.loads(out)
    jsonschema.Draft202012Validator(json.loads(schema())).validate(document)
    roles = {sibling["module_id"]: sibling["role"] for sibling in document["siblings"]}
    assert roles == {
        "evse_manager": "first_fault",
        "ocpp": "taken_down",
        "everest": "taken_down",
    }
    assert document["siblings"][0]["class"] == document["verdict"]["class"]
    assert document["siblings"][0]["core"] == str(folder / "cores/core.EvseManager")
    assert document["container"]["image"] == "ev:1"
    assert document["process"]["crashed_at"] == "2026-11-22 07:01:10.200"
    shown = {excerpt["source"]: excerpt["lines"] for excerpt in document["logs"]}
    assert list(shown) == ["logs/everest.log"]
    first = shown["logs/everest.log"][0]
    assert re.search(r":: Session started, password=<redacted-[0-9a-f]{8}>$", first)
    assert f"Module evse_manager (pid: {PID}) exited" in shown["logs/everest.log"][1]
    assert len(shown["logs/everest.log"]) == 2
    assert [event["kind"] for event in document["timeline"]] == [
        *("service-start", "manager-start", "module-exit", "module-stopped"),
        *("manager-exit", "service-exit"),
    ]


def test_the_same_twice_is_one(evdiag: Evdiag, folder: Path) -> None:
    core = folder / "cores/core.EvseManager"

    code, out, err = evdiag("backtrace", core, folder, folder, "--format", "json")

    assert (code, err) == (0, "")
    assert json.loads(out)["core"]["path"] == str(core)


def test_logs_by_option(evdiag: Evdiag, folder: Path, core: Path) -> None:
    for given in (["--log", folder / "logs"], ["--log", folder / "logs/everest.log"]):
        code, out, err = evdiag("backtrace", core, *given)
        assert (code, err) == (0, "")
        assert "this process died first; taken down with it: ocpp" in out


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-22 07:01:00.100000 [INFO] manager          :: Starting 3 modules\n",
        log("ocpp", "other"),
        log("evse_manager", "other", pid=PID + 1),
    ],
)
def test_logs_and_a_core_that_have_nothing_in_common(
    text: str, evdiag: Evdiag, core: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.log"
    other.write_text(text)

    code, out, _ = evdiag("backtrace", core, "--log", other, "--format", "json")

    assert code == 0
    documents = json.loads(out)
    document = documents[-1] if isinstance(documents, list) else documents
    assert document["process"]["pid"] == PID
    assert document["siblings"] == []
    assert document["timeline"] == []


def test_several_reports_the_first_fault_first(evdiag: Evdiag, folder: Path) -> None:
    text = TRACEBACK + log("iso15118_car", "evse_manager", status=256, pid=21, other_pid=PID)
    (folder / "logs/everest.log").write_text(text)

    code, out, err = evdiag("backtrace", folder, "--format", "json", "--exit-code")

    assert code == 20
    assert err == "iso15118_car died first and took 2 others down: its report comes first\n"
    python, evse_manager = json.loads(out)
    assert python["title"] == "iso15118_car: uncaught-exception KeyError"
    assert python["core"]["path"] is None
    assert python["provenance"]["rung"] == "logs"
    assert evse_manager["process"]["module_id"] == "evse_manager"
    notes = {sibling["module_id"]: sibling["note"] for sibling in evse_manager["siblings"]}
    assert notes["evse_manager"] == "crashed while it was being shut down"

    _, out, _ = evdiag("backtrace", folder)
    assert out.startswith("iso15118_car: uncaught-exception KeyError\n")
    said = " ".join(out.split())
    assert "died first: iso15118_car (exit code 1); this one crashed while" in said
    assert "No thread" not in out
    _, out, _ = evdiag("backtrace", folder, "--format", "markdown")
    assert out.startswith("## iso15118\\_car") or out.startswith("## iso15118_car")
    assert "Crashed thread" not in out.split("## evse")[0]


def test_the_container_without_a_core(evdiag: Evdiag, folder: Path) -> None:
    shutil.rmtree(folder / "cores")
    (folder / "core_pattern").write_text("|/usr/share/apport/apport -p%p\n")

    code, out, err = evdiag("backtrace", folder, "--exit-code")

    assert (code, err) == (20, "")
    assert out.startswith("evse_manager: ")
    assert "gives cores to apport, outside of the container" in " ".join(out.split())
    assert "processes ended" in out
    assert "Log: logs/everest.log" in out


def test_an_end_without_a_crash(evdiag: Evdiag, folder: Path) -> None:
    shutil.rmtree(folder / "cores")
    (folder / "logs/everest.log").write_text(log("system", "ocpp", status=2))

    code, out, _ = evdiag("backtrace", folder, "--exit-code")

    assert code == 0
    assert out.startswith("no crash: reset\n")
    assert "all ended because a reset was asked for" in out


def test_a_core_that_cannot_be_used_does_not_stop_the_others(evdiag: Evdiag, folder: Path) -> None:
    (folder / "cores/core.cut").write_bytes((folder / "cores/core.EvseManager").read_bytes()[:99])

    code, out, err = evdiag("backtrace", folder, "--format", "json")

    assert code == 8
    assert json.loads(out)["process"]["module_id"] == "evse_manager"
    assert "core.cut" in err


def test_a_folder_with_nothing_to_report_on(
    evdiag: Evdiag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    code, out, err = evdiag("backtrace", empty)
    assert (code, out) == (8, "")
    assert f"{empty} holds neither a core nor a log" in err
    assert "-> Name a core, or a folder with the logs" in err

    (empty / "core.1").write_bytes(b"")
    (empty / "core.2.zst").write_bytes(b"\x28\xb5\x2f\xfd")
    _, _, err = evdiag("backtrace", empty)
    assert "core.2.zst: packed, and not looked into; core.1: called like a core, but empty" in err

    (empty / "everest.log").write_text("2026-11-22 07:01:00.1 [INFO] manager          :: hello\n")
    code, _, err = evdiag("backtrace", empty)
    assert code == 8
    assert "no log tells of a process that ended (everest.log)" in err
    assert "--log" in err


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("none", "--log none does not exist"),
        ("pipe", "--log pipe is not a file"),
    ],
)
def test_logs_that_are_none(
    name: str,
    said: str,
    evdiag: Evdiag,
    core: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    os.mkfifo("pipe")

    code, _, err = evdiag("backtrace", core, "--log", name)

    assert code == 2
    assert said in err


def test_links_lead_nowhere(evdiag: Evdiag, folder: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.log"
    secret.write_text(log("secret", "other"))
    (folder / "logs/link.log").symlink_to(secret)
    (folder / "all").symlink_to(tmp_path)
    os.mkfifo(folder / "logs/pipe.log")

    code, out, _ = evdiag("backtrace", folder, "--format", "json")

    assert code == 0
    assert "secret" not in out.replace('"secrets"', "")
    messages = [error["message"] for error in json.loads(out)["soft_errors"]]
    assert "2 links were not followed" in messages


def test_names_that_are_no_text(evdiag: Evdiag, folder: Path) -> None:
    (folder / "logs/everest.log").rename(os.fsdecode(os.fsencode(folder) + b"/logs/\xff\x1b.log"))

    code, out, _ = evdiag("backtrace", folder, "--format", "json")

    assert code == 0
    assert [excerpt["source"] for excerpt in json.loads(out)["logs"]] == ["logs/\ufffd\\x1b.log"]


def test_one_program_and_what_it_wrote(evdiag: Evdiag, core: Path, tmp_path: Path) -> None:
    (tmp_path / "stderr").write_text("free(): invalid pointer\n")

    code, out, _ = evdiag("backtrace", tmp_path, "--format", "json")

    assert code == 0
    document = json.loads(out)
    assert document["verdict"]["class"] == "heap-corruption"
    assert document["siblings"] == []
    assert document["logs"] == [{"source": "stderr", "lines": ["free(): invalid pointer"]}]


def test_too_much(evdiag: Evdiag, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, limit in (("MAX_CORES", 1), ("MAX_LOGS", 2), ("MAX_LOG", 400)):
        monkeypatch.setattr(incident, name, limit)
    shutil.copyfile(folder / "cores/core.EvseManager", folder / "cores/core.z")
    (folder / "logs/z.log").write_text(SUPERVISOR)

    _, out, _ = evdiag("backtrace", folder, "--format", "json")

    messages = [error["message"] for error in json.loads(out)["soft_errors"]]
    assert "more than 1 cores: cores/core.z is left out" in messages
    assert "more than 2 logs: logs/z.log is left out" in messages
    assert any("everest.log has" in m and "only the last 400 are read" in m for m in messages)
    assert json.loads(out)["siblings"][0]["role"] == "first_fault"

    monkeypatch.setattr(incident, "MAX_ENTRIES", 1)
    assert evdiag("backtrace", folder).code == 8
