"""What the engine and the way to it complain about, as evdiag's own errors.

The engine answers with a status and a sentence. The sentence tells causes apart; its words are
those of moby's api/server, daemon and runc from 20.10 to 28 and of podman.
"""

import re
import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType

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
    NotReady,
    PortInUse,
)

LONGEST = 600
"""Characters of the engine's sentence that are repeated."""

_FOREIGN = ("docker", "requests", "urllib3", "http", "json", "urllib", "ssl", "base64", "idna")
"""Packages between evdiag and the socket: what breaks there, broke on an answer."""
_ADDRESS = re.compile(r"(?:[\d.]{7,15}|\[[\da-f:]*\]|::[\da-f:]*?):\d{1,5}(?!\d)")
_PATH = re.compile(r"(?<!\S)(/[^\s:]+): (?:no space|disk quota)", re.IGNORECASE)

_Make = Callable[[str, str, re.Match[str]], EvdiagError]
"""From what evdiag was doing, the engine's sentence, and what was found in it."""

DENIED = "Look at its name; a private image needs `docker login` first. `evdiag build` makes ours."
ELSEWHERE = "Name an image of this machine's architecture by --image, or build one: `evdiag build`."
NO_REGISTRY = "The engine needs a way to the registry; or build the image here: `evdiag build`."
RATE = "Wait, or `docker login`. `evdiag build` makes the image without a registry."
OLD_CLIENT = "Update evdiag and its docker package: `pip install --upgrade evdiag docker`."
RESTARTING = "Wait until it has started; `evdiag logs` shows why it starts again."
PROXY = "Somebody forbids it: a proxy before the engine's socket, or its authorization plugin."
NOT_DOCKER = "Something else listens there: correct DOCKER_HOST or the docker context."
NO_TLS = "DOCKER_TLS_VERIFY=1 and DOCKER_CERT_PATH turn encryption on; both unset turn it off."
MACHINE = "could not {doing}: the image is for {actual}, not for {wanted}"
NOT_THERE = "the image {name} cannot be pulled: its registry does not have it"
CERTIFICATE = "DOCKER_CERT_PATH names the folder with ca.pem, cert.pem and key.pem."


# -- answers


def short(name: str) -> str:
    """The name of a container for people: an id in its short form."""
    name = name.strip("\"'").lstrip("/")
    return name[:12] if re.fullmatch(r"[0-9a-f]{64}", name) else name


def _name_in_use(_: str, __: str, match: re.Match[str]) -> EvdiagError:
    return NameInUse(f"there is a container called {short(match['name'])} already")


def _port_in_use(_: str, said: str, match: re.Match[str]) -> EvdiagError:
    where = _ADDRESS.search(said)
    who = "container" if "already allocated" in match[0].lower() else "program"
    if where is None:
        return PortInUse(f"another {who} listens on the port already: {said}")
    return PortInUse(f"another {who} listens on {where[0]} already")


def _foreign_address(_: str, said: str, __: re.Match[str]) -> EvdiagError:
    where = _ADDRESS.search(said)
    address = where[0].rpartition(":")[0] if where else "that the port was to be published on"
    return NotReady(f"this machine has no address {address}", advice="Name another by --bind.")


def _low_port(doing: str, said: str, _: re.Match[str]) -> EvdiagError:
    where = _ADDRESS.search(said)
    what = f"listen on {where[0]}" if where else "listen on a port below 1024"
    return NotReady(
        f"could not {doing}: the engine may not {what}",
        advice="Choose a port from 1024 on with --port.",
    )


def _disk_full(doing: str, said: str, _: re.Match[str]) -> EvdiagError:
    path = _PATH.search(said)
    where = f" ({path[1]})" if path else ""
    return DiskFull(f"could not {doing}: the engine's disk is full{where}")


def _stopped(doing: str, _: str, match: re.Match[str]) -> EvdiagError:
    if "paused" in match[0]:
        return ContainerStopped(
            f"could not {doing}: the container is paused",
            advice="`docker unpause NAME` lets it go on.",
        )
    if "restarting" in match[0]:
        return ContainerStopped(
            f"could not {doing}: the container is restarting", advice=RESTARTING
        )
    return ContainerStopped(f"could not {doing}: the container does not run")


def _no_container(doing: str, _: str, match: re.Match[str]) -> EvdiagError:
    found = match.groupdict().get("name")
    if found:
        return NoSuchContainer(f"there is no container called {short(found)}")
    return NoSuchContainer(f"could not {doing}: the container was removed meanwhile")


def _too_new(_: str, __: str, match: re.Match[str]) -> EvdiagError:
    return EngineTooOld(
        f"the container engine knows its API up to {match['most']}, evdiag asked for {match['own']}"
    )


def _too_old(_: str, __: str, match: re.Match[str]) -> EvdiagError:
    return EngineTooOld(
        f"the container engine wants API {match['least']} or later, evdiag spoke {match['own']}",
        advice=OLD_CLIENT,
    )


def _wants_tls(_: str, __: str, ___: re.Match[str]) -> EvdiagError:
    return EngineUnreachable(
        "the container engine speaks TLS, and evdiag was not told to", advice=NO_TLS
    )


def _image(text: str, advice: str = NoSuchImage.advice) -> _Make:
    def make(doing: str, _: str, match: re.Match[str]) -> EvdiagError:
        return NoSuchImage(text.format(doing=doing, **match.groupdict()), advice=advice)

    return make


_SENTENCES: tuple[tuple[re.Pattern[str], _Make], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), make)
    for pattern, make in (
        (r"container name \"?(?P<name>[^\" ]+)\"? is already in use", _name_in_use),
        (r"port is already allocated|address already in use|ports are not available", _port_in_use),
        (r"cannot assign requested address", _foreign_address),
        (r"cannot expose privileged port|bind: permission denied", _low_port),
        (r"no space left on device|disk quota exceeded", _disk_full),
        (r"platform: wanted (?P<wanted>[^,]+), actual: (?P<actual>\S+)",
         _image(MACHINE, ELSEWHERE)),
        (r"platform \((?P<actual>[^)]+)\) does not match the specified platform "
         r"\((?P<wanted>[^)]+)\)", _image(MACHINE, ELSEWHERE)),
        (r"https://(?P<host>[^/\s\"]+)/v2/.*(?:no such host|timeout|refused|unreachable|x509|EOF"
         r"|deadline|canceled)",
         _image("could not {doing}: the registry {host} cannot be reached", NO_REGISTRY)),
        (r"toomanyrequests|pull rate limit",
         _image("could not {doing}: the registry gives no more for now", RATE)),
        (r"pull access denied for (?P<name>[^\s,]+)",
         _image("the image {name} cannot be pulled: there is none, or it is private", DENIED)),
        (r"unauthorized: |no basic auth credentials|requested access to the resource is denied",
         _image("could not {doing}: there is no such image, or its registry wants a login",
                DENIED)),
        (r"manifest for (?P<name>\S+) not found", _image(NOT_THERE, DENIED)),
        (r"reference \"(?P<name>[^\"]+)\"", _image(NOT_THERE, DENIED)),
        (r"(?P<name>\S+): manifest unknown", _image(NOT_THERE, DENIED)),
        (r".*no such image: (?P<name>\S+)", _image("there is no image {name}")),
        (r"repository (?P<name>\S+) not found", _image("there is no image {name}")),
        (r"(?P<name>\S+): (?:no such image|image not known)", _image("there is no image {name}")),
        (r"no container with name or id (?P<name>\S+) found", _no_container),
        (r"no such container: (?P<name>\S+)", _no_container),
        (r"no such (?:container|exec)|marked for removal"
         r"|removal of container .* is already in progress", _no_container),
        (r"is not running|container state improper|is paused|is restarting|cannot exec"
         r"|can only (?:create|exec)", _stopped),
        (r"client version (?P<own>\S+) is too new\. Maximum supported API version is (?P<most>\S+)",
         _too_new),
        (r"client is newer than server \(client API version: (?P<own>[^,]+), "
         r"server API version: (?P<most>[^)]+)\)", _too_new),
        (r"client version (?P<own>\S+) is too old\. Minimum supported API version is "
         r"(?P<least>[\d.]*\d)", _too_old),
        (r"client sent an http request to an https server", _wants_tls),
    )
)  # fmt: skip


def _of_answer(doing: str, status: int, said: object) -> EvdiagError:
    text = " ".join(str(said).split())[:LONGEST]
    if text.startswith("<"):  # a page of a proxy, not a sentence
        text = ""
    for pattern, make in _SENTENCES:
        if match := pattern.search(text):
            return make(doing, text, match)
    what = f"could not {doing}: "
    if status in (401, 403):
        return EngineForbidden(what + (text or "the engine does not allow it"), advice=PROXY)
    return EngineRefused(what + (text or f"the container engine answered with status {status}"))


# -- no answers


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
        waiting += [at.__cause__, at.__context__]
        inner = (getattr(at, "reason", None), *at.args)
        waiting += [error for error in inner if isinstance(error, BaseException)]


def of_transport(doing: str, error: BaseException, where: str = "") -> EngineError:
    """Why nothing sensible came back; `where` is the address, if that is what is in doubt."""
    causes = list(_chain(error))
    for cause in causes:
        if known := _known_cause(doing, cause, where):
            return known
    there = f"no container engine answers at {where}" if where else f"could not {doing}"
    if any(_is_timeout(cause) for cause in causes):
        return EngineTimeout(f"{there}: it did not answer in time")
    if _is_nonsense(causes):
        return EngineUnreachable(f"{there}: what came back is no answer", advice=NOT_DOCKER)
    text = " ".join(_words(causes[-1]).split())[:LONGEST]
    return EngineUnreachable(f"{there}: the connection to the container engine broke ({text})")


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _known_cause(doing: str, cause: BaseException, where: str) -> EngineError | None:
    import docker.errors  # noqa: PLC0415

    there = f"no container engine answers at {where}" if where else f"could not {doing}"
    if isinstance(cause, PermissionError):
        at = f" at {where}" if where else ""
        return EngineForbidden(f"no permission to talk to the container engine{at}")
    if isinstance(cause, FileNotFoundError | NotADirectoryError):
        return EngineUnreachable(f"{there}: there is no such socket" if where else
                                 f"{there}: the container engine's socket is gone")  # fmt: skip
    if isinstance(cause, ConnectionRefusedError):
        why = "nothing listens there" if where else "the container engine is not running any more"
        return EngineUnreachable(f"{there}: {why}")
    if isinstance(cause, socket.gaierror):
        return EngineUnreachable(f"{there}: no such host")
    if isinstance(cause, ssl.SSLCertVerificationError):
        return EngineUnreachable(
            f"{there}: its certificate is not accepted, {cause.verify_message}", advice=CERTIFICATE
        )
    if isinstance(cause, ssl.SSLError):
        return EngineUnreachable(
            f"{there}: no encrypted connection came about ({cause.reason})", advice=NO_TLS
        )
    if isinstance(cause, docker.errors.TLSParameterError):
        return EngineUnreachable(f"{there}: the files for TLS cannot be used", advice=CERTIFICATE)
    if isinstance(cause, docker.errors.InvalidVersion):
        return EngineTooOld(f"{there}: {cause}")
    return None


def _is_timeout(cause: BaseException) -> bool:
    import requests.exceptions  # noqa: PLC0415
    import urllib3.exceptions  # noqa: PLC0415

    kinds = (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError, TimeoutError)
    return isinstance(cause, kinds)


def _is_nonsense(causes: list[BaseException]) -> bool:
    """Bytes that are no HTTP, and answers that are no JSON or lack what the SDK looks for."""
    import http.client  # noqa: PLC0415

    import docker.errors  # noqa: PLC0415
    import requests.exceptions  # noqa: PLC0415
    import urllib3.exceptions  # noqa: PLC0415

    cut = (http.client.RemoteDisconnected, http.client.IncompleteRead)
    for cause in causes:
        if isinstance(cause, http.client.HTTPException) and not isinstance(cause, cut):
            return True
    ended = (ConnectionError, urllib3.exceptions.ProtocolError, *cut)
    if any(isinstance(cause, ended) for cause in causes):
        return False
    kinds = (
        *(docker.errors.StreamParseError, struct.error),
        *(ValueError, TypeError, LookupError, AttributeError, RecursionError),
        *(requests.exceptions.TooManyRedirects, urllib3.exceptions.HTTPError),
    )
    return any(isinstance(cause, kinds) for cause in causes)


def _is_foreign(trace: TracebackType | None) -> bool:
    """Whether an exception was raised by the SDK or below it, on an answer it cannot read."""
    name = ""
    while trace is not None:
        name = trace.tb_frame.f_globals.get("__name__", "")
        trace = trace.tb_next
    return name.partition(".")[0] in _FOREIGN


# -- both


@contextmanager
def translated(doing: str, where: str = "") -> Iterator[None]:
    """Turn what the SDK raises inside of the block into an EvdiagError.

    `doing` is what evdiag was about to do: "start everest". `where` is the engine's address, for
    the first words with it.
    """
    import docker.errors  # noqa: PLC0415
    import docker.utils.socket  # noqa: PLC0415
    import requests.exceptions  # noqa: PLC0415
    import urllib3.exceptions  # noqa: PLC0415

    try:
        yield
    except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
        raise  # nothing has come yet: who reads without waiting goes on
    except docker.errors.APIError as error:
        raise _of_answer(doing, error.status_code or 0, error.explanation or "") from error
    except (
        docker.errors.DockerException,
        docker.utils.socket.SocketError,
        requests.exceptions.RequestException,
        urllib3.exceptions.HTTPError,
        *(ConnectionError, TimeoutError, ssl.SSLError),  # of a hijacked stream
    ) as error:
        raise of_transport(doing, error, where) from error
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError, struct.error) as e:
        if not _is_foreign(e.__traceback__):
            raise
        raise of_transport(doing, e, where) from e
