"""libc ended the program for another reason, and said which."""

from evdiag.analyze.causes._aborts import aborted, by, caller, confidence, evidence, text_of
from evdiag.analyze.causes._examples import LIBC, PROGRAM, aborting, sent
from evdiag.analyze.names import clip
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SI_USER, SIGABRT
from evdiag.parse.abort_message import plain, without_numbers

LONGEST = 200
FUTEX = "The futex facility returned an unexpected error code."
INTERNAL = "Fatal glibc error: pthread_mutex_lock.c:450 (lock_full): assertion failed: e != ESRCH"


def check(facts: CrashFacts) -> Cause | None:
    """Recognise any text of libc that no other rule knows."""
    text = text_of(facts)
    if not text or not aborted(facts):
        return None
    where = by(caller(facts), ", called by ")
    return Cause(
        cls="abort",
        summary=f"libc ended the program{where}: {clip(plain(text), LONGEST)}".rstrip("."),
        confidence=confidence(facts),
        evidence=evidence(facts),
        advice=(
            "libc gives up where its own data make no sense: look for a mutex, a stream or a "
            "thread that is used after its end, or was overwritten.",
        ),
        detail=without_numbers(text) or None,
    )


RULE = Rule(
    id="libc-fatal",
    title="Message of libc",
    explanation=(
        "Before libc calls abort() on its own account, it leaves a text in memory, where the "
        "private variable __abort_msg points to. Texts that tell a class have rules of their own."
    ),
    classes=("abort",),
    check=check,
    matches=(
        (aborting(FUTEX), "abort"),
        (aborting(INTERNAL, ("abort", LIBC), ("lock(Door&)", PROGRAM)), "abort"),
    ),
    misses=(aborting(), sent(SIGABRT, SI_USER, 1)),
)
