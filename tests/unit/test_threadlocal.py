"""Where functions find their thread-local variable, from code that compilers really made."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.core import ThreadState
from evdiag.model.machine import AARCH64, ARM, X86_64, Machine
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from evdiag.parse.threadlocal import (
    ThreadLocal,
    find_thread_local,
    locate,
    thread_pointer,
)
from tests.support import elfwriter as w

AT = 0x1000
SLOT = 0x8000


def x86(*parts: str) -> bytes:
    return bytes.fromhex("".join(parts))


def to_slot(code: str, opcode: str) -> bytes:
    """Code with the distance to SLOT behind an opcode, and what follows."""
    before, after = code.replace(" ", "").split(opcode + "@")
    end = AT + len(before) // 2 + len(opcode) // 2 + 4
    return x86(before, opcode) + struct.pack("<i", SLOT - end) + x86(after)


def arm(*instructions: int) -> bytes:
    return struct.pack(f"<{len(instructions)}I", *instructions)


def found(machine: Machine, code: bytes, words: dict[int, int] | None = None) -> ThreadLocal | None:
    return find_thread_local(machine, code, AT, (words or {}).get)


GENERAL = to_slot("f30f1efa 4883ec08 488d3d@ e800000000 4883c408 480510000000 c3", "488d3d")
DESCRIPTOR = to_slot("f30f1efa 488d05@ ff10 6448030425 00000000 c3", "488d05")
INITIAL = to_slot("f30f1efa 6448 8b0425 00000000 480305@ c3", "480305")
INITIAL_OTHER = to_slot("488b05@ 6448030425 00000000 c3", "488b05")
LOCAL = x86("f30f1efa 4883ec08 666666", "64488b042500000000", "4883c408", "480590ffffff", "c3")
LOCAL_LEA = x86("64488b042500000000", "488d8070ffffff", "c3")


def test_general_dynamic() -> None:
    # libstdc++ of Debian 12: the rest of the offset is added
    place = found(X86_64, GENERAL, {SLOT: 3, SLOT + 8: 0x20})
    assert place == ThreadLocal(module=3, offset=0x30)


@pytest.mark.parametrize(
    "words", [{}, {SLOT: 0, SLOT + 8: 0}, {SLOT: 3}, {SLOT: 1 << 40, SLOT + 8: 0}]
)
def test_an_index_that_the_dynamic_linker_did_not_fill_in(words: dict[int, int]) -> None:
    assert found(X86_64, GENERAL, words) is None


def test_a_descriptor_with_an_offset() -> None:
    place = found(X86_64, DESCRIPTOR, {SLOT: 0x7000, SLOT + 8: 2**64 - 0x40})
    assert place == ThreadLocal(offset=-0x40)


def test_a_descriptor_with_an_index() -> None:
    words = {SLOT: 0x7000, SLOT + 8: 0x55500000000, 0x55500000000: 2, 0x55500000008: 0x18}
    assert found(X86_64, DESCRIPTOR, words) == ThreadLocal(module=2, offset=0x18)
    assert found(X86_64, DESCRIPTOR, {}) is None


@pytest.mark.parametrize("code", [INITIAL, INITIAL_OTHER])
def test_initial_exec(code: bytes) -> None:
    assert found(X86_64, code, {SLOT: 2**64 - 0x58}) == ThreadLocal(offset=-0x58)
    assert found(X86_64, code, {}) is None


def test_local_exec() -> None:
    assert found(X86_64, LOCAL) == ThreadLocal(offset=-0x70)
    assert found(X86_64, LOCAL_LEA) == ThreadLocal(offset=-0x90)


def test_the_function_that_follows_does_not_count() -> None:
    assert found(X86_64, LOCAL + GENERAL, {SLOT: 3, SLOT + 8: 0x20}) == ThreadLocal(offset=-0x70)


@pytest.mark.parametrize(
    "code",
    [
        b"",
        b"\x90" * 64,
        x86("488d3d"),  # cut
        x86("488d05", "00000000", "c3"),  # no call: an address of something else
        x86("488d05"),
        x86("488b05", "00000000", "c3"),
    ],
)
def test_other_code_of_x86(code: bytes) -> None:
    assert found(X86_64, code, {}) is None


# stp; mrs x1; mov x29, sp; adrp x0; ldr x2, [x0, #376]; add x0, x0, #0x178; blr x2; add; ldp; ret:
# libstdc++ of Debian 12
DESCRIPTOR_ARM = arm(
    0xA9BF7BFD, 0xD53BD041, 0x910003FD, 0xB0000B80, 0xF940BC02, 0x9105E000, 0xD63F0040, 0x8B000020,
    0xA8C17BFD, 0xD65F03C0,
)  # fmt: skip
DESCRIPTOR_SLOT = (AT & ~0xFFF) + (0x171 << 12) + 376


def test_a_descriptor_of_aarch64() -> None:
    words = {DESCRIPTOR_SLOT + 8: 0x30}
    assert found(AARCH64, DESCRIPTOR_ARM, words) == ThreadLocal(offset=0x30)
    words = {DESCRIPTOR_SLOT + 8: 1 << 40, 1 << 40: 4, (1 << 40) + 8: 8}
    assert found(AARCH64, DESCRIPTOR_ARM, words) == ThreadLocal(module=4, offset=8)
    assert found(AARCH64, DESCRIPTOR_ARM, {}) is None


def test_initial_exec_of_aarch64() -> None:
    # mrs x1; adrp x0, page; ldr x0, [x0, #8]; add x0, x1, x0; ret
    code = arm(0xD53BD041, 0x90000000, 0xF9400400, 0x8B000020, 0xD65F03C0)
    assert found(AARCH64, code, {AT + 8: 0x20}) == ThreadLocal(offset=0x20)
    assert found(AARCH64, code, {}) is None


def test_local_exec_of_aarch64() -> None:
    # mrs x0; add x0, x0, #1, lsl #12; add x0, x0, #0x10; ret; add x0, x0, #0x10
    code = arm(0xD53BD040, 0x91400400, 0x91004000, 0xD65F03C0, 0x91004000)
    assert found(AARCH64, code) == ThreadLocal(offset=0x1010)


@pytest.mark.parametrize("code", [b"", arm(0xD503201F), arm(0xD53BD041, 0xD63F0040), b"\0\0\0"])
def test_other_code_of_aarch64(code: bytes) -> None:
    assert found(AARCH64, code) is None


def test_other_machines() -> None:
    assert found(ARM, LOCAL) is None


@given(st.sampled_from([X86_64, AARCH64]), st.binary(max_size=80), st.integers(0, 2**64 - 1))
def test_any_code(machine: Machine, code: bytes, word: int) -> None:
    place = find_thread_local(machine, GENERAL[:11] + code, AT, lambda _: word)
    assert place is None or place.module is None or place.module > 0


# -- the variable of a thread

THREAD, VECTOR, BLOCK = 0x10000, 0x10100, 0x10200


def memory_with(machine: Machine, entry: int) -> Memory:
    data = bytearray(0x300)
    slot = 8 if machine is X86_64 else 0
    data[slot : slot + 8] = VECTOR.to_bytes(8, "little")
    data[0x120:0x128] = entry.to_bytes(8, "little")
    dump = w.core(machine=machine, memory=[w.Piece(start=THREAD, data=bytes(data))])
    return Memory(dump, read_core(dump))


@pytest.mark.parametrize("machine", [X86_64, AARCH64])
def test_a_variable_by_the_vector(machine: Machine) -> None:
    place = ThreadLocal(module=2, offset=0x10)
    assert locate(memory_with(machine, BLOCK), machine, THREAD, place) == BLOCK + 0x10
    assert locate(memory_with(machine, 0), machine, THREAD, place) == 0
    assert locate(memory_with(machine, 2**64 - 1), machine, THREAD, place) == 0
    assert locate(memory_with(machine, BLOCK), machine, 0x99000, place) is None
    far = ThreadLocal(module=0xFFFF, offset=0)
    assert locate(memory_with(machine, BLOCK), machine, THREAD, far) is None


def test_a_variable_beside_the_thread_pointer() -> None:
    memory = memory_with(X86_64, BLOCK)
    assert locate(memory, X86_64, THREAD, ThreadLocal(offset=-0x40)) == THREAD - 0x40


def test_thread_pointers() -> None:
    registers = [0] * len(X86_64.registers)
    state = ThreadState(lwp=1, signal=6, registers=tuple(registers))
    assert thread_pointer(X86_64, state) is None
    registers[X86_64.registers.index("fs_base")] = 0x1234
    state = ThreadState(lwp=1, signal=6, registers=tuple(registers))
    assert thread_pointer(X86_64, state) == 0x1234
    assert thread_pointer(AARCH64, state) is None
    state = ThreadState(lwp=1, signal=6, registers=(0,) * 34, tls=0x5678)
    assert thread_pointer(AARCH64, state) == 0x5678


def test_the_thread_pointers_of_aarch64_have_a_note_each() -> None:
    pointers = [w.note(0x401, b"LINUX", at.to_bytes(8, "little")) for at in (0x1000, 0x2000)]
    dump = w.core(machine=AARCH64, more_notes=pointers[0] + pointers[1])
    assert [state.tls for state in read_core(dump).threads] == [0x2000]
    assert [state.tls for state in read_core(w.core(more_notes=pointers[0])).threads] == [None]
    damaged = read_core(w.core(machine=AARCH64, more_notes=w.note(0x401, b"LINUX", b"")))
    assert damaged.damage == ("note NT_ARM_TLS is damaged",)
