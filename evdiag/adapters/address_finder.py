"""Which file a text means by a path, a name or a build-id: nothing is guessed.

A name may stand for several files, and a file may have been replaced since the text was written.
"""

import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from evdiag.adapters.address_sources import (
    OtherBuild,
    Process,
    SystemFiles,
    base_name,
    path_in,
)
from evdiag.adapters.file_source import FolderFiles, NotHad
from evdiag.adapters.images import HOST_DEBUG, Images, Search
from evdiag.analyze.mapped import DEBUG, in_store, is_file
from evdiag.parse.image import Image
from evdiag.parse.modules import MappedModule

MAX_FILES = 2000
"""Programs and libraries that one text may name."""
SHORT = 16
"""Letters of a build-id in messages."""

SEVERAL = "it may be one of several files, and the text has no build-id"
BY_NAME = "the text has its name only: name the file by --exe"
NOT_HERE = "it is not on this machine"
NOT_THERE = "no core, bundle or store has it"


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Where the user said the files are."""

    executables: tuple[Path, ...] = ()
    sysroot: Path | None = None
    stores: tuple[Path, ...] = ()
    """Files by build-id, of bundles."""
    processes: tuple[Process, ...] = ()
    systems: tuple[SystemFiles, ...] = ()

    @property
    def is_other_system(self) -> bool:
        """Whether the text is of another system: then this machine's files say nothing."""
        return bool(self.sysroot or self.stores or self.processes or self.systems)


class File(msgspec.Struct, frozen=True):
    """The file that a text means, or why there is none."""

    image: Image | None
    why: str = ""
    is_verified: bool = True


class Finder:
    """Finds files, each once."""

    def __init__(self, asked: Asked, cache: Path) -> None:
        self.asked = asked
        self._images = Images(Search(sysroot=asked.sysroot, store=cache, stores=asked.stores))
        opened = (self._images.open_named(path) for path in asked.executables)
        self.programs = [image for image in opened if image is not None]
        """Those that the user named."""
        self._files: dict[tuple[str, str | None], File] = {}

    def file(self, module: str, build_id: str | None, mapped: Sequence[MappedModule] = ()) -> File:
        """The file that is meant by a path or name and, where the text has it, by a build-id.

        `mapped` is what a core had mapped there. Raises EngineError.
        """
        key = (module, build_id)
        known = self._files.get(key)
        if known is None:
            if len(self._files) >= MAX_FILES:
                return File(None, "too many files are named")
            known = self._files[key] = self._find(module, build_id, mapped or self._mapped(*key))
        return known

    def _mapped(self, module: str, build_id: str | None) -> tuple[MappedModule, ...]:
        """What the cores had mapped of it: one for each build."""
        named = (process.named(module) for process in self.asked.processes if module)
        fitting = (m for m in named if m is not None and build_id in (None, m.build_id))
        builds = {(m.build_id, m.first_bytes if m.build_id is None else b""): m for m in fitting}
        return tuple(builds.values())

    def _find(self, module: str, build_id: str | None, mapped: Sequence[MappedModule]) -> File:
        if len(mapped) > 1:
            return File(None, SEVERAL)
        if mapped:
            module, build_id = mapped[0].path, mapped[0].build_id
        wanted = _Wanted(module, build_id, mapped[0] if mapped else None)
        poor: File | None = None
        for tier in (
            *(self._named, self._by_build, self._of_sysroot),
            *(self._of_systems, self._of_this_machine),
        ):
            files = {f.image.build_id or f.image.path: f for f in tier(wanted) if f.image}
            if len(files) > 1:
                return File(None, SEVERAL)
            for file in files.values():
                if not self.asked.systems or _is_rich(file.image):
                    return file
                poor = poor or file  # an image may have the same with all its debug information
        return poor or File(None, self._why(wanted))

    def _named(self, wanted: "_Wanted") -> Iterator[File]:
        """Programs that the user named: by build-id, else by name, else if there is only one."""
        same = [p for p in self.programs if base_name(p.path) == base_name(wanted.module)]
        if wanted.build_id is not None:
            yield from (File(p) for p in self.programs if p.build_id == wanted.build_id)
            wanted.wrong += [(p.path, p.build_id) for p in same if p.build_id != wanted.build_id]
            return
        yield from (File(p) for p in same)
        may_be_program = not same and ".so" not in wanted.module
        alone = len(self.programs) == 1 and not self.asked.is_other_system
        if may_be_program and alone and not _is_here(wanted.module):
            yield File(self.programs[0], is_verified=False)

    def _by_build(self, wanted: "_Wanted") -> Iterator[File]:
        """Files of a known build: in stores, sysroot and this machine, each compared."""
        build_id = wanted.build_id
        if build_id is None and wanted.mapped is None:
            return
        module = wanted.mapped or MappedModule(
            path=wanted.module, start=0, end=0, head=None, build_id=build_id, first_bytes=b""
        )
        image, state = self._images.open(module, is_executable=False)
        if image is not None:
            yield File(image)
            return
        if state.symbols == "mismatched":
            wanted.wrong += self._wrong(wanted.module)
        place = in_store(build_id, DEBUG) if build_id else None
        debug = self._images.open_named(HOST_DEBUG / place) if place else None
        if debug is not None and debug.build_id == build_id:
            yield File(debug)

    def _wrong(self, module: str) -> Iterator[tuple[str, str | None]]:
        """What lies in the place of a file and is of another build."""
        for root in (self.asked.sysroot, Path("/")):
            path = root / module.lstrip("/") if root is not None else None
            image = self._images.open_named(path) if path is not None else None
            if image is not None:
                yield str(path), image.build_id

    def _of_sysroot(self, wanted: "_Wanted") -> Iterator[File]:
        """The file of that path in the copy of a system; what has a build-id was compared above."""
        root = self.asked.sysroot
        if root is None or wanted.build_id is not None or not wanted.module:
            return
        try:
            path = root / path_in(FolderFiles(root), wanted.module).lstrip("/")
        except NotHad as reason:
            wanted.reasons.append(str(reason))
            return
        image = self._images.open_named(path)
        if image is not None:
            yield File(image)
        else:
            wanted.reasons.append(f"{root} does not have it")

    def _of_systems(self, wanted: "_Wanted") -> Iterator[File]:
        """The files of that path in images."""
        for system in self.asked.systems if wanted.module else ():
            try:
                yield File(system.image(wanted.module, wanted.build_id))
            except OtherBuild as other:
                wanted.wrong.append((f"{other.path} of {system.source.name}", other.build_id))
            except NotHad as reason:
                wanted.reasons.append(str(reason) or f"{system.source.name} does not have it")

    def _of_this_machine(self, wanted: "_Wanted") -> Iterator[File]:
        """The file that has the path today; of the same build only if nobody has replaced it."""
        if wanted.build_id is not None or wanted.mapped or self.asked.is_other_system:
            return
        if _is_here(wanted.module):
            image = self._images.open_named(_here(wanted.module))
            if image is not None:
                yield File(image, is_verified=False)

    def _why(self, wanted: "_Wanted") -> str:
        """Why there is no file."""
        if wanted.wrong:
            path, other = wanted.wrong[0]
            has = f"build-id {other[:SHORT]}" if other else "no build-id"
            wants = f"build-id {wanted.build_id[:SHORT]}" if wanted.build_id else "another one"
            source = "the core" if wanted.mapped else "the text"
            return f"another build: {source} says {wants}, {path} has {has}"
        if wanted.reasons:
            return wanted.reasons[0]
        if self.asked.is_other_system:
            return NOT_THERE
        return NOT_HERE if "/" in wanted.module or wanted.build_id else BY_NAME


class _Wanted:
    """A file that is looked for, and what was found in its place."""

    def __init__(self, module: str, build_id: str | None, mapped: MappedModule | None) -> None:
        self.module, self.build_id, self.mapped = module, build_id, mapped
        self.wrong: list[tuple[str, str | None]] = []
        """(path, build-id) of files of other builds."""
        self.reasons: list[str] = []
        """Why others do not give it."""


def _here(module: str) -> Path:
    """A path of the text on this machine."""
    return Path(posixpath.normpath(posixpath.join(Path.cwd(), module)))


def _is_here(module: str) -> bool:
    """Whether a path of the text, which may come from anybody, is one that may be opened."""
    if "/" not in module or "\0" in module:
        return False
    path = _here(module)
    return is_file(str(path)) and path.is_file()


def _is_rich(image: Image | None) -> bool:
    """Whether a file has debug information, of its own or beside it."""
    return image is not None and bool(
        image.has_debug_info or (image.companion and image.companion.has_debug_info)
    )
