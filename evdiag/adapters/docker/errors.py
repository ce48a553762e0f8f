"""What the engine and the way to it complain about, as evdiag's own errors.

The engine answers with a status and a sentence. The sentence tells causes apart; its words are
those of moby's api/server, daemon and runc from 20.10 to 28 and of podman.
"""

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

from evdiag.errors import (
    ContainerStopped,
    DiskFull,
    EngineError,
    EngineForbidden,
    EngineRefused,
    EngineTimeout,
    EngineTooOld,
    EngineUnreachable,
    EvdiagError,
    NameInUse,
    NoSuchContainer,
    NoSuchImage,
    PortInUse,
)

LONGEST = 600
"""Characters of the engine's sentence that are repeated."""

_Make = Callable[[str, re.Match[str]], EvdiagError]


def _name_in_use(_: str, match: re.Match[str]) -> EvdiagError:
    return NameInUse(f"there is a container called {match['name'].lstrip('/')} already")


def _port_in_use(said: str, _: re.Match[str]) -> EvdiagError:
    where = re.search(r"(?P<where>[\d.]{7,15}:\d{1,5}|\[[\da-f:]*\]:\d{1,5})", said)
    return PortInUse(f"port {where['where'] if where else 'of this machine'} is taken: {said}")


_SENTENCES: tuple[tuple[re.Pattern[str], _Make], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), make)
    for pattern, make in (
        (r"container name \"?(?P<name>[^\" ]+)\"? is already in use", _name_in_use),
        (r"port is already allocated|address already in use|ports are not available", _port_in_use),
        (r"no space left on device|disk quota exceeded",
         lambda said, _: DiskFull(f"the engine's disk is full: {said}")),
        (r"is not running|container state improper|is paused|can only (?:create|exec)",
         lambda said, _: ContainerStopped(f"it does not run: {said}")),
        (r"no such image|pull access denied|manifest unknown|repository does not exist"
         r"|does not match the specified platform|failed to resolve reference",
         lambda said, _: NoSuchImage(f"the image is not there: {said}")),
        (r"no such (?:container|exec)|no container with name|marked for removal"
         r"|removal of container .* is already in progress",
         lambda said, _: NoSuchContainer(f"the container is gone: {said}")),
        (r"client version \S+ is too (?:old|new)|client is newer than server",
         lambda said, _: EngineTooOld(f"engine and evdiag do not fit: {said}")),
    )
)  # fmt: skip


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Turn what the SDK raises inside of the block into an EvdiagError.

    `doing` is what evdiag was about to do: "start everest".
    """
    import docker.errors  # noqa: PLC0415
    import requests.exceptions  # noqa: PLC0415
    import urllib3.exceptions  # noqa: PLC0415

    try:
        yield
    except docker.errors.APIError as error:
        raise _of_answer(doing, error.status_code or 0, error.explanation or str(error)) from error
    except docker.errors.DockerException as error:
        _raise_transport(doing, error)
    except (requests.exceptions.RequestException, urllib3.exceptions.HTTPError) as error:
        _raise_transport(doing, error)
    except (ConnectionError, TimeoutError) as error:  # of a hijacked stream
        _raise_transport(doing, error)


def _of_answer(doing: str, status: int, said: object) -> EvdiagError:
    text = " ".join(str(said).split())[:LONGEST]
    for pattern, make in _SENTENCES:
        if match := pattern.search(text):
            return make(text, match)
    if status == 403:
        return EngineForbidden(f"the engine does not allow to {doing}: {text}")
    return EngineRefused(f"the engine could not {doing}: {text or f'status {status}'}")


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what it wraps, and what it came from; requests puts them into its arguments."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        at = waiting.pop(0)
        if at is None or id(at) in seen:
            continue
        seen.add(id(at))
        yield at
        waiting += [at.__cause__, at.__context__, getattr(at, "reason", None)]
        waiting += [argument for argument in at.args if isinstance(argument, BaseException)]


def _raise_transport(doing: str, error: Exception) -> NoReturn:
    raise of_transport(doing, error) from error


def of_transport(doing: str, error: BaseException) -> EngineError:
    """Why nothing sensible came back."""
    import docker.errors  # noqa: PLC0415
    import requests.exceptions  # noqa: PLC0415
    import urllib3.exceptions  # noqa: PLC0415

    causes = list(_chain(error))
    for cause in causes:
        if isinstance(cause, PermissionError):
            return EngineForbidden(f"no permission to talk to the container engine (to {doing})")
        if isinstance(cause, FileNotFoundError):
            return EngineUnreachable(f"there is no container engine to {doing}: no such socket")
        if isinstance(cause, ConnectionRefusedError):
            return EngineUnreachable(f"no container engine answers to {doing}: it is not running")
        if isinstance(cause, socket.gaierror):
            return EngineUnreachable(f"the engine's host has no address: {cause.strerror}")
        if isinstance(cause, docker.errors.InvalidVersion):
            return EngineTooOld(str(cause))
    timeouts = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    if any(isinstance(cause, timeouts) for cause in causes):
        return EngineTimeout(f"the container engine did not answer in time to {doing}")
    text = " ".join(str(causes[-1]).split())[:LONGEST]
    return EngineUnreachable(f"the connection to the container engine broke (to {doing}): {text}")
