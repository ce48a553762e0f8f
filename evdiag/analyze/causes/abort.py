"""The program ended itself with abort()."""

from evdiag.analyze.causes._aborts import aborted
from evdiag.analyze.causes._examples import PID, crash, sent
from evdiag.analyze.causes._faults import handler_lines
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SI_TKILL, SI_USER, SIGABRT, SIGSEGV, describe


def check(facts: CrashFacts) -> Cause | None:
    """Recognise SIGABRT that the process sent to itself, which is how abort() works."""
    signal = facts.signal
    if signal is None or not aborted(facts):
        return None
    return Cause(
        cls="abort",
        summary="the program ended itself with abort()",
        confidence="medium" if signal.code is None else "high",
        evidence=(describe(signal), *handler_lines(facts)),
        advice=(
            "Read the last lines that the process wrote to its standard error: they usually say "
            "why. The first frame of your own code is where it gave up.",
        ),
    )


RULE = Rule(
    id="abort",
    title="Call of abort()",
    explanation=(
        "abort() sends SIGABRT to its own thread (si_code SI_TKILL). A SIGABRT from another "
        "process, for example a watchdog, is a sent signal. Rules that know why abort() was "
        "called come before this one."
    ),
    classes=("abort",),
    check=check,
    matches=(
        (sent(SIGABRT, SI_TKILL, PID), "abort"),
        (sent(SIGABRT, SI_TKILL, None), "abort"),
        (sent(SIGABRT, SI_USER, PID), "abort"),
        (crash(SIGABRT), "abort"),
    ),
    misses=(
        CrashFacts(),
        sent(SIGABRT, SI_USER, 1),
        sent(SIGABRT, SI_USER, 0),
        sent(SIGSEGV, SI_TKILL, PID),
    ),
)
