"""Several logs as one: in the order of time, and no line twice where two of them have it.

What the services write stands in their files, and the same lines in the container's output. Each
has more at one end: the output has old lines that the files have lost to rotation, and the newest
ones, since the files were read before it. In between a line of a service is the file's. Near the
ends lines are compared one by one, because neither log is quite in order of time.
"""

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile

import msgspec

from evdiag.model.loglines import HEADED, MORE, RAW, TORN, LogLine

WHOLE_SECONDS = 19
"""Characters of a time like that of mosquitto and Node-RED."""

_Key = tuple[str, str, str]


class Ends(msgspec.Struct, frozen=True, kw_only=True):
    """The first and the last records of a service's files, where the output may have others."""

    head: tuple[LogLine, ...] = ()
    head_until: str = ""
    """No record up to this time is missing in `head`."""
    tail: tuple[LogLine, ...] = ()
    tail_from: str = ""
    """No record from this time on is missing in `tail`."""


class Overlap:
    """Which records of the container's output are news beside the files."""

    def __init__(self, ends: Mapping[str, Ends]) -> None:
        self._services = {service: _Service(found) for service, found in ends.items()}
        self._loose: Counter[str] = Counter()
        """Lines of files in which no line has a header: a program that failed at its start."""
        for found in ends.values():
            if all(line.form != HEADED for line in found.head):
                self._loose.update(text for line in found.head for text in line.lines())

    def news(self, records: Sequence[LogLine]) -> list[LogLine]:
        """Those that the files do not have; of one that they have in part, the rest."""
        found = []
        for record in records:
            if self._loose and record.form != HEADED and self._is_loose(record):
                continue
            service = self._services.get(record.service)
            left = record if service is None else service.news(record)
            if left is not None:
                found.append(left)
        return found

    def _is_loose(self, record: LogLine) -> bool:
        """Whether such a file has these lines, under whosever name the output has them."""
        lines = record.lines()
        if any(self._loose[text] < 1 for text in lines):
            return False
        self._loose.subtract(lines)
        return True

    def without_torn(self, records: list[LogLine]) -> list[LogLine]:
        """Records of the files, but not the end of one that the output has as a whole.

        Rotation cuts where it likes, so a file may begin in the middle of a record.
        """
        if records[0].form != TORN:
            return records
        return [line for line in records if line.form != TORN or not self._has_older(line.service)]

    def _has_older(self, service: str) -> bool:
        known = self._services.get(service)
        return known is not None and known.older


class _Service:
    """The decisions about one service, record by record."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends
        head = Counter(_key(line) for line in ends.head if line.form == HEADED)
        tail = Counter(_key(line) for line in ends.tail if line.form == HEADED)
        self.near = head | tail
        before = takewhile(lambda line: line.form != HEADED, ends.head)
        self.lead = Counter(tuple(line.lines()) for line in before if line.form == RAW)
        """Raw text that the file begins with; it belongs to no record of the file."""
        self.first = next((line.time for line in ends.head if line.form == HEADED), "")
        self.last: _Key | None = None
        self.after = 0
        """Lines that the file has after the first line of its last record."""
        for line in ends.tail:
            if line.form == HEADED:
                self.last, self.after = _key(line), -1
            self.after += len(line.lines())
        self.time = ""
        """Of the record that is being read."""
        self.older = self.matched = False
        self.keeps = not self.near
        self.skips: int | None = None
        """Lines to come that the file has too, where the file ends amid this record."""

    def news(self, record: LogLine) -> LogLine | None:
        if record.form != HEADED:
            return self._rest(record) if not self.keeps or self._leads(record) else record
        if not self.near:
            self.older = True
            return record
        self.time = record.time
        self.keeps = self._is_new(record)
        self.skips = None
        if self.keeps:
            return record
        if _key(record) == self.last and not self.near[self.last]:
            self.skips = self.after + 1
        return self._rest(record)

    def _leads(self, record: LogLine) -> bool:
        """Whether the file begins with this text, which follows a record that the file has lost."""
        lines = tuple(record.lines())
        if self.lead[lines] < 1:
            return False
        self.lead[lines] -= 1
        return True

    def _is_new(self, record: LogLine) -> bool:
        key = _key(record)
        if self.near[key] > 0:
            self.near[key] -= 1
            self.matched = True
            return False
        if self.ends.head_until < record.time < self.ends.tail_from:
            self.matched = True
            return False
        record.late = self.matched or record.time > self.first
        self.older = self.older or not record.late
        return True

    def _rest(self, record: LogLine) -> LogLine | None:
        """The lines of a record that come after the file's end."""
        if self.skips is None:
            return None
        lines = record.lines()
        left, self.skips = lines[self.skips :], max(0, self.skips - len(lines))
        if not left:
            return None
        record.late = True
        record.time = self.time or record.time  # it goes after the record that it belongs to
        if len(left) == len(lines):
            return record
        return msgspec.structs.replace(record, text=left[0], more=left[1:] or None, form=MORE)


def _key(line: LogLine) -> _Key:
    return line.time, line.module, line.text


def order(time: str) -> str:
    """What lines are sorted by: of whole seconds nobody knows more than that."""
    return f"{time}.5" if len(time) == WHOLE_SECONDS else time


class _Source:
    """One log of the merge: what was read of it and not given out yet."""

    def __init__(self, batches: Iterator[list[LogLine]]) -> None:
        self.batches = batches
        self.lines: list[LogLine] = []
        self.times: list[str] = []
        self.at = 0
        self.latest = ""

    def fill(self) -> bool:
        """Whether there is a line."""
        while self.at >= len(self.lines):
            batch = next(self.batches, None)
            if batch is None:
                return False
            self.lines, self.times, self.at = batch, self._in_order(batch), 0
        return True

    def _in_order(self, batch: list[LogLine]) -> list[str]:
        """Times that never go back, so that each log keeps its own order."""
        latest = self.latest
        if not latest:  # lines without a time stand before the first one that has it
            latest = next((order(line.time) for line in batch if line.time), "")
        times = []
        for line in batch:
            time = f"{order(line.time)}~" if line.late else order(line.time)
            if time > latest:
                latest = time
            times.append(latest)
        self.latest = latest
        return times


def in_order(records: list[LogLine]) -> list[LogLine]:
    """Lines that came at about the same time, but block by block of each service."""
    services: dict[str, list[LogLine]] = {}
    for record in records:
        services.setdefault(record.service, []).append(record)
    if len(services) < 2:
        return records
    return [line for batch in merge([iter([some]) for some in services.values()]) for line in batch]


def merge(logs: Sequence[Iterator[list[LogLine]]]) -> Iterator[list[LogLine]]:
    """The lines of all logs, some at a time; of lines of the same time, the first log's first."""
    sources = [source for log in logs if (source := _Source(log)).fill()]
    while len(sources) > 1:
        heads = [source.times[source.at] for source in sources]
        first = min(range(len(heads)), key=heads.__getitem__)
        before = min(heads[:first], default="\U0010ffff")
        after = min(heads[first + 1 :]) if first + 1 < len(heads) else "\U0010ffff"
        source = sources[first]
        end = min(
            bisect_left(source.times, before, source.at),
            bisect_right(source.times, after, source.at),
        )
        yield source.lines[source.at : end]
        source.at = end
        if not source.fill():
            del sources[first]
    for source in sources:
        while source.fill():
            yield source.lines[source.at :]
            source.at = len(source.lines)
