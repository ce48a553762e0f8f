"""The files that tell what happened before a crash: only the part of them that is about it."""

import os
from collections import deque
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Self

from evdiag.analyze.happenings import by_one_clock
from evdiag.analyze.timeline import (
    NO_ZONE,
    NO_ZONE_EFFECT,
    crashes,
    span,
    subject,
    timeline,
    told_by_logs,
    zone_of,
)
from evdiag.model.incident import CoreSeen, Member
from evdiag.model.logs import LogEvent
from evdiag.model.report import SoftError, TimelineEvent
from evdiag.model.timeline import Happening, Source
from evdiag.parse.timeline import READERS
from evdiag.parse.timeline._window import pieces, window
from evdiag.parse.timeline.everest import stamps

MOST = 20_000
"""Happenings of one file that are kept, the last ones."""
HEAD = 1 << 16
"""Bytes of a log in which two clocks are compared."""
TOGETHER = 30.0
"""Seconds within which processes end that belong together."""


class History:
    """What happened around some crashes. Files are read once for all that were at one time."""

    def __init__(
        self,
        sources: Sequence[Source],
        cores: Sequence[CoreSeen],
        events: Sequence[LogEvent],
        notes: list[SoftError],
    ) -> None:
        self._sources, self._notes = sources, notes
        self._ahead = zone_of(_clocks(sources), cores, events)
        self._known = by_one_clock((*told_by_logs(events), *crashes(cores)), self._ahead)
        self._span: tuple[float, float] | None = None
        self._read: list[Happening] | None = None
        local = any(event.time is not None for event in events)
        if self._ahead is None and local and any(not source.is_local for source in sources):
            self._note(SoftError(stage="timeline", message=NO_ZONE, effect=NO_ZONE_EFFECT))

    def before(self, member: Member | None, core: CoreSeen | None) -> tuple[TimelineEvent, ...]:
        """What led to the end of a process."""
        who = subject(member, core)
        files = self._files(span(who, self._ahead))
        return timeline(who, (*self._known, *files), self._ahead)

    def _files(self, wanted: tuple[float, float] | None) -> list[Happening]:
        if self._read is None or not _within(wanted, self._span):
            # The next ones are mostly those that were taken down with this one.
            self._span = None if wanted is None else (wanted[0], wanted[1] + TOGETHER)
            found, lost = _happenings(self._sources, self._span, self._ahead or 0.0)
            self._read = by_one_clock(found, self._ahead)
            for name in lost:
                self._note(SoftError(stage="timeline", message=f"{name} cannot be read"))
        return self._read

    def _note(self, note: SoftError) -> None:
        if note not in self._notes:
            self._notes.append(note)


def _within(wanted: tuple[float, float] | None, read: tuple[float, float] | None) -> bool:
    """Whether what was read has all that is wanted."""
    if wanted is None or read is None:
        return wanted is read
    return read[0] <= wanted[0] and wanted[1] <= read[1]


def _happenings(
    sources: Sequence[Source], asked: tuple[float, float] | None, ahead: float
) -> tuple[list[Happening], list[str]]:
    """What the files tell of a time in UTC, and the names of those that cannot be read.

    `ahead` is how far local clocks are ahead of UTC; without a time it is the end of each file.
    """
    readers = {reader.id: reader for reader in READERS}
    found: list[Happening] = []
    lost: list[str] = []
    for source in sources:
        reader, ours = readers[source.reader], asked
        if asked is not None and source.is_local:
            ours = asked[0] + ahead, asked[1] + ahead
        try:
            with _File(source.path) as file:
                part = window(file, reader.time_of, ours)
                if part is not None:
                    found += deque(reader.read(source.name, pieces(file, *part)), maxlen=MOST)
        except OSError:
            lost.append(source.name)
    return found, lost


def _clocks(sources: Iterable[Source]) -> list[tuple[float, float]]:
    """Times that are written down by a local clock and in UTC, as `docker logs -t` does."""
    found: list[tuple[float, float]] = []
    for source in sources:
        try:
            if source.reader == "everest":
                with _File(source.path) as file:
                    found += stamps(file.read(0, HEAD))
        except OSError:
            continue  # whoever reads it says so
    return found


class _File:
    """A file that may be read anywhere, and be written to meanwhile."""

    def __init__(self, path: str) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        self.size = os.fstat(self._fd).st_size

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._fd)

    def read(self, at: int, size: int) -> bytes:
        """Bytes from a place on; fewer at the end. Raises OSError."""
        return os.pread(self._fd, size, at)
