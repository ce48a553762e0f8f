"""Files of a container, running or ended, as its processes saw them.

The archive API gives a link itself, so the engine is asked first what a path is, and where it
leads inside the container's root. Nothing on the way there is looked at on this machine.
"""

import base64
import binascii
import json
import posixpath
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from evdiag.adapters.docker.copy import copied_file
from evdiag.adapters.docker.errors import short, translated
from evdiag.adapters.file_source import FileSource, FileStatus
from evdiag.parse.engine import read_time

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine

MAX_LINKS = 8
"""The engine itself follows them to the end; one of another make may do it one by one."""
_LINK, _SPECIAL = 1 << 27, 0x8F280000
"""Of the mode of a file as the engine says it: Go's os.ModeSymlink and os.ModeType."""


class Stat(msgspec.Struct, frozen=True):
    """What the engine says of a path."""

    size: int
    mode: int
    link: str
    modified: float | None


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
        for _ in range(MAX_LINKS if self._may_be(path) else 0):
            found = look(self.engine, self.container, at)
            if found is None:
                break
            if found.mode & _LINK:
                # relative to the folder of the link, where an engine has not resolved it
                at = posixpath.normpath(posixpath.join(posixpath.dirname(at), found.link or "/"))
                continue
            if found.mode & _SPECIAL:
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


def look(engine: "ContainerEngine", container: str, path: str) -> Stat | None:
    """What a path is; None if there is nothing, or no such container. Raises EngineError."""
    api = engine.api
    url = f"{api.base_url}/v{api.api_version}/containers/{container}/archive"
    with translated(f"look for {path} in {short(container)}"):
        answer = api.head(url, params={"path": path}, timeout=api.timeout)
        if answer.status_code in (404, 500):  # the latter of links that lead to themselves
            return None
        api._raise_for_status(answer)
        return _read(answer.headers.get("X-Docker-Container-Path-Stat", ""))


def _read(text: str) -> Stat | None:
    """The engine's answer, if it is one."""
    try:
        told = json.loads(base64.b64decode(text))
        size, mode, link = told["size"], told["mode"], told.get("linkTarget") or ""
    except (binascii.Error, ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return None
    if type(size) is not int or type(mode) is not int or not isinstance(link, str):
        return None
    return Stat(max(size, 0), mode, link, read_time(told.get("mtime")))
