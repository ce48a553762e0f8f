"""gdb's values get to the right frames, and where the stacks differ, both are kept."""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evdiag.analyze.values import (
    attach,
    request_for,
    with_gdb_stacks,
)
from evdiag.model.report import (
    Address,
    Fold,
    Module,
    Report,
    Variable,
)
from evdiag.model.values import (
    Document,
    ReadFrame,
    ReadThread,
    ReadVariable,
)
from tests.support.gdb_answers import (
    LWP,
    MODULE,
    OTHER,
    answer,
    locals_of,
    own,
    read,
    report_of,
    thread,
)
from tests.support.random_nouns import REPORTS

# ---------------------------------------------------------------- values to frames


def test_values_belong_to_frames_by_program_counter() -> None:
    report = report_of(own(0, 0x10), own(1, 0x20), own(2, 0x30))
    attached = attach(
        report, answer(read(0x10, "a"), read(0x20, "b", "c"), read(0x30)), unwound=True
    )
    assert locals_of(attached.report) == ["a", "b c", ""]
    assert (attached.differing, attached.stacks_from_gdb) == ((), False)
    # nothing else has changed
    bare = [msgspec.structs.replace(f, locals=()) for f in attached.report.threads[0].frames]
    assert tuple(bare) == report.threads[0].frames


def test_what_a_variable_becomes() -> None:
    frame = ReadFrame(
        pc=0x10,
        args=(
            ReadVariable("m", "M const&", "@0x8: {x = 1}"),
            ReadVariable("text", "char *", r'0x5 "a", <incomplete sequence \303>'),
            ReadVariable("password", "std::string", '"hunter2"'),
        ),
        locals=(
            ReadVariable("gone", None, None, "Cannot access memory"),
            ReadVariable("empty", "X", ""),
        ),
    )
    attached = attach(report_of(own(0, 0x10)), answer(frame), unwound=True)
    (got,) = attached.report.threads[0].frames
    assert got.args == (
        Variable(name="m", type="const M&", value="@0x8: {x = 1}"),
        Variable(name="text", type="char *", value=r'0x5 "a\303"'),
        Variable(name="password", type="std::string", value='"hunter2"'),
    )
    assert got.locals == (
        Variable(name="gone", problem="Cannot access memory"),
        Variable(name="empty", type="X", value=""),
    )


def test_only_threads_that_gdb_was_asked_about_get_values() -> None:
    other = thread(own(0, 0x50), number=2, lwp=OTHER, crashed=False)
    nameless = thread(own(0, 0x10), number=3, lwp=None, crashed=False)
    report = Report(threads=(other, thread(own(0, 0x10)), nameless))
    attached = attach(report, answer(read(0x10, "a")), unwound=True)
    assert attached.report.threads[0] == other
    assert attached.report.threads[2] == nameless
    assert [locals_of(attached.report, n) for n in range(3)] == [[""], ["a"], [""]]


@pytest.mark.parametrize("document", [Document(), answer(), answer(ended="Cannot access memory")])
def test_a_thread_that_gdb_knows_nothing_about_stays(document: Document) -> None:
    report = report_of(own(0, 0x10))
    attached = attach(report, document, unwound=True)
    assert (attached.report, attached.differing) == (report, ())


def test_inlined_calls_are_matched_from_the_function_inwards() -> None:
    # GIVEN two inlined calls of which gdb knows the outer one only
    frames = (own(0, 0x10, kind="inline"), own(1, 0x10, kind="inline"), own(2, 0x10), own(3, 0x20))
    theirs = read(0x10, "b", kind="inline"), read(0x10, "c"), read(0x20, "d")
    attached = attach(report_of(*frames), answer(*theirs), unwound=True)
    assert locals_of(attached.report) == ["", "b", "c", "d"]
    assert attached.differing == ()


def test_inlined_calls_that_only_gdb_sees_are_left_out() -> None:
    frames = own(0, 0x10), own(1, 0x20)
    theirs = read(0x10, "a", kind="inline"), read(0x10, "b"), read(0x20, "c")
    attached = attach(report_of(*frames), answer(*theirs), unwound=True)
    assert locals_of(attached.report) == ["b", "c"]
    assert attached.differing == ()


def test_a_stack_that_was_cut_in_inlined_calls() -> None:
    frames = own(0, 0x10, kind="inline"), own(1, 0x10)
    attached = attach(
        report_of(*frames), answer(read(0x10, "a", kind="inline"), more=True), unwound=True
    )
    assert attached.differing == ()


# -- tail calls


def test_tail_calls_are_skipped() -> None:
    theirs = read(0x10, "a"), read(0x18, "t", kind="tailcall"), read(0x20, "b")
    attached = attach(report_of(own(0, 0x10), own(1, 0x20)), answer(*theirs), unwound=True)
    assert locals_of(attached.report) == ["a", "b"]
    assert attached.differing == ()


def unknown(pc: int, *names: str) -> ReadFrame:
    return read(pc, *names, kind="unknown")


def test_tail_calls_are_skipped_where_gdb_does_not_say_that_they_are() -> None:
    theirs = unknown(0x10, "a"), unknown(0x18, "t"), unknown(0x19, "u"), unknown(0x20, "b")
    attached = attach(report_of(own(0, 0x10), own(1, 0x20)), answer(*theirs), unwound=True)
    assert locals_of(attached.report) == ["a", "b"]
    assert attached.differing == ()


def test_a_frame_that_gdb_knows_to_be_no_tail_call_is_a_difference() -> None:
    theirs = read(0x10, "a"), read(0x18, "t"), read(0x20, "b")
    attached = attach(report_of(own(0, 0x10), own(1, 0x20)), answer(*theirs), unwound=True)
    assert locals_of(attached.report) == ["a", ""]
    assert attached.differing == (LWP,)


def test_so_many_tail_calls_are_none() -> None:
    theirs = unknown(0x10, "a"), *(unknown(0x100 + n) for n in range(9)), unknown(0x20, "b")
    attached = attach(report_of(own(0, 0x10), own(1, 0x20)), answer(*theirs), unwound=True)
    assert locals_of(attached.report) == ["a", ""]
    assert attached.differing == (LWP,)


# -- stacks that differ

OURS = own(0, 0x10), own(1, 0x20), own(2, 0x30)
FIRST = read(0x10, "a"), read(0x20, "b")


@pytest.mark.parametrize(
    ("theirs", "values", "differs"),
    [
        ((*FIRST, read(0x30, "c")), "a b c", None),
        ((*FIRST, read(0x99, "x")), "a b", 2),
        ((*FIRST, read(0x99, "x"), read(0x30, "c")), "a b", 2),
        (FIRST, "a b", 2),
        ((*FIRST, read(0x30, "c"), read(0x40, "d")), "a b c", 3),
        ((read(0x99, "x"), *FIRST), "", 0),
    ],
    ids=["same", "other", "one more", "shorter", "longer", "from the start"],
)
def test_stacks_that_differ_have_values_up_to_the_difference(
    theirs: tuple[ReadFrame, ...], values: str, differs: int | None
) -> None:
    document = answer(*theirs)
    attached = attach(report_of(*OURS), document, unwound=True)
    assert " ".join(locals_of(attached.report)).strip() == values
    assert attached.differing == (() if differs is None else (LWP,))
    both = with_gdb_stacks(attached.report, document)
    (merged,) = both.threads
    assert [f.pc for f in merged.frames] == [f.pc for f in OURS]
    assert len(merged.gdb_frames) == (0 if differs is None else len(theirs))
    assert [e.message for e in both.soft_errors] == (
        [] if differs is None else [f"gdb sees another stack of LWP {LWP} from frame {differs} on"]
    )


@pytest.mark.parametrize(
    ("theirs", "differs"),
    [(FIRST, False), ((*FIRST, read(0x30)), False), ((*FIRST, read(0x99)), True)],
)
def test_a_stack_of_gdb_that_goes_on_is_compared_as_far_as_it_goes(
    theirs: tuple[ReadFrame, ...], differs: bool
) -> None:
    attached = attach(report_of(*OURS), answer(*theirs, more=True), unwound=True)
    assert bool(attached.differing) is differs


def test_a_stack_that_we_cut_ourselves_is_shorter_than_what_gdb_has_more_of() -> None:
    theirs = *FIRST, read(0x30), read(0x40)
    assert attach(report_of(*OURS), answer(*theirs, more=True), unwound=True).differing == ()


@pytest.mark.parametrize(
    "folded", [{"folds": (Fold(level=1, period=1, count=99),)}, {"omitted": 12}], ids=str
)
@pytest.mark.parametrize("behind", [(), (read(0x20), read(0x20)), (read(0x99),)], ids=len)
def test_behind_a_folded_recursion_nothing_is_compared(
    folded: dict[str, object], behind: tuple[ReadFrame, ...]
) -> None:
    report = Report(threads=(thread(*OURS, **folded),))
    document = answer(*FIRST, *behind)
    attached = attach(report, document, unwound=True)
    assert locals_of(attached.report) == ["a", "b", ""]
    assert attached.differing == ()
    assert with_gdb_stacks(report, document) == report


def test_a_level_counts_folded_frames() -> None:
    frames = own(0, 0x10), own(700, 0x20)
    document = answer(*FIRST, read(0x30))
    both = with_gdb_stacks(report_of(*frames), document)
    assert "from frame 701 on" in both.soft_errors[0].message


def test_without_frames_of_ours_there_is_nothing_to_differ_from() -> None:
    report = report_of()
    attached = attach(report, answer(*FIRST), unwound=True)
    assert (attached.report, attached.differing) == (report, ())


def test_differing_threads_are_reported_each() -> None:
    other = thread(own(0, 0x50), number=2, lwp=OTHER, crashed=False)
    report = Report(threads=(other, thread(*OURS)))
    document = Document(
        threads=(
            ReadThread(lwp=LWP, frames=(read(0x99),)),
            ReadThread(lwp=OTHER, frames=(read(0x98),)),
        )
    )
    assert attach(report, document, unwound=True).differing == (OTHER, LWP)
    # what has no LWP cannot be asked about again
    nameless = Report(threads=(thread(*OURS, lwp=None),))
    zero = Document(threads=(ReadThread(lwp=0, frames=(read(0x99),)),))
    assert attach(nameless, zero, unwound=True).differing == ()


def test_a_stack_of_gdb_is_kept_with_modules() -> None:
    modules = (
        Module(path="/half"),
        Module(path="/half", base=Address(0x90)),
        Module(path=MODULE, base=Address(0x1000), end=Address(0x2000), build_id="ab12"),
        Module(path="/usr/lib/libc.so.6", base=Address(0x2000), end=Address(0x3000)),
    )
    report = report_of(*OURS, modules=modules)
    theirs = (
        read(0x99, "x", kind="unknown"),
        read(0x1000, function="f()", file="/src/f.cpp", line=5),
        read(0x1FFF, file="/usr/include/c++/12/bits/invoke.h", kind="inline"),
        read(0x2000, function="abort", kind="tailcall"),
        read(0x3000),
    )
    both = with_gdb_stacks(report, answer(*theirs))
    frames = both.threads[0].gdb_frames
    assert [(f.level, f.pc, f.kind) for f in frames] == [
        (0, 0x99, "normal"),
        (1, 0x1000, "normal"),
        (2, 0x1FFF, "inline"),
        (3, 0x2000, "tailcall"),
        (4, 0x3000, "normal"),
    ]
    assert [(f.module, f.build_id, f.in_app) for f in frames] == [
        (None, None, False),
        (MODULE, "ab12", True),
        (MODULE, "ab12", False),
        ("/usr/lib/libc.so.6", None, False),
        (None, None, False),
    ]
    assert (frames[1].function, frames[1].file, frames[1].line) == ("f()", "/src/f.cpp", 5)
    assert {f.trust for f in frames} == {"gdb"}
    (error,) = both.soft_errors
    assert (error.stage, error.message, error.effect) == (
        "stacks",
        f"gdb sees another stack of LWP {LWP} from frame 0 on",
        "both are in the report; values belong to the frames above it",
    )


def test_stacks_of_other_threads_stay_as_they_are() -> None:
    other = thread(own(0, 0x50), number=2, lwp=OTHER, crashed=False)
    report = Report(threads=(other, thread(*OURS)))
    both = with_gdb_stacks(report, answer(read(0x99)))
    assert both.threads[0] == other
    assert len(both.threads[1].gdb_frames) == 1


# -- names


def test_names_are_filled_in_only_where_there_are_none() -> None:
    frames = (
        own(0, 0x10),
        own(1, 0x20, function=None, file=None, line=None),
        own(2, 0x30, line=None, file=None),
        own(3, 0x40, line=None, file=None),
        own(4, 0x50, function=None),
    )
    theirs = (
        read(0x10, function="other()", file="/other.cpp", line=99),
        read(0x20, function="g()", file="/g.cpp", line=5),
        read(0x30, function="h()", file="/h.cpp", line=6),
        read(0x40, function="i()"),  # no more than we know
        read(0x50),
    )
    attached = attach(report_of(*frames), answer(*theirs), unwound=True)
    places = [(f.function, f.file, f.line) for f in attached.report.threads[0].frames]
    assert places == [
        ("f0()", "/src/0.cpp", 10),
        ("g()", "/g.cpp", 5),
        ("f2()", "/h.cpp", 6),
        ("f3()", None, None),
        (None, "/src/4.cpp", 14),
    ]
    assert attached.stacks_from_gdb


def test_a_function_alone_is_better_than_nothing() -> None:
    frame = own(0, 0x10, function=None, file=None, line=None)
    attached = attach(report_of(frame), answer(read(0x10, function="g()")), unwound=True)
    assert attached.report.threads[0].frames[0].function == "g()"
    assert attached.stacks_from_gdb


def test_whose_code_it_is_is_decided_again_with_the_file() -> None:
    frame = own(0, 0x10, function=None, file=None, line=None)
    theirs = read(0x10, function="std::g()", file="/usr/include/c++/12/g.h", line=5)
    (got,) = attach(report_of(frame), answer(theirs), unwound=True).report.threads[0].frames
    assert not got.in_app


def test_nothing_is_gdbs_as_long_as_the_names_are_ours() -> None:
    theirs = read(0x10, function="other()", line=1), read(0x20), read(0x30)
    assert not attach(report_of(*OURS), answer(*theirs), unwound=True).stacks_from_gdb
    # nor if only another thread has names of gdb's
    nameless = own(0, 0x50, function=None, line=None)
    other = thread(nameless, number=2, lwp=OTHER, crashed=False)
    document = Document(
        threads=(ReadThread(lwp=OTHER, frames=(read(0x50, function="g()", line=3),)),)
    )
    attached = attach(Report(threads=(other, thread(*OURS))), document, unwound=True)
    assert attached.report.threads[0].frames[0].function == "g()"
    assert not attached.stacks_from_gdb


# -- machines that we cannot unwind


def test_a_longer_stack_of_gdb_is_taken_where_we_cannot_unwind() -> None:
    known = own(0, 0x10, offset=Address(0x10), build_id="ab12", line=None, trust="context")
    report = Report(threads=(thread(known, ended="cannot be unwound", omitted=3),))
    theirs = (
        read(0x10, "a", function="g()", line=7),
        read(0x18, kind="tailcall"),
        read(0x20, "b", function="main", file="/main.cpp", line=8),
    )
    attached = attach(report, answer(*theirs, ended="Backtrace stopped"), unwound=False)
    (merged,) = attached.report.threads
    first, second = merged.frames
    assert (first.level, first.function, first.file, first.line) == (0, "g()", "/src/0.cpp", 7)
    assert (first.module, first.build_id, first.offset) == (MODULE, "ab12", 0x10)
    assert first.in_app
    assert (second.level, second.pc, second.function) == (1, 0x20, "main")
    assert {f.trust for f in merged.frames} == {"gdb"}
    assert (merged.ended, merged.folds, merged.omitted) == ("Backtrace stopped", (), 0)
    assert locals_of(attached.report) == ["a", "b"]
    assert attached.stacks_from_gdb
    assert attached.differing == ()


def test_a_stack_that_is_no_longer_than_ours_is_not_taken() -> None:
    attached = attach(report_of(own(0, 0x10)), answer(read(0x10, "a")), unwound=False)
    (frame,) = attached.report.threads[0].frames
    assert (frame.trust, attached.stacks_from_gdb) == ("cfi", False)
    assert locals_of(attached.report) == ["a"]


# ---------------------------------------------------------------- any stacks

PCS = st.integers(0x10, 0x14)
KINDS = st.sampled_from(["normal", "inline", "tailcall", "signal", "unknown"])
READ = st.builds(
    lambda pc, kind: read(pc, f"v{pc:x}", kind=kind, function="g()", line=1), PCS, KINDS
)
ANSWERS = st.builds(
    lambda frames, more: answer(*frames, more=more), st.lists(READ, max_size=8), st.booleans()
)
STACKS = st.lists(st.tuples(PCS, st.sampled_from(["normal", "inline", "signal"])), max_size=8)


@given(STACKS, ANSWERS, st.booleans())
def test_values_never_get_to_a_frame_with_another_program_counter(
    stack: list[tuple[int, str]], document: Document, unwound: bool
) -> None:
    frames = [own(level, pc, kind=kind) for level, (pc, kind) in enumerate(stack)]
    frames = [
        f if f.kind != "inline" else msgspec.structs.replace(f, pc=g.pc)
        for f, g in zip(frames, [*frames[1:], *frames[:1]], strict=True)
    ]
    report = report_of(*frames)
    attached = attach(report, document, unwound=unwound)
    (merged,) = attached.report.threads
    for frame in merged.frames:
        if frame.kind != "inline":
            assert [v.name for v in frame.locals] in ([], [f"v{frame.pc or 0:x}"])
    if unwound:
        assert [(f.level, f.pc, f.function) for f in merged.frames] == [
            (f.level, f.pc, f.function) for f in frames
        ]
    both = with_gdb_stacks(attached.report, document)
    if unwound:
        assert bool(both.soft_errors) == bool(attached.differing)
        assert bool(both.threads[0].gdb_frames) == bool(attached.differing)


@settings(max_examples=40)
@given(REPORTS, ANSWERS, st.sampled_from(["crash", "all", "none"]), st.booleans())
def test_any_report_can_be_asked_about(
    report: Report, document: Document, which: str, unwound: bool
) -> None:
    made = request_for(report, which, unwound=unwound)
    assert (made is None) == (
        which == "none" or report.crashed is None or report.crashed.lwp is None
    )
    lwps = [t.lwp for t in report.threads if t.lwp]
    document = Document(
        threads=tuple(msgspec.structs.replace(document.threads[0], lwp=n) for n in lwps)
    )
    attached = attach(report, document, unwound=unwound)
    assert len(attached.report.threads) == len(report.threads)
    assert set(attached.differing) <= set(lwps)
    assert len(with_gdb_stacks(attached.report, document).threads) == len(report.threads)
