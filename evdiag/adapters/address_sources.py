"""Where the files are that a text's addresses lie in: what cores have mapped, what images hold."""

import contextlib
from bisect import bisect_right
from collections.abc import Generator, Iterator
from contextlib import closing
from pathlib import Path, PurePosixPath

from evdiag.adapters.file_source import HEAD, FileSource, FileStatus, NotHad, of_source
from evdiag.adapters.file_store import FileStore, open_image
from evdiag.adapters.files import load_core
from evdiag.adapters.images import Images, Search
from evdiag.adapters.symbols import Progress
from evdiag.analyze.mapped import DEBUG, debug_places, in_store, is_file
from evdiag.parse.elf import ElfError
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import DELETED, MappedModule, mapped_modules
from evdiag.parse.tar import TarCut

MAX_FILE = 2 << 30
"""Bytes of one file: EVerest's largest, with all debug information, has 0.14 GB."""
TRIES = 2
EVEREST = "/opt/everest"

LIBRARY_FOLDERS = (
    f"{EVEREST}/lib", "/usr/local/lib", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
    "/usr/lib64", "/usr/lib", "/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/lib64", "/lib",
)  # fmt: skip
PROGRAM_FOLDERS = (f"{EVEREST}/bin", "/usr/local/bin", "/usr/bin", "/usr/sbin", "/bin", "/sbin")


class OtherBuild(NotHad):
    """There is a file of that path, but of another build."""

    def __init__(self, path: str, build_id: str | None) -> None:
        super().__init__("it is another build")
        self.path, self.build_id = path, build_id


class Process:
    """What a core's process had mapped, and where."""

    def __init__(self, core: Path) -> None:
        """Raises CoreError."""
        data, facts = load_core(core)
        self.core = core
        self.modules = mapped_modules(facts.files, Memory(data, facts))
        self._files = sorted(facts.files, key=lambda file: file.start)
        self._starts = [file.start for file in self._files]
        self._by_path = {module.path: module for module in self.modules}

    def at(self, address: int) -> tuple[MappedModule, int] | None:
        """The module that holds an address in memory, and where in its file that lies."""
        number = bisect_right(self._starts, address) - 1
        if number < 0 or address >= self._files[number].end:
            return None
        file = self._files[number]
        module = self._by_path.get(file.path.removesuffix(DELETED))
        return (module, address - file.start + file.offset) if module else None

    def named(self, name: str) -> MappedModule | None:
        """A module by its path, else by its file's name if it is the only one of that name."""
        if name in self._by_path:
            return self._by_path[name]
        same = [m for m in self.modules if base_name(m.path) == base_name(name)]
        return same[0] if len(same) == 1 and not name.startswith("/") else None


def base_name(path: str) -> str:
    """The name of a path's file."""
    return path.rpartition("/")[2]


def usual_places(name: str) -> tuple[str, ...]:
    """Where a system has a program or library of that name; EVerest's own come first."""
    if not name.isprintable() or name in ("", ".", ".."):
        return ()
    if ".so" in name:
        return tuple(f"{folder}/{name}" for folder in LIBRARY_FOLDERS)
    module = f"{EVEREST}/libexec/everest/modules/{name}/{name}"
    return (module, *(f"{folder}/{name}" for folder in PROGRAM_FOLDERS))


def path_in(source: FileSource, module: str) -> str:
    """The path that a module has in a system, also where the text has only its file's name.

    Raises NotHad; also where several files could be meant. Raises EngineError.
    """
    if module.startswith("/"):
        if not is_file(module):
            raise NotHad("it is no file")
        return module
    found: dict[FileStatus, str] = {}
    for path in usual_places(base_name(module)):
        with contextlib.suppress(NotHad), of_source():
            # the same file under two names, as of /lib and /usr/lib, has the same facts
            found.setdefault(source.status(path), path)
    if len(found) > 1:
        raise NotHad(f"it may be {' or '.join(found.values())}")
    if not found:
        raise NotHad(f"{source.name} has no such file where programs and libraries usually lie")
    return next(iter(found.values()))


class SystemFiles:
    """The files of an image: each comes once, when it is asked for, and stays in the store."""

    def __init__(self, source: FileSource, cache: Path, folder: Path, progress: Progress) -> None:
        """`folder` is for files that the store in `cache` cannot take."""
        self.source, self.progress = source, progress
        self._cache, self._folder = cache, folder
        self._store, self._own = FileStore(cache), FileStore(folder)

    def image(self, module: str, build_id: str | None) -> Image:
        """A program or library, with its debug information if the system has that.

        Raises NotHad, EngineError.
        """
        path = path_in(self.source, module)
        file = self._get(path, build_id)
        image = open_image(file)
        if image is None:
            raise NotHad("it is no program or library")
        if not image.has_debug_info and image.build_id is not None:
            self._debug_file(path, image, image.build_id)
        # one that has looked for nothing yet: what was fetched was missing before
        opened = Images(Search(store=self._cache, stores=(self._folder,))).open_named(file)
        return opened or image

    def _debug_file(self, path: str, image: Image, build_id: str) -> None:
        """Fetch what a file's debugger would look for beside it."""
        if self._store.find(build_id, DEBUG) is None:
            for place in debug_places(path, image):
                with contextlib.suppress(NotHad):
                    self._get(place, build_id, DEBUG)
                    return

    def _get(self, path: str, build_id: str | None, suffix: str = "") -> Path:
        """A file of the system on this machine. Raises NotHad, EngineError."""
        with of_source():
            size = self.source.status(path).size
        if size > MAX_FILE:
            raise NotHad(f"it has {size:,} bytes")
        for _ in range(TRIES):
            with contextlib.suppress(TarCut), closing(self._pieces(path, size)) as pieces:
                return self._received(pieces, path, size, build_id, suffix)
        raise NotHad("what came of it was cut off")

    def _pieces(self, path: str, size: int) -> Generator[bytes, None, None]:
        """A file's content, while the user sees how much came. Raises NotHad, TarCut."""
        done, name = 0, PurePosixPath(path).name
        with of_source():
            for piece in self.source.open(path):
                done += len(piece)
                self.progress(
                    f"{name} from {self.source.name}, {done / 1e6:.0f} of {size / 1e6:.0f} MB"
                )
                yield piece

    def _received(
        self, pieces: Iterator[bytes], path: str, size: int, build_id: str | None, suffix: str
    ) -> Path:
        """Take a file, unless its begin says that it is here already or is another one."""
        head = b""
        for piece in pieces:
            head += piece
            if len(head) >= HEAD:
                break
        found = _build_id(path, head)
        if build_id is not None and found is not None and found != build_id:
            raise OtherBuild(path, found)
        known = self._store.find(found, suffix) if found is not None else None
        if known is not None and not _is_poorer(known, size):
            return known
        target = self._folder / f"{len(list(self._folder.iterdir()))}-{PurePosixPath(path).name}"
        try:
            with target.open("wb") as file:
                file.write(head)
                file.writelines(pieces)
        except OSError as error:
            raise NotHad(f"there is no room for it: {error.strerror}") from None
        return self._kept(target, path, build_id, suffix)

    def _kept(self, file: Path, path: str, wanted: str | None, suffix: str) -> Path:
        """Where a file lies that was fetched: in the store, if that takes it. Raises NotHad."""
        image = open_image(file)
        found = image.build_id if image is not None else None
        if wanted is not None and found != wanted:
            raise OtherBuild(path, found)
        place = in_store(found, suffix) if found is not None else None
        if found is None or place is None:
            return file
        for store in (self._store, self._own):
            store.keep(found, file, suffix)
            kept = store.find(found, suffix)
            if kept is not None and kept.stat().st_size == file.stat().st_size:
                file.unlink()
                return kept
        return file


def _build_id(path: str, head: bytes) -> str | None:
    """The build-id of a file that begins so. Raises NotHad for what is no program."""
    try:
        return Image(path, head).build_id
    except ElfError:
        raise NotHad("it is no program or library") from None


def _is_poorer(known: Path, size: int) -> bool:
    """Whether a file of the store may have less debug information than one of that size.

    A stripped file has the build-id of the one it was made from.
    """
    image = open_image(known)
    return image is None or (not image.has_debug_info and known.stat().st_size < size)
