"""The faulting instruction on all four machines, from the bytes that an assembler made."""

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.crash import InstructionFacts
from evdiag.model.machine import AARCH64, ARM, I386, MACHINES, X86_64, Machine
from evdiag.parse.instruction import decode, disassemble_last

AT = 0x400000
X86 = {
    "rax": 0x1122, "rbx": 0x10000, "rcx": 0x20, "rdx": 0, "rdi": 0x30000, "rsi": 0x40000,
    "rbp": 0x50000, "rsp": 0x60000, "fs_base": 0x7000, "gs_base": 0x8000, "r12": 1 << 35,
}  # fmt: skip
X86_32 = {"eax": 3, "ebx": 0x10000, "ecx": 0xFFFFFFFF, "esp": 0x60000, "ebp": 0x50000}
A64 = {f"x{i}": 0x1000 * i for i in range(31)} | {"sp": 0x7FFF0000}
A32 = {f"r{i}": 0x1000 * i for i in range(13)} | {"sp": 0x70000, "lr": 0x8001, "cpsr": 0x10}
T32 = A32 | {"cpsr": 0x30}

Memory = tuple[str, int, int, str]
"""Text, address, size and access (r, w, rw) of an operand."""


def read_word(address: int) -> int:
    return address + 0x100


def memory(found: InstructionFacts | None) -> list[Memory]:
    assert found is not None
    return [(o.text, o.address, o.size, "r" * o.reads + "w" * o.writes) for o in found.operands]


def first(
    machine: Machine, code: str, registers: Mapping[str, int], address: int = AT
) -> InstructionFacts | None:
    return decode(machine, bytes.fromhex(code), address, registers, read_word)


def known(machine: Machine, code: str, registers: Mapping[str, int]) -> InstructionFacts:
    found = first(machine, code, registers)
    assert found is not None
    return found


# -- which memory


@pytest.mark.parametrize(
    ("code", "text", "operands"),
    [
        ("8b4318", "mov eax, dword ptr [rbx + 0x18]", [("[rbx + 0x18]", 0x10018, 4, "r")]),
        (
            "4889448bf8",
            "mov qword ptr [rbx + rcx*4 - 8], rax",
            [("[rbx + rcx*4 - 8]", 0x10078, 8, "w")],
        ),
        ("64488b042528000000", "mov rax, qword ptr fs:[0x28]", [("fs:[0x28]", 0x7028, 8, "r")]),
        ("65488b03", "mov rax, qword ptr gs:[rbx]", [("gs:[rbx]", 0x18000, 8, "r")]),
        (
            "488b0500010000",
            "mov rax, qword ptr [rip + 0x100]",
            [("[rip + 0x100]", AT + 7 + 0x100, 8, "r")],
        ),
        (
            "a08877665544332211",
            "movabs al, byte ptr [0x1122334455667788]",
            [("[0x1122334455667788]", 0x1122334455667788, 1, "r")],
        ),
        ("830301", "add dword ptr [rbx], 1", [("[rbx]", 0x10000, 4, "rw")]),
        ("f00fb10b", "lock cmpxchg dword ptr [rbx], ecx", [("[rbx]", 0x10000, 4, "rw")]),
        ("833b01", "cmp dword ptr [rbx], 1", [("[rbx]", 0x10000, 4, "r")]),
        # what memcpy() and memset() are made of, and what capstone calls reads
        ("0f1103", "movups xmmword ptr [rbx], xmm0", [("[rbx]", 0x10000, 16, "w")]),
        ("c5fe7f0b", "vmovdqu ymmword ptr [rbx], ymm1", [("[rbx]", 0x10000, 32, "w")]),
        ("0f2803", "movaps xmm0, xmmword ptr [rbx]", [("[rbx]", 0x10000, 16, "r")]),
        ("dd1b", "fstp qword ptr [rbx]", [("[rbx]", 0x10000, 8, "w")]),
        ("d803", "fadd dword ptr [rbx]", [("[rbx]", 0x10000, 4, "r")]),
        ("480fae03", "fxsave64 ptr [rbx]", [("[rbx]", 0x10000, 512, "w")]),
        (
            "f348a5",
            "rep movsq qword ptr [rdi], qword ptr [rsi]",
            [("[rdi]", 0x30000, 8, "w"), ("[rsi]", 0x40000, 8, "r")],
        ),
        ("f3aa", "rep stosb byte ptr [rdi], al", [("[rdi]", 0x30000, 1, "w")]),
        (
            "a6",
            "cmpsb byte ptr [rsi], byte ptr [rdi]",
            [("[rsi]", 0x40000, 1, "r"), ("[rdi]", 0x30000, 1, "r")],
        ),
        ("53", "push rbx", [("[rsp - 8]", 0x5FFF8, 8, "w")]),
        ("6650", "push ax", [("[rsp - 2]", 0x5FFFE, 2, "w")]),
        (
            "ff33",
            "push qword ptr [rbx]",
            [("[rbx]", 0x10000, 8, "r"), ("[rsp - 8]", 0x5FFF8, 8, "w")],
        ),
        ("5b", "pop rbx", [("[rsp]", 0x60000, 8, "r")]),
        (  # the address of the operand is computed after the increment
            "8f442408",
            "pop qword ptr [rsp + 8]",
            [("[rsp + 8]", 0x60010, 8, "w"), ("[rsp]", 0x60000, 8, "r")],
        ),
        ("9c", "pushfq", [("[rsp - 8]", 0x5FFF8, 8, "w")]),
        (
            "ff5310",
            "call qword ptr [rbx + 0x10]",
            [("[rbx + 0x10]", 0x10010, 8, "r"), ("[rsp - 8]", 0x5FFF8, 8, "w")],
        ),
        ("c3", "ret", [("[rsp]", 0x60000, 8, "r")]),
        ("c9", "leave", [("[rbp]", 0x50000, 8, "r")]),
        ("c8100000", "enter 0x10, 0", [("[rsp - 8]", 0x5FFF8, 8, "w")]),
        ("d7", "xlatb", [("[rbx + 0x22]", 0x10022, 1, "r")]),
        ("660ff7c1", "maskmovdqu xmm0, xmm1", [("[rdi]", 0x30000, 16, "w")]),
        ("0ff7c1", "maskmovq mm0, mm1", [("[rdi]", 0x30000, 8, "w")]),
        ("678b03", "mov eax, dword ptr [ebx]", [("[ebx]", 0x10000, 4, "r")]),
        # a vector of indices: no single address
        ("c4e26d90048b", "vpgatherdd ymm0, ymmword ptr [rbx + ymm1*4], ymm2", []),
        ("488d03", "lea rax, [rbx]", []),
        ("0f1f03", "nop dword ptr [rbx]", []),
        ("0f180b", "prefetcht0 byte ptr [rbx]", []),
        ("f30fb803", "popcnt eax, dword ptr [rbx]", [("[rbx]", 0x10000, 4, "r")]),
        ("0f05", "syscall", []),
    ],
)
def test_memory_of_x86_64(code: str, text: str, operands: list[Memory]) -> None:
    found = known(X86_64, code, X86)
    assert (found.text, memory(found)) == (text, operands)


@pytest.mark.parametrize(
    ("code", "text", "operands"),
    [
        ("8b4308", "mov eax, dword ptr [ebx + 8]", [("[ebx + 8]", 0x10008, 4, "r")]),
        # the base of gs is in a table of the kernel
        ("65a114000000", "mov eax, dword ptr gs:[0x14]", []),
        ("50", "push eax", [("[esp - 4]", 0x5FFFC, 4, "w")]),
        ("60", "pushal", [("[esp - 0x20]", 0x5FFE0, 32, "w")]),
        ("61", "popal", [("[esp]", 0x60000, 32, "r")]),
        ("c3", "ret", [("[esp]", 0x60000, 4, "r")]),
        ("c9", "leave", [("[ebp]", 0x50000, 4, "r")]),
        ("d7", "xlatb", [("[ebx + 3]", 0x10003, 1, "r")]),
        ("8b0419", "mov eax, dword ptr [ecx + ebx]", [("[ecx + ebx]", 0xFFFF, 4, "r")]),
        ("0ff7c1", "maskmovq mm0, mm1", []),
    ],
)
def test_memory_of_i386(code: str, text: str, operands: list[Memory]) -> None:
    found = known(I386, code, X86_32)
    assert (found.text, memory(found)) == (text, operands)


@pytest.mark.parametrize(
    ("machine", "code", "registers", "used", "displacement"),
    [
        (X86_64, "4889448bf8", X86, (("rbx", 0x10000), ("rcx", 0x20)), -8),
        (X86_64, "678b03", X86, (("rbx", 0x10000),), 0),
        (X86_64, "64488b042528000000", X86, (("fs_base", 0x7000),), 0x28),
        (X86_64, "488b0500010000", X86, (), 0x100),
        (X86_64, "53", X86, (("rsp", 0x60000),), -8),
        (AARCH64, "20d822b8", A64, (("x1", 0x1000), ("x2", 0x2000)), 0),
        (AARCH64, "200c1ff8", A64, (("x1", 0x1000),), -16),
        (ARM, "10402de9", A32, (("sp", 0x70000),), -8),
        (ARM, "08009fe5", A32, (), 8),
    ],
)
def test_where_an_address_comes_from(
    machine: Machine,
    code: str,
    registers: dict[str, int],
    used: tuple[tuple[str, int], ...],
    displacement: int,
) -> None:
    operand = known(machine, code, registers).operands[0]
    assert (operand.registers, operand.displacement) == (used, displacement)


@pytest.mark.parametrize(
    ("machine", "code"),
    [
        (X86_64, "8b4318"),
        (X86_64, "53"),
        (X86_64, "64488b042528000000"),
        (AARCH64, "200c40f9"),
        (AARCH64, "20682238"),
        (AARCH64, "21740bd5"),
        (ARM, "10402de9"),
    ],
)
def test_registers_that_the_core_lacks(machine: Machine, code: str) -> None:
    assert memory(first(machine, code, {})) == []


def test_an_index_register_that_the_core_lacks() -> None:
    assert memory(first(AARCH64, "20682238", {"x1": 5})) == []


# -- where to


@pytest.mark.parametrize(
    ("machine", "code", "registers", "kind", "target"),
    [
        (X86_64, "ffd3", X86, "call", 0x10000),
        (X86_64, "ff5310", X86, "call", 0x10110),
        (X86_64, "ff5310", {"rsp": 0x60000}, "call", None),
        (X86_64, "e800000000", X86, "call", None),
        (X86_64, "ffe3", X86, "jump", 0x10000),
        (X86_64, "f2ffe3", X86, "jump", 0x10000),
        (X86_64, "ff23", X86, "jump", 0x10100),
        (X86_64, "48ff2b", X86, "jump", None),
        (X86_64, "7400", X86, "jump", None),
        (X86_64, "c3", X86, "return", 0x60100),
        (X86_64, "c3", {}, "return", None),
        (X86_64, "cc", X86, "trap", None),
        (X86_64, "0f0b", X86, "trap", None),
        (X86_64, "53", X86, "push", None),
        (X86_64, "c8100000", X86, "push", None),
        (X86_64, "0f05", X86, "other", None),
        (I386, "ffd3", X86_32, "call", 0x10000),
        (I386, "ff23", X86_32, "jump", 0x10100),
        (AARCH64, "60003fd6", A64, "call", 0x3000),
        (AARCH64, "02000094", A64, "call", None),
        (AARCH64, "80001fd6", A64, "jump", 0x4000),
        (AARCH64, "02000014", A64, "jump", None),
        (AARCH64, "400000b4", A64, "jump", None),
        (AARCH64, "c0035fd6", A64, "return", 0x1E000),
        (AARCH64, "a0005fd6", A64, "return", 0x5000),
        (AARCH64, "ff0b5fd6", A64, "return", 0x1E000),
        (AARCH64, "200020d4", A64, "trap", None),
        (AARCH64, "00000000", A64, "trap", None),
        (AARCH64, "fd7bbea9", A64, "push", None),
        (AARCH64, "200c1ff8", A64, "other", None),
        (ARM, "1eff2fe1", A32, "return", 0x8001),
        (ARM, "0ef0a0e1", A32, "return", 0x8001),
        (ARM, "1080bde8", A32, "return", 0x70104),
        (ARM, "04f09de4", A32, "return", 0x70100),
        (ARM, "13ff2fe1", A32, "jump", 0x3000),
        (ARM, "03f0a0e1", A32, "jump", 0x3000),
        (ARM, "00f08fe0", A32, "jump", None),
        (ARM, "00f090e5", A32, "jump", 0x100),
        (ARM, "0000001a", A32, "jump", None),
        (ARM, "33ff2fe1", A32, "call", 0x3000),
        (ARM, "000000eb", A32, "call", None),
        (ARM, "f000f0e7", A32, "trap", None),
        (ARM, "10402de9", A32, "push", None),
        (ARM, "04402de5", A32, "push", None),
        (ARM, "dfe800f0", T32, "jump", None),
        (ARM, "ffde", T32, "trap", None),
    ],
)
def test_kind_and_target(
    machine: Machine, code: str, registers: dict[str, int], kind: str, target: int | None
) -> None:
    found = known(machine, code, registers)
    assert (found.kind, found.target) == (kind, target)


# -- divided by what


@pytest.mark.parametrize(
    ("machine", "code", "registers", "divisor"),
    [
        (X86_64, "f7f9", {"rcx": 0}, 0),
        (X86_64, "f7f9", {"rcx": 0x1_0000_0000}, 0),
        (X86_64, "f7f9", {"rcx": 0xFFFFFFFF}, -1),
        (X86_64, "f7f9", {}, None),
        (X86_64, "f7f1", {"rcx": 0xFFFFFFFF}, 0xFFFFFFFF),
        (X86_64, "f6f7", {"rbx": 0x1234}, 0x12),
        (X86_64, "f633", {"rbx": 0x105}, 0x05),
        (X86_64, "48f73b", {"rbx": 0xFFFF_FFFF_FFFF_FE00}, -0x100),
        (X86_64, "48f73b", {}, None),
        (I386, "f7f1", X86_32, 0xFFFFFFFF),
        (AARCH64, "200cc29a", A64, 0x2000),
        (AARCH64, "2008c21a", A64, 0x2000),
        (ARM, "11f230e7", A32, 0x2000),
    ],
)
def test_the_divisor(
    machine: Machine, code: str, registers: dict[str, int], divisor: int | None
) -> None:
    found = known(machine, code, registers)
    assert (found.kind, found.divisor) == ("divide", divisor)


# -- any bytes


@pytest.mark.parametrize(
    ("machine", "code"), [(X86_64, ""), (X86_64, "06"), (AARCH64, "ffff"), (ARM, "ffffffff")]
)
def test_bytes_that_are_no_instruction(machine: Machine, code: str) -> None:
    assert first(machine, code, {}) is None
    assert disassemble_last(machine, bytes.fromhex(code), AT, 5) == ()


def test_a_disassembly() -> None:
    code = bytes.fromhex("53 4889e5 0f0b 06")
    listing = ((AT, "push rbx"), (AT + 1, "mov rbp, rsp"), (AT + 4, "ud2"))
    assert disassemble_last(X86_64, code, AT, 10) == listing
    assert disassemble_last(X86_64, code, AT, 2) == listing[-2:]


def test_a_disassembly_of_thumb() -> None:
    assert disassemble_last(ARM, bytes.fromhex("8869"), AT, 1, thumb=True) == (
        (AT, "ldr r0, [r1, #0x18]"),
    )


@given(st.sampled_from(list(MACHINES.values())), st.binary(max_size=16), st.data())
def test_any_bytes_are_decoded_or_not(machine: Machine, code: bytes, data: st.DataObject) -> None:
    words = st.integers(0, machine.mask)
    values = st.one_of(st.just(0), st.just(machine.mask), words)
    known = st.dictionaries(st.sampled_from(machine.registers), values)
    found = decode(
        machine,
        code,
        data.draw(words),
        data.draw(known),
        lambda _: data.draw(st.one_of(st.none(), words)),
    )
    for operand in found.operands if found else ():
        assert 0 <= operand.address <= machine.mask
        assert operand.reads or operand.writes
        assert operand.size > 0
