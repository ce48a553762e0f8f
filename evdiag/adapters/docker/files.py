"""Files of a container, running or ended, as its processes saw them.

The archive API gives a link itself, so the engine is asked first what a path is, and where it
leads inside the container's root. Nothing on the way there is looked at on this machine.
"""

import posixpath
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from evdiag.adapters.docker.copy import copied_file
from evdiag.adapters.docker.path_stat import LINK, SPECIAL, look
from evdiag.adapters.file_source import FileSource, FileStatus

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine

MAXLINKS = 8
"""The engine itself follows them to the end; one of another make may do it one by one."""


class ContainerFiles:
    """The files of one container."""

    def __init__(
        self,
        engine: "ContainerEngine",
        container: str,
        name: str,
        others: tuple[FileSource, ...] = (),
    ) -> None:
        self.engine, self.container = engine, container
        self.name, self.others = name, others
        self._found: dict[str, tuple[str, FileStatus]] = {}
        self._folders: dict[str, bool] = {"/": True}
        """Whether they are there: hundreds of debug files are looked for in a few folders."""

    def status(self, path: str) -> FileStatus:
        """What a path is, if it is a regular file. Raises FileNotFoundError, EngineError."""
        return self._resolved(path)[1]

    def open(self, path: str) -> Iterator[bytes]:
        """The content of a regular file. Raises FileNotFoundError, TarCut, EngineError."""
        yield from copied_file(self.engine, self.container, self._resolved(path)[0])

    def _resolved(self, path: str) -> tuple[str, FileStatus]:
        """(path of the file itself, what it is)."""
        known = self._found.get(path)
        if known is None:
            known = self._found[path] = self._follow(path)
        return known

    def _follow(self, path: str) -> tuple[str, FileStatus]:
        at = path
        for _ in range(MAXLINKS if self._may_be(path) else 0):
            found = look(self.engine, self.container, at)
            if found is None:
                break
            if found.mode & LINK:
                # relative to the folder of the link, where an engine has not resolved it
                at = posixpath.normpath(posixpath.join(posixpath.dirname(at), found.link or "/"))
                continue
            if found.mode & SPECIAL:
                break
            return at, FileStatus(found.size, found.modified)
        self._note_folders(path)
        raise FileNotFoundError(path)

    def _may_be(self, path: str) -> bool:
        """Whether no folder above a path is known to be missing."""
        return all(self._folders.get(str(above), True) for above in PurePosixPath(path).parents)

    def _note_folders(self, path: str) -> None:
        """Of a path that is not there: which folder above it is the first that is."""
        for above in map(str, PurePosixPath(path).parents):
            if above not in self._folders:
                self._folders[above] = look(self.engine, self.container, above) is not None
            if self._folders[above]:
                return
