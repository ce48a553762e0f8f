"""Walking stacks through signal handlers of x86-64."""

from collections.abc import Mapping

import pytest

from tests.support import elfwriter as w
from tests.support.scene import (
    CODE,
    DAMAGED,
    NO_FRAME,
    NO_INFORMATION,
    OUTERMOST,
    RESTORE_X86,
    STACK,
    Scene,
    found,
    function,
)

# -- signal handlers, x86-64

SIGNAL_CIE = w.Cie(augmentation="zRS")


def at_sp(offset: int) -> bytes:
    """An expression: the stack pointer plus an offset."""
    return b"\x77" + w.sleb(offset)


# As in glibc's sigaction.c: registers lie in the ucontext that the stack pointer points to.
RESTORE_RT = w.def_cfa_expression(at_sp(160) + b"\x06") + b"".join(
    w.by_expression(number, at_sp(offset))
    for number, offset in ((6, 120), (3, 128), (7, 160), (16, 168))
)


def interrupted(pc: int, sp: int, *, rbp: int = 0) -> dict[int, int]:
    """The words of a ucontext at offset 0x100."""
    return {0x100 + 120: rbp, 0x100 + 160: sp, 0x100 + 168: pc}


HANDLER = {"rip": CODE + 0x10, "rsp": STACK + 0xF8}
"""In a handler (function 0, no frame) that returns to the trampoline at 0x500."""


def handled(
    trampoline: w.Fde | None, words: Mapping[int, int], code: Mapping[int, bytes] | None = None
) -> Scene:
    entries: list[w.Cie | w.Fde] = [w.Cie(), function(0), function(2, OUTERMOST), SIGNAL_CIE]
    entries += [function(3, NO_FRAME)]
    if trampoline is not None:
        entries.append(trampoline)
    return Scene(
        entries=entries,
        registers=HANDLER,
        stack={0xF8: CODE + 0x500, **words},
        code=code or {},
    )


TRAMPOLINE = w.Fde(start=w.CODE + 0x500, size=9, program=RESTORE_RT, cie=3)
EARLY = w.Fde(start=w.CODE + 0x4FF, size=10, program=RESTORE_RT, cie=3)


@pytest.mark.parametrize("trampoline", [TRAMPOLINE, EARLY], ids=["exact", "one byte early"])
def test_a_signal_frame_by_call_frame_information(trampoline: w.Fde) -> None:
    # GIVEN a function that was interrupted at its very first instruction
    words = {**interrupted(CODE + 0x300, STACK + 0x800), 0x808: CODE + 0x220}
    stack = handled(trampoline, words).walk()
    assert found(stack) == [
        (0x10, "context"),
        (0x500, "cfi"),
        (0x300, "cfi"),
        (0x220, "cfi"),
    ]
    assert stack.ended is None
    # THEN trampoline and interrupted function are looked up at their pc, their callers before it
    assert [f.pc - f.lookup for f in stack.frames] == [0, 0, 0, 1]
    assert [f.vaddr - w.CODE for f in stack.frames] == [0x10, 0x500, 0x300, 0x21F]
    assert [f.signal for f in stack.frames] == [False, True, False, False]


def test_a_signal_frame_by_its_code() -> None:
    # GIVEN a C library without call frame information for its trampoline
    words = {**interrupted(CODE + 0x300, STACK + 0x800), 0x808: CODE + 0x220}
    stack = handled(None, words, {0x500: RESTORE_X86}).walk()
    assert found(stack) == [
        (0x10, "context"),
        (0x500, "cfi"),
        (0x300, "signal_frame"),
        (0x220, "cfi"),
    ]
    # THEN it is one nevertheless, and the interrupted function is looked up at its pc
    assert [f.pc - f.lookup for f in stack.frames] == [0, 0, 0, 1]
    assert [f.signal for f in stack.frames] == [False, True, False, False]


def test_all_registers_come_back_from_a_signal_frame() -> None:
    # struct sigcontext of x86-64, from uc_mcontext on
    names = [
        *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15"),
        *("rdi", "rsi", "rbp", "rbx", "rdx", "rax", "rcx", "rsp", "rip"),
    ]
    numbers = [8, 9, 10, 11, 12, 13, 14, 15, 5, 4, 6, 3, 1, 0, 2]
    for i, (name, number) in enumerate(zip(names, numbers, strict=False)):
        # GIVEN an interrupted function whose caller is in one of the registers
        words = {**interrupted(CODE + 0x600, STACK + 0x800), 0x100 + 40 + 8 * i: CODE + 0x777}
        rule = w.by_expression(16, bytes([0x70 + number, 0]), value=True)
        scene = Scene(
            entries=(w.Cie(), function(0), function(6, rule)),
            registers=HANDLER,
            stack={0xF8: CODE + 0x500, **words},
            code={0x500: RESTORE_X86},
        )
        stack = scene.walk()
        assert stack.frames[3].pc == CODE + 0x777, name
    assert names[15:] == ["rsp", "rip"]


def test_a_handler_on_a_stack_of_its_own() -> None:
    # GIVEN sigaltstack: the interrupted function's stack lies far below the handler's
    low = 0x7FFB_0000_0000
    for trampoline, code in ((TRAMPOLINE, {}), (None, {0x500: RESTORE_X86})):
        scene = handled(trampoline, interrupted(CODE + 0x310, low), code)
        piece = w.Piece(start=low, data=w.words(0, CODE + 0x220))
        stack = Scene(
            entries=scene.entries,
            registers=scene.registers,
            stack=scene.stack,
            code=scene.code,
            more=[piece],
        ).walk()
        assert [pc for pc, _ in found(stack)] == [0x10, 0x500, 0x310, 0x220]
        assert stack.ended is None


def test_a_handler_of_a_call_to_null() -> None:
    # GIVEN a handler that runs because the program has called a null pointer
    words = {**interrupted(0, STACK + 0x800), 0x800: CODE + 0x220}
    for trampoline, code in ((TRAMPOLINE, {}), (None, {0x500: RESTORE_X86})):
        stack = handled(trampoline, words, code).walk()
        assert [pc for pc, _ in found(stack)] == [0x10, 0x500, 0, 0x220]
        assert stack.frames[3].trust == "call"
        assert stack.ended is None


def test_a_signal_frame_whose_registers_were_not_dumped() -> None:
    scene = Scene(
        entries=(w.Cie(), function(0)),
        registers=HANDLER,
        stack={0xF8: CODE + 0x500},
        code={0x500: RESTORE_X86},
        stack_size=0x180,
    )
    stack = scene.walk()
    assert (found(stack), stack.ended) == ([(0x10, "context"), (0x500, "cfi")], DAMAGED)


def test_a_signal_frame_that_leads_to_itself() -> None:
    stack = handled(None, interrupted(CODE + 0x500, STACK + 0x100), {0x500: RESTORE_X86}).walk()
    assert [pc for pc, _ in found(stack)] == [0x10, 0x500]
    assert stack.ended == "the stack repeats itself: it is overwritten"


def test_signal_frames_that_lead_in_circles() -> None:
    # GIVEN an overwritten ucontext: what was interrupted is the handler that is running
    stack = handled(TRAMPOLINE, interrupted(CODE + 0x10, STACK + 0xF8)).walk()
    assert [pc for pc, _ in found(stack)] == [0x10, 0x500, 0x10, 0x500]
    assert stack.ended == "the stack repeats itself: it is overwritten"


def test_the_code_of_a_trampoline_at_the_bottom_without_a_stack_pointer() -> None:
    stack = Scene(
        entries=(w.Cie(), function(0, w.undefined(7))),
        registers=HANDLER,
        stack={0xF8: CODE + 0x500},
        code={0x500: RESTORE_X86},
    ).walk()
    assert (found(stack), stack.ended) == ([(0x10, "context"), (0x500, "cfi")], DAMAGED)


def test_a_caller_at_the_start_of_a_function_is_no_trampoline() -> None:
    # GIVEN a return address between functions, and a function without the mark of a signal frame
    stack = Scene(
        entries=(w.Cie(), function(0), function(5, OUTERMOST)),
        registers={"rip": CODE, "rsp": STACK},
        stack={0: CODE + 0x500},
    ).walk()
    assert found(stack) == [(0, "context"), (0x500, "cfi")]
    assert stack.frames[1].lookup == CODE + 0x4FF
    assert stack.ended == NO_INFORMATION
