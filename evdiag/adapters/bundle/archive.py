"""A bundle as one file: a plain tar in zstandard, which `tar --zstd -xf` unpacks too.

The manifest comes first, so that who reads the stream knows what to expect: nothing is unpacked
that it does not name, in the size and with the hash that it says.
"""

import contextlib
import errno
import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import zstandard

from evdiag.adapters.bundle.folder import Folder
from evdiag.adapters.bundle.sparse import PIECE, Hashing, SparseWriter, read_sparse
from evdiag.adapters.files import replacing
from evdiag.analyze.bundle_names import safe_part
from evdiag.errors import DamagedBundle, DiskFull, OutputNotWritten
from evdiag.model.bundle import ARCHIVE_SUFFIX, MANIFEST, FileEntry, Manifest
from evdiag.parse.bundle import LONGEST_MANIFEST, read_manifest
from evdiag.parse.tar import TarCut, TarDamaged, TarMember, read_tar

ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""How a frame begins: RFC 8878, 3.1.1."""
LEVEL = 3
JOB = 2 << 20
"""Bytes that a thread packs at a time. By zstandard's own choice it is slower here, and takes 90 MB
of memory instead of 40."""
MOST_UNPACKED = 64 << 30
"""Bytes of all files of an archive, holes included. A limit by ratio would not do: an honest core
of 2 GB with 20 MB of data packs better than most bombs. So it is bounded by what nobody's bundle
has, by the sizes that the manifest names, and by what the disk must keep free."""
KEPT_FREE = 256 << 20
"""Bytes of the disk that unpacking leaves to others."""
CHECKED_EVERY = 32 << 20
LARGEST_WINDOW = 1 << 27
"""Bytes of memory that a frame may ask for; `zstd -d` has the same limit."""


# -- packing


def pack(folder: Path, target: Path) -> Path:
    """Pack a complete bundle; the file is whole or not there. Raises OutputNotWritten, DiskFull,
    DamagedBundle.
    """
    if os.path.lexists(target) and not target.is_file():
        raise OutputNotWritten(f"{target} is not a file")
    try:
        with Folder(folder) as opened:
            manifest = _complete_manifest(folder, opened)
            with replacing(target) as file:
                _pack(opened, manifest, safe_part(_top(target)), file)
                file.flush()
                os.fsync(file.fileno())
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(
                f"the disk is full on which {target} is written; the bundle in {folder} is whole",
                advice="Free some room, or name another place with --archive.",
            ) from None
        raise OutputNotWritten(
            f"{target} cannot be written: {error.strerror or error}",
            advice="Name another place with --archive.",
        ) from None
    return target


def _top(target: Path) -> str:
    """The folder that everything is in, so that unpacking by hand makes one folder."""
    name = target.name
    for suffix in (ARCHIVE_SUFFIX, ".tzst", ".zst", ".tar"):
        name = name.removesuffix(suffix)
    return name


def _complete_manifest(folder: Path, opened: Folder) -> Manifest:
    manifest = read_manifest(opened.read(MANIFEST, LONGEST_MANIFEST + 1))
    if not manifest.complete:
        raise DamagedBundle(f"{folder} is not complete")
    return manifest


def _pack(folder: Folder, manifest: Manifest, top: str, target: BinaryIO) -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(
        LEVEL, threads=_threads(), job_size=JOB, write_checksum=True
    )
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with compressor.stream_writer(target, closefd=False, write_size=PIECE) as packed:
        for name in (MANIFEST, *(entry.path for entry in manifest.files)):
            fd = folder.open(name)
            try:
                status = os.fstat(fd)
                header = tarfile.TarInfo(f"{top}/{name}")
                header.mode, header.size, header.mtime = 0o600, status.st_size, status.st_mtime
                packed.write(header.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape"))
                left = status.st_size
                for piece in read_sparse(fd, status.st_size):
                    packed.write(piece)
                    left -= len(piece)
                if left:
                    raise DamagedBundle(f"{folder.path / name} became shorter while it was packed")
                packed.write(bytes(-status.st_size % tarfile.BLOCKSIZE))
            finally:
                os.close(fd)
        packed.write(bytes(2 * tarfile.BLOCKSIZE))


def _threads() -> int:
    return min(os.cpu_count() or 1, 4)


# -- unpacking


def is_archive(path: Path) -> bool:
    """Whether a file looks like a bundle's archive, whatever its name. Raises nothing."""
    try:
        with _opened(path) as file:
            first = next(read_tar(_pieces(file)), None)
    except (OSError, ValueError, zstandard.ZstdError, DamagedBundle):
        return False
    return isinstance(first, TarMember) and _is_manifest(first)


def unpack(archive: Path, folder: Path) -> Manifest:
    """Unpack an archive into an empty folder; holes become holes again.

    Nothing but the files that its manifest names, each with its size and hash. Raises
    DamagedBundle (which says what is missing), DiskFull, OutputNotWritten.
    """
    try:
        file = archive.open("rb")
    except OSError as error:
        raise DamagedBundle(f"{archive} cannot be read: {error.strerror}") from None
    with file, Folder(folder) as opened:
        work = _Unpacking(archive, opened)
        try:
            work.run(_pieces(_decompressed(file)))
        except (TarCut, zstandard.ZstdError, EOFError) as error:
            raise DamagedBundle(f"{archive} {work.missing(error)}") from None
        except TarDamaged as error:
            raise DamagedBundle(f"{archive} is no bundle: {error}") from None
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise DiskFull(
                    f"the disk is too full to unpack {archive} below {folder.parent}",
                    advice="Free some room, or set TMPDIR to a folder that has more.",
                ) from None
            raise OutputNotWritten(
                f"{archive} cannot be unpacked below {folder.parent}: {error.strerror or error}",
                advice="Set TMPDIR to a folder that can be written.",
            ) from None
    return work.manifest_or_raise()


class _Unpacking:
    """What is known of an archive while it is read."""

    def __init__(self, archive: Path, folder: Folder) -> None:
        self._archive, self._folder = archive, folder
        self._manifest: Manifest | None = None
        self._top = ""
        self._wanted: dict[str, FileEntry] = {}

    def run(self, pieces: Iterator[bytes]) -> None:
        items = read_tar(pieces)
        entry: FileEntry | None = None
        waiting: TarMember | bytes | None = next(items, None)
        while waiting is not None:
            if not isinstance(waiting, TarMember):  # of a file that nobody asked for
                waiting = next(items, None)
                continue
            member = waiting
            if self._manifest is None:
                if member.kind == "folder":  # of a tar that somebody made by hand
                    waiting = next(items, None)
                    continue
                waiting = self._begin(member, items)
                continue
            entry = self._entry(member)
            waiting = next(items, None) if entry is None else self._file(entry, member, items)
        if self._manifest is not None and self._wanted:
            raise DamagedBundle(f"{self._archive} {self.missing(None)}")

    def manifest_or_raise(self) -> Manifest:
        if self._manifest is None:
            raise DamagedBundle(f"{self._archive} is an archive, but not of a bundle")
        return self._manifest

    def missing(self, error: Exception | None) -> str:
        """What is not there, for the user."""
        if self._manifest is None:
            return "is cut before its manifest" if error else "has no manifest"
        names = list(self._wanted)
        some = ", ".join(names[:3]) + (f" and {len(names) - 3:,} more" if len(names) > 3 else "")
        count = f"{len(names):,} of {len(self._manifest.files):,} files"
        cut = "is cut or damaged: " if error else "is not whole: "
        return f"{cut}{count} are missing ({some})" if names else f"{cut}its end is missing"

    def _begin(self, member: TarMember, items: Iterator[TarMember | bytes]) -> TarMember | None:
        if not _is_manifest(member):
            raise DamagedBundle(
                f"{self._archive} is no bundle, or it was packed by hand",
                advice="Unpack it by hand, then name the folder.",
            )
        content = bytearray()
        following: TarMember | None = None
        for item in items:
            if isinstance(item, TarMember):
                following = item
                break
            content += item
        manifest = self._read(bytes(content))
        self._top = member.name.removesuffix(MANIFEST)
        self._wanted = {entry.path: entry for entry in manifest.files}
        self._folder.replace(MANIFEST, bytes(content))
        self._manifest = manifest
        return following

    def _read(self, content: bytes) -> Manifest:
        try:
            manifest = read_manifest(content)
        except DamagedBundle as error:
            raise DamagedBundle(f"{self._archive}: {error}", advice=error.advice) from None
        if not manifest.complete:
            raise DamagedBundle(f"{self._archive} was made of a bundle that is not complete")
        total = sum(entry.bytes for entry in manifest.files)
        if total > MOST_UNPACKED:
            raise DamagedBundle(
                f"{self._archive} would have {total:,} bytes when unpacked, more than evdiag takes"
            )
        return manifest

    def _entry(self, member: TarMember) -> FileEntry | None:
        """What the manifest says of a member; None for what it does not name."""
        if member.kind != "file" or not member.name.startswith(self._top):
            return None
        entry = self._wanted.get(member.name.removeprefix(self._top))
        if entry is not None and entry.bytes != member.size:
            raise DamagedBundle(
                f"{self._archive}: {entry.path} has {member.size:,} bytes, its manifest says "
                f"{entry.bytes:,}"
            )
        return entry

    def _file(
        self, entry: FileEntry, member: TarMember, items: Iterator[TarMember | bytes]
    ) -> TarMember | None:
        following: TarMember | None = None
        fd = self._folder.create(entry.path)
        hashing = Hashing()
        try:
            file, checked = SparseWriter(fd), 0
            for item in items:
                if isinstance(item, TarMember):
                    following = item
                    break
                file.add(item)
                hashing.add(item)
                if file.stored - checked >= CHECKED_EVERY:
                    checked = file.stored
                    _leave_room(fd)
            file.finish()
            os.utime(fd, (max(member.modified, 0.0), max(member.modified, 0.0)))
        finally:
            hashing.close()
            os.close(fd)
        if hashing.result() != entry.sha256:
            raise DamagedBundle(f"{self._archive}: {entry.path} is not what its manifest says")
        del self._wanted[entry.path]
        return following


def _leave_room(fd: int) -> None:
    about = os.fstatvfs(fd)
    if about.f_bavail * about.f_frsize < KEPT_FREE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _is_manifest(member: TarMember) -> bool:
    top, _, name = member.name.rpartition("/")
    return (
        member.kind == "file"
        and name == MANIFEST
        and top.strip("/").count("/") == 0
        and member.size <= LONGEST_MANIFEST
    )


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    with path.open("rb") as file:
        yield _decompressed(file)


def _decompressed(file: BinaryIO) -> BinaryIO:
    """The tar in a file: packed, or plain because somebody has unpacked that much."""
    magic = file.read(len(ZSTANDARD))
    file.seek(0)
    if magic != ZSTANDARD:
        return file
    decompressor = zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
    stream: BinaryIO = decompressor.stream_reader(file, read_size=PIECE, read_across_frames=True)
    return stream


def _pieces(stream: BinaryIO) -> Iterator[bytes]:
    while piece := stream.read(PIECE):
        yield piece
