"""OCPP's log of security events: one JSON object on each line.

Source: `MessageLogging::security` of libocpp; the object is a SecurityEventNotification.
"""

from collections.abc import Iterable, Iterator

import msgspec

from evdiag.model.timeline import UTC, Happening
from evdiag.parse.timeline._reader import Reader, first_lines, lines, seconds, short


class _Entry(msgspec.Struct):
    type: str
    timestamp: str
    techInfo: str | None = None


def _entry(line: bytes) -> _Entry | None:
    if not line.startswith(b"{"):
        return None
    try:
        return msgspec.json.decode(line, type=_Entry)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None


def _time_of(line: bytes) -> float | None:
    entry = _entry(line)
    return None if entry is None else seconds(entry.timestamp)


def _recognises(head: bytes) -> bool:
    return any(_entry(line) is not None for line in first_lines(head, 3))


def _read(source: str, pieces: Iterable[bytes]) -> Iterator[Happening]:
    for line in lines(pieces):
        entry = _entry(line)
        if entry is not None:
            text = ": ".join(short(part, 120) for part in (entry.type, entry.techInfo) if part)
            time = seconds(entry.timestamp)
            yield Happening(kind="ocpp-security", text=text, time=time, source=source)


READER = Reader(
    id="ocpp_security",
    title="libocpp's log of security events",
    recognises=_recognises,
    time_of=_time_of,
    clock=UTC,
    read=_read,
)
