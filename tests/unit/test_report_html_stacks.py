"""Stacks, variables and threads of the HTML report: what stands in a row, and what unfolds."""

import msgspec

from evdiag.model.report import (
    DeadlockMember,
    Fold,
    Frame,
    Provenance,
    Report,
    Thread,
    Variable,
    Verdict,
)
from evdiag.report.html import stacks
from tests.support import samples
from tests.support.html_page import has, section
from tests.support.sample_threads import app, crashed, system, var


def only(frame: Frame) -> stacks.Row:
    """The frame as a row of a stack."""
    (row,) = stacks.stack([frame])
    return row


# ---------------------------------------------------------------- stacks


def test_a_row_of_a_stack() -> None:
    row = only(app(3, "module::f(int)", "/src/a/b.cpp", 4, args=(var("x", "int", "1"),)))
    assert (row.level, row.name, row.folder, row.file) == (
        3,
        "module::f(x=1)",
        "/src/a/",
        "b.cpp:4",
    )
    assert row.module == "EvseManager"
    assert row.in_app
    assert row.facts == ()
    assert [(each.name, each.text) for each in row.values.shown] == [("x", "1")]
    assert row.has_more


def test_a_row_of_a_frame_without_a_file() -> None:
    row = only(system(0, None))
    assert (row.name, row.folder, row.file, row.module) == ("??", "", "libc.so.6+0x89000", "")
    assert not row.has_more
    assert only(Frame(level=0, file="a.c")).folder == ""


def test_a_long_name_is_whole_in_what_unfolds() -> None:
    name = f"scope::{'inner_' * 30}::function(int)"
    row = only(Frame(level=0, kind="inline", function=name))
    assert row.tag == "inlined"
    assert len(row.name) <= stacks.LONGEST_NAME
    assert row.facts == (("function", name),)


def test_a_frame_of_the_crashed_thread_tells_its_addresses() -> None:
    frames = (app(0, "f", None), Frame(level=1, module="/lib/x.so", trust="frame_pointer"))
    rows = stacks.stack(frames, whole=True)
    assert dict(rows[0].facts) == {
        "address": "0x55d01c401000",
        "module": f"{frames[0].module}+0x1000",
        "build-id": frames[0].build_id,
        "found by": "context",
    }
    assert rows[1].facts == (("module", "/lib/x.so"), ("found by", "frame pointer"))


def test_alarms_are_for_the_application_alone() -> None:
    null = (var("p", "int *", "0x0"),)
    assert only(app(0, "f", None, args=null)).values.shown[0].wrong == "null"
    assert only(system(0, "f", args=null)).values.shown[0].wrong == ""
    frame = system(0, "f", args=null)
    (row,) = stacks.stack([frame], see=frame)
    assert row.seen
    assert row.values.shown[0].wrong == "null"


def test_long_values_open_on_a_click() -> None:
    text = "x" * (stacks.LONGEST_VALUE + 1)
    variables = (Variable(name="a", value=text, problem="cut"), Variable(name="b", problem="gone"))
    first, second = stacks.values_of(variables).shown
    assert (len(first.text), first.rest) == (120, text)
    assert (second.text, second.rest, second.problem) == ("", "", "gone")
    found = section(crashed(app(0, "f", None, args=variables)), "threads")
    assert "long" in found.values("class")
    assert text in found.text


def test_too_many_variables() -> None:
    many = tuple(var(f"v{n}", "int", "1") for n in range(stacks.MOST_VALUES + 7))
    found = stacks.values_of(many)
    assert (len(found.shown), found.hidden, found.lost) == (100, "7 more variables", "")
    words = section(crashed(app(0, "f", None, locals=many)), "threads").words()
    assert "… 7 more variables in the JSON report" in words


# ---------------------------------------------------------------- threads


def test_threads_with_one_stack_are_one_group() -> None:
    found = section(samples.null_write(), "threads")
    words = found.words()
    assert "The crashed one first, then 13 other threads in 7 stacks." in words
    assert "Crashed thread #7 message worker (LWP 4127) 11 frames" in words
    assert "4 threads #2 #3 #5 #6 (worker), waiting, all in module::ThreadPool::work()" in words
    assert "#3 worker (LWP 4123), waiting" in words
    assert words.count("module::ThreadPool::work()") == 2  # in the title and once as a frame
    assert {"thread-2", "thread-3", "thread-5", "thread-6"} <= set(found.ids)
    assert "#14 (LWP 4134) the stack ends here: the stack memory is not in the core" in words
    assert found.values("open") == [""]


def test_recursion_is_folded() -> None:
    words = section(samples.overflow(), "threads").words()
    assert "… these 3 frames 26,180 times" in words
    assert "78541 station::check(station::Tree const&)" in words


def test_the_stack_as_gdb_sees_it() -> None:
    words = section(samples.values(), "threads").words()
    assert "The same stack as gdb sees it (gdb 13.1)" in words
    assert words.count("chain::update(charging::MeterReading const&)") == 1


def test_threads_of_one_stack_have_values_of_their_own() -> None:
    def worker(number: int, value: str) -> Thread:
        frame = app(0, "work()", "/src/w.cpp", 1, args=(var("job", "int", value),))
        return Thread(number=number, lwp=number, group=1, frames=(frame, system(1, "start")))

    bare = Thread(number=4, group=1, frames=(app(0, "work()", "/src/w.cpp", 1),))
    report = Report(threads=(worker(2, "5"), worker(3, "6"), bare))
    (group,) = stacks.groups(report, "")
    assert [who for who, _ in group.values] == ["#3 (LWP 3)"]
    words = section(report, "threads").words()
    assert "No thread is known to have crashed." in words
    assert "Values of #3 (LWP 3) 0 work(job=6)" in words
    many = tuple(worker(n, "1") for n in range(stacks.MOST_MEMBERS + 9))
    (group,) = stacks.groups(Report(threads=many), "")
    assert len(group.values) == stacks.MOST_MEMBERS


def test_the_threads_of_a_deadlock_are_open() -> None:
    circle = (DeadlockMember(thread=2, lwp=2),)
    threads = (Thread(number=2, lwp=2), Thread(number=3, lwp=3, frames=(system(0, "f"),)))
    report = Report(threads=threads, deadlock=circle)
    groups = stacks.groups(report, "r1-")
    assert [(group.anchor, group.is_open) for group in groups] == [
        ("r1-thread-2", True),
        ("r1-thread-3", False),
    ]


def test_the_thread_that_took_the_signal_of_a_deadlock_has_no_frame_to_look_at() -> None:
    thread = Thread(number=1, lwp=1, crashed=True, frames=(app(0, "f", None),))
    report = Report(threads=(thread,), deadlock=(DeadlockMember(lwp=1),))
    assert [row.seen for row in stacks.groups(report, "")[0].rows] == [True]
    blocked = msgspec.structs.replace(report, verdict=Verdict(cls="deadlock"))
    assert [row.seen for row in stacks.groups(blocked, "")[0].rows] == [False]


def test_endless_stacks_are_cut() -> None:
    frames = tuple(system(level, "f") for level in range(stacks.LONGEST_STACK + 9))
    threads = (Thread(number=1, crashed=True, frames=frames), Thread(number=2, frames=frames))
    first, second = stacks.groups(Report(threads=threads), "")
    assert len(first.rows) == stacks.LONGEST_STACK
    assert len(second.rows) == stacks.MOST_OF_OTHERS
    assert any(row.mark.endswith("lines left out") for row in second.rows)


def test_many_threads_have_shorter_stacks() -> None:
    assert stacks.most_rows(0) == stacks.most_rows(100) == stacks.MOST_OF_OTHERS
    assert stacks.most_rows(250) == 80
    assert stacks.most_rows(100_000) == stacks.FEWEST


def test_a_report_without_a_core_has_no_threads() -> None:
    assert not has(Report(provenance=Provenance(rung="logs")), "threads")
    assert has(Report(provenance=Provenance(rung="native")), "threads")
    alone = section(crashed(Frame(level=0)), "threads").words()
    assert "The crashed one first" not in alone
    stackless = section(Report(threads=(Thread(number=1, crashed=True),)), "threads").words()
    assert stackless == "1 thread Crashed thread #1 0 frames It has no stack."


def test_a_fold_of_one_frame() -> None:
    thread = Thread(
        number=1, crashed=True, frames=(system(0, "f"),), folds=(Fold(level=0, period=1, count=9),)
    )
    found = section(Report(threads=(thread,)), "threads")
    assert "mark" in found.values("class")
    assert "… this frame 9 times" in found.text
