"""The instructions around the one that failed."""

from evdiag.analyze.space import AddressSpace
from evdiag.model.crash import CrashFacts
from evdiag.model.report import Address, Instruction
from evdiag.parse.elf import DAMAGED
from evdiag.parse.image import Image
from evdiag.parse.instruction import LONGEST, THUMB, disassemble_last

BEFORE, AFTER = 6, 4
MAX_FUNCTION = 1 << 13
"""How far back the start of the function is looked at: x86 code cannot be read backwards."""
ENOUGH = BEFORE + (AFTER + 1) * LONGEST
"""Instructions behind the program counter may have one byte each."""


def around(space: AddressSpace, crash: CrashFacts) -> tuple[Instruction, ...]:
    """Up to six instructions before the program counter, the one there, and four behind it.

    Empty where the instruction is not known, or says nothing (the system call of abort()).
    """
    pc = crash.pc
    if pc is None or crash.instruction is None:
        return ()
    thumb = bool(crash.registers.get("cpsr", 0) & THUMB)
    start = _function_start(space, pc)
    for begin in (start, pc):
        code = space.memory.read(begin, pc - begin + (AFTER + 1) * LONGEST)
        lines = disassemble_last(crash.machine, code, begin, ENOUGH, thumb=thumb)
        at = next((i for i, (address, _) in enumerate(lines) if address == pc), None)
        if at is not None:
            shown = lines[max(0, at - BEFORE) : at + AFTER + 1]
            return tuple(Instruction(address=Address(a), text=text) for a, text in shown)
    return ()


def _function_start(space: AddressSpace, pc: int) -> int:
    """Where the function of an address begins, by its unwind information; else the address."""
    image, vaddr = space.locate(pc)
    begin = _described_start(image, vaddr) if image is not None else None
    if begin is None or vaddr - begin > MAX_FUNCTION:
        return pc
    return pc - (vaddr - begin)


def _described_start(image: Image, vaddr: int) -> int | None:
    for table in (*image.tables, *image.fallback_tables):
        try:
            found = table.find(vaddr)
        except DAMAGED:
            continue
        if found is not None:
            return found.start
    return None
