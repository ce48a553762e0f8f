"""A container engine: what it is, its images and containers, and programs run in them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evdiag.adapters.docker.endpoint import Endpoint, find_endpoint
from evdiag.adapters.docker.errors import translated
from evdiag.errors import EngineTooOld, EngineUnreachable, NoSuchContainer, UsageError
from evdiag.model.charger import IMAGE_LABEL, ContainerFacts, EngineFacts, ImageFacts
from evdiag.parse.engine import read_container, read_engine, read_image

if TYPE_CHECKING:
    import docker

OLDEST_API = (1, 41)
"""Docker 20.10: `host-gateway`, which `evdiag run` needs for a CSMS on this machine."""
SECONDS = 60.0
"""For one answer of the engine; starting a container on a busy machine takes ten."""


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """How a program in a container ended, and what it printed."""

    code: int
    out: bytes
    err: bytes


class ContainerEngine:
    """An engine that answered once. All methods raise EngineError where it no longer does.

    `api` is docker.APIClient, for the modules beside this one; each call belongs into a
    `translated` block.
    """

    def __init__(self, api: "docker.APIClient", endpoint: Endpoint, version: Any) -> None:  # noqa: ANN401
        self.api: Any = api
        self.endpoint = endpoint
        self._version = version

    # -- the engine

    def facts(self) -> EngineFacts:
        """What it says of itself."""
        with translated("describe itself"):
            return read_engine(self.endpoint.url, self._version, self.api.info())

    def image(self, name: str) -> ImageFacts:
        """One of its images. Raises NoSuchImage."""
        with translated(f"look at the image {name}"):
            return read_image(name, self.api.inspect_image(name))

    # -- containers

    def container(self, name: str) -> ContainerFacts:
        """A container by name or id. Raises NoSuchContainer."""
        return read_container(self.inspect(name))

    def inspect(self, name: str) -> Any:  # noqa: ANN401
        """All that the engine knows of a container, passwords included. Raises NoSuchContainer."""
        with translated(f"look at the container {name}"):
            try:
                return self.api.inspect_container(name)
            except _not_found():
                raise NoSuchContainer(f"there is no container called {name}") from None

    def chargers(self) -> tuple[ContainerFacts, ...]:
        """All containers of an image of ours, whoever started them; the newest first."""
        with translated("list its containers"):
            listed = self.api.containers(all=True, filters={"label": IMAGE_LABEL})
        found = []
        for entry in listed:
            try:
                found.append(self.container(entry["Id"]))
            except NoSuchContainer:  # removed meanwhile
                continue
        return tuple(found)

    def run_in(
        self,
        container: str,
        command: Sequence[str],
        *,
        user: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> Ran:
        """Run a program in a running container to its end. Raises ContainerStopped."""
        with translated(f"run {command[0]} in {container}"):
            made = self.api.exec_create(
                container, list(command), user=user, environment=dict(environment or {})
            )
            out, err = self.api.exec_start(made["Id"], demux=True)
            # a container that dies meanwhile ends its programs with 137, or takes the code along
            code = self.api.exec_inspect(made["Id"]).get("ExitCode")
        return Ran(code=137 if code is None else code, out=out or b"", err=err or b"")

    def archive(self, container: str, path: str) -> Iterator[bytes]:
        """A file or folder of a container, also of one that has ended, as pieces of a tar.

        Raises FileNotFoundError if there is none; links are not followed.
        """
        with translated(f"copy {path} out of {container}"):
            try:
                pieces, _ = self.api.get_archive(container, path)
            except _not_found() as error:
                if "No such container" in str(error):
                    raise
                raise FileNotFoundError(path) from None
            yield from pieces

    def close(self) -> None:
        """Let go of the connections."""
        self.api.close()


def connect(timeout: float | None = None) -> ContainerEngine:
    """The engine that the user's docker command would talk to.

    Raises EngineUnreachable, EngineForbidden, EngineTooOld, EngineTimeout, UsageError.
    """
    endpoint = find_endpoint()
    if endpoint.url.startswith("ssh://"):
        raise EngineUnreachable(
            f"evdiag does not open ssh connections ({endpoint.url}, {endpoint.origin})",
            advice="Forward the socket: `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST`, "
            "then set DOCKER_HOST=unix:///tmp/engine.sock.",
        )
    try:
        with translated(f"talk to {endpoint.url}"):
            api = _client(endpoint, timeout or _timeout())
            version = api.version(api_version=False)
    except EngineUnreachable as error:
        message = f"{error} ({endpoint.url}, by {endpoint.origin})"
        raise EngineUnreachable(message) from error
    _check_version(version)
    return ContainerEngine(api, endpoint, version)


def _client(endpoint: Endpoint, timeout: float) -> Any:  # noqa: ANN401
    import docker  # noqa: PLC0415
    import docker.tls  # noqa: PLC0415

    tls: Any = False
    if endpoint.tls is not None:
        pair = endpoint.tls.certificate
        tls = docker.tls.TLSConfig(
            client_cert=tuple(map(str, pair)) if pair else None,
            ca_cert=str(endpoint.tls.ca) if endpoint.tls.ca else None,
            verify=endpoint.tls.verify,
        )
    return docker.APIClient(base_url=endpoint.url, timeout=timeout, tls=tls)


def _timeout() -> float:
    text = os.environ.get("EVDIAG_ENGINE_TIMEOUT", "")
    try:
        seconds = float(text) if text else SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise UsageError(f"EVDIAG_ENGINE_TIMEOUT={text!r} is no number of seconds")
    return seconds


def _check_version(version: Mapping[str, object]) -> None:
    api = str(version.get("ApiVersion", ""))
    numbers = tuple(int(part) for part in api.split(".") if part.isdecimal())
    if numbers < OLDEST_API:
        raise EngineTooOld(
            f"the container engine is version {version.get('Version')} with API {api or 'unknown'}"
        )


def _not_found() -> "type[docker.errors.NotFound]":
    import docker.errors  # noqa: PLC0415

    kind: type[docker.errors.NotFound] = docker.errors.NotFound
    return kind
