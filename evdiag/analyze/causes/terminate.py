"""std::terminate without an exception: a running thread was destroyed, or the program called it."""

from evdiag.analyze.causes._aborts import by
from evdiag.analyze.causes._examples import PROGRAM, aborting, sent
from evdiag.analyze.causes._thrown import (
    ABORT,
    CALLER,
    HANDLER,
    HIDDEN,
    PURE,
    RETHROW,
    TERMINATE,
    THROW,
    THROWN,
    ended_itself,
    others,
    quoted,
    reached,
    said,
    signal_lines,
    terminated,
    virtual_call,
)
from evdiag.analyze.terminate import Ending, function_of
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.report import Frame
from evdiag.model.signals import SI_TKILL, SIGSEGV

THREAD_MEMBERS = ("std::thread::~thread", "std::thread::operator=", "~thread")
"""They call std::terminate where the thread has neither been joined nor detached (std::thread in
bits/std_thread.h). The last is the name of the first where it was inlined."""

_ADVICE = {
    "joinable thread": (
        "Join the std::thread, or detach it, before it is destroyed or assigned to, also on the "
        "ways out that an exception takes; std::jthread does so by itself."
    ),
    "rethrow without exception": (
        "`throw;` is only allowed while an exception is being handled: look at how the function "
        "can be reached from elsewhere."
    ),
}
_CALLED = "The first frame of your own code is where std::terminate was called."


def check(facts: CrashFacts) -> Cause | None:
    """Recognise std::terminate on the stack, or its words in the log, without an exception."""
    end = reached(facts)
    printed = said(facts)
    by_log = end is None and printed is not None and printed.type is None
    if not ended_itself(facts) or (end is None and not by_log) or virtual_call(facts):
        return None
    if end is not None and end.how not in ("called", "unclear", "rethrown"):
        return None
    reason = _reason(facts, end)
    lines = ["the thread handles no exception"] if not facts.words.exceptions and end else []
    if printed is not None:
        lines.append(f"the log says at {printed.where} that std::terminate was called")
    return Cause(
        cls="terminate",
        summary=_summary(facts, end, reason),
        confidence="high" if end is not None and end.how != "unclear" else "medium",
        evidence=(*lines, *others(facts.words.exceptions), *signal_lines(facts)),
        advice=(_ADVICE.get(reason or "", _CALLED),),
        detail=reason,
    )


def _reason(facts: CrashFacts, end: Ending | None) -> str | None:
    if end is None:
        return None
    if end.how == "rethrown":
        return "rethrow without exception"
    return "joinable thread" if _on_the_way(facts, end.caller) else None


def _on_the_way(facts: CrashFacts, caller: Frame | None) -> bool:
    """Whether a thread's destructor or assignment leads to the call."""
    for frame in facts.frames:
        if function_of(frame) in THREAD_MEMBERS:
            return True
        if frame is caller:
            break
    return False


def _summary(facts: CrashFacts, end: Ending | None, reason: str | None) -> str:
    caller = end.caller if end is not None else None
    if reason == "joinable thread":
        return f"a std::thread that still runs was destroyed or assigned to{by(caller, ' in ')}"
    if reason is not None:
        return f"`throw;` where no exception was being handled{by(caller, ', in ')}"
    during = ""
    for thrown in facts.words.exceptions[:1]:
        if thrown.role == "caught":
            during = f" while it handled {quoted(thrown.type, thrown.what)}"
    return f"std::terminate was called{by(caller, ' by ')}{during}"


RULE = Rule(
    id="terminate",
    title="std::terminate without an exception",
    explanation=(
        "std::terminate is on the stack of abort(), but nothing was thrown there: its caller is "
        "the program. Most often that is the destructor of a std::thread that was neither joined "
        "nor detached; `throw;` outside of a handler ends here too. Without names of functions, "
        "two frames of libstdc++ between abort() and the program are taken for it."
    ),
    classes=("terminate",),
    check=check,
    matches=(
        (terminated(ABORT, HANDLER, HIDDEN, TERMINATE, CALLER, uncaught=False), "terminate"),
        (
            terminated(
                ABORT, HANDLER, HIDDEN, TERMINATE, ("std::thread::~thread()", PROGRAM), CALLER
            ),
            "terminate",
        ),
        (terminated(ABORT, HIDDEN, HIDDEN, CALLER, uncaught=False), "terminate"),
        (terminated(ABORT, TERMINATE, RETHROW, CALLER, uncaught=False), "terminate"),
        (terminated(log=(("terminate", None),)), "terminate"),
    ),
    misses=(
        aborting(),
        terminated(ABORT, CALLER),
        terminated(ABORT, TERMINATE, THROW, CALLER, exceptions=(THROWN,), uncaught=True),
        terminated(ABORT, TERMINATE, PURE, CALLER),
        terminated(
            log=(("libc-message", "pure virtual method called"), ("terminate", None)),
        ),
        sent(SIGSEGV, SI_TKILL, None),
    ),
)
