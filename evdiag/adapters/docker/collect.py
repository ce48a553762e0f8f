"""What the engine tells of a container for a bundle, and what a program in it tells."""

import contextlib
import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import short, translated
from evdiag.adapters.docker.inside import source
from evdiag.adapters.docker.path_stat import look
from evdiag.adapters.docker.start import remove
from evdiag.errors import (
    EngineRefused,
    EngineTimeout,
    NoSuchContainer,
    NoSuchImage,
)
from evdiag.model.charger import CORES
from evdiag.parse.collect_inside import (
    LONGEST_DOCUMENT,
    Found,
    Inside,
    UnreadableInside,
    read_inside,
)
from evdiag.parse.output_frames import STDOUT, Splitter, split_output

MANAGER = "/opt/everest/bin/manager"
MOST_EVENTS = 2_000
PATIENCE = 20.0
"""Seconds for our program, which ends itself after ten."""
PIECE = 1 << 16
_ATTACHED = {"Detach": False, "Tty": False}
MOST_CHANGES = 20_000
LINE = 1 << 20
"""Bytes of one event; it has all labels of the container."""
EVENTS = (
    *("create", "start", "restart", "stop", "die", "kill", "oom", "destroy", "rename"),
    *("pause", "unpause", "update", "health_status", "connect", "disconnect", "commit"),
)
"""All but what starts and ends programs in it: health checks do that every few seconds."""
_COLUMNS = "pid,ppid,user,stat,nlwp,rss,lstart,args"
_PRINTING = """
import os, stat, sys
fd = os.open(sys.argv[1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
about = os.fstat(fd)
if not stat.S_ISREG(about.st_mode):
    sys.exit(1)
left = about.st_size  # somebody may write faster than this reads
while left and (piece := os.read(fd, min(left, 1 << 20))):
    left -= len(piece)
    sys.stdout.buffer.write(piece)
"""


# -- by a program in the container


def look_inside(engine: ContainerEngine, container: str, more: Sequence[str]) -> Inside:
    """Let the program look. Raises UnreadableInside, ContainerStopped, NoSuchContainer."""
    asked = {"cores": CORES, "manager": MANAGER, "more": list(more)}
    command = ["python3", "-I", "-S", "-c", source("collect"), json.dumps(asked)]
    said = bytearray()
    deadline = time.monotonic() + PATIENCE
    try:
        with _program(engine, container, command) as (pieces, code):
            for piece in pieces:
                said += piece
                if len(said) > 2 * LONGEST_DOCUMENT or time.monotonic() > deadline:
                    raise UnreadableInside("its python3 does not come to an end")
            ended = code()
    except EngineTimeout:
        raise UnreadableInside("its python3 does not come to an end") from None
    out, err = split_output(bytes(said))
    if ended != 0:
        text = (err or out).decode("utf-8", "replace").strip().rpartition("\n")[2]
        raise UnreadableInside(text[:300] or f"the program that looks ended with code {ended}")
    return read_inside(out)


def printed(engine: ContainerEngine, container: str, path: str) -> Iterator[bytes]:
    """A file on a tmpfs, which the engine does not see: printed by a program in the container.

    Raises FileNotFoundError, ContainerStopped, NoSuchContainer, EngineUnreachable.
    """
    splitter = Splitter()
    command = ["python3", "-I", "-S", "-c", _PRINTING, path]
    with _program(engine, container, command) as (pieces, code):
        for piece in pieces:
            yield from (part for stream, part in splitter.feed(piece) if stream == STDOUT)
        if code() != 0:
            raise FileNotFoundError(path)


@contextlib.contextmanager
def _program(
    engine: ContainerEngine, container: str, command: Sequence[str]
) -> Iterator[tuple[Iterator[bytes], Callable[[], object]]]:
    """(what a program prints, in frames; how it ended). One that falls silent is given up.

    Not by the SDK, which loses what comes together with the head of the answer.
    """
    api = engine.api
    with translated(f"run {command[0]} in {short(container)}"):
        made = api.exec_create(container, list(command), user="root")["Id"]
        url = f"{api.base_url}/v{api.api_version}/exec/{made}/start"
        limits = (api.timeout, PATIENCE)
        with api.post(url, json=_ATTACHED, stream=True, timeout=limits) as answer:
            api._raise_for_status(answer)
            yield answer.iter_content(PIECE), lambda: api.exec_inspect(made).get("ExitCode")


# -- by the engine


def processes(engine: ContainerEngine, container: str) -> Any:  # noqa: ANN401
    """The process table of a running container, as the engine's ps tells it."""
    with translated(f"list the processes of {short(container)}"):
        try:
            return engine.api.top(container, ps_args=f"-eo {_COLUMNS}")
        except _refused():  # not every ps knows that
            return engine.api.top(container)


def counters(engine: ContainerEngine, container: str) -> Any:  # noqa: ANN401
    """Memory and other counters of a running container, once."""
    api = engine.api
    with translated(f"read the counters of {short(container)}"):
        answer = api._get(
            api._url("/containers/{0}/stats", container), params={"stream": 0, "one-shot": 1}
        )
        return api._result(answer, json=True)


def events(engine: ContainerEngine, container: str, since: float, until: float) -> list[Any]:
    """What happened to a container, as far back as the engine remembers; the last ones."""
    api, found = engine.api, deque[Any](maxlen=MOST_EVENTS)
    filters = {"container": [container], "event": list(EVENTS)}
    asked = {"since": int(since), "until": int(until), "filters": json.dumps(filters)}
    # not by the SDK: it takes an error for an event, and waits for ever
    with (
        translated(f"read the events of {short(container)}"),
        api.get(api._url("/events"), params=asked, timeout=api.timeout, stream=True) as answer,
    ):
        api._raise_for_status(answer)
        for line in answer.iter_lines(LINE):
            with contextlib.suppress(ValueError, RecursionError):
                found.append(json.loads(line))
    return list(found)


def image_document(engine: ContainerEngine, image: str) -> Any:  # noqa: ANN401
    """All that the engine knows of an image. Raises NoSuchImage."""
    with translated(f"look at the image {image}"):
        return engine.api.inspect_image(image)


def stat_of(engine: ContainerEngine, container: str, path: str) -> Found | None:
    """A regular file of a container, without its content; None if there is none."""
    about = look(engine, container, path)
    if about is None or not about.is_file:
        return None
    return Found(path=path, size=about.size, time=about.modified or 0.0)


class Changes:
    """The files that are other than in the image.

    The engine compares whole images for that: it takes seconds, and locks the container meanwhile.
    """

    def __init__(self, engine: ContainerEngine, container: str) -> None:
        self._engine, self._container = engine, container
        self._found: list[Any] | None = None
        self._error = "the engine took too long"
        self._thread = threading.Thread(target=self._ask, name="evdiag-changes", daemon=True)
        self._thread.start()

    def _ask(self) -> None:
        try:
            with translated(f"list the files of {short(self._container)}"):
                answer = self._engine.api.diff(self._container)
            self._found = answer if isinstance(answer, list) else []
        except Exception as error:  # noqa: BLE001 - told by `result`; the engine may be closed by now
            self._error = str(error)

    def result(self, seconds: float) -> list[Any]:
        """The list. Raises EngineRefused, also if it is not there in time."""
        self._thread.join(seconds)
        if self._found is None:
            raise EngineRefused(self._error)
        return self._found[:MOST_CHANGES]


# -- a volume whose container is gone


@contextlib.contextmanager
def holding(engine: ContainerEngine, volume: str, path: str) -> Iterator[str]:
    """A container that is never started, with a volume in it, read-only.

    Raises NoSuchContainer if there is no such volume, NoSuchImage if the engine has no image.
    """
    import docker.errors  # noqa: PLC0415

    with translated(f"look at the volume {volume}"):
        try:
            engine.api.inspect_volume(volume)
        except docker.errors.NotFound:
            raise NoSuchContainer(
                f"there is no volume called {volume}", advice="`docker volume ls` lists them."
            ) from None
    name = f"evdiag-volume-{time.time_ns():x}"
    mount = {
        "Type": "volume", "Source": volume, "Target": path, "ReadOnly": True,
        "VolumeOptions": {"NoCopy": True},  # else an empty volume gets the image's files
    }  # fmt: skip
    try:
        with translated(f"make a container with the volume {volume}"):
            host = engine.api.create_host_config(mounts=[mount], network_mode="none")
            made = engine.api.create_container(
                _any_image(engine), ["true"], name=name, host_config=host, network_disabled=True
            )["Id"]
        yield made
    finally:  # by its name: an interrupt may come before the engine has told the id
        remove(engine, name)


def _any_image(engine: ContainerEngine) -> str:
    listed = engine.api.images()
    sizes = [
        (entry.get("Size", 0), entry["Id"])
        for entry in listed if isinstance(entry, dict) and isinstance(entry.get("Id"), str)
    ]  # fmt: skip
    if not sizes:
        raise NoSuchImage("the engine has no image, so nothing can hold the volume")
    return str(min(sizes)[1])


def _refused() -> Any:  # noqa: ANN401
    import docker.errors  # noqa: PLC0415

    return docker.errors.APIError
