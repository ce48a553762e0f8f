"""A real engine that stops, hangs, starts again or runs out of room while evdiag uses it."""

import io
import os
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from evdiag.adapters.docker.engine import ContainerEngine, Ran, connect
from evdiag.adapters.docker.errors import translated
from evdiag.errors import (
    ContainerStopped,
    DiskFull,
    EngineTimeout,
    EngineUnreachable,
    EvdiagError,
    NoSuchImage,
)
from tests.conftest import need
from tests.support.second_engine import IMAGE, SecondEngine, missing, second_engine

pytestmark = pytest.mark.docker

SECONDS = 20.0
FULL = 48
"""Megabytes: an engine with an empty store takes 2, a log file and a database some more."""


@pytest.fixture(scope="module")
def possible(request: pytest.FixtureRequest) -> None:
    """This machine can have a second engine."""
    reason = missing()
    if reason is not None:
        need(request, "docker", reason)


@pytest.fixture(scope="module")
def other(possible: None) -> Iterator[SecondEngine]:
    """An engine that the tests of this file stop and start, with a container that they all use."""
    with second_engine() as started:
        started.run("talker", "talk")
        yield started


@pytest.fixture
def engine(other: SecondEngine, monkeypatch: pytest.MonkeyPatch) -> Iterator[ContainerEngine]:
    """evdiag's end of the connection to it."""
    monkeypatch.setenv("DOCKER_HOST", other.host)
    connected = connect()
    yield connected
    connected.close()


class Doing(threading.Thread):
    """Something that is under way in a thread of its own, and how it ended."""

    def __init__(self, call: Callable[[threading.Event], object]) -> None:
        super().__init__(daemon=True)
        self.begun = threading.Event()
        self.ended: object = None
        self._call = call
        self.start()

    def run(self) -> None:
        try:
            self.ended = self._call(self.begun)
        except BaseException as error:  # noqa: BLE001 - the test looks at it
            self.ended = error


class User:
    """Somebody who has `evdiag logs -f` of the talker running, and has seen its first line."""

    PROGRAM = """if True:
        import sys
        from evdiag.cli import main
        from evdiag.commands import _charger_logs
        _charger_logs.ENGINE_PATIENCE = float(sys.argv[1])
        sys.exit(main(["logs", "--follow", "--name", "talker"]))
    """

    def __init__(self, host: str, patience: float) -> None:
        environment = {**os.environ, "DOCKER_HOST": host, "PYTHONUNBUFFERED": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", self.PROGRAM, str(patience)],
            env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self._process.stdout is not None
        first = self._process.stdout.readline()
        assert "line" in first, (first, self.leave())

    def message(self) -> str:
        """The next thing that it says on stderr."""
        assert self._process.stderr is not None
        return self._process.stderr.readline()

    def leave(self, *, interrupt: bool = False) -> tuple[int, str]:
        """Wait for its end; returns the code and the rest of what it said."""
        if interrupt:
            self._process.send_signal(signal.SIGINT)
        try:
            _, err = self._process.communicate(timeout=SECONDS)
        finally:
            self._process.kill()
            self._process.wait()
        assert "Traceback" not in err
        return self._process.returncode, err


def test_it_crashes_while_everything_is_under_way(
    other: SecondEngine, engine: ContainerEngine
) -> None:
    other.docker("start", "talker")
    other.run("holder", "hole", str(3 << 30))

    def follow(begun: threading.Event) -> None:
        with translated("follow the output of talker"):
            for _ in engine.api.logs("talker", stream=True, follow=True):
                begun.set()

    def execute(begun: threading.Event) -> Ran:
        begun.set()
        return connect().run_in("talker", ["/program", "wait"])

    def copy(begun: threading.Event) -> None:
        for _ in connect().archive("holder", "/hole"):
            begun.set()

    doing = {"follow": Doing(follow), "execute": Doing(execute), "copy": Doing(copy)}
    user = User(other.host, patience=60)
    for name, thread in doing.items():
        assert thread.begun.wait(SECONDS), (name, thread.ended)
    other.crash()

    # the SDK takes a stream that breaks off for one that ends: who follows has to ask afterwards
    doing["follow"].join(SECONDS)
    assert doing["follow"].ended is None or isinstance(doing["follow"].ended, EngineUnreachable)
    for name, words in (
        ("execute", "could not run /program in talker: "),
        ("copy", "could not copy /hole out of holder: "),
    ):
        doing[name].join(SECONDS)
        ended = doing[name].ended
        assert isinstance(ended, EngineUnreachable), (name, ended)
        assert str(ended).startswith(words)
    with pytest.raises(EngineUnreachable, match="the container engine is not running any more"):
        engine.container("talker")
    assert "the container engine is away; waiting 60 s for it" in user.message()
    other.start()
    assert "the container engine is back" in user.message()
    assert "talker has stopped" in user.message()
    assert user.leave(interrupt=True)[0] == 130


def test_it_stops_and_starts_again(other: SecondEngine, engine: ContainerEngine) -> None:
    other.docker("start", "talker")
    talker = engine.container("talker").id
    user = User(other.host, patience=0.5)

    other.stop()

    code, err = user.leave()
    assert code == 4
    assert "evdiag: could not look at the container " in err
    assert ": the container engine's socket is gone\n" in err
    assert "\n  -> Start it" in err
    with pytest.raises(EngineUnreachable, match="the container engine's socket is gone") as error:
        engine.container(talker)
    assert talker not in str(error.value), "an id is shown in its short form"
    other.start()
    facts = engine.container("talker")  # by the connection from before
    assert facts.state == "exited"
    with pytest.raises(ContainerStopped, match="the container does not run"):
        engine.run_in("talker", ["/program"])


def test_it_leaves_the_network_of_the_machine_alone(other: SecondEngine) -> None:
    assert other.network != str(Path("/proc/self/ns/net").readlink())


def test_it_hangs(
    other: SecondEngine, engine: ContainerEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVDIAG_ENGINE_TIMEOUT", "0.5")
    engine.api.timeout = 0.5
    begin = time.monotonic()
    with other.held():
        with pytest.raises(EngineTimeout, match="did not answer in time"):
            engine.container("talker")
        with pytest.raises(EngineTimeout, match="did not answer in time") as error:
            connect()
    assert time.monotonic() - begin < 10
    assert other.host in str(error.value)
    assert "EVDIAG_ENGINE_TIMEOUT" in error.value.advice
    engine.api.timeout = SECONDS
    assert engine.facts().storage_driver, "it goes on as if nothing had been"


def test_images_and_platforms_it_does_not_have(engine: ContainerEngine) -> None:
    with pytest.raises(NoSuchImage, match="there is no image nope:latest"):
        engine.image("nope:latest")
    with (
        pytest.raises(NoSuchImage, match="the image is for linux/amd64, not for linux/"),
        translated("make x"),
    ):
        engine.api.create_container(IMAGE, name="x", platform="linux/riscv64")


def test_its_disk_is_full(possible: None, monkeypatch: pytest.MonkeyPatch) -> None:
    with second_engine(FULL) as small:
        monkeypatch.setenv("DOCKER_HOST", small.host)
        engine = connect()
        small.docker("create", "--network", "none", "--name", "waiting", IMAGE, "wait")
        fill(small.folder / "filling")

        said = [
            complaint("make another", lambda: engine.api.create_container(IMAGE, name="another")),
            complaint("start waiting", lambda: engine.api.start("waiting")),
            complaint("copy into waiting", lambda: engine.api.put_archive("waiting", "/", big())),
        ]

        assert [type(error) for error in said] == [DiskFull] * 3, said
        assert str(said[0]).startswith("could not make another: the engine's disk is full")
        assert "docker system prune" in said[0].advice
        assert engine.container("waiting").state == "created", "what needs no room works"
        engine.close()


def fill(path: Path) -> None:
    """Take all the room that there is."""
    with path.open("wb", buffering=0) as file:
        size = 1 << 20
        while size >= 512:
            try:
                file.write(bytes(size))
            except OSError:
                size //= 2


def big() -> bytes:
    """An archive with a file of a megabyte."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as archive:
        entry = tarfile.TarInfo("file")
        entry.size = 1 << 20
        archive.addfile(entry, io.BytesIO(bytes(1 << 20)))
    return target.getvalue()


def complaint(doing: str, call: Callable[[], object]) -> EvdiagError:
    """The error that a call ends with."""
    with pytest.raises(EvdiagError) as error, translated(doing):
        call()
    return error.value
