"""gdb's answer made ours: readable names, inlined calls that only gdb knows, symbols in code."""

from evdiag.analyze.demangled import readable
from evdiag.analyze.values import attach, request_for
from evdiag.model.report import (
    Address,
    Fold,
    Frame,
    Instruction,
    Module,
    Report,
    SoftError,
    Thread,
    Verdict,
)
from evdiag.model.values import Document, ReadFrame, ReadThread, ReadVariable

LWP = 7


def upper(name: str) -> str:
    """Stands for the demangler."""
    return f"[{name[2:].upper()}]"


def document(*frames: ReadFrame, **more: object) -> Document:
    return Document(threads=(ReadThread(lwp=LWP, frames=frames),), **more)  # type: ignore[arg-type]


def report_of(*frames: Frame, **more: object) -> Report:
    thread = Thread(number=1, lwp=LWP, crashed=True, frames=frames)
    return Report(threads=(thread,), **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------- readable names


def test_mangled_names_become_readable_wherever_they_stand() -> None:
    frame = ReadFrame(
        pc=1,
        function="_Zf",
        args=(ReadVariable("_Za", "void (*)(_Zt)", "0x1 <_Zabc+8>, <_Z>, x_Zno, $_Zno"),),
        locals=(ReadVariable("n", None, None, "_Zp"),),
    )
    made = readable(document(frame, instructions=((5, "call 0x1 <_Zg>"),)), upper, 100)

    (found,) = made.threads[0].frames
    assert found.function == "_Zf"  # too short to be a name
    assert found.args == (
        ReadVariable("_Za", "void (*)(_Zt)", "0x1 <[ABC]+8>, <_Z>, x_Zno, $_Zno"),
    )
    assert found.locals == frame.locals
    assert made.instructions == ((5, "call 0x1 <_Zg>"),)
    assert made.cut == 0


def test_types_and_functions_are_made_readable_too() -> None:
    frame = ReadFrame(pc=1, function="_Z3foov", args=(ReadVariable("a", "_Z1Tv", "1"),))
    made = readable(document(frame, instructions=((5, "jmp 0x1 <_Z3foov+4>"),)), upper, 100)

    assert made.threads[0].frames[0].function == "[3FOOV]"
    assert made.threads[0].frames[0].args[0].type == "[1TV]"
    assert made.instructions == ((5, "jmp 0x1 <[3FOOV]+4>"),)


def test_values_are_cut_once_their_names_are_readable() -> None:
    frame = ReadFrame(
        pc=1,
        args=(ReadVariable("a", "T", "x" * 10), ReadVariable("b", "T", "x" * 11)),
        locals=(ReadVariable("c", "T", "<_Z9long_name>"),),
    )
    made = readable(document(frame), lambda name: name * 3, 10)

    a, b = made.threads[0].frames[0].args
    assert (a.value, a.problem) == ("x" * 10, None)
    assert (b.value, b.problem) == ("x" * 10, "cut after 10 characters")
    assert made.threads[0].frames[0].locals[0].value == "<_Z9long_n"
    assert made.cut == 2


# ---------------------------------------------------------------- inlined calls of gdb's alone

AROUND = Frame(level=1, pc=Address(0x20), function="bill()", module="/m", in_app=True)
OUTER = Frame(level=2, pc=Address(0x30), function="main", file="/m.cpp", line=3, in_app=True)
TOP = Frame(level=0, pc=Address(0x10), function="store()", file="/s.cpp", line=9, in_app=True)
THEIRS = (
    ReadFrame(pc=0x10, function="store"),
    ReadFrame(pc=0x20, kind="inline", function="inner", file="/i.cpp", line=1),
    ReadFrame(pc=0x20, kind="inline", function="middle", file="/i.cpp", line=2),
    ReadFrame(pc=0x20, function="bill", file="/b.cpp", line=12),
    ReadFrame(pc=0x30, function="main"),
)


def test_inlined_calls_of_a_frame_without_a_line_are_gdbs() -> None:
    report = report_of(TOP, AROUND, OUTER, verdict=Verdict(frame=2))
    attached = attach(report, document(*THEIRS), unwound=True)

    frames = attached.report.threads[0].frames
    assert [(f.level, f.function, f.kind, f.line) for f in frames] == [
        (0, "store()", "normal", 9),
        (1, "inner", "inline", 1),
        (2, "middle", "inline", 2),
        (3, "bill()", "normal", 12),
        (4, "main", "normal", 3),
    ]
    assert [f.trust for f in frames[1:3]] == ["gdb", "gdb"]
    assert {f.module for f in frames[1:4]} == {"/m"}
    assert attached.stacks_from_gdb
    assert attached.report.verdict.frame == 0
    assert [e.message for e in attached.report.soft_errors] == [
        "functions or lines of 1 frames are gdb's"
    ]


def test_levels_of_a_folded_stack_are_not_counted_anew() -> None:
    fold = Fold(level=0, period=1, count=9)
    thread = Thread(number=1, lwp=LWP, crashed=True, frames=(TOP, AROUND, OUTER), folds=(fold,))
    attached = attach(Report(threads=(thread,)), document(*THEIRS), unwound=True)

    assert [f.function for f in attached.report.threads[0].frames] == ["store()", "bill()", "main"]


def test_a_nameless_frame_of_gdb_is_none() -> None:
    frames = (ReadFrame(pc=0x20, kind="inline"), ReadFrame(pc=0x20))
    attached = attach(report_of(AROUND), document(*frames), unwound=True)

    assert attached.report.threads[0].frames == (AROUND,)
    assert not attached.stacks_from_gdb


def test_a_caller_of_nothing_is_no_frame() -> None:
    attached = attach(report_of(TOP), document(THEIRS[0], ReadFrame(pc=0)), unwound=True)
    assert attached.differing == ()


def test_what_was_said_of_the_machine_is_not_true_any_more() -> None:
    error = SoftError(stage="unwind", message="stacks of arm are not unwound")
    report = report_of(TOP, soft_errors=(error,), modules=(Module(path="/m", base=Address(0)),))
    attached = attach(report, document(*THEIRS), unwound=False)

    assert [f.function for f in attached.report.threads[0].frames][-1] == "main"
    assert [e.stage for e in attached.report.soft_errors] == ["symbols"]


# ---------------------------------------------------------------- symbols in instructions


def test_instructions_say_what_gdb_knows_of_their_addresses() -> None:
    code = tuple(
        Instruction(address=Address(at), text=text)
        for at, text in ((1, "call 0x50"), (6, "jmp 0x60 <known>"), (8, "ret"), (9, "nop"))
    )
    report = report_of(TOP, disassembly=code)
    lines = ((1, "call 0x50 <abort@plt>"), (6, "jmp 0x60 <known>"), (8, "ret"), (77, "x <y>"))
    made = attach(report, document(THEIRS[0], instructions=lines), unwound=True).report

    assert [line.text for line in made.disassembly] == [
        "call 0x50  <abort@plt>",
        "jmp 0x60 <known>",
        "ret",
        "nop",
    ]


def test_instructions_are_asked_for_from_the_first_to_the_last() -> None:
    code = tuple(Instruction(address=Address(at), text="nop") for at in (1, 6, 8))
    request = request_for(report_of(TOP, disassembly=code), "crash", unwound=True)
    assert request is not None
    assert request.instructions == (1, 8)
    request = request_for(report_of(TOP), "crash", unwound=True)
    assert request is not None
    assert request.instructions is None
