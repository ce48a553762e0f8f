"""What the capture layer of EVerest's image writes to the log of the process that crashes.

Source: `report` in container/capture/writer.c, `complain` in container/capture/start.c. The line
comes in the middle of what the process writes itself, so it also ends the text before it.
"""

import re
from collections.abc import Iterator

from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.parse.logs.everest import module_of
from evdiag.parse.logs.records import Parser, RawText, Reader, Record

_SAYS = "evdiag capture: "
_NO_CORE = re.compile(
    _SAYS + r"no core of (?P<pid>\d{1,9}) (?P<name>.{1,15}) \(signal (?P<signal>\d{1,2})\): "
    r"(?P<why>.{1,400})"
)
_WRITTEN = re.compile(
    _SAYS + r"(?P<name>.{1,15}) pid (?P<pid>\d{1,9}) tid \d{1,9} died of signal "
    r"(?P<signal>\d{1,2}): (?P<core>.{1,255}?) \("
)


def _begins(line: str) -> bool:
    return line.startswith(_SAYS)


def _read(record: Record) -> Iterator[LogEvent]:
    line = record.message
    match = _NO_CORE.match(line) or _WRITTEN.match(line)
    if match is None:
        return
    without = match.re is _NO_CORE
    yield record.event(
        "no-core" if without else "core-written",
        module_id=module_of(match["name"]) or match["name"],
        pid=int(match["pid"]),
        status=ExitStatus(signal=int(match["signal"]), core_dumped=not without),
        detail=match["why" if without else "core"],
    )


def _start() -> Reader:
    return _read


PARSER = Parser(
    id="capture",
    title="The capture layer of the image",
    raw=RawText(words=(_SAYS.encode(),), begins=_begins, ends=_begins),
    start=_start,
)
