"""Walking stacks of aarch64 and of 32-bit machines."""

import struct
from collections.abc import Mapping

import pytest

from evdiag.model.machine import AARCH64, ARM, I386, Machine
from tests.support import elfwriter as w
from tests.support.scene import (
    CODE,
    NOT_IN_CODE,
    OVERWRITTEN,
    RESTORE_AARCH64,
    RESTORE_X86,
    STACK,
    Scene,
    found,
    function,
)

# -- aarch64

A64_CIE = w.Cie(program=w.def_cfa(31, 0), return_register=30, code_align=4)
A64_FRAME = w.def_cfa(31, 32) + w.saved(29, 4) + w.saved(30, 3)  # stp x29, x30, [sp, #-32]!
A64_CHAIN = (A64_CIE, function(0), function(1, A64_FRAME), function(2, w.undefined(30)))
SIGNED = 0x0035 << 48


@pytest.mark.parametrize(
    ("mask", "signature"),
    [
        (None, 0),
        (0x007F << 48, SIGNED),  # with NT_ARM_PAC_MASK
        (None, SIGNED),  # without: the bits above an address of 48
    ],
)
def test_functions_of_aarch64(mask: int | None, signature: int) -> None:
    stack = Scene(
        machine=AARCH64,
        entries=A64_CHAIN,
        pac_mask=mask,
        registers={"pc": CODE + 8, "sp": STACK, "x30": CODE + 0x120},
        stack={0: STACK + 0x80, 8: signature | (CODE + 0x240)},
    ).walk()
    # THEN a leaf returns by its link register, others by what they saved
    assert found(stack) == [(8, "context"), (0x120, "cfi"), (0x240, "cfi")]
    assert stack.ended is None


def test_a_signature_that_hides_no_code_stays() -> None:
    stack = Scene(
        machine=AARCH64,
        entries=A64_CHAIN,
        registers={"pc": CODE + 0x108, "sp": STACK},
        stack={8: SIGNED | 0x1000},
    ).walk()
    assert found(stack) == [(0x108, "context"), (SIGNED | 0x1000, "cfi")]
    assert stack.ended == OVERWRITTEN


def test_a_leaf_of_aarch64_without_unwind_information() -> None:
    # GIVEN a leaf in front of a chain of frame records: x30 is nowhere on the stack
    stack = Scene(
        machine=AARCH64,
        registers={
            **{"pc": CODE + 8, "sp": STACK},
            **{"x29": STACK + 0x20, "x30": SIGNED | (CODE + 0x840)},
        },
        stack={0x20: STACK + 0x60, 0x28: SIGNED | (CODE + 0xC20)},
    ).walk()
    assert found(stack)[:3] == [
        (8, "context"),
        (0x840, "link_register"),
        (0xC20, "frame_pointer"),
    ]


@pytest.mark.parametrize("link", [0x120, 0x1F0], ids=["stale", "saved"])
def test_a_function_of_aarch64_that_has_called_others(link: int) -> None:
    # GIVEN a link register that points into the function itself, or is in the frame record
    stack = Scene(
        machine=AARCH64,
        registers={
            "pc": CODE + (0x100 if link == 0x120 else 0x900),
            **{"sp": STACK, "x29": STACK + 0x20, "x30": CODE + link},
        },
        stack={0x20: 0, 0x28: CODE + 0x1F0},
    ).walk()
    assert found(stack)[1] == (0x1F0, "frame_pointer")


@pytest.mark.parametrize("pc", [0, 0x4141_4141_4140])
def test_a_call_to_nowhere_on_aarch64_is_left_by_the_link_register(pc: int) -> None:
    stack = Scene(
        machine=AARCH64,
        entries=A64_CHAIN,
        registers={"pc": pc, "sp": STACK, "x30": SIGNED | (CODE + 0x240)},
    ).walk()
    assert found(stack) == [(pc, "context"), (0x240, "link_register")]
    assert stack.ended is None


def test_a_call_to_nowhere_on_aarch64_without_a_link() -> None:
    stack = Scene(machine=AARCH64, registers={"pc": 0, "sp": STACK}).walk()
    assert (found(stack), stack.ended) == ([(0, "context")], NOT_IN_CODE)


def test_a_return_address_that_is_not_aligned() -> None:
    stack = Scene(
        machine=AARCH64,
        entries=A64_CHAIN,
        registers={"pc": CODE + 8, "sp": STACK, "x30": CODE + 0x122},
    ).walk()
    assert found(stack) == [(8, "context")]
    assert stack.ended == "the return address is not aligned: the stack is overwritten"


def sigframe(registers: Mapping[int, int], sp: int, pc: int) -> dict[int, int]:
    """The words of struct rt_sigframe at offset 0x100: siginfo, ucontext, sigcontext."""
    at = 0x100 + 128 + 176 + 8
    return {
        **{at + 8 * number: value for number, value in registers.items()},
        at + 8 * 31: sp,
        at + 8 * 32: pc,
    }


@pytest.mark.parametrize(
    "misleading",
    [
        (),
        # the kernel's frame record holds the link register: CFI would lead past a function
        (
            w.Cie(augmentation="zRS", program=w.def_cfa(29, 16), return_register=30),
            w.Fde(start=w.CODE + 0x500, size=8, program=w.saved(29, 2) + w.saved(30, 1), cie=3),
        ),
    ],
    ids=["code only", "with CFI"],
)
def test_a_signal_frame_of_aarch64_is_known_by_its_code_first(
    misleading: tuple[w.Cie | w.Fde, ...],
) -> None:
    # GIVEN a handler that returns to the trampoline of the vDSO, with the kernel's frame record
    words = sigframe({29: STACK + 0x900, 30: CODE + 0x840}, STACK + 0x800, CODE + 0x600)
    stack = Scene(
        machine=AARCH64,
        entries=(A64_CIE, function(0), function(2, w.undefined(30)), *misleading),
        registers={
            **{"pc": CODE + 8, "sp": STACK + 0x100},
            **{"x29": STACK + 0xE00, "x30": CODE + 0x500},
        },
        stack={
            **words,
            **{0xE00: STACK + 0x900, 0xE08: CODE + 0x840},
            **{0x900: 0, 0x908: CODE + 0x220},
        },
        code={0x500: RESTORE_AARCH64},
    ).walk()
    # THEN the interrupted leaf is there, and its caller by the link register
    assert found(stack) == [
        (8, "context"),
        (0x500, "cfi"),
        (0x600, "signal_frame"),
        (0x840, "link_register"),
        (0x220, "frame_pointer"),
    ]
    assert [f.signal for f in stack.frames] == [False, True, False, False, False]
    assert [f.pc - f.lookup for f in stack.frames] == [0, 0, 0, 1, 1]
    assert stack.ended is None


def test_a_signal_frame_of_aarch64_behind_a_frame_record() -> None:
    # GIVEN a handler without unwind information: nobody knows how large its frame is
    stack = Scene(
        machine=AARCH64,
        registers={
            **{"pc": CODE + 8, "sp": STACK},
            **{"x29": STACK + 0x20, "x30": CODE + 0xC},
        },
        stack={
            **{0x20: STACK + 0xE00, 0x28: CODE + 0x500},
            **{0xE00: STACK + 0xF00, 0xE08: CODE + 0x840},
            **{0xF00: 0, 0xF08: CODE + 0x220},
        },
        code={0x500: RESTORE_AARCH64},
    ).walk()
    # THEN no registers are read from a place that is only guessed; the chain goes on
    assert found(stack) == [
        (8, "context"),
        (0x500, "frame_pointer"),
        (0x840, "frame_pointer"),
        (0x220, "frame_pointer"),
    ]


def test_the_instructions_of_the_trampolines() -> None:
    # mov x8, #139; svc #0 and mov $15, %rax; syscall: rt_sigreturn of both
    assert struct.unpack("<II", RESTORE_AARCH64) == (0xD2801168, 0xD4000001)
    assert RESTORE_X86[3:7] == (15).to_bytes(4, "little")


# -- 32 bits

I386_CIE = w.Cie(program=w.def_cfa(4, 4) + w.saved(8, 1), data_align=-4, return_register=8)
AT_32, STACK_32 = 0xF7C0_0000, 0xFFC0_0000


def walk_32(
    machine: Machine, registers: Mapping[str, int], stack: Mapping[int, int]
) -> list[tuple[int, str]]:
    walked = Scene(
        machine=machine,
        entries=(I386_CIE, function(0, w.def_cfa(4, 8)), function(1, w.undefined(8))),
        registers=registers,
        stack=stack,
        at=AT_32,
        stack_at=STACK_32,
    ).walk()
    return [(f.pc - AT_32 - w.CODE, f.trust) for f in walked.frames]


def test_i386() -> None:
    pc = AT_32 + w.CODE
    assert walk_32(I386, {"eip": pc, "esp": STACK_32}, {4: pc + 0x120}) == [
        (0, "context"),
        (0x120, "cfi"),
    ]


def test_a_call_to_nowhere_on_i386() -> None:
    pc = AT_32 + w.CODE
    found_32 = walk_32(I386, {"eip": 0, "esp": STACK_32}, {0: pc + 0x10, 8: pc + 0x120})
    assert found_32[1:] == [(0x10, "call"), (0x120, "cfi")]


def test_32_bit_arm_has_no_call_frame_information_that_we_read() -> None:
    # GIVEN the same tables, which are .ARM.exidx in real programs
    pc = AT_32 + w.CODE
    registers = {"pc": pc, "sp": STACK_32, "lr": pc + 0x840, "r11": STACK_32 + 0x20}
    assert walk_32(ARM, registers, {0x20: 0, 0x24: pc + 0x220}) == [
        (0, "context"),
        (0x840, "link_register"),
        (0x220, "frame_pointer"),
    ]
