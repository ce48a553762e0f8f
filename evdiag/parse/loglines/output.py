"""What a charger's container prints: whose line is whose.

supervisord prints its own log; its program `logs` prints what comes to the three other files, in
blocks of one file each (container/logs.sh). Lines of entrypoint.sh come before all that.
"""

from collections.abc import Iterable

from evdiag.model.loglines import CONTAINER, EVEREST, HEADED, MORE, SUPERVISORD, LogLine
from evdiag.parse.loglines.frames import Entry
from evdiag.parse.loglines.headers import plain, read_container, read_header, read_raw, unglued
from evdiag.parse.loglines.records import add
from evdiag.parse.loglines.times import Clock

BLOCK_PAUSE = 0.005
"""Seconds between blocks, at least: tail looks five times a second, and within a block lines come
microseconds apart."""
MOST_WAITING = 200


class OutputReader:
    """Records of the container's output, in its order, each with its service."""

    def __init__(self, clock: Clock, *, from_start: bool) -> None:
        self.clock = clock
        self._plain_start = from_start
        """Before supervisord's first line all is the container's own."""
        self._open: LogLine | None = None
        self._last = EVEREST if not from_start else ""
        """The service whose file was printed last."""
        self._waiting: list[tuple[str, str]] = []
        """(time, line) at the begin of a block, which does not yet say whose it is."""
        self._stamp = ""

    def feed(self, entries: Iterable[Entry]) -> list[LogLine]:
        """The records of these lines; the last one too, though more of it may come."""
        found: list[LogLine] = []
        for stamp, whole in entries:
            pause = _pause(self._stamp, stamp)
            self._stamp = stamp
            if pause:
                self._decide(found, "")
            for line in unglued(whole) if "\x1b" in whole else (whole,):
                self._line(found, stamp, line, pause)
        self._decide(found, "")
        self._close(found)
        return found

    def _line(self, found: list[LogLine], stamp: str, line: str, pause: bool) -> None:
        begun = read_header(line, self.clock, stamp)
        if begun is not None:
            self._plain_start = False
            if begun.service == SUPERVISORD:
                self._decide(found, "")
            else:
                self._decide(found, begun.service, begun.time)
                self._last = begun.service
            self._start(found, begun)
            return
        time = self.clock.of_stamp(stamp)
        begun = read_container(line, time)
        if begun is not None or self._plain_start:
            self._decide(found, "")
            self._plain_start = True
            self._start(found, begun or LogLine(time, CONTAINER, "INFO", plain(line)))
        elif pause or self._waiting or self._of_other():
            self._waiting.append((time, line))
            if len(self._waiting) > MOST_WAITING:
                self._decide(found, "")
        else:
            self._headless(found, time, line, self._last)

    def _of_other(self) -> bool:
        """Whether the line before is none of a printed file."""
        return self._open is None or self._open.service in (SUPERVISORD, CONTAINER)

    def _decide(self, found: list[LogLine], service: str, next_time: str = "") -> None:
        """The waiting lines are those of a service, by the next line of the block."""
        waiting, self._waiting = self._waiting, []
        for time, line in waiting:
            self._headless(found, next_time or time, line, service or self._last)

    def _headless(self, found: list[LogLine], time: str, line: str, service: str) -> None:
        """A line that belongs to the record before of its service, or is raw text."""
        begun = read_raw(line)
        owner = service or (EVEREST if begun else CONTAINER)
        if begun is not None:
            begun.service = owner
            begun.time = time
            self._start(found, begun)
        elif self._open is not None and self._open.service == owner:
            self._open = add(found, self._open, line, owner)
        else:
            self._start(found, LogLine(time, owner, "INFO", plain(line), form=MORE))

    def _start(self, found: list[LogLine], line: LogLine) -> None:
        self._close(found)
        self._open = line

    def _close(self, found: list[LogLine]) -> None:
        if self._open is not None:
            found.append(self._open)
            self._open = None


def _pause(before: str, stamp: str) -> bool:
    """Whether some time went by between two lines, by the engine's clock."""
    if before[:19] != stamp[:19]:
        return True
    try:
        return float(f"0{stamp[19:29]}") - float(f"0{before[19:29]}") > BLOCK_PAUSE
    except ValueError:
        return True


def plain_lines(entries: Iterable[Entry], clock: Clock) -> list[LogLine]:
    """The output of a container that is no charger: line by line, as it is."""
    return [
        LogLine(clock.of_stamp(stamp), CONTAINER, "", plain(line), form=HEADED)
        for stamp, line in entries
    ]
