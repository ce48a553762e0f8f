"""A C++ exception that nobody caught, or that met a function which lets none out."""

from evdiag.analyze.causes._aborts import by
from evdiag.analyze.causes._examples import LIBC, PROGRAM, aborting, sent
from evdiag.analyze.causes._thrown import (
    ABORT,
    CALLER,
    HANDLER,
    HIDDEN,
    PERSONALITY,
    RETHROW,
    TERMINATE,
    THROW,
    THROWN,
    UNWIND,
    Said,
    ended_itself,
    others,
    quoted,
    reached,
    said,
    signal_lines,
    terminated,
)
from evdiag.analyze.terminate import Ending
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.report import CxxException
from evdiag.model.signals import SI_TKILL, SI_USER, SIGABRT, SIGSEGV

CALLED = ("called", "pure")
"""Ways to std::terminate that need no exception, whatever is alive or was printed."""
GUARD = "__clang_call_terminate"
"""clang calls this in the noexcept function itself, when all frames below it are gone."""


def check(facts: CrashFacts) -> Cause | None:
    """Recognise it by the exception in memory, else by the stack, else by the log."""
    end = reached(facts)
    if not ended_itself(facts) or (end is not None and end.how in CALLED):
        return None
    printed = said(facts)
    words = facts.words
    for thrown in words.exceptions[:1]:
        confirmed = printed is not None and printed.type and _agree(thrown, printed)
        if words.uncaught or (words.uncaught is None and confirmed):
            return _found(facts, end, thrown, printed)
    printed = printed if printed is not None and printed.type else None
    threw = end is not None and end.how in ("thrown", "forbidden")
    again = end is not None and end.how == "rethrown" and words.uncaught is not False
    by_log = printed is not None and words.message is None and words.uncaught is not False
    if not (threw or again or by_log):
        return None
    kind = printed.type if printed is not None else None
    text = printed.what if printed is not None else None
    searched = bool(facts.regions)  # without a core there is nothing to search
    missing = ("the exception itself was not found in memory",) if searched else ()
    return _cause(facts, end, (kind, text), "medium", (*missing, *_printed(printed)))


def _found(
    facts: CrashFacts, end: Ending | None, thrown: CxxException, printed: Said | None
) -> Cause:
    """The verdict where memory has the exception."""
    words = facts.words
    kind, text = thrown.type, thrown.what
    agrees = printed is None or _agree(thrown, printed)
    if printed is not None and agrees:
        kind, text = kind or printed.type, text if text is not None else printed.what
    lines = list(words.evidence)
    if thrown.bases:
        lines.append(f"derived from {', '.join(thrown.bases)}")
    if printed is not None:
        verdict = "agrees" if agrees else "contradicts this"
        lines += [f"{line}: it {verdict}" for line in _printed(printed)]
    lines += others(words.exceptions[1:])
    sure = end is not None and agrees
    return _cause(facts, end, (kind, text), "high" if sure else "medium", tuple(lines))


def _agree(thrown: CxxException, printed: Said) -> bool:
    """Whether log and memory tell the same; what one of them does not tell, is no difference."""
    kinds = None in (thrown.type, printed.type) or thrown.type == printed.type
    if not thrown.what or not printed.what:
        return kinds
    # the log may have cut the text, or lost bytes that are no text
    length = min(len(thrown.what), len(printed.what))
    return kinds and thrown.what[: length // 2] == printed.what[: length // 2]


def _printed(printed: Said | None) -> tuple[str, ...]:
    if printed is None:
        return ()
    return (f"the log has {quoted(printed.type, printed.what)} at {printed.where}",)


def _cause(
    facts: CrashFacts,
    end: Ending | None,
    exception: tuple[str | None, str | None],
    confidence: str,
    evidence: tuple[str, ...],
) -> Cause:
    kind, text = exception
    return Cause(
        cls="uncaught-exception",
        summary=f"uncaught exception {quoted(kind, text)}{_where(facts, end)}",
        confidence=confidence,
        evidence=(*evidence, *signal_lines(facts)),
        advice=_advice(end),
        detail=kind,
    )


def _where(facts: CrashFacts, end: Ending | None) -> str:
    """Who threw, and who would not let it pass, to be appended."""
    if end is None:
        return ""
    thrown = ""
    if end.threw:
        thrown = by(end.caller, ", thrown again in " if end.how == "rethrown" else ", thrown in ")
    if end.how != "forbidden":
        return thrown
    if any(other.role == "thrown" for other in facts.words.exceptions):
        return f"{thrown}, while another exception was on its way to a handler"
    guard = by(end.caller, ": ") if GUARD in end.functions else ""
    return f"{thrown}; it could not leave a noexcept function{guard}"


def _advice(end: Ending | None) -> tuple[str, ...]:
    if end is not None and end.how == "forbidden":
        return (
            "An exception may not leave a function that is noexcept, a destructor, or a handler "
            "that runs while another exception is on its way: catch it inside.",
        )
    return (
        "Catch it where the program can go on, at the latest in the function that a thread "
        "starts with: an exception that leaves a thread ends the process.",
    )


EXCEPTION = (THROWN,)
STACK = (ABORT, HANDLER, HIDDEN, TERMINATE, THROW, CALLER)

RULE = Rule(
    id="uncaught-exception",
    title="Uncaught C++ exception",
    explanation=(
        "libstdc++ keeps the exception when it calls std::terminate, so its type and text are "
        "read from memory: by the thread's own list (`__cxa_get_globals`) and by a search for the "
        "mark of libstdc++'s exceptions (unwind-cxx.h). That it ended the process is what the "
        "stack says: `__cxa_throw`, `__cxa_rethrow` or the personality routine below "
        "std::terminate. An exception that is merely being handled while the program calls abort() "
        "or std::terminate itself does not count. What libstdc++ printed to the log is compared, "
        "and used where memory has nothing."
    ),
    classes=("uncaught-exception",),
    check=check,
    matches=(
        (terminated(*STACK, exceptions=EXCEPTION, uncaught=True), "uncaught-exception"),
        (terminated(exceptions=EXCEPTION, uncaught=True), "uncaught-exception"),
        (terminated(*STACK), "uncaught-exception"),
        (
            terminated(ABORT, HIDDEN, HIDDEN, PERSONALITY, UNWIND, THROW, CALLER),
            "uncaught-exception",
        ),
        (
            terminated(
                ABORT, HIDDEN, TERMINATE, ("__clang_call_terminate", PROGRAM), CALLER,
                exceptions=EXCEPTION, uncaught=True,
            ),
            "uncaught-exception",
        ),
        (terminated(ABORT, TERMINATE, RETHROW, CALLER), "uncaught-exception"),
        (
            terminated(log=(("terminate", "std::logic_error"), ("what", "no route"))),
            "uncaught-exception",
        ),
    ),
    misses=(
        aborting(),
        terminated(ABORT, CALLER, exceptions=EXCEPTION, uncaught=False),
        terminated(ABORT, HANDLER, HIDDEN, TERMINATE, CALLER),
        terminated(
            ABORT, HANDLER, HIDDEN, TERMINATE, CALLER, log=(("terminate", "std::logic_error"),)
        ),
        terminated(ABORT, TERMINATE, RETHROW, CALLER, uncaught=False),
        terminated(log=(("terminate", None),)),
        terminated(log=(("terminate", "std::logic_error"),), uncaught=False),
        aborting("free(): invalid pointer", ("__GI_abort", LIBC), CALLER),
        sent(SIGABRT, SI_USER, 1),
        sent(SIGSEGV, SI_TKILL, None),
    ),
)  # fmt: skip
