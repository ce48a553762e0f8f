"""gdb in containers: in the one that the core came from, or in one made for it and thrown away."""

import contextlib
import json
import os
import re
import socket
import time
import uuid
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import msgspec

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.adapters.docker.gdb_files import DEBUG_FOLDER, Offer, contents, offer
from evdiag.adapters.docker.gdb_line import ENDED, Line
from evdiag.adapters.docker.inside import source
from evdiag.adapters.docker.streams import Attached, attach
from evdiag.adapters.gdb.places import NotHere, Opened, bare
from evdiag.adapters.gdb.scene import FOLDERS, Scene, settings
from evdiag.analyze.gdb_place import INSIDE, OF_COMMIT, Choice, fits, within
from evdiag.errors import EvdiagError, GdbUnusable
from evdiag.model.charger import TEST_PROCESS, USER, ImageFacts

LABEL = "org.evdiag.gdb"
"""On throw-away containers, and on images of commits for them: whose they are."""
STARTING = 20.0
"""Seconds for the first answer; as for a gdb of this machine."""
SENDING = 120.0
LIFE = 3600
"""Seconds after which all of it ends by itself, should nothing else have ended it."""
OLD = 600.0
"""Seconds after which what is not in use is removed, whosever it is."""
GONE = 5.0
"""Seconds in which the engine removes a container that has ended."""
MOST_SENT = 1 << 30
"""Bytes: they are held in memory there."""
SPARE = 64 << 20
PROCESSES = 512
"""gdb has a thread for each processor, at most."""
PERIOD, PROCESSORS = 100_000, 2
NOBODY = "65534:65534"
OWN_FOLDER, SHARED_FOLDER = "/evdiag-gdb", "/tmp"  # noqa: S108 - paths in the container
DEBUG_ROOTS = (PurePosixPath(DEBUG_FOLDER),)


class _Answer(msgspec.Struct):
    """What the program in the container says."""

    missing: tuple[int, ...] = ()
    ready: bool = False
    problem: str = ""
    unfit: str = ""


class Places:
    """What the places of one container share: the engine, and a commit that is made once.

    `origins` tells where in the container each core of this machine lies.
    """

    def __init__(
        self, engine: ContainerEngine, image: ImageFacts | None, origins: Mapping[Path, str]
    ) -> None:
        self.engine, self.image = engine, image
        self.user = USER if image is not None and image.is_charger else NOBODY
        self.origins = {path.absolute(): origin for path, origin in origins.items()}
        self._commit: str | None = None
        self._swept = False

    def place(self, choice: Choice) -> "InContainer | ThrowAway":
        """The place for a choice."""
        return (InContainer if choice.kind == INSIDE else ThrowAway)(self, choice)

    def commit(self, container: str) -> str:
        """An image of a container as it is; removed with this object. Raises EngineError."""
        if self._commit is None:
            with translated(f"make an image of {container[:12]}"):
                labels = {LABEL: _owner(), TEST_PROCESS: LABEL}
                made = self.engine.api.commit(container, conf={"Labels": labels}, pause=False)
                self._commit = str(made["Id"])
            weakref.finalize(self, _remove_image, self.engine, self._commit)
        return self._commit

    def sweep(self) -> None:
        """Remove what an evdiag that was killed has left, once."""
        if not self._swept:
            self._swept = True
            with contextlib.suppress(EvdiagError), translated("list what is left over"):
                _sweep(self.engine)


class Apart:
    """What both kinds of places do alike."""

    keeps_index = False

    def __init__(self, shared: Places, choice: Choice) -> None:
        self.shared, self.choice, self.title = shared, choice, choice.title
        self._name = f"gdb {within(choice.title)}"

    def offered(self, scene: Scene) -> Offer:
        """The files of a core, if this place is for it. Raises NotHere, GdbUnusable."""
        image = self.shared.image
        if image is not None and not fits(image.architecture, scene.machine.name):
            raise NotHere(f"{self._name} does not know {scene.machine.name}")
        try:
            return offer(scene, self.shared.origins.get(scene.core.absolute()))
        except (OSError, ValueError) as error:
            raise GdbUnusable(f"the core cannot be read: {error}") from None

    @contextlib.contextmanager
    def spoken(self, attached: Attached, asked: bytes, offered: Offer) -> Iterator[Line]:
        """The way to a gdb that has all of its files. Raises NotHere, GdbUnusable."""
        line = Line(attached, self._name)
        try:
            deadline = time.monotonic() + STARTING
            line.give([asked], deadline)
            missing = self._checked(line.answer(_Answer, deadline)).missing
            self._check_missing(missing, offered)
            deadline = time.monotonic() + SENDING
            try:
                line.give(contents(offered, missing), deadline)
            except OSError as error:
                raise GdbUnusable(f"a file cannot be read: {error}") from None
            self._checked(line.answer(_Answer, deadline))
            yield line
        finally:
            line.close()

    def _checked(self, answer: _Answer) -> _Answer:
        """Raises NotHere, GdbUnusable."""
        if answer.unfit:
            raise NotHere(answer.unfit[:200])
        if answer.problem:
            raise GdbUnusable(f"{self._name} cannot be used: {answer.problem[:200]}")
        return answer

    def _check_missing(self, missing: Sequence[int], offered: Offer) -> None:
        """Raises NotHere, GdbUnusable."""
        numbers = set(missing)
        if not numbers <= set(range(len(offered.files))) or len(numbers) != len(missing):
            raise GdbUnusable(f"{self._name}: what its container answered is no answer")
        size = offered.bytes_of(missing)
        if size > MOST_SENT:
            raise GdbUnusable(f"{self._name} would need {size >> 20} MB of files from here")

    def asked(
        self, scene: Scene, arguments: Sequence[str], offered: Offer, folder: PurePosixPath
    ) -> bytes:
        """What the program in the container is told first."""
        document = {
            "folder": str(folder),
            "is_shared": self.choice.kind == INSIDE,
            "files": [
                {"size": file.size, "fingerprint": file.fingerprint, "paths": file.paths}
                for file in offered.files
            ],
            "links": offered.links,
            "folders": FOLDERS,
            "arguments": arguments,
            "environment": bare(folder),
            "memory": scene.memory,
            "life": LIFE,
            "ended": ENDED,
        }
        # not msgspec's: names may be any bytes
        return json.dumps(document).encode()


class InContainer(Apart):
    """The running container that the core came from, if it still has it."""

    @contextlib.contextmanager
    def opened(self, scene: Scene, arguments: Sequence[str]) -> Iterator[Opened]:
        """Start gdb there. Raises NotHere, GdbUnusable."""
        offered = self.offered(scene)
        if not offered.files[0].paths:
            raise NotHere("the core is from elsewhere")
        folder = PurePosixPath(SHARED_FOLDER, f"evdiag-gdb-{uuid.uuid4().hex}")
        asked = self.asked(scene, arguments, offered, folder)
        try:
            attached = attach(self.shared.engine, self.choice.source, command(asked))
        except EvdiagError as error:
            raise GdbUnusable(f"{self._name} cannot be started: {error}") from None
        with self.spoken(attached, asked, offered) as line:
            yield Opened(line, settings(scene, folder, DEBUG_ROOTS))

    def _check_missing(self, missing: Sequence[int], offered: Offer) -> None:
        super()._check_missing(missing, offered)
        if 0 in missing:
            raise NotHere("the core is not there any more")


class ThrowAway(Apart):
    """A container of an image, or of a commit, that can do nothing but read what it is given."""

    @contextlib.contextmanager
    def opened(self, scene: Scene, arguments: Sequence[str]) -> Iterator[Opened]:
        """Make it and start gdb there; it is removed in any case. Raises NotHere, GdbUnusable."""
        self.shared.sweep()
        offered = self.offered(scene)
        folder = PurePosixPath(OWN_FOLDER)
        asked = self.asked(scene, arguments, offered, folder)
        name = f"evdiag-gdb-{uuid.uuid4().hex[:12]}"
        try:
            try:
                attached = self._start(name, scene, command(asked), offered)
            except EvdiagError as error:
                raise GdbUnusable(f"{self._name} cannot be started: {error}") from None
            with self.spoken(attached, asked, offered) as line:
                yield Opened(line, settings(scene, folder, DEBUG_ROOTS))
        finally:
            _remove(self.shared.engine, name)

    def _check_missing(self, missing: Sequence[int], offered: Offer) -> None:
        super()._check_missing(missing, offered)
        changed = any(offered.files[number].is_mapped for number in missing)
        if self.choice.insists and changed:
            raise NotHere("files that the core maps are others there")

    def _start(self, name: str, scene: Scene, command: list[str], offered: Offer) -> Attached:
        """Raises EngineError, NoSuchImage and what else the engine says."""
        engine, image = self.shared.engine, self.choice.source
        if self.choice.kind == OF_COMMIT:
            image = self.shared.commit(image)
        room = min(offered.bytes_of(range(len(offered.files))), MOST_SENT) + SPARE
        with translated(f"start a {self.title}"):
            host = engine.api.create_host_config(**_confined(scene.memory + room, room))
            engine.api.create_container(
                image,
                name=name,
                entrypoint=command,
                user=self.shared.user,
                working_dir="/",
                stdin_open=True,
                healthcheck={"test": ["NONE"]},
                labels={LABEL: _owner(), TEST_PROCESS: LABEL},
                host_config=host,
            )
            streams = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1}
            opened = engine.api.attach_socket(name, params=streams)
            attached = Attached(engine, name, opened, self._name)
            try:
                engine.api.start(name)
            except BaseException:
                attached.close()
                raise
        return attached


def _confined(memory: int, room: int) -> dict[str, Any]:
    """A host configuration for a program that nobody trusts, with a folder of its own."""
    return {
        "network_mode": "none",
        "read_only": True,
        # not /tmp: the core may lie there
        "tmpfs": {OWN_FOLDER: f"rw,nosuid,nodev,noexec,mode=1777,size={room}"},
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges"],
        "pids_limit": PROCESSES,
        "mem_limit": memory,
        "memswap_limit": memory,
        "cpu_period": PERIOD,
        "cpu_quota": PERIOD * PROCESSORS,
        "log_config": {"Type": "none", "Config": {}},  # the engine would keep all values
        "auto_remove": True,
    }


def command(asked: bytes) -> list[str]:
    """The program in the container; all that it is told comes over its standard input."""
    return ["python3", "-I", "-S", "-c", source("gdb_scene"), str(len(asked))]


# -- what is left behind


def _remove(engine: ContainerEngine, name: str) -> None:
    """Remove a container and wait until it is gone: it removes itself at the same time.

    Whoever cannot remove it now need not: it goes when it ends.
    """
    with contextlib.suppress(EvdiagError), translated(f"remove {name}"):
        engine.api.remove_container(name, force=True, v=True)
        return
    deadline = time.monotonic() + GONE
    with contextlib.suppress(EvdiagError):
        while time.monotonic() < deadline:
            engine.inspect(name)
            time.sleep(0.05)


def _remove_image(engine: ContainerEngine, image: str) -> None:
    with contextlib.suppress(EvdiagError), translated(f"remove {image[:19]}"):
        engine.api.remove_image(image)


def _owner() -> str:
    return f"{os.getpid()}@{socket.gethostname()}"


def _is_abandoned(entry: Mapping[str, Any]) -> bool:
    """Whether the evdiag that made a container or an image will not come back to it."""
    created = entry.get("Created")
    if not isinstance(created, int | float) or created < time.time() - OLD:
        return True
    number, _, machine = str((entry.get("Labels") or {}).get(LABEL)).partition("@")
    if machine != socket.gethostname() or not re.fullmatch(r"\d{1,9}", number, re.ASCII):
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


def _sweep(engine: ContainerEngine) -> None:
    """Remove containers that do not run, and then images of commits that nobody uses."""
    for entry in engine.api.containers(all=True, filters={"label": LABEL}):
        if entry.get("State") in ("created", "exited", "dead") and _is_abandoned(entry):
            _remove(engine, entry["Id"])
    for entry in engine.api.images(filters={"label": LABEL}):
        if _is_abandoned(entry):
            _remove_image(engine, entry["Id"])
