"""A function of libc would have written beyond the end of its buffer, and was stopped."""

import re

from evdiag.analyze.causes._aborts import (
    aborted,
    by,
    caller,
    confidence,
    evidence,
    innermost,
    is_libc,
    libc_frame,
    name_in_libc,
    text_of,
)
from evdiag.analyze.causes._examples import LIBC, PROGRAM, aborting, sent
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SI_USER, SIGABRT
from evdiag.parse.abort_message import FORTIFY_TEXTS

OVERFLOW = FORTIFY_TEXTS[0]
CHECKED = re.compile(r"_*([a-z]\w*?)_chk(?:_(?!fail)\w+)?\Z")
"""The checking variants: __strcpy_chk, __memmove_chk_avx_unaligned_erms; but not __chk_fail."""
HEADERS = "/bits/"
"""Where glibc's headers define what the compiler calls instead, for example
bits/string_fortified.h."""

ENDING = (("abort", LIBC), ("__libc_message", LIBC), ("__GI___fortify_fail", LIBC))
COPY = (*ENDING, ("__GI___chk_fail", LIBC), ("__strcpy_chk", LIBC), ("copy(char const*)", PROGRAM))


def check(facts: CrashFacts) -> Cause | None:
    """Recognise the checks of _FORTIFY_SOURCE by their text, or by their frame in libc."""
    if not aborted(facts):
        return None
    text = text_of(facts)
    known = text.startswith(FORTIFY_TEXTS)
    if not known and (text or libc_frame(facts, ("__chk_fail",)) is None):
        return None
    return Cause(
        cls="fortify",
        summary=_summary(facts, text),
        confidence=confidence(facts),
        evidence=evidence(facts),
        advice=(
            "Compare the size of the destination with what is written there, in the frame that "
            "calls libc. Nothing was overwritten yet: the values are those of the moment.",
        ),
        detail=None if not text or text.startswith(OVERFLOW) else _phrase(text),
    )


def _phrase(text: str) -> str:
    """What is between the stars."""
    return text.split("***")[1].strip()


def _summary(facts: CrashFacts, text: str) -> str:
    where = by(caller(facts), ", called by ")
    if text and not text.startswith(OVERFLOW):
        return f"a check of libc failed: {_phrase(text)}{where}"
    return f"{_function(facts)} would have written beyond the end of its buffer{where}"


def _function(facts: CrashFacts) -> str:
    """The function that was called, as the source code calls it."""
    dying = innermost(facts)
    for frame in reversed(dying):
        called = CHECKED.match(name_in_libc(frame)) if is_libc(frame) else None
        if called is not None:
            return f"{called[1]}()"
    following = facts.frames[len(dying) : len(dying) + 1]
    for frame in following:
        if frame.kind == "inline" and HEADERS in (frame.file or "") and frame.function:
            return f"{frame.function.partition('(')[0]}()"
    return "a function of libc"


RULE = Rule(
    id="fortify",
    title="Buffer overflow that libc stopped",
    explanation=(
        "Programs built with _FORTIFY_SOURCE call checking variants of functions such as memcpy() "
        "where the compiler knows the size of the destination. The text says only that an "
        "overflow was detected; the frame in libc named __..._chk tells which function it was, and "
        "its caller is where to look."
    ),
    classes=("fortify",),
    check=check,
    matches=(
        (aborting("*** buffer overflow detected ***: terminated"), "fortify"),
        (aborting("*** buffer overflow detected ***: terminated", *COPY), "fortify"),
        (aborting("*** %n in writable segment detected ***", *COPY), "fortify"),
        (aborting(None, *COPY), "fortify"),
    ),
    misses=(
        aborting(),
        aborting("free(): invalid pointer", *COPY),
        aborting(None, ("abort", LIBC), ("__chk_fail", PROGRAM)),
        aborting(None, ("abort", LIBC), ("__chk_fail_user", LIBC)),
        aborting(None, ("abort", LIBC), ("handler", PROGRAM), ("__chk_fail", LIBC)),
        sent(SIGABRT, SI_USER, 1, frames=aborting(None, *COPY).frames),
    ),
)
