"""What an aarch64 or arm instruction does to memory, read from its line of disassembly.

The assembly of both is regular: `[base, offset]`, `[base, offset]!`, `[base], offset`, a list of
registers, and a mnemonic that says direction and width. Sources: Arm Architecture Reference
Manual for A-profile (C6 and C7), for Armv7-A (A8).
"""

import re
from collections.abc import Callable, Iterator, Mapping

import msgspec

from evdiag.model.crash import InstructionFacts, Operand
from evdiag.model.machine import Machine


class Line(msgspec.Struct, frozen=True):
    """One line of disassembly and where it was found."""

    mnemonic: str
    operands: str
    address: int
    thumb: bool = False


_BRACKETS = re.compile(r"\[([^\]]*)\]")
_BRACES = re.compile(r"\{([^}]*)\}(\[\d+\])?")
_SHAPE = re.compile(r"\.(\d*)([bhsdq])$")
_PART = re.compile(r"(-?)(\w+)")
_CONDITIONS = frozenset(
    {
        *("eq", "ne", "hs", "cs", "lo", "cc", "mi", "pl", "vs", "vc", "hi", "ls", "ge", "lt"),
        *("gt", "le", "al"),
    }
)

_ALIASES = {
    "aarch64": {"fp": "x29", "lr": "x30", "ip0": "x16", "ip1": "x17"},
    "arm": {"sb": "r9", "sl": "r10", "fp": "r11", "ip": "r12", "r13": "sp", "r14": "lr"},
}

_ATOMIC = re.compile(r"cas|swp|(ld|st)(add|clr|eor|set|[su](min|max))")
"""aarch64 instructions that read and write one place: Armv8.1-A, Large System Extensions."""

_STATUS_FIRST = re.compile(r"stl?xr|stl?xp|strex|stlex")
"""Exclusive stores: their first register takes the outcome, the second holds the data."""

_WIDTHS = {"b": 1, "h": 2, "s": 4, "w": 4, "x": 8, "d": 8, "q": 16, "z": 16, "p": 2}
"""Bytes behind the first letter of an aarch64 register name."""

_ARM_MEMORY = re.compile(
    r"(?P<direction>ld|st|swp|tb|vld|vst|push|pop|vpush|vpop)"
    r"(?P<rest>[a-z0-9]*?)(?:\.[a-z0-9]+)*$"
)

_CACHE_BLOCK = 64
"""Bytes that `dc zva` clears on the common cores (DCZID_EL0 of Cortex-A and Neoverse)."""

ReadWord = Callable[[int], int | None]


class _State:
    """The registers as the instruction found them."""

    def __init__(self, line: Line, machine: Machine, registers: Mapping[str, int]) -> None:
        self.line, self.machine, self.registers = line, machine, registers
        self.mnemonic = _plain(line.mnemonic, machine)
        self.arguments = [part.strip() for part in line.operands.split(",")]

    def whole(self, name: str) -> str:
        """The register of the core that a name of the disassembly means."""
        name = _ALIASES[self.machine.name].get(name, name)
        if self.machine.name == "aarch64" and re.fullmatch(r"w\d+", name):
            return f"x{name[1:]}"
        return "sp" if name == "wsp" else name

    def value(self, name: str) -> int | None:
        """Value of a register; None for what a core does not hold."""
        if name in ("xzr", "wzr"):
            return 0
        if name == "pc" and self.machine.name == "arm":
            # pc reads as two instructions ahead, in Thumb aligned to a word
            return (self.line.address + 4) & ~3 if self.line.thumb else self.line.address + 8
        found = self.registers.get(self.whole(name))
        if found is not None and self.machine.name == "aarch64" and name.startswith("w"):
            return found & 0xFFFFFFFF
        return found


def explain(
    line: Line, machine: Machine, registers: Mapping[str, int], read_word: ReadWord
) -> InstructionFacts:
    """Work out the memory, the target and the divisor of an instruction."""
    state = _State(line, machine, registers)
    operands = tuple(_operands(state))
    kind = _kind(state)
    return InstructionFacts(
        text=f"{line.mnemonic} {line.operands}".rstrip(),
        kind=kind,
        operands=operands,
        target=_target(state, kind, operands, read_word),
        divisor=state.value(state.arguments[-1]) if kind == "divide" else None,
    )


def _plain(mnemonic: str, machine: Machine) -> str:
    """The mnemonic without arm's condition and width: `ldrhne.w` is an `ldrh`."""
    if machine.name == "aarch64":
        return mnemonic
    first, _, rest = mnemonic.removesuffix(".w").partition(".")
    stem = first[:-2]
    # teq, svc and the like end in a condition's letters without having one, and do not matter;
    # ldrls is a conditional ldr, and strd or ldrsh end in no condition
    conditional = first[-2:] in _CONDITIONS and (len(stem) > 1 or stem == "b")
    return ".".join(filter(None, (stem if conditional else first, rest)))


def _kind(state: _State) -> str:
    name, arguments = state.mnemonic, state.line.operands
    if name.startswith("bl"):
        return "call"
    if name.startswith("ret") or _returns(state):
        return "return"
    if name in ("b", "tbz", "tbnz", "tbb", "tbh") or name.startswith(("b.", "br", "bx", "cb")):
        return "trap" if name == "brk" else "jump"
    if state.machine.name == "arm" and state.arguments[0] == "pc":
        return "jump"
    if name.startswith(("bkpt", "udf", "hlt")):
        return "trap"
    if name in ("sdiv", "udiv"):
        return "divide"
    # stores that move the stack pointer down first
    stored = name.startswith(("push", "vpush")) or (name.startswith("st") and "[sp" in arguments)
    return "push" if stored and ("!" in arguments or "push" in name) else "other"


def _returns(state: _State) -> bool:
    """Whether it is one of arm's ways to return: `bx lr`, `mov pc, lr`, `pop {..., pc}`."""
    if state.machine.name != "arm":
        return False
    name, arguments = state.mnemonic, state.line.operands
    if name in ("bx", "mov"):
        return arguments in ("lr", "pc, lr")
    if name.startswith(("pop", "ldm")):
        return arguments.endswith("pc}")
    return name == "ldr" and arguments.startswith("pc, [sp]")


def _target(
    state: _State, kind: str, operands: tuple[Operand, ...], read_word: ReadWord
) -> int | None:
    """Where a call, jump or return goes to that does not have its target in the code."""
    if state.mnemonic in ("tbb", "tbh"):
        return None
    if kind in ("call", "jump", "return") and operands:
        last = operands[0]  # of a list of registers pc is the last, at the highest address
        return read_word(last.address + last.size - state.machine.word)
    if kind == "return":
        return state.value(state.arguments[-1] or "lr")
    # what `add pc, pc, r0` computes is not worked out
    if state.mnemonic in ("bx", "blx") or state.mnemonic.startswith(("br", "blr")):
        return state.value(state.arguments[0])
    if kind == "jump" and state.mnemonic == "mov":
        return state.value(state.arguments[-1])
    return None


# -- memory


def _operands(state: _State) -> Iterator[Operand]:
    if state.machine.name == "arm":
        access = _arm_access(state)
        if access is not None:
            yield from _list_or_brackets(state, *access)
        return
    name = state.mnemonic
    if name == "dc" or name == "ic":
        yield from _cache_operand(state)
    elif _ATOMIC.match(name):
        yield from _brackets(state, _width(state), reads=True, writes=True)
    elif name.startswith(("ld", "st")):
        reads = name.startswith("ld")
        yield from _brackets(state, _width(state), reads=reads, writes=not reads)


def _cache_operand(state: _State) -> Iterator[Operand]:
    """`dc zva, x0` clears a block of memory, the others only need it to be readable."""
    value = state.value(state.arguments[-1])
    if value is not None:
        register = state.whole(state.arguments[-1])
        yield Operand(
            text=f"[{register}]",
            address=value & ~(_CACHE_BLOCK - 1),
            size=_CACHE_BLOCK,
            reads="zva" not in state.line.operands,
            writes="zva" in state.line.operands,
            registers=((register, value),),
        )


def _brackets(state: _State, size: int, *, reads: bool, writes: bool) -> Iterator[Operand]:
    """The operand in square brackets, or the address of a literal: `ldr x0, #0x1010`."""
    brackets = _BRACKETS.findall(state.line.operands)
    if not brackets:
        literal = state.arguments[-1]
        if literal.startswith("#"):
            yield Operand(
                text=f"[{literal}]",
                address=int(literal[1:], 0) & state.machine.mask,
                size=size,
                reads=reads,
                writes=writes,
            )
        return
    inside = brackets[-1]  # those before it are lanes: {v0.b}[3]
    address = _address(state, inside.split(", "))
    if address is not None:
        total, displacement, registers = address
        yield Operand(
            text=f"[{inside}]",
            address=total & state.machine.mask,
            size=size,
            reads=reads,
            writes=writes,
            registers=registers,
            displacement=displacement,
        )


def _address(
    state: _State, parts: list[str]
) -> tuple[int, int, tuple[tuple[str, int], ...]] | None:
    """(address, displacement, registers) of `base, #8` or `base, -index, lsl #2`."""
    base = parts[0].partition(":")[0]  # NEON appends an alignment: [r0:0x40]
    total = state.value(base)
    if total is None:
        return None
    # where the code lies tells a person nothing about a pointer
    registers = [] if base == "pc" else [(state.whole(base), total)]
    if len(parts) == 1:
        return total, 0, tuple(registers)
    if parts[1].startswith("#"):
        if len(parts) > 2:  # SVE counts in vectors whose length the core does not tell
            return None
        displacement = int(parts[1][1:], 0)
        return total + displacement, displacement, tuple(registers)
    found = _PART.fullmatch(parts[1])
    index = state.value(found[2]) if found else None
    if found is None or index is None:
        return None
    registers.append((state.whole(found[2]), index))
    index = _shifted(index, parts[2] if len(parts) > 2 else "", state.machine.bits)
    return total + (-index if found[1] else index), 0, tuple(registers)


def _shifted(value: int, how: str, bits: int) -> int:
    """An index register after `lsl #3`, `sxtw #2`, `asr #1`..."""
    operation, _, amount = how.partition(" #")
    places = int(amount, 0) if amount else 0
    if operation == "sxtw":
        value = ((value & 0xFFFFFFFF) ^ 0x80000000) - 0x80000000
    elif operation == "asr":
        return ((value ^ 1 << (bits - 1)) - (1 << (bits - 1))) >> places
    elif operation == "lsr":
        return value >> places
    elif operation == "ror":
        return value >> places | value << (bits - places) & (1 << bits) - 1
    return value << places


def _width(state: _State) -> int:
    """Bytes that an aarch64 load or store moves."""
    name = state.mnemonic
    if "64b" in name:
        return 64
    if name.endswith("g") or name.endswith("gm"):  # memory tags come in granules
        return 32 if "2" in name else 16
    braces = _BRACES.match(state.line.operands)
    if braces:
        return _vector_width(braces, name)
    count = 2 if re.search(r"^(ld|st)n?p|xp$|casp", name) else 1
    if name.endswith("sw"):
        return 4 * count
    if name.endswith(("b", "h")):
        return 1 if name.endswith("b") else 2
    data = state.arguments[1 if _STATUS_FIRST.match(name) else 0]
    return _WIDTHS.get(data[:1], 8) * count


def _vector_width(braces: re.Match[str], name: str) -> int:
    """Bytes of `{v0.16b, v1.16b}`, of one lane `{v0.s}[1]`, or of one element for `ld1r`."""
    vectors = braces[1].split(", ")
    shape = _SHAPE.search(vectors[0])
    if shape is None:  # a tile of SME
        return 16
    lanes = 1 if braces[2] or name.endswith("r") else int(shape[1] or 1)
    return _WIDTHS[shape[2]] * lanes * len(vectors)


# -- arm


def _arm_access(state: _State) -> tuple[bool, bool] | None:
    """(reads, writes) of an arm instruction, None where it leaves memory alone."""
    found = _ARM_MEMORY.match(state.mnemonic)
    if found is None:
        return None
    direction = found["direction"]
    if direction == "swp":
        return True, True
    reads = direction in ("ld", "vld", "pop", "vpop", "tb")
    return reads, not reads


def _list_or_brackets(state: _State, reads: bool, writes: bool) -> Iterator[Operand]:
    name, text = state.mnemonic, state.line.operands
    braces = _BRACES.search(text)
    if "[" in text.partition("}")[2] or braces is None:
        yield from _brackets(state, _arm_width(state, braces), reads=reads, writes=writes)
        return
    size = sum(8 if r.strip().startswith("d") else 4 for r in braces[1].split(","))
    stack = name.startswith(("push", "pop", "vpush", "vpop"))
    base = "sp" if stack else text.partition(",")[0].rstrip("!")
    value = state.value(base)
    if value is None:
        return
    if name.startswith(("push", "vpush")) or name.endswith("db"):
        offset = -size
    elif name.endswith("da"):
        offset = 4 - size
    else:
        offset = 4 if name.endswith("ib") else 0
    # written as capstone writes displacements
    distance = f"{abs(offset)}" if abs(offset) < 10 else f"{abs(offset):#x}"
    sign = f" {'-' if offset < 0 else '+'} {distance}" if offset else ""
    yield Operand(
        text=f"[{base}{sign}]",
        address=(value + offset) & state.machine.mask,
        size=size,
        reads=reads,
        writes=writes,
        registers=((state.whole(base), value),),
        displacement=offset,
    )


def _arm_width(state: _State, braces: re.Match[str] | None) -> int:
    """Bytes that an arm load or store moves."""
    name = state.mnemonic
    if braces:  # vld1.32 {d0, d1}, or one lane: {d0[1]}
        vectors = braces[1].split(", ")
        element = int(re.sub(r"\D", "", name.partition(".")[2]) or 64) // 8
        return (element if "[" in braces[1] else 8) * len(vectors)
    if name.startswith(("vldr", "vstr")):
        return 8 if state.arguments[0].startswith("d") else 4
    if re.search(r"(?:r|ex|a|l)s?b|^tbb|^swpb", name):
        return 1
    if re.search(r"(?:r|ex|a|l)s?h|^tbh", name):
        return 2
    return 8 if name.endswith("d") else 4
