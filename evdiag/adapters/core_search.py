"""Cores wherever they lie: named one by one, in folders, in bundles, in archives of bundles.

Links in folders are not followed. What cannot be used is named and left out.
"""

import os
import re
import stat
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from evdiag.adapters.content import Identity, identity_of
from evdiag.adapters.incident import is_core
from evdiag.errors import CoreNotFound, EvdiagError
from evdiag.model.bundle import ARCHIVE_SUFFIX, CORES, MANIFEST
from evdiag.model.incident import NOTE_SUFFIX
from evdiag.model.report import SoftError
from evdiag.model.triage import Failure

MAX_ENTRIES = 500_000
"""Names in all folders together."""
MAX_DEPTH = 40
MAX_CORES = 100_000
MAX_FAILURES = 2_000
HEAD = 64

_CORE_NAME = re.compile(r"core(\..*)?$|.*\.core$")
_PACKED = re.compile(r"(core\..*|.*\.core(\..*)?)\.(gz|xz|zst|bz2|lz4)$")
_UNFINISHED = re.compile(r"\.core.*\.part$")
"""What the core writer calls a core until it is whole."""
_NO_CORE = "it is no core"

IsKnown = Callable[[Identity], bool]
"""Whether a file was a core when it was in this state."""


class CoreFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is a core, or that the user calls one."""

    path: Path
    shown: str
    """As the user named it, or below the folder or bundle that the user named."""
    identity: Identity
    bundle: Path | None = None
    """The bundle that it is in: a folder or an archive."""


class BundleFound(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle: its folder, or an archive of it."""

    path: Path
    only: str = ""
    """Where one core of it was named: its path in the bundle."""


class Searched(msgspec.Struct, kw_only=True):
    """What was found."""

    cores: list[CoreFile] = []
    bundles: list[BundleFound] = []
    failures: list[Failure] = []
    errors: list[EvdiagError] = []
    """Of the failures those that the user named."""
    notes: list[SoftError] = []


def search(words: Sequence[str], is_known: IsKnown) -> Searched:
    """Look at what was named, and into folders."""
    found = _Search(is_known)
    named = set(words)
    for word in words:
        if word.endswith(NOTE_SUFFIX) and word.removesuffix(NOTE_SUFFIX) in named:
            continue  # `core*` names a core's note too, which is read with the core
        found.named(word)
    return found.finish()


def shown(path: Path | str) -> str:
    """A name as text: the system's names are bytes."""
    return os.fsencode(path).decode("utf-8", "replace")


class _Search:
    def __init__(self, is_known: IsKnown) -> None:
        self.found = Searched()
        self._is_known = is_known
        self._entries = 0
        self._seen: set[tuple[int, int]] = set()
        self._bundles: set[tuple[int, int, str]] = set()
        self._names: set[str] = set()
        self._links = self._deep = self._more = 0
        self._packed: list[str] = []
        self._unfinished: list[str] = []
        self._unreadable: list[str] = []

    def named(self, word: str) -> None:
        """One word of the command line."""
        path = Path(word)
        try:
            status = path.stat()
        except (OSError, ValueError) as error:
            self._failed(path, getattr(error, "strerror", None) or str(error))
            return
        usable = stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)
        bundle = _bundle_around(path) if usable else None
        if bundle is not None:
            self._bundle(bundle)
        elif stat.S_ISDIR(status.st_mode):
            self._folder(path)
        elif stat.S_ISREG(status.st_mode):
            self._core(path, status)
        else:
            self._failed(path, "it is neither a file nor a folder")

    def _folder(self, root: Path) -> None:
        """A folder with all below it, in the order of names; without recursion of our own."""
        waiting = [(str(root), 0)]
        while waiting and self._entries < MAX_ENTRIES:
            folder, depth = waiting.pop()
            below: list[tuple[str, int]] = []
            for entry in self._listed(folder):
                self._entries += 1
                if entry.is_symlink():
                    self._links += 1
                elif entry.is_dir(follow_symlinks=False):
                    below.append((entry.path, depth + 1))
                elif entry.is_file(follow_symlinks=False):
                    self._file(entry)
            if depth >= MAX_DEPTH:
                self._deep += len(below)
                continue
            waiting += reversed(below)

    def _listed(self, folder: str) -> list["os.DirEntry[str]"]:
        """The entries of a folder; none where it is a bundle, which is kept as such."""
        try:
            with os.scandir(folder) as entries:
                listed = sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self._unreadable.append(shown(folder))
            return []
        if any(entry.name == MANIFEST for entry in listed) and _is_bundle(Path(folder)):
            self._bundle(BundleFound(path=Path(folder)))
            return []
        return listed

    def _file(self, entry: "os.DirEntry[str]") -> None:
        name = entry.name
        if _UNFINISHED.match(name):
            self._unfinished.append(shown(entry.path))
            return
        if name.endswith(ARCHIVE_SUFFIX) and _is_bundle(Path(entry.path)):
            self._bundle(BundleFound(path=Path(entry.path)))
            return
        if name.endswith(NOTE_SUFFIX):
            return
        if _PACKED.match(name):
            self._packed.append(shown(entry.path))
            return
        try:
            status = entry.stat(follow_symlinks=False)
            path = Path(entry.path)
            if self._is_known(identity_of(status)) or is_core(_head(path)):
                self._core(path, status)
            elif _CORE_NAME.match(name):
                why = _NO_CORE if status.st_size else "it is empty"
                self._fail(Failure(path=shown(path), message=why))
        except OSError as error:
            if _CORE_NAME.match(name):
                self._fail(Failure(path=shown(entry.path), message=error.strerror or str(error)))

    def _core(self, path: Path, status: os.stat_result) -> None:
        place = (status.st_dev, status.st_ino)
        if place in self._seen:
            return
        if len(self.found.cores) >= MAX_CORES:
            self._more += 1
            return
        self._seen.add(place)
        name = shown(path)
        if name in self._names:  # names that are no text can look the same
            name = f"{name} ({len(self._names)})"
        self._names.add(name)
        self.found.cores.append(CoreFile(path=path, shown=name, identity=identity_of(status)))

    def _bundle(self, bundle: BundleFound) -> None:
        """A bundle; one that was named twice is one."""
        status = bundle.path.stat()
        place = (status.st_dev, status.st_ino, bundle.only)
        if place not in self._bundles:
            self._bundles.add(place)
            self.found.bundles.append(bundle)

    def _failed(self, path: Path, why: str) -> None:
        """What the user named, and what cannot be used."""
        self._fail(Failure(path=shown(path), message=why))
        self.found.errors.append(CoreNotFound(f"{shown(path)}: {why}"))

    def _fail(self, failure: Failure) -> None:
        if len(self.found.failures) < MAX_FAILURES:
            self.found.failures.append(failure)
        else:
            self._more += 1

    def finish(self) -> Searched:
        """Everything, with notes on what was left out."""
        for names, what, hint in (
            (self._unreadable, "cannot be read", "Try it as their owner, or as root."),
            (self._packed, "packed, and not looked into", "Unpack the cores."),
            (self._unfinished, "unfinished: its writer was ended before the core was whole", None),
        ):
            if names:
                more = f" and {len(names) - 3} more" if len(names) > 3 else ""
                self._note(f"{', '.join(names[:3])}{more}: {what}", hint)
        if self._links:
            links = "1 link was" if self._links == 1 else f"{self._links} links were"
            self._note(f"{links} not followed")
        if self._deep:
            self._note(f"folders deeper than {MAX_DEPTH} others were not looked into")
        if self._entries >= MAX_ENTRIES:
            self._note(f"only the first {MAX_ENTRIES} names were looked at")
        if self._more:
            self._note(f"{self._more} more files were left out: there are too many")
        return self.found

    def _note(self, message: str, hint: str | None = None) -> None:
        self.found.notes.append(SoftError(stage="files", message=message, hint=hint))


def _head(path: Path) -> bytes:
    """The begin of a file that may have become something else meanwhile. Raises OSError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        return os.pread(fd, HEAD, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else b""
    finally:
        os.close(fd)


def _is_bundle(path: Path) -> bool:
    # what opens bundles is not loaded where there is none
    from evdiag.adapters.bundle.reader import is_bundle  # noqa: PLC0415

    return is_bundle(path)


def _bundle_around(path: Path) -> BundleFound | None:
    """The bundle that a word names as a whole, or with one core of it."""
    if path.is_dir():
        if (path / MANIFEST).is_file() and _is_bundle(path):
            return BundleFound(path=path)
        above = path.absolute().parent
        if path.absolute().name == CORES and (above / MANIFEST).is_file() and _is_bundle(above):
            return BundleFound(path=path.parent if path.name == CORES else above)
        return None
    above = path.absolute().parent
    if above.name == CORES and (above.parent / MANIFEST).is_file() and _is_bundle(above.parent):
        return BundleFound(path=above.parent, only=f"{CORES}/{path.name}")
    may_be = path.name.endswith(ARCHIVE_SUFFIX) or not is_core(_first_bytes(path))
    return BundleFound(path=path) if may_be and _is_bundle(path) else None


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(HEAD)
    except OSError:
        return b""


def bundle_cores(bundle: Path, called: str, found: Iterator[Path], only: str) -> Iterator[CoreFile]:
    """The cores of an open bundle whose folder is `bundle`; `called` is what the user calls it."""
    for path in found:
        inside = shown(path.relative_to(bundle))
        if only and inside != only:
            continue
        try:
            status = path.lstat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode):
            yield CoreFile(
                path=path, shown=f"{called}/{inside}", identity=identity_of(status), bundle=bundle
            )
