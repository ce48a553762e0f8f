"""Files of an image, and those of a container with the image's behind them.

A file may have been replaced in the container since the crash: the image still has the old one.
Files of an image are read out of a container of it that is never started, and removed afterwards.
"""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from evdiag.adapters.docker.errors import short, translated
from evdiag.adapters.docker.files import ContainerFiles
from evdiag.adapters.file_source import FileSource, FileStatus
from evdiag.errors import EvdiagError
from evdiag.model.charger import TEST_PROCESS, ContainerFacts

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine

PREFIX = "evdiag-files"
NEVER = ["evdiag-never-started"]
"""An image without a command of its own needs one."""


class ImageFiles:
    """The files of an image."""

    others: tuple[FileSource, ...] = ()

    def __init__(self, engine: "ContainerEngine", image: str, name: str) -> None:
        self.engine, self.image, self.name = engine, image, name
        self._files: ContainerFiles | None = None
        self._is_missing = False

    def status(self, path: str) -> FileStatus:
        """What a path is, if it is a regular file. Raises FileNotFoundError, EngineError."""
        return self._made(path).status(path)

    def open(self, path: str) -> Iterator[bytes]:
        """The content of a regular file. Raises FileNotFoundError, TarCut, EngineError."""
        return self._made(path).open(path)

    def _made(self, path: str) -> ContainerFiles:
        """The container, made when the first file is wanted."""
        if self._files is None and not self._is_missing:
            try:
                self._files = ContainerFiles(self.engine, self._create(), self.name)
            except EvdiagError:
                self._is_missing = True  # removed, or of another machine: then it has no file
        if self._files is None:
            raise FileNotFoundError(path)
        return self._files

    def _create(self) -> str:
        name = f"{PREFIX}-{uuid.uuid4().hex[:8]}"
        api = self.engine.api
        with translated(f"make a container of {self.image}"):
            host = api.create_host_config(network_mode="none", auto_remove=True)
            # the label keeps it out of the list of chargers
            labels = {TEST_PROCESS: str(os.getpid())}
            api.create_container(self.image, NEVER, name=name, host_config=host, labels=labels)
        return name

    def close(self) -> None:
        """Remove the container."""
        if self._files is None:
            return
        name, self._files = self._files.container, None
        with suppress(EvdiagError), translated(f"remove {name}"):
            self.engine.api.remove_container(name, force=True, v=True)


@contextmanager
def files_of_image(engine: "ContainerEngine", image: str) -> Iterator[FileSource]:
    """The files of an image, by its name or id."""
    files = ImageFiles(engine, image, f"the image {short(image.removeprefix('sha256:'))}")
    try:
        yield files
    finally:
        files.close()


@contextmanager
def files_of(engine: "ContainerEngine", container: ContainerFacts) -> Iterator[FileSource]:
    """The files of a container, running or ended, and behind them those of its image."""
    with files_of_image(engine, container.image_id or container.image) as image:
        yield ContainerFiles(engine, container.id, f"the container {container.name}", (image,))
