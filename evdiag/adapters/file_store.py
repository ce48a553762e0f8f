"""The user's store of programs, libraries and debug files, by build-id.

Every file of it may be deleted at any time, and a store that cannot be written is done without.
Its layout is the one that gdb, elfutils and clients of debuginfod know.
"""

import contextlib
import os
import shutil
import time
from pathlib import Path

from evdiag.adapters.files import NEW, map_file, replacing
from evdiag.analyze.mapped import in_store
from evdiag.parse.elf import ElfError
from evdiag.parse.image import Image

FOLDER = ".build-id"
MAX_STORE = 6 << 30
"""Bytes of all files together; the ones used least recently go first."""
_STALE = 3600
"""Seconds after which nobody writes a file any more that has not got its name yet."""


def open_image(path: Path) -> Image | None:
    """An ELF file; None if there is none, or something else."""
    try:
        return Image(str(path), map_file(path)) if path.is_file() else None
    except (OSError, ValueError, ElfError):
        return None


class FileStore:
    """Files by build-id below a folder, those used last kept longest."""

    def __init__(self, root: Path, limit: int = MAX_STORE) -> None:
        self.root, self.limit = root, limit

    def find(self, build_id: str, suffix: str = "", *, checked: bool = True) -> Path | None:
        """A file of that build-id by its own word, if the store has one.

        What holds no build-id (.dwp) cannot be `checked`.
        """
        place = in_store(build_id, suffix)
        path = self.root / place if place else None
        if path is None or path.is_symlink() or not path.is_file():
            return None
        if checked:
            image = open_image(path)
            if image is None or image.build_id != build_id:
                return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return path

    def keep(self, build_id: str, file: Path, suffix: str = "") -> None:
        """Take a copy of a file into the store, if it can be written."""
        place = in_store(build_id, suffix)
        if place is None:
            return
        path = self.root / place
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            size = file.stat().st_size
            if size > self.limit:
                return
            self.make_room(size)
            with replacing(path) as copy, file.open("rb") as content:
                shutil.copyfileobj(content, copy, 1 << 20)

    def make_room(self, wanted: int) -> None:
        """Delete the files used least recently until so many more bytes fit in. Raises OSError."""
        files = []
        stale = time.time() - _STALE
        for folder in _folders(self.root / FOLDER):
            for entry in os.scandir(folder):
                with contextlib.suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if entry.name.endswith(NEW) and status.st_mtime < stale:
                        Path(entry.path).unlink()  # left behind by a process that was killed
                        continue
                    files.append((status.st_mtime, status.st_size, entry.path))
        total = wanted + sum(size for _, size, _ in files)
        for _, size, name in sorted(files):
            if total <= self.limit:
                break
            Path(name).unlink(missing_ok=True)
            total -= size


def _folders(root: Path) -> list[str]:
    if not root.is_dir():
        return []
    return [entry.path for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False)]
