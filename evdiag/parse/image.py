"""One ELF image (executable, shared library, vDSO, debug file) as the unwinder needs it."""

import msgspec

from evdiag.parse.dwarf.rows import Row
from evdiag.parse.dwarf.tables import FrameTable, debug_frame_table, eh_frame_table
from evdiag.parse.elf import (
    DAMAGED,
    PT_DYNAMIC,
    PT_LOAD,
    PT_NOTE,
    SHT_NOBITS,
    Data,
    Section,
    gnu_build_id,
    read_header,
    read_sections,
    read_segments,
    section_bytes,
)

MAX_SEGMENTS = 128
"""Linkers make about fifteen; every address is looked up in them."""
MAX_NOTE_SEGMENT = 1 << 16


class DebugLink(msgspec.Struct, frozen=True):
    """Name and CRC-32 of a separate debug file."""

    name: str
    checksum: int


class Image:
    """An ELF file mapped into memory. Raises ElfError when `data` is none.

    Addresses are those of the file ("virtual addresses"): a position-independent file begins
    at 0, a fixed one where it was linked to.
    """

    def __init__(self, path: str, data: Data) -> None:
        self.path = path
        self.data = data
        self.header = read_header(data)
        self.segments = read_segments(data, self.header)[:MAX_SEGMENTS]
        self.loads = sorted((s for s in self.segments if s.type == PT_LOAD), key=lambda s: s.vaddr)
        self.base = self.loads[0].vaddr if self.loads else 0
        self.build_id = self._find_build_id()
        self.companion: Image | None = None
        """The separate file with the debug information, where there is one."""
        self._sections: dict[str, Section] | None = None
        self._tables: tuple[FrameTable, ...] | None = None
        self._fallback_tables: tuple[FrameTable, ...] | None = None
        self.rows: dict[int, Row | None] = {}
        """Unwind rows by address, as the unwinder finds them."""

    def _find_build_id(self) -> str | None:
        for s in self.segments:
            if s.type == PT_NOTE:
                size = min(s.file_size, MAX_NOTE_SEGMENT)
                found = gnu_build_id(bytes(self.data[s.offset : s.offset + size]))
                if found:
                    return found
        return None

    @property
    def sections(self) -> dict[str, Section]:
        """Sections by name; empty where the file has none."""
        if self._sections is None:
            self._sections = {s.name: s for s in read_sections(self.data, self.header)}
        return self._sections

    @property
    def has_debug_info(self) -> bool:
        """Whether the file, not its companion, holds DWARF."""
        section = self.sections.get(".debug_info")
        return section is not None and section.type != SHT_NOBITS

    @property
    def has_split_debug_info(self) -> bool:
        """Whether most of its DWARF lies in other files: it names some `.dwo` (DWARF 5, 7.3.2)."""
        section = self.sections.get(".debug_str")
        if section is None or section.type == SHT_NOBITS:
            return False
        try:
            return b".dwo\0" in section_bytes(self.data, section, self.header.bits)
        except DAMAGED:
            return False

    @property
    def has_symbols(self) -> bool:
        """Whether the file names functions at all."""
        return ".symtab" in self.sections or ".dynsym" in self.sections

    @property
    def debug_link(self) -> DebugLink | None:
        """The separate debug file that .gnu_debuglink names (gdb manual, Separate Debug Files)."""
        section = self.sections.get(".gnu_debuglink")
        if section is None:
            return None
        try:
            raw = section_bytes(self.data, section, self.header.bits)
        except DAMAGED:
            return None
        name = raw.split(b"\0", 1)[0].decode("utf-8", "replace")
        if not name or "/" in name or name.startswith("."):
            return None  # the name is from the file: it may not lead anywhere else
        return DebugLink(name, int.from_bytes(raw[-4:], "little"))

    @property
    def dynamic(self) -> int | None:
        """Address of the dynamic section."""
        return next((s.vaddr for s in self.segments if s.type == PT_DYNAMIC), None)

    def vaddr(self, offset: int) -> int | None:
        """The address of a byte of the file; of an executable segment where two overlap."""
        best = None
        for s in self.loads:
            if s.offset <= offset < s.offset + s.file_size:
                best = offset - s.offset + s.vaddr
                if s.flags & 1:
                    return best
        return best

    @property
    def tables(self) -> tuple[FrameTable, ...]:
        """The unwind table that is always loaded: .eh_frame."""
        if self._tables is None:
            found = eh_frame_table(self.data, self.header.bits, self.segments, self.sections)
            self._tables = (found,) if found else ()
        return self._tables

    @property
    def fallback_tables(self) -> tuple[FrameTable, ...]:
        """The unwind tables of debuggers: .debug_frame of this file and of its companion.

        Reading one is a scan from end to end, so that is done only once .eh_frame has no answer.
        """
        if self._fallback_tables is None:
            images = [self] + ([self.companion] if self.companion else [])
            found = [table for image in images if (table := image.debug_frame())]
            self._fallback_tables = tuple(found)
        return self._fallback_tables

    def debug_frame(self) -> FrameTable | None:
        """The table in this file's .debug_frame, if it has one."""
        section = self.sections.get(".debug_frame")
        if section is None or section.type == SHT_NOBITS:
            return None
        try:
            return debug_frame_table(
                section_bytes(self.data, section, self.header.bits), self.header.bits
            )
        except DAMAGED:
            return None
