"""Why a process died that left no core: what its log says, as far as that goes."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from evdiag.analyze.causes import explain
from evdiag.analyze.causes.sanitizer import GOES_ON, cause_of
from evdiag.model.core import SignalFacts
from evdiag.model.crash import Cause, CrashFacts
from evdiag.model.logs import ExitStatus, LogEvent, LogFacts
from evdiag.model.signals import (
    FAULTS,
    SEGV_ACCERR,
    SEGV_MAPERR,
    SIGABRT,
    SIGKILL,
    SIGSEGV,
    describe,
    signal_name,
)

SIGINT, SIGTERM = 2, 15
TOLD_TO_END = (SIGINT, SIGTERM)
SHELL_BASE = 128
"""A shell, and a container engine, give this plus the number of the signal as exit code."""

LONGEST = 200
"""Letters of an error's text in a sentence."""

LAST_WORDS = ("terminate", "what", "libc-message", "lock-timeout")
ENDS = ("module-exit", "module-stopped", "service-exit")

_SEGFAULT = re.compile(r"segfault at ([0-9a-f]{1,16}) ip .*? error (\d{1,9})")
_DYNAMIC_TYPE = re.compile(r"^Dynamic exception type: (?:boost::wrapexcept<)?([^\n>]{1,300})", re.M)
PROTECTION, WRITE = 1, 2
"""Bits of the page fault's error code: Linux, arch/x86/include/asm/trap_pf.h."""

NO_CORE = (
    "To get a core next time, check /proc/sys/kernel/core_pattern, `ulimit -c` and the free space "
    "where cores go."
)


def from_log(events: Iterable[LogEvent]) -> Cause | None:
    """The cause, from the events of one process; None where they tell of no failure.

    A process that ended as told, by a reset or with its broker, has not failed. Where only its
    status is known, the class is `unknown` and the summary says how it ended.
    """
    told = tuple(events)
    status = next((e.status for e in reversed(told) if e.kind in ENDS and e.status), None)
    signal = _signal(status)
    killed = _oom(told, sure=status is None or signal == SIGKILL)
    if killed is not None:
        return killed
    failed = signal in FAULTS or signal == SIGABRT
    if not failed and any(event.kind in ("reset", "broker-lost") for event in told):
        return None
    return (
        _sanitizer(told, fatal=True)
        or _last_words(told, status)
        or _script(told)
        or _module_error(told)
        or _kernel(told, status)
        or (_sanitizer(told, fatal=False) if failed or signal is None else None)
        or _status(status, signal)
    )


def _signal(status: ExitStatus | None) -> int | None:
    """The signal that ended it, also where a shell stood in between."""
    if status is None or status.signal is not None or status.code is None:
        return status.signal if status else None
    number = status.code - SHELL_BASE
    return number if number in {*FAULTS, SIGABRT, SIGKILL, *TOLD_TO_END} else None


def _last(events: Sequence[LogEvent], *kinds: str) -> LogEvent | None:
    return next((event for event in reversed(events) if event.kind in kinds), None)


def _at(event: LogEvent) -> str:
    return f"{event.source}, line {event.line}"


def _oom(events: Sequence[LogEvent], *, sure: bool) -> Cause | None:
    event = _last(events, "oom")
    if event is None:
        return None
    group = "cgroup" in event.text.lower() or "MEMCG" in event.text
    whose = "the memory limit of its container or cgroup" if group else "all memory of the machine"
    return Cause(
        cls="oom-killed",
        summary=f"the kernel killed it for want of memory: {whose} was used up",
        confidence="high" if sure else "medium",
        evidence=(f"the kernel says so in {_at(event)}: {_short(event.text)}",),
        advice=(
            "Look how its memory grew before, and give the container more (--memory), or find the "
            "leak; whoever is killed need not be who used most.",
        ),
    )


def _sanitizer(events: Sequence[LogEvent], *, fatal: bool) -> Cause | None:
    """The report that ends a program by default, or one that need not have ended it."""
    for event in reversed(events):
        report = event.sanitizer
        if report is not None and (report.tool not in GOES_ON) is fatal:
            evidence = (f"the report of {report.tool} is in {_at(event)}",)
            return cause_of(report, evidence, "high" if fatal else "low")
    return None


def _last_words(events: Sequence[LogEvent], status: ExitStatus | None) -> Cause | None:
    """What libc or the C++ run-time said: the rules for cores know what it means."""
    said = [event for event in events if event.kind in LAST_WORDS]
    ended = _signal(status)
    if not said or (status is not None and ended != SIGABRT):
        return None
    signal = SignalFacts(number=SIGABRT)
    _, cause = explain(CrashFacts(signal=signal, log=LogFacts(events=tuple(events))))
    without_core = [line for line in cause.evidence if line != describe(signal)]
    return msgspec.structs.replace(
        cause,
        confidence="medium",
        evidence=(*without_core, _ending(status)),
    )


def _script(events: Sequence[LogEvent]) -> Cause | None:
    event = _last(events, "script")
    if event is None or event.script is None:
        return None
    failure = event.script
    language = {"python": "Python", "node": "Node.js"}.get(failure.language, failure.language)
    text = f": {_short(failure.message)}" if failure.message else ""
    where = f" in {failure.stack[0]}" if failure.stack else ""
    return Cause(
        cls="uncaught-exception",
        summary=f"uncaught {failure.error} of {language}{where}{text}".rstrip("."),
        confidence="high",
        evidence=(f"its stack is in {_at(event)}",),
        advice=("Read the whole stack in the log; such a module leaves no core.",),
        detail=failure.error,
    )


def _module_error(events: Sequence[LogEvent]) -> Cause | None:
    event = _last(events, "module-error")
    if event is None:
        return None
    kind = _DYNAMIC_TYPE.search(event.text)
    what = _short(event.detail or event.text)
    return Cause(
        cls="uncaught-exception",
        summary=f"an exception ended the module: {what}".rstrip("."),
        confidence="high",
        evidence=(f"EVerest caught it at the end, in {_at(event)}",),
        advice=(
            "Most often the configuration of the module is wrong, or what it needs is not there. "
            "It leaves no core.",
        ),
        detail=kind[1].strip() if kind else None,
    )


def _kernel(events: Sequence[LogEvent], status: ExitStatus | None) -> Cause | None:
    """The kernel's own line about a fault: of the address it can tell a null pointer."""
    event = _last(events, "kernel-fault")
    if event is None:
        return None
    line = (f"the kernel says in {_at(event)}: {_short(event.text)}", _ending(status))
    found = _SEGFAULT.search(event.text)
    if found is not None:
        error = int(found[2])
        code = SEGV_ACCERR if error & PROTECTION else SEGV_MAPERR
        signal = SignalFacts(number=SIGSEGV, code=code, address=int(found[1], 16))
        _, cause = explain(CrashFacts(signal=signal))
        if cause.cls == "null-access":
            access = "write" if error & WRITE else "read"
            said = {"write": "wrote to", "read": "read from"}[access]
            return msgspec.structs.replace(
                cause,
                cls=f"null-{access}",
                summary=cause.summary.replace("touched", said, 1),
                confidence="medium",
                evidence=(*cause.evidence, *line),
                access=access,
            )
    return Cause(
        cls="unknown",
        summary=f"ended by a fault: {event.detail}; no core",
        confidence="low",
        evidence=line,
        advice=(NO_CORE,),
    )


def _status(status: ExitStatus | None, signal: int | None) -> Cause | None:
    """What is left: how it ended, without a reason."""
    if status is None or status.code == 0 or signal in TOLD_TO_END:
        return None
    advice = NO_CORE
    if signal == SIGKILL:
        advice = (
            "Somebody killed it: a supervisor that lost its patience, or the kernel for want of "
            "memory; the kernel's log (dmesg) tells, and the state of the container."
        )
    elif signal is None:
        advice = "It ended itself: read the last lines that it wrote to its log."
    return Cause(
        cls="unknown",
        summary=f"{_ending(status)}; what led to it is not known",
        confidence="low",
        evidence=("no core, and nothing in the log but its status",),
        advice=(advice,),
    )


def _ending(status: ExitStatus | None) -> str:
    """The status in words."""
    if status is None:
        return "no core; it is not told how it ended"
    if status.signal is not None:
        lost = "; a core was dumped, but is not at hand" if status.core_dumped else "; no core"
        return f"ended with {signal_name(status.signal)}{lost}"
    return f"ended with exit code {status.code}"


def _short(text: str) -> str:
    """The first line of a text, not too long."""
    line = text.strip().partition("\n")[0]
    return line if len(line) <= LONGEST else f"{line[: LONGEST - 1]}…"
