"""Functions, files, lines and inlined calls of addresses, through Sentry's `symbolic`.

Reading DWARF takes a second for 100 MB of it, so the answer is kept: one "symcache" per build-id
in the cache directory. Every file there may be deleted at any time.
"""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Protocol

from evdiag.adapters.demangle import Demangler, load_demangler
from evdiag.adapters.files import make_room, replacing
from evdiag.model.core import Place
from evdiag.model.report import SoftError
from evdiag.parse.image import Image

MAX_CACHE_BYTES = 2 << 30
"""Size of all symcaches together; the ones used least recently go first."""

MAX_INLINES = 200
"""Inlined calls at one address; more is a damaged symcache."""

Progress = Callable[[str], None]


class SymbolRow(Protocol):
    """What `symbolic` answers for an address."""

    symbol: str
    full_path: str
    line: int


class SymbolCache(Protocol):
    """The part of `symbolic.symcache.SymCache` that is used."""

    def lookup(self, addr: int) -> list[SymbolRow]:
        """Functions at an address relative to the image's base, innermost first."""
        ...

    def dump_into(self, f: IO[bytes]) -> None:
        """Write the symcache to an open file."""
        ...


class SymbolStore:
    """Looks addresses up, with one symcache per image, shared by all cores of a run."""

    def __init__(self, cache: Path, progress: Progress | None = None) -> None:
        self.cache = cache / "symcache"
        self.problems: dict[str, SoftError] = {}
        """By path of the image."""
        self._progress = progress
        self._open: dict[Image, SymbolCache | None] = {}
        self._results: dict[tuple[Image, int], tuple[Place, ...]] = {}
        self._demangle: Demangler | None = None
        self._library: _Library | None = None
        self._unavailable = False

    def lookup(self, image: Image, vaddr: int) -> tuple[Place, ...]:
        """Everything at an address of an image's file; empty if nothing is known."""
        key = (image, vaddr)
        found = self._results.get(key)
        if found is None:
            found = self._results[key] = self._look_up(image, vaddr)
        return found

    def demangle(self, name: str) -> str:
        """The readable form of a symbol's name; one that is no C++ name stays as it is."""
        if self._demangle is None:
            self._demangle = Demangler(load_demangler())
        return self._demangle(name)

    def _look_up(self, image: Image, vaddr: int) -> tuple[Place, ...]:
        if image not in self._open:
            self._open[image] = self._symcache(image)
        cache, library = self._open[image], self._library
        if cache is None or library is None:
            return ()
        with self._errors(image, library):
            rows = cache.lookup(vaddr - image.base)[:MAX_INLINES]
            return tuple(
                Place(
                    self.demangle(row.symbol) if row.symbol not in ("", "?") else None,
                    row.full_path or None,
                    row.line or None,
                )
                for row in rows
            )
        return ()

    # -- symcaches

    def _symcache(self, image: Image) -> SymbolCache | None:
        """Open the symcache of an image, making it first if need be; None without symbols."""
        library = self._load()
        if library is None:
            self._problem(
                image,
                "the package `symbolic` is not installed",
                hint="`pip install symbolic` (wheels for Linux with glibc, and macOS)",
            )
            return None
        with self._errors(image, library):
            name = self._name(image, library)
            if name is not None:
                with contextlib.suppress(*library.errors):
                    return self._open_cached(name, library)
            return self._make(image, name, library)
        return None

    def _load(self) -> "_Library | None":
        if self._library is None and not self._unavailable:
            try:
                self._library = _Library()
            except (ImportError, OSError):
                self._unavailable = True
        return self._library

    @contextlib.contextmanager
    def _errors(self, image: Image, library: "_Library") -> Iterator[None]:
        """What `symbolic` says of a damaged file becomes a problem of that image."""
        try:
            yield
        except library.errors as error:
            self._problem(image, f"its symbols cannot be read: {_first_line(error)}")
            self._open[image] = None

    def _problem(self, image: Image, text: str, hint: str | None = None) -> None:
        self.problems[image.path] = SoftError(
            stage="symbols",
            message=f"{image.path}: {text}",
            effect="its frames show module and offset instead of names",
            hint=hint,
        )

    def _name(self, image: Image, library: "_Library") -> Path | None:
        if image.build_id is None:
            return None
        read = image.companion if image.companion and _has_debug_companion(image) else image
        # files of one build, stripped and not, know different names: their sizes tell them apart
        size = len(read.data)
        return self.cache / f"{image.build_id}-{size:x}-v{library.version}.symcache"

    def _open_cached(self, name: Path, library: "_Library") -> SymbolCache:
        cache = library.open(str(name))
        with contextlib.suppress(OSError):
            os.utime(name)  # what was used last is deleted last
        return cache

    def _make(self, image: Image, name: Path | None, library: "_Library") -> SymbolCache:
        companion = image.companion if _has_debug_companion(image) else None
        source = companion or image
        if self._progress:
            self._progress(f"reading debug information of {Path(image.path).name}")
        cache = library.make(source)
        if name is not None:
            with contextlib.suppress(OSError):
                self._keep(cache, name)
                return library.open(str(name))  # mapped, so that its memory can be given back
        return cache

    def _keep(self, cache: SymbolCache, name: Path) -> None:
        """Write a symcache in one step, so that another process never sees half of one."""
        self.cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        with replacing(name) as file:
            cache.dump_into(file)
        make_room(self.cache, MAX_CACHE_BYTES, keep=name)


class _Library:
    """The few parts of `symbolic` that are used; importing it costs 5 to 25 ms."""

    def __init__(self) -> None:
        # imported late: 5 to 25 ms that no other command has to pay
        from symbolic.debuginfo import Archive  # noqa: PLC0415
        from symbolic.exceptions import SymbolicError  # noqa: PLC0415
        from symbolic.symcache import SYMCACHE_LATEST_VERSION, SymCache  # noqa: PLC0415

        self.version: int = SYMCACHE_LATEST_VERSION
        self._symcache = SymCache
        self._archive = Archive
        self.errors: tuple[type[Exception], ...] = (SymbolicError, OSError, ValueError)

    def open(self, path: str) -> SymbolCache:
        """Map a symcache that was written before."""
        opened: SymbolCache = self._symcache.open(path)
        return opened

    def make(self, image: Image) -> SymbolCache:
        """Read the symbols of an image: from its file, or from memory for the vDSO."""
        path = Path(image.path)
        if path.is_absolute() or path.exists():
            archive = self._archive.open(str(path))
        else:
            archive = self._archive.from_bytes(bytes(image.data))
        for item in archive.iter_objects():
            made: SymbolCache = item.make_symcache()
            return made
        raise ValueError("it holds no object")


def _has_debug_companion(image: Image) -> bool:
    return image.companion is not None and image.companion.has_debug_info


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
