"""Every rung of the ladder is real: what is there without gdb, without symbols, without both."""

import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import groupby
from pathlib import Path

import pytest

from evdiag.adapters.gdb import find
from evdiag.engine import Analysis, Engine, Options
from evdiag.errors import GdbError, GdbMissing
from evdiag.model.report import Report, SoftError, Variable
from evdiag.values import add_values
from tests.conftest import need
from tests.gdb.conftest import Bench, Values
from tests.support.core_files import CannotMakeCores
from tests.support.crashers import (
    VARIANT_MODES,
    Mode,
    Opt,
    Program,
    Unavailable,
    crash_once,
    mode_named,
    variant_core,
    variants,
)
from tests.support.mode_values import own_name

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

DEMO = mode_named("null-member-write")
SMALL = next(mode for mode in VARIANT_MODES if mode.name == "null-write")
CoreOf = Callable[[Mode, Opt], Path]
NamedGdb = Callable[[str], str]

# Compiled without a C library: there is none for this machine here.
ARM_SOURCE = """
struct reading { int connector; int phase; long energy_wh; };
static int store(struct reading *reading, int energy_wh) {
    reading->energy_wh = energy_wh;
    return 1;
}
int bill(int energy_wh) {
    struct reading *none = 0;
    return store(none, energy_wh) + 1;
}
int deliver(int watts) {
    return bill(watts - 3289) + 1;
}
void _start(void) {
    deliver(8000);
    for (;;) {
    }
}
"""
ARM_FLAGS = (
    *("--target=armv7-linux-gnueabihf", "-marm", "-g", "-O0", "-ffreestanding", "-fno-builtin"),
    *("-nostdlib", "-static", "-fuse-ld=lld", "-Wl,--build-id"),
)
ARM_TOOLS = ("clang", "ld.lld", "qemu-arm-static")


def enriched(bench: Bench, analysis: Analysis, command: str | None) -> Report:
    report, error = add_values(analysis.report, analysis.scene(), bench.debugger(command), "crash")
    assert error is None
    return report


def variables(report: Report, function: str) -> dict[str, str | None]:
    """Values by name of the innermost frame of a function in the crashed thread."""
    frame = next(f for f in report.threads[0].frames if own_name(f) == function)
    both: tuple[Variable, ...] = (*frame.args, *frame.locals)
    return {v.name: v.value for v in both}


def notes(report: Report, stage: str) -> list[SoftError]:
    return [error for error in report.soft_errors if error.stage == stage]


@pytest.fixture
def hide_gdbs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes this a machine without any gdb, or anything else, once the test has its core."""

    def hide() -> None:
        (tmp_path / "empty").mkdir()
        monkeypatch.setenv("PATH", str(tmp_path / "empty"))
        monkeypatch.setattr(find, "WHEEL", "no_such_package_of_gdb")

    return hide


@pytest.fixture
def no_symbolic(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine for which there is no wheel of `symbolic`."""
    for name in ("symbolic", "symbolic.debuginfo", "symbolic.exceptions", "symbolic.symcache"):
        monkeypatch.setitem(sys.modules, name, None)


# ---------------------------------------------------------------- our stacks, gdb's values


@pytest.mark.parametrize(
    ("gdb", "rung"), [("system", "native+gdb"), ("wheel", "native+gdb"), ("minimal", "native+mi")]
)
def test_our_stacks_with_the_values_of_a_gdb(
    gdb: str, rung: str, bench: Bench, core_of: CoreOf, values: Values
) -> None:
    native = bench.analysis(core_of(DEMO, "O0")).report

    report = values(DEMO, "O0", gdb)

    assert report.provenance.rung == rung
    assert [(f.pc, f.function, f.trust) for f in report.threads[0].frames] == [
        (f.pc, f.function, f.trust) for f in native.threads[0].frames
    ]
    assert report.threads[1:] == native.threads[1:]
    assert variables(report, "book_energy") == {"this": "0x0", "value": "1250"}


# ---------------------------------------------------------------- no gdb


def test_without_any_gdb_there_are_stacks_and_advice(
    bench: Bench, core_of: CoreOf, hide_gdbs: Callable[[], None]
) -> None:
    native = bench.analysis(core_of(DEMO, "O0"))
    hide_gdbs()

    report, error = add_values(native.report, native.scene(), bench.debugger(None), "crash")

    assert isinstance(error, GdbMissing)
    assert report.provenance.rung == "native"
    assert report.provenance.gdb is None
    (note,) = report.soft_errors
    assert note.stage == "values"
    assert "there is no gdb on this machine" in note.message
    assert note.effect == "the report has no values of variables"
    assert note.hint is not None
    assert "evdiag[gdb]" in note.hint
    assert report.threads == native.report.threads
    assert report.verdict == native.report.verdict


@pytest.fixture
def cut(bench: Bench, core_of: CoreOf, tmp_path: Path) -> Analysis:
    """What is left of a core that ends behind its notes."""
    whole = bench.analysis(core_of(DEMO, "O0"))
    first = min(region.offset for region in whole.facts.regions if region.present)
    core = tmp_path / "core"
    core.write_bytes(whole.path.read_bytes()[:first])
    return Engine(Options()).analyse(core)


def test_of_a_core_without_memory_the_notes_are_left(
    cut: Analysis, bench: Bench, core_of: CoreOf, hide_gdbs: Callable[[], None]
) -> None:
    whole = bench.analysis(core_of(DEMO, "O0")).report
    hide_gdbs()

    report, error = add_values(cut.report, cut.scene(), bench.debugger(None), "crash")

    assert isinstance(error, GdbMissing)
    assert report.provenance.rung == "notes"
    assert report.signal is not None
    assert report.signal.name == "SIGSEGV"
    assert report.registers == whole.registers
    assert [t.lwp for t in report.threads] == [t.lwp for t in whole.threads]
    (note,) = notes(report, "core")
    assert note.message.startswith("the core is truncated: ")
    assert [n.effect for n in notes(report, "values")] == ["the report has no values of variables"]


def test_a_gdb_does_not_make_more_of_such_a_core(
    cut: Analysis, bench: Bench, named_gdb: NamedGdb
) -> None:
    report, _ = add_values(cut.report, cut.scene(), bench.debugger(named_gdb("system")), "crash")

    assert not any(f.args or f.locals for f in report.threads[0].frames)
    assert report.provenance.rung == "notes"


# ---------------------------------------------------------------- no symbols of our own


@pytest.mark.usefixtures("no_symbolic")
@pytest.mark.parametrize(("gdb", "rung"), [("system", "gdb"), ("wheel", "gdb"), ("minimal", "mi")])
def test_where_symbolic_is_missing_names_and_lines_are_gdbs(
    gdb: str, rung: str, bench: Bench, core_of: CoreOf, named_gdb: NamedGdb
) -> None:
    analysis = Engine(Options()).analyse(core_of(DEMO, "O0"))
    native = analysis.report
    assert {frame.function for frame in native.threads[0].frames} == {None}

    report = enriched(bench, analysis, named_gdb(gdb))

    assert report.provenance.rung == rung
    frames = report.threads[0].frames
    # gdb knows inlined calls as well
    pcs = [pc for pc, _ in groupby(f.pc for f in frames)]
    assert pcs == [f.pc for f in native.threads[0].frames]
    book = next(f for f in frames if own_name(f) == "null_member_write")
    assert book.file is not None
    assert book.file.endswith("crash_memory.cpp")
    assert book.line is not None
    assert "booking.book(" in Path(book.file).read_text().splitlines()[book.line - 1]
    assert book.in_app
    assert any("`symbolic` is not installed" in n.message for n in notes(report, "symbols"))


@pytest.fixture
def split(request: pytest.FixtureRequest, bench: Bench) -> Analysis:
    """A crash of a program with its debug information in a .dwo file."""
    crashed = variant_core(next(v for v in variants() if v.name == "gcc-split-dwarf"), SMALL)
    if isinstance(crashed, Unavailable):
        need(request, "gdb", crashed.reason)
    return bench.analysis(crashed.core)


def test_lines_that_lie_in_a_dwo_file_are_gdbs(
    split: Analysis, bench: Bench, named_gdb: NamedGdb
) -> None:
    innermost = split.report.threads[0].frames[0]
    # the symbol table is in the program, everything else is in small.dwo
    assert (own_name(innermost), innermost.file, innermost.line) == ("bill", None, None)

    report = enriched(bench, split, named_gdb("system"))

    assert report.provenance.rung == "gdb"
    named = next(f for f in report.threads[0].frames if own_name(f) == "bill")
    assert named.file is not None
    assert named.file.endswith("small.cpp")
    assert named.line is not None
    run_mode = variables(report, "run_mode")["mode"]
    assert run_mode is not None
    assert run_mode.endswith('"null-write"')


def test_functions_that_were_inlined_are_gdbs_too(
    split: Analysis, bench: Bench, named_gdb: NamedGdb
) -> None:
    report = enriched(bench, split, named_gdb("system"))

    frames = [(own_name(f), f.kind) for f in report.threads[0].frames[:3]]
    assert frames[0] == ("store_energy", "inline")
    assert frames[2] == ("bill", "normal")
    assert variables(report, "store_energy") == {"reading": "0x0", "energy_wh": "4711"}


def test_a_report_says_why_its_lines_are_gdbs(split: Analysis) -> None:
    assert notes(split.report, "symbols")


# ---------------------------------------------------------------- a machine that is not unwound


@pytest.fixture(scope="session")
def arm(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The core of a 32-bit ARM program, which lies beside it."""
    missing = [tool for tool in ARM_TOOLS if shutil.which(tool) is None]
    if missing:
        need(request.config, "gdb", f"{missing[0]} is not installed")
    folder = tmp_path_factory.mktemp("arm")
    (folder / "arm.c").write_text(ARM_SOURCE)
    subprocess.run(["clang", *ARM_FLAGS, "arm.c", "-o", "arm"], cwd=folder, check=True)
    path = folder / "arm"
    command = ("qemu-arm-static", str(path))
    program = Program(executable=path, command=command, argv=command, emulated=True)
    try:
        return crash_once(program, SMALL, folder / "cores" / SMALL.name).core
    except CannotMakeCores as reason:
        need(request.config, "gdb", str(reason))


@pytest.fixture
def arm_analysis(arm: Path) -> Analysis:
    # the emulator's cores have no NT_FILE: the program has to be named
    return Engine(Options(executable=arm.parents[2] / "arm")).analyse(arm)


@pytest.mark.parametrize("gdb", ["wheel", "gdb-multiarch", None])
def test_stacks_of_a_machine_that_we_cannot_unwind_are_gdbs(
    gdb: str | None,
    request: pytest.FixtureRequest,
    arm_analysis: Analysis,
    bench: Bench,
    named_gdb: NamedGdb,
) -> None:
    native = arm_analysis.report
    assert native.threads[0].ended is not None
    assert [own_name(f) for f in native.threads[0].frames][:1] == ["store"]
    # `store` keeps no frame, so the chain of frame pointers misses its caller
    assert "bill" not in {own_name(f) for f in native.threads[0].frames}
    if gdb == "gdb-multiarch" and shutil.which(gdb) is None:
        need(request, "gdb", "gdb-multiarch is not installed")

    report = enriched(bench, arm_analysis, named_gdb("wheel") if gdb == "wheel" else gdb)

    assert report.provenance.rung == "gdb"
    frames = report.threads[0].frames
    assert [own_name(f) for f in frames] == ["store", "bill", "deliver", "_start"]
    assert {f.trust for f in frames} == {"gdb"}
    assert [f.level for f in frames] == [0, 1, 2, 3]
    assert variables(report, "store") == {"reading": "0x0", "energy_wh": "4711"}
    assert variables(report, "deliver") == {"watts": "8000"}
    assert any("`reading` is null" in text for text in report.verdict.evidence)
    assert notes(report, "unwind") == []
    assert [n.message for n in notes(report, "symbols")] == [
        "functions or lines of 4 frames are gdb's"
    ]


def test_frames_that_only_gdb_has_found_know_their_module(
    arm_analysis: Analysis, bench: Bench, named_gdb: NamedGdb
) -> None:
    report = enriched(bench, arm_analysis, named_gdb("wheel"))

    bill = next(f for f in report.threads[0].frames if own_name(f) == "bill")
    assert bill.module == arm_analysis.program
    assert bill.in_app


def test_without_a_gdb_such_a_machine_has_what_frame_pointers_say(
    arm_analysis: Analysis, bench: Bench, hide_gdbs: Callable[[], None]
) -> None:
    hide_gdbs()

    report, error = add_values(
        arm_analysis.report, arm_analysis.scene(), bench.debugger(None), "crash"
    )

    assert isinstance(error, GdbMissing)
    assert report.provenance.rung == "native"
    assert own_name(report.threads[0].frames[0]) == "store"
    assert len(notes(report, "unwind")) == len(notes(report, "values")) == 1


@pytest.mark.skipif(platform.machine() != "x86_64", reason="gdb for aarch64 knows ARM")
def test_a_gdb_that_does_not_know_the_machine_is_no_source_of_values(
    arm_analysis: Analysis, bench: Bench, named_gdb: NamedGdb
) -> None:
    report, error = add_values(
        arm_analysis.report, arm_analysis.scene(), bench.debugger(named_gdb("minimal")), "crash"
    )

    assert isinstance(error, GdbError)
    assert report.provenance.rung == "native"
    assert [n.stage for n in report.soft_errors] == ["unwind", "values"]


# ---------------------------------------------------------------- two stacks


@pytest.mark.parametrize("gdb", ["system", "wheel", "minimal"])
@pytest.mark.parametrize(
    ("name", "agreed"),
    [
        ("stack-smash", ["copy_id_tag"]),
    ],
)
def test_where_gdb_sees_another_stack_both_are_kept(
    name: str, agreed: list[str], gdb: str, bench: Bench, core_of: CoreOf, values: Values
) -> None:
    native = bench.analysis(core_of(mode_named(name), "O0")).report.threads[0]

    report = values(mode_named(name), "O0", gdb)

    thread = report.threads[0]
    assert [f.pc for f in thread.frames] == [f.pc for f in native.frames]
    assert {own_name(f) for f in thread.gdb_frames} >= set(agreed)
    assert [f.pc for f in thread.gdb_frames] != [f.pc for f in thread.frames]
    (note,) = notes(report, "stacks")
    said = re.fullmatch(r"gdb sees another stack of LWP (\d+) from frame (\d+) on", note.message)
    assert said is not None
    assert int(said[1]) == thread.lwp
    at = int(said[2])
    # above that frame both see the same program counters
    ours = {f.pc for f in thread.frames if f.level < at}
    assert ours <= {f.pc for f in thread.gdb_frames}
    assert note.effect == "both are in the report; values belong to the frames above it"


# ---------------------------------------------------------------- instructions


@pytest.mark.parametrize("gdb", ["system", "wheel"])
def test_instructions_name_what_they_refer_to(gdb: str, values: Values) -> None:
    report = values(mode_named("recursion-main"), "O2", gdb)

    calls = [line.text for line in report.disassembly if "<" in line.text]
    assert calls
    assert all("parse_element(int, int)" in text for text in calls)
