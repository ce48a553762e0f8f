"""The folder of a bundle that is being made: found again, locked, and what can go wrong with it."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import evdiag
from evdiag.adapters.bundle.folder import Folder
from evdiag.errors import DamagedBundle, DiskFull, EvdiagError, NotReady, OutputNotWritten
from evdiag.model.bundle import MANIFEST, PARTIAL, SCHEMA, Manifest, Redaction, Subject
from evdiag.parse.bundle import JOURNAL, LONGEST_MANIFEST, read_manifest, write_manifest

FREE_SOME = "Free some room, then run the same command again: it goes on with what is there."


def find_partial(folder: Path, subject: Subject) -> Path | None:
    """The target of the newest bundle of the same container in a folder that was interrupted."""
    found: list[tuple[float, Path]] = []
    with contextlib.suppress(OSError):
        for partial in folder.glob(f"*{PARTIAL}"):
            with contextlib.suppress(OSError, DamagedBundle), Folder(partial) as opened:
                manifest = read_manifest(opened.read(MANIFEST, LONGEST_MANIFEST))
                if manifest.subject.id == subject.id and manifest.subject.kind == subject.kind:
                    found.append((manifest.begun, partial))
    if not found:
        return None
    newest = max(found)[1]
    return newest.with_name(newest.name.removesuffix(PARTIAL))


@contextlib.contextmanager
def writing(partial: Path, wanted: int | None = None, done: int = 0) -> Iterator[None]:
    """Turn what the file system says into what evdiag says."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            missing = f": {wanted - done:,} bytes more are needed" if wanted else ""
            raise DiskFull(
                f"the disk is full on which {partial} is written{missing}; what is there is kept",
                advice=FREE_SOME,
            ) from None
        raise OutputNotWritten(
            f"{partial} cannot be written: {error.strerror or error}",
            advice="Name another folder with -o.",
        ) from None


def refuse_existing(target: Path) -> None:
    if os.path.lexists(target):
        raise OutputNotWritten(
            f"{target} is there already", advice="Name another place with -o, or remove it."
        )


def lock(folder: Folder, partial: Path) -> int:
    """The journal, for this process alone. Raises NotReady if another one has it."""
    for _ in range(5):
        try:
            fd = folder.open(JOURNAL, os.O_RDWR | os.O_APPEND)
        except FileNotFoundError:
            with contextlib.suppress(FileExistsError):
                os.close(folder.create(JOURNAL))
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            break
        links = os.fstat(fd).st_nlink
        if links == 1 and folder.is_at(partial):
            return fd
        os.close(fd)
        if links > 1:  # what is written there goes elsewhere too
            raise OutputNotWritten(f"{partial / JOURNAL} is the same file as another one")
        # else it was finished just now
    raise NotReady(
        f"another evdiag writes {partial} at this moment",
        advice="Wait until it has ended, or name another place with -o.",
    )


def begun(folder: Folder, partial: Path, subject: Subject) -> Manifest:
    """The manifest of what was interrupted, or of something new. Raises DamagedBundle."""
    try:
        earlier = read_manifest(folder.read(MANIFEST, LONGEST_MANIFEST))
    except FileNotFoundError:
        earlier = None
    except EvdiagError as error:
        raise DamagedBundle(
            f"{partial} cannot be gone on with: {error}",
            advice="Name another place with -o, or remove it.",
        ) from None
    if earlier is not None and (earlier.subject.kind, earlier.subject.id) != (
        subject.kind, subject.id,
    ):  # fmt: skip
        raise OutputNotWritten(
            f"{partial} is an interrupted bundle of something else ({earlier.subject.name})",
            advice="Name another place with -o, or remove it.",
        )
    manifest = Manifest(
        schema=SCHEMA, evdiag=evdiag.__version__, complete=False, subject=subject,
        begun=earlier.begun if earlier else time.time(),
        redaction=earlier.redaction if earlier else Redaction(),
    )  # fmt: skip
    folder.replace(MANIFEST, write_manifest(manifest))
    return manifest


def boot_id() -> str:
    """What tells one start of the machine from another; empty if nothing does."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def sync_folder(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
