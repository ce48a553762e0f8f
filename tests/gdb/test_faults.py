"""A gdb that misbehaves in every way we could think of: clear words, a whole report, no remains."""

import json
import os
import resource
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import pytest

from evdiag.adapters.gdb import find
from evdiag.adapters.gdb.debugger import Answer, Debugger
from evdiag.adapters.gdb.scene import LEAST_MEMORY, Scene
from evdiag.analyze.values import request_for
from evdiag.cli import main
from evdiag.engine import Engine, Options
from evdiag.errors import GdbDied, GdbError, GdbMissing, GdbRefused, GdbTimeout, GdbUnusable
from evdiag.model.report import Report, Variable
from evdiag.report import FORMATS
from evdiag.values import add_values
from tests.conftest import need
from tests.support import fake_gdb
from tests.support.crashers import CannotBuild, CannotMakeCores, make_core, mode_named
from tests.support.processes import Growth, ended, none_left

TIMEOUT = 2.0
SLACK = 3.0
"""For the start of a Python on a machine that is busy with other tests."""


class Crashed(NamedTuple):
    """A core, and what evdiag says of it without a gdb."""

    core: Path
    report: Report
    scene: Scene

    @property
    def pc(self) -> int:
        return int(self.report.threads[0].frames[0].pc or 0)


@pytest.fixture(scope="module")
def crashed(request: pytest.FixtureRequest) -> Crashed:
    try:
        core = make_core(mode_named("null-member-write"), "O0").core
    except (CannotBuild, CannotMakeCores) as reason:
        need(request, "native", str(reason))
    analysis = Engine(Options()).analyse(core)
    return Crashed(core, analysis.report, analysis.scene())


@pytest.fixture(autouse=True)
def nothing_left(
    no_leftovers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Neither a process nor a temporary file is there after a test."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    yield
    assert list(folder.iterdir()) == []


def fake(vice: str, crashed: Crashed, **options: object) -> str:
    lwp = crashed.report.threads[0].lwp
    return fake_gdb.command(vice, pc=crashed.pc, lwp=lwp, **options)


def ask(
    crashed: Crashed, gdb: str | None, cache: Path, timeout: float = TIMEOUT
) -> tuple[Report, GdbError | None, float]:
    """(report, error, seconds) with values from that gdb."""
    begun = time.monotonic()
    report, error = add_values(
        crashed.report, crashed.scene, Debugger(gdb, cache, timeout), "crash"
    )
    return report, error, time.monotonic() - begun


def energy_of(report: Report) -> Variable:
    """The one variable that the fake gdb has."""
    (found,) = [v for f in report.threads[0].frames for v in f.locals if v.name == "energy"]
    return found


def answer(crashed: Crashed, gdb: str, cache: Path, timeout: float = 30.0) -> Answer:
    request = request_for(crashed.report, "crash", unwound=True)
    assert request is not None
    return Debugger(gdb, cache, timeout).values(crashed.scene, request)


# ---------------------------------------------------------------- no values

FAULTS: list[tuple[str, type[GdbError], str]] = [
    ("exit", GdbUnusable, "ended with status 3: fake: cannot open shared object file"),
    ("silent", GdbUnusable, "ended with status 0"),
    ("text", GdbUnusable, "ended with status 1"),
    ("echo", GdbUnusable, "did not answer -list-features in 2 s"),
    ("hang", GdbUnusable, "did not answer -list-features in 2 s"),
    ("hang-greeted", GdbTimeout, "did not answer -target-select"),
    ("hang-at-values", GdbTimeout, "did not answer -evdiag-values"),
    ("slow", GdbTimeout, "did not answer -interpreter-exec before the time was over"),
    ("flood", GdbTimeout, "did not answer -target-select"),
    ("flood-beats", GdbTimeout, "did not answer -evdiag-values"),
    ("endless", GdbRefused, "printed a line of more than 256 MB"),
    ("stubborn", GdbTimeout, "did not answer -target-select"),
    ("dies", GdbDied, "ended with status 1: fake: BFD internal error"),
    ("killed", GdbDied, "was ended by signal 9"),
    ("aborted", GdbDied, "was ended by signal 6"),
    ("orphan", GdbDied, "ended with status 1"),
    ("half-hangs", GdbUnusable, "did not answer -list-features"),
    ("half-line", GdbUnusable, "answer is cut"),
    ("half-document", GdbRefused, "document cannot be read"),
    ("half-exits", GdbDied, "ended with status 0"),
    ("token", GdbTimeout, "did not answer -target-select"),
    ("no-document", GdbRefused, "holds no document"),
    ("no-json", GdbRefused, "document cannot be read"),
    ("wrong-types", GdbRefused, "document cannot be read"),
    ("deep-json", GdbRefused, "document cannot be read"),
    ("deeper-json", GdbRefused, "nested too deeply"),
    ("deep-mi", GdbUnusable, "nested too deeply"),
    ("bad-escape", GdbUnusable, "answer"),
    ("bad-escape-in-document", GdbRefused, "document cannot be read"),
    ("errors", GdbUnusable, "No symbol table is loaded."),
    ("odd-numbers", GdbRefused, "document cannot be read"),
]


def test_every_vice_is_tried() -> None:
    assert {vice for vice, *_ in FAULTS} == set(fake_gdb.BAD)


@pytest.mark.parametrize(("vice", "kind", "words"), FAULTS, ids=[vice for vice, *_ in FAULTS])
def test_a_gdb_that_gives_no_values(
    vice: str, kind: type[GdbError], words: str, crashed: Crashed, tmp_path: Path
) -> None:
    # these are not given up because of the time
    timeout = 20.0 if vice in ("endless", "orphan") else TIMEOUT

    report, error, seconds = ask(crashed, fake(vice, crashed), tmp_path, timeout)

    print(f"{vice}: {type(error).__name__} after {seconds:.1f} s: {error}")
    assert type(error) is kind
    assert words in str(error)
    assert "\n" not in str(error)
    assert error.advice
    assert seconds < TIMEOUT + SLACK
    note = report.soft_errors[-1]
    assert (note.stage, note.message, note.hint) == ("values", str(error), error.advice)
    without_note = msgspec.structs.replace(report, soft_errors=report.soft_errors[:-1])
    assert without_note == crashed.report  # everything else stays as it was
    assert all(FORMATS[name].load().render(report) for name in FORMATS)


def test_a_hanging_gdb_costs_its_timeout_and_no_time_of_ours(
    crashed: Crashed, tmp_path: Path
) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF)

    *_, seconds = ask(crashed, fake("hang-greeted", crashed), tmp_path)

    after = resource.getrusage(resource.RUSAGE_SELF)
    assert TIMEOUT <= seconds < TIMEOUT + SLACK
    assert after.ru_utime - before.ru_utime < 0.3 * seconds  # it waits, it does not ask again


# ---------------------------------------------------------------- values all the same


@pytest.mark.parametrize("vice", ["none", "stderr", "console", "grandchild"])
def test_a_gdb_with_bad_manners(vice: str, crashed: Crashed, tmp_path: Path) -> None:
    report, error, seconds = ask(crashed, fake(vice, crashed), tmp_path, 20.0)

    assert error is None
    assert energy_of(report).value == fake_gdb.VALUE
    assert (report.provenance.gdb or "").startswith("13.1")
    assert report.provenance.rung == "native+gdb"
    assert seconds < 5.0


@pytest.mark.parametrize(
    ("vice", "note"),
    [("no-python", None), ("no-command", "gdb's Python is of no use: No symbol table is loaded.")],
)
def test_a_gdb_that_is_too_old(
    vice: str, note: str | None, crashed: Crashed, tmp_path: Path
) -> None:
    report, error, _ = ask(crashed, fake(vice, crashed), tmp_path, 20.0)

    assert error is None
    assert (energy_of(report).type, energy_of(report).value) == ("int", fake_gdb.VALUE)
    assert report.provenance.rung == "native+mi"
    said = [soft.message for soft in report.soft_errors if soft.stage == "values"]
    assert "this gdb has no Python" in said
    assert note is None or note in said


@pytest.mark.parametrize(("megabytes", "most_seconds"), [(4, 5.0), (40, 15.0)])
def test_a_large_document(
    megabytes: int, most_seconds: float, crashed: Crashed, tmp_path: Path
) -> None:
    begun = time.monotonic()

    with Growth() as grown:
        document = answer(crashed, fake("large", crashed, size=megabytes), tmp_path).document

    seconds = time.monotonic() - begun
    print(f"{megabytes} MB: {seconds:.1f} s, {grown.megabytes} MB more at most")
    first, *_, last = variables = document.threads[0].frames[0].locals
    assert len(variables) == megabytes * 1024 + 1
    assert last.value == fake_gdb.VALUE
    assert (first.value or "").startswith('quoted " and \\ \n')
    assert seconds < most_seconds
    assert grown.megabytes < 10 * megabytes + 32


def test_gdb_runs_with_limits(crashed: Crashed, tmp_path: Path) -> None:
    document = answer(crashed, fake("limits", crashed), tmp_path).document

    limits = {v.name: v.value for v in document.threads[0].frames[0].locals}
    assert limits == {"core": "0 0", "memory": f"{LEAST_MEMORY} {LEAST_MEMORY}"}


# ---------------------------------------------------------------- which gdb


OnPath = Callable[..., None]


@pytest.fixture
def only_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> OnPath:
    """Let there be no other programs than some scripts, and no gdb of a package."""

    def set_up(**bodies: str) -> None:
        monkeypatch.setenv("PATH", str(fake_gdb.scripts(tmp_path / "bin", **bodies)))
        monkeypatch.setattr(find, "WHEEL", "evdiag_has_no_such_package")

    return set_up


def test_the_next_gdb_is_taken(crashed: Crashed, tmp_path: Path, only_on_path: OnPath) -> None:
    good = f'exec {fake("none", crashed)} "$@"'
    only_on_path(**{"gdb": "exit 1", "gdb-multiarch": good})

    report, error, _ = ask(crashed, None, tmp_path, 20.0)

    assert error is None
    assert energy_of(report).value == fake_gdb.VALUE
    notes = [soft for soft in report.soft_errors if soft.effect == "another way was taken"]
    assert len(notes) == 1
    assert notes[0].message.endswith("bin/gdb ended with status 1")


def test_plain_commands_are_the_last_resort(crashed: Crashed, tmp_path: Path) -> None:
    """A gdb that dies of the extractor may still answer plain commands."""
    found = answer(crashed, fake("dies-of-extractor", crashed), tmp_path)

    assert found.python is False
    assert found.document.threads[0].frames[0].locals[0].value == fake_gdb.VALUE
    assert "was ended by signal 11" in found.notes[0]


def test_no_gdb_at_all(
    crashed: Crashed, only_on_path: OnPath, capsys: pytest.CaptureFixture[str]
) -> None:
    only_on_path()

    assert main(["backtrace", str(crashed.core), "--format", "json"]) == 0  # nobody insisted
    last = json.loads(capsys.readouterr().out)["soft_errors"][-1]
    assert last["message"] == "there is no gdb on this machine: no values of variables"
    assert "apt-get install gdb" in last["hint"]
    assert main(["backtrace", str(crashed.core), "--values", "crash"]) == 9


# ---------------------------------------------------------------- the command line


@pytest.mark.parametrize(
    ("vice", "words"),
    [
        ("exit", "ended with status 3: fake: cannot open"),
        ("hang-greeted", "did not answer -target-select"),
        ("stubborn", "did not answer -target-select"),
        ("killed", "was ended by signal 9"),
        ("no-json", "gdb's document cannot be read"),
    ],
)
def test_an_explicit_gdb_that_fails_is_an_error(
    vice: str, words: str, crashed: Crashed, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["backtrace", str(crashed.core), "--gdb-timeout", "1.5", "--format", "json"]

    code = main([*command, "--gdb", fake(vice, crashed)])

    out, err = capsys.readouterr()
    assert code == 9
    assert words in err
    assert "  -> " in err  # what to do next
    assert "Traceback" not in err
    report = json.loads(out)
    assert report["verdict"]["class"] == "null-write"
    assert words in report["soft_errors"][-1]["message"]


def test_a_gdb_that_nobody_insists_on_may_fail(
    crashed: Crashed, only_on_path: OnPath, capsys: pytest.CaptureFixture[str]
) -> None:
    only_on_path(gdb=f'exec {fake("no-json", crashed)} "$@"')

    assert main(["backtrace", str(crashed.core), "--format", "json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "document cannot be read" in json.loads(out)["soft_errors"][-1]["message"]


def test_what_is_no_gdb(
    crashed: Crashed, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for named, words in fake_gdb.no_gdbs(tmp_path).items():
        code = main(["backtrace", str(crashed.core), "--gdb", named])
        out, err = capsys.readouterr()
        assert code == 9, named
        assert words in err
        assert "  -> " in err
        assert "#0" in out or "null" in out  # the report is there
        with pytest.raises((GdbMissing, GdbUnusable)):
            answer(crashed, named, tmp_path)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--values", "some"], "--values 'some' is not known"),
        (["--no-values", "--values", "all"], "contradict each other"),
        (["--gdb-timeout", "0"], "--gdb-timeout"),
        (["--gdb-timeout", "soon"], "--gdb-timeout"),
    ],
)
def test_a_command_line_that_makes_no_sense(
    arguments: list[str], words: str, crashed: Crashed, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["backtrace", str(crashed.core), *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err


# ---------------------------------------------------------------- somebody ends evdiag


def test_what_is_left_behind_is_noticed() -> None:
    """Also when its parent has gone and it has a session of its own."""
    with pytest.raises(AssertionError, match="still running"), none_left(seconds=0.1):
        subprocess.run(["sh", "-c", "setsid sleep 1000 & exit"], check=True)


@pytest.mark.parametrize(
    ("vice", "number", "code"),
    [
        ("hang", signal.SIGINT, 130),
        ("stubborn", signal.SIGINT, 130),
        ("hang-at-values", signal.SIGINT, 130),
        ("flood", signal.SIGINT, 130),
        ("stubborn", signal.SIGTERM, 143),
        ("hang-at-values", signal.SIGHUP, 129),
    ],
)
def test_who_ends_evdiag_ends_gdb(
    vice: str, number: signal.Signals, code: int, crashed: Crashed, tmp_path: Path
) -> None:
    pipe = tmp_path / "begun"
    os.mkfifo(pipe)
    begun = os.open(pipe, os.O_RDWR)  # for writing too: then opening does not wait for the other
    named = fake(vice, crashed, note=pipe)
    process = subprocess.Popen(
        [sys.executable, "-m", "evdiag", "backtrace", str(crashed.core), "--gdb", named],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert select.select([begun], [], [], 20.0)[0], "gdb was not started"
        pid = int(os.read(begun, 100))
        interrupted = time.monotonic()
        process.send_signal(number)
        _, err = process.communicate(timeout=20.0)
    finally:
        process.kill()
        process.wait()
        os.close(begun)

    assert process.returncode == code
    assert time.monotonic() - interrupted < SLACK
    assert "Traceback" not in err
    assert ("evdiag: interrupted" in err) == (number == signal.SIGINT)
    assert ended(pid)
