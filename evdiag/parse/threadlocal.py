"""Where the code of a function finds its thread-local variable, and where that is in a thread.

Sources: Drepper, "ELF Handling For Thread-Local Storage" (instruction sequences of x86-64, and
`tls_index`); Arm's ELF for aarch64 (TLS descriptors); glibc's sysdeps/*/nptl/tls.h for the dynamic
thread vector (`dtv`) and sysdeps/generic/dl-dtv.h for its entries of two words.
"""

import struct
from collections.abc import Callable

import msgspec

from evdiag.model.core import ThreadState
from evdiag.model.machine import AARCH64, X86_64, Machine
from evdiag.parse.memory import Memory

CODE_BYTES = 64
"""How much of a function is looked at: one that only gives an address is shorter."""
MAX_STATIC = 1 << 24
"""Variables of the program, and of the libraries it started with, lie this close to the thread
pointer: a descriptor with a greater argument points to a `tls_index`."""
MAX_MODULES = 1 << 16
"""More libraries with thread-local variables than any process has."""
UNALLOCATED = (0, (1 << 64) - 1)
"""Entries for libraries whose variables the thread has not used yet (TLS_DTV_UNALLOCATED)."""
VECTOR_AT = {X86_64.name: 8, AARCH64.name: 0}
"""Where the dynamic thread vector hangs, from the thread pointer on (`tcbhead_t.dtv`)."""

ReadWord = Callable[[int], int | None]


class ThreadLocal(msgspec.Struct, frozen=True, kw_only=True):
    """The place of a thread-local variable."""

    module: int | None = None
    """Number of its library in the vector; None: `offset` counts from the thread pointer."""
    offset: int = 0


def find_thread_local(
    machine: Machine, code: bytes, address: int, word: ReadWord
) -> ThreadLocal | None:
    """The variable whose address a function gives; None if its code cannot be understood."""
    if machine is X86_64:
        return _x86(code[:CODE_BYTES], address, word)
    if machine is AARCH64:
        return _aarch64(code[:CODE_BYTES], address, word)
    return None


def thread_pointer(machine: Machine, state: ThreadState) -> int | None:
    """What the variables of a thread are counted from; None where the core does not tell it."""
    if machine is X86_64:
        return state.registers[X86_64.registers.index("fs_base")] or None
    return state.tls or None


def locate(memory: Memory, machine: Machine, pointer: int, place: ThreadLocal) -> int | None:
    """The address of a variable of the thread with this thread pointer.

    0 where the thread has none, because it never used a variable of that library; None where
    that cannot be read.
    """
    if place.module is None:
        return (pointer + place.offset) & machine.mask
    vector = memory.word(pointer + VECTOR_AT[machine.name])
    block = memory.word(vector + 2 * machine.word * place.module) if vector else None
    if block is None:
        return None
    return 0 if block in UNALLOCATED else (block + place.offset) & machine.mask


def _index(word: ReadWord, at: int, addend: int = 0) -> ThreadLocal | None:
    """A `tls_index` {module, offset}, as the dynamic linker fills it in."""
    module, offset = word(at), word(at + 8)
    if not module or offset is None or module > MAX_MODULES:
        return None
    return ThreadLocal(module=module, offset=offset + addend)


def _described(word: ReadWord, at: int) -> ThreadLocal | None:
    """A TLS descriptor {resolver, argument}: the argument is an offset, or leads to an index."""
    argument = word(at + 8)
    if argument is None:
        return None
    offset = _signed(argument, 64)
    return ThreadLocal(offset=offset) if abs(offset) < MAX_STATIC else _index(word, argument)


def _signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> (bits - 1) else value


# -- x86-64

_LEA_RDI, _LEA_RAX = b"\x48\x8d\x3d", b"\x48\x8d\x05"
_MOV_GOT, _ADD_GOT = b"\x48\x8b\x05", b"\x48\x03\x05"
_ADD_RAX, _LEA_OFF_RAX = b"\x48\x05", b"\x48\x8d\x80"
_CALL_RAX = b"\xff\x10"
_MOV_FS, _ADD_FS = b"\x64\x48\x8b\x04\x25", b"\x64\x48\x03\x04\x25"


_OPENERS = (_LEA_RDI, _LEA_RAX, _MOV_GOT, _MOV_FS, _ADD_FS)
_LONGEST = 32
"""Bytes from the first of these instructions to the end of the last one of a sequence."""


def _x86(code: bytes, address: int, word: ReadWord) -> ThreadLocal | None:
    """General and local dynamic, descriptors, initial exec and local exec: in this order."""
    found = [at for opcode in _OPENERS if (at := code.find(opcode)) >= 0]
    if not found:
        return None
    first = min(found)
    part = code[first : first + _LONGEST]
    addend = _number(part, _ADD_RAX) or 0
    if part.startswith(_LEA_RDI):
        index = _target(part, _LEA_RDI, address + first)
        return None if index is None else _index(word, index, addend)
    if part.startswith(_LEA_RAX):
        descriptor = _target(part, _LEA_RAX, address + first)
        if descriptor is None or _CALL_RAX not in part:
            return None
        return _described(word, descriptor)
    if _MOV_FS not in part and _ADD_FS not in part:
        return None
    for opcode in (_ADD_GOT, _MOV_GOT):
        slot = _target(part, opcode, address + first)
        if slot is not None:
            offset = word(slot)
            return None if offset is None else ThreadLocal(offset=_signed(offset, 64))
    return ThreadLocal(offset=addend + (_number(part, _LEA_OFF_RAX) or 0))


def _number(code: bytes, opcode: bytes) -> int | None:
    """The 32-bit operand behind an opcode."""
    at = code.find(opcode)
    if at < 0 or at + len(opcode) + 4 > len(code):
        return None
    return int(struct.unpack_from("<i", code, at + len(opcode))[0])


def _target(code: bytes, opcode: bytes, address: int) -> int | None:
    """The address that an operand relative to the program counter means."""
    distance = _number(code, opcode)
    if distance is None:
        return None
    return address + code.find(opcode) + len(opcode) + 4 + distance


# -- aarch64

_MRS, _ADRP, _LDR, _ADD, _BLR, _RET = (
    (0xFFFFFFE0, 0xD53BD040),  # mrs xD, tpidr_el0
    (0x9F000000, 0x90000000),
    (0xFFC00000, 0xF9400000),  # ldr xT, [xN, #imm]
    (0xFF800000, 0x91000000),  # add xD, xN, #imm {, lsl #12}
    (0xFFFFFC1F, 0xD63F0000),
    (0xFFFFFC1F, 0xD65F0000),
)
"""(mask, value) of the instructions that matter (Arm ARM, C6.2)."""


def _aarch64(code: bytes, address: int, word: ReadWord) -> ThreadLocal | None:
    """A descriptor (adrp, ldr, add, blr), initial exec (adrp, ldr) or local exec (adds)."""
    pages: dict[int, int] = {}
    slot: int | None = None
    offset, seen_pointer = 0, False
    for i, (op,) in enumerate(struct.iter_unpack("<I", code[: len(code) // 4 * 4])):
        target, source = op & 31, op >> 5 & 31
        if _is(op, _RET):
            break
        if _is(op, _MRS):
            seen_pointer = True
        elif _is(op, _ADRP):
            distance = _signed((op >> 5 & 0x7FFFF) << 2 | op >> 29 & 3, 21)
            pages[target] = (address + 4 * i & ~0xFFF) + (distance << 12)
        elif _is(op, _LDR) and source in pages:
            slot = pages[source] + (op >> 10 & 0xFFF) * 8
        elif _is(op, _ADD) and source not in pages and source != 31 and target != 29:
            offset += (op >> 10 & 0xFFF) << (12 if op >> 22 & 1 else 0)
        elif _is(op, _BLR):
            return _described(word, slot) if slot is not None else None
    if not seen_pointer:
        return None
    if slot is not None:
        value = word(slot)
        return None if value is None else ThreadLocal(offset=_signed(value, 64))
    return ThreadLocal(offset=offset)


def _is(op: int, pattern: tuple[int, int]) -> bool:
    return op & pattern[0] == pattern[1]
