"""Walking stacks without unwind information: calls to nowhere, frame pointers."""

import pytest

from evdiag.analyze.unwind import Unwinder
from tests.support import elfwriter as w
from tests.support.scene import (
    CHAIN,
    CODE,
    NO_INFORMATION,
    NOT_IN_CODE,
    OUTERMOST,
    STACK,
    Scene,
    found,
    function,
)

# -- without unwind information: calls to nowhere


@pytest.mark.parametrize("pc", [0, 0x18, 0x4141414141414141, STACK + 0x80])
def test_a_call_to_nowhere_is_left_by_the_return_address_on_the_stack(pc: int) -> None:
    stack = Scene(
        entries=CHAIN,
        registers={"rip": pc, "rsp": STACK + 8},
        stack={8: CODE + 0x10, 0x10: 0, 0x18: CODE + 0x220},
    ).walk()
    assert found(stack) == [(pc, "context"), (0x10, "call"), (0x220, "cfi")]
    assert stack.ended is None


@pytest.mark.parametrize("word", [0, 0x4141414141414141, STACK])
def test_a_jump_to_nowhere_without_a_return_address(word: int) -> None:
    stack = Scene(entries=CHAIN, registers={"rip": 0, "rsp": STACK}, stack={0: word}).walk()
    assert (found(stack), stack.ended) == ([(0, "context")], NOT_IN_CODE)


def test_a_jump_to_nowhere_with_a_stack_pointer_to_nowhere() -> None:
    stack = Scene(entries=CHAIN, registers={"rip": 0, "rsp": 0}).walk()
    assert (found(stack), stack.ended) == ([(0, "context")], NOT_IN_CODE)


def test_a_jump_to_nowhere_is_left_by_the_frame_pointer() -> None:
    # GIVEN `ret` to a smashed address: the stack pointer is past it, the chain below is whole
    stack = Scene(
        entries=CHAIN,
        registers={"rip": 0x41414141, "rsp": STACK, "rbp": STACK + 0x40},
        stack={0: 5, 0x40: 0, 0x48: CODE + 0x220},
    ).walk()
    assert found(stack) == [(0x41414141, "context"), (0x220, "frame_pointer")]


# -- without unwind information: chains of frame pointers


def test_a_chain_of_frame_pointers() -> None:
    stack = Scene(
        registers={"rip": CODE + 0x10, "rsp": STACK, "rbp": STACK + 0x20},
        stack={0x20: STACK + 0x60, 0x28: CODE + 0x120, 0x60: 0, 0x68: CODE + 0x220},
    ).walk()
    assert found(stack) == [
        (0x10, "context"),
        (0x120, "frame_pointer"),
        (0x220, "frame_pointer"),
    ]
    assert stack.ended == NO_INFORMATION


def test_a_frame_pointer_tells_where_the_stack_of_the_caller_is() -> None:
    # GIVEN function 0 without unwind information, and a caller that counts from its stack pointer
    stack = Scene(
        entries=(w.Cie(), function(1, w.def_cfa(7, 8)), function(2, OUTERMOST)),
        registers={"rip": CODE + 0x10, "rsp": STACK + 0x20, "rbp": STACK + 0x20},
        stack={0x20: 7, 0x28: CODE + 0x120, 0x30: CODE + 0x220},
    ).walk()
    assert found(stack) == [(0x10, "context"), (0x120, "frame_pointer"), (0x220, "cfi")]


@pytest.mark.parametrize("skew", range(1, 8))
def test_a_frame_pointer_that_is_not_aligned(skew: int) -> None:
    stack = Scene(
        registers={"rip": CODE + 0x10, "rsp": STACK, "rbp": STACK + 0x20 + skew},
        stack={0x28 + skew: CODE + 0x120},
    ).walk()
    assert (found(stack), stack.ended) == ([(0x10, "context")], NO_INFORMATION)


def test_the_first_register_of_the_kernels_order() -> None:
    # r15 has index 0 in user_regs_struct
    stack = Scene(
        entries=(w.Cie(), function(0, b"\x09\x10\x0f"), function(1, OUTERMOST)),
        registers={"rip": CODE, "rsp": STACK, "r15": CODE + 0x120},
    ).walk()
    assert found(stack) == [(0, "context"), (0x120, "cfi")]


@pytest.mark.parametrize(
    ("rbp", "back"),
    [
        (STACK - 8, CODE + 0x120),  # below the stack pointer
        (STACK + 0x24, CODE + 0x120),  # not aligned
        (STACK + 0x1000, CODE + 0x120),  # not in memory
        (STACK + 0xFF8, CODE + 0x120),  # the return address is not in memory
        (STACK + 0x20, STACK),  # does not return to code
        (0, CODE + 0x120),
    ],
)
def test_frame_pointers_that_are_none(rbp: int, back: int) -> None:
    stack = Scene(
        registers={"rip": CODE + 0x10, "rsp": STACK, "rbp": rbp}, stack={0x28: back}
    ).walk()
    assert (found(stack), stack.ended) == ([(0x10, "context")], NO_INFORMATION)


def test_a_frame_pointer_that_is_not_known() -> None:
    stack = Scene(
        entries=(w.Cie(), function(0, w.undefined(6))),
        registers={"rip": CODE, "rsp": STACK, "rbp": STACK + 0x20},
        stack={0: CODE + 0x120},
    ).walk()
    assert (found(stack), stack.ended) == ([(0, "context"), (0x120, "cfi")], NO_INFORMATION)


def test_a_stack_pointer_that_is_not_known() -> None:
    stack = Scene(
        entries=(w.Cie(), function(0, w.undefined(7))),
        registers={"rip": CODE, "rsp": STACK},
        stack={0: CODE + 0x120},
    ).walk()
    assert found(stack) == [(0, "context"), (0x120, "cfi")]
    assert stack.ended == "the stack pointer is not known"


def test_a_file_that_is_not_here_leaves_the_chain_of_frame_pointers() -> None:
    scene = Scene(
        entries=CHAIN,
        registers={"rip": CODE + 0x10, "rsp": STACK, "rbp": STACK + 0x20},
        stack={0x28: CODE + 0x120},
    )
    dump = scene.space().memory.data
    space = w.address_space(bytes(dump), {})
    stack = Unwinder(space).unwind(space.facts.threads[0])
    assert found(stack) == [(0x10, "context"), (0x120, "frame_pointer")]
    assert {f.image for f in stack.frames} == {None}
