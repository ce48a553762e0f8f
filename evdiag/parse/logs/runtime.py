"""What glibc and the run-time libraries of C++ write before they end a program.

Sources: libstdc++'s vterminate.cc, pure.cc and assert_fail.cc; libc++abi's abort_message.cpp; the
texts of glibc are those of `parse/abort_message.py`.
"""

import re
from collections.abc import Iterator
from itertools import takewhile

from evdiag.model.logs import LogEvent
from evdiag.parse.abort_message import FATAL, FORTIFY_TEXTS, STACK_SMASH, heap_flavour
from evdiag.parse.abort_message import parse_assertion as assertion
from evdiag.parse.logs.records import Parser, RawText, Reader, Record

MOST_WHAT = 50
"""Lines that are kept of an exception's text; nothing marks its end."""

WHAT = "  what():  "
_TERMINATE = "terminate called "
_THROWN = re.compile(r"terminate called after throwing an instance of '(.{1,2000})'$")
_LIBCXX = re.compile(
    r"libc\+\+abi: terminating (?:due to|with) uncaught exception of type ([^:]+(?:::[^:]+)*)"
    r"(?:: (.*))?$"
)
_VIRTUAL = ("pure virtual method called", "deleted virtual method called")
_OLD_MALLOC = ("*** Error in `", "*** glibc detected ***")
_OTHER = (FATAL, "The futex facility returned an unexpected error code")
_SHELL = re.compile(r"\S{1,64}: (?:line \d{1,9}: )?\s*\d{1,9} [A-Z][a-z]+.*")
"""What a shell says after its command died: `bash: line 1: 4711 Aborted (core dumped) ./app`."""
_LOCK = "Mutex deadlock detected: Failed to lock "


def _is_libc(line: str) -> bool:
    if line.startswith((STACK_SMASH, *FORTIFY_TEXTS, *_OTHER)):
        return True
    if line.startswith("***"):
        return line.startswith(_OLD_MALLOC)
    if line.endswith("' failed."):
        return assertion(line) is not None
    return heap_flavour(line) is not None


def _begins(line: str) -> bool:
    if line.startswith((_TERMINATE, WHAT)) or line in _VIRTUAL:
        return True
    return _LIBCXX.match(line) is not None or _is_libc(line)


def _read(record: Record) -> Iterator[LogEvent]:
    line = record.message
    if line.startswith(_TERMINATE):
        thrown = _THROWN.match(line)
        yield record.event("terminate", detail=thrown[1] if thrown else None)
    elif match := _LIBCXX.match(line):
        yield record.event("terminate", detail=match[1])
        if match[2]:
            yield record.event("what", detail=match[2])
    elif line.startswith(WHAT):
        ours = takewhile(lambda text: not _SHELL.match(text), record.lines[:MOST_WHAT])
        text = "\n".join(ours).removeprefix(WHAT).rstrip()
        yield record.event("what", detail=text)
        if text.startswith(_LOCK):
            yield record.event("lock-timeout", detail=text)
    else:
        yield record.event("libc-message", detail=line.rstrip())


def _start() -> Reader:
    return _read


PARSER = Parser(
    id="runtime",
    title="Last words of glibc and of the C++ run-time",
    raw=RawText(
        words=(
            *(b"terminate called", b"what():", b"virtual method called", b"libc++abi: "),
            *(b"*** ", b"Fatal glibc", b"The futex facility", b"' failed."),
            *(b"free(", b"malloc", b"alloc(): ", b"corrupt", b"tcache_", b"_chunk(): "),
            *(b"invalid fastbin", b"break adjusted"),
        ),
        begins=_begins,
        ends=lambda line: not line.startswith(WHAT) and _begins(line),
    ),
    start=_start,
)
