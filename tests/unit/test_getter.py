"""Following short functions, compiled in the ways in which what() is."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.getter import returned
from evdiag.model.machine import AARCH64, ARM, X86_64, Machine
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from tests.support import elfwriter as w

CODE, DATA = 0x40_1000, 0x40_8000
THIS = DATA + 0x100
TEXT = DATA + 0x200
OTHER = CODE + 0x200


def memory_of(machine: Machine, code: bytes, other: bytes, words: dict[str, int]) -> Memory:
    """Code at CODE, more at OTHER; words by their names below, as `at_<hex offset in DATA>`."""
    text = code.ljust(0x200, b"\0") + other.ljust(0x200, b"\0")
    data = bytearray(0x400)
    for name, value in words.items():
        at = int(name.removeprefix("at_"), 16)
        data[at : at + 8] = value.to_bytes(8, "little")
    pieces = [
        w.Piece(start=CODE, data=text, flags=w.READ | w.EXECUTE),
        w.Piece(start=DATA, data=bytes(data)),
    ]
    dump = w.core(machine=machine, memory=pieces)
    return Memory(dump, read_core(dump))


def x86(code: str, other: str = "", **words: int) -> int | None:
    raw = bytes.fromhex(code), bytes.fromhex(other)
    return returned(memory_of(X86_64, *raw, words), X86_64, CODE, THIS)


def arm(code: tuple[int, ...], other: tuple[int, ...] = (), **words: int) -> int | None:
    raw = struct.pack(f"<{len(code)}I", *code), struct.pack(f"<{len(other)}I", *other)
    return returned(memory_of(AARCH64, *raw, words), AARCH64, CODE, THIS)


def to(target: int, end: int) -> str:
    """A distance, as it stands in an instruction that ends at an offset of CODE."""
    return struct.pack("<i", target - CODE - end).hex()


def test_a_constant() -> None:
    # endbr64; lea rax, [rip + TEXT]; ret
    assert x86("f30f1efa 488d05" + to(TEXT, 11) + "c3") == TEXT
    # mov eax, TEXT; ret: a program at a fixed place
    assert x86("b8" + TEXT.to_bytes(4, "little").hex() + "c3") == TEXT


def test_a_constant_without_optimisation() -> None:
    # push rbp; mov rbp, rsp; mov [rbp - 8], rdi; lea rax, [rip + TEXT]; pop rbp; ret
    assert x86("55 4889e5 48897df8 488d05" + to(TEXT, 15) + "5dc3") == TEXT


def test_a_member() -> None:
    # mov rax, [rdi + 8]; ret: std::runtime_error
    assert x86("488b4708 c3", at_108=TEXT) == TEXT
    # mov rax, [rbp - 8]; add rax, 0x10; leave; ret
    assert x86("55 4889e5 48897df8 488b45f8 4883c010 c9c3") == THIS + 0x10


def test_a_function_at_the_end_of_memory() -> None:
    code = bytes.fromhex("c3").rjust(0x400, b"\x90")
    memory = memory_of(X86_64, code, b"", {})
    end = CODE + len(code)
    assert returned(memory, X86_64, end - 1, THIS) is None  # nothing was returned
    code = bytes.fromhex("488d4708").rjust(0x400, b"\x90")
    assert returned(memory_of(X86_64, code, b"", {}), X86_64, end - 4, THIS) is None


def test_what_another_function_returns() -> None:
    # push rax; add rdi, 0x10; call OTHER; pop rcx; ret, as clang has it; OTHER: mov rax, [rdi + 8]
    code = "50 4883c710 e8" + to(OTHER, 10) + "59c3"
    assert x86(code, "488b4708 c3", at_118=TEXT) == TEXT


def test_a_jump_through_a_table_of_links() -> None:
    # sub rdi, 8; bnd jmp [rip + DATA]; OTHER: mov rax, [rdi]; ret
    code = "4883ef08 f2ff25" + to(DATA, 11)
    assert x86(code, "488b07 c3", at_0=OTHER, at_f8=TEXT) == TEXT
    # jmp OTHER
    assert x86("e9" + to(OTHER, 5), "488b07 c3", at_100=TEXT) == TEXT


def test_a_virtual_call() -> None:
    # mov rax, [rdi]; sub rsp, 8; call [rax + 0x10]; add rsp, 8; ret
    code = "488b07 4883ec08 ff5010 4883c408 c3"
    assert x86(code, "488d4708 c3", at_100=DATA, at_10=OTHER) == THIS + 8


def test_a_thunk_of_a_virtual_base() -> None:
    # mov r10, [rdi]; add rdi, [r10 - 0x18]; jmp OTHER
    code = "4c8b17 49037ae8 e9" + to(OTHER, 12)
    assert x86(code, "488d4708 c3", at_100=DATA + 0x20, at_8=0x40) == THIS + 0x48


@pytest.mark.parametrize(
    "code",
    [
        "",
        "c3",  # nothing was returned
        "488b06 c3",  # of a register that is not known
        "488b8710000010 c3",  # of memory that is not there
        "488b04cf c3",  # rdi + rcx * 8
        "48890f c3",  # writes to the object
        "48893c25 00000000 c3",
        "660fefc0 c3",  # pxor
        "ebfe",  # for ever
        "e9 00000010",  # to where there is no code
        "e8 fbffffff",  # itself
        "89f8 c3",  # 32 bits of a pointer
        "b001 c3",  # mov al, 1
        "8b07 c3",
        "ffe0",
        "f4",
        "5cc3",  # pop rsp
        "488d04cf c3",
        "4883c0",
        "06",  # no instruction at all
    ],
)
def test_what_is_not_followed(code: str) -> None:
    assert x86(code) is None


def test_a_constant_of_aarch64() -> None:
    # adrp x0, DATA; add x0, x0, #0x200; ret
    assert arm((0xF0000020, 0x91080000, 0xD65F03C0)) == TEXT
    # paciasp; bti c; nop; and the page in the addition
    assert arm((0xD503233F, 0xD503245F, 0xD503201F, 0x91400400, 0xD65F03C0)) == THIS + 0x1000


def test_a_member_of_aarch64() -> None:
    # ldr x0, [x0, #8]; ret
    assert arm((0xF9400400, 0xD65F03C0), at_108=TEXT) == TEXT
    # sub sp, sp, #16; str x0, [sp, #8]; ldr x0, [sp, #8]; add sp, sp, #16; ret
    assert arm((0xD10043FF, 0xF90007E0, 0xF94007E0, 0x910043FF, 0xD65F03C0)) == THIS


def test_what_another_function_of_aarch64_returns() -> None:
    # stp x29, x30, [sp, #-0x10]!; mov x29, sp; add x0, x0, #8; bl OTHER; ldp x29, x30, [sp], #0x10
    code = (0xA9BF7BFD, 0x910003FD, 0x91002000, 0x9400007D, 0xA8C17BFD, 0xD65F03C0)
    assert arm(code, (0xF9400000, 0xD65F03C0), at_108=TEXT) == TEXT
    # stp x0, x30, [sp, #-0x20]; ldp x0, x30, [sp, #-0x20]; ret
    assert arm((0xA93E7BE0, 0xA97E7BE0, 0xD65F03C0)) == THIS


def test_a_table_of_links_of_aarch64() -> None:
    # adrp x16, DATA; ldr x17, [x16, #8]; add x16, x16, #8; br x17
    code = (0xF0000030, 0xF9400611, 0x91002210, 0xD61F0220)
    assert arm(code, (0xF9400000, 0xD65F03C0), at_8=OTHER, at_100=TEXT) == TEXT


@pytest.mark.parametrize(
    "code",
    [
        (0xA9007C1F, 0xD65F03C0),  # stp xzr, xzr, [x0]
        (0xF9000001, 0xD65F03C0),  # str x1, [x0]: not known
        (0xF9000000, 0xD65F03C0),  # str x0, [x0]: writes to the object
        (0x8B211000, 0xD65F03C0),  # add x0, x0, w1, uxtb #4
        (0xD3400000, 0xD65F03C0),
        (0x8B200BE0, 0xD65F03C0),
        (0xD61F0220,),
        (0xF81F0FE0, 0xD65F03C0),  # str x0, [sp, #-0x10]!
        (0xA9000000, 0xD65F03C0),  # stp x0, x0, [x0]
        (0x2A0003E0, 0xD65F03C0),  # mov w0, w0
        (0x52800000, 0xD65F03C0),  # mov w0, #0
        (0x4E083C00, 0xD65F03C0),  # mov x0, v0.d[0]
        (0xF8408401, 0xD65F03C0),  # ldr x1, [x0], #8
    ],
)
def test_what_is_not_followed_on_aarch64(code: tuple[int, ...]) -> None:
    assert arm(code) is None


def test_other_machines() -> None:
    assert returned(memory_of(ARM, b"", b"", {}), ARM, CODE, THIS) is None


@given(st.sampled_from([X86_64, AARCH64]), st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_any_code(machine: Machine, code: bytes, this: int) -> None:
    memory = memory_of(machine, code, b"", {"at_0": this})
    found = returned(memory, machine, CODE, this)
    assert found is None or 0 <= found <= machine.mask


SNIPPETS = (
    *("488b07", "488b4708", "4883c010", "55", "5d", "c9", "c3", "50", "4889c7", "4889f8"),
    *("ebfe", "eb02", "e800000000", "ff10", "ffe0", "488945f8", "488d0500000000", "4801c0"),
)


@given(st.lists(st.sampled_from(SNIPPETS), max_size=40), st.integers(0, 2**64 - 1))
def test_code_of_instructions_that_are_followed(parts: list[str], word: int) -> None:
    found = x86("".join(parts), "488b07 c3", at_100=word)
    assert found is None or 0 <= found <= X86_64.mask
