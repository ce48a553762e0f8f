"""The broker's own log: commands (without what they say, and only where all is logged) and clients
that are gone.

Source: `handle__publish.c` and `loop.c` of mosquitto 2; the time is `log_timestamp_format`, or the
seconds since 1970 where there is none.
"""

import re
from collections.abc import Iterable, Iterator

from evdiag.model.timeline import LOCAL, UTC, Happening
from evdiag.parse.timeline._reader import Reader, first_lines, lines, seconds, short, text_of

_LINE = re.compile(
    rb"(?:(\d{9,11})|(\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d)[^ ]{0,6}): "
    rb"((?:mosquitto|Loading|Config|Warning|Error|Opening|New |Client |Received |Sending |Denied |"
    rb"Saving |Socket |Outgoing |Bridge|\t).*)"
)
_COMMAND = re.compile(r"Received PUBLISH from (\S{1,80}) \([^']{0,60}'([^']{1,300})'")
_COMMAND_TOPIC = re.compile(r"/cmd/|/m2e/|/carsim/error$")
_GONE = re.compile(r"Client (\S{1,80}) (?:\[\S{1,60}\] )?(.{0,80}disconnect.*|has exceeded .*)")
_INSIDE = "everest/"


def _match(line: bytes) -> re.Match[bytes] | None:
    return _LINE.match(line)


def _moment(match: re.Match[bytes]) -> tuple[float | None, str]:
    if match[1]:
        return float(match[1]), UTC
    return seconds(match[2].decode()), LOCAL


def _time_of(line: bytes) -> float | None:
    match = _match(line)
    return _moment(match)[0] if match else None


def _recognises(head: bytes) -> bool:
    asked = [line for line in first_lines(head, 8) if line]
    return len(asked) > 1 and sum(_match(line) is not None for line in asked) * 2 > len(asked)


def _read(source: str, pieces: Iterable[bytes]) -> Iterator[Happening]:
    for line in lines(pieces):
        match = _match(line)
        if match is None:
            continue
        said = text_of(match[3])
        command, gone = _COMMAND.match(said), _GONE.match(said)
        text, routine = "", None
        if command is not None and _COMMAND_TOPIC.search(command[2]):
            text = f"{short(command[2])} from {short(command[1])}"
            routine = command[2] if command[2].startswith(_INSIDE) else None
        elif gone is not None:
            text = f"client {short(gone[1])} {short(gone[2], 100)}"
        if text:
            time, clock = _moment(match)
            yield Happening(
                kind="mqtt",
                text=text,
                time=time,
                clock=clock,
                precision=1.0,
                source=source,
                routine=routine,
            )


READER = Reader(
    id="mosquitto",
    title="mosquitto's log",
    recognises=_recognises,
    time_of=_time_of,
    clock=LOCAL,
    read=_read,
    is_log=True,
)
