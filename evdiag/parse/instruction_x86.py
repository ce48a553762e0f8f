"""What an x86 instruction does to memory, from its mnemonic and its operands.

Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2. An instruction
with a memory operand in first place writes it, except for those named here.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol

from evdiag.model.crash import InstructionFacts, Operand
from evdiag.model.machine import Machine

REGISTER, MEMORY = 1, 3
"""capstone's X86_OP_REG and X86_OP_MEM."""

_ONLY_READ = frozenset(
    {
        *("bt", "call", "clflush", "clflushopt", "clwb", "div", "idiv", "imul", "invlpg", "jmp"),
        *("lcall", "ldmxcsr", "lgdt", "lidt", "ljmp", "lldt", "lmsw", "ltr", "mul", "ptwrite"),
        *("push", "test", "verr", "verw", "vldmxcsr"),
        *("xrstor", "xrstor64", "xrstors", "xrstors64"),
    }
)
"""Instructions whose first operand is read; comparisons and x87 are recognised by prefix."""

_READ_AND_WRITTEN = frozenset(
    {
        *("adc", "add", "and", "btc", "btr", "bts", "cmpxchg", "cmpxchg16b", "cmpxchg8b", "dec"),
        *("inc", "neg", "not", "or", "rcl", "rcr", "rol", "ror", "sal", "sar", "sbb", "shl"),
        *("shld", "shr", "shrd", "sub", "xadd", "xchg", "xor"),
    }
)
_X87_STORES = ("fbstp", "fist", "fnsave", "fnst", "fsave", "fst", "fxsave")
_UNTOUCHED = ("cldemote", "lea", "nop", "prefetch")

_STATE_SIZES = (
    ("fxsave", 512),
    ("fxrstor", 512),
    ("xsave", 4096),
    ("xrstor", 4096),
    ("fnsave", 108),
    ("frstor", 108),
)
"""Bytes of a saved processor state, which capstone does not know; 4096 holds AVX-512."""

_TRAPS = frozenset({"int1", "int3", "into", "ud0", "ud1", "ud2"})
_FLAGS_SIZES = {"pushf": 2, "pushaw": 16, "pushal": 32, "popf": 2, "popaw": 16, "popal": 32}

_BRACKETS = re.compile(r"(?:[c-g]s:)?\[[^\]]*\]")

ReadWord = Callable[[int], int | None]


class DecodedMemory(Protocol):
    """capstone's `X86OpMem`; registers are numbers, 0 stands for none."""

    base: int
    index: int
    segment: int
    scale: int
    disp: int


class DecodedOperand(Protocol):
    """capstone's `X86Op`."""

    type: int
    size: int
    reg: int
    mem: DecodedMemory


class Decoded(Protocol):
    """What is used of capstone's `CsInsn`."""

    address: int
    size: int
    mnemonic: str
    op_str: str
    operands: Sequence[DecodedOperand]

    def reg_name(self, number: int) -> str | None:
        """Name of a register; None for 0."""
        ...


def _register_parts() -> dict[str, tuple[tuple[str, str], int, int]]:
    """Each name of a part of a register: (names of the whole in 64 and 32 bits, bits, shift)."""
    found: dict[str, tuple[tuple[str, str], int, int]] = {}
    for x in "abcd":
        whole = f"r{x}x", f"e{x}x"
        found |= {f"{x}l": (whole, 8, 0), f"{x}h": (whole, 8, 8), f"{x}x": (whole, 16, 0)}
        found |= {f"e{x}x": (whole, 32, 0), f"r{x}x": (whole, 64, 0)}
    for x in ("si", "di", "bp", "sp"):
        whole = f"r{x}", f"e{x}"
        found |= {f"{x}l": (whole, 8, 0), x: (whole, 16, 0)}
        found |= {f"e{x}": (whole, 32, 0), f"r{x}": (whole, 64, 0)}
    for i in range(8, 16):
        whole = f"r{i}", ""
        found |= {f"r{i}b": (whole, 8, 0), f"r{i}w": (whole, 16, 0)}
        found |= {f"r{i}d": (whole, 32, 0), f"r{i}": (whole, 64, 0)}
    return found


_PARTS = _register_parts()


class _State:
    """The registers as the instruction found them."""

    def __init__(self, found: Decoded, machine: Machine, registers: Mapping[str, int]) -> None:
        self.found, self.machine, self.registers = found, machine, registers
        self.wide = machine.bits == 64
        self.sp_name = "rsp" if self.wide else "esp"
        self.mnemonic = found.mnemonic.rsplit(" ", 1)[-1]

    def value(self, name: str | None) -> int | None:
        """Value of a register or of a part of one; None for what a core does not hold."""
        part = _PARTS.get(name or "")
        if part is None:
            return None
        names, bits, shift = part
        whole = self.registers.get(names[0] if self.wide else names[1])
        return None if whole is None else whole >> shift & (1 << bits) - 1

    def whole(self, name: str) -> tuple[str, int]:
        """The register that a part belongs to, with its value."""
        names = _PARTS[name][0]
        full = names[0] if self.wide else names[1]
        return full, self.registers[full]

    def segment_base(self, segment: str | None) -> tuple[str, int] | None:
        """Name and value of what a segment adds to an address; None where that is not known."""
        if segment not in ("fs", "gs"):
            return "", 0
        base = self.registers.get(f"{segment}_base")
        return None if base is None else (f"{segment}_base", base)


def explain(
    found: Decoded, machine: Machine, registers: Mapping[str, int], read_word: ReadWord
) -> InstructionFacts:
    """Work out the memory, the target and the divisor of an instruction that capstone decoded."""
    state = _State(found, machine, registers)
    operands = (*_explicit(state), *_implicit(state))
    kind = _kind(state.mnemonic)
    return InstructionFacts(
        text=f"{found.mnemonic} {found.op_str}".rstrip(),
        kind=kind,
        operands=operands,
        target=_target(state, kind, operands, read_word),
        divisor=_divisor(state, operands, read_word) if kind == "divide" else None,
    )


def _kind(mnemonic: str) -> str:
    if mnemonic in ("call", "lcall"):
        return "call"
    if mnemonic.startswith(("ret", "iret")):
        return "return"
    if mnemonic.startswith(("j", "ljmp", "loop")):
        return "jump"
    if mnemonic in ("div", "idiv"):
        return "divide"
    if mnemonic in _TRAPS:
        return "trap"
    return "push" if mnemonic.startswith(("push", "enter")) else "other"


def _explicit(state: _State) -> Iterator[Operand]:
    """The memory operands that the disassembly shows."""
    if state.mnemonic.startswith(_UNTOUCHED):
        return
    texts = iter(_BRACKETS.findall(state.found.op_str))
    for position, operand in enumerate(state.found.operands):
        if operand.type == MEMORY:
            made = _memory_operand(state, position, operand, next(texts, "[?]"))
            if made is not None:
                yield made


def _memory_operand(
    state: _State, position: int, operand: DecodedOperand, text: str
) -> Operand | None:
    mem, name = operand.mem, state.found.reg_name
    base, index = name(mem.base), name(mem.index)
    segment = state.segment_base(name(mem.segment))
    if segment is None:
        return None
    address, used = segment[1] + mem.disp, [segment] if segment[0] else []
    if base in ("rip", "eip"):
        address += state.found.address + state.found.size
        base = None
    for register, scale in ((base, 1), (index, mem.scale)):
        if register is None or register in ("riz", "eiz"):
            continue
        value = state.value(register)
        if value is None:  # a vector of indices, or a core without this register
            return None
        address += value * scale
        used.append(state.whole(register))
    if base == state.sp_name and state.mnemonic == "pop":
        address += operand.size  # pop computes the address of its operand after the increment
    reads, writes = _access(state.mnemonic, position)
    # 32-bit addressing in 64-bit mode (prefix 67) wraps at 4 GiB
    narrow = any(part and part.startswith("e") for part in (base, index))
    return Operand(
        text=text,
        address=address & (0xFFFFFFFF if narrow else state.machine.mask),
        size=_size(state.mnemonic, operand.size),
        reads=reads,
        writes=writes,
        registers=tuple(used),
        displacement=mem.disp,
    )


def _size(mnemonic: str, told: int) -> int:
    return next((size for name, size in _STATE_SIZES if mnemonic.startswith(name)), told)


def _access(mnemonic: str, position: int) -> tuple[bool, bool]:
    """(reads, writes) of a memory operand, by its place among the operands."""
    if mnemonic in _READ_AND_WRITTEN:
        return True, True
    if position > 0 or mnemonic in _ONLY_READ:
        return True, False
    if mnemonic.startswith("cmp"):
        return True, False
    if mnemonic.startswith("f"):
        stores = mnemonic.startswith(_X87_STORES)
        return not stores, stores
    return False, True


def _implicit(state: _State) -> Iterator[Operand]:
    """The memory that an instruction touches without saying so: mostly the stack."""
    word, mnemonic = state.machine.word, state.mnemonic
    if mnemonic.startswith(("call", "lcall", "enter")):
        yield from _at(state, state.sp_name, -word, word, writes=True)
    elif mnemonic.startswith(("ret", "iret")):
        yield from _at(state, state.sp_name, 0, word)
    elif mnemonic.startswith("push"):
        size = _FLAGS_SIZES.get(mnemonic) or _stack_size(state)
        yield from _at(state, state.sp_name, -size, size, writes=True)
    elif mnemonic.startswith("pop") and mnemonic != "popcnt":
        size = _FLAGS_SIZES.get(mnemonic) or _stack_size(state)
        yield from _at(state, state.sp_name, 0, size)
    elif mnemonic == "leave":
        yield from _at(state, "rbp" if state.wide else "ebp", 0, word)
    elif mnemonic == "xlatb":
        yield from _at(state, "rbx" if state.wide else "ebx", state.value("al") or 0, 1)
    elif mnemonic in ("maskmovq", "maskmovdqu"):
        size = 8 if mnemonic == "maskmovq" else 16
        yield from _at(state, "rdi" if state.wide else "edi", 0, size, writes=True)


def _stack_size(state: _State) -> int:
    """Bytes that one push or pop moves: a word, or two bytes with the prefix 66."""
    sizes = [operand.size for operand in state.found.operands]
    return 2 if sizes == [2] else state.machine.word


def _at(
    state: _State, register: str, offset: int, size: int, *, writes: bool = False
) -> Iterator[Operand]:
    value = state.value(register)
    if value is None:
        return
    # written as capstone writes displacements
    distance = f"{abs(offset)}" if abs(offset) < 10 else f"{abs(offset):#x}"
    sign = f" {'-' if offset < 0 else '+'} {distance}" if offset else ""
    yield Operand(
        text=f"[{register}{sign}]",
        address=(value + offset) & state.machine.mask,
        size=size,
        reads=not writes,
        writes=writes,
        registers=((register, value),),
        displacement=offset,
    )


def _target(
    state: _State, kind: str, operands: tuple[Operand, ...], read_word: ReadWord
) -> int | None:
    """Where a call, jump or return goes to that does not have its target in the code."""
    if kind == "return" and operands:
        return read_word(operands[0].address)
    if kind not in ("call", "jump") or not state.found.operands:
        return None
    first = state.found.operands[0]
    if first.type == REGISTER:
        return state.value(state.found.reg_name(first.reg))
    # a far pointer has a selector beside the address and another size
    if first.type == MEMORY and first.size == state.machine.word and operands:
        return read_word(operands[0].address) if operands[0].reads else None
    return None


def _divisor(state: _State, operands: tuple[Operand, ...], read_word: ReadWord) -> int | None:
    first = state.found.operands[0]
    if first.type == REGISTER:
        value = state.value(state.found.reg_name(first.reg))
    else:
        value = read_word(operands[0].address) if operands else None
    if value is None:
        return None
    bits = 8 * first.size
    value &= (1 << bits) - 1
    negative = state.mnemonic == "idiv" and value >> (bits - 1)
    return value - (1 << bits) if negative else value
