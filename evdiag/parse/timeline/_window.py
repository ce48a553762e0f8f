"""The part of a large file that is about some minutes: found by halving, so that it costs as much
in a file of a gigabyte as in one of a megabyte."""

from collections.abc import Callable, Iterator
from typing import Protocol

WHOLE = 1 << 20
"""Bytes of a file that is read whole, without looking for a place."""
MOST = 1 << 23
"""Bytes that are read of one file for one crash, the last ones before its end."""
PROBE = 1 << 16
FARTHEST = 1 << 20
"""Bytes in which the begin of a record is looked for."""
SLACK = 2.0
"""Seconds that records may be out of order, or coarse."""


class Bytes(Protocol):
    """A file that may be read anywhere."""

    size: int

    def read(self, at: int, size: int) -> bytes:
        """Bytes from a place on; fewer at the end."""


TimeOf = Callable[[bytes], float | None]


def window(
    file: Bytes, time_of: TimeOf, span: tuple[float, float] | None
) -> tuple[int, int] | None:
    """From where to where to read; None if nothing of that time is in it.

    Without a span it is the end of the file.
    """
    if span is None:
        return max(0, file.size - MOST), file.size
    first = _time_from(file, 0, time_of)
    if first is not None and first > span[1] + SLACK:
        return None
    if file.size <= WHOLE:
        last = _last_time(file, time_of)
        return None if last is not None and last < span[0] - SLACK else (0, file.size)
    end = _place(file, time_of, span[1] + SLACK, PROBE) + PROBE
    end = min(file.size, end + FARTHEST)
    begin = _place(file, time_of, span[0] - SLACK, PROBE)
    return max(begin, end - MOST), end


def pieces(file: Bytes, begin: int, end: int, size: int = PROBE) -> Iterator[bytes]:
    """The bytes of a part, from its first whole line on."""
    at = begin
    if begin > 0:
        head = file.read(begin - 1, PROBE)
        at = begin + head.find(b"\n") if b"\n" in head else begin
    while at < end and (piece := file.read(at, min(size, end - at))):
        at += len(piece)
        yield piece


def _place(file: Bytes, time_of: TimeOf, aim: float, near: int) -> int:
    """A place before all records of a time and later, and not far before."""
    low, high = 0, file.size
    while high - low > near:
        middle = (low + high) // 2
        time = _time_from(file, middle, time_of)
        if time is not None and time < aim:
            low = middle
        else:
            high = middle
    return low


def _time_from(file: Bytes, at: int, time_of: TimeOf) -> float | None:
    """The time of the first record that begins from a place on; None if it is far."""
    data = b""
    while len(data) < FARTHEST:
        more = file.read(at + len(data), PROBE)
        seen = 0 if at == 0 and not data else data.rfind(b"\n") + 1
        data += more
        lines = data[seen:].split(b"\n")
        for line in lines if at == 0 or seen else lines[1:]:
            if (time := time_of(line)) is not None:
                return time
        if not more:
            return None
    return None


def _last_time(file: Bytes, time_of: TimeOf) -> float | None:
    """The time of the last record of a small file."""
    for line in reversed(file.read(0, file.size).split(b"\n")):
        if (time := time_of(line)) is not None:
            return time
    return None
