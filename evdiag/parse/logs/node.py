"""Uncaught errors that Node.js writes before it ends, and those of Node-RED.

Sources: node's src/node_errors.cc (place, source line, a caret, then the error with its stack) and
Node-RED's red.js ("Uncaught Exception:").
"""

import re
from collections.abc import Iterator, Sequence

from evdiag.model.logs import LogEvent, ScriptFailure
from evdiag.parse.logs.records import Parser, RawText, Reader, Record

MOST_FRAMES = 64
"""Frames that are kept; V8 shows ten."""

LOOK_AHEAD = 12
"""Lines from the place to the error: source, caret, an empty line; generated code is longer."""

_PLACE = re.compile(
    r"(?:node:[\w/.-]+|internal/[\w/.-]+|(?:file://)?/[^:\n]*\.[cm]?[jt]s):\d{1,9}$"
)
_NODE_RED = re.compile(r"\d\d? \w{3} \d\d:\d\d:\d\d - ")
_UNCAUGHT = "[red] Uncaught Exception:"
_FATAL = "FATAL ERROR: "
_ERROR = re.compile(
    r"(?:Uncaught )?([A-Za-z_$][\w$.]{0,200})(?: \[([A-Z_0-9]{1,100})\])?(?:: (.*))?$"
)
_FRAME = re.compile(r"\s+at (?:(.+?) \()?([^()\s][^()]*?):(\d{1,9})(?::\d{1,9})?\)?(?: \{)?$")
_CARET = re.compile(r"\s*\^+\s*$")
_END = re.compile(r"Node\.js v\d")


def _begins(line: str) -> bool:
    if _PLACE.match(line) or line.startswith(_FATAL):
        return True
    head = _NODE_RED.match(line)
    return head is not None and line.startswith(_UNCAUGHT, head.end())


def _read(record: Record) -> Iterator[LogEvent]:
    failure = _failure(record.lines)
    if failure is not None:
        yield record.event("script", detail=failure.error, script=failure)


def _failure(lines: Sequence[str]) -> ScriptFailure | None:
    if lines[0].startswith(_FATAL):
        return _made(_FATAL.rstrip(": "), [lines[0].removeprefix(_FATAL)], ())
    if _PLACE.match(lines[0]):
        caret = next((i for i, text in enumerate(lines[:LOOK_AHEAD]) if _CARET.match(text)), None)
        if caret is None:
            return None  # a path with a number, and no error
        rest = lines[caret + 1 :]
        thrown_at: tuple[str, ...] = (lines[0],)
    else:
        rest, thrown_at = lines[1:], ()
    for place, line in enumerate(rest[:LOOK_AHEAD]):
        head = _NODE_RED.match(line)
        text = line[head.end() :].removeprefix("[error] ") if head else line
        if text.strip():
            stack = _stack(rest[place + 1 :])
            return _parsed(text, rest[place + 1 :], stack or thrown_at)
    return None


def _parsed(first: str, more: Sequence[str], stack: tuple[str, ...]) -> ScriptFailure:
    match = _ERROR.match(first)
    if match is None or not match[0].strip() or (match[3] is None and not _looks_like_type(first)):
        return _made("Error", [first], stack)  # `throw "text"`
    message = [match[3] or ""]
    for line in more[:LOOK_AHEAD]:
        if _FRAME.match(line) or _END.match(line) or not line.strip():
            break
        message.append(line)
    return _made(match[2] or match[1], message, stack)


def _looks_like_type(text: str) -> bool:
    return re.match(r"(?:Uncaught )?[\w$.]*(?:Error|Exception|Rejection)\b", text) is not None


def _made(error: str, message: Sequence[str], stack: tuple[str, ...]) -> ScriptFailure:
    text = "\n".join(message).rstrip()
    return ScriptFailure(language="node", error=error, message=text, stack=stack[:MOST_FRAMES])


def _stack(lines: Sequence[str]) -> tuple[str, ...]:
    """The frames of the error itself, `function at file:line`; those of its cause come later."""
    found: list[str] = []
    for line in lines:
        match = _FRAME.match(line)
        if match:
            place = f"{match[2]}:{match[3]}"
            found.append(f"{match[1]} at {place}" if match[1] else place)
        elif found:
            break
    return tuple(found)


def _start() -> Reader:
    return _read


PARSER = Parser(
    id="node",
    title="Uncaught errors of Node.js",
    raw=RawText(
        words=(b"node:", b"internal/", b"js:", b"ts:", b"[red] Uncaught", b"FATAL ERROR: "),
        begins=_begins,
        ends=lambda line: _END.match(line) is not None or line.startswith(_FATAL),
    ),
    start=_start,
)
