"""A call or jump through a pointer failed."""

from evdiag.analyze.causes._examples import PID, TEXT, WILD, crash, instruction, load, sent, store
from evdiag.analyze.causes._faults import (
    SANITIZER,
    Fault,
    evidence,
    find_fault,
    is_fault,
    looks,
    looks_of,
    values,
)
from evdiag.analyze.places import describe, is_canonical, is_near_null
from evdiag.model.crash import Cause, CrashFacts, InstructionFacts, Rule
from evdiag.model.signals import SEGV_MAPERR, SI_KERNEL, SI_TKILL, SIGBUS, SIGSEGV

POINTER = "Look at the object whose function was called: it was probably destroyed already."


def check(facts: CrashFacts) -> Cause | None:
    """Recognise a call or jump whose pointer could not be read, or held no address."""
    found = facts.instruction
    if found is None or found.kind not in ("call", "jump"):
        return None
    if not is_fault(facts, SIGSEGV, SIGBUS):
        return None
    fault = find_fault(facts)
    if fault is not None and fault.operand is not None:
        return _unreadable(facts, found, fault)
    if found.target is None or is_canonical(facts.machine, found.target):
        return None
    return Cause(
        cls="bad-call",
        summary=f"{_did(found)} {found.target:#x}, which is no address{looks(facts, found.target)}",
        evidence=(
            *evidence(facts),
            f"the target {found.target:#x} is {describe(facts, found.target)}",
        ),
        advice=(POINTER, SANITIZER),
        access="execute",
        adjusted_address=found.target,
    )


def _did(found: InstructionFacts) -> str:
    return "called" if found.kind == "call" else "jumped to"


def _unreadable(facts: CrashFacts, found: InstructionFacts, fault: Fault) -> Cause:
    at = fault.address
    if fault.access == "write":
        summary = (
            f"a call could not store its return address: the stack pointer is wrong, nothing can "
            f"be written at {at:#x}{looks_of(facts, fault)}"
        )
        advice: tuple[str, ...] = (SANITIZER,)
    else:
        null = ", a null pointer plus an offset" if is_near_null(at) else ""
        summary = (
            f"{_did(found)} a function through a pointer at {at:#x}{null}, which cannot be read"
            f"{values(fault.operand)}{looks_of(facts, fault)}"
        )
        advice = (POINTER, SANITIZER)
    return Cause(
        cls="bad-call",
        summary=summary,
        confidence=fault.confidence,
        evidence=evidence(facts, fault),
        advice=advice,
        access=fault.access,
        adjusted_address=at if fault.computed else None,
    )


RULE = Rule(
    id="bad-call",
    title="Bad call",
    explanation=(
        "The instruction that failed is a call or a jump: the memory that holds its target could "
        "not be read (a virtual table of an object that is gone, a table with a wrong index), the "
        "target is no address that the processor takes, or the return address could not be "
        "stored because the stack pointer is wrong. A call that only ran out of stack is a stack "
        "overflow; one that arrived at a bad target is bad-pc."
    ),
    classes=("bad-call",),
    check=check,
    matches=(
        (
            crash(
                SIGSEGV,
                SEGV_MAPERR,
                WILD,
                instruction("call qword ptr [rax]", load(WILD, ("rax", WILD)), kind="call"),
            ),
            "bad-call",
        ),
        (
            crash(
                SIGSEGV,
                SEGV_MAPERR,
                0x10,
                instruction("jmp qword ptr [rax + 0x10]", load(0x10, ("rax", 0)), kind="jump"),
            ),
            "bad-call",
        ),
        (
            crash(
                SIGSEGV,
                SI_KERNEL,
                0,
                InstructionFacts(text="call rax", kind="call", target=TEXT),
            ),
            "bad-call",
        ),
        (
            crash(
                SIGSEGV,
                SEGV_MAPERR,
                WILD - 8,
                instruction("call 0x401200", store(WILD - 8, ("rsp", WILD)), kind="call"),
                sp=WILD,
            ),
            "bad-call",
        ),
        # a handler passed the signal on
        (
            sent(SIGSEGV, SI_TKILL, PID, InstructionFacts(text="call", kind="call", target=TEXT)),
            "bad-call",
        ),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV, SEGV_MAPERR, 0x18, instruction("mov", load(0x18))),
        sent(SIGSEGV, 0, 99),
        crash(SIGSEGV, SEGV_MAPERR, 0x18, instruction("jmp 0x401200", kind="jump")),
        crash(
            SIGSEGV,
            SI_KERNEL,
            0,
            InstructionFacts(text="call rax", kind="call", target=0x401200),
        ),
        crash(5, 0x80, 0, InstructionFacts(text="call rax", kind="call", target=TEXT)),
    ),
)
