"""The kernel's core pattern, one for all containers of a machine: read it, and set it on request.

Any container may read it. Writing takes no privilege but the file itself, mounted over a path
that is not below /proc: there a container has it read-only.
"""

from collections.abc import Sequence
from typing import Any

from evdiag.adapters.docker.engine import ContainerEngine, Ran
from evdiag.adapters.docker.errors import translated
from evdiag.adapters.docker.start import remove
from evdiag.errors import EvdiagError, NotReady
from evdiag.model.incident import CorePattern
from evdiag.parse.container import read_core_pattern

FILE = "/proc/sys/kernel/core_pattern"
_READ = ("cat", FILE, "/proc/sys/kernel/core_uses_pid")
_WRITE = 'printf %s "$1" > /core_pattern && cat /core_pattern'
SECONDS = 60


def run_once(
    engine: ContainerEngine,
    image: str,
    command: Sequence[str],
    **host: Any,  # noqa: ANN401
) -> Ran:
    """Run a program in a throw-away container of an image, without a network, as root."""
    with translated(f"run {command[0]} in a container of {image}"):
        made = engine.api.create_container(
            image,
            entrypoint=list(command[:1]),
            command=list(command[1:]),
            user="0",
            network_disabled=True,
            healthcheck={"test": ["NONE"]},
            host_config=engine.api.create_host_config(network_mode="none", **host),
        )["Id"]
        try:
            engine.api.start(made)
            code = engine.api.wait(made, timeout=SECONDS)["StatusCode"]
            out = engine.api.logs(made, stdout=True, stderr=False)
            err = engine.api.logs(made, stdout=False, stderr=True)
        finally:
            remove(engine, made)
    return Ran(code=code, out=out, err=err)


def can_run(engine: ContainerEngine, image: str) -> bool:
    """Whether programs of an image run at all: those of another architecture need an emulator."""
    try:
        return run_once(engine, image, ("true",)).code == 0
    except EvdiagError:
        return False


def read_pattern(engine: ContainerEngine, container: str) -> CorePattern | None:
    """The core pattern, asked in a running container."""
    return _pattern(engine.run_in(container, _READ))


def read_pattern_once(engine: ContainerEngine, image: str) -> CorePattern | None:
    """The core pattern, where no container runs yet."""
    return _pattern(run_once(engine, image, _READ))


def _pattern(ran: Ran) -> CorePattern | None:
    if ran.code != 0:
        return None
    pattern, _, uses_pid = ran.out.decode(errors="replace").partition("\n")
    return read_core_pattern(pattern, uses_pid)


def write_pattern(engine: ContainerEngine, image: str, text: str) -> None:
    """Set the core pattern of the engine's machine. Raises NotReady if that is not allowed."""
    mounts = [{"Type": "bind", "Source": FILE, "Target": "/core_pattern"}]
    advice = (
        f"As root of the engine's machine: `echo '{text}' > {FILE}`. Without --set-core-pattern"
    )
    advice += " the capture layer of the image keeps cores all the same."
    try:
        ran = run_once(engine, image, ("sh", "-c", _WRITE, "sh", text), mounts=mounts)
    except EvdiagError as error:
        message = f"the core pattern cannot be set from a container: {error}"
        raise NotReady(message, advice=advice) from error
    if ran.code != 0 or ran.out.decode(errors="replace").strip("\n") != text:
        said = " ".join(ran.err.decode(errors="replace").split()) or "it stayed as it was"
        raise NotReady(
            f"the core pattern cannot be set from a container ({said}): engines without root, "
            "Docker Desktop and AppArmor forbid that",
            advice=advice,
        )
