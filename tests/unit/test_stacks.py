"""From raw stacks to the threads of a report."""

from collections.abc import Mapping, Sequence

import pytest

from evdiag.analyze.stacks import HEAD, SHORT, TAIL, FrameNamer, group_threads
from evdiag.analyze.unwind import RawFrame, RawStack
from evdiag.model.core import Place
from evdiag.model.report import Address, Fold, Frame, Thread
from evdiag.parse.image import Image
from tests.support import elfwriter as w

AT, VDSO_AT = 0x7F00_0000_0000, 0x7FFD_0000_0000
MODULE = "/opt/everest/EvseManager"
LIBRARY = w.image()
CODE = AT + w.CODE
BUILD_ID = w.BUILD_ID.hex()


class Namer:
    """A namer for one module, with names from a table: offset in the code to its places."""

    def __init__(self, names: Mapping[int, Sequence[Place]] | None = None) -> None:
        self.names = names or {}
        self.asked: list[int] = []
        dump = w.core(files=w.mapped(MODULE, LIBRARY, AT), memory=w.code_pieces(LIBRARY, AT))
        self.space = w.address_space(dump, {MODULE: LIBRARY})
        self.namer = FrameNamer(self.space, self.lookup)

    def lookup(self, image: Image, vaddr: int) -> Sequence[Place]:
        assert image.path == MODULE
        self.asked.append(vaddr - w.CODE)
        return self.names.get(vaddr - w.CODE, ())

    def raw(self, offset: int, *, exact: bool = False, signal: bool = False) -> RawFrame:
        """A frame with its pc at an offset in the module's code."""
        pc = CODE + offset
        lookup = pc if exact else pc - 1
        image, vaddr = self.space.locate(lookup)
        return RawFrame(pc, lookup, image, vaddr, "cfi", signal)

    def thread(self, frames: list[RawFrame], ended: str | None = None) -> Thread:
        return self.namer.thread(1, 100, RawStack(frames, ended), crashed=True)


def place(function: str | None, line: int | None = None, file: str | None = None) -> Place:
    return Place(function, file, line)


def test_a_frame_with_everything_known() -> None:
    namer = Namer({0x10: [place("EvseManager::ready()", 42, "/src/EvseManager.cpp")]})
    thread = namer.thread([namer.raw(0x10, exact=True)], "the program counter is not in code")
    assert thread == Thread(
        number=1,
        lwp=100,
        crashed=True,
        ended="the program counter is not in code",
        frames=(
            Frame(
                level=0,
                kind="normal",
                pc=Address(CODE + 0x10),
                function="EvseManager::ready()",
                file="/src/EvseManager.cpp",
                line=42,
                module=MODULE,
                offset=Address(w.CODE + 0x10),
                build_id=BUILD_ID,
                in_app=True,
                trust="cfi",
            ),
        ),
    )


def test_callers_show_their_return_address_and_are_named_by_their_call() -> None:
    namer = Namer({0xFF: [place("caller()")], 0x100: [place("next()")]})
    (frame,) = namer.thread([namer.raw(0x100)]).frames
    assert (frame.function, frame.pc, frame.offset) == ("caller()", CODE + 0x100, w.CODE + 0x100)
    assert namer.asked == [0xFF]


def test_a_pc_and_a_return_address_behind_it_keep_their_offsets() -> None:
    # both are looked up at the same address: frame 0 at its pc, the caller within its call
    namer = Namer({0x10: [place("f()")]})
    frames = namer.thread([namer.raw(0x10, exact=True), namer.raw(0x11)]).frames
    assert [(f.function, f.offset) for f in frames] == [
        ("f()", w.CODE + 0x10),
        ("f()", w.CODE + 0x11),
    ]


def test_places_are_looked_up_once_for_all_threads() -> None:
    namer = Namer()
    for _ in range(3):
        namer.thread([namer.raw(0x10), namer.raw(0x20)])
    assert namer.asked == [0xF, 0x1F]


def test_inlined_calls_come_before_the_function_they_are_in() -> None:
    inner = place("std::function::operator()", 591, "/usr/include/c++/12/bits/std_function.h")
    namer = Namer(
        {0x10: [inner, place("lambda", 7, "/src/a.cpp"), place("run()", 9, "/src/a.cpp")]}
    )
    frames = namer.thread([namer.raw(0x10, exact=True), namer.raw(0x20)]).frames
    assert [(f.level, f.kind, f.function) for f in frames] == [
        (0, "inline", "std::function::operator()"),
        (1, "inline", "lambda"),
        (2, "normal", "run()"),
        (3, "normal", None),
    ]
    assert [f.in_app for f in frames] == [False, True, True, True]
    assert len({f.pc for f in frames[:3]}) == 1


def test_a_signal_trampoline() -> None:
    namer = Namer({0x10: [place("__restore_rt")]})
    (frame,) = namer.thread([namer.raw(0x10, exact=True, signal=True)]).frames
    assert (frame.kind, frame.function) == ("signal", "__restore_rt")


def test_a_module_without_names() -> None:
    (frame,) = thread_of([0x20]).frames
    assert (frame.function, frame.file, frame.line) == (None, None, None)
    assert (frame.module, frame.offset, frame.build_id) == (MODULE, w.CODE + 0x20, BUILD_ID)
    assert frame.in_app


def test_a_module_whose_file_is_not_here_shows_the_offset_from_its_start() -> None:
    namer = Namer()
    (frame,) = namer.thread(
        [RawFrame(CODE + 0x20, CODE + 0x1F, None, CODE + 0x1F, "cfi", False)]
    ).frames
    assert (frame.module, frame.offset, frame.build_id) == (MODULE, w.CODE + 0x20, BUILD_ID)
    assert namer.asked == []


def test_an_address_in_no_module() -> None:
    raw = RawFrame(0x1234, 0x1234, None, 0x1234, "context", False)
    (frame,) = Namer().thread([raw]).frames
    assert frame == Frame(level=0, pc=Address(0x1234), trust="context")


def test_a_frame_in_the_vdso_is_in_no_module_but_has_an_image() -> None:
    vdso = w.image(build_id=b"\x12")
    piece = w.Piece(start=VDSO_AT, data=vdso, flags=5)
    space = w.address_space(w.core(memory=[piece], auxv={33: VDSO_AT}), {})
    image, vaddr = space.locate(VDSO_AT + w.CODE)
    raw = RawFrame(VDSO_AT + w.CODE, VDSO_AT + w.CODE, image, vaddr, "cfi", False)
    namer = FrameNamer(space, lambda image, vaddr: [Place("__vdso_gettimeofday", None, None)])
    (frame,) = namer.thread(2, 5, RawStack([raw], None), crashed=False).frames
    assert (frame.module, frame.function, frame.offset) == ("[vdso]", "__vdso_gettimeofday", w.CODE)
    assert (frame.build_id, frame.in_app) == ("12", False)


# -- recursion


def test_recursion_is_shown_once() -> None:
    namer = Namer()
    stack = [namer.raw(o) for o in (0x10, *(0x20, 0x30) * 500, 0x40)]
    thread = namer.thread(stack)
    assert [(f.level, (f.pc or 0) - CODE) for f in thread.frames] == [
        (0, 0x10),
        (1, 0x20),
        (2, 0x30),
        (1001, 0x40),
    ]
    assert thread.folds == (Fold(level=1, period=2, count=500),)
    assert thread.omitted == 0


def test_levels_behind_a_recursion_count_its_inlined_calls() -> None:
    namer = Namer({0x1F: [place("inlined"), place("recurse")]})
    thread = namer.thread([namer.raw(o) for o in (*(0x20,) * SHORT, 0x40)])
    assert [(f.level, f.function) for f in thread.frames] == [
        (0, "inlined"),
        (1, "recurse"),
        (2 * SHORT, None),
    ]
    assert thread.folds == (Fold(level=0, period=1, count=SHORT),)


def test_two_recursions() -> None:
    namer = Namer()
    thread = namer.thread([namer.raw(o) for o in (*(0x10,) * 40, *(0x20, 0x30) * 30)])
    assert thread.folds == (Fold(level=0, period=1, count=40), Fold(level=40, period=2, count=30))
    assert [f.level for f in thread.frames] == [0, 40, 41]


@pytest.mark.parametrize("offsets", [[0x20] * (SHORT - 1), [*[0x20] * (SHORT - 1), *range(99)]])
def test_a_short_recursion_is_shown_as_it_is(offsets: list[int]) -> None:
    thread = thread_of(offsets)
    assert thread.folds == ()
    assert len(thread.frames) == len(offsets)


# -- very deep stacks


def distinct(count: int, start: int = 0) -> list[int]:
    """Offsets of which no stretch repeats."""
    return list(range(start, start + count))


def thread_of(offsets: Sequence[int]) -> Thread:
    namer = Namer()
    return namer.thread([namer.raw(o) for o in offsets])


def test_stacks_of_usual_depth_are_whole() -> None:
    assert len(thread_of(distinct(HEAD + TAIL)).frames) == HEAD + TAIL


def test_the_middle_of_a_very_deep_stack_is_left_out() -> None:
    thread = thread_of(distinct(2000))
    assert thread.omitted == 400
    assert len(thread.frames) == 1600
    assert [(f.level, (f.pc or 0) - CODE) for f in thread.frames[1498:1502]] == [
        (1498, 1498),
        (1499, 1499),
        (1900, 1900),
        (1901, 1901),
    ]
    assert thread.frames[-1].level == 1999


def test_recursions_stay_whole_where_the_middle_is_left_out() -> None:
    # GIVEN a recursion of period 30 over the cut at the head, and one over that at the tail
    cycle, other = distinct(30, 5000), distinct(30, 6000)
    offsets = [
        *distinct(1490),
        *cycle * 100,
        *distinct(500, 3000),
        *other * 50,
        *distinct(90, 4000),
    ]
    thread = thread_of(offsets)
    assert thread.folds == (
        Fold(level=1490, period=30, count=100),
        Fold(level=1490 + 3000 + 500, period=30, count=50),
    )
    assert thread.omitted == 500
    assert len(thread.frames) == 1490 + 30 + 30 + 90
    assert thread.frames[-1].level == len(offsets) - 1


def test_a_recursion_at_both_cuts_is_shown_once() -> None:
    # GIVEN one recursion that both the head and the tail would reach into
    offsets = [*distinct(1499), *distinct(32, 5000) * 1000, *distinct(70, 3000)]
    thread = thread_of(offsets)
    assert thread.omitted == 0
    assert thread.folds == (Fold(level=1499, period=32, count=1000),)
    assert len(thread.frames) == 1499 + 32 + 70
    assert thread.frames[-1].level == len(offsets) - 1


def test_nothing_is_left_out_twice() -> None:
    # GIVEN a stack a little deeper than what is kept, in two parts
    offsets = [*distinct(1490), *distinct(20, 5000) * 3, *distinct(120, 3000)]
    thread = thread_of(offsets)
    assert thread.omitted == 20
    assert [f.level for f in thread.frames][-100:] == list(range(1570, 1670))
    assert thread.frames[-1].level == len(offsets) - 1


def test_a_recursion_in_the_middle_is_left_out_with_all_its_rounds() -> None:
    offsets = [*distinct(1500), *distinct(30, 5000) * 100, *distinct(150, 3000)]
    thread = thread_of(offsets)
    assert thread.omitted == 3000 + 50
    assert thread.folds == ()
    assert thread.frames[-1].level == len(offsets) - 1


@pytest.mark.parametrize(("count", "shown"), [(15, 15), (16, 1)])
def test_sixteen_frames_are_worth_folding(count: int, shown: int) -> None:
    assert len(thread_of([0x10] * count).frames) == shown


@pytest.mark.parametrize("count", [1600, 1601, 1700, 5000])
def test_what_is_shown_and_what_is_left_out_make_the_whole(count: int) -> None:
    thread = thread_of([o & 0x1FFF for o in distinct(count)])
    assert len(thread.frames) + thread.omitted == count
    assert thread.frames[-1].level == count - 1


# -- groups


def thread(number: int, *frames: Frame, crashed: bool = False) -> Thread:
    return Thread(number=number, frames=frames, crashed=crashed)


def named(function: str, line: int | None = None) -> Frame:
    return Frame(level=0, function=function, line=line, pc=Address(0x1000))


def test_threads_with_the_same_names_are_a_group() -> None:
    def waiting(pc: int) -> Frame:
        return Frame(level=0, function="futex_wait", line=5, pc=Address(pc))

    threads = group_threads(
        [
            thread(1, waiting(1), crashed=True),
            thread(2, waiting(2)),
            thread(3, waiting(3)),
            thread(4, named("futex_wait", 6)),
            thread(5, waiting(5), named("main")),
            thread(6),
            thread(7),
        ]
    )
    assert [t.group for t in threads] == [1, 2, 2, 3, 4, 5, 5]
    assert [t.number for t in threads] == [1, 2, 3, 4, 5, 6, 7]


def test_frames_without_names_are_the_same_by_module_and_offset() -> None:
    def at(module: str | None, offset: int | None, pc: int) -> Frame:
        return Frame(
            level=0,
            module=module,
            offset=None if offset is None else Address(offset),
            pc=Address(pc),
        )

    threads = group_threads(
        [
            thread(1, at("/a", 0x10, 1)),
            thread(2, at("/a", 0x10, 2)),
            thread(3, at("/b", 0x10, 3)),
            thread(4, at(None, None, 0x99)),
            thread(5, at(None, None, 0x99)),
            thread(6, at(None, None, 0x98)),
        ]
    )
    assert [t.group for t in threads] == [1, 1, 2, 3, 3, 4]
