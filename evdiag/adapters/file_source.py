"""Where the files of a crashed system come from: a folder with a copy of it, and what others give.

A source answers for paths as the crashed process knew them. Links are followed only inside of it.
"""

import errno
import os
import posixpath
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import msgspec

from evdiag.errors import EngineTimeout, EngineUnreachable, EvdiagError
from evdiag.parse.elf import ElfError
from evdiag.parse.image import Image

MAX_LINKS = 40
"""As the kernel follows them (path_resolution(7))."""
PIECE = 1 << 20
HEAD = 1 << 16
"""Bytes at the begin of a file in which linkers put the build-id."""
OTHER_BUILD = "it is another build"

Accept = Callable[[Image], bool]
"""Whether an image is the wanted file."""


class NotHad(Exception):
    """A source does not give a file; the message says why, and is empty where it has none."""


class FileStatus(msgspec.Struct, frozen=True):
    """What a source says of a regular file."""

    size: int
    modified: float | None = None
    """Seconds since 1970."""


class FileSource(Protocol):
    """Files by their paths in the crashed system."""

    @property
    def name(self) -> str:
        """How messages call it: `the container everest`."""
        ...

    @property
    def others(self) -> "tuple[FileSource, ...]":
        """Where else the files may be, of the same build or of another one."""
        ...

    def status(self, path: str) -> FileStatus:
        """What a path is, if it is a regular file. Raises FileNotFoundError, EvdiagError."""
        ...

    def open(self, path: str) -> Iterator[bytes]:
        """The content of a regular file. Raises FileNotFoundError, OSError, EvdiagError."""
        ...


class FolderFiles:
    """A copy of the crashed system's files; `/` for this machine's own."""

    others: tuple[FileSource, ...] = ()

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """How messages call it."""
        return str(self.root)

    def status(self, path: str) -> FileStatus:
        """What a path is, if it is a regular file. Raises FileNotFoundError."""
        fd = self._open(path)
        try:
            status = os.fstat(fd)
            return FileStatus(status.st_size, status.st_mtime)
        finally:
            os.close(fd)

    def open(self, path: str) -> Iterator[bytes]:
        """The content of a regular file. Raises FileNotFoundError, OSError."""
        with os.fdopen(self._open(path), "rb", buffering=0) as file:
            while piece := file.read(PIECE):
                yield piece

    def _open(self, path: str) -> int:
        """A descriptor of a regular file; everything else is as good as no file."""
        try:
            flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            fd = os.open(self._resolved(path), flags)
        except (OSError, ValueError) as error:
            if isinstance(error, PermissionError):
                raise
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path) from None
        if stat.S_ISREG(os.fstat(fd).st_mode):
            return fd
        os.close(fd)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)

    def _resolved(self, path: str) -> Path:
        """The file that a path leads to for a process whose root is the folder."""
        waiting = [part for part in path.split("/") if part][::-1]
        inside: list[str] = []
        links = 0
        while waiting:
            part = waiting.pop()
            if part == ".":
                continue
            if part == "..":
                inside = inside[:-1]
                continue
            here = self.root.joinpath(*inside, part)
            if not here.is_symlink():
                inside.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(here)  # noqa: PTH115 - pathlib drops what a slash at the end says
            if posixpath.isabs(target):
                inside = []
            waiting += [name for name in target.split("/") if name][::-1]
        return self.root.joinpath(*inside)


class NoFiles:
    """For cores of which nothing is known but themselves: this machine's files are looked at."""

    name = "this machine"
    others: tuple[FileSource, ...] = ()

    def status(self, path: str) -> FileStatus:
        """Raises FileNotFoundError."""
        raise FileNotFoundError(path)

    def open(self, path: str) -> Iterator[bytes]:
        """Raises FileNotFoundError."""
        raise FileNotFoundError(path)


# -- what comes out of a source


@contextmanager
def of_source() -> Iterator[None]:
    """What a source complains about, as NotHad; not that the engine is gone, which ends all."""
    try:
        yield
    except FileNotFoundError:
        raise NotHad from None
    except (EngineUnreachable, EngineTimeout):
        raise
    except (OSError, EvdiagError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise NotHad(reason or str(error)) from None


def begun_well(pieces: Iterator[bytes], accept: Accept) -> Iterator[bytes]:
    """The same pieces, unless the first ones say already that it is another file.

    Raises NotHad before the first piece: nobody waits for 100 MB that are of no use.
    """
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= HEAD:
            break
    if not _may_be(head, accept):
        raise NotHad(OTHER_BUILD)
    yield head
    yield from pieces


def _may_be(head: bytes, accept: Accept) -> bool:
    """Whether a file that begins like this may be the wanted one."""
    try:
        image = Image("", head)
    except ElfError:
        return False
    return accept(image) or image.build_id is None
