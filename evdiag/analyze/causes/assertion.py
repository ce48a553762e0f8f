"""An assertion of the program, or of a library in it, did not hold."""

from evdiag.analyze.causes._aborts import (
    aborted,
    by,
    caller,
    confidence,
    evidence,
    innermost,
    libc_frame,
    text_of,
)
from evdiag.analyze.causes._examples import LIBC, PROGRAM, aborting, sent
from evdiag.analyze.exports import LIBSTDCXX
from evdiag.analyze.names import basename, clip
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.report import Assertion
from evdiag.model.signals import SI_TKILL, SI_USER, SIGABRT, SIGSEGV
from evdiag.parse.abort_message import FATAL, heap_flavour, parse_assertion

FUNCTIONS = ("__assert_fail", "__assert_fail_base", "__assert_perror_fail", "__assert")
LIBSTDCXX_FUNCTION = "std::__glibcxx_assert_fail"
LONGEST = 200
"""Letters of an expression in a sentence."""

MESSAGE = "app: src/meter.cpp:26: double limit(const Meter&): Assertion `power <= 11000' failed."
STACK = (("__GI_abort", LIBC), ("__GI___assert_fail", LIBC), ("limit(Meter const&)", PROGRAM))


def check(facts: CrashFacts) -> Cause | None:
    """Recognise assert() by its text, or by its frame in libc."""
    if not aborted(facts):
        return None
    text = text_of(facts)
    if text.startswith(FATAL) or heap_flavour(text) is not None:
        return None
    broken = parse_assertion(text)
    if broken is None and not _in_assert(facts):
        return None
    return Cause(
        cls="assert",
        summary=_summary(facts, broken),
        confidence=confidence(facts),
        evidence=evidence(facts, *_place(broken), verbatim=broken is None),
        advice=(
            "Look at the values in the frame that asserts: the expression tells what should hold, "
            "not why it does not.",
        ),
        detail=(broken.expression if broken is not None else text) or None,
        assertion=broken,
    )


def _in_assert(facts: CrashFacts) -> bool:
    """Whether the thread died in assert(): its text may be lost, or in another language."""
    if libc_frame(facts, FUNCTIONS) is not None:
        return True
    return any(
        (frame.function or "").startswith(LIBSTDCXX_FUNCTION)
        and basename(frame.module or "").startswith(LIBSTDCXX)
        for frame in innermost(facts)
    )


def _summary(facts: CrashFacts, broken: Assertion | None) -> str:
    if broken is None:
        return f"an assertion failed{by(caller(facts), ' in ')}"
    place = f"{basename(broken.file or '')}:{broken.line}"
    return f"the assertion `{clip(broken.expression or '', LONGEST)}` failed at {place}"


def _place(broken: Assertion | None) -> tuple[str, ...]:
    if broken is None:
        return ()
    function = f" in {broken.function}" if broken.function else ""
    return (f"asserted at {broken.file}:{broken.line}{function}",)


RULE = Rule(
    id="assertion",
    title="Failed assertion",
    explanation=(
        "assert() leaves its text, with file, line, function and expression, in libc's memory. "
        "Without a text, the frame of __assert_fail in libc decides, or that of libstdc++'s "
        "std::__glibcxx_assert_fail, whose text goes to standard error alone. Assertions of malloc "
        "are heap corruption, those of the rest of libc are messages of libc."
    ),
    classes=("assert",),
    check=check,
    matches=(
        (aborting(MESSAGE), "assert"),
        (aborting(MESSAGE, *STACK), "assert"),
        (aborting(None, *STACK), "assert"),
        (aborting("app: Zusicherung »power <= 11000« nicht erfüllt.", *STACK), "assert"),
        (
            aborting(
                None,
                ("abort", LIBC),
                ("std::__glibcxx_assert_fail(char const*, int)", "/usr/lib/libstdc++.so.6.0.33"),
                ("limit(Meter const&)", PROGRAM),
            ),
            "assert",
        ),
    ),
    misses=(
        aborting(),
        aborting(None, ("abort", LIBC), ("__assert_fail", PROGRAM)),
        aborting("free(): invalid pointer", *STACK),
        aborting("app: malloc.c:2617: sysmalloc: Assertion `old_top == top' failed."),
        aborting("Fatal glibc error: pthread_mutex_lock.c:94 (lock): assertion failed: 1"),
        sent(SIGABRT, SI_USER, 1, frames=aborting(MESSAGE, *STACK).frames),
        sent(SIGSEGV, SI_TKILL, None),
    ),
)
