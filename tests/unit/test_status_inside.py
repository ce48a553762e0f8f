"""The program that looks around in a container, as far as it needs none; and a stream's frames."""

from pathlib import Path

import pytest

from evdiag.adapters.docker.inside import source, status

CONNECTED = (
    "2026-11-23 00:48:22.391672 [\x1b[1;37mINFO\x1b[0m] \x1b[1;32mocpp:OCPP      \x1b[0m "
    "\x1b[1;36m\x1b[0m \x1b[1;30m:\x1b[0m\x1b[1;32m\x1b[0m: OCPP client successfully connected "
    "to server with version: ocpp1.6\n"
)
FAILED = (
    "2026-11-23 00:50:16.398825 [\x1b[1;31mERRO\x1b[0m] \x1b[1;32mocpp:OCPP      \x1b[0m "
    "\x1b[1;36mvoid ocpp::WebsocketLibwebsockets::on_conn_fail(ocpp::ConnectionData*)\x1b[0m "
    "\x1b[1;30m:\x1b[0m\x1b[1;32m\x1b[0m: OCPP client connection to server failed\n"
)
CRASHED = (
    "2026-11-23 00:51:00.000001 [CRIT] manager         void f() :: Module \x1b[34mauth\x1b[0m "
    "exited unexpectedly, terminating remaining modules...\n"
)


def test_the_programs_are_there() -> None:
    assert "Standard library only" in source("status")
    assert "PR_SET_PDEATHSIG" in source("tied")
    for name in ("status", "tied"):  # the kernel takes no longer argument (MAX_ARG_STRLEN)
        assert len(source(name).encode()) < 1 << 17


@pytest.mark.parametrize("piece", [1, 7, 64, 1 << 20])
def test_log_lines_are_found_whatever_is_read_at_once(
    piece: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(status, "PIECE", piece)
    log = tmp_path / "everest.log"
    Path(f"{log}.1").write_text("noise\n" * 50 + FAILED + CRASHED)
    log.write_text("\n\xff" * 20 + "\n" + CONNECTED + "the end")
    found = status.everest_log(str(tmp_path))
    if piece >= 64:  # a line longer than four pieces is not kept as a whole
        assert found["counts"] == {"ocpp": 2, "crash": 1}
        assert found["last"]["ocpp-connected"]["text"].endswith("version: ocpp1.6")
        assert found["last"]["ocpp-failed"]["text"] == "OCPP client connection to server failed"
        assert "Module auth exited unexpectedly" in found["crashes"][0]["text"]
        gap = found["last"]["ocpp-failed"]["time"] - found["last"]["ocpp-connected"]["time"]
        assert gap == pytest.approx(114.007153)
    else:
        assert set(found) == {"counts", "last", "crashes"}


def test_a_folder_without_logs(tmp_path: Path) -> None:
    assert status.everest_log(str(tmp_path)) == {"counts": {}, "last": {}, "crashes": []}
    assert status.supervisor_log(str(tmp_path)) == []


def test_starts_of_everest(tmp_path: Path) -> None:
    (tmp_path / "supervisord.log").write_text(
        "2026-11-23 01:16:18,520 INFO supervisord started with pid 1\n"
        "2026-11-23 01:16:19,527 INFO spawned: 'everest' with pid 27\n"
        "2026-11-23 01:16:19,543 INFO spawned: 'nodered' with pid 28\n"
        "2026-11-23 01:17:00,000 WARN exited: everest (exit status 1; not expected)\n"
    )
    assert [event["kind"] for event in status.supervisor_log(str(tmp_path))] == [
        "boot", "start", "end"]  # fmt: skip


@pytest.mark.parametrize("line", [b"", b"no time", b"2026-13-45 99:99:99.1 x", b"\xff" * 40])
def test_lines_without_a_time(line: bytes) -> None:
    assert status.moment(line) is None


def test_cores_and_what_is_none(tmp_path: Path) -> None:
    (tmp_path / "core.a.1.2").write_bytes(b"core")
    (tmp_path / "core.a.1.2.json").write_text("{}")
    (tmp_path / ".core.b.1.2.part").write_bytes(b"")
    (tmp_path / "core.folder").mkdir()
    (tmp_path / "core.link").symlink_to(tmp_path / "core.a.1.2")
    (tmp_path / "core.large.json").write_bytes(b" " * (status.LONGEST_NOTE + 1))
    (tmp_path / "other").write_bytes(b"")
    found = status.cores(str(tmp_path))
    assert sorted(file["name"] for file in found["files"]) == [".core.b.1.2.part", "core.a.1.2"]
    notes = {note["name"]: note["text"] for note in found["notes"]}
    assert notes == {"core.a.1.2.json": "{}", "core.large.json": None}
    assert found["note_count"] == 2


def test_modules_of_a_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "settings:\n  mqtt: 1\nactive_modules:\n  api:\n    module: API\n    connections:\n"
        "      x:\n      - module_id: y\n  bare:\nother:\n  not_one:\n    module: No\n"
    )
    assert status.configured(str(config)) == [["api", "API"], ["bare", ""]]
