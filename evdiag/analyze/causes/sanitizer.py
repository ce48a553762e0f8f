"""A sanitizer found a mistake and ended the program."""

import re

import msgspec

from evdiag.analyze.causes._aborts import aborted
from evdiag.analyze.causes._examples import PID, crash, sent
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.logs import LogEvent, LogFacts, SanitizerReport
from evdiag.model.report import Frame
from evdiag.model.signals import SI_TKILL, SIGABRT, SIGSEGV, describe

TOOLS = {
    "asan": "AddressSanitizer",
    "hwasan": "HWAddressSanitizer",
    "lsan": "LeakSanitizer",
    "msan": "MemorySanitizer",
    "tsan": "ThreadSanitizer",
    "ubsan": "UndefinedBehaviorSanitizer",
}
GOES_ON = {"UndefinedBehaviorSanitizer", "ThreadSanitizer", "LeakSanitizer"}
"""By default they report and let the program run, so an old report need not be why it died."""

ABORTED = "ABRT"
"""With handle_abort=1 the tools report every abort(): then they are only the messenger."""

DEADLY = "deadly signal"
"""The tool's handler for SIGSEGV and the like: what it reports is in the log only."""

_NAMESPACE = re.compile(r"__(asan|hwasan|lsan|msan|tsan|ubsan|sanitizer)(?:::|_)")
_MODULE = re.compile(r"(?:lib|libclang_rt\.)(asan|hwasan|lsan|msan|tsan|ubsan)\b")
_LIBC = re.compile(r"(?:libc|libpthread)[.-]")
_ABORT = frozenset({"abort", "raise", "gsignal", "__GI_abort", "__GI_raise", "pthread_kill"})
_CHECK = re.compile(r"__asan_report_(?:exp_)?(load|store)")
_HELPER = re.compile(r"(?:\w+ )?handle[A-Z]\w*")
"""Static functions of `ubsan_handlers.cpp`, which are in no namespace."""
_UNDEFINED = re.compile(r"__ubsan_handle_(\w+?)(?:_abort|_v1_abort|_v1)?(?:_minimal)?$")
_REPORTS = {
    "ReportDoubleFree": "double-free",
    "ReportFreeNotMalloced": "bad-free",
    "ReportNewDeleteTypeMismatch": "new-delete-type-mismatch",
    "ReportAllocTypeMismatch": "alloc-dealloc-mismatch",
    "ReportMallocUsableSizeNotOwned": "bad-malloc_usable_size",
    "ReportStringFunctionMemoryRangesOverlap": "param-overlap",
    "ReportStringFunctionSizeOverflow": "negative-size-param",
    "ReportAllocationSizeTooBig": "allocation-size-too-big",
    "ReportOutOfMemory": "out-of-memory",
    "ReportODRViolation": "odr-violation",
    "ReportDeadlySignal": DEADLY,
    "ReportRace": "data race",
}
"""Functions of compiler-rt that report one kind of mistake, and the tool's own word for it."""


class _Stack(msgspec.Struct, frozen=True, kw_only=True):
    """What the frames of the run-time tell."""

    tool: str | None
    error: str | None
    access: str | None
    named: bool
    """Its functions have names, so it is known that they report."""


def check(facts: CrashFacts) -> Cause | None:
    """Recognise the report in the log, or the functions that write it on the stack."""
    signal = facts.signal
    if signal is None:
        return None
    by_itself = aborted(facts)
    stack = _reporting(facts.frames) if by_itself else None
    event = _report(facts.log, facts.pid, seen_on_stack=stack is not None)
    if event is not None and event.sanitizer is not None:
        sure = stack is not None or by_itself
        place = f"{event.source}, line {event.line}"
        evidence = (f"the report of {event.sanitizer.tool} is in {place}", describe(signal))
        return cause_of(event.sanitizer, evidence, "high" if sure else "medium")
    if stack is None:
        return None
    tool = stack.tool or "a sanitizer"
    found = f"found {stack.error or 'a mistake'}"
    if stack.error == DEADLY:
        found = "caught the signal of a fault"
    return Cause(
        cls="sanitizer",
        summary=f"{tool} {found} and ended the program",
        confidence="high" if stack.named else "medium",
        evidence=(f"functions of {tool} called abort()", describe(signal)),
        advice=(
            "Read the report that the program wrote to its standard error: it names the mistake. "
            "The first frame of your own code is where it was noticed.",
        ),
        access=stack.access,
        detail=stack.error or stack.tool,
    )


def cause_of(report: SanitizerReport, evidence: tuple[str, ...], confidence: str) -> Cause:
    """The cause that a report tells."""
    access = f" ({report.access})" if report.access else ""
    where = f" in {report.function}" if report.function else ""
    place = f" at {report.file}:{report.line}" if report.file and report.line else ""
    return Cause(
        cls="sanitizer",
        summary=f"{report.tool} found {report.error}{access}{where}{place}",
        confidence=confidence,
        evidence=evidence,
        advice=(
            "Read the whole report in the log: it shows the stack of the mistake, and for memory "
            "where it was allocated and freed.",
        ),
        access=report.access,
        detail=report.error,
    )


def _report(log: LogFacts | None, pid: int | None, *, seen_on_stack: bool) -> LogEvent | None:
    """The last report of this process that can be the reason."""
    for event in reversed(log.of("sanitizer") if log else ()):
        report = event.sanitizer
        if report is None or (report.pid and pid and report.pid != pid):
            continue
        if report.error != ABORTED and (seen_on_stack or report.tool not in GOES_ON):
            return event
    return None


def _reporting(frames: tuple[Frame, ...]) -> _Stack | None:
    """What the run-time of a sanitizer did between the program and abort().

    It must be the caller of abort(): wrappers for pthread_create() and the like are on every
    stack of such a program, further down.
    """
    inner = list(frames)
    while inner and _is_libc(inner[0]):
        del inner[0]
    own: list[tuple[str, str]] = []
    for frame in inner:
        found = _run_time(frame)
        if found is None and own and own[-1][0] == "ubsan" and _HELPER.match(frame.function or ""):
            found = ("ubsan", frame.function or "")
        if found is None:
            break
        own.append(found)
    rest = inner[len(own) :]
    passed_on = bool(rest) and rest[0].kind == "signal" and any(map(_is_libc, rest[1:2]))
    if not own or passed_on:  # a signal handler of the tool, for an abort() of the program
        return None
    names = [name for _, name in own if name]
    tools = [TOOLS[tool] for tool, _ in own if tool in TOOLS]
    checked = next((match for name in names if (match := _CHECK.match(name))), None)
    access = {"load": "read", "store": "write"}[checked[1]] if checked else None
    return _Stack(
        tool=tools[-1] if tools else None,
        error=_error(names, access),
        access=access,
        named=bool(names),
    )


def _is_libc(frame: Frame) -> bool:
    name = (frame.module or "").rpartition("/")[2]
    return _LIBC.match(name) is not None or frame.function in _ABORT


def _run_time(frame: Frame) -> tuple[str, str] | None:
    """The short name of the tool and of the function, if a frame is part of a run-time."""
    function = frame.function or ""
    if match := _NAMESPACE.match(function):
        return match[1], function
    module = _MODULE.match((frame.module or "").rpartition("/")[2])
    # named functions outside of its namespace are wrappers: raise(), free(), operator delete
    return (module[1], function) if module else None


def _error(names: list[str], access: str | None) -> str | None:
    for name in names:
        plain = name.partition("(")[0].rpartition("::")[2]
        if plain in _REPORTS:
            return _REPORTS[plain]
        if match := _UNDEFINED.match(plain):
            return match[1].replace("_", "-")
    return f"a bad {access} of memory" if access else None


def _frames(*functions: str, module: str = "/lib/libasan.so.8") -> tuple[Frame, ...]:
    """The stack of an example: abort(), the run-time, and the program."""
    inner = (Frame(level=0, function="raise"), Frame(level=1, function="abort"))
    outer = tuple(
        Frame(level=level, function=function or None, module=module)
        for level, function in enumerate(functions, 2)
    )
    return (*inner, *outer, Frame(level=9, function="main", module="/opt/app/bin/app"))


def _logged(facts: CrashFacts, tool: str, error: str, pid: int | None = PID) -> CrashFacts:
    """An example with a report in its log."""
    event = LogEvent(
        kind="sanitizer",
        source="everest.log",
        line=7,
        text=f"=={pid}==ERROR: {tool}: {error}",
        pid=pid,
        sanitizer=SanitizerReport(tool=tool, error=error, access="read", pid=pid),
    )
    return msgspec.structs.replace(facts, log=LogFacts(events=(event,)))


_ABORTED = sent(SIGABRT, SI_TKILL, PID)
_DIED = "__sanitizer::Die()"
_UBSAN = "/lib/libubsan.so.1"

RULE = Rule(
    id="sanitizer",
    title="Found by a sanitizer",
    explanation=(
        "AddressSanitizer, UndefinedBehaviorSanitizer, ThreadSanitizer and the like write a "
        "report and end the program; with abort_on_error=1 by abort(), which leaves a core. The "
        "rule looks for the report in the log of the process, and for the functions of the "
        "run-time (`__asan_`, `__ubsan_`, `__tsan_`, `__sanitizer_`, or those of libasan.so and "
        "its kin) that called abort(). Sanitizers that let the program go on after a report "
        "count only with such functions on the stack."
    ),
    classes=("sanitizer",),
    check=check,
    matches=(
        (_logged(_ABORTED, "AddressSanitizer", "heap-use-after-free"), "sanitizer"),
        (_logged(_ABORTED, "AddressSanitizer", "double-free", pid=None), "sanitizer"),
        (
            _logged(
                sent(SIGABRT, SI_TKILL, PID, frames=_frames("__tsan::ReportRace()", _DIED)),
                "ThreadSanitizer",
                "data race",
            ),
            "sanitizer",
        ),
        (_logged(crash(SIGSEGV, 1, 0x18), "AddressSanitizer", "heap-use-after-free"), "sanitizer"),
        (
            sent(
                SIGABRT,
                SI_TKILL,
                PID,
                frames=_frames(_DIED, "__asan::ReportDoubleFree(unsigned long)"),
            ),
            "sanitizer",
        ),
        (
            sent(SIGABRT, SI_TKILL, PID, frames=_frames(_DIED, "__asan_report_store4")),
            "sanitizer",
        ),
        (
            sent(
                SIGABRT,
                SI_TKILL,
                PID,
                frames=_frames(_DIED, "__ubsan_handle_divrem_overflow_abort", module=_UBSAN),
            ),
            "sanitizer",
        ),
        (sent(SIGABRT, SI_TKILL, PID, frames=_frames("", "")), "sanitizer"),
    ),
    misses=(
        CrashFacts(),
        _ABORTED,
        _logged(_ABORTED, "AddressSanitizer", "heap-use-after-free", pid=PID + 1),
        _logged(_ABORTED, "UndefinedBehaviorSanitizer", "division by zero", pid=None),
        _logged(CrashFacts(), "AddressSanitizer", "heap-use-after-free"),
        msgspec.structs.replace(_ABORTED, log=LogFacts()),
        sent(SIGABRT, SI_TKILL, PID, frames=(Frame(level=0, function="raise"),)),
        _logged(_ABORTED, "AddressSanitizer", "ABRT"),
        sent(
            SIGABRT,
            SI_TKILL,
            PID,
            frames=(
                Frame(level=0, function="__sanitizer::Abort()"),
                Frame(level=1, function="__asan::ReportDeadlySignal()"),
                Frame(level=2, kind="signal"),
                Frame(level=3, function="raise"),
            ),
        ),
        # a fault in a program that a sanitizer watches, and an abort() of its own
        crash(SIGSEGV, 1, 0x18, frames=_frames("__asan_memcpy")),
        sent(
            SIGABRT,
            SI_TKILL,
            PID,
            frames=(
                Frame(level=0, function="abort"),
                Frame(level=1, function="main", module="/opt/app/bin/app"),
                Frame(level=2, function="__asan::AsanThread::ThreadStart()"),
            ),
        ),
    ),
)
