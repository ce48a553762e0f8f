"""Many cores, one gdb: what each core's own gdb would say, and no core in the way of another."""

import os
import shlex
import shutil
import signal
import struct
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
import pytest

from evdiag.adapters.gdb import conversation, debugger
from evdiag.adapters.gdb.debugger import Debugger
from evdiag.adapters.gdb.scene import Scene
from evdiag.adapters.value_cache import ValueCache
from evdiag.analyze.values import request_for
from evdiag.engine import Engine, Options
from evdiag.errors import GdbDied, GdbError, GdbRefused, GdbTimeout
from evdiag.model.report import Report
from evdiag.parse.elfcore import read_core
from evdiag.values import add_values, add_values_to_many
from tests.gdb.conftest import Bench, CoreOf
from tests.support import fake_gdb
from tests.support.crashers import mode_named
from tests.support.evdiag_command import evdiag
from tests.support.gdbs import GDBS
from tests.support.processes import ended

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

MODES = (
    "null-member-write",
    "stack-smash",  # gdb sees another stack, and is asked for it
    "assert-template",
    "throw-user-member",
    "deadlock-three",
    "null-member-write",
)
AT_ENTRY = 9
Item = tuple[Report, Scene]


class Counted:
    """A gdb that writes down each of its starts."""

    def __init__(self, folder: Path, command: str) -> None:
        self.log = folder / "starts"
        script = f'echo $$ >> {shlex.quote(str(self.log))}\nexec {command} "$@"'
        self.command = str(fake_gdb.scripts(folder / "counted", gdb=script) / "gdb")

    @property
    def pids(self) -> list[int]:
        """Its processes so far."""
        return [int(line) for line in self.log.read_text().split()] if self.log.exists() else []


Gdbs = Callable[[str], Counted]


@pytest.fixture
def gdbs(named_gdb: Callable[[str], str], tmp_path: Path) -> Gdbs:
    """One of GDBS, by its name."""
    return lambda name: Counted(tmp_path, named_gdb(name))


@pytest.fixture
def system(named_gdb: Callable[[str], str], tmp_path: Path) -> Counted:
    return Counted(tmp_path, named_gdb("system"))


def item(core: Path, bench: Bench) -> Item:
    analysis = bench.analysis(core)
    return analysis.report, analysis.scene()


def untimed(report: Report) -> Report:
    provenance = msgspec.structs.replace(report.provenance, timings={})
    return msgspec.structs.replace(report, provenance=provenance)


def apart(items: Sequence[Item], command: str, bench: Bench) -> list[Report]:
    """The reports by a gdb for each core."""
    asked = bench.debugger(command)
    return [untimed(add_values(*each, asked, "crash")[0]) for each in items]


def together(items: Sequence[Item], command: str, bench: Bench) -> list[Report]:
    """The reports by as few gdbs as can be."""
    found = list(add_values_to_many(items, bench.debugger(command), "crash"))
    assert [error for _, error in found] == [None] * len(items)
    return [untimed(report) for report, _ in found]


def copies(of: Path, folder: Path, *names: str) -> list[Path]:
    """The same core in other places."""
    for name in names:
        (folder / name).mkdir(parents=True)
        shutil.copy(of, folder / name / "core")
    return [folder / name / "core" for name in names]


# ---------------------------------------------------------------- the same values


@pytest.mark.parametrize("name", GDBS)
def test_each_report_is_that_of_a_gdb_of_its_own(
    name: str, gdbs: Gdbs, bench: Bench, core_of: CoreOf
) -> None:
    gdb = gdbs(name)
    items = [item(core_of(mode_named(mode), "O0"), bench) for mode in MODES]

    found = together(items, gdb.command, bench)

    assert len(gdb.pids) == 1
    assert found == apart(items, gdb.command, bench)
    assert found[1].threads[0].gdb_frames
    assert found[0] == found[-1]  # whatever was between them


def test_programs_have_gdbs_of_their_own_and_reports_their_order(
    system: Counted, bench: Bench, core_of: CoreOf
) -> None:
    mode = mode_named("null-member-write")
    ends = mode_named("abort")
    cores = [core_of(mode, "O0"), core_of(mode, "O2"), core_of(ends, "O0"), core_of(ends, "O2")]
    items = [item(core, bench) for core in cores]

    found = together(items, system.command, bench)

    assert len(system.pids) == 2
    assert [report.core.path for report in found] == [str(core) for core in cores]
    assert all(report.provenance.rung == "native+gdb" for report in found)


def test_cores_as_they_come_share_a_gdb_with_their_neighbours(
    system: Counted, bench: Bench, core_of: CoreOf
) -> None:
    mode, ends = mode_named("null-member-write"), mode_named("abort")
    first, second = core_of(mode, "O0"), core_of(ends, "O0")
    cores = [first, second, core_of(mode, "O2"), core_of(ends, "O2"), first]
    items = [item(core, bench) for core in cores]

    with bench.debugger(system.command).sittings() as gdb:
        found = [untimed(add_values(*each, gdb, "crash")[0]) for each in items]
        running = [pid for pid in system.pids if not ended(pid, 0.0)]

    assert running == system.pids[-1:]  # no more of them than one at a time
    assert len(system.pids) == 3
    assert ended(running[0])
    assert found == apart(items, system.command, bench)


@pytest.mark.parametrize("name", ["system", "wheel"])
def test_cores_that_gdb_cannot_read_whole_leave_nothing_for_the_next_one(
    name: str, gdbs: Gdbs, bench: Bench, core_of: CoreOf, tmp_path: Path
) -> None:
    """The libraries of the next core would have no symbols; the program would lie where it lay."""
    gdb = gdbs(name)
    good = core_of(mode_named("null-member-write"), "O0")
    cores = copies(good, tmp_path / "c", "cut", "first", "misplaced", "second")
    os.truncate(cores[0], good.stat().st_size // 2)
    _misplace(cores[2])
    items = [item(core, bench) for core in cores]

    found = together(items, gdb.command, bench)

    assert found == apart(items, gdb.command, bench)
    assert found[1].threads == found[3].threads


def _misplace(core: Path) -> None:
    """Let a core say that its program begins where it cannot."""
    data = bytearray(core.read_bytes())
    known = read_core(bytes(data)).auxv[AT_ENTRY]
    at = data.index(struct.pack("<QQ", AT_ENTRY, known))
    data[at : at + 16] = struct.pack("<QQ", AT_ENTRY, 0x1234)
    core.write_bytes(data)


def test_sources_lie_where_each_core_says(system: Counted, bench: Bench, core_of: CoreOf) -> None:
    report, scene = item(core_of(mode_named("null-member-write"), "O0"), bench)
    frame = next(frame for frame in report.threads[0].frames if frame.in_app)
    folder = str(Path(frame.file or "").parent)
    request = request_for(report, "crash", unwound=True)
    assert request is not None
    request = msgspec.structs.replace(request, places=True)
    maps: tuple[tuple[tuple[str, str], ...], ...] = ((), ((folder, "/a"),), ((folder, "/b"),), ())
    scenes = [msgspec.structs.replace(scene, source_maps=each) for each in maps]

    with bench.debugger(system.command).sitting() as sitting:
        answers = [sitting.values(each, request) for each in scenes]

    files = [answer.document.threads[0].frames[frame.level].file for answer in answers]
    name = Path(frame.file or "").name
    assert files == [f"{folder}/{name}", f"/a/{name}", f"/b/{name}", f"{folder}/{name}"]
    assert len(system.pids) == 1


def test_a_gdb_is_not_asked_for_ever(
    system: Counted, bench: Bench, core_of: CoreOf, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debugger, "MOST_CORES", 2)
    core = item(core_of(mode_named("null-member-write"), "O0"), bench)
    report, scene = core
    again = [(report, msgspec.structs.replace(scene)) for _ in range(3)]

    together([core, *again], system.command, bench)

    assert len(system.pids) == 2


# ---------------------------------------------------------------- a gdb that goes


def test_a_gdb_that_is_killed_between_two_cores_is_missed_by_nobody(
    system: Counted, bench: Bench, core_of: CoreOf
) -> None:
    items = [item(core_of(mode_named(name), "O0"), bench) for name in MODES[:2]]
    many = add_values_to_many(items, bench.debugger(system.command), "crash")

    found = [next(many)]
    os.kill(system.pids[0], signal.SIGKILL)
    assert ended(system.pids[0])
    found += many

    assert len(system.pids) == 2
    assert [error for _, error in found] == [None] * 2
    assert [untimed(r) for r, _ in found] == apart(items, system.command, bench)


def test_no_gdb_is_left_when_nobody_wants_the_rest(
    system: Counted, bench: Bench, core_of: CoreOf
) -> None:
    items = [item(core_of(mode_named(name), "O0"), bench) for name in MODES[:2]]
    many = add_values_to_many(items, bench.debugger(system.command), "crash")

    next(many)
    assert not ended(system.pids[0], 0.0)
    assert isinstance(many, Iterator)
    many.close()  # type: ignore[attr-defined]  # it is a generator

    assert ended(system.pids[0])


@pytest.mark.parametrize(
    ("vice", "kind", "starts"),
    [
        # the first gdb, and then one for the evil core: in the extractor's way, and without it
        ("dies-of-evil-cores", GdbDied, 4),
        ("refuses-evil-cores", GdbRefused, 3),
        ("hangs-at-evil-cores", GdbTimeout, 2),  # it had its time
    ],
)
def test_an_evil_core_loses_its_own_values_only(
    vice: str, kind: type[GdbError], starts: int, bench: Bench, core_of: CoreOf, tmp_path: Path
) -> None:
    good = core_of(mode_named("null-member-write"), "O0")
    cores = copies(good, tmp_path / "c", "good", "evil", "better", "best")
    items = [item(core, bench) for core in cores]
    gdb = Counted(tmp_path, _fake(vice, items[0][0]))

    found = list(add_values_to_many(items, Debugger(gdb.command, tmp_path, 3.0), "crash"))

    assert [type(error) for _, error in found] == [type(None), kind, type(None), type(None)]
    assert len(gdb.pids) == starts
    energies = [
        [v.value for f in report.threads[0].frames for v in f.locals if v.name == "energy"]
        for report, _ in found
    ]
    assert energies == [[fake_gdb.VALUE], [], [fake_gdb.VALUE], [fake_gdb.VALUE]]
    evil = found[1][0]
    assert evil.soft_errors[-1].message == str(found[1][1])
    assert msgspec.structs.replace(evil, soft_errors=evil.soft_errors[:-1]) == items[1][0]


def _fake(vice: str, report: Report) -> str:
    crashed = report.threads[0]
    return fake_gdb.command(vice, pc=int(crashed.frames[0].pc or 0), lwp=crashed.lwp)


def test_a_gdb_that_was_interrupted_is_not_asked_again(
    bench: Bench, core_of: CoreOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The interrupt may come late, and hit what it was not meant for."""
    monkeypatch.setattr(conversation, "PATIENCE", 0.3)
    core = core_of(mode_named("null-member-write"), "O0")
    cores = copies(core, tmp_path / "c", "first", "second")
    items = [item(core, bench) for core in cores]
    gdb = Counted(tmp_path, _fake("interrupted", items[0][0]))

    found = list(add_values_to_many(items, Debugger(gdb.command, tmp_path, 20.0), "crash"))

    assert [error for _, error in found] == [None, None]
    assert len(gdb.pids) == 2 * 2  # for values, and for the stack that it sees otherwise


# ---------------------------------------------------------------- what is known already


def test_what_is_known_is_not_asked_again(
    system: Counted, bench: Bench, core_of: CoreOf, tmp_path: Path
) -> None:
    gdb = system
    items = [item(core_of(mode_named(name), "O0"), bench) for name in MODES[:3]]
    contents = list(MODES[:3])

    def ask(known: Sequence[str | None]) -> tuple[list[Report], int]:
        """The reports, and how many gdbs they took."""
        before = len(gdb.pids)
        cache = ValueCache(tmp_path)
        asked = bench.debugger(gdb.command)
        found = add_values_to_many(items, asked, "crash", contents=known, cache=cache)
        return [untimed(report) for report, _ in found], len(gdb.pids) - before

    first, starts = ask(contents)
    again, starts_again = ask(contents)
    others, starts_of_others = ask(["another", None, contents[2]])

    assert first == again == others
    assert (starts, starts_again, starts_of_others) == (1, 0, 1)
    kept = list((tmp_path / "values").iterdir())
    assert {file.stat().st_mode & 0o777 for file in kept} == {0o600}
    assert len(kept) == 3 + 1 + 1  # stack-smash asks twice, "another" was asked once more


def test_another_gdb_is_asked_anew(bench: Bench, core_of: CoreOf, tmp_path: Path) -> None:
    core = item(core_of(mode_named("null-member-write"), "O0"), bench)
    gdb = Counted(tmp_path, _fake("none", core[0]))

    def ask() -> int:
        """How many gdbs it took."""
        before = len(gdb.pids)
        known = ValueCache(tmp_path)
        asked = Debugger(gdb.command, tmp_path, 20.0)
        list(add_values_to_many([core], asked, "crash", contents=["core"], cache=known))
        return len(gdb.pids) - before

    assert [ask(), ask()] == [1, 0]
    os.utime(gdb.command, ns=(1, 1))  # a newer one was installed in its place
    assert [ask(), ask()] == [1, 0]


def test_what_was_cut_short_is_not_kept(bench: Bench, core_of: CoreOf, tmp_path: Path) -> None:
    """Another time gdb may live, and say more."""
    core = item(core_of(mode_named("null-member-write"), "O0"), bench)
    asked = Debugger(_fake("dies-of-extractor", core[0]), tmp_path, 20.0)
    known = ValueCache(tmp_path)

    ((report, error),) = add_values_to_many([core], asked, "crash", contents=["core"], cache=known)

    assert error is None
    assert report.provenance.rung == "native+mi"
    assert not known.folder.exists()


def test_several_bundles_with_the_same_program_share_a_gdb(
    system: Counted, core_of: CoreOf, tmp_path: Path, bench: Bench
) -> None:
    """The program lies in another place for each of them."""
    core = core_of(mode_named("null-member-write"), "O0")
    program = bench.analysis(core).scene().program
    assert program is not None
    items = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        copy = shutil.copy(program, tmp_path / name / "program")
        analysis = Engine(Options(executable=Path(copy))).analyse(core)
        items.append((analysis.report, analysis.scene()))
    assert items[0][1].program != items[1][1].program

    found = together(items, system.command, bench)

    assert len(system.pids) == 1
    assert found == apart(items, system.command, bench)


def test_backtrace_of_several_cores_starts_gdb_once_for_a_program(
    system: Counted, core_of: CoreOf
) -> None:
    modes = ("null-member-write", "abort", "assert-template")
    cores = [core_of(mode_named(mode), "O0") for mode in modes]

    said = evdiag("backtrace", *cores, "--gdb", system.command)

    assert said.code == 0, said.err
    assert said.out.count("Values of the crashed thread") == len(cores)
    assert len(system.pids) == 1
    assert ended(system.pids[0], 0.0)
