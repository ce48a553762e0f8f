"""The folder of a bundle: nothing outside of it is touched, whatever links appear in it meanwhile.

Every name is looked up from the folder's own descriptor, one part after the other, and no link is
followed on the way. Files are new ones, for their owner only.
"""

import contextlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class Folder:
    """A folder that is open; all its methods raise OSError, also where a link is in the way."""

    def __init__(self, path: Path) -> None:
        """Open a folder; the path to it may hold links, its last name may not."""
        self.path = path
        self._fd = os.open(path, _FOLDER)

    def close(self) -> None:
        """Let go of it; once is enough."""
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)

    def __enter__(self) -> "Folder":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _above(self, path: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """The descriptor of the folder that a file lies in, and the file's own name."""
        *names, last = path.split("/")
        if not all(name.strip(".") for name in (*names, last)):
            raise ValueError(f"not a path below a folder: {path!r}")
        at = self._fd
        try:
            for name in names:
                if make:
                    with contextlib.suppress(FileExistsError):
                        os.mkdir(name, 0o700, dir_fd=at)
                deeper = os.open(name, _FOLDER, dir_fd=at)
                if at != self._fd:
                    os.close(at)
                at = deeper
            yield at, last
        finally:
            if at != self._fd:
                os.close(at)

    def create(self, path: str) -> int:
        """A descriptor of a new file; folders above it are made. FileExistsError if it is there."""
        with self._above(path, make=True) as (above, name):
            return os.open(name, _NEW, 0o600, dir_fd=above)

    def open(self, path: str, flags: int = 0) -> int:
        """A descriptor of a regular file, for reading, or with further flags."""
        with self._above(path) as (above, name):
            fd = os.open(name, _READ | flags, dir_fd=above)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise FileNotFoundError(path)
        return fd

    def status(self, path: str) -> os.stat_result:
        """What the file system says of a name; of a link itself."""
        with self._above(path) as (above, name):
            return os.stat(name, dir_fd=above, follow_symlinks=False)

    def remove(self, path: str) -> None:
        """Remove a file or a link; it does not matter if there is none."""
        with contextlib.suppress(FileNotFoundError), self._above(path) as (above, name):
            os.unlink(name, dir_fd=above)

    def read(self, path: str, limit: int) -> bytes:
        """The begin of a regular file, at most so many bytes."""
        with os.fdopen(self.open(path), "rb") as file:
            return file.read(limit)

    def replace(self, path: str, content: bytes) -> None:
        """Write a file in the folder itself so that it is never seen half, and is on the disk."""
        new = f".{path}.new"
        self.remove(new)
        with os.fdopen(self.create(new), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path, src_dir_fd=self._fd, dst_dir_fd=self._fd)

    def sync(self, path: str) -> None:
        """Wait until a file, and the folders that it lies in, are on the disk."""
        with self._above(path) as (above, name):
            fd = os.open(name, _READ, dir_fd=above)
            try:
                os.fsync(fd)
            finally:
                os.close(fd)

    def sync_folders(self, paths: set[str]) -> None:
        """The same for the names in folders; the empty path is the folder itself."""
        for path in paths:
            with self._above(f"{path}/x" if path else "x") as (fd, _):
                os.fsync(fd)

    def is_at(self, path: Path) -> bool:
        """Whether the folder still has this path."""
        try:
            there, here = os.lstat(path), os.fstat(self._fd)
        except OSError:
            return False
        return (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)
