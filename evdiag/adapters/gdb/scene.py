"""The files that gdb gets to see: a folder of links to what evdiag has checked, and nothing else.

Names out of a core never reach a command line of gdb: it is started in this folder, where the
core is `core` and the program is `program`. Below `root` each library lies under the name that
the dynamic linker knew it by, so that gdb finds exactly the files of the core's build, and never
a file of this machine that happens to have the same name.
"""

import contextlib
import os
import posixpath
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath, PurePosixPath

import msgspec

from evdiag.errors import GdbUnusable
from evdiag.model.machine import Machine

CORE, PROGRAM, ROOT, LIBRARIES, DEBUG = "core", "program", "root", "libraries", "debug"
FOLDERS = (ROOT, LIBRARIES, DEBUG)
LEAST_MEMORY = 4 << 30
"""gdb crashes when it gets less than it needs: 1.5 GB were enough for 200 MB of debug files."""
MEMORY_PER_BYTE = 8
SHARED = "/tmp"  # noqa: S108 - a folder of our own is made in it


class DebugFile(msgspec.Struct, frozen=True, kw_only=True):
    """A separate file with the debug information of another one."""

    file: str
    build_id: str | None
    owner: str
    """Path of the file that it belongs to, as the process knew it; empty for the program."""
    link: str | None = None
    """Its name in .gnu_debuglink."""


class Scene(msgspec.Struct, frozen=True, kw_only=True):
    """A core and the files that belong to it, all of the right build."""

    core: Path
    machine: Machine
    program: Path | None
    libraries: tuple[tuple[str, str], ...] = ()
    """(path as the process knew it, file on this machine)."""
    debug_files: tuple[DebugFile, ...] = ()
    debug_roots: tuple[Path, ...] = ()
    """Further folders with `.build-id/xx/yyyy.debug`."""
    source_maps: tuple[tuple[str, str], ...] = ()
    missing: tuple[tuple[int, int], ...] = ()
    """Ranges of memory that are neither in the core nor in a file."""

    @property
    def memory(self) -> int:
        """Bytes of address space for gdb."""
        files = [str(self.program)] if self.program else []
        files += [file for _, file in self.libraries] + [debug.file for debug in self.debug_files]
        size = 0
        for file in files:
            with contextlib.suppress(OSError):
                size += Path(file).stat().st_size
        return max(LEAST_MEMORY, MEMORY_PER_BYTE * size)


@contextlib.contextmanager
def laid_out(scene: Scene) -> Iterator[Path]:
    """A new folder with links to everything, removed at the end. Raises GdbUnusable."""
    try:
        folder = Path(tempfile.mkdtemp(prefix="evdiag-gdb-", dir=_harmless_folder()))
    except OSError as error:
        raise GdbUnusable(f"no folder for gdb can be made: {error.strerror}") from None
    try:
        with contextlib.suppress(OSError):  # what cannot be linked is missing, as told elsewhere
            _lay_out(scene, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def exchange_core(scene: Scene, folder: Path) -> None:
    """Let the core of that folder be another one, of the same files. Raises GdbUnusable."""
    try:
        (folder / CORE).unlink(missing_ok=True)
    except OSError as error:
        raise GdbUnusable(f"the folder of gdb cannot be changed: {error.strerror}") from None
    _link(folder / CORE, scene.core)


def _harmless_folder() -> str | None:
    """None for the usual place of temporary files, unless its name means something to gdb."""
    harmless = re.fullmatch(r"[\w/.+-]+", tempfile.gettempdir(), re.ASCII)
    return None if harmless or not os.access(SHARED, os.W_OK) else SHARED


def settings(scene: Scene, folder: PurePath, roots: Sequence[PurePath] | None = None) -> list[str]:
    """gdb's settings for that folder; `roots` are the debug roots of another machine."""
    if roots is None:
        roots = [root.absolute() for root in scene.debug_roots]
    names = [str(root) for root in (folder / DEBUG, *roots)]
    words = [(_word(old), _word(new)) for old, new in scene.source_maps]
    maps = [f"set substitute-path {old} {new}" for old, new in words if old and new]
    return [
        f"set sysroot {folder / ROOT}",
        f"set solib-search-path {folder / LIBRARIES}",
        f"set debug-file-directory {':'.join(name for name in names if ':' not in name)}",
        *maps,
    ]


def _word(text: str) -> str:
    """A word as gdb splits them (buildargv of libiberty: a backslash quotes what follows it)."""
    return "".join(c if c.isalnum() or c in "/._-" else f"\\{c}" for c in text if c.isprintable())


def links(scene: Scene) -> Iterator[tuple[PurePosixPath, Path]]:
    """(name in the folder, file on this machine) of everything; the first of a name counts."""
    yield PurePosixPath(CORE), scene.core
    if scene.program is not None:
        yield PurePosixPath(PROGRAM), scene.program
        dwp = scene.program.with_name(scene.program.name + ".dwp")
        yield PurePosixPath(f"{PROGRAM}.dwp"), dwp
    for path, file in scene.libraries:
        # gdb walks `modules/X/../../lib` step by step: both names make the folders on the way.
        for name in (path, posixpath.normpath(path)):
            yield ROOT / _inside(name), Path(file)
        yield LIBRARIES / PurePosixPath(PurePosixPath(path).name), Path(file)
    for debug in scene.debug_files:
        yield from _debug_links(debug)


def _debug_links(debug: DebugFile) -> Iterator[tuple[PurePosixPath, Path]]:
    if debug.build_id and len(debug.build_id) > 2 and debug.build_id.isalnum():
        name = f"{debug.build_id[:2]}/{debug.build_id[2:]}.debug"
        yield PurePosixPath(DEBUG, ".build-id", name), Path(debug.file)
    if debug.link and "/" not in debug.link:
        place = ROOT / _inside(debug.owner) if debug.owner else PurePosixPath(PROGRAM)
        yield place.with_name(".debug") / debug.link, Path(debug.file)


def _lay_out(scene: Scene, folder: Path) -> None:
    for name in FOLDERS:
        (folder / name).mkdir()
    for link, file in links(scene):
        _link(folder / link, file)


def _inside(path: str) -> PurePosixPath:
    """A path out of a core as one below a folder, whatever is in it."""
    return PurePosixPath(*(part for part in path.split("/") if part not in ("", ".", "..")))


def _link(name: Path, file: Path) -> None:
    """Link a name to a file that exists; the first one that comes keeps the name."""
    with contextlib.suppress(OSError, ValueError):
        if file.is_file():
            name.parent.mkdir(parents=True, exist_ok=True)
            name.symlink_to(file.absolute())
