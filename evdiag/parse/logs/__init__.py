"""Logs as evidence: from the text of a log file to the events that matter.

To add a parser, write a file with a `PARSER` and put it into `PARSERS`; the tests and the
documentation follow. Where raw text could be that of two parsers, the first one has it.
"""

from collections.abc import Iterable, Iterator

from evdiag.model.logs import LogEvent
from evdiag.parse.logs import (
    capture,
    everest,
    kernel,
    node,
    python,
    runtime,
    sanitizers,
    supervisord,
)
from evdiag.parse.logs.records import Parser, RecordReader

PARSERS: tuple[Parser, ...] = (
    everest.PARSER,
    supervisord.PARSER,
    capture.PARSER,
    runtime.PARSER,
    sanitizers.PARSER,
    python.PARSER,
    node.PARSER,
    kernel.PARSER,
)


def read_events(source: str, pieces: Iterable[bytes | str]) -> Iterator[LogEvent]:
    """The events of one log file, in its order; `source` is its name.

    The pieces are the text as it is, cut anywhere: blocks of bytes, or lines with their line
    feeds. They are read once, and no more than one record is kept in memory.
    """
    return RecordReader(source, PARSERS).events(pieces)
