"""Names that want to be commands, and cores that lie: the right values, or clear words."""

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from evdiag.adapters.gdb.debugger import Debugger
from evdiag.cli import main
from evdiag.engine import Engine, Options
from evdiag.errors import GdbError
from evdiag.model.report import Report
from evdiag.parse.elf import read_header, read_segments
from evdiag.values import add_values
from tests.support.crashers import (
    Build,
    CrashedProcess,
    make_core,
    mode_named,
    unqualified,
)

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

MODE = mode_named("null-member-write")
SECONDS = 30.0
PT_LOAD = 1


class Read(NamedTuple):
    """A report with values, or why there are none."""

    report: Report
    error: GdbError | None
    seconds: float


def values(core: Path, gdb: str, cache: Path, options: Options | None = None) -> Read:
    """The report on a core, with values from that gdb."""
    begun = time.monotonic()
    analysis = Engine(options or Options()).analyse(core)
    report, error = add_values(
        analysis.report, analysis.scene(), Debugger(gdb, cache, SECONDS), "crash"
    )
    return Read(report, error, time.monotonic() - begun)


KNOWN = {
    ("book_energy", "value"): "1250",
    ("visit_phase", "phase"): "1",
    ("chargebridge_each_phase", "phases"): "3",  # in the library
    ("on_powermeter", "reading"): "{connector = 1, energy_wh = 2.2222222222222223, power_w = 8000}",
    ("run_state_machine", "message"): (
        r'{topic = "powermeter", payload = "{\"power_W\":{\"total\":8000}}", connector = 1}'
    ),
}
"""Some of the values in that crash, by function and name."""


def told(report: Report) -> dict[tuple[str, str], str | None]:
    """What a report says of them."""
    found = {}
    for frame in report.threads[0].frames:
        name = unqualified(frame.function or "")
        for variable in (*frame.args, *frame.locals):
            if (name, variable.name) in KNOWN:
                found[name, variable.name] = variable.value
    return found


# ---------------------------------------------------------------- names

NAMES = {
    "quotes": 'it\'s "quoted" `so`',
    "spaces": " two  words ",
    "backslashes": "back\\slash\\n\\",
    "newline": "new\nline\n1^done",
    "record": '1^done,stack=[frame={level="0"}]',
    "colons": "a:b::c",
    "shell": "$(touch pwned);|&#%s%n*?[x]{y}~",
    "unicode": "Ladesäule ⚡",
    "option": "-iex",
}
BYTES = os.fsdecode(b"\xff\xfe\x80 bytes")
"""No text in any encoding."""


def crash_in(folder: Path, tree: Build) -> CrashedProcess:
    """The same crash by a copy of program and library below another folder."""
    copy = Build(root=folder, compiler=tree.compiler)
    for made, name in (
        (tree.module("O0"), copy.module("O0")),
        (tree.library("O0"), copy.library("O0")),
    ):
        name.parent.mkdir(parents=True)
        shutil.copy2(made, name)
    return make_core(MODE, "O0", folder / "cores", tree=copy)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names(
    name: str,
    gdb: str,
    tree: Build,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In the paths of program, library, core, the temporary folder and the cache."""
    folder = tmp_path / NAMES[name]
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    crashed = crash_in(folder, tree)

    report, error, seconds = values(crashed.core, gdb, folder / "cache")

    assert error is None
    assert report.provenance.rung == "native+gdb"
    assert told(report) == KNOWN
    assert seconds < 10.0
    assert not list(tmp_path.rglob("pwned"))
    assert not list(folder.glob("evdiag-gdb-*"))


def test_a_path_that_is_no_text(
    gdb: str,
    tree: Build,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    """No library is found under such a name, and the program only because evdiag is told of it."""
    folder = tmp_path / BYTES
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    crashed = crash_in(folder, tree)

    report, error, _ = values(
        crashed.core, gdb, folder / "cache", Options(executable=crashed.executable)
    )

    assert error is None
    assert "1250" in told(report).values() or report.threads[0].gdb_frames  # gdb did read it
    notes = [soft.message for soft in report.soft_errors if soft.stage == "modules"]
    assert any("libchargebridge.so is not on this machine" in note for note in notes)
    command = ["backtrace", str(crashed.core), "--exe", str(crashed.executable), "--gdb", gdb]
    for name in ("terminal", "json"):
        assert main([*command, "--format", name]) == 0
        out, err = capfdbinary.readouterr()
        assert b"null-write" in out
        assert b"Traceback" not in err


@pytest.mark.parametrize("name", [*NAMES.values(), BYTES], ids=[*NAMES, "bytes"])
def test_hostile_name_of_the_temporary_folder(
    name: str,
    gdb: str,
    crashed: CrashedProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """An interactive gdb gets a folder on its command line, and in commands of its own language."""
    folder = tmp_path / name
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.chdir(tmp_path)
    shown = ["-ex", "info sharedlibrary chargebridge", "-ex", "print $_siginfo.si_signo"]

    code = main(["gdb", str(crashed.core), "--gdb", gdb, "--", "-batch", "-ex", "bt 1", *shown])

    out, err = capfd.readouterr()
    assert not list(tmp_path.rglob("pwned"))
    assert code == 0
    assert "book_energy" in out
    assert "/root/" in out.partition("libchargebridge")[0].splitlines()[-1]  # the linked one
    assert out.rstrip().endswith("= 11")
    assert "rror" not in err


@pytest.mark.parametrize("name", [*NAMES.values(), BYTES], ids=[*NAMES, "bytes"])
def test_hostile_name_of_a_sysroot(
    name: str, named_gdb: Callable[[str], str], crashed: CrashedProcess, tmp_path: Path
) -> None:
    sysroot = tmp_path / name
    library = crashed.executable.parents[4] / "lib/libchargebridge.so"
    for file in (crashed.executable, library):
        place = sysroot / str(file)[1:]
        place.parent.mkdir(parents=True)
        place.symlink_to(file)

    report, error, _ = values(
        crashed.core, named_gdb("system"), tmp_path / "cache", Options(sysroot=sysroot)
    )

    assert error is None
    assert told(report) == KNOWN


# ---------------------------------------------------------------- cores


def without_memory(content: bytes) -> bytes:
    """A core with its notes, but with nothing but zeros in its memory."""
    blank = bytearray(content)
    for segment in read_segments(content, read_header(content)):
        if segment.type == PT_LOAD:
            end = segment.offset + segment.file_size
            blank[segment.offset : end] = bytes(len(blank[segment.offset : end]))
    return bytes(blank)


@pytest.mark.parametrize("damage", ["10", "50", "90", "memory"])
def test_cores_on_which_gdb_does_badly(
    damage: str, gdb: str, crashed: CrashedProcess, tmp_path: Path
) -> None:
    content = crashed.core.read_bytes()
    core = tmp_path / "core"
    cut = len(content) * int(damage) // 100 if damage.isdecimal() else 0
    core.write_bytes(content[:cut] if cut else without_memory(content))
    plain = Engine(Options(executable=crashed.executable)).report(core)

    report, error, seconds = values(
        core, gdb, tmp_path / "cache", Options(executable=crashed.executable)
    )

    notes = [soft.message for soft in report.soft_errors if soft.stage in ("values", "stacks")]
    print(f"{damage} {gdb}: {seconds:.1f} s, {type(error).__name__}, {notes}")
    assert seconds < 15.0
    assert report.verdict.cls == plain.verdict.cls
    assert [t.lwp for t in report.threads] == [t.lwp for t in plain.threads]
    assert [f.pc for f in report.threads[0].frames] == [f.pc for f in plain.threads[0].frames]
    assert error is None or str(error) in notes
    assert all("\n" not in note for note in notes)


def test_a_program_that_was_built_anew(
    gdb: str, tree: Build, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """gdb would take the file of that name, and show wrong lines and values."""
    crashed = crash_in(tmp_path, tree)
    crashed.executable.unlink()
    shutil.copy2(tree.module("O0", "OCPP201"), crashed.executable)

    report, error, seconds = values(crashed.core, gdb, tmp_path / "cache")

    assert seconds < 15.0
    assert any("is another build" in soft.message for soft in report.soft_errors)
    own = [f for f in report.threads[0].frames if f.module == str(crashed.executable)]
    assert own
    assert not any(frame.args or frame.locals for frame in own)
    print(f"{gdb}: {seconds:.1f} s, {error}, {[s.message for s in report.soft_errors]}")
