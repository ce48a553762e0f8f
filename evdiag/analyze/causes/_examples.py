"""Building blocks for the examples of the rules: one process, and the ways it may die."""

import msgspec

from evdiag.model.core import EXECUTE, READ, WRITE, MappedFile, Region, SignalFacts
from evdiag.model.crash import CrashFacts, InstructionFacts, LastWords, Operand
from evdiag.model.machine import X86_64, Machine
from evdiag.model.report import Frame
from evdiag.model.signals import SI_TKILL, SIGABRT
from evdiag.parse.abort_message import BY_POINTER

PROGRAM = "/opt/app/bin/app"
LIBC = "/lib/libc.so.6"
PID = 4711
PC = 0x401136
CONSTANTS, HEAP = 0x403000, 0x1C00000
GUARD, THREAD_STACK = 0x7F1000000000, 0x7F1000001000
STACK, STACK_END = 0x7FFD00000000, 0x7FFD00800000
SP = STACK_END - 0x1000
WILD = 0x414141414141
"""Six letters A: an address that the processor takes, but where nothing is mapped."""
TEXT = 0x4141414141414141
"""Eight letters A: no address at all."""


def region(start: int, end: int, flags: int) -> Region:
    """A mapped range whose bytes the core has."""
    size = end - start
    return Region(start=start, end=end, flags=flags, offset=0, wanted=size, present=size)


REGIONS = (
    region(0x401000, CONSTANTS, READ | EXECUTE),
    region(CONSTANTS, 0x404000, READ),
    region(0x404000, 0x405000, READ | WRITE),
    region(HEAP, HEAP + 0x21000, READ | WRITE),
    region(0x7F0000000000, 0x7F0000200000, READ | EXECUTE),
    region(GUARD, THREAD_STACK, 0),
    region(THREAD_STACK, THREAD_STACK + 0x800000, READ | WRITE),
    region(STACK, STACK_END, READ | WRITE),
)
FILES = (
    MappedFile(start=0x401000, end=0x405000, offset=0x1000, path=PROGRAM),
    MappedFile(start=0x7F0000000000, end=0x7F0000200000, offset=0, path=LIBC),
)


def crash(
    number: int,
    code: int | None = None,
    address: int | None = None,
    instruction: InstructionFacts | None = None,
    *,
    syscall: int | None = None,
    machine: Machine = X86_64,
    pc: int = PC,
    sp: int = SP,
    stack_word: int | None = None,
    depth: int = 5,
    frames: tuple[Frame, ...] = (),
) -> CrashFacts:
    """The example process ended by a fault."""
    return CrashFacts(
        machine=machine,
        signal=SignalFacts(number=number, code=code, address=address, syscall=syscall),
        pid=PID,
        pc=pc,
        sp=sp,
        instruction=instruction,
        stack_word=stack_word,
        regions=REGIONS,
        files=FILES,
        frames=frames,
        depth=depth,
    )


def sent(
    number: int,
    code: int,
    sender: int | None,
    instruction: InstructionFacts | None = None,
    *,
    pc: int = PC,
    frames: tuple[Frame, ...] = (),
) -> CrashFacts:
    """The example process ended by a signal that a process sent."""
    return CrashFacts(
        signal=SignalFacts(number=number, code=code, sender_pid=sender, sender_uid=1000),
        pid=PID,
        pc=pc,
        sp=SP,
        instruction=instruction,
        regions=REGIONS,
        files=FILES,
        frames=frames,
    )


def aborting(
    message: str | None = None, *functions: tuple[str, str | None], found: str = BY_POINTER
) -> CrashFacts:
    """The example process ended by abort(): libc's message, a stack of (function, module)."""
    frames = tuple(
        Frame(level=level, function=name, module=module, in_app=module == PROGRAM)
        for level, (name, module) in enumerate(functions)
    )
    words = LastWords(message=message, message_from=found if message else None)
    return msgspec.structs.replace(sent(SIGABRT, SI_TKILL, PID, frames=frames), words=words)


def instruction(text: str, *operands: Operand, kind: str = "other") -> InstructionFacts:
    """An instruction that goes nowhere and divides by nothing."""
    return InstructionFacts(text=text, kind=kind, operands=operands)


def load(
    address: int, *registers: tuple[str, int], size: int = 8, displacement: int = 0
) -> Operand:
    """An operand that is read."""
    return Operand(
        text="[...]",
        address=address,
        size=size,
        reads=True,
        writes=False,
        registers=registers,
        displacement=displacement,
    )


def store(
    address: int, *registers: tuple[str, int], size: int = 8, displacement: int = 0
) -> Operand:
    """An operand that is written."""
    operand = load(address, *registers, size=size, displacement=displacement)
    return msgspec.structs.replace(operand, reads=False, writes=True)
