"""A null pointer was used."""

from evdiag.analyze.causes._examples import HEAP, PID, WILD, crash, instruction, load, sent, store
from evdiag.analyze.causes._faults import (
    Fault,
    evidence,
    find_fault,
    known_access,
    looks_of_registers,
    values,
    verb,
)
from evdiag.analyze.places import FIRST_PAGE, is_mapped, is_near_null
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SEGV_ACCERR, SEGV_MAPERR, SI_KERNEL, SI_TKILL, SIGBUS, SIGSEGV

ADVICE = (
    "Find out in the first frame of your own code why the pointer is null, and check it before "
    "it is used."
)

LARGE = (
    "The offset is large: that of a member at the end of a large object, or an index into an array "
    "that is not there."
)


def check(facts: CrashFacts) -> Cause | None:
    """Recognise an access within 64 KiB of address 0."""
    fault = find_fault(facts)
    if fault is None or facts.signal is None or facts.signal.number == SIGBUS:
        return None
    offset = _offset(facts, fault)
    if offset is None:
        return None
    odd = looks_of_registers(facts, fault)
    advice = [ADVICE]
    if offset >= FIRST_PAGE:
        advice.append(LARGE)
    elif offset > 0:
        advice.append(
            f"{offset:#x} is the offset of the member that was used: `ptype /o TYPE` in gdb lists "
            "the members of a class with their offsets."
        )
    return Cause(
        cls=f"null-{fault.access}",
        summary=f"{verb(fault.access)} address {fault.address:#x}"
        f"{'' if odd else f': {_words(offset)}'}{values(fault.operand)}{odd}",
        confidence=fault.confidence,
        evidence=evidence(facts, fault),
        advice=tuple(advice),
        access=known_access(fault.access),
        adjusted_address=fault.address if fault.computed else None,
    )


def _offset(facts: CrashFacts, fault: Fault) -> int | None:
    """The distance from a null pointer to the address, None if it was none."""
    if is_mapped(facts, fault.address):
        return None
    if is_near_null(fault.address):
        return fault.address
    operand = fault.operand
    if operand is None or operand.displacement >= 0:
        return None
    # A base class or a container around the object lies in front of it.
    null = len(operand.registers) == 1 and operand.registers[0][1] == 0
    return operand.displacement if null else None


def _words(offset: int) -> str:
    if offset == 0:
        return "a null pointer"
    if offset < 0:
        return f"a null pointer minus {-offset:#x}"
    near = "near null, " if offset >= FIRST_PAGE else ""
    return f"{near}a null pointer plus an offset of {offset:#x}"


RULE = Rule(
    id="null-pointer",
    title="Null pointer",
    explanation=(
        "The kernel reports an unmapped address below 64 KiB, as CASR and apport draw the line: "
        "nothing is ever mapped there (vm.mmap_min_addr), and members of an object lie at small "
        "offsets from its pointer. Where the kernel reports no address, because the core is from "
        "an old one or the code is SI_KERNEL, it is computed from the instruction and the "
        "registers: an address of 0 that comes with SI_KERNEL means nothing. A negative offset "
        "from a register that holds 0 counts too. From 4 KiB on, the address is called near null: "
        "few objects are that large."
    ),
    classes=("null-read", "null-write", "null-access"),
    check=check,
    matches=(
        (
            crash(
                SIGSEGV,
                SEGV_MAPERR,
                0x18,
                instruction("mov dword ptr [rax + 0x18], 1", store(0x18, ("rax", 0), size=4)),
            ),
            "null-write",
        ),
        (crash(SIGSEGV, SEGV_MAPERR, 0, instruction("mov", load(0, ("rax", 0)))), "null-read"),
        (crash(SIGSEGV, SEGV_MAPERR, 0), "null-access"),
        (crash(SIGSEGV, SEGV_ACCERR, 0xFFF8), "null-access"),
        # -1 from a failed call, used as a pointer
        (
            crash(SIGSEGV, SEGV_MAPERR, 7, instruction("mov", load(7, ("rax", (1 << 64) - 1)))),
            "null-read",
        ),
        (crash(SIGSEGV, None, None, instruction("mov", store(0, ("rax", 0)))), "null-write"),
        (crash(SIGSEGV, SI_KERNEL, 0, instruction("mov", load(8, ("rax", 0)))), "null-read"),
        (
            crash(
                SIGSEGV,
                SEGV_MAPERR,
                (1 << 64) - 0x18,
                instruction(
                    "mov rax, qword ptr [rax - 0x18]",
                    load((1 << 64) - 0x18, ("rax", 0), displacement=-0x18),
                ),
            ),
            "null-read",
        ),
        # a handler passed the signal on
        (
            sent(SIGSEGV, SI_TKILL, PID, instruction("mov rax, [rax + 8]", load(8, ("rax", 0)))),
            "null-read",
        ),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV, SI_KERNEL, 0),
        crash(SIGSEGV, SEGV_MAPERR, WILD),
        crash(SIGSEGV, SEGV_MAPERR, 0x10000),
        crash(SIGSEGV, SEGV_ACCERR, HEAP),
        crash(SIGBUS, 2, 0),
        sent(SIGSEGV, 0, 0),
        crash(SIGSEGV, None, None, instruction("mov", load(HEAP))),
    ),
)
