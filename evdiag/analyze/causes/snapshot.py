"""No crash: a core of a process that went on living."""

from evdiag.analyze.causes._examples import crash, sent
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import (
    SI_USER,
    SIGSEGV,
    SIGSTOP,
    SIGTRAP,
    SIGTSTP,
    SIGTTIN,
    SIGTTOU,
    describe,
)

STOPS = (SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU)
"""Signals that stop a process and can never end it."""


def check(facts: CrashFacts) -> Cause | None:
    """Recognise the cores that `gcore` and debuggers write of a living process."""
    signal = facts.signal
    if signal is not None and signal.number:
        stopped = signal.number in STOPS
        # A debugger that attached or stepped: SIGTRAP that nobody sent and no trap caused.
        held = signal.number == SIGTRAP and signal.code == SI_USER and not signal.sender_pid
        if not stopped and not held:
            return None
    return Cause(
        cls="snapshot",
        summary="this is a snapshot of a living process, not a crash",
        evidence=(f"{describe(signal)}: nothing that ends a process",),
        advice=("If the process hung, look at what its threads wait for.",),
    )


RULE = Rule(
    id="snapshot",
    title="Snapshot of a living process",
    explanation=(
        "gcore, gdb's generate-core-file and other dumpers write cores of processes that go on "
        "running. Such a core names no signal, a signal that only stops (SIGSTOP, SIGTSTP, "
        "SIGTTIN, SIGTTOU), or SIGTRAP with si_code 0 and no sender, which is what an attached "
        "debugger leaves."
    ),
    classes=("snapshot",),
    check=check,
    matches=(
        (CrashFacts(), "snapshot"),
        (crash(0, 0), "snapshot"),
        (crash(SIGSTOP, 0, 0), "snapshot"),
        (sent(SIGTRAP, SI_USER, 0), "snapshot"),
    ),
    misses=(crash(SIGSEGV, 1, 0), crash(SIGTRAP, 0x80, 0), sent(SIGTRAP, SI_USER, 99)),
)
