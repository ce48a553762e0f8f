"""No rule knows what happened."""

from evdiag.analyze.causes._examples import crash, instruction, load
from evdiag.analyze.causes._faults import evidence
from evdiag.analyze.places import describe
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SI_KERNEL, SIGSEGV, signal_name


def check(facts: CrashFacts) -> Cause:
    """Say what is known."""
    number = facts.signal.number if facts.signal else 0
    lines = evidence(facts)
    if facts.pc is not None:
        lines = (*lines, f"the program counter {facts.pc:#x} is {describe(facts, facts.pc)}")
    return Cause(
        cls="unknown",
        summary=f"the process was ended by {signal_name(number)}; what led to it is not known",
        confidence="low",
        evidence=lines,
        advice=(
            "Give evdiag the program and libraries of this build (--exe, --sysroot), and look at "
            "the first frame of your own code.",
        ),
    )


RULE = Rule(
    id="unknown",
    title="Unknown",
    explanation=(
        "No other rule matched: the core does not say enough, usually because the instruction is "
        "neither in the core nor in a file of the right build. The evidence lists what is known."
    ),
    classes=("unknown",),
    check=check,
    matches=(
        (crash(SIGSEGV), "unknown"),
        (
            crash(SIGSEGV, SI_KERNEL, 0, instruction("mov rax, [rbx]", load(0x404000))),
            "unknown",
        ),
    ),
    misses=(),
)
