"""A function found, when it returned, that its stack frame had been overwritten."""

from evdiag.analyze.causes._aborts import (
    aborted,
    by,
    caller,
    confidence,
    evidence,
    libc_frame,
    text_of,
)
from evdiag.analyze.causes._examples import LIBC, PROGRAM, aborting, sent
from evdiag.analyze.causes._faults import SANITIZER
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SI_USER, SIGABRT
from evdiag.parse.abort_message import STACK_SMASH

FUNCTIONS = ("__stack_chk_fail", "__stack_chk_fail_local")

MESSAGE = "*** stack smashing detected ***: terminated"
FRAMES = (
    ("abort", LIBC),
    ("__GI___fortify_fail", LIBC),
    ("__stack_chk_fail", LIBC),
    ("copy_id(char const*)", PROGRAM),
)


def check(facts: CrashFacts) -> Cause | None:
    """Recognise the stack protector by its text, or by its frame in libc."""
    if not aborted(facts):
        return None
    text = text_of(facts)
    if not text.startswith(STACK_SMASH) and (text or libc_frame(facts, FUNCTIONS) is None):
        return None
    victim = caller(facts)
    named = by(victim, " of ") or " of a function"
    return Cause(
        cls="stack-smash",
        summary=f"something wrote beyond the end of an array in the stack frame{named}",
        confidence=confidence(facts),
        evidence=evidence(
            facts, "noticed when the function returned: its frame, and those below, may be wrong"
        ),
        advice=(
            f"Look at the arrays of that function{by(victim, ', ')}, and at what is copied into "
            "them, there or in functions that it calls.",
            SANITIZER,
        ),
    )


RULE = Rule(
    id="stack-smash",
    title="Overwritten stack frame",
    explanation=(
        "With -fstack-protector, a function with arrays puts a secret number behind them and "
        "compares it before it returns. If it is another one, __stack_chk_fail in libc ends the "
        "program. The function that called it is the victim; its variables, and the return "
        "addresses behind, may be overwritten."
    ),
    classes=("stack-smash",),
    check=check,
    matches=(
        (aborting(MESSAGE), "stack-smash"),
        (aborting(MESSAGE, *FRAMES), "stack-smash"),
        (aborting(None, *FRAMES), "stack-smash"),
        (aborting("*** stack smashing detected ***: ./app terminated"), "stack-smash"),
    ),
    misses=(
        aborting(),
        aborting("double free or corruption (out)", *FRAMES),
        aborting(None, ("abort", LIBC), ("__stack_chk_fail", PROGRAM)),
        sent(SIGABRT, SI_USER, 1, frames=aborting(None, *FRAMES).frames),
    ),
)
