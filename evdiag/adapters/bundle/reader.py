"""Opens bundles: complete ones, interrupted ones and archives, all of them alike."""

import contextlib
import errno
import os
from collections.abc import Iterator
from pathlib import Path

import msgspec

from evdiag.adapters.bundle.folder import Folder
from evdiag.adapters.bundle.sparse import Hashing, read_sparse
from evdiag.adapters.files import read_head
from evdiag.adapters.scratch import scratch
from evdiag.errors import DamagedBundle
from evdiag.model.bundle import MANIFEST, SCHEMA, FileEntry, Manifest
from evdiag.parse.bundle import JOURNAL, LONGEST_MANIFEST, read_journal, read_manifest

LOOKED_AT = 4096
_FAMILY = f'"{SCHEMA.partition("/")[0]}/'.encode()
"""What the begin of a manifest has: others have files of that name too."""


class Bundle(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that is open."""

    root: Path
    """The folder with its files."""
    manifest: Manifest
    source: Path
    """What the user named: the same folder, or an archive."""
    problems: tuple[str, ...] = ()
    """Files that are missing or that have another size than they should."""

    def paths(self, kind: str) -> tuple[Path, ...]:
        """The files of a kind that are there."""
        return tuple(
            path
            for entry in self.manifest.files
            if entry.kind == kind and (path := self.root / entry.path).is_file()
        )


def is_bundle(path: Path) -> bool:
    """Whether a folder or file is a bundle, by what is in it. Raises nothing."""
    try:
        if path.is_dir():
            return _FAMILY in read_head(path / MANIFEST, LOOKED_AT)
        if not path.is_file():
            return False
        with path.open("rb") as file:
            head = file.read(512)
    except (OSError, ValueError):
        return False
    # cores are told apart without the import
    if not head.startswith(b"\x28\xb5\x2f\xfd") and head[257:262] != b"ustar":
        return False
    from evdiag.adapters.bundle.archive import is_archive  # noqa: PLC0415

    return is_archive(path)


@contextlib.contextmanager
def open_bundle(path: Path) -> Iterator[Bundle]:
    """A bundle's files and manifest; an archive is unpacked for as long as the block lasts.

    Raises DamagedBundle, DiskFull, OutputNotWritten.
    """
    if path.is_dir():
        yield _of_folder(path)
        return
    if not path.exists():
        raise DamagedBundle(f"{path} does not exist", advice="Check the name.")
    from evdiag.adapters.bundle.archive import unpack  # noqa: PLC0415

    with scratch("bundle", f"{path} cannot be unpacked") as folder:
        manifest = unpack(path, folder)
        yield Bundle(root=folder, manifest=manifest, source=path)


def verify(root: Path, *, contents: bool) -> list[str]:
    """What is not as the manifest says, in words: sizes, and hashes too if asked for.

    Raises DamagedBundle if there is no manifest to compare with.
    """
    with _opened(root) as folder:
        manifest = _manifest(root, folder)
        found = (_difference(folder, entry, contents) for entry in manifest.files)
        return [text for text in found if text]


def _of_folder(path: Path) -> Bundle:
    with _opened(path) as folder:
        manifest = _manifest(path, folder)
        found = (_difference(folder, entry, contents=False) for entry in manifest.files)
        problems = tuple(text for text in found if text)
    return Bundle(root=path, manifest=manifest, source=path, problems=problems)


@contextlib.contextmanager
def _opened(root: Path) -> Iterator[Folder]:
    try:
        folder = Folder(root.resolve())
    except OSError as error:
        raise DamagedBundle(f"{root} cannot be read: {error.strerror}") from None
    with folder:
        yield folder


def _manifest(root: Path, folder: Folder) -> Manifest:
    """The manifest; of an interrupted bundle with what its journal says."""
    try:
        manifest = read_manifest(folder.read(MANIFEST, LONGEST_MANIFEST + 1))
        lines = [] if manifest.complete else _journal(folder)
    except FileNotFoundError:
        raise DamagedBundle(f"{root} is no bundle: it has no {MANIFEST}") from None
    except OSError as error:
        raise DamagedBundle(f"{root} cannot be read: {error.strerror}") from None
    except DamagedBundle as error:
        raise DamagedBundle(f"{root}: {error}", advice=error.advice) from None
    if manifest.complete:
        return manifest
    journal = read_journal(lines)
    files = (note.file for note in journal.files.values())
    return msgspec.structs.replace(
        manifest,
        files=tuple(entry for entry in files if entry is not None),
        skipped=tuple(dict.fromkeys(journal.skipped)),
        problems=tuple(dict.fromkeys(journal.problems)),
    )


def _journal(folder: Folder) -> list[bytes]:
    with contextlib.suppress(FileNotFoundError):
        return folder.read(JOURNAL, LONGEST_MANIFEST).split(b"\n")
    return []


def _difference(folder: Folder, entry: FileEntry, contents: bool) -> str:
    try:
        fd = folder.open(entry.path)
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            return f"{entry.path} cannot be read"
        return f"{entry.path} is missing"
    try:
        size = os.fstat(fd).st_size
        if size != entry.bytes:
            return f"{entry.path} has {size:,} bytes instead of {entry.bytes:,}"
        if not contents:
            return ""
        hashing = Hashing()
        for piece in read_sparse(fd, size):
            hashing.add(piece)
        return "" if hashing.result() == entry.sha256 else f"{entry.path} was changed"
    except OSError as error:
        return f"{entry.path} cannot be read: {error.strerror}"
    finally:
        os.close(fd)
