"""What a short function of the program would return, by following its instructions.

Made for `what()`: it returns the address of a constant, of a member, or what such a function of
another class returns. Loads, additions, calls and jumps are all that takes; nothing is written but
to a stack of its own, and at anything else the answer is that it is not known.
"""

import re
from itertools import zip_longest

from evdiag.model.machine import AARCH64, X86_64, Machine
from evdiag.parse.instruction import disassemble_last
from evdiag.parse.memory import Memory

MAX_STEPS = 64
"""Instructions: compiled without optimisation, and through two tables of links, it takes 30."""
CODE_BYTES = 96
STACK = 1 << 63
"""Where the stack is: at an address that no process has."""
HOME = STACK | 1 << 32
"""The address that the function returns to."""

_CALLS, _JUMPS = ("call", "bl", "blr"), ("jmp", "b", "br")
_MOVES = ("mov", "movabs", "ldr", "ldur", "adrp")
_STORES = ("str", "stur")
_RETURNS = ("ret", "retaa")
_PREFIX = re.compile("(?:bnd|notrack) ")
_NOTHING = ("nop", "endbr64", "bti", "paciasp", "autiasp", "hint")
_LOADED = re.compile(r"(?:qword ptr )?\[([^\]]*)\]")
_TERM = re.compile(r"\s*([+-]?)\s*(-?0x[0-9a-f]+|-?\d+|[a-z]\w*)\s*")
_PAIR = re.compile(r"(\w+), (\w+), \[sp(?:, #(-?\w+))?\](!)?(?:, #(-?\w+))?")
_NARROW = {"eax": "rax", "edi": "rdi", "ecx": "rcx", "edx": "rdx", "esi": "rsi"}
_CONVENTIONS = {X86_64.name: ("rdi", "rax", "rsp"), AARCH64.name: ("x0", "x0", "sp")}
"""First argument, result and stack pointer (psABI of x86-64, 3.2; AAPCS64, 6)."""
_REGISTERS = {
    X86_64.name: {name for name in X86_64.registers if name.startswith("r") and name != "rip"},
    AARCH64.name: {name for name in AARCH64.registers if name.startswith(("x", "sp"))},
}


class _Unknown(Exception):
    """The function does something that is not followed."""


def returned(memory: Memory, machine: Machine, function: int, argument: int) -> int | None:
    """What a function returns for a pointer; None if it cannot be told."""
    if machine.name not in _CONVENTIONS:
        return None
    try:
        return _Run(memory, machine, argument).run(function)
    except (_Unknown, ValueError):
        return None


class _Run:
    def __init__(self, memory: Memory, machine: Machine, argument: int) -> None:
        first, self.result, self.sp = _CONVENTIONS[machine.name]
        self.memory, self.machine = memory, machine
        self.registers = {first: argument, self.sp: STACK, "x30": HOME}
        self.stack: dict[int, int] = {}

    def run(self, pc: int) -> int:
        if self.machine is X86_64:
            self.push(HOME)
        steps = 0
        while pc != HOME:
            if not self.memory.executable(pc):
                raise _Unknown
            code = self.memory.read(pc, CODE_BYTES)
            rows = disassemble_last(self.machine, code, pc, CODE_BYTES)
            ends = [at for at, _ in rows[1:]]
            target = None
            for (_, text), after in zip_longest(rows, ends):
                steps += 1
                # where the last one ends is not known: it may only be the end
                if steps > MAX_STEPS or (after is None and text not in _RETURNS):
                    raise _Unknown
                target = self.step(text, after or 0)
                if target is not None:
                    break
            if target is None:
                raise _Unknown
            pc = target
        return self.value(self.result, 0)

    def step(self, text: str, after: int) -> int | None:
        """Follow one instruction; the answer is where it goes, if not to the one behind it."""
        name, _, operands = _PREFIX.sub("", text).partition(" ")
        if name in _RETURNS:
            return self.pop() if self.machine is X86_64 else self.value("x30", after)
        if name in _CALLS or name in _JUMPS:
            target = self.value(operands, after)
            if name in _CALLS:
                self._link(after)
            return target
        if name not in _NOTHING:
            self._compute(name, operands, after)
        return None

    def _link(self, after: int) -> None:
        if self.machine is X86_64:
            self.push(after)
        else:
            self.registers["x30"] = after

    def _compute(self, name: str, operands: str, after: int) -> None:
        target, _, source = operands.partition(", ")
        if name == "push":
            self.push(self._saved(operands))
        elif name == "pop":
            self.registers[self._register(operands)] = self.pop()
        elif name == "leave":
            self.registers[self.sp] = self.value("rbp", after)
            self.registers["rbp"] = self.pop()
        elif name in ("stp", "ldp"):
            self._pair(name, operands)
        elif name == "lea":
            self.registers[self._register(target)] = self._address(source, after)
        elif name in ("add", "sub"):
            self._add(target, source, after, -1 if name == "sub" else 1)
        elif name in _STORES:
            self._store(self._address(source, after), self.value(target, after))
        elif name in _MOVES and _LOADED.fullmatch(target):
            self._store(self._address(target, after), self.value(source, after))
        elif name in _MOVES:
            self.registers[self._register(target)] = self.value(source, after)
        else:
            raise _Unknown

    def _add(self, target: str, source: str, after: int, sign: int) -> None:
        """Two operands on x86-64, three on aarch64, the last maybe shifted."""
        first, second = target, source
        if self.machine is not X86_64:
            first, _, second = source.partition(", ")
        second, _, shift = second.partition(", lsl #")
        amount = self.value(second, after) << min(int(shift or 0), 64)
        total = self.value(first, after) + sign * amount
        self.registers[self._register(target)] = total & self.machine.mask

    def _pair(self, name: str, operands: str) -> None:
        """`stp a, b, [sp, #-0x10]!` and `ldp a, b, [sp], #0x10`."""
        match = _PAIR.fullmatch(operands)
        if match is None:
            raise _Unknown
        before, behind = int(match[3] or "0", 0), int(match[5] or "0", 0)
        at = self.registers["sp"] + before
        for i in (1, 2):
            if name == "stp":
                self._store(at + 8 * i - 8, self._saved(match[i]))
            else:
                self.registers[match[i]] = self._load(at + 8 * i - 8)
        self.registers["sp"] += (before if match[4] else 0) + behind

    def _saved(self, register: str) -> int:
        """What a register holds; where that is not known, it is saved and restored, never used."""
        return self.registers.get(register, 0)

    def value(self, operand: str, after: int) -> int:
        """A register, a number, or the word at an address."""
        loaded = _LOADED.fullmatch(operand)
        return self._load(self._sum(loaded[1], after)) if loaded else self._sum(operand, after)

    def _address(self, operand: str, after: int) -> int:
        loaded = _LOADED.fullmatch(operand)
        if loaded is None:
            raise _Unknown
        return self._sum(loaded[1], after)

    def _sum(self, text: str, after: int) -> int:
        total, rest = 0, text.replace("#", "").replace(",", " +")
        while rest:
            term = _TERM.match(rest)
            if term is None:
                raise _Unknown
            total += -self._term(term[2], after) if term[1] == "-" else self._term(term[2], after)
            rest = rest[term.end() :]
        return total & self.machine.mask

    def _term(self, text: str, after: int) -> int:
        if text[0] in "-0123456789":
            return int(text, 0)
        if text == "rip":
            return after
        if text not in self.registers:
            raise _Unknown
        return self.registers[text]

    def _register(self, text: str) -> str:
        name = _NARROW.get(text, text)
        if name not in _REGISTERS[self.machine.name]:
            raise _Unknown  # a part of one
        return name

    def _store(self, at: int, value: int) -> None:
        if not 0 <= STACK - at <= 1 << 12:
            raise _Unknown
        self.stack[at] = value

    def _load(self, at: int) -> int:
        value = self.stack.get(at)
        if value is None:
            value = self.memory.word(at)
        if value is None:
            raise _Unknown
        return value

    def push(self, value: int) -> None:
        self.registers[self.sp] -= 8
        self._store(self.registers[self.sp], value)

    def pop(self) -> int:
        value = self._load(self.registers[self.sp])
        self.registers[self.sp] += 8
        return value
