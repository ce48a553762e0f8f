"""From the lines of a log to its records: what belongs together, and who wrote it.

Three forms of records are known: EVerest's (Boost.Log), supervisord's, and raw text that a
run-time library, an interpreter or the kernel writes without any header. Raw text counts only
where a parser knows how it begins, at the start of a line; all other lines without a header
belong to the record before. So a record that merely quotes "Segmentation fault" is not one.

Most lines are boring. They are told apart by looking for a few words in a whole batch of lines
at once, and are not even decoded.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from evdiag.model.logs import LogEvent
from evdiag.parse.logs._lines import Batch, batches, seconds, without_colours

MOST_LINES = 400
"""Lines that are kept of a record: sanitizers show up to 256 frames of each of three stacks, and
what matters stands in the first."""

MOST_TEXT = 1 << 18
"""Characters that are kept of a record beyond its first line."""

PATIENCE = 30
"""Records of others that may come between the lines of one traceback: interpreters write line by
line, and all modules of EVerest share one stream."""

_EVEREST = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9}) "
    r"\[(?P<severity>VERB|DEBG|INFO|WARN|ERRO|CRIT)\] (?P<process>.{15}|\S{1,15}) "
    r"(?P<where>.*?) ?:\d*:(?: |$)(?P<message>.*)"
)
_BOOST = re.compile(
    r"\[(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{1,9})\] \[0x[0-9a-fA-F]+\] "
    r"\[(?P<severity>trace|debug|info|warning|error|fatal)\]\s*(?P<message>.*)"
)
_SUPERVISORD = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3}) "
    r"(?P<severity>BLAT|TRAC|DEBG|INFO|WARN|ERRO|CRIT) (?P<message>.*)"
)
_FORMS = (("everest", _EVEREST), ("supervisord", _SUPERVISORD), ("boost", _BOOST))
_HEADER = re.compile(rb"\[?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d")
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d{1,9}")
_SEVERITIES = {"error": "ERRO", "fatal": "CRIT", "warning": "WARN", "info": "INFO"}


class Record(msgspec.Struct, kw_only=True):
    """Lines that belong together."""

    form: str
    """everest, supervisord, boost (before EVerest has set up its log) or raw."""
    source: str
    line: int
    """Number of its first line."""
    lines: list[str]
    """Without colours; the first one with its header."""
    message: str
    """The first line without its header."""
    time: float | None = None
    severity: str = ""
    process: str = ""
    """EVerest's name of the process, cut to 15 characters: `ocpp:OCPP201`, `iso15118_charge`."""

    @property
    def text(self) -> str:
        """All of it."""
        return "\n".join(self.lines).rstrip()

    def event(self, kind: str, **more: Any) -> LogEvent:  # noqa: ANN401 - fields of LogEvent
        """An event that this record tells."""
        event = LogEvent(
            kind=kind, source=self.source, line=self.line, text=self.text, time=self.time
        )
        return msgspec.structs.replace(event, **more)


Reader = Callable[[Record], Iterable[LogEvent]]


class RawText(msgspec.Struct, frozen=True, kw_only=True):
    """How raw text is recognised, line by line."""

    words: tuple[bytes, ...]
    """One of them stands in the first line: a cheap test before `begins`."""
    begins: Callable[[str], bool]
    """Whether this line is the first one."""
    quoted: bool = False
    """Whether programs log such a text themselves, after a line that ends with a colon."""
    takes: Callable[[Sequence[str], str], bool] = lambda _, __: False
    """Whether a text of some lines goes on with this line, although it may also be a first one."""
    ends: Callable[[str], bool] = lambda _: False
    """Whether this line is the last one."""
    unfinished: Callable[[Sequence[str]], bool] = lambda _: False
    """Whether lines are still to come, when a record of someone else interrupts."""
    joins: Callable[[str], bool] = lambda _: False
    """Whether this line, after an interruption, goes on with it."""


class Parser(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of log text: what to look at, and the events that it tells."""

    id: str
    title: str
    """For the documentation."""
    forms: tuple[str, ...] = ()
    """The forms of records that it reads; raw text is described by `raw`."""
    words: tuple[bytes, ...] = ()
    """A record with a header is looked at only if one of them is in its first line."""
    raw: RawText | None = None
    start: Callable[[], Reader]
    """A reader for one log file: what it remembers belongs to that file."""


class _Open:
    """A record that still grows."""

    def __init__(self, record: Record, reader: Reader | None, raw: RawText | None) -> None:
        self.record = record
        self.reader = reader
        self.raw = raw
        self.room = MOST_TEXT

    def add(self, line: str) -> None:
        if len(self.record.lines) < MOST_LINES and self.room > 0:
            self.record.lines.append(line[: self.room])
            self.room -= len(line)

    def events(self) -> Iterator[LogEvent]:
        return iter(self.reader(self.record) if self.reader else ())


class _Begun(NamedTuple):
    """The first line of raw text, and who knows it."""

    line: str
    raw: RawText
    reader: Reader


class RecordReader:
    """Cuts one log file into records, and hands each to the parser that it is for."""

    def __init__(self, source: str, parsers: Sequence[Parser]) -> None:
        self.source = source
        self.readers = [(parser, parser.start()) for parser in parsers]
        self.raws = [(p.raw, reader) for p, reader in self.readers if p.raw is not None]
        self.words = [word for parser in parsers for word in parser.words]
        self.number = 0
        self.current: _Open | None = None
        self.held: list[_Open] = []
        """An unfinished raw text and the records after it: events keep their order."""
        self.waited = 0
        self.header = b""
        self.header_at = 0
        self.quoting = False
        self.stamped = False
        self.time: float | None = None

    def events(self, pieces: Iterable[bytes | str]) -> Iterator[LogEvent]:
        """All events of the file."""
        for batch in batches(pieces):
            yield from self._batch(batch)
        yield from self._close()
        yield from self._release()

    def _batch(self, batch: Batch) -> Iterator[LogEvent]:
        text = batch.text()
        words = [word for word in self.words if word in text]
        raws = [
            (raw, reader) for raw, reader in self.raws if any(word in text for word in raw.words)
        ]
        if not words and not raws and self.current is None and not self.held:
            self.number += len(batch.lines)
            last = next((line for line in reversed(batch.lines) if _HEADER.match(line)), None)
            if last is not None:
                self.header, self.quoting = last, False
                self.header_at = self.number if last is batch.lines[-1] else 0
            return
        for at, line in enumerate(batch.lines):
            self.number += 1
            if _HEADER.match(line):
                self.header = line
                self.header_at, self.quoting = self.number, False
                if self.current is not None or self.held:
                    yield from self._interrupt()
                if any(word in line for word in words):
                    self._open_header(line)
                continue
            begun = _beginning(line, raws) if raws else None
            if begun is not None and self._quotes(begun.raw):
                begun = None
            if begun is not None and not self._taken(begun.line):
                yield from self._close()
                yield from self._release()
                yield from self._open_raw(begun, _stamp(batch, at))
            elif begun is None and (self.current is not None or self.held):
                yield from self._more(without_colours(line))

    def _interrupt(self) -> Iterator[LogEvent]:
        """A record with a header comes."""
        yield from self._close()
        if self.held:
            self.waited += 1
            if self.waited > PATIENCE:
                yield from self._release()

    def _quotes(self, raw: RawText) -> bool:
        """Whether the record before shows this text itself, so that it is not raw."""
        if raw.quoted and self.number == self.header_at + 1:
            self.quoting = without_colours(self.header).rstrip().endswith(":")
        return raw.quoted and self.quoting

    def _taken(self, line: str) -> bool:
        """Whether the raw text before goes on with a line that may also begin one."""
        text = self.current or (self.held[0] if self.held else None)
        if text is None or text.raw is None or not text.raw.takes(text.record.lines, line):
            return False
        text.add(line)
        return True

    def _open_header(self, line: bytes) -> None:
        plain = without_colours(line)
        for form, pattern in _FORMS:
            match = pattern.match(plain)
            if match is None:
                continue
            found = match.groupdict()
            severity = found["severity"]
            record = Record(
                form=form,
                source=self.source,
                line=self.number,
                lines=[plain],
                message=found["message"],
                time=seconds(found["time"].replace(",", ".")),
                severity=_SEVERITIES.get(severity, severity),
                process=found.get("process", "").strip(),
            )
            reader = next((r for parser, r in self.readers if form in parser.forms), None)
            self.current = _Open(record, reader, None)
            return

    def _open_raw(self, begun: _Begun, stamp: str) -> Iterator[LogEvent]:
        record = Record(
            form="raw",
            source=self.source,
            line=self.number,
            lines=[begun.line],
            message=begun.line,
            time=self._time_before(stamp),
        )
        self.current = _Open(record, begun.reader, begun.raw)
        if begun.raw.ends(begun.line):
            yield from self._close()

    def _time_before(self, stamp: str) -> float | None:
        """The time of the record before, by its own clock; else that of the wrapping."""
        if self.header:
            match = re.search(
                r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+", without_colours(self.header)
            )
            self.time = seconds(match[0].replace(",", ".")) if match else self.time
            self.stamped = True
            self.header = b""
        elif stamp and not self.stamped:
            self.time = seconds(stamp.replace(",", "."))
        return self.time

    def _more(self, line: str) -> Iterator[LogEvent]:
        """A line without a header that begins nothing."""
        text = self.held[0] if self.held else None
        if text is not None and text.raw is not None and text.raw.joins(line):
            text.add(line)
            self.waited = 0
            if text.raw.ends(line):
                yield from self._release()
        elif self.current is not None:
            self.current.add(line)
            if self.current.raw is not None and self.current.raw.ends(line):
                yield from self._close()

    def _close(self) -> Iterator[LogEvent]:
        """The current record is complete, or is put aside."""
        closed, self.current = self.current, None
        if closed is None:
            return
        raw = closed.raw
        if self.held or (raw is not None and raw.unfinished(closed.record.lines)):
            self.held.append(closed)
        else:
            yield from closed.events()

    def _release(self) -> Iterator[LogEvent]:
        held, self.held, self.waited = self.held, [], 0
        for record in held:
            yield from record.events()


def _stamp(batch: Batch, at: int) -> str:
    return batch.stamps[at].decode("utf-8", "replace") if batch.stamps else ""


def _beginning(line: bytes, raws: Sequence[tuple[RawText, Reader]]) -> _Begun | None:
    """The first parser that knows this line as the beginning of its text."""
    plain = None
    for raw, reader in raws:
        for word in raw.words:
            if word in line:
                plain = without_colours(line) if plain is None else plain
                if raw.begins(plain):
                    return _Begun(plain, raw, reader)
                break
    return None
