"""Files of this machine: mapped for reading, written whole or not at all."""

import contextlib
import errno
import mmap
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from evdiag.errors import CoreError, CoreNotFound, OutputNotWritten
from evdiag.model.core import CoreFacts
from evdiag.model.incident import NOTE_SUFFIX, CaptureNote
from evdiag.parse.elf import Data
from evdiag.parse.elfcore import read_core

if TYPE_CHECKING:
    from evdiag.parse.capture_note import Unusable

NEW = ".new"
"""Suffix of files that are being written."""

SOURCES = frozenset(
    (
        *(".c", ".cc", ".cpp", ".cxx", ".c++", ".h", ".hh", ".hpp", ".hxx", ".inl", ".ipp"),
        *(".tcc", ".tpp", ".ixx", ".cppm", ".s", ".asm", ".rs", ".go", ".d", ".zig", ".m", ".mm"),
        *(".f", ".f90", ".adb", ".ads", ".pas", ".y", ".l", ".yy", ".ll"),
    )
)
"""Suffixes of files whose lines a report may show."""
MAX_SOURCE = 1 << 24


def map_file(path: Path) -> Data:
    """Map a file for reading. An empty one gives empty bytes. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if not os.fstat(fd).st_size:
            return b""
        return mmap.mmap(fd, 0, prot=mmap.PROT_READ)
    finally:
        os.close(fd)


def open_core(path: Path) -> Data:
    """Map a core for reading. Raises CoreNotFound."""
    with core_errors(path):
        if path.is_dir():
            raise CoreNotFound(
                f"{path} is a directory, not a core",
                advice="Name the core files in it, for example with DIR/core*.",
            )
        if path.exists() and not path.is_file():
            raise CoreNotFound(f"{path} is not a regular file", advice="Copy it to a file first.")
        return map_file(path)


def load_core(path: Path) -> tuple[Data, CoreFacts]:
    """A core and what its headers and notes say. Raises CoreError, with the core's name in it."""
    data = open_core(path)
    try:
        return data, read_core(data)
    except CoreError as error:
        raise type(error)(f"{path}: {error}", advice=error.advice) from None


def load_note(core: Path) -> "CaptureNote | Unusable | None":
    """What the core writer noted beside a core; None if there is no note. Never raises."""
    path = f"{core}{NOTE_SUFFIX}"
    if not os.path.lexists(path):  # also where the name would be too long
        return None
    # most cores have none, and need not pay for the import
    from evdiag.parse.capture_note import MAX_NOTE, Unusable, read_note  # noqa: PLC0415

    try:
        return read_note(read_head(Path(path), MAX_NOTE + 1))
    except OSError as error:
        return Unusable(error.strerror or str(error))


def read_head(path: Path, limit: int) -> bytes:
    """The first bytes of a file that is neither a link nor a pipe. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "it is not a file")
        return file.read(limit)


@contextlib.contextmanager
def core_errors(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a core into what evdiag says."""
    try:
        yield
    except FileNotFoundError:
        raise CoreNotFound(f"{path} does not exist") from None
    except PermissionError:
        raise CoreNotFound(
            f"no permission to read {path}", advice=f"Try `sudo chown $USER {path}`."
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise CoreNotFound(f"{path} cannot be read: {reason}") from None


def write_text(path: Path, text: str) -> None:
    """Write a report for its owner's eyes only: whole, or not at all. Raises OutputNotWritten."""
    try:
        write_atomically(path, text.encode("utf-8", "replace"))
    except OSError as error:
        raise OutputNotWritten(f"{path} cannot be written: {error.strerror}") from None


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file by new content in one step, mode 0600. Raises OSError."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Give a new file that takes the place of `path` once it is whole, mode 0600. Raises OSError.

    The standard library's tempfile would do, but importing it costs 4 ms at every start.
    """
    temporary = path.with_name(f".{path.name[:80]}.{os.getpid()}.{time.monotonic_ns()}{NEW}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            yield file
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def make_room(folder: Path, limit: int, keep: Path | None = None) -> None:
    """Delete the files used least recently until the folder holds at most `limit` bytes."""
    files = []
    stale = time.time() - 3600
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            status = path.stat()
            if path.suffix == NEW and status.st_mtime < stale:
                path.unlink()  # left behind by a process that was killed
                continue
            files.append((status.st_mtime, status.st_size, path))
    total = sum(size for _, size, _ in files)
    for _, size, path in sorted(files):
        if total <= limit:
            break
        if path != keep:
            path.unlink(missing_ok=True)
            total -= size


def source_lines(path: Path, number: int, around: int) -> list[tuple[int, str]]:
    """The lines around a line of a source file; empty if the file is not there.

    The name comes out of a program that may be hostile: it must not make a report show other
    files than sources.
    """
    found: list[tuple[int, str]] = []
    if path.suffix.lower() not in SOURCES:
        return found
    try:
        if not path.is_file() or path.stat().st_size > MAX_SOURCE:
            return []
        with path.open("rb") as file:
            for i, raw in enumerate(file, 1):
                if i > number + around:
                    break
                if i >= number - around:
                    found.append((i, raw[:400].decode("utf-8", "replace").rstrip("\r\n")))
    except (OSError, ValueError):
        return []
    return found if any(i == number for i, _ in found) else []
