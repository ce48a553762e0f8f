"""The two builders: the engine's classic one through the SDK, and docker's buildx as a program."""

import contextlib
import os
import shutil
import signal
import subprocess
import threading
from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from typing import IO, TYPE_CHECKING, Any

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.analyze.build_plan import TARGET, Request
from evdiag.errors import BuildFailed, EngineRefused, EngineUnreachable, EvdiagError, NotReady

if TYPE_CHECKING:
    import docker

_NO_BUILDX = (
    "Install docker's buildx: `apt-get install docker-buildx-plugin` (docker.com's packages), "
    "`docker-buildx` (Debian, Ubuntu), or Docker Desktop."
)
_GRACE_SECONDS = 10.0
"""For buildx to tell the engine that nobody waits any more."""


def classic(
    engine: ContainerEngine,
    context: Iterable[bytes],
    request: Request,
    arguments: Mapping[str, str],
) -> Iterator[object]:
    """Build with the engine's classic builder and give its messages; it stops when this does.

    Raises EngineError, NoSuchImage, DiskFull, BuildFailed for a Dockerfile it does not take.
    """
    answers: list[Any] = []
    hooks = engine.api.hooks["response"]
    hooks.append(lambda answer, **_: answers.append(answer))
    with translated("build the image"):
        try:
            yield from engine.api.build(
                fileobj=context,
                custom_context=True,
                tag=request.tag,
                target=TARGET,
                buildargs=dict(arguments),
                nocache=request.no_cache,
                cache_from=list(request.cache_from) or None,
                decode=True,
                rm=True,
                forcerm=True,
                timeout=None,  # a step may be silent for as long as it likes
            )
        except _refusals() as error:
            if error.status_code != 400:
                raise
            raise BuildFailed(
                f"the builder does not take the Dockerfile: {error.explanation}",
                advice="The image's own one is tested with Docker 20.10 and later.",
            ) from None
        except ValueError as error:  # not JSON
            raise EngineRefused(f"the builder's answer makes no sense: {error}") from None
        finally:
            hooks.pop()
            for answer in answers:  # the engine stops building when nobody listens
                answer.close()


def _refusals() -> "type[docker.errors.APIError]":
    import docker.errors  # noqa: PLC0415

    kind: type[docker.errors.APIError] = docker.errors.APIError
    return kind


def keeps_several_platforms(engine: ContainerEngine) -> bool:
    """Whether the engine's store is containerd's, which can hold an image of many platforms."""
    with translated("describe itself"):
        status = engine.api.info().get("DriverStatus") or ()
    return any("io.containerd.snapshotter" in str(pair) for pair in status)


def find_buildx() -> str:
    """The docker program, if it has buildx. Raises NotReady."""
    program = shutil.which("docker")
    if program is None:
        raise NotReady(
            "building for another platform takes the docker program, and there is none",
            advice=_NO_BUILDX,
        )
    try:
        done = subprocess.run(  # noqa: S603
            [program, "buildx", "version"],
            stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=30,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotReady(f"{program} does not run: {error}", advice=_NO_BUILDX) from None
    if done.returncode != 0:
        raise NotReady(
            f"building for another platform takes buildx, and {program} has none",
            advice=_NO_BUILDX,
        )
    return program


class Buildx:
    """A running `docker buildx build`: the context goes in, lines come out."""

    def __init__(
        self,
        engine: ContainerEngine,
        program: str,
        words: Sequence[str],
        context: Iterable[bytes],
    ) -> None:
        environment = dict(os.environ)
        if engine.endpoint.origin == "found":  # where docker itself would not look
            environment["DOCKER_HOST"] = engine.endpoint.url
        try:
            self._process = subprocess.Popen(  # noqa: S603
                [program, *words],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,  # Ctrl-C is for evdiag alone, which then ends it in order
            )  # fmt: skip
        except OSError as error:
            raise NotReady(f"{program} does not start: {error.strerror}") from None
        self._context = context
        self._trouble: BaseException | None = None

    def lines(self) -> "Generator[str]":
        """What it prints, until it ends. Raises what reading the context raised."""
        sender = threading.Thread(target=self._send, daemon=True)
        sender.start()
        assert self._process.stdout is not None
        try:
            for raw in _lines(self._process.stdout):
                yield raw.decode(errors="replace")
            self._process.wait()
            sender.join()
        finally:
            self._end()
        if self._trouble is not None:
            raise self._trouble

    @property
    def succeeded(self) -> bool:
        """Whether it made the image."""
        return self._process.returncode == 0

    def _send(self) -> None:
        assert self._process.stdin is not None
        try:
            with contextlib.suppress(BrokenPipeError), self._process.stdin as pipe:
                for piece in self._context:
                    pipe.write(piece)
        except (EvdiagError, OSError) as error:
            self._trouble = error
            self._process.terminate()  # half a context is no context

    def _end(self) -> None:
        """End it and what it started, if it is not over."""
        assert self._process.stdout is not None
        self._process.stdout.close()
        for number in (signal.SIGINT, signal.SIGKILL):
            if self._process.poll() is not None:
                return
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_GRACE_SECONDS)


def _lines(stream: IO[bytes]) -> Iterator[bytes]:
    """Lines of bounded length: a program may print megabytes without an end of line."""
    while line := stream.readline(1 << 16):
        yield line


def broke_off() -> EngineUnreachable:
    """The error for a builder that ended without saying how."""
    return EngineUnreachable(
        "the engine ended the connection in the middle of the build",
        advice="Was it stopped or restarted? Start the build again: the layers so far are kept.",
    )
