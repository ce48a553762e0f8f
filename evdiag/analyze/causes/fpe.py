"""Arithmetic that the processor refused, other than a division by zero."""

from evdiag.analyze.causes._examples import crash, sent
from evdiag.analyze.causes._faults import evidence, is_fault
from evdiag.model.crash import Cause, CrashFacts, InstructionFacts, Rule
from evdiag.model.signals import FPE_INTDIV, SIGFPE, SIGSEGV, code_name


def check(facts: CrashFacts) -> Cause | None:
    """Recognise SIGFPE with its reason: overflowing division, floating-point exceptions."""
    if not is_fault(facts, SIGFPE) or facts.signal is None:
        return None
    code = facts.signal.code
    if code == FPE_INTDIV:
        divisor = facts.instruction.divisor if facts.instruction else None
        by = "" if divisor is None else f" by {divisor}"
        summary = f"an integer division{by} overflowed: its quotient does not fit"
        advice = "The smallest integer divided by -1 is the usual case: check for it."
    else:
        name = code_name(SIGFPE, code) or "a reason that the core does not tell"
        summary = f"an arithmetic operation failed: {name}"
        advice = (
            "Floating-point exceptions end a program only where feenableexcept() or a compiler "
            "option turned them on: look for it, and for the value of the operands."
        )
    return Cause(
        cls="fpe",
        summary=summary,
        confidence="medium" if code is None else "high",
        evidence=evidence(facts),
        advice=(advice,),
    )


RULE = Rule(
    id="fpe",
    title="Arithmetic exception",
    explanation=(
        "SIGFPE that is not a division by zero. FPE_INTDIV with a divisor other than zero is a "
        "quotient that does not fit, such as INT_MIN / -1. The FPE_FLT codes are floating-point "
        "exceptions, which Linux leaves switched off."
    ),
    classes=("fpe",),
    check=check,
    matches=(
        (
            crash(
                SIGFPE,
                FPE_INTDIV,
                0x401136,
                InstructionFacts(text="idiv ecx", kind="divide", divisor=-1),
            ),
            "fpe",
        ),
        (crash(SIGFPE, 3, 0x401136), "fpe"),
        (crash(SIGFPE), "fpe"),
    ),
    misses=(CrashFacts(), crash(SIGSEGV, 1, 0), sent(SIGFPE, -6, 4711)),
)
