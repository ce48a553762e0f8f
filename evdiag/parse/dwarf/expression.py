"""Evaluate the DWARF expressions that call frame information uses (DWARF 5 section 2.5)."""

import struct
from collections.abc import Callable, Sequence

from evdiag.parse.dwarf.numbers import sleb, uleb
from evdiag.parse.elf import Data

MAX_STEPS = 10_000
MAX_STACK = 1_000

Word = Callable[[int], int | None]
Read = Callable[[int, int], bytes]


class MissingValue(ValueError):
    """The expression needs a register or memory that the core does not have."""


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


def _divide(a: int, b: int) -> int:
    """Division that rounds towards zero, as DWARF asks."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


CONSTANTS = {
    0x08: struct.Struct("<B"), 0x09: struct.Struct("<b"), 0x0A: struct.Struct("<H"),
    0x0B: struct.Struct("<h"), 0x0C: struct.Struct("<I"), 0x0D: struct.Struct("<i"),
    0x0E: struct.Struct("<Q"), 0x0F: struct.Struct("<q"),
}  # fmt: skip

UNSIGNED: dict[int, Callable[[int, int], int]] = {
    0x1A: lambda a, b: a & b,
    0x1C: lambda a, b: a - b,
    0x1D: lambda a, b: a % b,
    0x1E: lambda a, b: a * b,
    0x21: lambda a, b: a | b,
    0x22: lambda a, b: a + b,
    0x24: lambda a, b: a << b if b < 64 else 0,
    0x25: lambda a, b: a >> b if b < 64 else 0,
    0x27: lambda a, b: a ^ b,
}
SIGNED: dict[int, Callable[[int, int], int]] = {
    0x1B: _divide,
    0x26: lambda a, b: a >> (b if 0 <= b < 64 else 63),
    0x29: lambda a, b: a == b,
    0x2A: lambda a, b: a >= b,
    0x2B: lambda a, b: a > b,
    0x2C: lambda a, b: a <= b,
    0x2D: lambda a, b: a < b,
    0x2E: lambda a, b: a != b,
}


class Expression:
    """One evaluation. Raises MissingValue, or one of DAMAGED for a damaged expression."""

    def __init__(
        self, data: Data, bits: int, registers: Sequence[int | None], word: Word, read: Read
    ) -> None:
        self.data, self.bits, self.mask = data, bits, (1 << bits) - 1
        self.registers, self.word, self.read = registers, word, read
        self.stack: list[int] = []
        self.steps = 0

    def evaluate(self, at: int, end: int, initial: int | None = None) -> int:
        """The value that is on top when the expression ends."""
        if initial is not None:
            self.stack.append(initial)
        start = at
        while at < end:
            self.steps += 1
            if self.steps > MAX_STEPS or len(self.stack) > MAX_STACK:
                raise ValueError("an expression does not end")
            if at < start:
                raise ValueError("an expression jumps out of itself")
            at = self._step(self.data[at], at + 1)
        return self.stack[-1]

    def _step(self, op: int, at: int) -> int:
        if 0x30 <= op <= 0x4F:
            self._push(op - 0x30)
        elif 0x70 <= op <= 0x8F or op == 0x92:
            at = self._register(op, at)
        elif op in CONSTANTS:
            self._push(CONSTANTS[op].unpack_from(self.data, at)[0])
            at += CONSTANTS[op].size
        elif op == 0x03:  # addr
            size = self.bits // 8
            self._push(int.from_bytes(self.data[at : at + size], "little"))
            at += size
        elif op in (0x10, 0x11):
            value, at = (uleb if op == 0x10 else sleb)(self.data, at)
            self._push(value)
        elif op in (0x06, 0x94):
            at = self._deref(op, at)
        elif 0x12 <= op <= 0x17:
            at = self._shuffle(op, at)
        elif op in (0x28, 0x2F):  # bra, skip
            distance = struct.unpack_from("<h", self.data, at)[0]
            at += 2
            if op == 0x2F or self.stack.pop():
                at += distance
        else:
            at = self._compute(op, at)
        return at

    def _push(self, value: int) -> None:
        self.stack.append(value & self.mask)

    def _register(self, op: int, at: int) -> int:
        register = op - 0x70
        if op == 0x92:
            register, at = uleb(self.data, at)
        offset, at = sleb(self.data, at)
        value = self.registers[register]
        if value is None:
            raise MissingValue(f"register {register} is not known")
        self._push(value + offset)
        return at

    def _deref(self, op: int, at: int) -> int:
        address = self.stack.pop()
        if op == 0x06:
            value = self.word(address)
        else:
            size = self.data[at]
            at += 1
            raw = self.read(address, size)
            value = int.from_bytes(raw, "little") if len(raw) == size else None
        if value is None:
            raise MissingValue(f"memory at 0x{address:x} is not in the core")
        self._push(value)
        return at

    def _shuffle(self, op: int, at: int) -> int:
        """dup, drop, over, pick, swap, rot."""
        stack = self.stack
        if op == 0x13:
            stack.pop()
        elif op == 0x16:
            stack[-1], stack[-2] = stack[-2], stack[-1]
        elif op == 0x17:
            stack[-3:] = [stack[-1], stack[-3], stack[-2]]
        else:
            depth = {0x12: 0, 0x14: 1}.get(op)
            if depth is None:
                depth, at = self.data[at], at + 1
            stack.append(stack[-1 - depth])
        return at

    def _compute(self, op: int, at: int) -> int:
        stack = self.stack
        if op == 0x96:  # nop
            return at
        if op == 0x19:
            self._push(abs(_signed(stack.pop(), self.bits)))
        elif op == 0x1F:
            self._push(-stack.pop())
        elif op == 0x20:
            self._push(~stack.pop())
        elif op == 0x23:  # plus_uconst
            value, at = uleb(self.data, at)
            self._push(stack.pop() + value)
        elif op in UNSIGNED:
            b, a = stack.pop(), stack.pop()
            self._push(UNSIGNED[op](a, b))
        else:
            b, a = _signed(stack.pop(), self.bits), _signed(stack.pop(), self.bits)
            self._push(SIGNED[op](a, b))
        return at
