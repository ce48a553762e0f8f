"""A container engine: what it is, its images and containers, and programs run in them."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from evdiag.adapters.docker.endpoint import Endpoint, find_endpoint
from evdiag.adapters.docker.errors import NOT_DOCKER, short, translated
from evdiag.errors import (
    EngineRefused,
    EngineTooOld,
    EngineUnreachable,
    NoSuchContainer,
    NoSuchImage,
    UsageError,
)
from evdiag.model.charger import IMAGE_LABEL, TEST_PROCESS, ContainerFacts, EngineFacts, ImageFacts
from evdiag.parse.engine import read_container, read_engine, read_image
from evdiag.parse.output_frames import split_output

if TYPE_CHECKING:
    import docker

OLDEST_API = (1, 41)
"""Docker 20.10: `host-gateway`, which `evdiag run` needs for a CSMS on this machine."""
SECONDS = 60.0
"""For one answer of the engine; starting a container on a busy machine takes ten."""


_CONTAINER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
"""As the engine has them (moby, daemon/names); anything else would be another path of its API."""
_IMAGE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@+-]*")


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
        if not _IMAGE_NAME.fullmatch(name):
            raise NoSuchImage(f"{name!r} cannot be the name of an image")
        with translated(f"look at the image {name}"):
            document = self.api.inspect_image(name)
        return read_image(name, _checked(document, f"look at the image {name}"))

    # -- containers

    def container(self, name: str) -> ContainerFacts:
        """A container by name or id. Raises NoSuchContainer."""
        return read_container(self.inspect(name))

    def inspect(self, name: str) -> Any:  # noqa: ANN401
        """All that the engine knows of a container, passwords included. Raises NoSuchContainer."""
        if not _CONTAINER_NAME.fullmatch(name):
            raise NoSuchContainer(f"{name!r} cannot be the name of a container")
        doing = f"look at the container {short(name)}"
        with translated(doing):
            try:
                document = self.api.inspect_container(name)
            except _not_found():
                raise NoSuchContainer(f"there is no container called {short(name)}") from None
        return _checked(document, doing)

    def chargers(self) -> tuple[ContainerFacts, ...]:
        """All containers of an image of ours, whoever started them; the newest first."""
        with translated("list its containers"):
            listed = self.api.containers(all=True, filters={"label": IMAGE_LABEL})
        found = []
        for entry in listed if isinstance(listed, list) else []:
            try:
                facts = self.container(_checked(entry, "list its containers").get("Id", ""))
            except NoSuchContainer:  # removed meanwhile
                continue
            if TEST_PROCESS not in facts.labels:
                found.append(facts)
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
        doing = f"run {command[0]} in {short(container)}"
        with translated(doing):
            made = self.api.exec_create(
                container, list(command), user=user, environment=dict(environment or {})
            )
            number = _checked(made, doing).get("Id")
            out, err = self._output(str(number))
            ended = self.api.exec_inspect(number)
        # a container that dies meanwhile ends its programs with 137, or takes the code along
        code = _checked(ended, doing).get("ExitCode")
        return Ran(code=code if isinstance(code, int) else 137, out=out, err=err)

    def _output(self, number: str) -> tuple[bytes, bytes]:
        """Start a program that was made ready, and read what it prints until it ends.

        Not by the SDK: it asks for the bare socket, and what came together with the answer's
        head is lost then.
        """
        import docker.errors  # noqa: PLC0415

        url = f"{self.api.base_url}/v{self.api.api_version}/exec/{number}/start"
        # programs may be silent for long: no limit for reading
        limits = (self.api.timeout, None)
        asked = {"Detach": False, "Tty": False}
        with self.api.post(url, json=asked, stream=True, timeout=limits) as answer:
            if answer.status_code >= 400:
                kind = docker.errors.APIError
                raise kind("", response=answer, explanation=_sentence(answer))
            return split_output(answer.content)

    def archive(self, container: str, path: str) -> Iterator[bytes]:
        """A file or folder of a container, also of one that has ended, as pieces of a tar.

        Raises FileNotFoundError if there is none; links are not followed.
        """
        with translated(f"copy {path} out of {short(container)}"):
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
    limit = timeout or _timeout()
    oldest = ".".join(map(str, OLDEST_API))
    with translated("ask the engine for its version", where=str(endpoint)):
        asking = _client(endpoint, limit, oldest)
        try:
            version = asking.version(api_version=False)
        finally:
            asking.close()
    spoken = _api_version(version, endpoint)
    return ContainerEngine(_client(endpoint, limit, spoken), endpoint, version)


def _client(endpoint: Endpoint, timeout: float, version: str) -> Any:  # noqa: ANN401
    import docker  # noqa: PLC0415
    import docker.tls  # noqa: PLC0415
    from docker.errors import InvalidConfigFile  # noqa: PLC0415

    tls: Any = False
    if endpoint.tls is not None:
        pair = endpoint.tls.certificate
        tls = docker.tls.TLSConfig(
            client_cert=tuple(map(str, pair)) if pair else None,
            ca_cert=str(endpoint.tls.ca) if endpoint.tls.ca else None,
            verify=endpoint.tls.verify,
        )
    try:
        api = docker.APIClient(base_url=endpoint.url, version=version, timeout=timeout, tls=tls)
    except (
        InvalidConfigFile,
        *(ValueError, TypeError, LookupError, AttributeError, RecursionError),
    ) as error:
        # nothing was sent yet: what is left to go wrong is the user's config.json for docker
        raise UsageError(
            f"docker's own configuration cannot be used: {type(error).__name__}, {error}",
            advice="Correct ~/.docker/config.json, or name another folder by DOCKER_CONFIG.",
        ) from error
    # else REQUESTS_CA_BUNDLE goes before the engine's own ca.pem, and ~/.netrc is read
    api.trust_env = False
    return api


def _checked(document: object, doing: str) -> dict[str, Any]:
    """An answer that has to be an object. Raises EngineRefused."""
    if not isinstance(document, dict):
        raise EngineRefused(f"could not {doing}: what the container engine answered is no answer")
    return document


def _sentence(answer: Any) -> str:  # noqa: ANN401
    """What an error of the engine says."""
    try:
        return str(answer.json()["message"])
    except (ValueError, LookupError, TypeError):
        return str(answer.text)


def _timeout() -> float:
    text = os.environ.get("EVDIAG_ENGINE_TIMEOUT", "")
    try:
        seconds = float(text) if text else SECONDS
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 86_400:
        raise UsageError(f"EVDIAG_ENGINE_TIMEOUT={text!r} is no number of seconds")
    return seconds


def _api_version(version: object, endpoint: Endpoint) -> str:
    """The newest API that the engine speaks. Raises EngineTooOld, EngineUnreachable."""
    about = version if isinstance(version, dict) else {}
    text = str(about.get("ApiVersion", ""))
    if not re.fullmatch(r"\d{1,4}\.\d{1,4}", text, re.ASCII):
        raise EngineUnreachable(
            f"no container engine answers at {endpoint}: what came back names no API version",
            advice=NOT_DOCKER,
        )
    major, minor = map(int, text.split("."))
    if (major, minor) < OLDEST_API:
        raise EngineTooOld(
            f"the container engine at {endpoint} is version {about.get('Version')} with API {text}"
        )
    return text


def _not_found() -> "type[docker.errors.NotFound]":
    import docker.errors  # noqa: PLC0415

    kind: type[docker.errors.NotFound] = docker.errors.NotFound
    return kind
