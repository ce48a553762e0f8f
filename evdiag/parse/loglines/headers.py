"""How a line of each service begins, and what raw text looks like.

EVerest (Boost.Log), supervisord, mosquitto (with and before its own format of time), Node-RED, and
EVerest's start script. Whatever else a line is, it belongs to the one before.
"""

import re
from itertools import pairwise

from evdiag.model.loglines import (
    CONTAINER,
    EVEREST,
    MOSQUITTO,
    NODERED,
    RAW,
    SUPERVISORD,
    LogLine,
)
from evdiag.parse.loglines.times import Clock
from evdiag.parse.logs import PARSERS

_C = r"(?:\x1b\[[0-9;]{0,20}m){0,4}"  # EVerest colours each part of its header
_DATE = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
_EVEREST = re.compile(
    rf"({_DATE}\.\d{{1,9}}) \[{_C}(VERB|DEBG|INFO|WARN|ERRO|CRIT){_C}\] "
    rf"{_C}([^\x1b]{{15}}|[^\s\x1b]{{1,15}}){_C} {_C}(.*?){_C} ?{_C}:{_C}\d*{_C}:(?: |$)"
)
_GLUED = re.compile(rf"{_DATE}\.\d{{6}} \[\x1b\[")
_BOOST = re.compile(
    rf"\[({_DATE}\.\d{{1,9}})\] \[0x[0-9a-fA-F]+\] \[(trace|debug|info|warning|error|fatal)\]\s*"
)
_SUPERVISORD = re.compile(rf"({_DATE},\d{{3}}) (BLAT|TRAC|DEBG|INFO|WARN|ERRO|CRIT) ")
_STARTER = re.compile(rf"({_DATE}) (everest-start): ")
_MOSQUITTO = re.compile(rf"({_DATE}): ")
_EARLY = re.compile(r"(\d{9,11}): ")
_NODERED = re.compile(
    r"(\d{1,2}) (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) (\d\d:\d\d:\d\d) - "
    r"\[(\w{4,6})\] ?"
)
_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")
_CAPTURED = re.compile(r"evdiag capture: (?:no core of \d{1,9} )?(\S{1,15}) (?:pid|\(signal) ?\d")

_NAMES = {
    **{"trace": "VERB", "debug": "DEBG", "info": "INFO", "warn": "WARN", "warning": "WARN"},
    **{"error": "ERRO", "fatal": "CRIT", "BLAT": "VERB", "TRAC": "VERB", "audit": "INFO"},
}
_RAWS = [parser.raw for parser in PARSERS if parser.raw is not None]
_NO_LOGIN = "Server 'unix_http_server' running without any HTTP authentication checking"
"""supervisord says so at each start, as CRIT. The socket is for root alone."""
_BORING = frozenset(" {}[]\"\t'")
"""How lines of JSON dumps begin, and no raw text does but `  what():  `."""
_OF_CONTAINER = ("entrypoint: ", "OCPP 1.6 as ", "OCPP 2.0.1 as ", "OCPP 2.1 as ", "configure")


def plain(text: str) -> str:
    """A text without the colours that are in it."""
    return _COLOUR.sub("", text) if "\x1b" in text else text


def unglued(line: str) -> list[str]:
    """The records in one line: modules of EVerest write a line and its end separately."""
    if line.find(" [\x1b[", 27) < 0:
        return [line]
    starts = [match.start() for match in _GLUED.finditer(line)]
    places = [0, *(start for start in starts if start), len(line)]
    return [line[begin:end] for begin, end in pairwise(places)]


def read_header(line: str, clock: Clock, latest: str) -> LogLine | None:
    """The line, if it is the first of a record.

    `latest` is a time that it is not much later than: Node-RED does not tell the year.
    """
    if not "0" <= line[:1] <= "9":
        return _boost(line) if line[:1] == "[" else None
    if line[4:5] != "-":
        return _nodered(line, latest) or _early(line, clock)
    match = _EVEREST.match(line)
    if match is not None:
        time, severity, process, where = match.groups()
        return LogLine(
            time, EVEREST, severity, plain(line[match.end() :]), process.rstrip(), plain(where)
        )
    if match := _SUPERVISORD.match(line):
        severity = _NAMES.get(match[2], match[2])
        if line.endswith(_NO_LOGIN):
            severity = "INFO"
        time = match[1].replace(",", ".")
        return LogLine(time, SUPERVISORD, severity, plain(line[match.end() :]))
    if match := _STARTER.match(line):
        return LogLine(match[1], EVEREST, "INFO", plain(line[match.end() :]), match[2])
    if match := _MOSQUITTO.match(line):
        return _mosquitto(match[1], line[match.end() :])
    return None


def _boost(line: str) -> LogLine | None:
    """Before EVerest has set up its own format."""
    match = _BOOST.match(line)
    if match is None:
        return None
    return LogLine(match[1], EVEREST, _NAMES[match[2]], plain(line[match.end() :]))


def _mosquitto(time: str, text: str) -> LogLine:
    severity = "WARN" if text.startswith("Warning: ") else "INFO"
    if text.startswith("Error"):
        severity = "ERRO"
    return LogLine(time, MOSQUITTO, severity, plain(text))


def _early(line: str, clock: Clock) -> LogLine | None:
    """mosquitto, before it has read its configuration."""
    match = _EARLY.match(line)
    if match is None:
        return None
    time = clock.text(float(match[1])).partition(".")[0]
    return _mosquitto(time, line[match.end() :])


def _nodered(line: str, latest: str) -> LogLine | None:
    match = _NODERED.match(line)
    if match is None:
        return None
    day = f"{_MONTHS.index(match[2]) + 1:02}-{int(match[1]):02}"
    year = latest[:4]
    # A day of slack: `latest` may be a little early. On New Year's Eve that is last year's.
    if year.isdecimal() and day > latest[5:10] and not _is_next(latest[5:10], day):
        year = f"{int(year) - 1:04}"
    severity = _NAMES.get(match[4], "INFO")
    return LogLine(f"{year}-{day} {match[3]}", NODERED, severity, plain(line[match.end() :]))


def _is_next(today: str, day: str) -> bool:
    return today[:2] == day[:2] and int(day[3:]) - int(today[3:]) == 1


def read_raw(line: str) -> LogLine | None:
    """The line, if it begins what a library, an interpreter or the core writer says."""
    if line[:1] in _BORING and not line.startswith("  what()"):
        return None
    seen = plain(line)
    data = seen.encode("utf-8", "replace")
    for raw in _RAWS:
        if any(word in data for word in raw.words) and raw.begins(seen):
            named = _CAPTURED.match(seen)
            return LogLine("", EVEREST, "ERRO", seen, named[1] if named else "", form=RAW)
    return None


def read_container(line: str, time: str) -> LogLine | None:
    """The line, if only the container itself says such a thing: its entrypoint."""
    if not line.startswith(_OF_CONTAINER):
        return None
    # the entrypoint speaks up where something is amiss only
    severity = "WARN" if line.startswith("entrypoint: ") else "INFO"
    return LogLine(time, CONTAINER, severity, plain(line))
