"""Which ELF files were mapped where: from NT_FILE, else from the dynamic linker's own list."""

from collections.abc import Callable, Iterable, Iterator

import msgspec

from evdiag.model.core import CoreFacts, MappedFile
from evdiag.parse.elf import PT_LOAD, PT_NOTE, ElfError, gnu_build_id, read_header, read_segments
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory

MAX_LIBRARIES = 4096
MAX_NOTE_SEGMENTS = 8
MAX_NOTES = 1 << 12
"""Linkers make three segments of notes at most, with a few hundred bytes each."""
PAGE = 4096
DT_DEBUG = 21
AT_ENTRY = 9
DELETED = " (deleted)"
"""What the kernel puts behind the path of a file that was removed, or replaced, while in use."""


class MappedModule(msgspec.Struct, frozen=True, kw_only=True):
    """One mapped ELF file."""

    path: str
    """As the process saw it; without the mark of a file that was deleted while in use."""
    start: int
    end: int
    head: int | None
    """Where its ELF header is mapped."""
    build_id: str | None
    """As the core's own memory says it."""
    first_bytes: bytes
    """The start of the file as it lies in the core, to compare files that have no build-id."""


def mapped_modules(files: Iterable[MappedFile], memory: Memory) -> tuple[MappedModule, ...]:
    """The ELF files among the mapped files, in the order of their first address."""
    rows: dict[str, list[MappedFile]] = {}
    for file in files:
        rows.setdefault(file.path, []).append(file)
    found: list[MappedModule] = []
    for path, parts in rows.items():
        if len(found) >= MAX_LIBRARIES:
            break
        head = next((part.start for part in parts if part.offset == 0), None)
        first = memory.in_core(head, PAGE) if head is not None else b""
        if first:
            is_module = first.startswith(b"\x7fELF")
        else:
            is_module = any(memory.executable(part.start) for part in parts)
        if is_module:
            found.append(
                MappedModule(
                    path=path.removesuffix(DELETED),
                    start=parts[0].start,
                    end=max(part.end for part in parts),
                    head=head,
                    build_id=memory_build_id(memory, head) if first and head is not None else None,
                    first_bytes=first,
                )
            )
    return tuple(found)


def memory_build_id(memory: Memory, start: int) -> str | None:
    """Build-id of the ELF image mapped at an address, from the core's own memory."""
    head = memory.in_core(start, PAGE)
    try:
        header = read_header(head)
        segments = read_segments(head, header)
    except ElfError:
        return None
    low = min((s.vaddr for s in segments if s.type == PT_LOAD), default=0) & -PAGE
    for s in [s for s in segments if s.type == PT_NOTE][:MAX_NOTE_SEGMENTS]:
        found = gnu_build_id(memory.in_core(start + s.vaddr - low, min(s.file_size, MAX_NOTES)))
        if found:
            return found
    return None


Open = Callable[[str], Image | None]
"""Opens the file of a mapped path."""


def link_map(memory: Memory, executable: Image, bias: int, open_library: Open) -> list[MappedFile]:
    """What NT_FILE would say, for cores without it (qemu-user, gcore of an old gdb)."""
    found = list(_image_rows(executable, bias, executable.path))
    for base, name in loaded_libraries(memory, executable, bias):
        image = open_library(name)
        if image is not None:
            found.extend(_image_rows(image, base, name))
    found.sort(key=lambda f: f.start)
    return found


def loaded_libraries(memory: Memory, executable: Image, bias: int) -> Iterator[tuple[int, str]]:
    """(load bias, name) of each library on the dynamic linker's list.

    Reads the list that the dynamic linker keeps for debuggers (`struct r_debug`, link.h).
    """
    dynamic = executable.dynamic
    debug = _dynamic_entry(memory, dynamic + bias, DT_DEBUG) if dynamic is not None else None
    size = memory.size
    link = memory.word(debug + size) if debug else None
    seen: set[int] = set()
    while link and link not in seen and len(seen) < MAX_LIBRARIES:
        seen.add(link)
        base, name_at = memory.word(link), memory.word(link + size)
        name = memory.string(name_at) if name_at else None
        if name and base:
            yield base, name
        link = memory.word(link + 3 * size)


def _dynamic_entry(memory: Memory, at: int, wanted: int) -> int | None:
    for _ in range(MAX_LIBRARIES):
        tag, value = memory.word(at), memory.word(at + memory.size)
        if not tag:
            return None
        if tag == wanted:
            return value
        at += 2 * memory.size
    return None


def _image_rows(image: Image, bias: int, path: str) -> Iterable[MappedFile]:
    for s in image.loads:
        low = s.offset & -PAGE
        start = s.vaddr + bias - (s.offset - low)
        end = s.vaddr + bias + max(s.file_size, 1)
        yield MappedFile(start=start, end=-(-end // PAGE) * PAGE, offset=low, path=path)


def load_bias(facts: CoreFacts, executable: Image) -> int:
    """How far from its linked addresses the program was loaded (AT_ENTRY against e_entry)."""
    entry = facts.auxv.get(AT_ENTRY)
    return (entry - executable.header.entry) if entry else 0
