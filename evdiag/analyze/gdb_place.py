"""Where gdb is started for the cores of a container: in which places, in which order, and why.

The image's own gdb knows the machine of the core, lies beside the very files that the process had
mapped, and is there where this machine has none.
"""

import re

import msgspec

from evdiag.model.charger import RUNNING, ContainerFacts, ImageFacts

HERE = "this machine"
INSIDE, OF_IMAGE, OF_COMMIT = "inside", "image", "commit"
"""Kinds of places: in the running container, in a throw-away one of its image or of a commit."""
ENDED = ("exited", "dead")
_MACHINES = {"amd64": {"x86-64", "i386"}, "386": {"i386"},
             "arm64": {"aarch64", "arm"}, "arm": {"arm"}}  # fmt: skip
_ID = re.compile(r"(?:sha256:)?([0-9a-f]{12})[0-9a-f]{52}")


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One place, and what has to hold for it."""

    kind: str
    title: str
    """As the report has it."""
    source: str
    """Id of the container or the image."""
    insists: bool = False
    """Whether the files that the core maps have to be the place's own: a later place has them."""


def choose(container: ContainerFacts | None, image: ImageFacts | None) -> tuple[Choice, ...]:
    """The places for a container's cores, best first; either may be gone.

    A container that runs is asked itself. One that has ended cannot run anything: another one of
    its image does, unless files that the core maps were changed since; those a commit of it has.
    """
    found = []
    if container is not None and container.state == RUNNING:
        title = f"running container {container.name}"
        found.append(Choice(kind=INSIDE, title=title, source=container.id))
    has_ended = container is not None and container.state in ENDED
    if image is not None:
        title = f"throw-away container of {_short(image.name)}"
        found.append(Choice(kind=OF_IMAGE, title=title, source=image.id, insists=has_ended))
    if container is not None and has_ended:
        title = f"throw-away container of a commit of {container.name}"
        found.append(Choice(kind=OF_COMMIT, title=title, source=container.id))
    return tuple(found)


def within(title: str) -> str:
    """The title in a sentence, behind what happens there."""
    return f"in the {title}" if title.startswith("running") else f"in a {title}"


def _short(name: str) -> str:
    """An id as people write it; a name stays as it is."""
    match = _ID.fullmatch(name)
    return match[1] if match else name


def fits(architecture: str, machine: str) -> bool:
    """Whether the gdb of an image knows the machine of a core; an unknown one may."""
    known = _MACHINES.get(architecture)
    return known is None or machine in known
