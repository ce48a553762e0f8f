"""Where files come from: a container, running or not, or a folder of this machine."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from evdiag.adapters.docker.collect import printed, stat_of
from evdiag.adapters.docker.copy import copied, copied_file
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.model.charger import CORES, Mount
from evdiag.parse.collect_inside import Found
from evdiag.parse.tar import Kind, TarCut, TarMember

PIECE = 1 << 20
MOST_ENTRIES = 50_000
DEEPEST = 8
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Source(Protocol):
    """Files by their paths in the container. All methods raise EngineError."""

    def members(self, path: str) -> Iterator[TarMember | bytes]:
        """A folder, each member and its content. Raises FileNotFoundError, TarCut."""

    def content(self, path: str) -> Iterator[bytes]:
        """One file. Raises FileNotFoundError, TarCut."""

    def stat(self, path: str) -> Found | None:
        """A regular file, if there is one."""

    def is_running(self) -> bool:
        """Whether somebody may still write there. Raises NoSuchContainer."""

    def ask_engine(self) -> None:
        """See that the engine is still there."""


class ContainerSource:
    """The files of a container."""

    def __init__(
        self, engine: ContainerEngine, container: str, mounts: Sequence[Mount] = ()
    ) -> None:
        self._engine, self._container = engine, container
        self._in_memory = [mount.target.rstrip("/") for mount in mounts if mount.kind == "tmpfs"]

    def members(self, path: str) -> Iterator[TarMember | bytes]:
        """See Source."""
        return copied(self._engine, self._container, path)

    def content(self, path: str) -> Iterator[bytes]:
        """See Source."""
        if any(path.startswith(f"{folder}/") for folder in self._in_memory):
            return printed(self._engine, self._container, path)
        return copied_file(self._engine, self._container, path)

    def stat(self, path: str) -> Found | None:
        """See Source."""
        return stat_of(self._engine, self._container, path)

    def is_running(self) -> bool:
        """See Source."""
        return self._engine.container(self._container).state in ("running", "restarting")

    def ask_engine(self) -> None:
        """See Source."""
        self._engine.facts()


class FolderSource:
    """A folder of this machine in the place of the container's folder for cores.

    No link is followed, wherever it is: the folder may have been written by a container.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def members(self, path: str) -> Iterator[TarMember | bytes]:
        """See Source."""
        if path != CORES:
            raise FileNotFoundError(path)
        left = MOST_ENTRIES
        waiting = [("", os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))]
        try:
            while waiting:
                below, folder = waiting.pop()
                try:
                    for name in sorted(os.listdir(folder)):  # noqa: PTH208 - Path has no descriptors
                        left -= 1
                        if left < 0:
                            return
                        yield from self._entry(folder, below, name, waiting)
                finally:
                    os.close(folder)
        finally:
            for _, folder in waiting:
                os.close(folder)

    def _entry(
        self, folder: int, below: str, name: str, waiting: list[tuple[str, int]]
    ) -> Iterator[TarMember | bytes]:
        """A file with its content; a folder goes to those that wait."""
        path = f"{below}{name}"
        try:
            entry = os.open(name, _READING, dir_fd=folder)
        except OSError as error:
            yield _member(path, "link" if error.errno == errno.ELOOP else "other")
            return
        about = os.fstat(entry)
        if stat.S_ISDIR(about.st_mode) and below.count("/") < DEEPEST:
            waiting.append((f"{path}/", entry))
            return
        with os.fdopen(entry, "rb", buffering=0) as file:
            if not stat.S_ISREG(about.st_mode):
                yield _member(path, "folder" if stat.S_ISDIR(about.st_mode) else "other")
                return
            yield _member(path, "file", about.st_size, about.st_mtime)
            left = about.st_size
            while left:
                try:
                    piece = file.read(min(PIECE, left))
                except OSError as error:
                    raise TarCut(f"{path} cannot be read: {error.strerror}") from None
                if not piece:
                    raise TarCut(f"{path} has shrunk while it was read")
                left -= len(piece)
                yield piece

    def content(self, path: str) -> Iterator[bytes]:
        """See Source."""
        for item in self._alone(path):
            if isinstance(item, bytes):
                yield item

    def stat(self, path: str) -> Found | None:
        """See Source."""
        for item in self._alone(path):
            if isinstance(item, TarMember) and item.kind == "file":
                return Found(path=path, size=item.size, time=item.modified)
        return None

    def _alone(self, path: str) -> Iterator[TarMember | bytes]:
        """One file of the folder itself: those below it are read with the folder only."""
        name = path.removeprefix(f"{CORES}/")
        if "/" in name or not name:
            raise FileNotFoundError(path)
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield from self._entry(folder, "", name, [])
        finally:
            os.close(folder)

    def is_running(self) -> bool:
        """See Source."""
        return False

    def ask_engine(self) -> None:
        """See Source. There is none."""


def _member(name: str, kind: Kind, size: int = 0, modified: float = 0.0) -> TarMember:
    printable = os.fsencode(name).decode("utf-8", "replace")
    path = f"{CORES.rpartition('/')[2]}/{printable}"
    return TarMember(name=path, kind=kind, size=size, modified=modified, mode=0o600)
