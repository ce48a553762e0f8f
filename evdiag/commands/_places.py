"""Where gdb can be started for the cores of one container."""

import contextlib
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from evdiag.errors import EvdiagError, NoSuchContainer, NoSuchImage
from evdiag.model.bundle import Manifest, Subject
from evdiag.model.charger import ContainerFacts, ImageFacts

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.adapters.gdb.places import Place

ANSWER_SECONDS = 10.0
"""For an engine that nobody has spoken with yet: this machine's own gdb waits."""


def places(
    engine: "ContainerEngine | None",
    subject: ContainerFacts | Subject,
    origins: Mapping[Path, str],
) -> "tuple[Place, ...]":
    """The places for a container's cores, best first; none where there is no engine.

    `subject` is the container, or what a bundle says of it: on another machine it is not there,
    and that costs a look at a socket. `origins` tells where in the container each core lay.
    Never raises: without places this machine's gdb is asked.
    """
    if not subject.id and not subject.image_id:
        return ()
    try:
        if engine is None:
            if not _may_answer():
                return ()
            from evdiag.adapters.docker.engine import connect

            engine = connect(ANSWER_SECONDS)
        return _places(engine, subject, origins)
    except EvdiagError:
        return ()


def bundle_places(root: Path, manifest: Manifest) -> "tuple[Place, ...]":
    """The places for the cores of a bundle that lies in a folder; as `places`."""
    origins = {
        root / entry.path: entry.origin
        for entry in manifest.files
        if entry.kind == "core" and entry.origin.startswith("/")
    }
    return places(None, manifest.subject, origins)


def _may_answer() -> bool:
    """Whether an engine may be there; without loading what speaks with it. Raises UsageError."""
    from evdiag.adapters.docker.endpoint import find_endpoint

    endpoint = find_endpoint()
    if not endpoint.is_local:
        return endpoint.url.startswith(("tcp://", "http://", "https://"))
    with contextlib.suppress(OSError):
        return stat.S_ISSOCK(Path(endpoint.url.removeprefix("unix://")).stat().st_mode)
    return False


def _places(
    engine: "ContainerEngine", subject: ContainerFacts | Subject, origins: Mapping[Path, str]
) -> "tuple[Place, ...]":
    from evdiag.adapters.docker.gdb import Places
    from evdiag.analyze.gdb_place import choose

    container = _container(engine, subject)
    image = _image(engine, subject)
    if container is None and image is None:
        return ()
    shared = Places(engine, image, origins)
    return tuple(shared.place(choice) for choice in choose(container, image))


def _container(
    engine: "ContainerEngine", subject: ContainerFacts | Subject
) -> ContainerFacts | None:
    """The container as it is now; by its id, as its name may be another one's by now."""
    if not subject.id:
        return None
    try:
        return engine.container(subject.id)
    except NoSuchContainer:
        return None


def _image(engine: "ContainerEngine", subject: ContainerFacts | Subject) -> ImageFacts | None:
    """The image under the name that the user knows, by its id: the name may mean a newer one."""
    if not subject.image_id:
        return None
    try:
        found = engine.image(subject.image_id)
    except NoSuchImage:
        return None
    import msgspec

    return msgspec.structs.replace(found, name=subject.image or found.name)
