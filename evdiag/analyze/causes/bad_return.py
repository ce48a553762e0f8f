"""A function could not return."""

from evdiag.analyze.causes._examples import PC, TEXT, WILD, crash, instruction, load, sent
from evdiag.analyze.causes._faults import evidence, find_fault, is_fault, looks, looks_of, number
from evdiag.analyze.places import describe
from evdiag.model.crash import Cause, CrashFacts, InstructionFacts, Rule
from evdiag.model.machine import AARCH64
from evdiag.model.signals import (
    ILL_ILLOPN,
    SEGV_CPERR,
    SEGV_MAPERR,
    SI_KERNEL,
    SIGBUS,
    SIGILL,
    SIGSEGV,
)

ADVICE = (
    "Something wrote beyond the end of a local array. Build with -fstack-protector-strong or "
    "-fsanitize=address and run again.",
)
AUTHENTICATES = ("autia", "autib", "reta", "retb")
"""aarch64 instructions that check the signature of a return address."""


def check(facts: CrashFacts) -> Cause | None:
    """Recognise a return instruction that failed: bad stack pointer or bad return address."""
    found = facts.instruction
    if found is None:
        return None
    if is_fault(facts, SIGILL) and found.text.startswith(AUTHENTICATES):
        return Cause(
            cls="bad-return",
            summary="a return address was overwritten: its signature did not fit",
            evidence=evidence(facts),
            advice=ADVICE,
        )
    if found.kind != "return" or not is_fault(facts, SIGSEGV, SIGBUS):
        return None
    fault = find_fault(facts)
    if fault is not None and fault.operand is not None:
        at = fault.address
        return Cause(
            cls="bad-return",
            summary=f"the return address could not be read: the stack pointer {at:#x} is wrong"
            f"{looks_of(facts, fault)}",
            evidence=evidence(facts, fault),
            advice=ADVICE,
            access="read",
            adjusted_address=at if fault.computed else None,
        )
    return _bad_target(facts, found)


def _bad_target(facts: CrashFacts, found: InstructionFacts) -> Cause:
    lines: tuple[str, ...] = ()
    if found.target is None:
        summary = "a function could not return: its return address was bad"
    else:
        target = number(found.target)
        summary = (
            f"a function returned to {target}, where there is no code{looks(facts, found.target)}: "
            "the return address on the stack was overwritten"
        )
        lines = (f"the return address {target} is {describe(facts, found.target)}",)
    return Cause(
        cls="bad-return",
        summary=summary,
        confidence="medium" if found.target is None else "high",
        evidence=(*evidence(facts), *lines),
        advice=ADVICE,
        access="execute",
        adjusted_address=found.target,
    )


_RETURN = InstructionFacts(text="ret", kind="return", target=TEXT)

RULE = Rule(
    id="bad-return",
    title="Bad return address",
    explanation=(
        "The instruction that failed is a return. Either the stack could not be read, so the "
        "stack pointer is wrong, or the address found there is none that the processor takes "
        "(with an address that it takes, the fault comes after the return: bad-pc), or the shadow "
        "stack of x86 holds another one (SEGV_CPERR). On aarch64 with pointer authentication, a "
        "bad signature gives SIGILL."
    ),
    classes=("bad-return",),
    check=check,
    matches=(
        (crash(SIGSEGV, SI_KERNEL, 0, _RETURN), "bad-return"),
        (crash(SIGSEGV, SEGV_CPERR, 0, instruction("ret", kind="return")), "bad-return"),
        (
            crash(
                SIGSEGV,
                SEGV_MAPERR,
                WILD,
                instruction("ret", load(WILD, ("rsp", WILD)), kind="return"),
                sp=WILD,
            ),
            "bad-return",
        ),
        (
            crash(SIGILL, ILL_ILLOPN, PC, instruction("retaa", kind="return"), machine=AARCH64),
            "bad-return",
        ),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV, SEGV_MAPERR, 0x18),
        crash(SIGSEGV, SEGV_MAPERR, 0x18, instruction("mov", load(0x18))),
        sent(SIGSEGV, 0, 99),
        crash(SIGILL, 2, PC, instruction("ud2", kind="trap")),
    ),
)
