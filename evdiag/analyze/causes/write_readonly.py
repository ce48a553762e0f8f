"""Memory was written that may only be read."""

from evdiag.analyze.causes._examples import (
    CONSTANTS,
    GUARD,
    HEAP,
    WILD,
    crash,
    instruction,
    load,
    store,
)
from evdiag.analyze.causes._faults import evidence, find_fault, is_fault, values
from evdiag.analyze.places import describe, region_at
from evdiag.model.core import READ, WRITE
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SEGV_ACCERR, SEGV_MAPERR, SIGSEGV


def check(facts: CrashFacts) -> Cause | None:
    """Recognise a write into a mapping that is there, and is readable, but not writable."""
    fault = find_fault(facts)
    if fault is None or fault.access != "write" or not is_fault(facts, SIGSEGV):
        return None
    region = region_at(facts.regions, fault.address)
    if region is None or region.flags & (READ | WRITE) != READ:
        return None
    return Cause(
        cls="write-readonly",
        summary=f"wrote to {fault.address:#x} {describe(facts, fault.address)}, which is read-only"
        f"{values(fault.operand)}",
        confidence=fault.confidence,
        evidence=evidence(facts, fault),
        advice=(
            "A string literal, a constant or code was written to: look for a cast that takes "
            "const away, and for a pointer that was overwritten.",
        ),
        access="write",
        adjusted_address=fault.address if fault.computed else None,
    )


RULE = Rule(
    id="write-readonly",
    title="Write to read-only memory",
    explanation=(
        "The address is mapped and may be read, but not written. If the instruction is not known, "
        "the kernel's code SEGV_ACCERR is proof enough: reading would have been allowed, and "
        "nothing was executed there."
    ),
    classes=("write-readonly",),
    check=check,
    matches=(
        (
            crash(
                SIGSEGV,
                SEGV_ACCERR,
                CONSTANTS,
                instruction("mov byte ptr [rax], 1", store(CONSTANTS, ("rax", CONSTANTS), size=1)),
            ),
            "write-readonly",
        ),
        (crash(SIGSEGV, SEGV_ACCERR, CONSTANTS), "write-readonly"),
        (crash(SIGSEGV, None, None, instruction("mov", store(CONSTANTS))), "write-readonly"),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV, SEGV_MAPERR, WILD),
        crash(SIGSEGV, SEGV_ACCERR, GUARD),
        crash(SIGSEGV, SEGV_ACCERR, HEAP, instruction("mov", store(HEAP))),
        crash(SIGSEGV, SEGV_ACCERR, CONSTANTS, instruction("mov", load(CONSTANTS))),
        crash(7, 2, CONSTANTS, instruction("mov", store(CONSTANTS))),
    ),
)
