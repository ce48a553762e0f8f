"""`evdiag backtrace` with what the core writer of EVerest's image leaves beside each core."""

import json
import os
import shutil
from pathlib import Path

import jsonschema

from evdiag.adapters.files import load_core
from evdiag.report.schema import schema
from tests.cli.conftest import Evdiag
from tests.cli.test_incident import PID, log
from tests.cli.test_incident import folder as folder  # a fixture here too


def noted(beside: Path, **more: object) -> Path:
    """Write a note as the core writer does: of the core, if nothing else is said."""
    path = beside.with_name(f"{beside.name}.json")
    facts = {
        **{"schema": "evdiag.capture/1", "core": beside.name, "pid": PID, "signal": 11},
        **{"started": "2026-11-22T07:01:01.000Z", "crashed_at": "2026-11-22T07:01:10.187Z"},
        **more,
    }
    path.write_text(json.dumps(facts))
    return path


def test_a_note_beside_a_core(evdiag: Evdiag, folder: Path) -> None:
    core = folder / "cores/core.EvseManager"
    noted(core, tid=load_core(core)[1].threads[0].lwp, thread="session", argv=["x"], bytes=1 << 40)

    for target in (core, folder):
        code, out, err = evdiag("backtrace", target, "--format", "json")
        assert (code, err) == (0, "")
        document = json.loads(out)
        jsonschema.Draft202012Validator(json.loads(schema())).validate(document)
        assert document["process"]["started"] == "2026-11-22 07:01:01.000 UTC"
        assert document["process"]["crashed_at"] == "2026-11-22 07:01:10.187 UTC"
        assert document["process"]["argv"][0] == "evse_manager:EvseManager"
        assert [thread["name"] for thread in document["threads"]][:2] == ["session", None]
        messages = [error["message"] for error in document["soft_errors"]]
        assert f"the core had {1 << 40} bytes when it was written" in messages[0]
        assert not any("json" in excerpt["source"] for excerpt in document["logs"])


def test_notes_that_are_not_believed(evdiag: Evdiag, folder: Path) -> None:
    core = folder / "cores/core.EvseManager"
    note = noted(core, pid=PID + 1)
    said = {"another": soft_errors(evdiag, folder)}
    note.write_text('{"schema": "evdiag.capture/1", "core": "core.Ev')
    said["cut"] = soft_errors(evdiag, folder)
    note.write_text('{"name": "of another program"}')
    said["foreign"] = soft_errors(evdiag, folder)
    note.unlink()
    note.symlink_to("/etc/passwd")
    said["link"] = soft_errors(evdiag, core)
    note.unlink()
    os.mkfifo(note)
    said["pipe"] = soft_errors(evdiag, core)

    assert said["another"] == [
        f"{note.name} tells of process {PID + 1}, but the core is of process {PID}: "
        "the note is not used"
    ]
    assert [text.partition(": ")[0] for text in said["cut"]] == [f"{note.name} cannot be used"]
    assert said["foreign"] == []
    assert said["link"][0].startswith(f"{note.name} cannot be used: ")
    assert said["pipe"] == [f"{note.name} cannot be used: it is not a file"]


def soft_errors(evdiag: Evdiag, target: Path) -> list[str]:
    code, out, _ = evdiag("backtrace", target, "--format", "json", "--no-values")
    assert code == 0
    found = json.loads(out)["soft_errors"]
    return [error["message"] for error in found if error["stage"] in ("core", "files")]


def test_a_name_that_is_too_long_for_a_note(evdiag: Evdiag, core: Path, tmp_path: Path) -> None:
    long = tmp_path / ("core." + "x" * 250)
    shutil.copyfile(core, long)

    assert soft_errors(evdiag, long) == soft_errors(evdiag, core)


def test_a_crash_without_a_core(evdiag: Evdiag, folder: Path) -> None:
    """The disk was full: the logs know who ended first, the note why it did."""
    (folder / "cores/core.EvseManager").unlink()
    lost = folder / "cores/core.evse_manager:Ev.1"
    noted(
        lost,
        **{"core": None, "si_code": 1, "fault_address": "0x18", "sender_pid": None},
        **{"argv": ["evse_manager:EvseManager"], "executable": "/opt/everest/EvseManager"},
        error="No space left on device",
    )
    (folder / "cores/core.cut.json").write_text('{"schema": "evdiag.capture/7"}')
    (folder / "cores/.core.x.7.8.part").write_bytes(b"\x7fELF")
    (folder / "cores/core.settings.json").write_text("{}")

    code, out, err = evdiag("backtrace", folder, "--format", "json", "--exit-code")

    assert (code, err) == (20, "")
    document = json.loads(out)
    jsonschema.Draft202012Validator(json.loads(schema())).validate(document)
    assert document["title"] == "evse_manager: null-access"
    assert document["verdict"]["rule"] == "capture"
    assert document["process"] == {
        **document["process"],
        **{"pid": PID, "module_id": "evse_manager", "module_type": "EvseManager"},
        **{"executable": "/opt/everest/EvseManager", "crashed_at": "2026-11-22 07:01:10.187 UTC"},
    }
    assert document["signal"]["fault_address"] == "0x18"
    roles = {sibling["module_id"]: sibling["role"] for sibling in document["siblings"]}
    assert roles == {"evse_manager": "first_fault", "ocpp": "taken_down", "everest": "taken_down"}
    messages = [error["message"] for error in document["soft_errors"]]
    assert messages == [
        "there is no core of evse_manager: No space left on device",
        "cores/core.cut.json cannot be used: its schema is evdiag.capture/7, and only "
        "evdiag.capture/1 is known",
        "cores/.core.x.7.8.part: unfinished: its writer was ended before the core was whole",
    ]
    _, out, _ = evdiag("backtrace", folder)
    assert "No thread" not in out
    assert "from what the core writer noted and from logs, there is no core" in " ".join(
        out.split()
    )


def test_a_core_that_had_to_make_room(evdiag: Evdiag, folder: Path) -> None:
    core = folder / "cores/core.EvseManager"
    noted(core, removed=["core.old"])
    noted(core.with_name("core.old"), pid=7, argv=["api:API"], crashed_at="2026-11-21T00:00:00Z")

    _, out, _ = evdiag("backtrace", folder / "cores", "--format", "json")

    (gone,) = [r for r in json.loads(out) if r["process"]["module_id"] == "api"]
    assert gone["soft_errors"][0]["message"].startswith("core.old of api was taken away to make")


def test_the_kernels_core_of_the_same_crash(evdiag: Evdiag, folder: Path) -> None:
    core = folder / "cores/core.EvseManager"
    noted(core, crashed_at="2026-11-22T07:01:10.187Z")
    other = folder / "core"
    shutil.copyfile(core, other)
    os.utime(other, (1795330871, 1795330871))

    _, out, _ = evdiag("backtrace", folder, "--format", "json")
    assert json.loads(out)["core"]["path"] == str(core)
    assert soft_errors(evdiag, folder) == [f"{other} is of the same crash as {core}: left out"]

    _, out, _ = evdiag("backtrace", core, other, "--log", folder / "logs", "--format", "json")
    assert {report["core"]["path"] for report in json.loads(out)} == {str(core), str(other)}


def test_the_facts_of_the_build(evdiag: Evdiag, folder: Path) -> None:
    (folder / "build.json").write_text(json.dumps({"everest": {"describe": "2026.02.1-34-gaa"}}))
    (folder / "memory.events").write_text("oom_kill 0\n")

    code, out, _ = evdiag("backtrace", folder, "--format", "json")

    assert code == 0
    container = json.loads(out)["container"]
    assert (container["build"]["describe"], container["oom_kills"]) == ("2026.02.1-34-gaa", 0)
    _, out, _ = evdiag("backtrace", folder)
    assert "image      EVerest 2026.02.1-34-gaa\n" in out


def test_a_disk_that_was_full_for_long(evdiag: Evdiag, tmp_path: Path) -> None:
    for i in range(30):
        when = f"2026-11-22T07:{i:02}:00.000Z"
        more = {"core": None, "pid": i + 1, "argv": ["ocpp:OCPP201"], "crashed_at": when}
        noted(tmp_path / f"core.ocpp.{i}", **more, error="No space left on device")

    code, out, _ = evdiag("backtrace", tmp_path, "--format", "json")

    assert code == 0
    assert [report["process"]["pid"] for report in json.loads(out)] == list(range(21, 31))
    assert "20 earlier runs left notes of crashes, but no core: not reported" in out


def test_what_else_everest_leaves_there_is_no_evidence(evdiag: Evdiag, folder: Path) -> None:
    """What an OCPP server has sent must not look like words of the manager."""
    (folder / "ocpp").mkdir()
    (folder / "sessions/2026-11-22T07:01:00.000Z-1").mkdir(parents=True)
    messages = "2026-11-22T06:59:59.000Z: CentralSystem>ChargePoint  Reset\n[2,1]\n\n"
    forged = messages + log("api", "evse_manager", pid=77)
    (folder / "ocpp/libocpp_201_raw.log").write_text(forged)
    session = folder / "sessions/2026-11-22T07:01:00.000Z-1/incomplete-eventlog.csv"
    session.write_text('"2026-11-22T07:01:00.000Z","EVSE","Module api exited",""\n')

    _, out, err = evdiag("backtrace", folder, "--format", "json")

    assert err == ""
    document = json.loads(out)
    assert document["siblings"][0]["module_id"] == "evse_manager"
    assert "api" not in {sibling["module_id"] for sibling in document["siblings"]}
    assert [excerpt["source"] for excerpt in document["logs"]] == ["logs/everest.log"]


def test_a_core_that_cannot_be_read_has_its_note(evdiag: Evdiag, folder: Path) -> None:
    core = folder / "cores/core.EvseManager"
    core.write_bytes(core.read_bytes()[:99])
    noted(core, si_code=1, fault_address="0x0", argv=["evse_manager:EvseManager"])

    code, out, err = evdiag("backtrace", folder, "--format", "json")

    assert code == 8
    assert "core.EvseManager" in err
    assert json.loads(out)["title"] == "evse_manager: null-access"
    message = json.loads(out)["soft_errors"][0]["message"]
    assert message == "there is no core of evse_manager: core.EvseManager cannot be read"


def test_notes_of_cores_that_are_not_asked_for(evdiag: Evdiag, folder: Path, core: Path) -> None:
    """They lie in another folder, or belong to cores that nobody named: nothing is missing."""
    noted(folder / "cores/core.EvseManager")
    (folder / "notes").mkdir()
    noted(folder / "notes/core.EvseManager")
    noted(folder / "cores/core.other", pid=8, argv=["api:API"])

    for targets in ((core, "--log", folder), (core, "--log", folder / "cores", "--log", folder)):
        _, out, _ = evdiag("backtrace", *targets, "--format", "json")
        assert json.loads(out)["core"]["path"] == str(core)
    (folder / "cores/core.other.json").unlink()
    _, out, _ = evdiag("backtrace", folder, "--format", "json")
    assert json.loads(out)["core"]["path"] == str(folder / "cores/core.EvseManager")
