"""Walking stacks: call frame information, calling conventions, signal frames, damage."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from evdiag.analyze.space import AddressSpace
from evdiag.analyze.unwind import MAX_FRAMES, RawFrame, RawStack, Unwinder
from evdiag.model.machine import AARCH64, ARM, I386, X86_64, Machine
from evdiag.parse.dwarf import tables
from tests.support import elfwriter as w

LIBRARY = "/lib/liba.so"
STACK = 0x7FFC_0000_0000
"""Function n has its code at CODE + 0x100 * n; stacks are given as offsets from STACK."""

DAMAGED = "the unwind information or the stack memory is damaged or missing"
OVERWRITTEN = "the return address is not in code: the stack is overwritten"
NO_INFORMATION = "no unwind information, and no chain of frame pointers"
NOT_IN_CODE = "the program counter is not in code"

RESTORE_X86 = bytes.fromhex("48c7c00f0000000f05")
RESTORE_AARCH64 = bytes.fromhex("681180d2010000d4")


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A thread in a process with one library, and what its stack holds."""

    registers: Mapping[str, int]
    stack: Mapping[int, int] = field(default_factory=dict)
    """Offset from `stack_at` to the word there."""
    machine: Machine = X86_64
    entries: Sequence[w.Cie | w.Fde] = ()
    debug_entries: Sequence[w.Cie | w.Fde] = ()
    header: bool = True
    code: Mapping[int, bytes] = field(default_factory=dict)
    """Offset in the code to bytes that matter; the others are no code in particular."""
    stack_at: int = STACK
    stack_size: int = 0x1000
    more: Sequence[w.Piece] = ()
    pac_mask: int | None = None
    at: int = 0x7F00_0000_0000

    def space(self) -> AddressSpace:
        code = bytearray(0x2000)
        for offset, raw in self.code.items():
            code[offset : offset + len(raw)] = raw
        library = w.image(
            entries=self.entries,
            debug_entries=self.debug_entries,
            header=self.header,
            code=bytes(code),
            machine=self.machine,
        )
        word = self.machine.bits // 8
        stack = bytearray(self.stack_size)
        for offset, value in self.stack.items():
            stack[offset : offset + word] = value.to_bytes(word, "little")
        dump = w.core(
            machine=self.machine,
            threads=[w.Thread(registers=self.registers)],
            files=w.mapped(LIBRARY, library, self.at),
            memory=[
                *w.code_pieces(library, self.at),
                w.Piece(start=self.stack_at, data=bytes(stack)),
                *self.more,
            ],
            pac_mask=self.pac_mask,
        )
        return w.address_space(dump, {LIBRARY: library})

    def walk(self, limit: int = MAX_FRAMES) -> RawStack:
        space = self.space()
        return Unwinder(space).unwind(space.facts.threads[0], limit)


CODE = 0x7F00_0000_0000 + w.CODE


def function(number: int, program: bytes = b"", *, cie: int = 0, size: int = 0x100) -> w.Fde:
    return w.Fde(start=w.CODE + 0x100 * number, size=size, program=program, cie=cie)


def found(stack: RawStack) -> list[tuple[int, str]]:
    """(pc, trust) of each frame; pcs within the library as offsets in its code."""
    return [(f.pc - CODE if 0 <= f.pc - CODE < 0x2000 else f.pc, f.trust) for f in stack.frames]


# Functions 0 to 3 as gcc makes them: without a frame, with a frame, and the start of the thread.
NO_FRAME = w.def_cfa(7, 16) + w.saved(6, 2)
WITH_FRAME = w.def_cfa(6, 16) + w.saved(6, 2)
OUTERMOST = w.undefined(16)
CHAIN = (w.Cie(), function(0, NO_FRAME), function(1, WITH_FRAME), function(2, OUTERMOST))


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
