"""What the rules about std::terminate share: the words of the log, exceptions in a sentence."""

import msgspec

from evdiag.analyze.causes._aborts import aborted
from evdiag.analyze.causes._examples import LIBC, PROGRAM, aborting
from evdiag.analyze.causes._faults import handler_lines
from evdiag.analyze.names import clip
from evdiag.analyze.rtti import BUILTIN, short
from evdiag.analyze.terminate import Ending, ending
from evdiag.model.crash import CrashFacts, LastWords
from evdiag.model.logs import LogEvent, LogFacts
from evdiag.model.report import CxxException
from evdiag.model.signals import describe

LIBSTDCXX = "/usr/lib/libstdc++.so.6.0.33"
LONGEST_TEXT = 200
"""Letters of what() in a sentence; the report has all of it elsewhere."""
LONGEST_LIST = 3
"""Other exceptions that the evidence names."""
VIRTUAL = ("pure virtual method called", "deleted virtual method called")
"""What libstdc++ prints (libsupc++/pure.cc)."""


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What libstdc++ has printed about an exception, as the log has it."""

    type: str | None
    what: str | None
    where: str


def reached(facts: CrashFacts) -> Ending | None:
    """How std::terminate came to be called, by the stack."""
    return ending(facts.frames)


def ended_itself(facts: CrashFacts) -> bool:
    """Whether the process ended by abort(), or std::terminate is on the stack."""
    return aborted(facts) or reached(facts) is not None


def said(facts: CrashFacts) -> Said | None:
    """What the log has of std::terminate: the last time, with the text that follows."""
    if facts.log is None:
        return None
    events = facts.log.events
    last = max((i for i, event in enumerate(events) if event.kind == "terminate"), default=None)
    if last is None:
        return None
    told = events[last]
    text = next((event.detail for event in events[last:] if event.kind == "what"), None)
    kind = short(told.detail) if told.detail else None
    return Said(type=kind, what=text, where=f"{told.source}:{told.line}")


def virtual_call(facts: CrashFacts) -> LogEvent | None:
    """The record that a virtual function was called that is not there."""
    events = facts.log.of("libc-message") if facts.log is not None else ()
    return next((e for e in reversed(events) if (e.detail or "").startswith(VIRTUAL)), None)


def quoted(kind: str | None, text: str | None) -> str:
    """An exception in a sentence: `std::runtime_error: "no route"`, `int 17`."""
    name = kind or "of unknown type"
    if text and name in BUILTIN.values():
        return f"{name} {clip(text, LONGEST_TEXT)}"
    return f'{name}: "{clip(text, LONGEST_TEXT)}"' if text else name


def others(exceptions: tuple[CxxException, ...]) -> tuple[str, ...]:
    """Evidence about the other exceptions that are alive."""
    named = [f"{quoted(e.type, e.what)} ({e.role})" for e in exceptions[:LONGEST_LIST]]
    more = ["more"] if len(exceptions) > LONGEST_LIST else []
    return (f"also alive: {', '.join(named + more)}",) if named else ()


def signal_lines(facts: CrashFacts) -> tuple[str, ...]:
    """The signal, as evidence."""
    return (describe(facts.signal), *handler_lines(facts))


# -- examples

THROWN = CxxException(
    type="types::LimitExceeded",
    what="connector 2",
    bases=("std::runtime_error", "std::exception"),
    role="uncaught",
)
ABORT = ("__GI_abort", LIBC)
HANDLER = ("__gnu_cxx::__verbose_terminate_handler()", LIBSTDCXX)
HIDDEN = ("", LIBSTDCXX)
TERMINATE = ("std::terminate()", LIBSTDCXX)
THROW = ("__cxa_throw", LIBSTDCXX)
RETHROW = ("__cxa_rethrow", LIBSTDCXX)
PURE = ("__cxa_pure_virtual", LIBSTDCXX)
CALLER = ("charging::limit(int)", PROGRAM)
PERSONALITY = ("__gxx_personality_v0", LIBSTDCXX)
UNWIND = ("_Unwind_RaiseException", "/lib/libgcc_s.so.1")


def terminated(
    *functions: tuple[str, str | None],
    exceptions: tuple[CxxException, ...] = (),
    uncaught: bool | None = None,
    log: tuple[tuple[str, str | None], ...] | None = None,
) -> CrashFacts:
    """The example process ended by std::terminate; the log as (kind, detail) of its events."""
    facts = aborting(None, *functions)
    words = LastWords(uncaught=uncaught, exceptions=exceptions)
    events = tuple(
        LogEvent(kind=kind, source="everest.log", line=i + 1, text="", detail=detail)
        for i, (kind, detail) in enumerate(log or ())
    )
    found = LogFacts(events=events) if log is not None else None
    return msgspec.structs.replace(facts, words=words, log=found)
