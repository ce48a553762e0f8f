"""The charger's image with the crashers in EVerest's place, built at most once for all workers."""

import functools
import hashlib
import io
import shlex
import subprocess
import tarfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from evdiag.adapters.container_files import pieces

from .crasher_build import (
    MODULE_TYPES,
    PYTHON_MODULE,
    SOURCES,
    Build,
    cache_directory,
    compile_commands,
    library_command,
    link_commands,
    locked,
)

ROOT = SOURCES.parent.parent
CONTAINER = ROOT / "container"
PAYLOAD = ROOT / "tests/docker/payload"
PAYLOAD_IMAGE = "evdiag-test-payload"
IMAGE = "evdiag-test"
BUILD_SECONDS = 900
KEPT_IMAGES = 3


class CannotBuildImage(Exception):
    """The image could not be built; the message is the end of what docker said."""


def docker(*arguments: str, data: bytes | None = None, seconds: float = 60) -> str:
    """Run the docker client and return what it prints. Raises CannotBuildImage."""
    done = subprocess.run(
        ["docker", *arguments], input=data, capture_output=True, check=False, timeout=seconds
    )
    if done.returncode != 0:
        said = (done.stdout + done.stderr).decode(errors="replace")
        raise CannotBuildImage(f"docker {shlex.join(arguments)}:\n{said[-4000:]}")
    return done.stdout.decode(errors="replace")


def missing_engine() -> str | None:
    """Say why no container can run here, or None."""
    try:
        docker("version", seconds=20)
    except FileNotFoundError:
        return "docker is not installed"
    except (CannotBuildImage, subprocess.TimeoutExpired) as error:
        return f"no Docker engine answers: {str(error).splitlines()[-1]}"
    return None


def archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return a tar of named contents; the same contents give the same bytes."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode="w") as tar:
        for name, content in files:
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return memory.getvalue()


def rules(target: str, commands: Iterable[Sequence[str]]) -> str:
    """Return make's rules that run commands independently of each other."""
    lines = [shlex.join(command).replace("$", "$$") for command in commands]
    names = [f"{target}-{number}" for number in range(len(lines))]
    text = f".PHONY: {target} {' '.join(names)}\n{target}: {' '.join(names)}\n"
    return text + "".join(f"{name}:\n\t{line}\n" for name, line in zip(names, lines, strict=True))


def payload_makefile() -> str:
    """Return how the crashers are compiled at -O0 as if they were EVerest."""
    made = Build(root=Path("/opt/everest"), compiler="g++")
    modules = [f"libexec/everest/modules/{name}" for name in (*MODULE_TYPES, PYTHON_MODULE)]
    folders = [f"/opt/everest/{name}" for name in ("objects", "bin", "lib", *modules)]
    text = (
        f"prefix:\n\tmkdir -p {' '.join(folders)}\n"
        + rules("compile", compile_commands(made, "O0"))
        + rules("library", [library_command(made, "O0")])
        + rules("link", link_commands(made, "O0"))
    )
    # `Build` has a prefix for every optimisation level
    text = text.replace("/opt/everest/O0", "/opt/everest")
    return text.replace(str(SOURCES), "/usr/src/everest/crashers")


def payload_context() -> bytes:
    """Return the build context of the payload."""
    sources = [*sorted(SOURCES.glob("*.?pp"))]
    return archive(
        [
            ("Dockerfile", (PAYLOAD / "Dockerfile").read_bytes()),
            ("module.py", (PAYLOAD / "module.py").read_bytes()),
            ("Makefile", payload_makefile().encode()),
            *((f"crashers/{path.name}", path.read_bytes()) for path in sources),
        ]
    )


@functools.cache
def charger_image() -> str:
    """Build payload and charger, or find them built, and return the image's name.

    The name has a hash of everything that goes in, so another state of the sources is another
    image; layers that did not change are shared. Raises CannotBuildImage.
    """
    context = container_context()
    payload = payload_context()
    key = hashlib.sha256(context + payload).hexdigest()[:12]
    image, payload_image = f"{IMAGE}:{key}", f"{PAYLOAD_IMAGE}:{key}"
    with locked(cache_directory() / "charger-image.lock"):
        if docker("images", "-q", image):
            return image
        docker("build", "-t", payload_image, "-", data=payload, seconds=BUILD_SECONDS)
        docker(
            "build", "-t", image, "--target", "runtime",
            "--build-arg", f"EVEREST_STAGE={payload_image}", "-",
            data=context, seconds=BUILD_SECONDS,
        )  # fmt: skip
        forget_old_images()
    return image


def forget_old_images() -> None:
    """Keep the images of the last few states; one that is in use stays too."""
    for repository in (IMAGE, PAYLOAD_IMAGE):
        tags = docker("images", "--format", "{{.Repository}}:{{.Tag}}", repository).split()
        for tag in tags[KEPT_IMAGES:]:  # newest first
            subprocess.run(["docker", "rmi", tag], capture_output=True, check=False, timeout=60)


def container_context() -> bytes:
    """Return `container/` as a build context, as `evdiag build` sends it."""
    return b"".join(pieces(CONTAINER))
