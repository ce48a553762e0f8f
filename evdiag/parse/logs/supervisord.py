"""supervisord's log: which program started, which one ended, and how.

The wording is that of supervisord 4 (`supervisor/process.py` and `decode_wait_status` in
`supervisor/options.py`), which is the same from 4.0 to 4.3; only the severity of "exited" changed.
"""

import re
from collections.abc import Iterator

from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.model.signals import signal_name
from evdiag.parse.logs.records import Parser, Reader, Record

MOST_PROGRAMS = 1000
"""Process ids that are remembered; a configuration has a few ten programs."""

_NUMBERS = {signal_name(number): number for number in range(1, 65)}
_NUMBERS |= {"SIGIOT": 6, "SIGCLD": 17, "SIGPOLL": 29}  # older names that Python knows too

_SPAWNED = re.compile(r"spawned: '(.{1,200})' with pid (\d{1,9})$")
_ENDED = re.compile(r"(exited|stopped): (.{1,200}?) \((.*)\)$")
_CODE = re.compile(r"exit status (\d{1,3})\b")
_SIGNAL = re.compile(r"terminated by (?:signal (\d{1,3})|(SIG[A-Z0-9+]+))( \(core dumped\))?")
_GAVE_UP = re.compile(r"gave up: (.{1,200}?) entered FATAL state, (.*)$")


def _start() -> Reader:
    pids: dict[str, int] = {}

    def read(record: Record) -> Iterator[LogEvent]:
        if match := _SPAWNED.match(record.message):
            if len(pids) < MOST_PROGRAMS or match[1] in pids:
                pids[match[1]] = int(match[2])
            yield record.event("service-start", module_id=match[1], pid=int(match[2]))
        elif match := _ENDED.match(record.message):
            yield record.event(
                "service-exit",
                module_id=match[2],
                pid=pids.pop(match[2], None),
                status=_status(match[3]),
                detail=_expectation(match[1], match[3]),
            )
        elif match := _GAVE_UP.match(record.message):
            yield record.event("error", module_id=match[1], detail=f"gave up: {match[2]}")
        elif record.message.startswith("spawnerr: "):
            yield record.event("error", detail=record.message)

    return read


def _status(words: str) -> ExitStatus | None:
    """The status in supervisord's words; it says "core dumped", and says nothing if not."""
    if match := _CODE.match(words):
        return ExitStatus(code=int(match[1]))
    if match := _SIGNAL.match(words):
        number = int(match[1]) if match[1] else _NUMBERS.get(match[2])
        if number is not None:
            return ExitStatus(signal=number, core_dumped=match[3] is not None)
    return None


def _expectation(verb: str, words: str) -> str:
    if verb == "stopped":
        return "stopped by supervisord"
    return "not expected" if words.endswith("; not expected") else "expected"


PARSER = Parser(
    id="supervisord",
    title="supervisord's log",
    forms=("supervisord",),
    words=(b" exited: ", b" stopped: ", b" spawned: ", b" gave up: ", b" spawnerr: "),
    start=_start,
)
