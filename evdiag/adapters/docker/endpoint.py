"""Where the engine is: as the docker command finds it, and where else sockets usually are."""

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from evdiag.errors import UsageError

DEFAULT = "unix:///var/run/docker.sock"
FORMS = "Allowed are unix:///PATH/TO/SOCKET, tcp://HOST:PORT and ssh://USER@HOST."
LONGEST_SOCKET = 107
"""Bytes of a socket's path: unix(7)."""


class Tls(msgspec.Struct, frozen=True, kw_only=True):
    """Files for an engine behind TLS."""

    ca: Path | None = None
    certificate: tuple[Path, Path] | None = None
    """Certificate and key."""
    verify: bool = True


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """An engine's address, and who said so."""

    url: str
    origin: str
    """DOCKER_HOST, context NAME, default, or found."""
    tls: Tls | None = None

    def __str__(self) -> str:
        return f"{self.url} ({self.origin})"

    @property
    def is_local(self) -> bool:
        """Whether the engine shares this machine's ports, or forwards them to it."""
        return self.url.startswith("unix://")


class _Host(msgspec.Struct, frozen=True):
    Host: str = ""
    SkipTLSVerify: bool = False


class _Endpoints(msgspec.Struct, frozen=True):
    docker: _Host = _Host()


class _Meta(msgspec.Struct):
    Endpoints: _Endpoints = _Endpoints()


class _Config(msgspec.Struct):
    currentContext: str = ""


def find_endpoint(environment: Mapping[str, str] | None = None) -> Endpoint:
    """DOCKER_HOST, else DOCKER_CONTEXT, else the current context, else a socket that is there.

    As the docker command does (docs.docker.com, "Docker contexts"), but that the usual places of
    Docker Desktop, rootless engines, Colima and podman count too. Raises UsageError.
    """
    known = os.environ if environment is None else environment
    found = _find(known)
    _check(found)
    return found


def _find(known: Mapping[str, str]) -> Endpoint:
    if host := known.get("DOCKER_HOST", "").strip():
        return _from_host(host, known)
    folder = Path(known.get("DOCKER_CONFIG") or Path.home() / ".docker")
    name = known.get("DOCKER_CONTEXT") or _current_context(folder)
    if name and name != "default":
        return _from_context(name, folder)
    if not Path(DEFAULT.removeprefix("unix://")).exists():
        for path in _usual_sockets(known):
            if path.is_socket():
                return Endpoint(url=f"unix://{path}", origin="found")
    return Endpoint(url=DEFAULT, origin="default")


def _check(endpoint: Endpoint) -> None:
    """Raise UsageError for what is no address: the SDK would guess, or break."""
    url = endpoint.url
    wrong = f"{endpoint.origin} says {url!r}, which is no address of a container engine"
    try:
        url.encode()
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except (ValueError, UnicodeError):
        raise UsageError(wrong, advice=FORMS) from None
    if parts.password:  # not to be printed
        wrong = f"{endpoint.origin} has a password in it, which evdiag cannot use"
    extra = parts.query or parts.fragment or parts.password or not url.isprintable() or " " in url
    if parts.scheme == "unix":
        right = not host and parts.path.startswith("/") and ";" not in parts.path
    elif parts.scheme in ("tcp", "http", "https"):
        right = bool(host and port)
    else:
        right = parts.scheme == "ssh" and bool(host)
    if extra or not right:
        raise UsageError(wrong, advice=FORMS)
    if parts.scheme == "unix" and len(os.fsencode(parts.path)) > LONGEST_SOCKET:
        raise UsageError(
            f"{endpoint.origin} names a socket with a path of {len(os.fsencode(parts.path))} bytes",
            advice=f"Unix allows {LONGEST_SOCKET}: link to its folder from a shorter path.",
        )


def _usual_sockets(environment: Mapping[str, str]) -> list[Path]:
    home = Path.home()
    runtime = Path(environment.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    return [
        home / ".docker/run/docker.sock",
        home / ".docker/desktop/docker.sock",
        runtime / "docker.sock",
        home / ".colima/default/docker.sock",
        runtime / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    ]


def _from_host(host: str, environment: Mapping[str, str]) -> Endpoint:
    if not environment.get("DOCKER_TLS_VERIFY") and not environment.get("DOCKER_TLS"):
        return Endpoint(url=host, origin="DOCKER_HOST")
    folder = Path(environment.get("DOCKER_CERT_PATH") or Path.home() / ".docker")
    verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    return Endpoint(url=host, origin="DOCKER_HOST", tls=_tls(folder, verify=verify))


def _tls(folder: Path, *, verify: bool) -> Tls:
    ca, certificate, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    pair = (certificate, key) if certificate.is_file() and key.is_file() else None
    return Tls(ca=ca if ca.is_file() else None, certificate=pair, verify=verify)


def _current_context(folder: Path) -> str:
    try:
        config = msgspec.json.decode((folder / "config.json").read_bytes(), type=_Config)
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError):
        return ""
    return config.currentContext


def _from_context(name: str, folder: Path) -> Endpoint:
    """The docker command keeps a context in a folder called by the hash of its name."""
    key = hashlib.sha256(name.encode()).hexdigest()
    path = folder / "contexts/meta" / key / "meta.json"
    try:
        host = msgspec.json.decode(path.read_bytes(), type=_Meta).Endpoints.docker
    except FileNotFoundError:
        raise UsageError(
            f"there is no docker context {name!r}",
            advice="`docker context ls` lists them; `docker context use default` goes back.",
        ) from None
    except (OSError, msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"the docker context {name!r} cannot be read: {why}",
            advice=f"Its file is {path}; `docker context use default` goes back.",
        ) from None
    certificates = folder / "contexts/tls" / key / "docker"
    tls = None
    if certificates.is_dir():
        tls = _tls(certificates, verify=not host.SkipTLSVerify)
    return Endpoint(url=host.Host or DEFAULT, origin=f"context {name}", tls=tls)
