"""Containers from their making to their end: created, started, followed, stopped, removed."""

import queue
import threading
from collections.abc import Iterator
from typing import Any

import msgspec

from evdiag.adapters.docker.copy import copied
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.analyze.run_plan import is_core
from evdiag.errors import EngineRefused, EvdiagError, NoSuchContainer, NoSuchImage
from evdiag.model.charger import CORES, ContainerFacts
from evdiag.model.run import Plan
from evdiag.parse.engine import read_listed
from evdiag.parse.tar import TarError, TarMember

STOP_SECONDS = 10
"""What the services of the image need at most, each after the other."""
LONGEST_LINE = 1 << 16

_RETRIES = (("rlimit", "ulimits"), ("ipv6", "sysctls"), ("sysctl", "sysctls"))
"""What an engine complains about, and the part of the host configuration that it cannot do."""


class Started(msgspec.Struct, frozen=True, kw_only=True):
    """A container that was started."""

    id: str
    dropped: tuple[str, ...] = ()
    """Parts of the host configuration that the engine could not do."""


# -- what there is


def list_containers(engine: ContainerEngine) -> tuple[ContainerFacts, ...]:
    """All containers, in one answer: only names, states, labels, ports and networks are known."""
    with translated("list its containers"):
        listed = engine.api.containers(all=True)
    return tuple(map(read_listed, listed if isinstance(listed, list) else ()))


def cores_in(engine: ContainerEngine, charger: ContainerFacts) -> Iterator[str]:
    """The cores that go when a container goes, by name, running or ended.

    The list of changed files would tell them too, but an engine takes seconds for that: it
    compares whole images. Here it sends the cores' contents; who needs no number stops early.
    """
    if any(mount.target == CORES for mount in charger.mounts):
        return  # they lie elsewhere
    try:
        for item in copied(engine, charger.id, CORES):
            if isinstance(item, TarMember) and item.kind == "file":
                name = item.name.partition("/")[2]
                if is_core(name):
                    yield name
    except FileNotFoundError:
        return
    except TarError as error:
        raise EngineRefused(f"the engine does not send {CORES} of {charger.name} whole") from error


def pull(engine: ContainerEngine, image: str) -> Iterator[str]:
    """Get an image from its registry; yields what is going on. Raises NoSuchImage."""
    try:
        with translated(f"pull {image}"):
            for said in engine.api.pull(image, stream=True, decode=True):
                if "error" in said:
                    _raise_said(image, str(said["error"]))
                yield f"{said.get('id', '')} {said.get('status', '')}".strip()
    except EngineRefused as error:
        raise NoSuchImage(
            str(error), advice="Look at the name and the network; or `evdiag build` makes an image."
        ) from error


def _raise_said(image: str, text: str) -> None:
    import docker.errors  # noqa: PLC0415

    raise docker.errors.APIError(f"pull {image}", explanation=text)


# -- start


def start(engine: ContainerEngine, plan: Plan) -> Started:
    """Make a container and start it, without what this engine cannot do.

    What could not be started is removed again. Raises NameInUse, PortInUse, NoSuchContainer.
    """
    dropped: list[str] = []
    while True:
        made = _create(engine, plan)
        try:
            with translated(f"start {plan.container['name']}"):
                engine.api.start(made)
        except EngineRefused as error:
            remove(engine, made)
            part = _part_to_drop(str(error).lower(), plan)
            if part is None:
                raise
            plan = plan.without(part)
            dropped.append(part)
        except NoSuchContainer:
            name = plan.container["name"]
            raise NoSuchContainer(f"{name} was removed by somebody while it started") from None
        except (EvdiagError, KeyboardInterrupt):
            remove(engine, made)
            raise
        else:
            return Started(id=made, dropped=tuple(dropped))


def _create(engine: ContainerEngine, plan: Plan) -> str:
    with translated(f"make the container {plan.container['name']}"):
        host = engine.api.create_host_config(**plan.host)
        made = engine.api.create_container(**plan.container, host_config=host)
    return str(made["Id"])


def _part_to_drop(said: str, plan: Plan) -> str | None:
    parts = (part for word, part in _RETRIES if word in said and part in plan.host)
    return next(parts, None)


class Log:
    """The output of a container line by line, read by a thread so that a wait can end."""

    def __init__(self, engine: ContainerEngine, container: str) -> None:
        self._lines: queue.Queue[str | EvdiagError | None] = queue.Queue()
        with translated("follow the log"):
            self._stream: Any = engine.api.logs(
                container, stream=True, follow=True, stdout=True, stderr=True
            )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        try:
            with translated("follow the log"):
                rest = b""
                for piece in self._stream:
                    *lines, rest = (rest + piece).split(b"\n")
                    for line in lines:
                        self._put(line)
                    if len(rest) > LONGEST_LINE:
                        self._put(rest)
                        rest = b""
                if rest:
                    self._put(rest)
        except EvdiagError as error:
            self._lines.put(error)
        self._lines.put(None)

    def _put(self, line: bytes) -> None:
        self._lines.put(line[:LONGEST_LINE].decode(errors="replace").rstrip("\r"))

    def next(self, seconds: float) -> str | None:
        """The next line, or None if there was none in that time. Raises EOFError, EngineError."""
        try:
            line = self._lines.get(timeout=max(0.0, seconds))
        except queue.Empty:
            return None
        if line is None:
            raise EOFError
        if isinstance(line, EvdiagError):
            raise line
        return line

    def close(self) -> None:
        """Let go of the connection."""
        self._stream.close()


# -- end


def stop(engine: ContainerEngine, charger: ContainerFacts) -> None:
    """Stop a container as `docker stop` does; one that has ended stays as it is."""
    with translated(f"stop {charger.name}"):
        if charger.state == "paused":
            engine.api.unpause(charger.id)
        engine.api.stop(charger.id, timeout=STOP_SECONDS)


def remove(engine: ContainerEngine, container: str) -> None:
    """Remove a container with its anonymous volumes; one that is gone is no error."""
    try:
        with translated(f"remove {container[:12]}"):
            engine.api.remove_container(container, v=True, force=True)
    except NoSuchContainer:
        return


def rename(engine: ContainerEngine, container: str, name: str) -> None:
    """Give a container another name. Raises NameInUse."""
    with translated(f"rename it to {name}"):
        engine.api.rename(container, name)
