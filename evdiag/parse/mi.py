"""The lines that gdb prints in its machine interface (GDB manual, "GDB/MI Output Syntax").

`pygdbmi` turns result records into dictionaries, but loops for ever on a cut one, and overflows
Python's stack on a deeply nested one. `check_record` tells beforehand whether a record is whole.
"""

import re

import msgspec

from evdiag.errors import EvdiagError
from evdiag.model.values import Document

MAX_DEPTH = 64
"""Brackets inside brackets; gdb's own records have less than ten."""

_RESULT = re.compile(rb"(\d*)\^(done|running|connected|error|exit)(?=,|\r?$)")
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],]|[A-Za-z_][\w.-]*=', re.DOTALL)
_STREAM = re.compile(rb'[~&@]"')
_CLOSES = {b"{": b"}", b"[": b"]"}
_DOCUMENT = b',json="'


class MiError(EvdiagError):
    """A line is not what gdb's machine interface prints."""


class Result(msgspec.Struct, frozen=True):
    """A result record, its payload not yet parsed."""

    token: int | None
    cls: str
    """done, running, connected, error or exit."""
    line: bytes


def read_result(line: bytes) -> Result | None:
    """The result record on a line; None for records of another kind and for other output."""
    match = _RESULT.match(line)
    if match is None:
        return None
    token = int(match[1]) if match[1] and len(match[1]) < 10 else None
    return Result(token, match[2].decode(), line.rstrip(b"\r\n"))


def stream_text(line: bytes, most: int = 400) -> str | None:
    """The text of a console or log record, shortened; None for other records.

    pygdbmi needs a time that grows with the square of its length.
    """
    if not _STREAM.match(line):
        return None
    body = line[2 : 2 + most].rstrip(b"\r\n").removesuffix(b'"')
    text = body.replace(b'\\"', b'"').replace(b"\\n", b"\n").replace(b"\\\\", b"\\")
    return text.decode("utf-8", "replace").strip()


def check_record(line: bytes) -> None:
    """Raise MiError unless the results of a record are whole, and not nested too deeply."""
    match = _RESULT.match(line)
    if match is None:
        raise MiError("gdb's answer is not a result record")
    at, end = match.end(), len(line)
    stack: list[bytes] = []
    expected = b","  # `,` or a closing bracket; `=` a name; `v` a value; `*` a name or a value
    while at < end:
        token = _TOKEN.match(line, at)
        if token is None:
            raise MiError(f"gdb's answer is damaged after {at} bytes")
        at = token.end()
        expected = _next(token[0], expected, stack, at)
    if stack or expected != b",":
        raise MiError("gdb's answer is cut")


def _next(token: bytes, expected: bytes, stack: list[bytes], at: int) -> bytes:
    """What must follow a token; the open brackets are in `stack`."""
    first = token[:1]
    if first == b"," and expected == b",":
        return b"*" if stack and stack[-1] == b"]" else b"="
    if token.endswith(b"=") and first != b'"' and expected in (b"=", b"*"):
        return b"v"
    if first == b'"' and expected in (b"v", b"*"):
        return b","
    if token in _CLOSES and expected in (b"v", b"*"):
        if len(stack) >= MAX_DEPTH:
            raise MiError("gdb's answer is nested too deeply")
        stack.append(_CLOSES[token])
        return b"*" if token == b"[" else b"="
    if stack and token == stack[-1] and (expected == b"," or _just_opened(token, expected)):
        stack.pop()
        return b","
    raise MiError(f"gdb's answer is damaged after {at} bytes")


def _just_opened(token: bytes, expected: bytes) -> bool:
    """Whether a closing bracket may stand here: in an empty pair, or after a comma too many."""
    return expected == (b"*" if token == b"]" else b"=")


def read_document(result: Result) -> Document:
    """The document that the extractor's result record carries. Raises MiError.

    The extractor escapes everything beyond ASCII, so that the string of the record is a string
    of JSON as well: megabytes are read at once.
    """
    start = result.line.find(_DOCUMENT)
    if start < 0:
        raise MiError("gdb's answer holds no document")
    try:
        text = msgspec.json.decode(result.line[start + len(_DOCUMENT) - 1 :], type=str)
        return msgspec.json.decode(text, type=Document)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise MiError(f"gdb's document cannot be read: {error}") from None
    except RecursionError:
        raise MiError("gdb's document is nested too deeply") from None
