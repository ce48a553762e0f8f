"""The terminal report: the answer on the first screen, no line too long, nothing obeyed."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from rich.cells import cell_len

from evdiag.model.report import (
    Address,
    DeadlockMember,
    Frame,
    Instruction,
    LogExcerpt,
    Module,
    Report,
    Signature,
    SoftError,
    SourceLine,
    Thread,
    TimelineEvent,
    Verdict,
    WaitsFor,
)
from evdiag.report.lines import NARROWEST, Line, fixed, frame_lines, plain, prose, source_lines
from evdiag.report.screen import SCREEN, first_screen, top_rows
from evdiag.report.terminal import paint, render
from evdiag.report.words import Mark
from tests.support import samples, snapshots
from tests.support.random_nouns import REPORTS
from tests.support.sample_threads import app

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def crashed(*frames: Frame, **more: object) -> Report:
    thread = Thread(number=1, crashed=True, frames=frames)
    return Report(threads=(thread,), **more)  # type: ignore[arg-type]


# ---------------------------------------------------------------- whole reports


@pytest.mark.parametrize("width", [80, 160])
@pytest.mark.parametrize("name", samples.ALL)
def test_whole_reports(name: str, width: int) -> None:
    snapshots.check(f"{name}-{width}.txt", render(samples.ALL[name](), width=width))


def test_a_whole_report_in_colour() -> None:
    text = render(samples.null_write(), width=80, colour=True)
    snapshots.check("null_write-colour.txt", text.replace("\x1b", "␛"))


@pytest.mark.parametrize("name", samples.ALL)
def test_colour_changes_nothing_but_colour(name: str) -> None:
    coloured = ANSI.sub("", render(samples.ALL[name](), colour=True))
    unpadded = "\n".join(line.rstrip() for line in coloured.split("\n"))
    plain_text = render(samples.ALL[name]())
    assert unpadded == plain_text
    assert "\x1b" not in plain_text


@pytest.mark.parametrize("width", [1, NARROWEST, 57, 80, 99, 160, 400])
@pytest.mark.parametrize("name", samples.ALL)
def test_no_line_is_longer_than_the_terminal(name: str, width: int) -> None:
    lines = render(samples.ALL[name](), width=width).split("\n")
    assert max(map(cell_len, lines)) <= max(width, NARROWEST)
    assert lines[-1] == ""


@given(REPORTS)
@settings(max_examples=30)
def test_no_report_at_all_is_too_wide_or_obeyed(report: Report) -> None:
    text = render(report, width=60)
    assert "\x1b" not in text
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(map(cell_len, text.split("\n"))) <= 60


def test_the_terminal_obeys_nothing_of_a_hostile_report() -> None:
    text = render(samples.hostile(), colour=True)
    rest = ANSI.sub("", text)
    assert "\x1b" not in rest
    assert "[red]markup[/red]" in rest  # Rich did not take it for markup
    assert r"\x1b]0;owned\x07" in rest


# ---------------------------------------------------------------- the first screen


@pytest.mark.parametrize("name", ["null_write", "values", "overflow", "abort", "empty"])
def test_the_first_screen_fits(name: str) -> None:
    text = paint(first_screen(samples.ALL[name](), 80), 80, colour=False)
    assert len(text.splitlines()) <= SCREEN - 1  # the last line is for the prompt


def test_the_first_screen_has_the_answer() -> None:
    text = paint(first_screen(samples.null_write(), 80), 80, colour=False)
    for answer in (
        "evse_manager_1 (EvseManager)",
        "null-write",
        "wrote 4 bytes through a null pointer",
        "rax = 0x0",
        "Charger.cpp:431 in module::Charger::set_state",
        "→ 431      connector->state = state;",
        "→  0  module::Charger::set_state(…) inlined",
        "this process died first; taken down with it: ocpp, api",
        "--sysroot DIR",
        "Look at where `connector` at Charger.cpp:431 comes from",
    ):
        assert answer in text


def test_the_answer_is_repeated_where_a_long_report_ends() -> None:
    lines = render(samples.null_write()).splitlines()
    assert lines[-1] == " null-write   module::Charger::set_state(…) at Charger.cpp:431"
    stackless = Report(
        verdict=Verdict(summary="Nobody knows."),
        registers={f"r{n}": Address(n) for n in range(99)},
    )
    assert render(stackless).splitlines()[-1] == " unknown   Nobody knows."
    assert render(Report()).count("unknown   ") == 1


ROWS = [Frame(level=level, module="/lib/libc.so.6") for level in range(30)]


def texts(rows: list[Frame | Mark]) -> list[int | str]:
    return [row.text if isinstance(row, Mark) else row.level for row in rows]


def test_the_top_of_a_deep_stack() -> None:
    assert texts(top_rows(ROWS[:9], ROWS[0], 8)) == list(range(9))
    assert texts(top_rows(ROWS, ROWS[2], 8)) == [*range(8), "… 22 more frames below"]
    assert texts(top_rows(ROWS, None, 8)) == [*range(8), "… 22 more frames below"]


def test_a_frame_deep_below_abort_is_on_the_first_screen() -> None:
    assert texts(top_rows(ROWS, ROWS[12], 8)) == [
        0,
        "… 10 frames in libc.so.6",
        *range(11, 17),
        "… 13 more frames below",
    ]
    bare = [Frame(level=level) for level in range(10)]
    assert texts(top_rows(bare, bare[9], 8)) == [0, "… 7 frames", 8, 9]


def test_marks_below_the_first_screen_are_no_frames() -> None:
    rows: list[Frame | Mark] = [*ROWS[:8], Mark("a"), Mark("b")]
    assert texts(top_rows(rows, None, 8)) == list(range(8))


def test_doubts_are_said_and_certainty_is_not() -> None:
    doubtful = Report(verdict=Verdict(confidence="low"))
    assert "confidence: low" in render(doubtful)
    assert "confidence" not in render(Report(verdict=Verdict(confidence="high")))


def test_what_is_too_much_for_the_first_screen_is_below() -> None:
    text = render(samples.abort())
    first, below = text.split("All facts")
    assert "… 2 more facts below" in first
    assert "fact 7" not in first
    assert "fact 7" in below
    assert "… 2 more below" in first
    assert "step 5" in below


def test_problems_with_a_remedy_come_first() -> None:
    errors = (
        *(SoftError(stage="s", message=f"note {n}") for n in range(3)),
        SoftError(stage="s", message="last", hint="do this"),
    )
    lines = render(Report(soft_errors=errors)).splitlines()
    assert "! last. do this" in lines[: lines.index("Notes")]
    assert "  … 2 more notes below" in lines
    assert lines[lines.index("Notes") + 4] == "! last. do this"


def test_source_lines_without_a_file_are_shown() -> None:
    line = SourceLine(number=3, text="x();", current=True)
    text = render(crashed(Frame(level=0, function="f", pc=Address(1), source=(line,))))
    assert "0x1 in f\n  → 3  x();" in text


def test_a_thread_without_frames_is_named() -> None:
    text = render(Report(threads=(Thread(number=1, lwp=7, crashed=True),)))
    assert "Crashed thread #1 (LWP 7) has no stack." in text


def test_a_snapshot_is_no_alarm() -> None:
    quiet = render(Report(verdict=Verdict(cls="snapshot")), colour=True)
    loud = render(Report(verdict=Verdict(cls="null-read")), colour=True)
    assert "\x1b[1;7m snapshot " in quiet
    assert "\x1b[1;37;41m null-read " in loud


# ---------------------------------------------------------------- the details


def test_a_long_stack_is_shown_whole_below() -> None:
    frames = tuple(app(level, f"f{level}()", None) for level in range(40))
    text = render(crashed(*frames))
    assert "Whole stack: crashed thread #1\n→  0  f0()" in text
    assert " 39  f39()" in text
    endless = tuple(app(level, f"f{level}()", None) for level in range(1_000))
    text = render(crashed(*endless))
    assert "… 881 lines left out" in text
    assert "999  f999()" in text


def test_equal_threads_are_shown_once() -> None:
    text = render(samples.null_write())
    assert "13 other threads in 7 stacks" in text
    assert "4 threads: #2 #3 #5 #6 (worker), waiting, all in module::ThreadPool::work()" in text
    assert text.count("module::ThreadPool::work()") == 2


def test_a_deadlock_names_its_members() -> None:
    wait = WaitsFor(address=Address(16), owner_lwp=2)
    text = render(Report(deadlock=(DeadlockMember(lwp=1, waits_for=wait), DeadlockMember(lwp=2))))
    assert "Deadlock\n  LWP 1 waits for the lock at 0x10, held by LWP 2\n  LWP 2\n" in text


def test_the_instruction_that_faulted_is_marked() -> None:
    instructions = tuple(Instruction(address=Address(n), text=f"nop {n}") for n in (1, 2))
    text = render(crashed(Frame(level=0, pc=Address(2)), disassembly=instructions))
    assert "  0x1  nop 1\n→ 0x2  nop 2" in text
    assert "  0x1  nop 1\n  0x2  nop 2" in render(Report(disassembly=instructions))


def test_modules_with_problems_come_first() -> None:
    modules = (
        Module(path="/fine.so", build_id="0123456789abcdef", symbols="full"),
        Module(path="/bad.so", symbols="missing"),
        Module(),
    )
    text = render(Report(modules=modules))
    assert re.search(r"/bad.so +missing\n +\? +\?\n +/fine.so  0123456789ab  full", text)


def test_the_address_stands_in_for_a_missing_signature() -> None:
    assert "signature  ab+0x1" in render(Report(signature=Signature(address="ab+0x1")))
    assert "signature" not in render(Report(signature=Signature()))


def test_a_log_without_lines_is_not_announced() -> None:
    report = msgspec.structs.replace(
        samples.empty(), logs=(LogExcerpt(source="quiet"),), timeline=(TimelineEvent(),)
    )
    text = render(report)
    assert "quiet" not in text
    assert "The last events" in text


# ---------------------------------------------------------------- lines


def test_prose_hangs_below_its_prefix() -> None:
    text = paint([prose("aaa bbb ccc", prefix="  · ")], 9, colour=False)
    assert text == "  · aaa\n    bbb\n    ccc\n"


def test_a_fixed_line_is_cut_and_a_long_word_is_broken() -> None:
    assert paint([fixed(("x" * 50, ""))], 10, colour=False) == f"{'x' * 9}…\n"
    assert paint([prose("x" * 15)], 10, colour=False) == f"{'x' * 10}\n{'x' * 5}\n"


def test_wide_characters_count_twice() -> None:
    assert paint([fixed(("名" * 8, ""))], 10, colour=False) == "名名名名 …\n"
    assert paint([fixed(("名" * 5, ""))], 10, colour=False) == "名名名名名\n"


def test_an_endless_prefix_leaves_room_for_the_text() -> None:
    text = paint([Line((("p" * 50, ""),), (("text", ""),))], 20, colour=False)
    assert text == "ppppppppp…text\n"


def test_frames_stand_in_columns() -> None:
    rows: list[Frame | Mark] = [
        Frame(level=9, function="f()", file="/a.cpp", line=1, in_app=True),
        Mark("… mark"),
        Frame(level=10, function="longer()", module="/lib/x.so"),
        Frame(level=11),
    ]
    assert plain(frame_lines(rows, 80)) == [
        "   9  f()       a.cpp:1",
        "      … mark",
        "  10  longer()  x.so",
        "  11  ??",
    ]
    assert plain(frame_lines([], 80)) == []
    assert plain(frame_lines([Mark("alone")], 80, indent=2)) == ["       alone"]


def test_source_around_the_current_line() -> None:
    source = [SourceLine(number=n, text=f"line {n} ", current=n == 10) for n in range(1, 20)]
    assert plain(source_lines(source, 1)) == [
        "     9  line 9",
        "  → 10  line 10",
        "    11  line 11",
    ]
    assert plain(source_lines(source[:5], 1)) == ["    1  line 1", "    2  line 2"]
    assert source_lines([], 2) == []
