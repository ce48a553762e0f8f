"""An integer was divided by zero."""

from evdiag.analyze.causes._examples import PID, crash, instruction, sent
from evdiag.analyze.causes._faults import evidence, is_fault
from evdiag.model.crash import Cause, CrashFacts, InstructionFacts, Rule
from evdiag.model.signals import FPE_INTDIV, SI_TKILL, SIGFPE, SIGSEGV


def check(facts: CrashFacts) -> Cause | None:
    """Recognise SIGFPE of a division whose divisor is zero, or is not known."""
    if not is_fault(facts, SIGFPE) or facts.signal is None:
        return None
    divisor = facts.instruction.divisor if facts.instruction else None
    if divisor != 0 and (divisor is not None or facts.signal.code != FPE_INTDIV):
        return None
    return Cause(
        cls="int-div-zero",
        summary="an integer was divided by zero",
        confidence="high" if divisor == 0 else "medium",
        evidence=evidence(facts),
        advice=("Check the divisor before the division in the first frame.",),
    )


RULE = Rule(
    id="int-div-zero",
    title="Integer division by zero",
    explanation=(
        "x86 raises the same exception for a divisor of zero and for a quotient that does not "
        "fit, and Linux reports both as FPE_INTDIV. The divisor is read from the registers or the "
        "memory that the instruction names. Arm processors do not trap at all."
    ),
    classes=("int-div-zero",),
    check=check,
    matches=(
        (crash(SIGFPE, FPE_INTDIV, 0x401136), "int-div-zero"),
        (
            crash(
                SIGFPE,
                FPE_INTDIV,
                0x401136,
                InstructionFacts(text="idiv ecx", kind="divide", divisor=0),
            ),
            "int-div-zero",
        ),
        (
            crash(SIGFPE, None, None, InstructionFacts(text="div rcx", kind="divide", divisor=0)),
            "int-div-zero",
        ),
        # a handler passed the signal on
        (
            sent(SIGFPE, SI_TKILL, PID, InstructionFacts(text="div", kind="divide", divisor=0)),
            "int-div-zero",
        ),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV, 1, 0),
        sent(SIGFPE, SI_TKILL, PID),
        crash(SIGFPE, 3, 0x401136, instruction("divss xmm0, xmm1")),
        crash(
            SIGFPE,
            FPE_INTDIV,
            0x401136,
            InstructionFacts(text="idiv ecx", kind="divide", divisor=-1),
        ),
    ),
)
