"""A pointer led to memory that the program must not use."""

from evdiag.analyze.causes._examples import GUARD, WILD, crash, instruction, load, sent, store
from evdiag.analyze.causes._faults import (
    SANITIZER,
    VALGRIND,
    Fault,
    evidence,
    find_fault,
    is_fault,
    known_access,
    looks_of,
    values,
    verb,
)
from evdiag.analyze.places import describe, is_kernel_half, is_mapped
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import (
    SEGV_ACCERR,
    SEGV_MAPERR,
    SEGV_MTEAERR,
    SI_KERNEL,
    SIGBUS,
    SIGSEGV,
)


def check(facts: CrashFacts) -> Cause | None:
    """Recognise any other access to memory that failed."""
    if facts.signal is None or not is_fault(facts, SIGSEGV):
        return None
    if facts.signal.code == SEGV_MTEAERR:
        return _late(facts)
    fault = find_fault(facts)
    if fault is None:
        return None
    at = fault.address
    known = is_mapped(facts, at) or is_kernel_half(facts.machine, at)
    place = f" {describe(facts, at)}" if known else ", which is not mapped"
    return Cause(
        cls=f"wild-{fault.access}",
        summary=f"{verb(fault.access)} address {at:#x}{place}{values(fault.operand)}"
        f"{looks_of(facts, fault)}",
        confidence=fault.confidence,
        evidence=(*evidence(facts, fault), *_null_base(fault)),
        advice=(SANITIZER, VALGRIND),
        access=known_access(fault.access),
        adjusted_address=at if fault.computed else None,
    )


def _late(facts: CrashFacts) -> Cause:
    """Tags that are checked asynchronously tell neither the address nor the instruction."""
    return Cause(
        cls="wild-access",
        summary="used memory whose tag does not fit the pointer: freed memory, or that of another "
        "object",
        confidence="medium",
        evidence=evidence(facts),
        advice=(
            "The mistake happened a little before the instruction that is shown. With synchronous "
            "checks (GLIBC_TUNABLES=glibc.mem.tagging=3) the core shows the very access.",
        ),
    )


def _null_base(fault: Fault) -> tuple[str, ...]:
    """A large index into an array whose pointer is null ends far away from address 0."""
    registers = fault.operand.registers if fault.operand else ()
    if len(registers) < 2 or registers[0][1] != 0:
        return ()
    return (f"{registers[0][0]} is 0: a null pointer plus a large index",)


RULE = Rule(
    id="wild-pointer",
    title="Wild pointer",
    explanation=(
        "An access failed at an address that is not near 0 and that none of the rules before "
        "explains: not mapped, or mapped without the permission for it, such as a guard page. "
        "Whether it was a read or a write is told by the operand of the instruction that contains "
        "the address. If the registers do not fit the address, the confidence is low. Arm's "
        "memory tags (SEGV_MTEAERR, SEGV_MTESERR) are here too."
    ),
    classes=("wild-read", "wild-write", "wild-access"),
    check=check,
    matches=(
        (crash(SIGSEGV, SEGV_MAPERR, WILD, instruction("mov", load(WILD))), "wild-read"),
        (
            crash(SIGSEGV, SEGV_MAPERR, WILD, instruction("mov", store(WILD, ("rax", WILD)))),
            "wild-write",
        ),
        (crash(SIGSEGV, SEGV_MAPERR, WILD), "wild-access"),
        (crash(SIGSEGV, SEGV_ACCERR, GUARD), "wild-access"),
        (crash(SIGSEGV, SEGV_MAPERR, WILD, instruction("mov", load(0x404000))), "wild-read"),
        (
            crash(
                SIGSEGV,
                SEGV_MAPERR,
                WILD,
                instruction("movs", store(0x404000), load(0x404000)),
            ),
            "wild-access",
        ),
        (
            crash(
                SIGSEGV,
                SEGV_MAPERR,
                0x80000,
                instruction("mov", load(0x80000, ("rax", 0), ("rcx", 0x10000))),
            ),
            "wild-read",
        ),
        (crash(SIGSEGV, None, None, instruction("mov", load(WILD))), "wild-read"),
        (crash(SIGSEGV, SEGV_MTEAERR, 0), "wild-access"),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV),
        crash(SIGSEGV, SI_KERNEL, 0),
        crash(SIGBUS, 2, WILD),
        sent(SIGSEGV, 0, 99),
    ),
)
