"""The process sent itself the signal that ended it, without a fault."""

from evdiag.analyze.causes._examples import PID, crash, instruction, load, sent
from evdiag.analyze.causes._faults import handler_lines, passed_on
from evdiag.analyze.causes.sent_signal import BY_PROCESSES, FROM_KERNEL
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.report import Frame
from evdiag.model.signals import (
    SI_TKILL,
    SI_USER,
    SIGABRT,
    SIGFPE,
    SIGSEGV,
    SIGXFSZ,
    describe,
    signal_name,
)


def check(facts: CrashFacts) -> Cause | None:
    """Recognise raise(), kill() to itself, an own timer, and handlers that pass a signal on."""
    signal = facts.signal
    if signal is None or signal.code is None or signal.code > 0 or signal.number == SIGABRT:
        return None
    sender, own = signal.sender_pid, facts.pid
    certain = sender is not None and sender == own
    likely = signal.code == SI_TKILL and (own is None or sender is None)
    of_its_own = signal.code not in BY_PROCESSES
    if not signal.number or not (certain or likely or of_its_own) or passed_on(facts):
        return None
    handler = handler_lines(facts)
    name = signal_name(signal.number)
    advice = "Look at the first frame of your own code: it, or a library it calls, raised it."
    if signal.number == SIGXFSZ:  # the kernel sends it in the name of who writes too much
        why = FROM_KERNEL[SIGXFSZ]
    elif handler:
        why = "a signal handler was running, which probably passed on what it was called for"
        advice = "Look at the frame below the handler: there the first signal struck."
    else:
        why = "no fault caused the signal"
    return Cause(
        cls="raised-signal",
        summary=f"the process sent itself {name}: {why}",
        confidence="high" if certain or of_its_own else "medium",
        evidence=(describe(signal), *handler),
        advice=(advice,),
    )


RULE = Rule(
    id="raised-signal",
    title="Signal from itself",
    explanation=(
        "raise(SIGSEGV), kill(getpid(), ...) and a crash handler that passes the signal on all "
        "give a code of 0 or less with the process itself as the sender. The address in the core "
        "is then no fault address. If the program counter is at an instruction that must fail, a "
        "handler passed the signal on after a fault, and the rules about faults decide. Timers "
        "and message queues (SI_TIMER, SI_MESGQ, ...) were set up by the process too. abort() "
        "has a class of its own."
    ),
    classes=("raised-signal",),
    check=check,
    matches=(
        (sent(SIGSEGV, SI_TKILL, PID), "raised-signal"),
        (sent(SIGFPE, SI_TKILL, None), "raised-signal"),
        (sent(SIGSEGV, SI_USER, PID), "raised-signal"),
        (sent(SIGXFSZ, SI_USER, PID), "raised-signal"),
        (sent(14, -2, 3), "raised-signal"),
        (
            sent(SIGSEGV, SI_TKILL, PID, frames=(Frame(level=2, kind="signal"),)),
            "raised-signal",
        ),
    ),
    misses=(
        CrashFacts(),
        crash(0, 0),
        sent(SIGSEGV, SI_USER, 99),
        sent(SIGSEGV, SI_TKILL, 99),
        sent(SIGABRT, SI_TKILL, PID),
        crash(SIGSEGV, 1, 0),
        crash(SIGSEGV),
        sent(SIGSEGV, SI_TKILL, PID, instruction("mov rax, [rax + 8]", load(8, ("rax", 0)))),
    ),
)
