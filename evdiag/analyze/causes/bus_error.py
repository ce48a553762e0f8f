"""Memory that is mapped could not be used: no page behind it, misaligned, or broken."""

from evdiag.analyze.causes._examples import HEAP, WILD, crash, instruction, load, sent
from evdiag.analyze.causes._faults import (
    Fault,
    evidence,
    find_fault,
    is_fault,
    known_access,
    worked_out,
)
from evdiag.analyze.places import file_at, is_accessible
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import (
    BUS_ADRALN,
    BUS_ADRERR,
    BUS_MCEERR_AO,
    BUS_MCEERR_AR,
    BUS_OBJERR,
    SEGV_MAPERR,
    SI_KERNEL,
    SIGBUS,
    SIGSEGV,
)

VECTOR = 16
"""Bytes of the smallest operand that x86 instructions such as movaps want aligned."""

SHARED_MEMORY = ("/dev/shm/", "/memfd:", "/SYSV", "/dev/zero")  # noqa: S108 - names of mappings
HARDWARE = (BUS_OBJERR, BUS_MCEERR_AR, BUS_MCEERR_AO)


def check(facts: CrashFacts) -> Cause | None:
    """Recognise SIGBUS, and the SIGSEGV that x86 gives for misaligned vector operands."""
    if facts.signal is None:
        return None
    if is_fault(facts, SIGSEGV):
        return _misaligned_vector(facts) if facts.signal.code == SI_KERNEL else None
    if not is_fault(facts, SIGBUS):
        return None
    fault = find_fault(facts)
    if fault is None and facts.signal.code == BUS_ADRALN:
        fault = _misaligned(facts, smallest=2)
    summary, advice = _words(facts, fault)
    return Cause(
        cls="bus-error",
        summary=summary,
        confidence="medium" if facts.signal.code is None else "high",
        evidence=evidence(facts, fault),
        advice=(advice,),
        access=known_access(fault.access) if fault else None,
        adjusted_address=fault.address if fault and fault.computed else None,
    )


def _words(facts: CrashFacts, fault: Fault | None) -> tuple[str, str]:
    code = facts.signal.code if facts.signal else None
    at = "an address" if fault is None else f"address {fault.address:#x}"
    if code == BUS_ADRALN:
        return (
            f"accessed {at}, which is not aligned as the instruction needs it",
            "Look for a pointer that was cast to a type with stricter alignment: use memcpy().",
        )
    if code in HARDWARE:
        return (
            f"the hardware could not deliver the memory at {at}: broken memory or device",
            "Look into the kernel log (dmesg, mcelog) of the machine, and test its memory.",
        )
    file = file_at(facts.files, fault.address) if fault else None
    if file is not None and code == BUS_ADRERR:
        if file.path.startswith(SHARED_MEMORY):
            return (
                f"the shared memory {file.path} has no page for {at}: it was made smaller, or its "
                "file system is full",
                "In a container /dev/shm has 64 MB unless --shm-size says more; call ftruncate() "
                "before mmap().",
            )
        return (
            f"the mapped file {file.path} has no page for {at}: it was truncated, or its disk "
            "failed",
            "Replace files that are in use by renaming a new one over them, not by writing into "
            "them; an update of running programs does this too.",
        )
    return (
        f"{at} is mapped, but there is no memory behind it",
        "Usual reasons are huge pages that ran out, a device that went away, and a file or shared "
        "memory that was truncated.",
    )


def _misaligned_vector(facts: CrashFacts) -> Cause | None:
    """Instructions such as movaps fault on every address that is no multiple of their size."""
    fault = _misaligned(facts, smallest=VECTOR)
    if fault is None or fault.operand is None:
        return None
    return Cause(
        cls="bus-error",
        summary=f"accessed address {fault.address:#x}, which is no multiple of "
        f"{fault.operand.size} as the vector instruction needs it",
        confidence="medium",
        evidence=evidence(facts, fault),
        advice=(
            "Look for an object in memory that is aligned less than its type demands (own "
            "allocators, packed structs, casts), and for assembly that misaligns the stack.",
        ),
        access=known_access(fault.access),
        adjusted_address=fault.address,
    )


def _misaligned(facts: CrashFacts, smallest: int) -> Fault | None:
    """The first operand, not smaller than this, at an address that is no multiple of its size."""
    for operand in facts.instruction.operands if facts.instruction else ():
        if operand.size < smallest or operand.address % operand.size == 0:
            continue
        if is_accessible(facts, operand.address):
            return worked_out(operand, "medium")
    return None


RULE = Rule(
    id="bus-error",
    title="Bus error",
    explanation=(
        "SIGBUS: BUS_ADRALN for misaligned addresses, BUS_ADRERR for pages that a mapped file or "
        "shared memory no longer has, BUS_MCEERR for memory that the hardware found broken. x86 "
        "gives SIGSEGV with SI_KERNEL for vector instructions that need aligned operands; where "
        "the operand is mapped and misaligned, that is the reason."
    ),
    classes=("bus-error",),
    check=check,
    matches=(
        (crash(SIGBUS, BUS_ADRALN, HEAP + 1), "bus-error"),
        (crash(SIGBUS, BUS_ADRERR, 0x404000), "bus-error"),
        (crash(SIGBUS, BUS_ADRERR, HEAP, instruction("mov", load(HEAP))), "bus-error"),
        (crash(SIGBUS, BUS_MCEERR_AR, HEAP), "bus-error"),
        (crash(SIGBUS), "bus-error"),
        (crash(SIGBUS, BUS_ADRALN, 0, instruction("mov", load(HEAP + 1))), "bus-error"),
        (
            crash(
                SIGSEGV,
                SI_KERNEL,
                0,
                instruction("movaps xmm0, xmmword ptr [rax]", load(HEAP + 8, size=16)),
            ),
            "bus-error",
        ),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV, SEGV_MAPERR, HEAP + 8, instruction("movaps", load(HEAP + 8, size=16))),
        crash(SIGSEGV, SI_KERNEL, 0),
        crash(SIGSEGV, SI_KERNEL, 0, instruction("movaps", load(HEAP, size=16))),
        crash(SIGSEGV, SI_KERNEL, 0, instruction("movaps", load(WILD + 8, size=16))),
        sent(SIGBUS, -6, 4711),
    ),
)
