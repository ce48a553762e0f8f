"""EVerest's log, as far as it is no evidence: sessions, errors that come and go, warnings, starts.

What it says of ends and crashes is read by `evdiag.parse.logs`. The lines of a session are those
of `SessionLog::output`; errors are told by `error_manager_impl.cpp` of the framework.
"""

import re
from collections.abc import Iterable, Iterator

from evdiag.model.timeline import LOCAL, Happening
from evdiag.parse.logs._lines import batches, without_colours
from evdiag.parse.logs.everest import module_of
from evdiag.parse.timeline._reader import Reader, first_lines, seconds, short
from evdiag.parse.timeline.session import event_of

_HEADED = re.compile(
    rb"(?:\d{4}-\d\d-\d\dT[^ ]{8,24} )?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}) \["
)
_RECORD = re.compile(
    r"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}) \[(\w{4})\] (.{15}|\S{1,15}) "
    r".*?:\d*:(?: |$)(.*)"
)
_SESSION = re.compile(r" *(EVSE|CAR) (?:ISO|IEC) +(.*)")
_TOLD = re.compile(
    r"Cleared error of type |All errors cleared|Received enable/disable request |"
    r"(?:Pause|Resume|Force unlock)\w* "
)
_WORDS = (b"EVSE ", b"CAR ", b"rror", b"enable/disable", b"WARN", b"up and running")


_STAMPED = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?Z) (\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[.,]\d"
)


def stamps(head: bytes) -> list[tuple[float, float]]:
    """The times of lines by their own clock and, as `docker logs -t` gives them, in UTC."""
    found = []
    for match in filter(None, map(_STAMPED.match, first_lines(head, 400))):
        utc, local = seconds(match[1].decode()), seconds(match[2].decode())
        if utc is not None and local is not None:
            found.append((local, utc))
    return found


def _time_of(line: bytes) -> float | None:
    match = _HEADED.match(line)
    return seconds(match[1].decode()) if match else None


def _recognises(head: bytes) -> bool:
    return any(_HEADED.match(line) for line in first_lines(head, 200))


def _read(source: str, pieces: Iterable[bytes]) -> Iterator[Happening]:
    for batch in batches(pieces):
        for line in batch.lines:
            if any(word in line for word in _WORDS):
                match = _RECORD.match(without_colours(line))
                if match is not None:
                    yield from _record(source, match)


def _record(source: str, match: re.Match[str]) -> Iterator[Happening]:
    time, severity, process, message = seconds(match[1]), match[2], match[3].strip(), match[4]
    module = module_of(process)
    if session := _SESSION.match(message):
        yield event_of(session[1], session[2], source, time)
    elif "EVerest up and running" in message:
        text = "EVerest is up and running"
        yield Happening(kind="everest-up", text=text, time=time, clock=LOCAL, source=source)
    elif severity == "WARN" or _TOLD.match(message):
        text = short(message)
        yield Happening(
            kind="warning" if severity == "WARN" else "session",
            text=text,
            time=time,
            clock=LOCAL,
            source=source,
            module=module or process,
            routine=text,
        )


READER = Reader(
    id="everest",
    title="EVerest's log",
    recognises=_recognises,
    time_of=_time_of,
    clock=LOCAL,
    read=_read,
    is_log=True,
)
