"""The faulting instruction: which memory it touches, where it jumps to, what it divides by.

capstone cuts the bytes into a mnemonic and operands. What they mean is decided here and in the
two files beside it, because capstone 5 is often wrong about which operand is written: it calls
`movups`, `vmovdqu`, `vmovups` and most other vector stores reads on x86, `str` a read and a write
on aarch64, and tells nothing about atomic instructions.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Protocol

from evdiag.model.crash import InstructionFacts
from evdiag.model.machine import Machine
from evdiag.parse import capstone_c, instruction_arm, instruction_x86

THUMB = 1 << 5
"""The T bit of cpsr (Arm ARM, B1.3.3): set while 16-bit Thumb instructions are executed."""

ReadWord = Callable[[int], int | None]
"""Gives the word of memory at an address, None where the core does not have it."""


class Disassembler(Protocol):
    """What is used of capstone's `Cs`."""

    detail: bool

    def disasm(self, code: bytes, offset: int, count: int) -> Iterator[instruction_x86.Decoded]:
        """Cut bytes into instructions, up to the first that is none."""
        ...

    def disasm_lite(
        self, code: bytes, offset: int, count: int
    ) -> Iterator[tuple[int, int, str, str]]:
        """The same, without operands: (address, size, mnemonic, operands as text)."""
        ...


def decode(
    machine: Machine,
    code: bytes,
    address: int,
    registers: Mapping[str, int],
    read_word: ReadWord,
) -> InstructionFacts | None:
    """Decode the first instruction of `code` with the addresses it works on; None if it is none."""
    thumb = bool(registers.get("cpsr", 0) & THUMB)
    found = next(_engine(machine.name, thumb).disasm(code, address, 1), None)
    if found is None:
        return None
    if machine.name in ("x86-64", "i386"):
        return instruction_x86.explain(found, machine, registers, read_word)
    line = instruction_arm.Line(found.mnemonic, found.op_str, address, thumb)
    return instruction_arm.explain(line, machine, registers, read_word)


def disassemble(
    machine: Machine, code: bytes, address: int, limit: int, *, thumb: bool = False
) -> tuple[tuple[int, str], ...]:
    """Disassemble up to `limit` instructions: (address, text); bytes that are none end the list."""
    if limit < 1:  # capstone reads 0 as "all"
        return ()
    found = _engine(machine.name, thumb).disasm_lite(code, address, limit)
    return tuple((at, f"{mnemonic} {operands}".rstrip()) for at, _, mnemonic, operands in found)


MODES = {"x86-64": (3, 1 << 3), "i386": (3, 1 << 2), "aarch64": (1, 0), "arm": (0, 0)}
"""(CS_ARCH_..., CS_MODE_...) of capstone.h."""
MODE_THUMB = 1 << 4


@lru_cache
def _engine(name: str, thumb: bool) -> Disassembler:
    # loads a library of 6 MB: not before an instruction is asked for
    kind, mode = MODES[name]
    mode |= MODE_THUMB if thumb else 0
    library = capstone_c.load()
    if library is not None:
        return capstone_c.Engine(library, kind, mode)
    return _python_engine(kind, mode)


def _python_engine(kind: int, mode: int) -> Disassembler:
    """capstone through its own Python module."""
    import capstone  # noqa: PLC0415 - costs 20 ms

    engine: Disassembler = capstone.Cs(kind, mode)
    # what arm instructions do is read from their text: it is complete, the details are not
    engine.detail = kind == capstone_c.X86
    return engine
