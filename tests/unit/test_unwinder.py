"""Walking stacks by call frame information, and where a walk ends."""

import pytest

from evdiag.analyze.unwind import RawFrame, Unwinder
from evdiag.model.machine import AARCH64
from evdiag.parse.dwarf import tables
from tests.support import elfwriter as w
from tests.support.scene import (
    CHAIN,
    CODE,
    DAMAGED,
    NO_FRAME,
    OUTERMOST,
    OVERWRITTEN,
    STACK,
    Scene,
    found,
    function,
)

# -- call frame information


def test_a_chain_of_functions_with_call_frame_information() -> None:
    stack = Scene(
        entries=CHAIN,
        registers={"rip": CODE + 0x10, "rsp": STACK + 0x100, "rbp": 1},
        stack={0x100: STACK + 0x200, 0x108: CODE + 0x120, 0x208: CODE + 0x250},
    ).walk()
    assert found(stack) == [(0x10, "context"), (0x120, "cfi"), (0x250, "cfi")]
    assert stack.ended is None


def test_callers_are_looked_up_within_their_call() -> None:
    # GIVEN a call that is the last instruction of function 1: its return address is function 2
    scene = Scene(
        entries=(w.Cie(), function(0), function(1, OUTERMOST), function(2, b"\xff")),
        registers={"rip": CODE, "rsp": STACK},
        stack={0: CODE + 0x200},
    )
    stack = scene.walk()
    # THEN frame 0 is looked up at its pc, although that is the first byte of a function
    first, second = stack.frames
    image = first.image
    assert image is not None
    assert first == RawFrame(CODE, CODE, image, w.CODE, "context", False)
    # AND its caller one byte before the return address
    assert second == RawFrame(CODE + 0x200, CODE + 0x1FF, image, w.CODE + 0x1FF, "cfi", False)
    assert stack.ended is None


def test_a_return_address_of_null_is_the_start_of_a_thread() -> None:
    stack = Scene(
        entries=(w.Cie(), function(0)), registers={"rip": CODE, "rsp": STACK}, stack={0: 0}
    ).walk()
    assert (found(stack), stack.ended) == ([(0, "context")], None)


def test_the_frame_address_by_an_expression() -> None:
    # GIVEN a procedure linkage table: 8 bytes more of stack once the index was pushed
    plt = bytes.fromhex("7708" "8000" "3f1a" "3b2a" "33" "24" "22")  # fmt: skip
    entries = (w.Cie(), function(0, w.def_cfa_expression(plt)), function(1, OUTERMOST))
    words = {0: CODE + 0x110, 8: CODE + 0x120}
    for pc, caller in ((CODE + 0x16, 0x110), (CODE + 0x1B, 0x120)):
        stack = Scene(entries=entries, registers={"rip": pc, "rsp": STACK}, stack=words).walk()
        assert found(stack)[1:] == [(caller, "cfi")]


def test_every_kind_of_rule() -> None:
    program = (
        *(w.def_cfa(7, 0x20), w.saved(3, 2)),  # rbx at CFA - 16
        *(b"\x08\x0c", b"\x09\x0d\x03"),  # r12 the same, r13 in rbx
        *(b"\x07\x0e", b"\x14\x0f\x03"),  # r14 lost, r15 is CFA - 24
        w.by_expression(6, b"\x23\x08"),  # rbp at CFA + 8
        w.by_expression(0, b"\x23\x09", value=True),  # rax is CFA + 9
        w.by_expression(1, b"\x08\x08"),  # rdx at 8, where nothing is
        b"\x05\x11\x01",  # xmm0: no integer register
    )

    # GIVEN function 1, which returns to the value of a register that function 0 has restored
    def caller(register: int) -> int:
        rule = w.by_expression(16, bytes([0x70 + register, 0]), value=True)
        scene = Scene(
            entries=(w.Cie(), function(0, b"".join(program)), function(1, rule)),
            registers={
                **{"rip": CODE, "rsp": STACK, "rbx": CODE + 0x999, "r12": CODE + 0x900},
                **{"r14": CODE + 0x901, "rdx": CODE + 0x902},
            },
            stack={0x10: CODE + 0x700, 0x18: CODE + 0x110, 0x28: CODE + 0x800},
        )
        stack = scene.walk()
        return stack.frames[2].pc if len(stack.frames) > 2 else 0

    assert caller(3) == CODE + 0x700
    assert caller(12) == CODE + 0x900
    assert caller(13) == CODE + 0x999
    assert caller(15) == STACK + 0x08
    assert caller(6) == CODE + 0x800
    assert caller(0) == STACK + 0x29
    assert caller(14) == 0  # not known any more
    assert caller(1) == 0


def test_the_unwind_table_of_debuggers_is_the_second_choice() -> None:
    # GIVEN code compiled with -fno-asynchronous-unwind-tables, but with -g
    stack = Scene(
        debug_entries=CHAIN,
        registers={"rip": CODE + 0x10, "rsp": STACK + 0x100},
        stack={0x100: STACK + 0x200, 0x108: CODE + 0x120, 0x208: CODE + 0x250},
    ).walk()
    assert [trust for _, trust in found(stack)] == ["context", "cfi", "cfi"]


def test_functions_may_be_in_different_tables() -> None:
    stack = Scene(
        entries=(w.Cie(), function(0, NO_FRAME)),
        debug_entries=(w.Cie(), function(1, OUTERMOST)),
        registers={"rip": CODE + 0x10, "rsp": STACK},
        stack={8: CODE + 0x120},
    ).walk()
    assert found(stack) == [(0x10, "context"), (0x120, "cfi")]
    assert stack.ended is None


def test_a_static_program_without_a_sorted_table() -> None:
    stack = Scene(
        entries=CHAIN,
        header=False,
        registers={"rip": CODE + 0x10, "rsp": STACK},
        stack={0: STACK + 0x200, 8: CODE + 0x120, 0x208: CODE + 0x250},
    ).walk()
    assert [trust for _, trust in found(stack)] == ["context", "cfi", "cfi"]


def test_rows_are_kept_with_the_image() -> None:
    scene = Scene(entries=CHAIN, registers={"rip": CODE, "rsp": STACK}, stack={8: CODE + 0x120})
    space = scene.space()
    unwinder = Unwinder(space)
    image, vaddr = space.locate(CODE)
    assert image is not None
    row = unwinder.row(image, vaddr)
    assert row is not None
    assert Unwinder(space).row(image, vaddr) is row
    assert unwinder.row(None, vaddr) is None


# -- a thread ends where something is wrong, and only the thread


def test_a_stack_that_was_not_dumped() -> None:
    stack = Scene(entries=CHAIN, registers={"rip": CODE, "rsp": STACK + 0x10_0000}).walk()
    assert (found(stack), stack.ended) == ([(0, "context")], DAMAGED)


def test_a_stack_cut_by_the_end_of_the_core() -> None:
    stack = Scene(
        entries=CHAIN,
        registers={"rip": CODE, "rsp": STACK},
        stack={0: STACK + 0x200, 8: CODE + 0x120},
        stack_size=0x100,
    ).walk()
    assert (found(stack), stack.ended) == ([(0, "context"), (0x120, "cfi")], DAMAGED)


@pytest.mark.parametrize(
    "program",
    [
        w.def_cfa(6, 16) + w.undefined(6),
        w.def_cfa_expression(b"\x06"),  # takes from an empty stack
        w.def_cfa_expression(b"\x2f\xfd\xff"),  # jumps for ever
        w.def_cfa(200, 8),  # no such register
        w.by_expression(6, b"\x72\x00\x1b"),
        b"\x09\x06" + w.uleb(900),  # in a register that does not exist
    ],
    ids=["unknown base", "empty", "endless", "register", "expression", "in register"],
)
def test_a_row_that_cannot_be_followed_ends_the_thread(program: bytes) -> None:
    stack = Scene(
        entries=(w.Cie(), function(0, NO_FRAME + w.undefined(6)), function(1, program)),
        registers={"rip": CODE, "rsp": STACK},
        stack={8: CODE + 0x120},
    ).walk()
    assert (found(stack), stack.ended) == ([(0, "context"), (0x120, "cfi")], DAMAGED)


@pytest.mark.parametrize("register", [40, 97, 200])
def test_a_return_address_in_a_register_that_is_not_known(register: int) -> None:
    cie = w.Cie(return_register=register, program=w.def_cfa(31, 16), data_align=-8)
    stack = Scene(
        machine=AARCH64,
        entries=(cie, function(0)),
        registers={"pc": CODE, "sp": STACK},
    ).walk()
    assert (found(stack), stack.ended) == ([(0, "context")], DAMAGED)


@pytest.mark.parametrize("program", [b"\x0b", b"\x17\x01", b"\x0c" + b"\xff" * 20])
def test_a_damaged_description_leaves_the_chain_of_frame_pointers(program: bytes) -> None:
    stack = Scene(
        entries=(w.Cie(), function(0, program), function(1, OUTERMOST)),
        registers={"rip": CODE, "rsp": STACK, "rbp": STACK + 0x20},
        stack={0x20: STACK + 0x80, 0x28: CODE + 0x120},
    ).walk()
    assert found(stack) == [(0, "context"), (0x120, "frame_pointer")]
    assert stack.ended is None


def test_a_damaged_table_leaves_the_other_one() -> None:
    stack = Scene(
        entries=(w.Cie(), function(0, b"\x0b")),
        debug_entries=(w.Cie(), function(0), function(1, OUTERMOST)),
        registers={"rip": CODE, "rsp": STACK},
        stack={0: CODE + 0x120},
    ).walk()
    assert found(stack) == [(0, "context"), (0x120, "cfi")]


def test_a_smashed_stack_ends_at_the_first_bad_address() -> None:
    text = int.from_bytes(b"AAAAAAAA", "little")
    stack = Scene(
        entries=CHAIN,
        registers={"rip": CODE, "rsp": STACK},
        stack=dict.fromkeys(range(0, 0x100, 8), text),
    ).walk()
    assert (found(stack), stack.ended) == ([(0, "context"), (text, "cfi")], OVERWRITTEN)


def test_a_stack_that_goes_backwards() -> None:
    stack = Scene(
        entries=CHAIN,
        registers={"rip": CODE + 0x110, "rsp": STACK + 0x200, "rbp": STACK + 0x100},
        stack={0x108: CODE + 0x120},
    ).walk()
    assert found(stack) == [(0x110, "context")]
    assert stack.ended == "the stack goes backwards: it is overwritten"


def test_a_stack_that_repeats_itself() -> None:
    # GIVEN a function that returns to the address in rax and takes no room on the stack
    stack = Scene(
        entries=(w.Cie(), function(0, w.def_cfa(7, 0) + b"\x09\x10\x00")),
        registers={"rip": CODE + 4, "rsp": STACK, "rax": CODE + 8},
    ).walk()
    assert found(stack) == [(4, "context"), (8, "cfi")]
    assert stack.ended == "the stack repeats itself: it is overwritten"


def test_a_function_without_a_rule_for_its_return_address() -> None:
    # else it would be its own caller, again and again
    stack = Scene(
        entries=(w.Cie(program=w.def_cfa(7, 16)), function(0)),
        registers={"rip": CODE, "rsp": STACK},
    ).walk()
    assert (found(stack), stack.ended) == ([(0, "context")], DAMAGED)


@pytest.mark.parametrize("rule", [b"", b"\x08\x1e"], ids=["no rule", "same value"])
def test_a_function_of_aarch64_that_has_not_saved_where_it_returns_to(rule: bytes) -> None:
    # its link register holds its own return address from the call it made: that has no end
    stack = Scene(
        machine=AARCH64,
        entries=(w.Cie(program=w.def_cfa(31, 16), return_register=30), function(0, rule)),
        registers={"pc": CODE + 4, "sp": STACK, "x30": CODE + 8},
    ).walk()
    assert (found(stack), stack.ended) == ([(4, "context"), (8, "cfi")], DAMAGED)


def test_a_limit_of_frames() -> None:
    scene = Scene(
        entries=(w.Cie(), function(0)),
        registers={"rip": CODE, "rsp": STACK},
        stack=dict.fromkeys(range(0, 0x1000, 8), CODE + 0x10),
    )
    stack = scene.walk(limit=10)
    assert (len(stack.frames), stack.ended) == (10, "stopped at the limit of frames: 10")
    stack = scene.walk(limit=0)
    assert (len(stack.frames), stack.ended) == (1, "stopped at the limit of frames: 1")
    stack = scene.walk()
    assert (len(stack.frames), stack.ended) == (513, DAMAGED)


def test_a_limit_for_all_threads_together() -> None:
    # a core may claim 100,000 threads that share one deep stack
    scene = Scene(
        entries=(w.Cie(), function(0)),
        registers={"rip": CODE, "rsp": STACK},
        stack=dict.fromkeys(range(0, 0x1000, 8), CODE + 0x10),
    )
    space = scene.space()
    unwinder = Unwinder(space, total=600)
    lengths = [len(unwinder.unwind(space.facts.threads[0]).frames) for _ in range(4)]
    assert lengths == [513, 87, 1, 1]


def test_a_table_that_takes_too_long_is_not_asked_any_more() -> None:
    expression = w.def_cfa_expression(b"\x77\x10" + b"\x96" * 100)
    scene = Scene(
        entries=(w.Cie(), function(0, expression)),
        registers={"rip": CODE, "rsp": STACK},
        stack=dict.fromkeys(range(0, 0x1000, 8), CODE + 0x10),
    )
    space = scene.space()
    unwinder = Unwinder(space)
    stack = unwinder.unwind(space.facts.threads[0], limit=11)
    image = stack.frames[0].image
    assert image is not None
    (table,) = image.tables
    assert table.steps >= 10 * 101
    table.steps = tables.MAX_STEPS + 1
    stack = unwinder.unwind(space.facts.threads[0])
    assert (len(stack.frames), stack.ended) == (1, DAMAGED)
