"""The files that a gdb in a container needs: what is offered to it, and what it then is given.

Most of them lie in the container already, under the name that the process knew. They are told by
size and a fingerprint, which the program in the container takes of its own files; the others are
sent, without their holes.
"""

import errno
import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from evdiag.adapters.gdb.scene import Scene, links

WHOLE, EDGE, STEPS, SAMPLE = 4 << 20, 1 << 20, 512, 4096
"""Files up to WHOLE are fingerprinted whole. Of larger ones it is both ends (notes of a core, its
stacks; build-id of a program) and samples between them, evenly spread: two builds, or two cores,
that are equal in all of those are not seen, and 300 MB take 20 ms."""
PIECE = 1 << 20
DEBUG_FOLDER = "/usr/lib/debug"
"""Where distributions have the debug information of their packages."""
END = b"-1 0\n"


class Offered(msgspec.Struct, frozen=True):
    """One file, as the program in the container is told of it."""

    size: int
    fingerprint: str
    paths: tuple[str, ...]
    """Where it may lie in the container."""
    is_mapped: bool = False
    """Whether the process had it mapped."""


class Offer(msgspec.Struct, frozen=True):
    """The core first, then the files that belong to it."""

    files: tuple[Offered, ...]
    links: tuple[tuple[str, int], ...]
    """(name in gdb's folder, number of a file)."""
    sources: tuple[Path, ...]
    """The files on this machine."""

    def bytes_of(self, numbers: Iterable[int]) -> int:
        """What sending these files takes, without their holes."""
        return sum(_present(self.sources[number]) for number in numbers)


def offer(scene: Scene, core: str | None) -> Offer:
    """All that belongs to a core; `core` is its own path in the container. Raises OSError."""
    known = _places(scene)
    mapped = {file for _, file in scene.libraries}
    numbers: dict[Path, int] = {}
    files: list[Offered] = []
    names: list[tuple[str, int]] = []
    for name, source in links(scene):
        if source not in numbers:
            paths = {core} if not numbers and core else known.get(str(source), set())
            offered = _offered(source, tuple(sorted(paths)), required=not numbers)
            if offered is None:
                continue
            numbers[source] = len(files)
            files.append(msgspec.structs.replace(offered, is_mapped=str(source) in mapped))
        names.append((str(name), numbers[source]))
    return Offer(tuple(files), tuple(names), tuple(numbers))


def _places(scene: Scene) -> dict[str, set[str]]:
    """Where in the container each file of this machine may lie."""
    found: dict[str, set[str]] = {}
    for path, file in scene.libraries:
        if path.startswith("/"):
            found.setdefault(file, set()).add(path)
    for debug in scene.debug_files:
        if name := debug.build_id:
            path = f"{DEBUG_FOLDER}/.build-id/{name[:2]}/{name[2:]}.debug"
            found.setdefault(debug.file, set()).add(path)
    return found


def _offered(file: Path, paths: tuple[str, ...], *, required: bool) -> Offered | None:
    """None for what is no file, or cannot be read: it is missing, as told elsewhere."""
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if stat.S_ISREG(found.st_mode):
                mark = fingerprint(opened.fileno(), found.st_size)
                return Offered(found.st_size, mark, paths)
    except (OSError, ValueError):
        if required:
            raise
    return None


def fingerprint(number: int, size: int) -> str:
    """What tells a file from all others of its size; of one that is open."""
    spans = [(0, size)]
    if size > WHOLE:
        step = (size - 2 * EDGE) // STEPS
        spans = [(EDGE + i * step, SAMPLE) for i in range(STEPS)]
        spans = [(0, EDGE), *spans, (size - EDGE, EDGE)]
    found = hashlib.sha256()
    for at, length in spans:
        found.update(os.pread(number, length, at))
    return found.hexdigest()


def _present(file: Path) -> int:
    found = file.stat()
    return min(found.st_blocks * 512, found.st_size)


def contents(offered: Offer, numbers: Sequence[int]) -> Iterator[bytes]:
    """The files that were asked for: extents, each with a line that says where. Raises OSError."""
    for number in numbers:
        size = offered.files[number].size
        with offered.sources[number].open("rb") as opened:
            for at, end in _extents(opened.fileno(), size):
                yield b"%d %d\n" % (at, end - at)
                while at < end:
                    piece = os.pread(opened.fileno(), min(PIECE, end - at), at)
                    if not piece:
                        raise OSError(0, f"{offered.sources[number].name} became shorter")
                    yield piece
                    at += len(piece)
        yield END


def _extents(number: int, size: int) -> Iterator[tuple[int, int]]:
    """(start, end) of what is no hole."""
    at = 0
    while at < size:
        try:
            start = os.lseek(number, at, os.SEEK_DATA)
            end = min(os.lseek(number, start, os.SEEK_HOLE), size)
        except OSError as error:
            if error.errno != errno.ENXIO:  # this file system does not tell
                yield at, size
            return  # nothing but a hole is left
        if start >= size:
            return
        yield start, end
        at = end
