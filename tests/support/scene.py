"""A thread in a process with one library and a stack of given words, ready to be unwound."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from evdiag.analyze.space import AddressSpace
from evdiag.analyze.unwind import MAX_FRAMES, RawStack, Unwinder
from evdiag.model.machine import X86_64, Machine
from tests.support import elfwriter as w

LIBRARY = "/lib/liba.so"
STACK = 0x7FFC_0000_0000
"""Function n has its code at CODE + 0x100 * n; stacks are given as offsets from STACK."""

DAMAGED = "the unwind information or the stack memory is damaged or missing"
OVERWRITTEN = "the return address is not in code: the stack is overwritten"
NO_INFORMATION = "no unwind information, and no chain of frame pointers"
NOT_IN_CODE = "the program counter is not in code"

RESTORE_X86 = bytes.fromhex("48c7c00f0000000f05")
RESTORE_AARCH64 = bytes.fromhex("681180d2010000d4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A thread in a process with one library, and what its stack holds."""

    registers: Mapping[str, int]
    stack: Mapping[int, int] = field(default_factory=dict)
    """Offset from `stack_at` to the word there."""
    machine: Machine = X86_64
    entries: Sequence[w.Cie | w.Fde] = ()
    debug_entries: Sequence[w.Cie | w.Fde] = ()
    header: bool = True
    code: Mapping[int, bytes] = field(default_factory=dict)
    """Offset in the code to bytes that matter; the others are no code in particular."""
    stack_at: int = STACK
    stack_size: int = 0x1000
    more: Sequence[w.Piece] = ()
    pac_mask: int | None = None
    at: int = 0x7F00_0000_0000

    def space(self) -> AddressSpace:
        code = bytearray(0x2000)
        for offset, raw in self.code.items():
            code[offset : offset + len(raw)] = raw
        library = w.image(
            entries=self.entries,
            debug_entries=self.debug_entries,
            header=self.header,
            code=bytes(code),
            machine=self.machine,
        )
        word = self.machine.bits // 8
        stack = bytearray(self.stack_size)
        for offset, value in self.stack.items():
            stack[offset : offset + word] = value.to_bytes(word, "little")
        dump = w.core(
            machine=self.machine,
            threads=[w.Thread(registers=self.registers)],
            files=w.mapped(LIBRARY, library, self.at),
            memory=[
                *w.code_pieces(library, self.at),
                w.Piece(start=self.stack_at, data=bytes(stack)),
                *self.more,
            ],
            pac_mask=self.pac_mask,
        )
        return w.address_space(dump, {LIBRARY: library})

    def walk(self, limit: int = MAX_FRAMES) -> RawStack:
        space = self.space()
        return Unwinder(space).unwind(space.facts.threads[0], limit)


CODE = 0x7F00_0000_0000 + w.CODE


def function(number: int, program: bytes = b"", *, cie: int = 0, size: int = 0x100) -> w.Fde:
    return w.Fde(start=w.CODE + 0x100 * number, size=size, program=program, cie=cie)


def found(stack: RawStack) -> list[tuple[int, str]]:
    """(pc, trust) of each frame; pcs within the library as offsets in its code."""
    return [(f.pc - CODE if 0 <= f.pc - CODE < 0x2000 else f.pc, f.trust) for f in stack.frames]


# Functions 0 to 3 as gcc makes them: without a frame, with a frame, and the start of the thread.
NO_FRAME = w.def_cfa(7, 16) + w.saved(6, 2)
WITH_FRAME = w.def_cfa(6, 16) + w.saved(6, 2)
OUTERMOST = w.undefined(16)
CHAIN = (w.Cie(), function(0, NO_FRAME), function(1, WITH_FRAME), function(2, OUTERMOST))
