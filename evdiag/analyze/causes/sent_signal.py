"""The process was ended by a signal from outside."""

from evdiag.analyze.causes._examples import PID, crash, sent
from evdiag.analyze.causes._faults import handler_lines
from evdiag.model.core import SignalFacts
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import (
    FAULTS,
    SI_KERNEL,
    SI_QUEUE,
    SI_TKILL,
    SI_USER,
    SIGABRT,
    SIGKILL,
    SIGQUIT,
    SIGSEGV,
    SIGXCPU,
    SIGXFSZ,
    describe,
    signal_name,
)

FROM_KERNEL = {
    SIGQUIT: "somebody typed Ctrl-\\ at its terminal",
    SIGKILL: "the kernel killed it, as it does when memory runs out",
    SIGXCPU: "it used up the processor time that its limit allows (ulimit -t)",
    SIGXFSZ: "it wrote a file larger than its limit allows (ulimit -f)",
}
"""Why the kernel sends these signals (signal(7), setrlimit(2), termios(3))."""

BY_PROCESSES = (SI_USER, SI_QUEUE, SI_TKILL)
"""The codes that come with a sender; other codes below 0 are the process's own timers."""


def check(facts: CrashFacts) -> Cause | None:
    """Recognise a signal that the process neither caused nor sent."""
    signal = facts.signal
    if signal is None or not signal.number:
        return None
    who = _sender(facts, signal)
    if who is None:
        return None
    name = signal_name(signal.number)
    compared = facts.pid is not None and signal.sender_pid is not None
    return Cause(
        cls="sent-signal",
        summary=f"the process was ended by {name}: {who}; it did not crash by itself",
        confidence="high" if compared or signal.code == SI_KERNEL else "medium",
        evidence=(describe(signal), *handler_lines(facts)),
        advice=(
            "Ask who sends this signal: a supervisor, a watchdog, a person. If it was sent "
            "because the process hung, look at what its threads wait for.",
        ),
    )


def _sender(facts: CrashFacts, signal: SignalFacts) -> str | None:
    """Who sent the signal, in words; None if the process did, or the kernel for a fault."""
    if signal.code is None or signal.code > 0:
        if signal.number in FAULTS or signal.number == SIGABRT:
            return None
        if signal.code is None:
            return "the core does not tell who sent it"
        return FROM_KERNEL.get(signal.number, "the kernel sent it")
    by_itself = facts.pid is not None and signal.sender_pid == facts.pid
    if by_itself or signal.code not in BY_PROCESSES:
        return None
    if signal.sender_pid == 0:
        return "it was sent from outside of its container (PID namespace)"
    if signal.code == SI_TKILL and (facts.pid is None or signal.sender_pid is None):
        return None  # tgkill() is what a process sends signals to its own threads with
    if signal.sender_pid is None:
        return "a process sent it"
    return f"process {signal.sender_pid} sent it"


RULE = Rule(
    id="sent-signal",
    title="Signal from outside",
    explanation=(
        "A code of 0 or less says that a process sent the signal; si_addr then means nothing and "
        "its bytes hold the sender. Process 0 is how the kernel shows a sender that has no number "
        "in the process's own PID namespace: the host, or another container. SIGQUIT, SIGTERM and "
        "the like from the kernel are in this class too."
    ),
    classes=("sent-signal",),
    check=check,
    matches=(
        (sent(SIGSEGV, SI_USER, 99), "sent-signal"),
        (sent(SIGSEGV, SI_USER, 0), "sent-signal"),
        (sent(SIGSEGV, SI_USER, None), "sent-signal"),
        (sent(SIGABRT, SI_USER, 1), "sent-signal"),
        (sent(SIGABRT, SI_TKILL, 1), "sent-signal"),
        (crash(SIGQUIT, SI_KERNEL), "sent-signal"),
        (crash(1, SI_KERNEL), "sent-signal"),
        (crash(15), "sent-signal"),
    ),
    misses=(
        CrashFacts(),
        sent(SIGSEGV, SI_USER, PID),
        sent(SIGSEGV, SI_TKILL, None),
        sent(14, -2, 3),
        crash(SIGSEGV, 1, 0),
        crash(SIGABRT),
    ),
)
