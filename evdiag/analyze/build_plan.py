"""What is to be built, with which builder, and whether that can go well: decided beforehand."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from evdiag.errors import NotReady, UsageError
from evdiag.model.charger import IMAGE

TARGET = "runtime"
PLATFORMS = ("linux/amd64", "linux/arm64")
"""What the core writer knows the registers of."""
GIGABYTE = 1_000_000_000
JOB_BYTES = 2_600_000_000
"""The Dockerfile's own figure for one compiler."""
LITTLE_MEMORY = 3 * GIGABYTE

_ALIASES = {"x86_64": "amd64", "aarch64": "arm64", "arm64/v8": "arm64"}
# docs.docker.com, "docker image tag": host, port, path, tag
_REFERENCE = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::\d{1,5})?/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*"
    r"(?:/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?"
)
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller wants."""

    tag: str = IMAGE
    everest_ref: str | None = None
    platforms: tuple[str, ...] = ()
    jobs: int | None = None
    no_cache: bool = False
    cache_from: tuple[str, ...] = ()
    build_args: dict[str, str] = {}
    push: bool = False
    archive: str | None = None
    """A file for the image in place of the engine's store."""


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """A folder in the folder of sources."""

    name: str
    has_cmake: bool


class Finding(msgspec.Struct, frozen=True):
    """What was found in the folder of sources: fine, or odd."""

    text: str
    is_odd: bool = False


class Jobs(msgspec.Struct, frozen=True):
    """How many compilers will run at once, in words."""

    text: str
    warning: str = ""


# -- what the caller said


def check_request(request: Request) -> None:
    """Raises UsageError for what cannot be meant."""
    for name in (request.tag, *request.cache_from):
        if len(name) > 300 or not _REFERENCE.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name of an image",
                advice="Names are lower case: `name`, `name:tag` or `host:5000/name:tag`.",
            )
    reference = request.everest_ref
    if reference is not None and (not reference or not re.fullmatch(r"[^\s-]\S*", reference)):
        raise UsageError(
            f"{reference!r} is no branch, tag or commit", advice="For example 2026.02.1 or main."
        )
    if request.push and request.archive is not None:
        raise UsageError("--push and --output exclude each other", advice="Build twice: the "
                         "second time comes from the cache.")  # fmt: skip


def read_platforms(text: str | None) -> tuple[str, ...]:
    """`linux/amd64,arm64` as the names of platforms. Raises UsageError."""
    found = []
    for part in (text or "").split(","):
        name = part.strip().lower().removeprefix("linux/")
        if not name:
            continue
        platform = f"linux/{_ALIASES.get(name, name)}"
        if platform not in PLATFORMS:
            raise UsageError(
                f"there is no image for the platform {part.strip()!r}",
                advice=f"There is one for {' and '.join(PLATFORMS)}.",
            )
        found.append(platform)
    return tuple(dict.fromkeys(found))


def read_build_args(texts: Sequence[str], environment: Mapping[str, str]) -> dict[str, str]:
    """`KEY=VALUE`, or `KEY` for the environment's value, as docker does. Raises UsageError."""
    found = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not _KEY.fullmatch(key):
            raise UsageError(
                f"--build-arg {text!r} is not KEY=VALUE",
                advice="container/README.md lists the image's build arguments.",
            )
        if not equals and key not in environment:
            raise UsageError(
                f"--build-arg {key} has no value, and the environment has none for it",
                advice=f"Give it as --build-arg {key}=VALUE.",
            )
        found[key] = value if equals else environment[key]
    return found


def build_arguments(request: Request, *, revision: str, version: str) -> dict[str, str]:
    """The arguments for the Dockerfile.

    One that is not needed is not given: each is part of the cache's key for the steps below it.
    """
    found = {"VERSION": version}
    if revision:
        found["REVISION"] = revision
    if request.everest_ref is not None:
        found["EVEREST_REF"] = request.everest_ref
    if request.jobs is not None:
        found["EVEREST_JOBS"] = str(request.jobs)
    return found | request.build_args


# -- sources


def read_dependencies(text: str) -> frozenset[str]:
    """The names in EVerest's dependencies.yaml."""
    return frozenset(re.findall(r"^([A-Za-z0-9_][A-Za-z0-9_.+-]*):", text, re.MULTILINE))


def refuse_checkout(folder: str, names: frozenset[str]) -> None:
    """Raises UsageError if a folder that holds these names is EVerest itself."""
    if {"CMakeLists.txt", "dependencies.yaml", "modules"} <= names:
        raise UsageError(
            f"{folder} (--sources) is a checkout of EVerest, not a folder around one",
            advice=f"Link it into a folder as `everest`: `mkdir sources && ln -s {folder} "
            "sources/everest`, then --sources sources.",
        )


def judge_sources(
    trees: Sequence[Tree], dependencies: frozenset[str] | None, everest_ref: str | None
) -> list[Finding]:
    """What each tree is good for; `dependencies` is None where EVerest is not among them.

    Raises UsageError if there is nothing to build from, or the build could not go well.
    """
    if not trees:
        raise UsageError(
            "the folder for --sources holds no folder",
            advice="Put a source tree into it, for example as `everest`.",
        )
    known = {"everest", "everest-cmake", *(dependencies or ())}
    if not any(tree.has_cmake or tree.name in known for tree in trees):
        raise UsageError(
            "no folder in the one for --sources is a source tree",
            advice="There has to be `everest`, `everest-cmake`, or a dependency by its name in "
            "EVerest's dependencies.yaml.",
        )
    judged = [(tree.name, _judge(tree, dependencies)) for tree in trees]
    found = [finding for _, finding in judged if finding is not None]
    if plain := sorted(name for name, finding in judged if finding is None):
        found.append(Finding(f"dependencies: {', '.join(plain)}"))
    names = {tree.name for tree in trees}
    if everest_ref is not None and "everest" in names:
        found.append(
            Finding(f"--everest-ref {everest_ref} is only written down: everest/ is built", True)
        )
    if cloned := [name for name in ("everest", "everest-cmake") if name not in names]:
        found.append(Finding(f"cloned: {', '.join(cloned)}, and dependencies that are not here"))
    return found


def _judge(tree: Tree, dependencies: frozenset[str] | None) -> Finding | None:
    """What is to be said of a tree; nothing if it is a dependency like any other."""
    name = tree.name
    if name in ("build", "dependencies"):
        raise UsageError(
            f"--sources holds a folder `{name}`: the build makes one of that name itself",
            advice="Take it out, or name another folder.",
        )
    if name == "everest":
        if not tree.has_cmake:
            raise UsageError(
                "everest/ in --sources has no CMakeLists.txt: it is not EVerest's source",
                advice="It has to be a checkout of EVerest, not a folder around one.",
            )
        return Finding("everest: EVerest itself")
    if name == "everest-cmake":
        return Finding("everest-cmake: EVerest's build scripts")
    if dependencies is not None and name not in dependencies:
        return Finding(f"{name}: no dependency of that name in EVerest's dependencies.yaml", True)
    if not tree.has_cmake:
        return Finding(f"{name}: it has no CMakeLists.txt, so it may not build", True)
    return None


# -- the engine


def plan_jobs(cores: int, memory: int | None, wanted: int | None) -> Jobs:
    """What the Dockerfile will do, and whether the memory is enough for it."""
    needed = (wanted or 1) * JOB_BYTES
    warning = ""
    if memory is not None and memory < min(needed, LITTLE_MEMORY):
        warning = (
            f"the engine has {memory / GIGABYTE:.1f} GB of memory, and a compiler takes up to "
            "2.5 GB for one file: it may be killed. Give the engine more (Docker Desktop: "
            "Settings, Resources), or add swap."
        )
    elif memory is not None and memory < needed:
        warning = (
            f"{wanted} compilers may want {needed / GIGABYTE:.0f} GB, and the engine has "
            f"{memory / GIGABYTE:.1f} GB: --jobs {max(1, memory // JOB_BYTES)} fits"
        )
    if wanted is not None:
        return Jobs(f"{_compilers(wanted)} at once", warning)
    fit = cores if memory is None else min(cores, memory // JOB_BYTES)
    room = "" if memory is None else f" and {memory / GIGABYTE:.1f} GB"
    count = max(1, fit)
    known = f" ({cores} cores{room})" if cores else ""
    return Jobs(f"up to {_compilers(count)} at once, as free memory allows{known}", warning)


def _compilers(count: int) -> str:
    return "1 compiler" if count == 1 else f"{count} compilers"


def needs_buildx(request: Request, architecture: str) -> bool:
    """Whether the engine's own builder cannot do it.

    The classic builder takes a base image of any architecture that is there, whatever it is asked
    for: the result would be one of another platform under the wrong name.
    """
    own = f"linux/{architecture}"
    foreign = any(platform != own for platform in request.platforms)
    return foreign or len(request.platforms) > 1 or request.push or request.archive is not None


def check_place(request: Request, *, keeps_several: bool) -> None:
    """Raises NotReady if the engine cannot keep what would be built."""
    if len(request.platforms) < 2 or request.push or request.archive or keeps_several:
        return
    raise NotReady(
        "this engine's store keeps an image of one platform only",
        advice="Add --push (to a registry) or --output FILE.tar (an OCI archive), build one "
        "platform at a time, or switch the engine to the containerd image store.",
    )


def buildx_arguments(request: Request, arguments: Mapping[str, str]) -> list[str]:
    """The words after `docker`; the context comes through stdin."""
    words = ["buildx", "build", "--progress=plain", "--target", TARGET, "--tag", request.tag]
    if request.platforms:
        words += ["--platform", ",".join(request.platforms)]
    if request.no_cache:
        words.append("--no-cache")
    for image in request.cache_from:
        words += ["--cache-from", image]
    for key, value in arguments.items():
        words += ["--build-arg", f"{key}={value}"]
    if request.push:
        words.append("--push")
    elif request.archive is not None:
        words += ["--output", _csv(f"type=oci,dest={request.archive}")]
    else:
        words.append("--load")
    return [*words, "-"]


def _csv(text: str) -> str:
    """buildx reads the option as fields of CSV; a comma in a file's name must not end one."""
    kind, _, place = text.partition(",")
    quoted = place.replace('"', '""')
    return f'{kind},"{quoted}"'
