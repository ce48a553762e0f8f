"""Charging sessions, from the table that EvseManager writes of each: `eventlog.csv`.

Source: `SessionLog::output` in modules/EVSE/EvseManager/SessionLog.cpp of EVerest. A row is
`"<time>","EVSE|CAR|SYS","<what>","<message as XML or JSON>"`; nothing in it is escaped, and the
last column may have more lines.
"""

import re
from collections.abc import Iterable, Iterator

from evdiag.model.timeline import FROM_CAR, LOCAL, TO_CAR, UTC, Happening
from evdiag.parse.timeline._reader import Reader, first_lines, lines, seconds, short, text_of

_ROW = re.compile(rb'"(\d{4}-\d\d-\d\dT[^"]{5,24})","(EVSE|CAR|SYS|)","(.*?)(?:","|"?$)')
_V2G = re.compile(r"V2G (\w{1,60}?)(Req|Res)\b")
_OFTEN = ("Isolation measurement", "DC power supply set", "Change HLC Limits", "Set PWM")
"""What the charger tells again and again while it charges."""
BEGIN_OF_LOG = b"Session logging "
"""What each table begins and ends with, and says nothing."""
_DIRECTIONS = {"EVSE": TO_CAR, "CAR": FROM_CAR}


def _time_of(line: bytes) -> float | None:
    match = _ROW.match(line)
    return seconds(match[1].decode("ascii", "replace")) if match else None


def _recognises(head: bytes) -> bool:
    return any(_ROW.match(line) for line in first_lines(head, 4))


def _read(source: str, pieces: Iterable[bytes]) -> Iterator[Happening]:
    for line in lines(pieces):
        match = _ROW.match(line)
        if match is not None and not match[3].startswith(BEGIN_OF_LOG):
            time = seconds(match[1].decode("ascii", "replace"))
            yield event_of(match[2].decode(), text_of(match[3]), source, time, UTC)


def event_of(
    origin: str, text: str, source: str, time: float | None, clock: str = LOCAL
) -> Happening:
    """What the log of a session tells, in its table or in EVerest's log."""
    text = short(text)
    message = _V2G.match(text)
    if message is not None:
        name = f"V2G {message[1]}"
        return Happening(
            kind="v2g",
            text=name,
            time=time,
            clock=clock,
            source=source,
            direction=_DIRECTIONS.get(origin),
            call=name,
            is_answer=message[2] == "Res",
            routine=name,
        )
    often = next((words for words in _OFTEN if text.startswith(words)), None)
    return Happening(
        kind="session", text=text, time=time, clock=clock, source=source, routine=often
    )


READER = Reader(
    id="session",
    title="EvseManager's table of a charging session",
    recognises=_recognises,
    time_of=_time_of,
    clock=UTC,
    read=_read,
)
