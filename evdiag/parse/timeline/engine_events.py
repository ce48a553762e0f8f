"""What the engine did with the container: its events as JSON, a list or one on each line.

The fields are those of the Engine API's events; the older `status` stands for `Action`.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

from evdiag.model.timeline import UTC, Happening
from evdiag.parse.timeline._reader import Reader, lines, short

NANO = 1_000_000_000
_TOLD = (
    *("create", "start", "restart", "stop", "kill", "die", "oom", "destroy", "pause", "unpause"),
    *("rename", "update", "health_status: unhealthy"),
)
"""What is worth telling: the engine also names every program that looks after the container."""


_BEGIN = re.compile(rb"\s*[\[{]")
_FIELDS = ((b'"Action"', b'"status"'), (b'"timeNano"', b'"time"'), (b'"Actor"', b'"id"'))


class _Actor(msgspec.Struct):
    Attributes: dict[str, object] = {}


class _Event(msgspec.Struct):
    Type: str = "container"
    Action: str = ""
    status: str = ""
    time: float | None = None
    timeNano: float | None = None
    Actor: _Actor | None = None


def _event(line: bytes) -> _Event | None:
    line = line.strip(b" \t[],")
    if not line.startswith(b"{"):
        return None
    try:
        event = msgspec.json.decode(line, type=_Event)
    except (msgspec.MsgspecError, RecursionError, ValueError):
        return None
    known = (event.Action or event.status) and (event.time or event.timeNano)
    return event if known else None


def _seconds(event: _Event) -> float | None:
    return event.timeNano / NANO if event.timeNano else event.time


def _time_of(line: bytes) -> float | None:
    event = _event(line)
    return None if event is None else _seconds(event)


def _recognises(head: bytes) -> bool:
    return _BEGIN.match(head) is not None and all(
        any(word in head for word in words) for words in _FIELDS
    )


def _events(pieces: Iterable[bytes]) -> Iterator[_Event | None]:
    """All of a list, or of the lines."""
    text = b"".join(pieces)
    if text.lstrip().startswith(b"["):
        try:
            yield from msgspec.json.decode(text, type=list[_Event])
            return
        except (msgspec.MsgspecError, RecursionError, ValueError):
            pass  # it may be cut, and still have one on each line
    yield from map(_event, lines([text]))


def _read(source: str, pieces: Iterable[bytes]) -> Iterator[Happening]:
    for event in _events(pieces):
        action = (event.Action or event.status) if event is not None else ""
        if event is None or event.Type != "container" or action not in _TOLD:
            continue
        facts = event.Actor.Attributes if event.Actor is not None else {}
        told = [
            f"{name} {short(facts[key], 20)}"
            for name, key in (("exit code", "exitCode"), ("signal", "signal"))
            if key in facts
        ]
        text = f"container: {action}" + (f" ({', '.join(told)})" if told else "")
        yield Happening(kind="container", text=text, time=_seconds(event), source=source)


READER = Reader(
    id="engine_events",
    title="The engine's events",
    recognises=_recognises,
    time_of=_time_of,
    clock=UTC,
    read=_read,
)
