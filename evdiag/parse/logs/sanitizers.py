"""Reports of the sanitizers of gcc and clang, from their text.

Sources: LLVM's compiler-rt, which gcc has a copy of (`lib/asan/asan_errors.cpp`,
`lib/ubsan/ubsan_diag.cpp`, `lib/tsan/rtl/tsan_report.cpp`, `lib/ubsan_minimal`).
"""

import re
from collections.abc import Iterator, Sequence

from evdiag.model.logs import LogEvent, SanitizerReport
from evdiag.parse.logs.records import Parser, RawText, Reader, Record

MOST_FRAMES = 64
"""Frames that are kept of a stack."""

_TOOL = r"(?P<tool>[A-Z][A-Za-z]{1,30}Sanitizer): (?P<error>.*)$"
_BANNER = re.compile(rf"==(?P<pid>\d{{1,9}})==\s?(?:ERROR|WARNING): {_TOOL}")
_THREAD = re.compile(r"(?:WARNING|FATAL): (?P<tool>ThreadSanitizer): (?P<error>.*)$")
_UNDEFINED = re.compile(
    r"(?P<file>[^\s:][^:]{0,4095}):(?P<line>\d{1,9})(?::\d{1,9})?: runtime error: (?P<error>.*)$"
)
_MINIMAL = re.compile(r"ubsan: (?P<error>[a-z][a-z-]{2,60})(?: by 0x[0-9a-f]+)?$")
_FIRST = (_BANNER, _THREAD, _UNDEFINED, _MINIMAL)
_SUMMARY = re.compile(r"SUMMARY: [A-Z][A-Za-z]{1,30}Sanitizer: (?P<error>\S+)")
_FRAME = re.compile(r"\s{2,8}#(\d{1,4}) (?:0x[0-9a-fA-F]+ )?(?:in )?(.*)$")
_MODULE = re.compile(r" ?\((?:BuildId: [0-9a-f]+|[^()]*\+0x[0-9a-f]+)\)$")
_PLACE = re.compile(r"^(?P<function>.*?) (?P<file>[^\s:]+):(?P<line>\d{1,9})(?::\d{1,9})?$")
_NO_PLACE = re.compile(r" <null>$")
_ACCESS = re.compile(
    r"(?:==\d+==)?\s*(?:Atomic |The signal is caused by a )?(read|write)\b", re.IGNORECASE
)
_PID = re.compile(r" \(pid=(\d{1,9})\)$")
_NUMBERS = re.compile(r"0x[0-9a-f]+|(?<![\w.])-?\d+(?:\.\d+)?(?:e[+-]?\d+)?(?![\w.]|-bit| byte)")

_PLUMBING = frozenset(
    {"malloc", "free", "calloc", "realloc", "__pthread_kill_implementation", "pthread_kill"}
    | {"__pthread_kill_internal", "raise", "gsignal", "__GI_raise", "abort", "__GI_abort"}
)

_WORDS = (
    ("attempting double-free", "double-free"),
    ("attempting free on address which was not malloc()-ed", "bad-free"),
    ("attempting to call malloc_usable_size()", "bad-malloc_usable_size"),
    ("requested allocation size", "allocation-size-too-big"),
    ("detected memory leaks", "memory leaks"),
)
"""Where the message is a sentence: the word that the tool has for it in its summary."""
_RUN_TIME = ("libsanitizer", "compiler-rt", "sanitizer_common")
_OWN = (
    *("__interceptor_", "__asan", "__ubsan", "__tsan", "__sanitizer", "__lsan", "__msan"),
    *("operator new", "operator delete", "<null>"),
)


def _begins(line: str) -> bool:
    return any(pattern.match(line) for pattern in _FIRST)


def _ends(line: str) -> bool:
    return line.startswith("SUMMARY: ") or _MINIMAL.match(line) is not None


def _unfinished(lines: Sequence[str]) -> bool:
    """Every report but those of UBSan comes to a summary."""
    if _UNDEFINED.match(lines[0]):
        return False
    return not any(line.startswith("SUMMARY: ") for line in lines)


def _joins(line: str) -> bool:
    return _FRAME.match(line) is not None or line.startswith("SUMMARY: ")


def _read(record: Record) -> Iterator[LogEvent]:
    lines = record.lines
    first = next(filter(None, (pattern.match(lines[0]) for pattern in _FIRST)))
    named = first.re in (_BANNER, _THREAD)
    report = _report(first, lines) if named else _undefined_behaviour(first, lines)
    yield record.event("sanitizer", pid=report.pid, detail=report.error, sanitizer=report)


def _undefined_behaviour(first: re.Match[str], lines: Sequence[str]) -> SanitizerReport:
    """UBSan names the place itself, and shows a stack only if it was told to."""
    stack = _first_stack(lines)
    found = first.groupdict()
    return SanitizerReport(
        tool="UndefinedBehaviorSanitizer",
        error=_undefined(found["error"]),
        function=next((function for function, _, _ in map(_place, stack[:1])), None),
        file=found.get("file"),
        line=int(found["line"]) if "line" in found else None,
        stack=stack,
    )


def _report(first: re.Match[str], lines: Sequence[str]) -> SanitizerReport:
    stack = _first_stack(lines)
    found = first.groupdict()
    pid = found.get("pid") or next(iter(_PID.findall(found["error"])), None)
    function, file, line = _culprit(stack)
    return SanitizerReport(
        tool=found["tool"],
        error=_error(found["error"], lines),
        access=_access(lines),
        pid=int(pid) if pid else None,
        function=function,
        file=file,
        line=line,
        stack=stack,
    )


def _undefined(text: str) -> str:
    """What UBSan says, without what differs from run to run."""
    head = text.partition(": ")[0] if "overflow: " in text else text
    return _NUMBERS.sub("N", head)


def _error(text: str, lines: Sequence[str]) -> str:
    for beginning, word in _WORDS:
        if text.startswith(beginning):
            return word
    if _PID.search(text):  # ThreadSanitizer's own words may be several
        return _PID.sub("", text)
    word = text.split(" ", 1)[0].rstrip(":")
    if word == "unknown-crash":
        summary = next((m for line in lines if (m := _SUMMARY.match(line))), None)
        return summary["error"] if summary else word
    return word


def _access(lines: Sequence[str]) -> str | None:
    found = (_ACCESS.match(line) for line in lines[1:8])
    return next((match[1].lower() for match in found if match), None)


def _first_stack(lines: Sequence[str]) -> tuple[str, ...]:
    """Its frames, without addresses, modules and build-ids."""
    found: list[str] = []
    for line in lines[1:]:
        match = _FRAME.match(line)
        if match is None:
            if found:
                break
            continue
        if int(match[1]) != len(found):
            break
        found.append(_tidy(match[2]))
        if len(found) == MOST_FRAMES:
            break
    return tuple(found)


def _tidy(text: str) -> str:
    """`f() /src/a.cpp:3:46 (program+0x1234) (BuildId: 12ab)` without what is in brackets."""
    for _ in range(2):
        shorter = _MODULE.sub("", text)
        if not shorter:  # a frame without a symbol: the module is all there is
            return text.strip("() ")
        text = shorter
    return _NO_PLACE.sub("", text)


def _place(frame: str) -> tuple[str | None, str | None, int | None]:
    match = _PLACE.match(frame)
    if match is None:
        return frame or None, None, None
    return match["function"], match["file"], int(match["line"])


def _culprit(stack: Sequence[str]) -> tuple[str | None, str | None, int | None]:
    """The first frame that is not the sanitizer's."""
    for frame in stack:
        function, file, line = _place(frame)
        own = function is None or function in _PLUMBING or function.startswith(_OWN)
        if not own and not any(word in (file or "") for word in _RUN_TIME):
            return function, file, line
    return None, None, None


def _start() -> Reader:
    return _read


PARSER = Parser(
    id="sanitizers",
    title="Reports of sanitizers",
    raw=RawText(
        words=(b"Sanitizer: ", b": runtime error: ", b"ubsan: "),
        begins=_begins,
        ends=_ends,
        unfinished=_unfinished,
        joins=_joins,
    ),
    start=_start,
)
