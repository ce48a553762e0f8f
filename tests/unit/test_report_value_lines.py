"""Values of variables as lines of a report, on terminals and in Markdown."""

import re

import msgspec
import pytest
from hypothesis import given, settings
from rich.cells import cell_len

from evdiag.model.report import (
    Address,
    Frame,
    Provenance,
    Report,
    SoftError,
    Thread,
    Variable,
    Verdict,
)
from evdiag.report import markdown, value_lines, values
from evdiag.report.json import decode
from evdiag.report.json import render as as_json
from evdiag.report.lines import plain
from evdiag.report.neutral import LONGEST_TEXT, neutralise
from evdiag.report.screen import SCREEN, first_screen, rows_that_fit
from evdiag.report.terminal import paint, render, render_first, render_rest
from evdiag.report.value_lines import Look, variable_lines
from tests.support import samples, snapshots
from tests.support.random_nouns import REPORTS
from tests.support.sample_threads import LOST, STRING, app, crashed, line, system, var

# ---------------------------------------------------------------- variables as lines


def texts(variables: list[Variable], width: int, look: Look | None = None) -> list[str]:
    return plain(variable_lines(variables, width, look or Look(rows=4)))


def test_what_is_wrong_stands_behind_the_value() -> None:
    variables = [
        var("session", "X *", "0x0"),
        var("*session", "X", problem="Cannot access memory at address 0x0"),
        var("n", "int", "1", problem="cut after 1 character"),
        var("empty", "int", ""),
        var("lost", "int", LOST),
    ]
    assert texts(variables, 80) == [
        "session  = 0x0  ← null",
        "*session = (Cannot access memory at address 0x0)",
        "n        = 1  (cut after 1 character)",
        "empty    =",
        "lost     = <optimized out>",
    ]
    styles = [[style for _, style in line.body] for line in variable_lines(variables, 80, Look())]
    assert styles[0] == ["dim", "", "dim", "bold red", "bold magenta"]
    assert styles[1] == ["dim", "", "dim", "bold magenta"]
    assert styles[4] == ["dim", "", "dim", "dim"]
    quiet = variable_lines(variables[:1], 80, Look(quiet=True))
    assert plain(quiet) == ["session = 0x0"]
    assert {style for _, style in quiet[0].body} == {"dim"}


def test_long_values_take_a_few_rows() -> None:
    struct = "{" + ", ".join(f"member_{n} = {n}" for n in range(40)) + "}"
    rows = texts([var("s", "S", struct)], 60)
    assert len(rows) == 4
    assert rows[0].startswith("s = {member_0 = 0, member_1 = 1,")
    assert all(row.startswith("    member") or row[4:5].strip() for row in rows[1:])
    assert rows[3].endswith(" …")
    assert max(map(len, rows)) <= 60
    assert texts([var("s", "S", struct)], 60, Look()) == [f"s = {struct[:55]}…"]
    assert texts([var("s", "S", struct[:80])], 60)[1].endswith(struct[70:80].split()[-1])
    assert len(texts([var("s", "S", "x" * 9_000)], 60)) == 4
    assert texts([var("s", "S", " " * 200)], 40) == ["s =  …"]


def test_what_is_wrong_is_never_cut_away() -> None:
    long = "0x18 <" + "f" * 60 + ">"
    one = texts([var("p", "X *", long)], 60, Look())
    assert one == [f"p = {long[:40]}…  ← almost null"]
    two = texts([var("p", "X *", long[:50])], 60)
    assert two == [f"p = {long[:50]}", "    ← almost null"]
    cut = texts([var("p", "X *", "{" * 500, problem="cut after 500 characters")], 60)
    assert cut[-1].endswith("…  (cut after 500 characters)")
    endless = texts([var("p", "X *", None, problem="p" * 900)], 60)
    assert len(endless) == 1
    assert len(endless[0]) == 60


def test_types_only_where_there_is_room() -> None:
    variables = [
        var("a", "int", "1"),
        var("b", STRING, '"' + "x" * 30 + '"'),
        var("c", "int", "y" * 100),
        var("d", None, "2"),
    ]
    assert "int" not in "".join(texts(variables, 109))
    assert texts(variables, 120) == [
        f"a = 1{' ' * 34}int",
        f'b = "{"x" * 30}"   std::string',
        f"c = {'y' * 100}",
        "d = 2",
    ]


def test_long_names_leave_room_for_values() -> None:
    (row,) = texts([var("n" * 900, None, "12")], 80)
    assert row == f"{'n' * 8}…{'n' * 11} = 12"


def test_wide_characters_fit_into_the_rows() -> None:
    lines = variable_lines([var("名", None, "名前" * 20)], 60, Look(rows=4))
    assert "".join(plain(lines)).replace(" ", "") == f"名={'名前' * 20}"
    assert max(cell_len(text) for text in paint(lines, 60, colour=False).splitlines()) <= 60


# ---------------------------------------------------------------- frame by frame


def frame_texts(*frames: Frame, width: int = 80, see: int | None = None) -> list[str]:
    report = crashed(*frames, verdict=Verdict(frame=see))
    return plain(value_lines.of_crashed_thread(report, width))


def some(count: int, name: str = "v") -> tuple[Variable, ...]:
    return tuple(var(f"{name}{n}", "int", str(n)) for n in range(count))


def test_frames_are_folded_by_how_much_they_matter() -> None:
    frames = (
        app(0, "see()", None, locals=some(30)),
        app(1, "own()", None, args=some(1, "a"), locals=some(12)),
        system(2, "theirs()", args=some(2, "a"), locals=(*some(5), var("l", None, LOST))),
        system(3, "none()"),
    )
    rows = frame_texts(*frames)
    heads = [i for i, row in enumerate(rows) if "()" in row]
    assert [rows[i].split()[-2] for i in heads] == ["see()", "own()"]
    assert rows[0].startswith("→ 0  see()")
    assert heads == [0, 26]
    assert rows[25] == "     … 6 more variables (all of them are in --format json)"
    assert rows[27:29] == ["     a0 = 0", "     v0 = 0"]
    assert rows[35] == "     … 5 more variables (all of them are in --format json)"
    assert rows[36:] == ["  … 1 library frame (all of them are in --format json)"]


def test_library_frames_are_shown_where_there_are_no_others() -> None:
    frames = (system(0, "abort()", args=some(1)), system(1, "raise()", args=some(1, "a")))
    assert frame_texts(*frames)[1:] == [
        "     v0 = 0",
        "  1  raise()  libc.so.6",
        "     a0 = 0",
    ]


def test_no_line_says_that_one_variable_is_left_out() -> None:
    first = app(0, "see()", None)
    assert frame_texts(first, app(1, "f()", None, args=some(9)))[-1] == "     v8 = 8"
    assert "2 more variables" in frame_texts(first, app(1, "f()", None, args=some(10)))[-1]


def test_what_many_frames_refer_to_is_shown_once() -> None:
    reading = var("reading", "const Reading &", "@0x7f10: {connector = 2}")
    other = var("other", "const Reading &", "@0x7f10: {connector = 2}")
    number = var("number", "int &", "@0x7f20: 5")
    frames = (
        app(0, "f0()", None, args=(reading, other, number)),
        app(1, "f1()", None, args=(reading, number)),
        app(2, "f2()", None, args=(var("reading", "Reading &", "@0x7f10: {connector = 3}"),)),
    )
    rows = frame_texts(*frames)
    assert rows[1:4] == [
        "     reading = @0x7f10: {connector = 2}",
        "     other   = @0x7f10: {connector = 2}",
        "     number  = @0x7f20: 5",
    ]
    assert rows[5:7] == ["     reading = @0x7f10: as in frame 0", "     number  = @0x7f20: 5"]
    assert rows[8] == "     reading = @0x7f10: {connector = 3}"


def test_what_was_optimized_out_takes_little_room() -> None:
    lost = (var("a", None, LOST), var("b", None, LOST), var("a", None, LOST))
    frames = (
        app(0, "f0()", None, args=lost),
        app(1, "f1()", None, args=lost),
        app(3, "f3()", None, args=lost, locals=some(1)),
        app(4, "f4()", None, locals=lost),
    )
    assert frame_texts(*frames) == [
        "     … frames 0 to 1: optimized out",
        "  3  f3()  EvseManager",
        "     v0 = 0",
        "     optimized out: a, b",
        "     … frame 4: optimized out",
    ]


def test_a_thread_of_many_frames_is_cut_and_the_frame_to_see_stays() -> None:
    frames = tuple(app(n, f"f{n}()", None, args=some(1)) for n in range(90))
    rows = frame_texts(*frames, see=70)
    assert len([row for row in rows if "()" in row]) == value_lines.MOST_FRAMES
    assert rows[-3].startswith("→ 70  f70()")
    assert rows[-1] == "      … 50 more frames (all of them are in --format json)"
    assert "f38()" in rows[-5]
    assert "→" not in "".join(frame_texts(*frames, see=70)[:-3])


def test_without_values_there_is_no_section() -> None:
    assert frame_texts(app(0, "f()", None)) == []
    assert value_lines.of_crashed_thread(Report(), 80) == []
    assert value_lines.of_other_threads(samples.null_write(), 80) == []
    text = render(samples.null_write()) + markdown.render(samples.null_write())
    assert "Values" not in text
    assert "gdb sees" not in text


def test_the_title_names_the_gdb() -> None:
    frame = app(0, "f()", None, args=some(1))
    for gdb, title in (
        ("13.1", "Values of the crashed thread (gdb 13.1)"),
        ("GNU gdb 16", "Values of the crashed thread (GNU gdb 16)"),
        (None, "Values of the crashed thread"),
    ):
        text = render(crashed(frame, provenance=Provenance(gdb=gdb)))
        assert title in text.splitlines()


def test_values_of_other_threads() -> None:
    def thread(number: int, *frames: Frame) -> Thread:
        return Thread(number=number, lwp=100 + number, frames=frames)

    own, theirs = app(1, "work()", None, args=some(1)), system(0, "wait()", args=some(1))
    threads = tuple(thread(number, theirs, own) for number in range(2, 12))
    report = Report(threads=(Thread(number=1, crashed=True), thread(99, theirs), *threads))
    rows = plain(value_lines.of_other_threads(report, 80))
    assert rows[:3] == ["  #2 (LWP 102)", "    1  work()  EvseManager", "       v0 = 0"]
    assert "#99" not in "".join(rows)
    assert rows[-1] == "  … 2 more threads (all of them are in --format json)"
    assert "Values of other threads\n  #2 (LWP 102)" in render(report)
    assert "<details><summary>Values of other threads</summary>" in markdown.render(report)


# ---------------------------------------------------------------- the stack as gdb sees it


def test_the_stack_of_gdb_is_shown_where_it_differs() -> None:
    report = samples.values()
    title = "The stack of thread #1 message worker (LWP 4127) as gdb sees it"
    below = render(report).partition(f"{title}\n")[2].splitlines()
    assert below[3].startswith("  6  module::run(attempt=3")
    assert below[5] == ""
    page = markdown.render(report)
    assert f"<details><summary>The stack as gdb sees it</summary>\n\n```\n{title}\n" in page


def test_values_of_the_stack_of_gdb_where_ours_has_none() -> None:
    thread = Thread(
        number=1,
        crashed=True,
        frames=(app(0, "ours()", None),),
        gdb_frames=(app(0, "theirs()", None, args=some(1)),),
    )
    rows = plain(value_lines.of_crashed_thread(Report(threads=(thread,)), 80))
    assert rows == ["  0  theirs()  EvseManager", "     v0 = 0"]


def test_not_too_many_stacks_of_gdb() -> None:
    frames = tuple(app(n, f"f{n}()", None) for n in range(90))
    threads = tuple(
        Thread(number=n, crashed=n == 7, frames=frames[:1], gdb_frames=frames) for n in range(9)
    )
    report = Report(threads=threads)
    assert [thread.number for thread in values.with_stacks_of_gdb(report)] == [7, 0, 1, 2]
    text = render(report)
    assert text.count("as gdb sees it") == 4
    assert "… 43 lines left out" in text
    assert markdown.render(report).count("as gdb sees it") == 5


# ---------------------------------------------------------------- the first screen and the rest


def test_first_and_rest_read_well() -> None:
    report = samples.values()
    text = render_first(report) + render_rest(report)
    snapshots.check("values-streamed.txt", text)
    assert "\n\n\n" not in text
    assert "\n\ncharging.hpp:29  energy_wh = value;\n  with  this  = 0x0  ← null\n" in text


def test_the_first_screen_is_the_same_before_and_after_gdb() -> None:
    report = samples.values()
    before = values.without_values(report)
    assert render_first(report) == render_first(before)
    assert render(before).startswith(render_first(report))
    assert "0x0  ← null" not in render_first(report)
    assert "book_energy(this=" not in render_first(report)


@pytest.mark.parametrize("name", samples.ALL)
def test_in_two_parts_nothing_is_lost(name: str) -> None:
    report = values.without_values(samples.ALL[name]())
    assert render_first(report) + render_rest(report) == render(report)
    for colour in (False, True):
        assert render_rest(report, 1, colour).startswith("\n")


def test_the_values_of_the_line_are_on_the_first_screen_when_they_are_there() -> None:
    report = samples.values()
    text = paint(first_screen(report, 80), 80, colour=False)
    assert len(text.splitlines()) <= SCREEN - 1
    assert "    31  };\n  with  this  = 0x0  ← null\n        value = 1250\n\nCrashed" in text
    deep = tuple(app(n, f"f{n}()", None) for n in range(1, 60))
    thread = report.threads[0]
    frames = (msgspec.structs.replace(thread.frames[0], locals=some(9)), *deep)
    full = msgspec.structs.replace(
        report, threads=(msgspec.structs.replace(thread, frames=frames),)
    )
    assert rows_that_fit(values.without_values(full), 80) - rows_that_fit(full, 80) == 2
    assert len(paint(first_screen(full, 80), 80, colour=False).splitlines()) <= SCREEN - 1


def test_news_that_the_first_screen_did_not_have() -> None:
    first = msgspec.structs.replace(
        values.without_values(samples.values()), soft_errors=(SoftError(stage="a", message="old"),)
    )
    verdict = msgspec.structs.replace(
        first.verdict, evidence=("a new fact",), advice=(*first.verdict.advice, "a new step")
    )
    report = msgspec.structs.replace(
        samples.values(),
        verdict=verdict,
        soft_errors=(*first.soft_errors, SoftError(stage="gdb", message="gdb was slow")),
    )
    rest = render_rest(report, first=first)
    news = rest.partition("\nValues of the crashed thread")[0]
    assert "  · a new fact\n" in news
    assert "\n! gdb was slow\n" in news
    assert "\nnext  a new step\n" in news
    assert "old" not in news
    assert "Find out" not in news
    same = render_rest(report, first=report)
    assert "a new fact" not in same
    assert "gdb was slow" not in same


def test_a_stack_that_the_first_screen_cut_is_whole_below() -> None:
    frames = tuple(app(n, f"f{n}(int)", None, args=some(1)) for n in range(40))
    report = crashed(*frames)
    rest = render_rest(report)
    assert "Whole stack: crashed thread #1\n→  0  f0(v0=0)" in rest
    assert "39  f39(v0=0)" in rest


@pytest.mark.parametrize(
    ("frame", "title"),
    [
        (Frame(level=0, function="f()", pc=Address(9), args=some(1)), "0x9  f()"),
        (Frame(level=0, file="/src/a.cpp", line=2, args=some(1)), "a.cpp:2  ??"),
        (Frame(level=0, source=line("  x();"), pc=Address(1), locals=some(1)), None),
        (Frame(level=0, function="f()"), None),
    ],
)
def test_the_line_of_the_crash_once_more(frame: Frame, title: str | None) -> None:
    lines = plain(value_lines.crash_values(crashed(frame), 80))
    assert lines == ([] if title is None else [title, "  with  v0 = 0"])
    assert value_lines.crash_values(Report(), 80) == []


@given(REPORTS)
@settings(max_examples=30)
def test_no_report_at_all_is_too_wide_in_parts(report: Report) -> None:
    text = render_first(report, 60) + render_rest(report, 60, first=Report())
    assert all(line.isprintable() for line in text.split("\n"))
    assert max(map(cell_len, text.split("\n"))) <= 60


# ---------------------------------------------------------------- Markdown


def test_values_give_way_step_by_step() -> None:
    report = samples.values()
    (part,) = [part for part in markdown._parts(report) if part.name == "values"]
    everything, thread, frame, nothing = map(part.write, range(len(part.ranks) + 1))
    assert everything.startswith(thread)
    assert "Values of other threads" in everything.removeprefix(thread)
    assert "operator()" in thread
    assert "value = 1250" in frame
    assert "operator()" not in frame
    assert nothing == ""


def test_values_of_the_line_stand_below_the_source() -> None:
    page = markdown.render(samples.values())
    assert "    31  };\n```\n\n```\n  with  this  = 0x0  ← null" in page
    frame = Frame(level=0, function="f()", file="/a.cpp", line=2, args=some(1), in_app=True)
    page = markdown.render(crashed(frame))
    assert "`/a.cpp:2` in `f()`\n\n```\n  with  v0 = 0   int\n```" in page


# ---------------------------------------------------------------- hostile and endless values


def giant() -> Report:
    """Thousands of variables, each of which is endless, in every frame of many threads."""
    variables = tuple(
        Variable(
            name=f"{'`' * 50}{n}", type="\x1b" * 3_000, value="{\x1b]" * 900, problem="p" * 900
        )
        for n in range(150)
    )
    frames = tuple(
        app(n, f"f{n}()", "/a.cpp", 1, args=variables[:2], locals=variables) for n in range(4)
    )
    thread = Thread(number=1, crashed=True, frames=frames, gdb_frames=frames)
    others = tuple(Thread(number=n, frames=frames[:2]) for n in range(2, 12))
    return Report(threads=(thread, *others))


def test_endless_values_are_bounded() -> None:
    report = neutralise(giant())
    for variable in report.threads[0].frames[0].locals + report.threads[0].gdb_frames[0].locals:
        for text in (variable.name, variable.type, variable.value, variable.problem):
            assert text is not None
            assert len(text) <= LONGEST_TEXT
            assert text.isprintable()
    assert len(render(report).splitlines()) < 1_500
    page = markdown.render(report)
    assert len(page.encode()) <= markdown.LIMIT
    assert "Shortened: values" in page or "Left out: values" in page


def test_json_keeps_them_all() -> None:
    report = samples.values()
    assert decode(as_json(report)) == report
    many = crashed(app(0, "f()", None, locals=some(3_000)))
    assert len(decode(as_json(many)).threads[0].frames[0].locals) == 3_000


def test_a_hostile_value_stays_text() -> None:
    text = render(samples.hostile(), 100)
    assert r"\x1b]0;owned\x07" in text.partition("Values of the crashed thread")[2]
    assert "\x1b" not in text
    assert re.search(r"… \d+ more variables", text)
