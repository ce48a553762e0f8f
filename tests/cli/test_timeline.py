"""`evdiag backtrace` shows what led to the crash, from whatever files are there."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from evdiag.adapters.timeline import History
from evdiag.model.incident import CoreSeen, Member
from evdiag.model.report import SoftError
from evdiag.model.timeline import Source
from evdiag.report.schema import schema
from tests.cli.conftest import Evdiag
from tests.cli.test_captured import noted
from tests.cli.test_incident import PID, log
from tests.cli.test_incident import folder as folder  # a fixture here too
from tests.support.log_lines import TEXTS

SAMPLES = TEXTS / "timeline"
OCPP = """\
2026-11-22T07:01:{0}Z: ChargePoint>CentralSystem StatusNotification 
[2, "{1}", "StatusNotification", {{"connectorId": 1, "status": "Faulted"}}]

"""  # noqa: W291 - as libocpp writes it


def timeline(evdiag: Evdiag, *targets: object) -> tuple[list[dict[str, Any]], list[str]]:
    """The events of the first report, and what is noted about them."""
    code, out, err = evdiag("backtrace", *targets, "--format", "json")
    assert (code, err) == (0, "")
    document = json.loads(out)
    jsonschema.Draft202012Validator(json.loads(schema())).validate(document)
    notes = [error for error in document["soft_errors"] if error["stage"] in ("files", "timeline")]
    return document["timeline"], [note["message"] for note in notes]


@pytest.fixture
def charger(folder: Path) -> Path:
    """A bundle of a charger that said something to its CSMS a moment before."""
    noted(folder / "cores/core.EvseManager")
    (folder / "everest/ocpp").mkdir(parents=True)
    (folder / "everest/ocpp/2026-11-22T07:01:00.000Z.log").write_text(OCPP.format("09.900", "a"))
    (folder / "facts").mkdir()
    (folder / "facts/events.json").write_text(
        '{"Action":"die","id":"x","time":1795330871,"timeNano":1795330871500000000,'
        '"Actor":{"Attributes":{"exitCode":"1"}}}\n'
    )
    return folder


def test_a_bundle(evdiag: Evdiag, charger: Path) -> None:
    events, notes = timeline(evdiag, charger)

    assert [(event["offset"], event["kind"]) for event in events] == [
        (-10.187, "service-start"), (-10.087, "manager-start"), (-0.287, "ocpp"), (0.0, "crash"),
        (0.013, "module-exit"), (0.023, "module-stopped"), (0.033, "manager-exit"),
        (0.113, "service-exit"), (1.313, "container"),
    ]  # fmt: skip
    assert [event["current"] for event in events].index(True) == 3
    assert events[2] == {
        "time": "2026-11-22 07:01:09.900 UTC", "offset": -0.287, "precision": None,
        "kind": "ocpp", "text": "StatusNotification Faulted, connector 1: no answer",
        "direction": "to_csms", "answered_after": None, "module": None,
        "source": "everest/ocpp/2026-11-22T07:01:00.000Z.log", "count": 1, "current": False,
    }  # fmt: skip
    assert notes == []
    _, out, _ = evdiag("backtrace", charger)
    assert "→   0.000 s  crash" in out
    assert "→ CSMS" in out


def test_a_container_in_another_zone(evdiag: Evdiag, charger: Path) -> None:
    """Its logs are in local time; what the core writer and libocpp note is in UTC."""
    for path in (charger / "logs").iterdir():
        path.write_text(path.read_text().replace("2026-11-22 07:01", "2026-11-22 08:31"))

    events, notes = timeline(evdiag, charger)

    assert [event["offset"] for event in events][:5] == [-10.187, -10.087, -0.287, 0.0, 0.013]
    assert events[0]["time"] == "2026-11-22 07:01:00.000 UTC"
    assert notes == []


def test_a_zone_that_nothing_tells(evdiag: Evdiag, charger: Path) -> None:
    (charger / "cores/core.EvseManager.json").unlink()

    events, notes = timeline(evdiag, charger)

    assert notes == ["nothing tells the zone of the clock by which EVerest's log is written"]
    (own,) = (event for event in events if event["current"])
    assert (own["kind"], own["time"]) == ("module-exit", "2026-11-22 07:01:10.200")


def test_a_loose_folder_with_all_kinds_of_files(evdiag: Evdiag, core: Path, tmp_path: Path) -> None:
    for path in SAMPLES.iterdir():
        shutil.copyfile(path, tmp_path / path.name)
    shutil.copyfile(core, tmp_path / "core.1")
    noted(tmp_path / "core.1", crashed_at="2026-11-23T04:02:31.221Z")

    events, notes = timeline(evdiag, tmp_path)

    sources = {event["source"] for event in events}
    assert {"ocpp-2.0.1.log", "ocpp.security.log", "eventlog.csv", "everest.log"} <= sources
    offsets = [event["offset"] for event in events]
    assert offsets == sorted(offsets)
    own = [event["current"] for event in events].index(True)
    assert events[own - 1]["text"] == "GetCertificateStatus: empty answer {}"
    assert notes == []


def test_too_many_files(evdiag: Evdiag, charger: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("evdiag.adapters.incident.MAX_SOURCES", 1)
    events, _ = timeline(evdiag, charger, "--log", charger / "everest/ocpp", "--log", charger)
    assert "container" not in {event["kind"] for event in events}
    assert "ocpp" in {event["kind"] for event in events}


def test_a_core_alone_has_no_timeline(evdiag: Evdiag, core: Path) -> None:
    assert timeline(evdiag, core) == ([], [])


def test_messages_without_any_log(evdiag: Evdiag, charger: Path) -> None:
    shutil.rmtree(charger / "logs")
    events, _ = timeline(evdiag, charger)
    assert [event["kind"] for event in events] == ["ocpp", "crash", "container"]


def test_the_time_of_a_file_where_there_is_no_note(evdiag: Evdiag, charger: Path) -> None:
    shutil.rmtree(charger / "logs")
    (charger / "cores/core.EvseManager.json").unlink()
    os.utime(charger / "cores/core.EvseManager", (1795330870.5, 1795330870.5))
    events, _ = timeline(evdiag, charger)
    assert [event["offset"] for event in events] == [-0.6, 0.0, 1.0]
    os.utime(charger / "cores/core.EvseManager", (1, 1))
    assert timeline(evdiag, charger)[0] == []


def test_a_log_given_by_name(evdiag: Evdiag, core: Path, tmp_path: Path) -> None:
    told, link = tmp_path / "mine.log", tmp_path / "link.log"
    told.write_text(log("evse_manager", "ocpp", pid=PID))
    link.symlink_to(told)
    for path in (told, link):
        events, notes = timeline(evdiag, core, "--log", path)
        assert [event["kind"] for event in events][:2] == ["manager-start", "module-exit"]
        assert notes == []


def test_a_file_that_is_gone_is_told_once(tmp_path: Path) -> None:
    notes: list[SoftError] = []
    gone = Source(name="gone.log", path=str(tmp_path / "gone.log"), reader="everest")
    history = History([gone], (), (), notes)
    assert history.before(Member(), None) == ()
    assert history.before(None, CoreSeen(path="c", written=9.0)) == ()
    assert [note.message for note in notes] == ["gone.log cannot be read"]
