"""gdb beyond an engine's connection: the same values, and nothing that a bad one can do.

The program that evdiag sends into containers runs here, with a gdb of this machine or a fake one
on its PATH; between both is a connection as the engine makes it.
"""

import contextlib
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import msgspec
import pytest

from evdiag.adapters.docker import gdb as gdb_module
from evdiag.adapters.docker.gdb import DEBUG_ROOTS, Apart, Places, command
from evdiag.adapters.docker.gdb_files import Offer, contents, fingerprint, offer
from evdiag.adapters.gdb import find, process
from evdiag.adapters.gdb.debugger import Answer, Debugger
from evdiag.adapters.gdb.places import Opened, Place
from evdiag.adapters.gdb.scene import Scene, settings
from evdiag.analyze.gdb_place import OF_IMAGE, Choice
from evdiag.analyze.values import request_for
from evdiag.engine import Engine, Options
from evdiag.errors import GdbDied, GdbError, GdbMissing, GdbRefused, GdbTimeout, GdbUnusable
from evdiag.model.values import Request
from tests.conftest import need
from tests.support import engine_end, fake_gdb
from tests.support.crashers import CannotBuild, CannotMakeCores, make_core, mode_named
from tests.support.gdbs import GDBS, NoGdb
from tests.support.processes import Growth, ended, none_left

TIMEOUT = 2.0


class Crashed(NamedTuple):
    """A core, and what gdb is asked about it."""

    scene: Scene
    request: Request

    @property
    def core(self) -> Path:
        return self.scene.core


@pytest.fixture(scope="module")
def crashed(request: pytest.FixtureRequest) -> Crashed:
    try:
        core = make_core(mode_named("null-member-write"), "O0").core
    except (CannotBuild, CannotMakeCores) as reason:
        need(request, "native", str(reason))
    analysis = Engine(Options()).analyse(core)
    asked = request_for(analysis.report, "crash", unwound=True)
    assert asked is not None
    return Crashed(analysis.scene(), asked)


@pytest.fixture
def system_gdb(request: pytest.FixtureRequest) -> str:
    try:
        return GDBS["system"]()
    except NoGdb as reason:
        need(request, "gdb", str(reason))


@pytest.fixture(autouse=True)
def no_leftovers() -> Iterator[None]:
    with none_left():
        yield


class Nearby(Apart):
    """A place as in a container, but for the container."""

    def __init__(
        self, folder: Path, gdb: str, core: Path | None = None, program: Sequence[str] = ()
    ) -> None:
        origins = {core: str(core)} if core is not None else {}
        choice = Choice(kind=OF_IMAGE, title="throw-away container of near", source="")
        super().__init__(Places(engine_end.ENGINE, None, origins), choice)
        self.folder = PurePosixPath(folder, "scene")
        Path(self.folder).mkdir()
        self.path = fake_gdb.scripts(folder / "bin", gdb=f'exec {gdb} "$@"')
        self.program = program
        self.missing: list[int] = []

    @contextlib.contextmanager
    def opened(self, scene: Scene, arguments: Sequence[str]) -> Iterator[Opened]:
        offered = self.offered(scene)
        asked = self.asked(scene, arguments, offered, self.folder)
        environment = {"PATH": f"{self.path}:{os.environ['PATH']}"}
        words = self.program or [sys.executable, *command(asked)[1:]]
        with (
            engine_end.attached(words, environment) as attached,
            self.spoken(attached, asked, offered) as line,
        ):
            yield Opened(line, settings(scene, self.folder, DEBUG_ROOTS))

    def _check_missing(self, missing: Sequence[int], offered: Offer) -> None:
        self.missing = list(missing)
        super()._check_missing(missing, offered)


def ask(place: Place, crashed: Crashed, cache: Path, timeout: float = 60.0) -> Answer:
    with Debugger(None, cache, timeout).sitting() as sitting:
        return sitting.ask_in(place, crashed.scene, crashed.request)


def faked(vice: str, crashed: Crashed, **options: object) -> str:
    return fake_gdb.command(vice, pc=crashed.request.pc, lwp=crashed.request.crashed, **options)


# ---------------------------------------------------------------- the same values


def test_the_same_values_as_on_this_machine(
    crashed: Crashed, system_gdb: str, tmp_path: Path
) -> None:
    expected = Debugger(system_gdb, tmp_path / "cache").values(crashed.scene, crashed.request)
    place = Nearby(tmp_path, system_gdb)

    answer = ask(place, crashed, tmp_path / "cache")

    assert answer.document == expected.document
    assert answer.document.threads[0].frames[0].args
    assert (expected.place, answer.place) == ("this machine", "throw-away container of near")
    # libraries and program lie where the process knew them: only the core is sent
    assert place.missing == [0]


def test_a_core_that_is_there_is_not_sent(crashed: Crashed, tmp_path: Path) -> None:
    place = Nearby(tmp_path, faked("none", crashed), crashed.core)
    assert ask(place, crashed, tmp_path).document.threads[0].frames
    assert place.missing == []


def test_a_core_that_is_another_one_by_now_is_sent(crashed: Crashed, tmp_path: Path) -> None:
    other = tmp_path / "core"
    data = bytearray(crashed.core.read_bytes())
    data[-1] ^= 1
    other.write_bytes(data)
    place = Nearby(tmp_path, faked("none", crashed))
    place.shared.origins[crashed.core.absolute()] = str(other)

    assert ask(place, crashed, tmp_path).document.threads[0].frames
    assert place.missing == [0]


def test_a_gdb_that_complains_much_still_answers(crashed: Crashed, tmp_path: Path) -> None:
    answer = ask(Nearby(tmp_path, faked("stderr", crashed)), crashed, tmp_path)
    assert answer.document.threads[0].frames[0].locals[0].value == fake_gdb.VALUE


def test_gdb_runs_with_limits(crashed: Crashed, tmp_path: Path) -> None:
    answer = ask(Nearby(tmp_path, faked("limits", crashed)), crashed, tmp_path)
    shown = {v.name: v.value for v in answer.document.threads[0].frames[0].locals}
    memory = crashed.scene.memory
    assert shown == {"core": "0 0", "memory": f"{memory} {memory}"}


# ---------------------------------------------------------------- bad gdbs

FAULTS: list[tuple[str, type[GdbError], str]] = [
    ("exit", GdbUnusable, "near ended with status 3: fake: cannot open shared object file"),
    ("hang", GdbUnusable, "near did not answer -list-features in 2 s"),
    ("flood", GdbTimeout, "did not answer -target-select"),
    ("stubborn", GdbTimeout, "did not answer -target-select"),
    ("endless", GdbRefused, "printed a line of more than 1 MB"),
    ("killed", GdbDied, "was ended by signal 9"),
    ("orphan", GdbDied, "ended with status 1"),
    ("half-exits", GdbDied, "ended with status 0"),
]


@pytest.mark.parametrize(("vice", "kind", "words"), FAULTS, ids=[vice for vice, *_ in FAULTS])
def test_a_gdb_that_gives_no_values(
    vice: str,
    kind: type[GdbError],
    words: str,
    crashed: Crashed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(process, "MAX_LINE", 1 << 20)
    place = Nearby(tmp_path, faked(vice, crashed), crashed.core)
    with Growth() as growth, pytest.raises(kind, match=words):
        ask(place, crashed, tmp_path, TIMEOUT)
    assert growth.megabytes < 60


def test_gdb_is_interrupted_at_a_value_that_does_not_end(crashed: Crashed, tmp_path: Path) -> None:
    note = tmp_path / "note"
    place = Nearby(tmp_path, faked("hang-greeted", crashed, note=note), crashed.core)
    with place.opened(crashed.scene, ()) as opened:
        opened.talk.send("1-target-select core")
        deadline = time.monotonic() + 10
        while not note.exists() or not note.read_text().endswith("\n"):
            assert time.monotonic() < deadline
            assert opened.talk.lines(time.monotonic() + 0.05) == []
        opened.talk.interrupt()
        with pytest.raises(GdbDied, match="ended with status 1"):
            opened.talk.lines(time.monotonic() + 10)


def test_gdb_ends_with_the_connection(crashed: Crashed, tmp_path: Path) -> None:
    note = tmp_path / "note"
    place = Nearby(tmp_path, faked("stubborn", crashed, note=note), crashed.core)
    with place.opened(crashed.scene, ()) as opened:
        opened.talk.send("1-target-select core")
        deadline = time.monotonic() + 10
        while not note.exists() or not note.read_text().endswith("\n"):
            assert time.monotonic() < deadline
            assert opened.talk.lines(time.monotonic() + 0.05) == []
    assert ended(int(note.read_text()))


# ---------------------------------------------------------------- bad containers

ANSWERS = [
    ("exit 3", "near ended"),
    ("echo nonsense", "is no answer"),
    ("echo '{\"missing\": [0, 0]}'", "is no answer"),
    ("echo '{\"missing\": [4711]}'", "is no answer"),
    ("echo '{\"missing\": [-1]}'", "is no answer"),
    ('echo \'{"problem": "there is no gdb"}\'', "cannot be used: there is no gdb"),
    ("exec tr '\\0' x < /dev/zero", "printed a line of"),
    ("exec cat /dev/zero >&2", "did not start in time"),
    ("cat > /dev/null", "did not start in time"),
    ("echo '{\"missing\": [0]}'; exec sleep 60", "could not be sent in time"),
    ("echo '{\"missing\": [0]}'; head -c 9999 > /dev/null", "near"),
    ("echo '{}'; cat > /dev/null", "did not start in time"),
]


@pytest.mark.parametrize(("script", "words"), ANSWERS, ids=[script for script, _ in ANSWERS])
def test_a_container_that_answers_badly(
    script: str,
    words: str,
    crashed: Crashed,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("STARTING", "SENDING"):
        monkeypatch.setattr(gdb_module, name, 0.5)
    place = Nearby(tmp_path, "false", program=["sh", "-c", script])
    with Growth() as growth, pytest.raises(GdbUnusable, match=words):
        ask(place, crashed, tmp_path)
    assert growth.megabytes < 60


@pytest.fixture
def here(crashed: Crashed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The gdb of this machine, which answers at once."""
    script = f'exec {faked("none", crashed)} "$@"'
    folder = fake_gdb.scripts(tmp_path / "here", gdb=script)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return str(folder / "gdb")


def test_after_a_place_of_no_use_the_next_is_asked(
    crashed: Crashed, here: str, tmp_path: Path
) -> None:
    place = Nearby(tmp_path, "false", program=["echo", '{"problem": "there is no gdb"}'])
    debugger = Debugger(None, tmp_path, places=[place])

    answer = debugger.values(crashed.scene, crashed.request)
    again = debugger.values(crashed.scene, crashed.request)

    assert answer.place == "this machine"
    assert answer.notes == (
        "gdb in a throw-away container of near cannot be used: there is no gdb",
    )
    assert again.notes == (), "what is of no use is not tried for each core"


def test_a_place_that_is_not_for_a_core_is_no_failure(
    crashed: Crashed, here: str, tmp_path: Path
) -> None:
    program = ["echo", '{"unfit": "the core belongs to root"}']
    places = [Nearby(tmp_path, "false", program=program)]
    answer = Debugger(None, tmp_path, places=places).values(crashed.scene, crashed.request)
    assert (answer.place, answer.notes) == ("this machine", ())


def test_who_names_a_gdb_gets_that_one(crashed: Crashed, here: str, tmp_path: Path) -> None:
    place = Nearby(tmp_path, "false", crashed.core)
    answer = Debugger(here, tmp_path, places=[place]).values(crashed.scene, crashed.request)
    assert (answer.place, answer.notes, place.missing) == ("this machine", (), [])


def test_without_any_gdb_both_reasons_are_told(
    crashed: Crashed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Nearby(tmp_path, "false", program=["/bin/echo", '{"problem": "there is no gdb"}'])
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(find, "WHEEL", "no_such_wheel")
    with pytest.raises(GdbMissing, match=r"near cannot be used: there is no gdb; there is no gdb"):
        Debugger(None, tmp_path, places=[place]).values(crashed.scene, crashed.request)


# ---------------------------------------------------------------- files


def test_only_what_differs_counts_as_the_same(tmp_path: Path) -> None:
    file = tmp_path / "file"
    size = 9 << 20
    file.write_bytes(bytes(size))

    def mark() -> str:
        with file.open("rb") as opened:
            return fingerprint(opened.fileno(), size)

    found = {mark()}
    for at in (0, 64, (1 << 20) - 1, size - (1 << 20), size - 1):
        file.write_bytes(bytes(size))
        with file.open("r+b") as opened:
            opened.seek(at)
            opened.write(b"x")
        found.add(mark())
    assert len(found) == 6


def test_files_are_sent_with_their_holes(crashed: Crashed, tmp_path: Path) -> None:
    core = tmp_path / "core"
    with core.open("wb") as opened:
        opened.truncate(64 << 20)
        opened.seek(40 << 20)
        opened.write(b"data" * 4096)
    scene = msgspec.structs.replace(crashed.scene, core=core)
    offered = offer(scene, None)
    sent = b"".join(contents(offered, [0]))
    assert len(sent) < 1 << 17
    assert offered.bytes_of([0]) < 1 << 17
    assert b"data" * 4096 in sent
    assert sent.endswith(b"-1 0\n")
    assert offered.files[0].size == 64 << 20


def test_a_core_that_is_gone_is_said_so(crashed: Crashed, tmp_path: Path) -> None:
    gone = msgspec.structs.replace(crashed.scene, core=tmp_path / "gone")
    choice = Choice(kind=OF_IMAGE, title="throw-away container of x", source="")
    with pytest.raises(GdbUnusable, match="the core cannot be read"):
        Apart(Places(engine_end.ENGINE, None, {}), choice).offered(gone)
