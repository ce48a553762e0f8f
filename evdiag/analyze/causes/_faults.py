"""What the rules about memory share: the access that failed, and how it is told."""

import msgspec

from evdiag.analyze.places import (
    NEAR_NULL,
    describe,
    file_at,
    gives_away,
    is_canonical,
    is_executable,
    region_at,
)
from evdiag.model.core import READ, WRITE
from evdiag.model.crash import CrashFacts, Operand
from evdiag.model.machine import Machine
from evdiag.model.report import Frame
from evdiag.model.signals import (
    SEGV_ACCERR,
    SI_KERNEL,
    SIGBUS,
    SIGFPE,
    SIGILL,
    SIGSEGV,
    has_address,
)
from evdiag.model.signals import describe as describe_signal

ADDRESS_BITS = {"aarch64": 56}
"""Bits in which a reported address can be compared: Linux clears the tag in the top byte of
si_addr (Documentation/arch/arm64/tagged-pointers.rst)."""

SANITIZER = (
    "Memory was overwritten, or used after it had been freed. Build with -fsanitize=address and "
    "run again: it names the place of the mistake, not only of its consequence."
)
VALGRIND = "Without another build, valgrind finds most of the same mistakes, slowly."


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """An access to memory that failed."""

    address: int
    access: str
    """read, write, or access where it is not known which."""
    confidence: str
    operand: Operand | None = None
    """The operand of the instruction that the address belongs to."""
    computed: bool = False
    """The kernel does not tell the address: it was worked out from instruction and registers."""


def is_fault(facts: CrashFacts, *numbers: int) -> bool:
    """Whether the kernel sent one of these signals for something that the thread did.

    A code of 0 and less says that a process sent it; old kernels leave no code in the core.
    """
    signal = facts.signal
    if signal is None or signal.number not in numbers:
        return False
    return signal.code is None or signal.code > 0 or passed_on(facts)


def passed_on(facts: CrashFacts) -> bool:
    """Whether the process sent itself the signal of a fault that did happen.

    A handler for crashes usually ends with raise(). The signal is blocked while its handler
    runs, so it strikes when the handler returns: at the very instruction that failed. A plain
    raise() ends in libc, behind a system call, where nothing can fail.
    """
    signal, found = facts.signal, facts.instruction
    if signal is None or signal.code is None or signal.code > 0:
        return False
    if facts.pid is None or signal.sender_pid != facts.pid:
        return False
    if signal.number == SIGFPE:
        return found is not None and found.divisor == 0
    if signal.number == SIGILL:
        return found is not None and found.kind == "trap"
    if signal.number not in (SIGSEGV, SIGBUS):
        return False
    if facts.pc is not None and is_executable(facts, facts.pc) is False:
        return True
    astray = found is not None and found.kind in ("call", "jump", "return") and found.target
    return _computed(facts) is not None or not is_canonical(facts.machine, astray or 0)


def reported(facts: CrashFacts) -> int | None:
    """The address that the kernel tells, None where it tells none."""
    signal = facts.signal
    return signal.address if signal is not None and has_address(signal) else None


def covers(machine: Machine, operand: Operand, address: int) -> bool:
    """Whether an operand contains an address."""
    mask = (1 << ADDRESS_BITS.get(machine.name, machine.bits)) - 1
    return (address - operand.address) & mask < max(operand.size, 1)


def find_fault(facts: CrashFacts) -> Fault | None:
    """Find out which access to memory failed; None if none did or nothing is known of it."""
    if not is_fault(facts, SIGSEGV, SIGBUS):
        return None
    address = reported(facts)
    return _computed(facts) if address is None else _reported(facts, address)


def _reported(facts: CrashFacts, address: int) -> Fault:
    operands = facts.instruction.operands if facts.instruction else ()
    hits = [op for op in operands if covers(facts.machine, op, address)]
    if hits:
        # The kernel does not say which of two it was; an instruction reads before it writes.
        hit = hits[0]
        return Fault(address=address, access=_access(hit), confidence="high", operand=hit)
    if not operands:
        proven = _proves_write(facts, address)
        access = "write" if proven else "access"
        return Fault(address=address, access=access, confidence="high" if proven else "medium")
    directions = {_access(op) for op in operands}
    access = directions.pop() if len(directions) == 1 else "access"
    return Fault(address=address, access=access, confidence="low")


def _proves_write(facts: CrashFacts, address: int) -> bool:
    """Where reading is allowed and nothing was executed, a forbidden access was a write."""
    signal, region = facts.signal, region_at(facts.regions, address)
    if signal is None or signal.code != SEGV_ACCERR or region is None or facts.pc == address:
        return False
    return region.flags & (READ | WRITE) == READ


def _computed(facts: CrashFacts) -> Fault | None:
    operands = facts.instruction.operands if facts.instruction else ()
    certain = facts.signal is not None and facts.signal.code == SI_KERNEL
    for operand in operands:
        if not is_canonical(facts.machine, operand.address):
            return worked_out(operand, "high" if certain else "medium")
    for operand in operands:
        if _is_forbidden(facts, operand):
            return worked_out(operand, "medium")
    return None


def worked_out(operand: Operand, confidence: str) -> Fault:
    """The failed access to an operand, where the kernel does not tell its address."""
    return Fault(
        address=operand.address,
        access=_access(operand),
        confidence=confidence,
        operand=operand,
        computed=True,
    )


def _is_forbidden(facts: CrashFacts, operand: Operand) -> bool:
    region = region_at(facts.regions, operand.address)
    if region is None:
        known = bool(facts.regions) or operand.address < NEAR_NULL
        return known and file_at(facts.files, operand.address) is None
    needed = (READ if operand.reads else 0) | (WRITE if operand.writes else 0)
    return region.flags & needed != needed


def _access(operand: Operand) -> str:
    return "write" if operand.writes else "read"


# -- words


def verb(access: str) -> str:
    """The access in a sentence: "wrote to"."""
    return {"read": "read from", "write": "wrote to"}.get(access, "touched")


def known_access(access: str) -> str | None:
    """The access for the report, where None means that it is not known."""
    return None if access == "access" else access


def values(operand: Operand | None) -> str:
    """The registers of an operand with their values, in brackets: " (rax is 0)"."""
    if operand is None or not operand.registers:
        return ""
    return f" ({', '.join(f'{name} is {number(value)}' for name, value in operand.registers)})"


def number(value: int) -> str:
    """A value of a register: hexadecimal, but a plain 0."""
    return f"{value:#x}" if value else "0"


def looks(facts: CrashFacts, address: int) -> str:
    """What an address looks like, to be appended: "; it looks like the text «AAAA»"."""
    found = gives_away(facts, address)
    return f"; it {found}" if found else ""


def looks_of(facts: CrashFacts, fault: Fault) -> str:
    """What the registers behind a failed access look like, else its address, to be appended."""
    return looks_of_registers(facts, fault) or looks(facts, fault.address)


def looks_of_registers(facts: CrashFacts, fault: Fault) -> str:
    """What one of the registers behind a failed access looks like, to be appended."""
    for name, value in fault.operand.registers if fault.operand else ():
        found = gives_away(facts, value)
        if found:
            return f"; {name} {found}"
    return ""


def instruction_line(facts: CrashFacts) -> str:
    """The faulting instruction as evidence."""
    where = "" if facts.pc is None else f" at {facts.pc:#x}"
    if facts.instruction is None:
        return f"the instruction{where} is not known: its bytes are neither in the core nor at hand"
    return f"the instruction{where} is `{facts.instruction.text}`"


def handler_lines(facts: CrashFacts) -> tuple[str, ...]:
    """Evidence that a signal handler was running: then the first signal is the one to look at."""
    if passed_on(facts):
        return ("the process sent itself the signal after the fault, as handlers for crashes do",)
    for frame in facts.frames:
        if frame.kind == "signal":
            return (
                "a signal handler was running: the first signal hit the frame below "
                f"#{frame.level}",
            )
    return ()


def frame_name(frame: Frame) -> str:
    """A frame in a sentence."""
    if frame.function:
        return frame.function
    if frame.module and frame.offset is not None:
        return f"{frame.module}+{frame.offset:#x}"
    return "an unknown function" if frame.pc is None else f"{frame.pc:#x}"


def evidence(facts: CrashFacts, fault: Fault | None = None) -> tuple[str, ...]:
    """The facts behind a verdict, one a line."""
    lines = [describe_signal(facts.signal), instruction_line(facts)]
    if fault is not None:
        lines += _fault_lines(facts, fault)
    return (*lines, *handler_lines(facts))


def _fault_lines(facts: CrashFacts, fault: Fault) -> list[str]:
    address, operand = fault.address, fault.operand
    lines = []
    if operand is not None:
        done = "read and written" if operand.reads and operand.writes else _past(fault.access)
        unit = "byte" if operand.size == 1 else "bytes"
        lines.append(
            f"{operand.text} is {operand.address:#x}, {operand.size} {unit}, {done}"
            f"{values(operand)}"
        )
    elif fault.confidence == "low":
        lines.append("no operand of this instruction has that address: the registers do not fit")
    lines.append(f"{address:#x} is {describe(facts, address)}")
    return lines


def _past(access: str) -> str:
    return "written" if access == "write" else "read"
