"""The faulting instruction: which memory it touches, where it jumps to, what it divides by.

capstone cuts the bytes into a mnemonic and operands. What they mean is decided here and in the
two files beside it, because capstone 5 is often wrong about which operand is written: it calls
`movups`, `vmovdqu`, `vmovups` and most other vector stores reads on x86, `str` a read and a write
on aarch64, and tells nothing about atomic instructions.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Protocol

from evdiag.model.crash import InstructionFacts
from evdiag.model.machine import Machine
from evdiag.parse import capstone_c, instruction_arm, instruction_x86

LONGEST = 16
"""Bytes that hold any instruction: those of x86 have up to 15."""

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

    def last(self, code: bytes, offset: int, count: int) -> Sequence[tuple[int, str, str]]:
        """The last ones, without operands: (address, mnemonic, operands as text)."""
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


def disassemble_last(
    machine: Machine, code: bytes, address: int, limit: int, *, thumb: bool = False
) -> tuple[tuple[int, str], ...]:
    """The last `limit` instructions of some code: (address, text); bytes that are none end it."""
    found = _engine(machine.name, thumb).last(code, address, limit)
    return tuple((at, f"{mnemonic} {operands}".rstrip()) for at, mnemonic, operands in found)


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
    return PythonEngine(kind, mode)


class PythonEngine:
    """capstone through its own Python module, for other versions of the library."""

    def __init__(self, kind: int, mode: int) -> None:
        import capstone  # noqa: PLC0415 - costs 20 ms

        self._engine = capstone.Cs(kind, mode)
        # what arm instructions do is read from their text: it is complete, the details are not
        self._engine.detail = self.detail = kind == capstone_c.X86

    def disasm(self, code: bytes, offset: int, count: int) -> Iterator[instruction_x86.Decoded]:
        """Cut bytes into instructions, up to the first that is none."""
        found: Iterator[instruction_x86.Decoded] = self._engine.disasm(code, offset, count)
        return found

    def last(self, code: bytes, offset: int, count: int) -> Sequence[tuple[int, str, str]]:
        """The last ones, without operands: (address, mnemonic, operands as text)."""
        rows = list(self._engine.disasm_lite(code, offset, 0))[-count:]
        return [(at, mnemonic, operands) for at, _, mnemonic, operands in rows]
