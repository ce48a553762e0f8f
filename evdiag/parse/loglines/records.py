"""A log file, cut into its records: those of one service, from blocks of bytes."""

from collections.abc import Iterable, Iterator

from evdiag.model.loglines import HEADED, MORE, RAW, TORN, LogLine
from evdiag.parse.loglines.headers import plain, read_header, read_raw, unglued
from evdiag.parse.loglines.times import Clock

LONGEST = 1 << 16
"""Characters that are kept of a line; EVerest's JSON dumps have a few ten thousand."""
MOST_MORE = 400
"""Lines that a record holds before it is given out; what follows is marked as its rest."""

MOST_RAW = 100
"""Raw texts in a row that are held back until the next time is known."""


class Lines:
    """Whole lines of blocks that are cut anywhere; what goes beyond LONGEST is counted only."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._held = 0
        self._lost = 0

    def feed(self, data: bytes) -> list[str]:
        """The lines that are complete now."""
        first, last = data.find(b"\n"), data.rfind(b"\n")
        if last < 0:
            self._keep(data)
            return []
        self._keep(data[:first])
        lines = [self._take()]
        if last > first:
            text = data[first + 1 : last].decode("utf-8", "replace")
            if "\r" in text:
                text = text.replace("\r\n", "\n").removesuffix("\r")
            lines += [cut(line) if len(line) > LONGEST else line for line in text.split("\n")]
        self._keep(data[last + 1 :])
        return lines

    def rest(self) -> list[str]:
        """The last line, which has no end."""
        return [self._take()] if self._parts else []

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        kept = data[: max(0, 4 * LONGEST - self._held)]
        self._parts.append(kept)
        self._held += len(kept)
        self._lost += len(data) - len(kept)

    def _take(self) -> str:
        text = b"".join(self._parts).decode("utf-8", "replace").removesuffix("\r")
        lost, self._parts, self._held, self._lost = self._lost, [], 0, 0
        return cut(text, lost) if lost or len(text) > LONGEST else text


def cut(line: str, lost: int = 0) -> str:
    """The line without its end beyond LONGEST; `lost` of it was left out before."""
    more = max(0, len(line) - LONGEST) + lost
    return f"{line[:LONGEST].removesuffix(chr(13))}… ({more:,} more characters)"


class Records:
    """The records of one service's log."""

    def __init__(self, service: str, clock: Clock, latest: str) -> None:
        self.service, self.clock, self.latest = service, clock, latest
        self._lines = Lines()
        self._open: LogLine | None = None
        self._raw: list[LogLine] = []
        """Raw text, whose time is that of what comes next: a crash ends a silence."""

    def feed(self, data: bytes) -> list[LogLine]:
        """The records that are complete now."""
        return self._read(self._lines.feed(data))

    def end(self) -> list[LogLine]:
        """What is left."""
        found = self._read(self._lines.rest())
        if self._open is not None:
            self._raw.append(self._open)
            self._open = None
        self._release(found)
        return found

    def _read(self, lines: list[str]) -> list[LogLine]:
        found: list[LogLine] = []
        service, clock, latest, current = self.service, self.clock, self.latest, self._open
        for whole in lines:
            for line in unglued(whole) if "\x1b" in whole else (whole,):
                begun = read_header(line, clock, latest)
                if begun is None or begun.service != service:
                    begun = read_raw(line)
                    if begun is None:
                        current = add(found if not self._raw else self._raw, current, line, service)
                        continue
                    begun.service = service
                    begun.time = current.time if current is not None else ""
                    if current is not None:
                        self._raw.append(current)
                    if len(self._raw) > MOST_RAW:
                        self._release(found)
                elif current is not None:
                    if self._raw or current.form in (RAW, TORN):
                        self._raw.append(current)
                        self._release(found, begun.time)
                    else:
                        found.append(current)
                current = begun
        self._open = current
        return found

    def _release(self, found: list[LogLine], time: str = "") -> None:
        """Give out what was held back, since the next time is known."""
        for line in self._raw:
            if time and line.form != HEADED:
                line.time = time
        found += self._raw
        self._raw = []


def add(found: list[LogLine], current: LogLine | None, line: str, service: str) -> LogLine:
    """Add a line to the record that it belongs to; one that gets too long goes to `found`."""
    text = plain(line)
    if current is None:
        return LogLine("", service, "INFO", text, form=TORN)
    if current.more is None:
        current.more = [text]
        return current
    if len(current.more) < MOST_MORE and len(text) < LONGEST // 4:
        current.more.append(text)
        return current
    found.append(current)
    return LogLine(current.time, current.service, current.severity, text, current.module, form=MORE)


def read_all(
    service: str, clock: Clock, latest: str, blocks: Iterable[bytes]
) -> Iterator[list[LogLine]]:
    """The records of a file, a block's at a time."""
    records = Records(service, clock, latest)
    for block in blocks:
        if found := records.feed(block):
            yield found
    if found := records.end():
        yield found
