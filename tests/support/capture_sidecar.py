"""The JSON file that the capture layer writes beside a core, read as strictly as it is promised."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import msgspec

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ADDRESS = re.compile(r"0x(0|[1-9a-f][0-9a-f]{0,15})")
CORE_NAME = re.compile(r"core\.([^/\x00-\x20\x7f]+)\.(\d+)\.(\d+)")
CLOCK_SLACK = 2.0
"""Seconds by which the file's time and this process's clock may differ."""


class Sidecar(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The document `evdiag.capture/1`: every field is there, none besides."""

    schema: Literal["evdiag.capture/1"]
    core: str | None
    pid: int
    tid: int
    signal: int
    si_code: int
    fault_address: str | None
    sender_pid: int | None
    sender_uid: int | None
    comm: str
    thread: str
    executable: str | None
    argv: list[str]
    started: str | None
    crashed_at: str
    threads: int
    bytes: int | None
    bytes_on_disk: int | None
    truncated: bool
    missing_bytes: int | None
    error: str | None
    stop_ms: float | None
    write_ms: float | None
    removed: list[str]
    writer: str


def read_sidecar(path: Path) -> Sidecar:
    """Read the document and hold it against everything that is promised about it."""
    raw = path.read_bytes()
    json.loads(raw.decode("utf-8"), object_pairs_hook=_no_double, parse_constant=_no_constant)
    found = msgspec.json.decode(raw, type=Sidecar)
    _check_places(found, path)
    _check_times(found)
    _check_numbers(found)
    return found


def _no_double(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    assert len(names) == len(set(names)), f"a field stands twice: {names}"
    return dict(pairs)


def _no_constant(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


def _check_places(found: Sidecar, path: Path) -> None:
    assert path.name.endswith(".json")
    name = CORE_NAME.fullmatch(path.name.removesuffix(".json"))
    assert name is not None, path.name
    assert int(name[2]) == found.pid
    assert abs(int(name[3]) - seconds(found.crashed_at)) <= CLOCK_SLACK
    assert found.writer.startswith("evdiag core-writer ")
    assert (found.core is None) <= (found.error is not None)
    if found.core is None:
        return
    assert found.core == path.name.removesuffix(".json")
    core = path.with_name(found.core).stat()
    assert core.st_size == found.bytes
    assert found.bytes_on_disk is not None
    assert found.bytes_on_disk <= found.bytes + 4096  # the last block may be written in part
    # The file system may still put off where blocks go, so the two need not be equal.
    assert core.st_blocks * 512 <= found.bytes_on_disk + 65_536


def _check_times(found: Sidecar) -> None:
    assert TIME.fullmatch(found.crashed_at), found.crashed_at
    now = datetime.now(UTC).timestamp()
    assert now - 600 < seconds(found.crashed_at) <= now + CLOCK_SLACK
    if found.started is not None:
        assert TIME.fullmatch(found.started), found.started
        # The kernel counts starts in hundredths of a second since the machine's own start.
        assert seconds(found.started) <= seconds(found.crashed_at) + 0.02
        assert seconds(found.started) > now - 3600


def _check_numbers(found: Sidecar) -> None:
    assert found.pid > 0
    assert found.tid > 0
    gone = found.error == "the crashed thread has gone"  # killed before anybody could be counted
    assert found.threads >= (0 if gone else 1)
    assert found.missing_bytes is None or found.missing_bytes >= 0
    assert found.truncated == bool(found.missing_bytes)
    for spent in (found.stop_ms, found.write_ms):
        assert spent is None or 0 <= spent < 60_000
    assert (found.sender_pid is None) == (found.sender_uid is None)
    if found.fault_address is not None:
        assert ADDRESS.fullmatch(found.fault_address), found.fault_address
        assert found.sender_pid is None


def seconds(text: str) -> float:
    """A time of the document as seconds since 1970."""
    return datetime.fromisoformat(text).timestamp()
