"""A trace of MQTT that somebody took: `mosquitto_sub -v -F '%I %t %p'`, or with `%U` for the time.

Only commands matter here: EVerest's modules say much more to each other, some 50 kB a second.
"""

import re
from collections.abc import Iterable, Iterator

from evdiag.model.timeline import UTC, Happening
from evdiag.parse.timeline._reader import Reader, first_lines, lines, seconds, short, text_of

LONGEST_PAYLOAD = 80

_LINE = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?|\d{9,11}\.\d{1,9}) "
    rb"([^\s/]{1,80}/[^\s]{1,300})(?: (.*))?$"
)
_COMMAND = re.compile(r"/cmd/|/m2e/|/carsim/error$")
_INSIDE = "everest/"
"""Prefix of what the modules tell each other."""


def _time(text: str) -> float | None:
    if text[:5].isdigit():
        return float(text)
    return seconds(text)


def _time_of(line: bytes) -> float | None:
    match = _LINE.match(line)
    return _time(match[1].decode("ascii", "replace")) if match else None


def _recognises(head: bytes) -> bool:
    asked = [line for line in first_lines(head, 4)[:-1] if line] or first_lines(head, 1)
    return bool(asked[0]) and all(_LINE.match(line) for line in asked)


def _read(source: str, pieces: Iterable[bytes]) -> Iterator[Happening]:
    for line in lines(pieces):
        match = _LINE.match(line)
        topic = text_of(match[2]) if match is not None else ""
        if match is None or not _COMMAND.search(topic):
            continue
        payload = short(text_of(match[3] or b""), LONGEST_PAYLOAD)
        stamp = match[1].decode("ascii", "replace")
        yield Happening(
            kind="mqtt",
            text=f"{short(topic)} {payload}".rstrip(),
            time=_time(stamp),
            precision=0.001 if "." in stamp or "," in stamp else 1.0,
            source=source,
            routine=topic if topic.startswith(_INSIDE) else None,
        )


READER = Reader(
    id="mqtt_trace",
    title="A trace of MQTT, by mosquitto_sub -F '%I %t %p'",
    recognises=_recognises,
    time_of=_time_of,
    clock=UTC,
    read=_read,
)
