"""Places in a log file that is too large to be read whole: its ends, a time, the last records."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Protocol

from evdiag.model.loglines import HEADED, LogLine
from evdiag.parse.loglines.headers import read_header, unglued
from evdiag.parse.loglines.records import Records
from evdiag.parse.loglines.times import Clock

BLOCK = 1 << 18
FIRST_LOOK = 1 << 16
FARTHEST = 1 << 21
"""Bytes of an end that are looked at, at most."""
NEAR = 2.0
"""Seconds around an end of a file in which lines are compared: the processes of EVerest write
their lines some ten milliseconds out of order, and mosquitto tells whole seconds only."""
SLACK = 1.0
FEW_BYTES = 100
"""Of a record, to guess how far back some records reach."""


class Text(Protocol):
    """A log: the files of a service one after the other."""

    service: str
    size: int
    latest: str
    """A time that no line is much later than."""

    def read(self, at: int, size: int) -> bytes:
        """Bytes from a place on; fewer at the end."""


def blocks(text: Text, start: int = 0) -> Iterator[bytes]:
    """All of it from a place on."""
    at = start
    while at < text.size and (data := text.read(at, min(BLOCK, text.size - at))):
        at += len(data)
        yield data


def whole_lines(text: Text) -> int:
    """Size of the part that ends with a line end."""
    at = text.size
    while at > 0:
        begin = max(0, at - FIRST_LOOK)
        found = text.read(begin, at - begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        at = begin
    return 0


def head(text: Text, clock: Clock) -> tuple[tuple[LogLine, ...], str]:
    """The first records, and the time up to which they are all there."""
    records = Records(text.service, clock, text.latest)
    found: list[LogLine] = []
    at = 0
    while at < min(text.size, FARTHEST):
        data = text.read(at, FIRST_LOOK)
        at += len(data)
        found += records.feed(data)
        first, last = _first_and_last(found)
        if not data or _later(first, NEAR + SLACK) < last:
            break
    if at >= text.size:
        found += records.end()
        return tuple(found), _later(_first_and_last(found)[0], NEAR)
    first, last = _first_and_last(found)
    return tuple(found), min(_later(first, NEAR), max(first, _later(last, -SLACK)))


def tail(text: Text, clock: Clock) -> tuple[tuple[LogLine, ...], str]:
    """The last records, and the time from which on they are all there."""
    size = FIRST_LOOK
    while True:
        found = _records_from(text, clock, text.size - size)
        first, last = _first_and_last(found)
        near = _later(last, -NEAR)
        if size >= text.size or first < _later(last, -NEAR - SLACK):
            return tuple(found), near
        if size >= FARTHEST:
            return tuple(found), max(near, min(last, _later(first, SLACK)))
        size *= 2


def place_of_time(text: Text, clock: Clock, time: str) -> int:
    """A place before all records of that time and later, and not far before."""
    aim = _later(time, -SLACK)
    low, high = 0, text.size
    while high - low > BLOCK:
        middle = (low + high) // 2
        if "" < _time_at(text, clock, middle) < aim:
            low = middle
        else:
            high = middle
    return _line_begin(text, low)


def place_of_last(text: Text, clock: Clock, count: int) -> int:
    """A place with at least so many records after it, or the begin."""
    size = max(FIRST_LOOK, count * FEW_BYTES)
    while size < text.size:
        start = _line_begin(text, text.size - size)
        records = Records(text.service, clock, text.latest)
        seen = sum(
            line.form == HEADED for data in blocks(text, start) for line in records.feed(data)
        )
        if seen > count:
            return start
        size *= 2
    return 0


CRASH_WORDS = (b"evdiag capture: ", b" exited unexpectedly, ", b") exited with status: ")
"""In the lines that tell of a crash: of the core writer, and of both kinds of manager."""


def last_crash(text: Text, clock: Clock) -> str:
    """The time of the last crash that the log tells of; empty if there is none."""
    end = text.size
    while end > 0:
        start = max(0, end - BLOCK)
        # some more: the words may lie across the border
        data = text.read(start, end - start + 100)
        found = max(data.rfind(words) for words in CRASH_WORDS)
        if found >= 0:
            at = start + found
            # raw text has no time of its own, and the line before may be hours old
            return _time_at(text, clock, at) or _time_before(text, clock, at)
        end = start
    return ""


def _time_before(text: Text, clock: Clock, at: int) -> str:
    """The time of the record that a place lies in."""
    begin = max(0, at - FIRST_LOOK)
    rest = text.read(at, FIRST_LOOK).partition(b"\n")[0]
    records = Records(text.service, clock, text.latest)
    found = records.feed(text.read(begin, at - begin) + rest) + records.end()
    return next((line.time for line in reversed(found) if line.time), "")


def _records_from(text: Text, clock: Clock, start: int) -> list[LogLine]:
    records = Records(text.service, clock, text.latest)
    found: list[LogLine] = []
    for data in blocks(text, _line_begin(text, start) if start > 0 else 0):
        found += records.feed(data)
    return found + records.end()


def _line_begin(text: Text, at: int) -> int:
    """The begin of the first line from a place on, or the place if it is far."""
    if at <= 0:
        return 0
    return at + text.read(at, FIRST_LOOK).find(b"\n") + 1


def _time_at(text: Text, clock: Clock, at: int) -> str:
    """The time of the first record from a place on."""
    for line in text.read(at, FIRST_LOOK).decode("utf-8", "replace").split("\n")[1:]:
        begun = read_header(unglued(line)[0], clock, text.latest)
        if begun is not None and begun.service == text.service:
            return begun.time
    return ""


def _first_and_last(found: list[LogLine]) -> tuple[str, str]:
    times = [line.time for line in found if line.form == HEADED]
    return (times[0], times[-1]) if times else ("", "")


def _later(time: str, seconds: float) -> str:
    try:
        moment = datetime.fromisoformat(time) + timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return time
    return moment.strftime("%Y-%m-%d %H:%M:%S.%f")
