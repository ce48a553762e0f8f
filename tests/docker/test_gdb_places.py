"""The same report from each place where gdb can run, and nothing of them left behind."""

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import pytest

from evdiag.adapters.docker.engine import ContainerEngine, connect
from evdiag.adapters.docker.gdb import LABEL
from evdiag.adapters.gdb.debugger import Debugger
from evdiag.adapters.gdb.places import NotHere, Place
from evdiag.commands._places import places
from evdiag.engine import Analysis, Engine, Options
from evdiag.errors import GdbUnusable
from evdiag.model.bundle import Subject
from evdiag.model.report import Report
from evdiag.report import FORMATS
from evdiag.report.json import to_text
from evdiag.values import add_values
from tests.conftest import need
from tests.support.charger import CORES, Charger, await_true, charger, docker
from tests.support.gdbs import GDBS, NoGdb

pytestmark = pytest.mark.docker


class Crashed(NamedTuple):
    """A core of a container, here and there, and what evdiag says of it without a gdb."""

    container: Charger
    core: Path
    origin: str
    analysis: Analysis

    def report(self, place: Place | None, gdb: str | None = None) -> Report:
        """With values from one place."""
        debugger = Debugger(gdb, self.core.parent, places=[place] if place else [])
        scene = self.analysis.scene()
        report, error = add_values(self.analysis.report, scene, debugger, "crash")
        assert error is None
        return report


@pytest.fixture(scope="module")
def engine(image: str) -> Iterator[ContainerEngine]:
    found = connect()
    yield found
    found.close()


@pytest.fixture(scope="module")
def crashed(image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Crashed]:
    folder = tmp_path_factory.mktemp("places")
    options = ("--network", "none", "--ulimit", "core=0")
    with charger(image, {}, options) as container:
        container.await_starts(1)
        container.crash("evse_manager", "null-member-write")
        await_true(lambda: bool(container.reports()), "a core")
        origin = f"{CORES}/{container.cores()[0]}"
        core = container.copy(origin, folder / "core")
        root = _mapped_files(container, core, folder)
        analysis = Engine(Options(sysroot=root)).analyse(core)
        yield Crashed(container, core, origin, analysis)


def _mapped_files(container: Charger, core: Path, folder: Path) -> Path:
    """What the process had mapped, as it lies in the container."""
    mapped = {module.path or "" for module in Engine(Options()).analyse(core).report.modules}
    named = sorted(path for path in mapped if path.startswith("/"))
    links = ("/lib", "/lib64")
    packed = subprocess.run(
        ["docker", "exec", container.name, "tar", "-cf", "-", "-P", *links, *named],
        capture_output=True,
        check=True,
        timeout=60,
    )
    root = folder / "root"
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(root, filter="tar")
    return root


def titles(found: tuple[Place, ...]) -> list[str]:
    return [place.title for place in found]


def contents(report: Report) -> dict[str, Any]:
    """All of a report but when and how it was made."""
    document = json.loads(to_text(report))
    assert document.pop("provenance")["gdb"]
    del document["created"]
    return dict(document)


def made_by(pid: int, kind: str) -> list[str]:
    """Containers or images of an evdiag; other tests may use gdb at the same time."""
    label = f"label={LABEL}={pid}@{socket.gethostname()}"
    words = ("ps", "-a") if kind == "containers" else ("images",)
    return docker(*words, "-q", "--filter", label).out.split()


def leftovers(pid: int) -> list[str]:
    return made_by(pid, "containers") + made_by(pid, "images")


@pytest.fixture(scope="module")
def expected(crashed: Crashed, request: pytest.FixtureRequest) -> dict[str, Any]:
    """What this machine's gdb says."""
    try:
        report = crashed.report(None, GDBS["system"]())
    except NoGdb as reason:
        need(request, "gdb", str(reason))
    assert report.provenance.gdb_place == "this machine"
    frame = report.threads[0].frames[0]
    assert any(v.value for v in (*frame.args, *frame.locals))
    return contents(report)


def test_while_the_container_runs(
    crashed: Crashed, engine: ContainerEngine, expected: dict[str, Any], image: str
) -> None:
    name = crashed.container.name
    found = places(engine, engine.container(name), {crashed.core: crashed.origin})
    assert titles(found) == [f"running container {name}", f"throw-away container of {image}"]
    for place in found:
        report = crashed.report(place)
        assert report.provenance.gdb_place == place.title
        assert contents(report) == expected
        shown = FORMATS["markdown"].load().render(report)
        assert place.title.rpartition(" ")[2] in shown
    assert crashed.container.exec("sh", "-c", "ls -d /tmp/evdiag-gdb-*").out == ""

    # a core that is not there any more is read elsewhere
    inside, apart = places(engine, engine.container(name), {crashed.core: "/tmp/gone"})
    with pytest.raises(NotHere), inside.opened(crashed.analysis.scene(), ()):
        pass
    assert crashed.report(apart).provenance.gdb_place == apart.title


def test_a_throw_away_container_can_do_nothing(crashed: Crashed, engine: ContainerEngine) -> None:
    facts = engine.container(crashed.container.name)
    subject = Subject(name="gone", id="0" * 64, image=facts.image, image_id=facts.image_id)
    (place,) = places(None, subject, {})
    with place.opened(crashed.analysis.scene(), ("--interpreter=mi3",)):
        (number,) = made_by(os.getpid(), "containers")
        made = json.loads(docker("inspect", number).out)[0]
        assert made["Id"] not in {found.id for found in engine.chargers()}
    host, config = made["HostConfig"], made["Config"]
    assert host["NetworkMode"] == "none"
    assert host["ReadonlyRootfs"] is True
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["PidsLimit"] > 0
    assert host["Memory"] == host["MemorySwap"] > 0
    assert host["CpuQuota"] > 0
    assert (host["Binds"], made["Mounts"], host["LogConfig"]["Type"]) == (None, [], "none")
    assert config["User"] == "everest"
    assert leftovers(os.getpid()) == []


def test_what_a_killed_evdiag_left_goes_at_the_next_use(
    crashed: Crashed, engine: ContainerEngine, image: str
) -> None:
    def made(owner: int) -> str:
        label = f"{LABEL}={owner}@{socket.gethostname()}"
        return docker("create", "--label", label, image).out.strip()

    nobody, somebody = made(99_999_999), made(os.getppid())
    try:
        inside, apart = places(engine, engine.container(crashed.container.name), {})
        with pytest.raises(NotHere), inside.opened(crashed.analysis.scene(), ()):
            pass
        assert docker("inspect", nobody).code == 0, "nothing was made yet"
        gone = msgspec.structs.replace(crashed.analysis.scene(), core=Path("/nonexistent"))
        with pytest.raises(GdbUnusable), apart.opened(gone, ()):
            pass
        assert docker("inspect", nobody).code != 0
        assert docker("inspect", somebody).code == 0
    finally:
        docker("rm", "-f", nobody, somebody)


def test_without_an_engine_there_is_no_place(
    crashed: Crashed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = Subject(name="everest", id="0" * 64, image_id="sha256:" + "0" * 64)
    assert places(None, subject, {}) == (), "another machine's"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nothing")
    assert places(None, subject, {}) == ()
    monkeypatch.setenv("DOCKER_HOST", "ssh://somewhere")
    assert places(None, subject, {}) == ()
    assert places(None, Subject(kind="folder", name="cores"), {}) == ()


KILLED = """
import sys
from pathlib import Path
from evdiag.adapters.docker.engine import connect
from evdiag.adapters.gdb.debugger import SAFE
from evdiag.commands._places import places
from evdiag.engine import Engine, Options
core, root, name, origin, number = sys.argv[1:]
engine = connect()
scene = Engine(Options(sysroot=Path(root))).analyse(Path(core)).scene()
place = places(engine, engine.container(name), {Path(core): origin})[int(number)]
with place.opened(scene, (*SAFE, "--interpreter=mi3")) as opened:
    opened.talk.send("python import time; time.sleep(1000)")
    opened.talk.lines(0)
    print("up", flush=True)
    sys.stdin.read()
"""


def test_when_evdiag_is_killed_gdb_ends_too(crashed: Crashed) -> None:
    container = crashed.container
    words = [str(crashed.core), str(crashed.core.parent / "root"), container.name, crashed.origin]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", KILLED, *words, number],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        for number in ("0", "1")
    ]
    for process in running:
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"up\n"
            os.kill(process.pid, signal.SIGKILL)
    pids = [process.pid for process in running]
    await_true(lambda: not any(map(leftovers, pids)), "the throw-away container is gone")
    await_true(lambda: container.processes("gdb_scene|gdb -nx") == [], "gdb is gone")
    await_true(
        lambda: container.exec("sh", "-c", "ls -d /tmp/evdiag-gdb-*").out == "", "its folder is"
    )


def test_after_the_container_has_ended(
    crashed: Crashed, engine: ContainerEngine, expected: dict[str, Any], image: str
) -> None:
    """The last one: it ends the container, and changes a library that the core maps there."""
    container = crashed.container
    assert docker("kill", container.name).code == 0
    origins = {crashed.core: crashed.origin}
    found = places(engine, engine.container(container.name), origins)
    commit = f"throw-away container of a commit of {container.name}"
    assert titles(found) == [f"throw-away container of {image}", commit]
    report = crashed.report(found[0])
    assert report.provenance.gdb_place == found[0].title
    assert contents(report) == expected

    # a program that was changed since: the image has another one, the container this one
    program = crashed.analysis.report.process.executable or ""
    here = crashed.core.parent / "root" / program.lstrip("/")
    with here.open("ab") as opened:
        opened.write(b"longer")
    assert docker("cp", str(here), f"{container.name}:{program}").code == 0
    changed = Engine(Options(sysroot=crashed.core.parent / "root")).analyse(crashed.core)
    debugger = Debugger(None, crashed.core.parent, places=found)
    report, _ = add_values(changed.report, changed.scene(), debugger, "crash")
    assert report.provenance.gdb_place == commit
    assert contents(report) == expected
    assert len(made_by(os.getpid(), "images")) == 1
    del found, debugger
    assert leftovers(os.getpid()) == []
