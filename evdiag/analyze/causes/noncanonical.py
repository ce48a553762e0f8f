"""A pointer held a value that is no address at all."""

from evdiag.analyze.causes._examples import TEXT, crash, instruction, load, store
from evdiag.analyze.causes._faults import (
    SANITIZER,
    VALGRIND,
    evidence,
    find_fault,
    is_fault,
    known_access,
    looks,
    looks_of,
    values,
    verb,
)
from evdiag.analyze.places import is_canonical
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.machine import I386
from evdiag.model.signals import SEGV_MAPERR, SI_KERNEL, SIGBUS, SIGSEGV

SHOWN = 4
"""Registers that are shown as suspects where the instruction is not known."""


def check(facts: CrashFacts) -> Cause | None:
    """Recognise an access through a pointer that the processor refuses to take for an address."""
    if facts.instruction is None:
        return _suspected(facts)
    fault = find_fault(facts)
    if fault is None or not fault.computed or is_canonical(facts.machine, fault.address):
        return None
    return Cause(
        cls=f"noncanonical-{fault.access}",
        summary=f"{verb(fault.access)} {fault.address:#x}, which is no address"
        f"{values(fault.operand)}{looks_of(facts, fault)}",
        confidence=fault.confidence,
        evidence=evidence(facts, fault),
        advice=(SANITIZER, VALGRIND),
        access=known_access(fault.access),
        adjusted_address=fault.address,
    )


def _suspected(facts: CrashFacts) -> Cause | None:
    """Without the instruction: the code says "no page fault", and this is the usual reason."""
    signal = facts.signal
    if signal is None or not is_fault(facts, SIGSEGV, SIGBUS):
        return None
    if signal.code != SI_KERNEL or facts.machine.address_top is None:
        return None
    suspects = [
        f"{name} is {value:#x}{looks(facts, value)}"
        for name, value in facts.registers.items()
        if not is_canonical(facts.machine, value)
    ]
    return Cause(
        cls="noncanonical-access",
        summary="used a pointer that is no address; the instruction that did is not known",
        confidence="low",
        evidence=(*evidence(facts), *suspects[:SHOWN]),
        advice=(
            "Give evdiag the program and libraries of this build (--exe, --sysroot): their "
            "instruction tells which pointer it was.",
            SANITIZER,
        ),
    )


RULE = Rule(
    id="noncanonical",
    title="Pointer that is no address",
    explanation=(
        "x86-64 takes only addresses below 2^47 and those of the kernel at the very top. Any "
        "other value gives a general protection fault, which Linux reports as SIGSEGV with "
        "SI_KERNEL and address 0, or, through rbp and rsp, as SIGBUS: not a null pointer. The "
        "address is computed from the instruction and the registers. Such values come from memory "
        "that was overwritten, often with text, or freed."
    ),
    classes=("noncanonical-read", "noncanonical-write", "noncanonical-access"),
    check=check,
    matches=(
        (
            crash(SIGSEGV, SI_KERNEL, 0, instruction("mov rax, [rbx]", load(TEXT, ("rbx", TEXT)))),
            "noncanonical-read",
        ),
        (
            crash(SIGSEGV, SI_KERNEL, 0, instruction("mov [rbx], rax", store(TEXT, ("rbx", TEXT)))),
            "noncanonical-write",
        ),
        (
            crash(
                SIGBUS, SI_KERNEL, 0, instruction("mov eax, [rbp - 8]", load(TEXT, ("rbp", TEXT)))
            ),
            "noncanonical-read",
        ),
        (crash(SIGSEGV, None, None, instruction("mov", load(TEXT))), "noncanonical-read"),
        (crash(SIGSEGV, SI_KERNEL, 0), "noncanonical-access"),
    ),
    misses=(
        CrashFacts(),
        crash(SIGSEGV, SEGV_MAPERR, 0),
        crash(SIGSEGV, SI_KERNEL, 0, instruction("mov rax, [rbx]", load(0x404000))),
        crash(SIGSEGV, SI_KERNEL, 0, machine=I386),
        crash(SIGSEGV, SEGV_MAPERR, 0x18, instruction("mov", load(0x18))),
    ),
)
