"""Writes a bundle so that it survives everything: what is there is whole, or known not to be.

Until `finish` the folder is called `NAME.partial`. A line of its journal says that a file is about
to be written, another one that it is whole. So an attempt that was killed loses the file that it
was at, and the next one goes on from there.
"""

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import msgspec

from evdiag.adapters.bundle.folder import Folder
from evdiag.adapters.bundle.partial import (
    begun,
    boot_id,
    find_partial,
    lock,
    refuse_existing,
    sync_folder,
    writing,
)
from evdiag.adapters.bundle.sparse import Hashing, SparseWriter, read_sparse
from evdiag.analyze.bundle_names import key, unique
from evdiag.errors import DamagedBundle, EngineError, OutputNotWritten
from evdiag.model.bundle import (
    MANIFEST,
    PARTIAL,
    FileEntry,
    Manifest,
    Redaction,
    Skipped,
    Subject,
)
from evdiag.parse.bundle import (
    JOURNAL,
    LONGEST_MANIFEST,
    Journal,
    Note,
    is_path,
    is_unchanged,
    read_journal,
    write_manifest,
    write_note,
)
from evdiag.parse.tar import TarError

__all__ = ["BundleWriter", "Limits", "find_partial"]

ALWAYS_HASHED = 1 << 20
"""Bytes up to which a file of an interrupted bundle is hashed before it is taken over."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may be copied, in bytes as the files have them, holes included."""

    file: int = 1 << 40
    total: int = 1 << 42


class BundleWriter:
    """A bundle that is being made. Close it, finished or not; see `begin`."""

    def __init__(self, target: Path, folder: Folder, journal: int, manifest: Manifest) -> None:
        self.target, self.partial = target, folder.path
        self.manifest = manifest
        """As it was begun, without files."""
        self.limits = Limits()
        self._folder, self._journal = folder, journal
        self._boot = boot_id()
        self._entries: dict[str, FileEntry] = {}
        self._earlier: dict[str, FileEntry] = {}
        """By path: what an earlier attempt has, until it is taken over or replaced."""
        self._notes: dict[str, Note] = {}
        self._paths: dict[str, list[str]] = {}
        """Of both, by origin; some may be gone."""
        self._files: set[str] = {key(MANIFEST), key(JOURNAL)}
        self._folders: set[str] = set()
        self._total = 0
        self._skipped: list[Skipped] = []
        self._problems: list[str] = []

    @classmethod
    def begin(
        cls, target: Path, subject: Subject, *, limits: Limits | None = None
    ) -> "BundleWriter":
        """Begin a bundle, or go on with the one that was interrupted there.

        Raises OutputNotWritten, NotReady (another process is at it), DiskFull, DamagedBundle.
        """
        partial = target.with_name(target.name + PARTIAL)
        with writing(partial):
            refuse_existing(target)
            target.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                partial.mkdir(0o700)
            folder = Folder(partial)
        journal = -1
        try:
            with writing(partial):
                journal = lock(folder, partial)
                writer = cls(target, folder, journal, begun(folder, partial, subject))
                writer.limits = limits or Limits()
                writer._take_over()
            return writer
        except BaseException:
            folder.close()
            if journal >= 0:
                os.close(journal)
            raise

    def __enter__(self) -> "BundleWriter":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the bundle; what is there stays. A bundle without any file goes."""
        journal, self._journal = self._journal, -1
        if journal < 0:
            return
        if not self._entries and not self._earlier:
            with contextlib.suppress(OSError):
                self._folder.remove(MANIFEST)
                self._folder.remove(JOURNAL)
                self.partial.rmdir()
        os.close(journal)
        self._folder.close()

    # -- what there is

    @property
    def entries(self) -> tuple[FileEntry, ...]:
        """The files so far, without what an earlier attempt has and nobody has asked for."""
        return tuple(self._entries.values())

    @property
    def room(self) -> int:
        """How many bytes may still be copied."""
        return max(self.limits.total - self._total, 0)

    def has(
        self, origin: str, *, modified: float | None = None, size: int | None = None
    ) -> FileEntry | None:
        """The whole file that was copied from there, by this attempt or the one before.

        It is compared with its time and size there, and what was written here with its hash if
        anything may have happened to it.
        """
        for path in self._paths.get(origin, ()):
            entry = self._entries.get(path)
            if entry is not None and is_unchanged(entry, modified, size):
                return entry
        for path in self._paths.get(origin, ()):
            entry = self._earlier.get(path)
            if entry is not None and is_unchanged(entry, modified, size):
                with writing(self.partial):
                    if not self._is_intact(entry, self._notes[entry.path]):
                        continue
                del self._earlier[entry.path]
                self._accept(entry)
                return entry
        return None

    # -- what is added

    def add(
        self,
        path: str,
        kind: str,
        origin: str,
        pieces: Iterable[bytes],
        *,
        modified: float | None = None,
        original_bytes: int | None = None,
        limit: int | None = None,
        build_id: str | None = None,
        redacted: int | Callable[[], int] = 0,
        keep_part: bool = False,
    ) -> FileEntry:
        """Write a file from its pieces; its name gets a number if it is taken.

        At a limit the file ends, and is marked as cut. What `pieces` raises goes on after the half
        file was removed, unless the part is to be kept: then the entry says why it is one, for
        TarError and EngineError. How many secrets were replaced may be known at the end only.
        Raises DiskFull, OutputNotWritten.
        """
        if not is_path(path):
            raise ValueError(f"not a name for a file of a bundle: {path[:200]!r}")
        with writing(self.partial, original_bytes):
            self._forget(origin, path)
            path = unique(path, self._files, self._folders)
            self._note(Note(does="begin", path=path))
            fd = self._create(path)
        most = min(self.limits.file if limit is None else limit, self.room)
        file, hashing = SparseWriter(fd), Hashing()
        try:
            try:
                truncated = self._fill(file, hashing, pieces, most, original_bytes)
            except (TarError, EngineError) as error:
                if not keep_part:
                    raise
                truncated = str(error)
            with writing(self.partial, original_bytes, file.size):
                file.finish()
                if modified is not None and abs(modified) < 1 << 40:
                    os.utime(fd, (modified, modified))
                written = os.fstat(fd).st_mtime_ns
        except BaseException:
            with contextlib.suppress(OSError):
                self._folder.remove(path)
            raise
        finally:
            hashing.close()
            os.close(fd)
        entry = FileEntry(
            path=path, kind=kind, origin=origin, bytes=file.size, sha256=hashing.result(),
            modified=modified, original_bytes=original_bytes, truncated=truncated,
            build_id=build_id, redacted=redacted() if callable(redacted) else redacted,
        )  # fmt: skip
        with writing(self.partial):
            self._note(Note(does="file", file=entry, written=written, boot=self._boot))
        self._accept(entry)
        return entry

    def take(
        self,
        path: str,
        kind: str,
        origin: str,
        file: Path,
        *,
        limit: int | None = None,
        build_id: str | None = None,
        redacted: int = 0,
    ) -> FileEntry:
        """Copy a file of this machine, which is no link. Raises OSError if it cannot be read."""
        fd = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb", buffering=0):
            status = os.fstat(fd)
            return self.add(
                path, kind, origin, read_sparse(fd, status.st_size), modified=status.st_mtime,
                original_bytes=status.st_size, limit=limit, build_id=build_id, redacted=redacted,
            )  # fmt: skip

    def drop(self, entry: FileEntry) -> None:
        """Take a file out again."""
        if self._entries.get(entry.path) is entry:
            del self._entries[entry.path]
            self._total -= entry.bytes
        with writing(self.partial):
            self._note(Note(does="drop", path=entry.path))
            self._folder.remove(entry.path)
        self._files.discard(key(entry.path))

    def change(self, old: FileEntry, new: FileEntry) -> FileEntry:
        """Say something else of a file that is there: its kind, or why it is only a part."""
        if (old.path, old.bytes, old.sha256) != (new.path, new.bytes, new.sha256):
            raise ValueError("only what is said of a file can change")
        with writing(self.partial):
            written = self._folder.status(new.path).st_mtime_ns
            self._note(Note(does="file", file=new, written=written, boot=self._boot))
        self._entries[new.path] = new
        return new

    def skip(self, origin: str, reason: str, bytes: int | None = None) -> None:
        """Something that is there is left out."""
        skipped = Skipped(origin=origin, reason=reason, bytes=bytes)
        if skipped not in self._skipped[-1:]:
            self._skipped.append(skipped)
            with writing(self.partial):
                self._note(Note(does="skip", skipped=skipped))

    def problem(self, text: str) -> None:
        """Something could not be had."""
        if text not in self._problems:
            self._problems.append(text)
            with writing(self.partial):
                self._note(Note(does="problem", text=text))

    def remember(self, redaction: Redaction) -> None:
        """Keep the key of the tokens where the next attempt finds it: `manifest.redaction`."""
        self.manifest = msgspec.structs.replace(self.manifest, redaction=redaction)
        with writing(self.partial):
            self._folder.replace(MANIFEST, write_manifest(self.manifest))

    # -- the end

    def finish(self, redaction: Redaction | None = None) -> Path:
        """Make it a complete bundle, under its own name.

        All that an earlier attempt left and this one did not want is removed. Raises DiskFull,
        OutputNotWritten (the name is taken meanwhile; nothing is lost), DamagedBundle.
        """
        complete = msgspec.structs.replace(
            self.manifest,
            files=tuple(sorted(self._entries.values(), key=lambda entry: entry.path)),
            skipped=tuple(self._skipped),
            problems=tuple(self._problems),
            redaction=redaction or Redaction(),
            complete=True,
            finished=time.time(),
        )
        with writing(self.partial):
            for path in self._earlier:
                self._folder_remove(path)
            self._earlier.clear()
            self._check_files()
            refuse_existing(self.target)
            if not self._folder.is_at(self.partial):
                raise DamagedBundle(f"{self.partial} was moved or removed while it was written")
            self._folder.replace(MANIFEST, write_manifest(complete))
            try:
                self.partial.rename(self.target)
            except OSError:
                self._folder.replace(MANIFEST, write_manifest(self.manifest))
                raise
            self._folder.remove(JOURNAL)
            self._folder.sync_folders({""})
            sync_folder(self.target.parent)
        self._entries.clear()
        self.partial = self.target
        os.close(self._journal)
        self._journal = -1
        self._folder.close()
        return self.target

    # -- inside

    def _fill(
        self,
        file: SparseWriter,
        hashing: Hashing,
        pieces: Iterable[bytes],
        most: int,
        wanted: int | None,
    ) -> str | None:
        """Write until the pieces end or there are too many; then why it is only a part."""
        for piece in pieces:
            part = piece if file.size + len(piece) <= most else piece[: most - file.size]
            with writing(self.partial, wanted, file.size):
                file.add(part)
            hashing.add(part)
            if part is not piece:
                return f"cut at the limit of {most:,} bytes"
        return None

    def _check_files(self) -> None:
        """See that every file is there as it was written, and on the disk."""
        folders = {""}
        for entry in self._entries.values():
            try:
                size = self._folder.status(entry.path).st_size
                self._folder.sync(entry.path)
            except (FileNotFoundError, NotADirectoryError):
                size = -1
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise
                size = -1
            if size != entry.bytes:
                raise DamagedBundle(
                    f"{self.partial / entry.path} was changed by somebody while the bundle was "
                    "made",
                    advice="Run the same command again: it copies that file once more.",
                )
            parts = entry.path.split("/")
            folders |= {"/".join(parts[:count]) for count in range(1, len(parts))}
        self._folder.sync_folders(folders)

    def _create(self, path: str) -> int:
        try:
            return self._folder.create(path)
        except FileExistsError:  # a file that nobody knows: not ours to replace
            raise OutputNotWritten(
                f"{self.partial / path} is there already",
                advice=f"Remove it, or begin anew: remove {self.partial}.",
            ) from None

    def _accept(self, entry: FileEntry) -> None:
        self._entries[entry.path] = entry
        self._paths.setdefault(entry.origin, []).append(entry.path)
        self._total += entry.bytes
        self._files.add(key(entry.path))
        parts = entry.path.split("/")
        self._folders.update(key("/".join(parts[:count])) for count in range(1, len(parts)))

    def _forget(self, origin: str, path: str) -> None:
        """Drop what a new file replaces: of an earlier attempt, or of the same place."""
        earlier = self._earlier.pop(path, None)
        now = self._entries.get(path)
        if earlier is not None:
            self.drop(earlier)
        elif now is not None and now.origin == origin:
            self.drop(now)

    def _note(self, note: Note) -> None:
        line = write_note(note)
        while line:
            line = line[os.write(self._journal, line) :]

    def _take_over(self) -> None:
        """See what an earlier attempt has left, and remove what it has not finished."""
        size = os.fstat(self._journal).st_size
        with os.fdopen(os.dup(self._journal), "rb") as file:
            file.seek(0)
            data = file.read(LONGEST_MANIFEST)
        if data[-1:] not in (b"", b"\n"):
            os.write(self._journal, b"\n")  # half a line, of somebody who was killed
        if not size:
            return
        earlier: Journal = read_journal(data.split(b"\n"))
        for path in earlier.begun - set(earlier.files):
            self._folder_remove(path)
        for path, note in earlier.files.items():
            if note.file is not None:
                self._earlier[path] = note.file
                self._notes[path] = note
                self._paths.setdefault(note.file.origin, []).append(path)
                self._files.add(key(path))

    def _folder_remove(self, path: str) -> None:
        # a folder of that name, or a link on the way: it is not what was begun
        with contextlib.suppress(NotADirectoryError, IsADirectoryError, PermissionError):
            try:
                self._folder.remove(path)
            except OSError as error:
                if error.errno != errno.ELOOP:
                    raise

    def _is_intact(self, entry: FileEntry, note: Note) -> bool:
        try:
            fd = self._folder.open(entry.path)
        except OSError:
            return False
        try:
            status = os.fstat(fd)
            if status.st_size != entry.bytes:
                return False
            sure = status.st_mtime_ns == note.written and note.boot == self._boot != ""
            if sure and entry.bytes > ALWAYS_HASHED:
                return True
            hashing = Hashing()
            for piece in read_sparse(fd, status.st_size):
                hashing.add(piece)
            return hashing.result() == entry.sha256
        finally:
            os.close(fd)
