"""Which cores one gdb can be asked about, one after the other: those that it needs the same files
for, and that tell it where in memory the program and its libraries lie."""

import filecmp
import os
import posixpath
from pathlib import Path

import msgspec

from evdiag.adapters.files import load_core, map_file
from evdiag.adapters.gdb.scene import CORE, Scene, links
from evdiag.errors import CoreError
from evdiag.model.core import CoreFacts
from evdiag.parse.elf import ElfError
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import load_bias, loaded_libraries
from evdiag.parse.startup import AT_PHDR

ET_DYN = 3
PAGE = 4096
_SIZES = {32: 32, 64: 56}
"""Of a program header."""


class FileSet(msgspec.Struct, frozen=True):
    """The files of a core besides itself: under which name lies what."""

    machine: str
    files: tuple[tuple[str, str], ...]
    """(name in gdb's folder, mark of the file), sorted."""


class FileMarks:
    """Tells files by what is in them: copies of one file have the same mark.

    That is the build-id and the size. A file that has both from another one, and not its content,
    is no copy, whoever made it: it is told by its place.
    """

    def __init__(self) -> None:
        self._marks: dict[tuple[int, int, int, int], str | None] = {}
        self._first: dict[str, Path] = {}
        """The file by which each mark was given."""

    def set_of(self, scene: Scene) -> FileSet:
        """The files of a core; equal for cores that may share a gdb."""
        found: dict[str, str] = {}
        for name, file in links(scene):
            if str(name) not in found and str(name) != CORE and (mark := self.mark(file)):
                found[str(name)] = mark
        return FileSet(scene.machine.name, tuple(sorted(found.items())))

    def mark(self, file: Path) -> str | None:
        """The mark of a file; None where there is none."""
        try:
            if not file.is_file():
                return None
            status = file.stat()
        except (OSError, ValueError):
            return None
        key = (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns)
        if key not in self._marks:
            self._marks[key] = self._new_mark(file, status)
        return self._marks[key]

    def _new_mark(self, file: Path, status: os.stat_result) -> str:
        by_place = f"{os.path.realpath(file)}:{status.st_size}:{status.st_mtime_ns}"
        build_id = _build_id(file)
        if build_id is None:
            return by_place
        mark = f"{build_id}:{status.st_size}"
        first = self._first.setdefault(mark, file)
        try:
            same = first is file or filecmp.cmp(first, file, shallow=False)
        except OSError:
            same = False
        return mark if same else by_place


def _build_id(file: Path) -> str | None:
    try:
        return Image(str(file), map_file(file)).build_id
    except (ElfError, OSError, ValueError):
        return None


def linked(scene: Scene) -> frozenset[str] | None:
    """The libraries that gdb has to find in a core by what the core says, of those that are here.

    None where gdb may not find them, or not the place of the program. Then it is left with what
    the core before had: it finds functions there that it would not find by itself (gdb's
    solib-svr4.c, svr4_exec_displacement), and reads no symbols of the next core's libraries.
    """
    if scene.program is None:
        return None
    try:
        program = Image(str(scene.program), map_file(scene.program))
        data, facts = load_core(scene.core)
    except (CoreError, ElfError, OSError, ValueError):
        return None
    memory = Memory(data, facts)
    if program.header.type == ET_DYN and not _tells_place(facts, memory, program):
        return None
    names = [name for _, name in loaded_libraries(memory, program, load_bias(facts, program))]
    if program.dynamic is not None and not names:
        return None
    here = {path for path, _ in scene.libraries}
    return frozenset(posixpath.normpath(name) for name in names if name in here)


def _tells_place(facts: CoreFacts, memory: Memory, program: Image) -> bool:
    header = program.header
    at, moved = facts.auxv.get(AT_PHDR, 0), load_bias(facts, program)
    if moved % PAGE or at - moved != program.vaddr(header.segments_at):
        return False
    begin, size = header.segments_at, header.segment_count * _SIZES[header.bits]
    found = memory.in_core(at, size)
    # what the core does not hold, gdb reads from the file
    return not found or found == program.data[begin : begin + size]
