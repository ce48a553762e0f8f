"""Tracebacks that the Python interpreter writes when an error ends a program.

Only a traceback that begins a line counts, and not behind a record of EVerest that ends with a
colon: that one was caught by somebody, and logged. One that threading, asyncio or the garbage
collector announces ends a thread or a task only, and is an `error`.
"""

import re
from collections.abc import Iterator, Sequence

from evdiag.model.logs import LogEvent, ScriptFailure
from evdiag.parse.logs.records import Parser, RawText, Reader, Record

MOST_FRAMES = 64
"""Frames that are kept, innermost first: a recursion may have a thousand."""

MOST_MESSAGE = 20
"""Lines that are kept of an error's text; nothing marks its end."""

_TRACEBACK = "Traceback (most recent call last):"
_GROUP = "  + Exception Group Traceback (most recent call last):"
_FATAL = "Fatal Python error: "
_SURVIVED = re.compile(
    r"(?:Exception in thread |Exception ignored in: |Task exception was never retrieved|"
    r"Exception in callback |Future exception was never retrieved|--- Logging error ---)"
)
_FILE = re.compile(r'\s*(?:\|\s+)?File "([^"\n]{1,4096})", line (\d{1,9})(?:,? in (.+))?$')
_ERROR = re.compile(r"(?:  \| )?([A-Za-z_][\w.]{0,200})(?:: (.*))?$")
_CHAINED = (
    "During handling of the above exception, another exception occurred:",
    "The above exception was the direct cause of the following exception:",
)


def _begins(line: str) -> bool:
    if line in (_TRACEBACK, _GROUP) or line.startswith(_FATAL):
        return True
    if _SURVIVED.match(line):
        return True
    # an error of syntax in the program itself has no traceback
    return line.startswith('  File "') and _FILE.match(line) is not None and ", in " not in line


def _unfinished(lines: Sequence[str]) -> bool:
    """The error itself is still to come."""
    last = next((line for line in reversed(lines) if line.strip()), "")
    return last.startswith(" ") or last in (_TRACEBACK, *_CHAINED) or bool(_SURVIVED.match(last))


def _takes(lines: Sequence[str], line: str) -> bool:
    """Whether a traceback belongs to what came before: to its announcement, or to a chain."""
    if line.startswith('  File "'):
        return True
    last = next((text for text in reversed(lines) if text.strip()), "")
    return line in (_TRACEBACK, _GROUP) and (last in _CHAINED or _SURVIVED.match(last) is not None)


def _joins(line: str) -> bool:
    if line.startswith('  File "') or line in (_TRACEBACK, *_CHAINED):
        return True
    match = _ERROR.match(line)
    return match is not None and bool(re.search("(Error|Exception|Interrupt|Exit)$", match[1]))


def _read(record: Record) -> Iterator[LogEvent]:
    failure = _failure(record.lines)
    if failure is None:
        return
    if _SURVIVED.match(record.message):
        yield record.event(
            "error", detail=f"{record.message.rstrip(':')}: {failure.error}", script=failure
        )
    else:
        yield record.event("script", detail=failure.error, script=failure)


def _failure(lines: Sequence[str]) -> ScriptFailure | None:
    if lines[0].startswith(_FATAL):
        innermost_first = _frames(lines)
        return _made("Fatal Python error", lines[0].removeprefix(_FATAL), innermost_first)
    frames: list[str] = []
    message: list[str] = []
    error = None
    for place, line in enumerate(lines):
        if _FILE.match(line):
            if error is not None:
                frames, error = [], None  # the next traceback of a chain
            frames.append(line)
        elif frames and error is None and (match := _ERROR.match(line)):
            error = match[1]
            message = [match[2] or "", *_continued(lines[place + 1 :])]
            if lines[0] == _GROUP:
                break  # what follows are the errors of the group
    if error is None:
        return None
    return _made(error, "\n".join(message).rstrip(), tuple(reversed(_frames(frames))))


def _made(error: str, message: str, frames: tuple[str, ...]) -> ScriptFailure:
    return ScriptFailure(
        language="python", error=error, message=message, stack=frames[:MOST_FRAMES]
    )


def _continued(lines: Sequence[str]) -> Iterator[str]:
    """The further lines of an error's text, up to the next traceback."""
    for line in lines[:MOST_MESSAGE]:
        if line in (_TRACEBACK, *_CHAINED) or line.startswith("  +"):
            return
        yield line


def _frames(lines: Sequence[str]) -> tuple[str, ...]:
    """`function at file:line` of every line that names a place."""
    found = (_FILE.match(line) for line in lines)
    return tuple(
        f"{match[3]} at {match[1]}:{match[2]}" if match[3] else f"{match[1]}:{match[2]}"
        for match in found
        if match
    )


def _start() -> Reader:
    return _read


PARSER = Parser(
    id="python",
    title="Tracebacks of Python",
    raw=RawText(
        words=(
            *(b"Traceback (most recent", b"Fatal Python error: ", b'  File "', b"Exception in "),
            *(b"Exception ignored in: ", b"exception was never", b"--- Logging error"),
        ),
        begins=_begins,
        quoted=True,
        takes=_takes,
        unfinished=_unfinished,
        joins=_joins,
    ),
    start=_start,
)
