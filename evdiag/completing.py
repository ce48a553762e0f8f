"""What makes a bundle of cores readable anywhere: the files that they map, and sources.

Nothing of a crashed system is believed: a file goes into a bundle only if its own build-id is the
one that the core's memory says was mapped.
"""

import contextlib
import posixpath
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from evdiag.adapters import host
from evdiag.adapters.bundle.writer import BundleWriter
from evdiag.adapters.file_source import (
    OTHER_BUILD,
    Accept,
    FileSource,
    FileStatus,
    NotHad,
    begun_well,
    of_source,
)
from evdiag.adapters.file_store import FileStore, open_image
from evdiag.adapters.files import SOURCES as SOURCE_SUFFIXES
from evdiag.adapters.images import same_build
from evdiag.adapters.noted_core import open_noted
from evdiag.analyze.mapped import (
    DEBUG,
    PACKAGE,
    below_sources,
    below_symbols,
    debug_places,
    in_store,
    is_file,
    shared_debug_places,
    source_place,
    symbols_place,
    wanted_sources,
)
from evdiag.engine import Engine, Options
from evdiag.errors import CoreError
from evdiag.model.bundle import SYMBOLS, FileEntry
from evdiag.model.report import Report
from evdiag.parse.image import Image
from evdiag.parse.modules import MappedModule, mapped_modules
from evdiag.parse.tar import TarCut

SYMBOLS_KIND, SOURCE_KIND = "symbols", "source"
MAX_FILE = 2 << 30
"""Bytes of one mapped file: EVerest's largest, with all debug information, has 0.14 GB."""
MAX_SOURCE = 2 << 20
MAX_CORES = 50
"""Cores whose frames are looked at for sources: crashes in a row are mostly the same one."""
MAX_PROBLEMS = 20
TRIES = 2

Progress = Callable[[str], None]


class _Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """One file that a bundle is to have."""

    path: str
    """In the crashed system."""
    place: str
    """Below the bundle's symbols."""
    origin: str
    """Tells it from other builds of the same path."""
    build_id: str | None
    suffix: str = ""
    """.debug or .dwp"""
    accept: Accept
    """Whether an image is that file."""

    @property
    def target(self) -> str:
        """Its path in the bundle."""
        return below_symbols(self.place)


def complete(
    writer: BundleWriter, cores: Sequence[Path], files: FileSource, progress: Progress
) -> None:
    """Add the mapped files of cores to a bundle, and the sources that their crashes name.

    What cannot be had becomes a problem of the bundle. Raises what the writer raises, and
    EngineUnreachable and EngineTimeout: then the bundle lacks what another attempt may get.
    """
    job = _Symbols(writer, files, progress)
    for core in cores:
        job.core(core)
    _Sources(writer, files, progress).fetch(list(job.reports(cores[:MAX_CORES])))
    job.finish()


class _Job:
    """What fetching symbols and fetching sources have in common."""

    def __init__(self, writer: BundleWriter, files: FileSource, progress: Progress) -> None:
        self.writer, self.progress = writer, progress
        self.sources = (files, *files.others)

    def has(self, target: str, origin: str) -> bool:
        """Whether the bundle has a file, perhaps since an earlier attempt."""
        entry = self.writer.has(origin)
        return entry is not None and entry.path == target

    def status(self, source: FileSource, path: str) -> FileStatus:
        """What a source says of a file. Raises NotHad."""
        with of_source():
            return source.status(path)

    def pieces(self, source: FileSource, path: str) -> Generator[bytes, None, None]:
        """A file of a source, while the user sees how much came. Raises NotHad, TarCut."""
        done = 0
        with of_source():
            for piece in source.open(path):
                done += len(piece)
                self.progress(f"{PurePosixPath(path).name}, {done / 1e6:.1f} MB")
                yield piece


class _Symbols(_Job):
    """Fetches mapped files and their debug information."""

    def __init__(self, writer: BundleWriter, files: FileSource, progress: Progress) -> None:
        super().__init__(writer, files, progress)
        self.store = FileStore(host.cache_directory())
        self._problems: list[tuple[str, str]] = []
        """(place, what is wrong): the same file may be had under another path."""
        self._had: set[str] = set()
        """Places of files that are in the bundle."""
        self._tried: set[str] = set()
        """Origins: the same file may have several paths."""

    # -- the files that a core maps

    def core(self, path: Path) -> None:
        """Fetch what a core maps; one that cannot be read maps nothing."""
        with contextlib.suppress(CoreError):
            noted = open_noted(path)
            for module in mapped_modules(noted.facts.files, noted.memory):
                place = symbols_place(module)
                wanted = _mapped(module, place) if place is not None else None
                if wanted is not None and wanted.origin not in self._tried:
                    self._tried.add(wanted.origin)
                    self._module(module, wanted)

    def _module(self, module: MappedModule, wanted: _Wanted) -> None:
        if wanted.place in self._had:
            return
        source = self._get(wanted)
        image = self._image(wanted)
        if image is not None and image.build_id is not None:
            self._debug_files(module.path, image.build_id, image, source or self.sources[0])

    def _is_there(self, wanted: _Wanted) -> bool:
        """Whether the bundle has a file, under whatever path it was mapped."""
        if wanted.place not in self._had and self.has(wanted.target, wanted.origin):
            self._had.add(wanted.place)
        return wanted.place in self._had

    def _image(self, wanted: _Wanted) -> Image | None:
        """A file of the bundle."""
        there = self._is_there(wanted)
        return open_image(self.writer.partial / wanted.target) if there else None

    def _get(self, wanted: _Wanted) -> FileSource | None:
        """Put a module into the bundle; the source that had it, if one was asked."""
        if self._is_there(wanted):
            return None
        known = self._known(wanted)
        good = known is not None and not self._is_poorer(known, wanted.path)
        if known is not None and good and self._take(wanted, known):
            return None
        reasons = []
        for source in self.sources:
            try:
                self._fetch(source, wanted)
            except NotHad as error:
                reasons += [f"{source.name}: {error}"] if str(error) else []
            else:
                return source
        if known is None or not self._take(wanted, known):
            why = "; ".join(reasons) or f"{self.sources[0].name} does not have it"
            self._problems.append((wanted.place, f"{wanted.path} could not be had ({why})"))
        return None

    def _known(self, wanted: _Wanted) -> Path | None:
        """The file in the user's store."""
        if wanted.build_id is None:
            return None
        checked = wanted.suffix != PACKAGE
        return self.store.find(wanted.build_id, wanted.suffix, checked=checked)

    def _is_poorer(self, known: Path, path: str) -> bool:
        """Whether the store's file may have less debug information than the source's.

        A stripped file has the build-id of the one it was made from.
        """
        image = open_image(known)
        if image is None or image.has_debug_info:
            return False
        with contextlib.suppress(NotHad, OSError):
            return self.status(self.sources[0], path).size > known.stat().st_size
        return False

    def _take(self, wanted: _Wanted, file: Path) -> bool:
        """Put a file of this machine into the bundle, if it can be read and is not too much."""
        try:
            entry = self.writer.take(
                *(wanted.target, SYMBOLS_KIND, wanted.origin, file),
                limit=MAX_FILE,
                build_id=wanted.build_id,
            )
        except OSError:  # the store's files may be deleted at any time
            return False
        if entry.truncated is not None:
            self.writer.drop(entry)
            return False
        self._had.add(wanted.place)
        return True

    def _fetch(self, source: FileSource, wanted: _Wanted) -> None:
        """Put a file of a source into the bundle, and into the store. Raises NotHad."""
        status = self.status(source, wanted.path)
        if status.size > min(MAX_FILE, self.writer.room):
            raise NotHad(f"it has {status.size:,} bytes, which is too much for this bundle")
        entry = self._add(source, wanted, status.modified)
        file = self.writer.partial / wanted.target
        image = open_image(file)
        if entry.truncated is not None or image is None or not wanted.accept(image):
            self.writer.drop(entry)
            raise NotHad(entry.truncated or OTHER_BUILD)
        if wanted.build_id is not None:
            self.store.keep(wanted.build_id, file, wanted.suffix)

    def _add(self, source: FileSource, wanted: _Wanted, modified: float | None) -> FileEntry:
        """Put a file of a source into the bundle, whatever it is. Raises NotHad."""
        for _ in range(TRIES):
            with (
                contextlib.suppress(TarCut),
                contextlib.closing(self.pieces(source, wanted.path)) as pieces,
            ):
                return self.writer.add(
                    *(wanted.target, SYMBOLS_KIND, wanted.origin),
                    begun_well(pieces, wanted.accept),
                    modified=modified,
                    limit=MAX_FILE,
                    build_id=wanted.build_id,
                )
        raise NotHad("what came of it was cut off")

    # -- debug information beside them

    def _debug_files(self, path: str, build_id: str, image: Image, source: FileSource) -> None:
        """Fetch what gdb and the symboliser would look for beside a file, where it was."""
        holder: Image | None = image
        if not image.has_debug_info:
            holder = self._debug_file(path, build_id, debug_places(path, image), source)
        elif image.has_split_debug_info:
            self._package(path, build_id, source)
        shared = shared_debug_places(holder) if holder is not None else None
        if shared is not None:
            self._debug_file(path, *shared, source)

    def _debug_file(
        self, path: str, build_id: str, paths: Sequence[str], source: FileSource
    ) -> Image | None:
        """Put the first of some files into the bundle that is of that build."""
        place = in_store(build_id, DEBUG)
        if place is None:
            return None
        wanted = _Wanted(
            path=path, place=place, build_id=build_id, suffix=DEBUG, accept=_has(build_id),
            origin=f"debug information of {path}, build-id {build_id}",
        )  # fmt: skip
        if not self._is_there(wanted):
            known = self._known(wanted)
            if known is None or not self._take(wanted, known):
                self._first_of(paths, wanted, source)
        return self._image(wanted)

    def _first_of(self, paths: Sequence[str], wanted: _Wanted, source: FileSource) -> None:
        for path in paths:
            with contextlib.suppress(NotHad):
                self._fetch(source, msgspec.structs.replace(wanted, path=path))
                return

    def _package(self, path: str, build_id: str, source: FileSource) -> None:
        """Fetch a .dwp file, which has no build-id: only from beside a program that has it."""
        place = in_store(build_id, PACKAGE)
        if place is None:
            return
        wanted = _Wanted(
            path=path + PACKAGE, place=place, build_id=build_id, suffix=PACKAGE,
            accept=lambda image: image.build_id is None,
            origin=f"{path}{PACKAGE}, build-id {build_id}",
        )  # fmt: skip
        known = self._known(wanted)
        if self._is_there(wanted) or (known and self._take(wanted, known)):
            return
        with (
            contextlib.suppress(NotHad, TarCut),
            contextlib.closing(self.pieces(source, path)) as program,
        ):
            next(begun_well(program, _has(build_id)), None)
            self._fetch(source, wanted)

    # -- what else a report needs

    def reports(self, cores: Sequence[Path]) -> Iterator[Report]:
        """Look at each core as whoever gets the bundle will; files of this machine come along.

        A file that the crashed system no longer has may be here, of the same build.
        """
        engine = Engine(Options(stores=(self.writer.partial / SYMBOLS,)), self.progress)
        for core in cores:
            self.progress(f"looking at {core.name}")
            with contextlib.suppress(CoreError):
                analysis = engine.analyse(core)
                for module, image in analysis.files():
                    self._from_here(module, image)
                yield analysis.report

    def _from_here(self, module: MappedModule, image: Image) -> None:
        """Put what was found on this machine into the bundle too."""
        place = symbols_place(module)
        if place is None or same_build(module, image) is not True:
            return
        self._keep_found(_mapped(module, place), image)
        if image.companion is not None and module.build_id:
            debug = in_store(module.build_id, DEBUG) or ""
            origin = f"debug information of {module.path}, build-id {module.build_id}"
            wanted = msgspec.structs.replace(
                _mapped(module, place), place=debug, origin=origin, suffix=DEBUG
            )
            self._keep_found(wanted, image.companion)

    def _keep_found(self, wanted: _Wanted, image: Image) -> None:
        if not self._is_there(wanted):
            self._take(wanted, Path(image.path))

    def finish(self) -> None:
        """Tell what could not be had."""
        left = [text for place, text in self._problems if place not in self._had]
        for text in left[:MAX_PROBLEMS]:
            self.writer.problem(text)
        if len(left) > MAX_PROBLEMS:
            more = len(left) - MAX_PROBLEMS
            self.writer.problem(f"{more} more files that the cores map could not be had")


class _Sources(_Job):
    """Fetches source files."""

    def fetch(self, reports: Sequence[Report]) -> None:
        """Put the sources that crashes name into the bundle, where there are some."""
        wanted = wanted_sources(reports, SOURCE_SUFFIXES)
        for source in self.sources:
            # who has one of them has all there are: headers of compilers are nowhere
            if sum(self._fetch(source, file) for file in wanted):
                return

    def _fetch(self, source: FileSource, file: str) -> bool:
        """Put a source into the bundle; whether it is there."""
        path, place = posixpath.normpath(file), source_place(file)
        if place is None or not is_file(path):
            return False
        target, origin = below_sources(place), f"source {file}"
        if self.has(target, origin):
            return True
        with (
            contextlib.suppress(NotHad, TarCut),
            contextlib.closing(self.pieces(source, path)) as pieces,
        ):
            status = self.status(source, path)
            if status.size <= min(MAX_SOURCE, self.writer.room):
                self.writer.add(target, SOURCE_KIND, origin, pieces, modified=status.modified)
                return True
        return False


def _mapped(module: MappedModule, place: str) -> _Wanted:
    of = f", build-id {module.build_id}" if module.build_id else ""
    return _Wanted(
        path=module.path, place=place, origin=module.path + of, build_id=module.build_id,
        accept=lambda image: same_build(module, image) is True,
    )  # fmt: skip


def _has(build_id: str) -> Accept:
    return lambda image: image.build_id == build_id
