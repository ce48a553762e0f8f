"""Names, places, threads and stacks in words; and that every format is registered."""

import ast
from pathlib import Path

import msgspec
import pytest

from evdiag import report as formats
from evdiag.model.report import (
    Address,
    Assertion,
    CoreFile,
    CxxException,
    Fold,
    Frame,
    Process,
    Provenance,
    Redacted,
    Report,
    Sibling,
    Signal,
    SoftError,
    Thread,
    Tool,
    Verdict,
)
from evdiag.report import words
from evdiag.report.words import Mark
from tests.support import samples

# ---------------------------------------------------------------- the registry

OF_COMMANDS = {"checks", "loglines", "mqtt", "started", "status", "collected", "watch", "triage"}
"""What commands about the charger print; no report of a crash."""

HELPERS = {
    "__init__",
    "details",
    "family",
    "findings",
    "image",
    "lines",
    "neutral",
    "redaction",
    "sarif_results",
    "schema",
    "screen",
    "signature_steps",
    "threads",
    "timeline",
    "value_lines",
    "values",
    "words",
}


def test_every_file_of_the_folder_is_a_known_format_or_a_known_helper() -> None:
    folder = Path(formats.__file__).parent
    files = {path.stem for path in folder.glob("*.py")}
    files |= {path.parent.name for path in folder.glob("*/__init__.py")}
    assert files == set(formats.FORMATS) | HELPERS | OF_COMMANDS


def test_formats_have_what_the_protocol_asks_for() -> None:
    assert {name: listed.suffix for name, listed in formats.FORMATS.items()} == {
        "terminal": ".txt",
        "markdown": ".md",
        "html": ".html",
        "json": ".json",
        "sarif": ".sarif",
        "junit": ".xml",
        "github": ".summary.md",
    }
    for listed in formats.FORMATS.values():
        module = listed.load()
        assert listed.suffix == module.SUFFIX
        assert "/" in module.MEDIA
        text = module.render(samples.empty())
        assert text.endswith("\n")
        if listed.load_document is not None:
            assert listed.load_document() is module
            assert listed.load_document().render_many([samples.empty()]) == text


def test_rich_is_imported_by_functions_of_the_terminal_format_only() -> None:
    for path in Path(formats.__file__).parent.glob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Import | ast.ImportFrom):
                imported = node.module or "" if isinstance(node, ast.ImportFrom) else ""
                assert not imported.startswith("rich"), path


# ---------------------------------------------------------------- numbers


def test_counts_and_sizes() -> None:
    assert words.count(1, "thread") == "1 thread"
    assert words.count(26_180, "frame") == "26,180 frames"
    sizes = [0, 999, 1_000, 48_234_496, 999_000_000, 2_500_000_000, 7_000_000_000_000]
    texts = ["0 bytes", "999 bytes", "1.0 kB", "48.2 MB", "999 MB", "2.5 GB", "7000.0 GB"]
    assert [words.size(number) for number in sizes] == texts


# ---------------------------------------------------------------- frames


@pytest.mark.parametrize(
    ("frame", "name", "place"),
    [
        (Frame(level=0, function="f()", file="/src/a.cpp", line=3), "f()", "/src/a.cpp:3"),
        (Frame(level=0, function="f()", file="/src/a.cpp"), "f()", "/src/a.cpp"),
        (
            Frame(level=0, function="f()", module="/lib/libx.so", offset=Address(16)),
            "f()",
            "libx.so",
        ),
        (Frame(level=0, module="/lib/libx.so", offset=Address(16)), "??", "libx.so+0x10"),
        (Frame(level=0, module="/lib/libx.so"), "??", "libx.so"),
        (Frame(level=0, pc=Address(16)), "??", "0x10"),
        (Frame(level=0), "??", ""),
        (Frame(level=0, kind="signal", function="__restore_rt"), "<signal handler called>", ""),
    ],
)
def test_frames_are_named_as_well_as_known(frame: Frame, name: str, place: str) -> None:
    assert words.name_of(frame) == name
    assert words.place_of(frame) == place


def test_places_fit_and_do_without_directories() -> None:
    frame = Frame(level=0, file="/ext/source/modules/EvseManager.cpp", line=1207)
    assert words.place_of(frame, 30) == "…/modules/EvseManager.cpp:1207"
    assert words.place_of(frame, 30, directories=False) == "EvseManager.cpp:1207"
    library = Frame(level=0, module="/usr/lib/libstdc++.so.6.0.30", offset=Address(0x9D919))
    assert words.place_of(library) == "libstdc++.so.6.0.30+0x9d919"
    assert words.place_of(library, 26) == "libstdc++.so+0x9d919"
    program = Frame(level=0, module="/opt/everest/EvseManager", offset=Address(0x9D919))
    assert words.place_of(program, 16) == "Evs…ager+0x9d919"


def stack(*levels: int, kinds: str = "", **more: object) -> Thread:
    """A thread with frames of these levels; an `i` in `kinds` is an inlined one."""
    frames = tuple(
        Frame(level=level, kind="inline" if kinds[i : i + 1] == "i" else "normal")
        for i, level in enumerate(levels)
    )
    return Thread(number=1, frames=frames, **more)  # type: ignore[arg-type]


def rows_of(thread: Thread) -> list[int | str]:
    """The rows of its stack: levels of frames and texts of marks."""
    return [row.text if isinstance(row, Mark) else row.level for row in words.stack_rows(thread)]


def test_recursion_is_shown_once() -> None:
    fold = Fold(level=1, period=2, count=26_180)
    thread = stack(0, 1, 2, 52_361, folds=(fold,))
    assert rows_of(thread) == [0, 1, 2, "… these 2 frames 26,180 times", 52_361]
    assert words.depth(thread) == 52_362


def test_inlined_calls_are_part_of_the_round_that_repeats() -> None:
    thread = stack(0, 1, 2, 31, kinds=" i ", folds=(Fold(level=1, period=1, count=15),))
    assert rows_of(thread) == [0, 1, 2, "… these 2 frames 15 times", 31]
    endless = stack(0, folds=(Fold(level=0, period=1, count=9),), ended="no memory")
    assert rows_of(endless) == [0, "… this frame 9 times", "the stack ends here: no memory"]


def test_a_fold_that_is_cut_or_nowhere_does_no_harm() -> None:
    assert rows_of(stack(0, 1, folds=(Fold(level=1, period=5, count=9),))) == [0, 1]
    assert rows_of(stack(0, 1, folds=(Fold(level=7, period=1, count=9),))) == [0, 1]


def test_frames_that_were_left_out_leave_a_mark() -> None:
    assert rows_of(stack(0, 1, 500)) == [0, 1, "… 498 frames left out", 500]
    assert rows_of(stack()) == []
    assert words.depth(stack()) == 0


def test_a_stack_without_its_middle() -> None:
    rows = words.stack_rows(stack(*range(20)))
    assert words.without_middle(rows, 20) == rows
    short = words.without_middle(rows, 8)
    assert len(short) == 8
    assert short[5] == Mark("… 13 lines left out")
    assert short[-1] is rows[-1]


def test_runs_of_system_frames_become_one_line() -> None:
    def frame(level: int, module: str | None, in_app: bool = False) -> Frame:
        return Frame(level=level, module=module, in_app=in_app)

    a, b = frame(0, "/lib/a.so"), frame(1, "/lib/b.so")
    app = frame(2, "/opt/x", in_app=True)
    c, d, e = frame(3, None), frame(4, None), frame(5, None)
    assert words.without_system([a, b, app]) == [a, b, app]
    assert words.without_system([a, b, a, app]) == [a, Mark("… 2 frames in b.so, a.so"), app]
    assert words.without_system([c, d, e]) == [c, Mark("… 2 frames")]
    assert words.without_system([a, Mark("m"), b]) == [a, Mark("m"), b]
    assert words.without_system([]) == []


def test_the_frame_to_see() -> None:
    system, own = Frame(level=0), Frame(level=1, in_app=True)
    crashed = Thread(number=1, crashed=True, frames=(system, own))

    def see(level: int | None, *threads: Thread) -> Frame | None:
        return words.frame_to_see(Report(verdict=Verdict(frame=level), threads=threads))

    assert see(0, crashed) is system
    assert see(None, crashed) is own
    assert see(9, crashed) is own
    assert see(None, Thread(number=1, crashed=True, frames=(system,))) is system
    assert see(0, Thread(number=1, crashed=True)) is None
    assert see(0, Thread(number=1, frames=(own,))) is None


# ---------------------------------------------------------------- threads


def test_thread_names() -> None:
    assert words.thread_name(Thread(number=1)) == "#1"
    assert words.thread_name(Thread(number=1, role="mqtt", lwp=7)) == "#1 mqtt (LWP 7)"


# ---------------------------------------------------------------- the report as a whole


def test_a_report_without_a_title_gets_one() -> None:
    assert words.title(Report(title="a title")) == "a title"
    assert words.title(Report()) == "A process: cause unknown"
    frame = Frame(level=0, function="f()")
    report = Report(
        verdict=Verdict(cls="null-read"),
        process=Process(module_id="evse_1"),
        threads=(Thread(number=1, crashed=True, frames=(frame,)),),
    )
    assert words.title(report) == "evse_1: null-read in f()"


def test_facts_say_nothing_twice() -> None:
    signal = Signal(number=11, name="SIGSEGV", code_name="SEGV_MAPERR", fault_address=Address(8))
    report = Report(title="a crash", process=Process(executable="/bin/x", pid=4), signal=signal)
    assert words.facts(report) == ["x", "pid 4", "SIGSEGV (SEGV_MAPERR) at 0x8"]
    said = Report(
        title="x: null-read",
        process=Process(executable="/bin/x"),
        signal=signal,
        verdict=Verdict(evidence=("SIGSEGV at 0x8",)),
    )
    assert words.facts(said) == []


def test_signals() -> None:
    adjusted = Signal(number=11, fault_address=Address(0), adjusted_address=Address(0xABC))
    assert words.signal_text(adjusted) == "signal 11 at 0xabc"
    assert words.signal_text(Signal()) == "signal"


def test_last_words_are_those_that_the_verdict_does_not_repeat() -> None:
    report = Report(
        abort_message="free(): invalid pointer",
        exception=CxxException(type="std::out_of_range", what="map::at"),
        assertion=Assertion(expression="x > 0", file="/a.cpp", line=3),
    )
    assert words.last_words(report) == [
        ("abort message", "free(): invalid pointer"),
        ("exception", "std::out_of_range: map::at"),
        ("assertion", "x > 0"),
        ("asserted at", "/a.cpp:3"),
    ]
    said = "free(): invalid pointer std::out_of_range map::at x > 0"
    assert words.last_words(msgspec.structs.replace(report, verdict=Verdict(summary=said))) == []
    bare = Report(exception=CxxException(type="E"), assertion=Assertion(expression="e", file="f"))
    assert words.last_words(bare) == [("exception", "E"), ("assertion", "e"), ("asserted at", "f")]
    assert words.last_words(Report(assertion=Assertion(expression="e"))) == [("assertion", "e")]
    assert words.last_words(Report(exception=CxxException(), assertion=Assertion())) == []


def test_an_assertion_is_told_once() -> None:
    # GIVEN an assertion, whose parts are what libc's message consists of
    message = "app: /a.cpp:3: int f(): Assertion `x > 0' failed."
    broken = Assertion(expression="x > 0", file="/a.cpp", line=3, function="int f()")
    verdict = Verdict(summary="`x > 0` failed", evidence=("asserted at /a.cpp:3 in int f()",))
    report = Report(abort_message=message, assertion=broken, verdict=verdict)
    # WHEN the verdict tells them all; THEN the message adds nothing
    assert words.last_words(report) == []
    # WHEN it cuts the expression; THEN the message has it whole
    cut = msgspec.structs.replace(report, verdict=Verdict(summary="`x…` failed"))
    assert words.last_words(cut) == [("abort message", message)]


def test_which_process_died_first() -> None:
    first = Sibling(module_id="evse", pid=7, status="SIGSEGV", role="first_fault")
    fallen = tuple(Sibling(pid=n, role="taken_down") for n in range(20))
    odd = (Sibling(role="unrelated"), Sibling(role="taken_down"))
    by_pid = Report(process=Process(pid=7), siblings=(first,))
    assert words.siblings(by_pid) == ["this process died first"]
    by_name = Report(process=Process(module_id="evse"), siblings=(first, *odd))
    assert words.siblings(by_name) == ["this process died first", "taken down with it: ?"]
    other = Report(process=Process(pid=8), siblings=(first, *fallen))
    pids = ", ".join(f"pid {n}" for n in range(16))
    assert words.siblings(other) == [
        "died first: evse (SIGSEGV)",
        f"taken down with it: {pids} and 4 more",
    ]
    unnamed = Report(siblings=(Sibling(role="first_fault"),))
    assert words.siblings(unnamed) == ["died first: ?"]
    assert words.siblings(Report()) == []


def test_registers_in_the_order_people_look_at_them() -> None:
    report = Report(registers={name: Address(1) for name in ("cs", "r8", "rax", "rip", "ds")})
    assert [name for name, _ in words.registers(report)] == ["rip", "rax", "r8", "cs", "ds"]


def test_notes() -> None:
    assert words.note(SoftError(stage="s", message="m")) == ("m", "")
    assert words.note(SoftError(stage="s", message="m", effect="e")) == ("m: e", "")
    hinted = SoftError(stage="s", message="m.", hint="do this")
    assert words.note(hinted) == ("m.", "do this")


def test_how_the_report_was_made() -> None:
    assert words.made_by(Report(tool=Tool(version="1.0"))) == ["evdiag 1.0"]
    report = Report(
        created="today",
        core=CoreFile(path="core.1", bytes=2_000_000, missing_bytes=5_000),
        provenance=Provenance(
            gdb="gdb 18",
            rung="native+gdb",
            timings={"a": 0.5, "b": 0.25},
            redaction=Redacted(secrets={"key": 2}),
        ),
    )
    assert words.made_by(report) == [
        "core.1",
        "2.0 MB, 5.0 kB missing",
        "evdiag",
        "stacks by evdiag, values by gdb 18",
        "0.75 s of CPU",
        "2 secrets replaced: 2 keys",
        "today",
    ]
    assert "stacks by evdiag, no values" in words.made_by(samples.null_write())


@pytest.mark.parametrize(
    ("rung", "gdb", "said"),
    [
        ("native+gdb", "13.1", ["stacks by evdiag, values by gdb 13.1"]),
        ("native+gdb", None, ["stacks by evdiag, values by gdb"]),
        ("native+mi", "13.1", ["stacks by evdiag, values by gdb 13.1 without Python"]),
        ("gdb", "GNU gdb 16", ["stacks and values by GNU gdb 16"]),
        ("mi", "16", ["stacks and values by gdb 16 without Python"]),
        ("native", None, ["stacks by evdiag, no values"]),
        ("notes", "13.1", ["neither stacks nor values", "gdb 13.1"]),
        ("something later", "13.1", ["something later", "gdb 13.1"]),
        (None, None, []),
    ],
)
def test_where_stacks_and_values_come_from(
    rung: str | None, gdb: str | None, said: list[str]
) -> None:
    assert words.made_by(Report(provenance=Provenance(rung=rung, gdb=gdb))) == ["evdiag", *said]


@pytest.mark.parametrize(
    ("cls", "title"),
    [
        ("null-read", "Crashed thread"),
        ("snapshot", "First thread"),
        ("sent-signal", "Thread that took the signal,"),
        ("deadlock", "Thread that took the signal,"),
    ],
)
def test_the_first_thread_has_not_always_crashed(cls: str, title: str) -> None:
    assert words.crashed_title(Report(verdict=Verdict(cls=cls))) == title
