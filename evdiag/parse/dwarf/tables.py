"""Find the call frame information of an address: .eh_frame_hdr, .eh_frame and .debug_frame.

Formats: Linux Standard Base 10.6 (.eh_frame and its header), DWARF 5 section 6.4.1.
"""

import struct
from bisect import bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from evdiag.parse.dwarf.numbers import (
    DATA_RELATIVE,
    OMIT,
    PC_RELATIVE,
    encoded,
    sleb,
    uleb,
)
from evdiag.parse.elf import (
    DAMAGED,
    PT_GNU_EH_FRAME,
    PT_LOAD,
    SHT_NOBITS,
    Data,
    Section,
    Segment,
)

MAX_ENTRIES = 1_000_000
"""More descriptions than any program has: bounds the scan of a damaged section."""
MAX_AUGMENTATION = 32
MAX_STEPS = 5_000_000
"""Instructions and operations for all stacks together: far more than real ones need."""
SORTED_TABLE = 0x3B
"""DW_EH_PE_datarel | sdata4: the only table that linkers write and bisection can read."""

_u32 = struct.Struct("<I").unpack_from
_u64 = struct.Struct("<Q").unpack_from
_row = struct.Struct("<ii").unpack_from


class Cie(msgspec.Struct, frozen=True):
    """What many functions have in common (Common Information Entry)."""

    code_align: int
    data_align: int
    return_register: int
    encoding: int
    signal_frame: bool
    augmented: bool
    start: int
    end: int


class Fde(msgspec.Struct, frozen=True):
    """One function's description (Frame Description Entry), found for an address."""

    cie: Cie
    start: int
    """First address of the function."""
    program: int
    """Where its instructions begin in the table's data."""
    end: int


class FrameTable:
    """One section of call frame information. Addresses are those of the ELF file."""

    def __init__(
        self, data: Data, bits: int, segments: Sequence[Segment] = (), *, debug: bool = False
    ) -> None:
        self.data = data
        self.bits = bits
        self.debug = debug
        """Whether this is .debug_frame: absolute addresses, and other CIE pointers."""
        self.loads = [s for s in segments if s.type == PT_LOAD]
        self.header_vaddr = 0
        self.header_table: int | None = None
        """Where the sorted table of .eh_frame_hdr begins in the file."""
        self.header_count = 0
        self.entries: list[tuple[int, int]] = []
        """Without a sorted table: (function start, place of the FDE), sorted after a scan."""
        self.steps = 0
        """Instructions and operations that were executed for this table."""
        self._cies: dict[int, Cie] = {}

    # -- addresses and places

    def place(self, vaddr: int) -> int:
        """Where in the data the byte of an address is; raises ValueError if nowhere."""
        for s in self.loads:
            if s.vaddr <= vaddr < s.vaddr + s.file_size:
                return vaddr - s.vaddr + s.offset
        raise ValueError(f"address 0x{vaddr:x} is in no segment")

    def vaddr(self, place: int) -> int:
        """The address of a place in the data."""
        for s in self.loads:
            if s.offset <= place < s.offset + s.file_size:
                return place - s.offset + s.vaddr
        return place

    def _base(self, application: int, at: int) -> int:
        if application == PC_RELATIVE:
            return self.vaddr(at)
        if application == DATA_RELATIVE:
            return self.header_vaddr
        return 0

    def pointer(self, at: int, encoding: int) -> tuple[int, int]:
        """Read an encoded pointer; returns it and the place behind it."""
        return encoded(self.data, at, encoding, self.bits, self._base)

    def check_steps(self) -> None:
        """Raise ValueError once the table has cost more than any real one does."""
        if self.steps > MAX_STEPS:
            raise ValueError("the call frame information takes too long")

    # -- entries

    def entry(self, at: int) -> tuple[int, int, int, int]:
        """Frame of the entry at a place: (body, end, id, place of the id). Handles 64-bit DWARF."""
        if at < 0:  # would be counted from the end
            raise ValueError("a frame description before its section")
        size = _u32(self.data, at)[0]
        body, wide = at + 4, False
        if size == 0xFFFFFFFF:
            size, body, wide = _u64(self.data, at + 4)[0], at + 12, True
        end = body + size
        if not size or end > len(self.data):
            raise ValueError("a frame description runs out of its section")
        if wide and self.debug:
            return body + 8, end, _u64(self.data, body)[0], body
        return body + 4, end, _u32(self.data, body)[0], body

    def _cie_place(self, identity: int, id_place: int) -> int | None:
        """Where the CIE of an FDE is; None if the entry is a CIE itself."""
        if self.debug:
            is_cie = identity in (0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
            return None if is_cie else identity
        return id_place - identity if identity else None

    def cie(self, at: int) -> Cie:
        """Read the CIE at a place."""
        known = self._cies.get(at)
        if known:
            return known
        data = self.data
        pos, end, identity, id_place = self.entry(at)
        if self._cie_place(identity, id_place) is not None:
            raise ValueError("not a CIE")
        version = data[pos]
        text_end = data.find(b"\0", pos + 1, pos + 1 + MAX_AUGMENTATION)
        if text_end < 0:
            raise ValueError("an augmentation without end")
        augmentation = data[pos + 1 : text_end].decode("latin-1")
        pos = text_end + 1
        if version >= 4:  # address size and segment selector size
            pos += 2
        code_align, pos = uleb(data, pos)
        data_align, pos = sleb(data, pos)
        if version == 1:
            register, pos = data[pos], pos + 1
        else:
            register, pos = uleb(data, pos)
        encoding, pos = self._augmentation(augmentation, pos)
        found = Cie(
            code_align,
            data_align,
            register,
            encoding,
            "S" in augmentation,
            augmentation.startswith("z"),
            pos,
            end,
        )
        self._cies[at] = found
        return found

    def _augmentation(self, letters: str, pos: int) -> tuple[int, int]:
        """Read the augmentation data; returns the pointer encoding and the place behind it."""
        encoding = 0
        if not letters.startswith("z"):
            return encoding, pos
        size, pos = uleb(self.data, pos)
        end = pos + size
        for letter in letters[1:]:
            if letter == "R":
                encoding, pos = self.data[pos], pos + 1
            elif letter == "L":
                pos += 1
            elif letter == "P":
                # where the personality routine is does not matter: read to get past it
                kind = self.data[pos]
                _, pos = self.pointer(pos + 1, kind if kind == OMIT else kind & 0x0F)
        return encoding, end

    def fde(self, at: int, vaddr: int) -> Fde | None:
        """The FDE at a place, if it covers the address."""
        pos, end, identity, id_place = self.entry(at)
        cie_at = self._cie_place(identity, id_place)
        if cie_at is None:
            return None
        cie = self.cie(cie_at)
        start, pos = self.pointer(pos, cie.encoding)
        length, pos = self.pointer(pos, cie.encoding & 0x0F)
        if not start <= vaddr < start + length:
            return None
        if cie.augmented:
            size, pos = uleb(self.data, pos)
            pos += size
        return Fde(cie, start, pos, end)

    def find(self, vaddr: int) -> Fde | None:
        """The description of the function at an address. Raises one of DAMAGED."""
        if self.header_table is None:
            i = bisect_right(self.entries, (vaddr, len(self.data))) - 1
            return self.fde(self.entries[i][1], vaddr) if i >= 0 else None
        data, table, want = self.data, self.header_table, vaddr - self.header_vaddr
        low, high = 0, self.header_count
        while low < high:
            middle = (low + high) // 2
            if _row(data, table + middle * 8)[0] <= want:
                low = middle + 1
            else:
                high = middle
        if not low:
            return None
        where = _row(data, table + (low - 1) * 8)[1] + self.header_vaddr
        return self.fde(self.place(where), vaddr)

    def scan(self, at: int, end: int) -> None:
        """Read all entries from `at` to `end`, for sections without a sorted table."""
        for _ in range(MAX_ENTRIES):
            if at + 8 > end:
                break
            try:
                body, next_at, identity, id_place = self.entry(at)
            except DAMAGED:
                break
            try:
                cie_at = self._cie_place(identity, id_place)
                if cie_at is not None:
                    start, _ = self.pointer(body, self.cie(cie_at).encoding)
                    self.entries.append((start, at))
            except DAMAGED:
                pass
            at = next_at
        self.entries.sort()


def eh_frame_table(
    data: Data, bits: int, segments: Sequence[Segment], sections: Mapping[str, Section]
) -> FrameTable | None:
    """The table in .eh_frame: by its header, else (static programs) by a scan of the section."""
    table = FrameTable(data, bits, segments)
    try:
        if _use_header(table, segments):
            return table
    except DAMAGED:
        pass
    section = sections.get(".eh_frame")
    if section is None or section.type == SHT_NOBITS:
        return None
    table.scan(section.offset, min(section.offset + section.size, len(data)))
    return table if table.entries else None


def _use_header(table: FrameTable, segments: Sequence[Segment]) -> bool:
    header = next((s for s in segments if s.type == PT_GNU_EH_FRAME), None)
    if header is None:
        return False
    data, at = table.data, header.offset
    version, encoding, count_encoding, table_encoding = data[at : at + 4]
    if version != 1 or table_encoding != SORTED_TABLE:
        return False
    table.header_vaddr = header.vaddr
    _, at = table.pointer(at + 4, encoding)
    count, at = table.pointer(at, count_encoding)
    if count:
        table.header_count, table.header_table = count, at
    return count > 0


def debug_frame_table(section: bytes, bits: int) -> FrameTable | None:
    """The table in the bytes of a .debug_frame section."""
    table = FrameTable(section, bits, debug=True)
    table.scan(0, len(section))
    return table if table.entries else None
