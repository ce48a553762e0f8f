"""Finding the description of a function: .eh_frame_hdr, .eh_frame, .debug_frame."""

import struct

import pytest

from evdiag.model.machine import I386
from evdiag.parse.dwarf import tables
from evdiag.parse.dwarf.tables import Cie, Fde, FrameTable, debug_frame_table, eh_frame_table
from evdiag.parse.elf import DAMAGED, Section, Segment
from evdiag.parse.image import Image
from tests.support import elfwriter as w

CODE = w.CODE
NOPS = b"\0" * 4
TWO = (
    w.Cie(),
    w.Fde(start=CODE, size=0x40, program=b"\x41"),
    w.Fde(start=CODE + 0x80, size=0x20, program=b"\x42\x43"),
)


def scanned(*entries: w.Cie | w.Fde, bits: int = 64) -> FrameTable | None:
    """The table of a .debug_frame with these entries."""
    return debug_frame_table(w.debug_frame(entries, bits=bits).data, bits)


def table_of(data: bytes) -> FrameTable:
    (table,) = Image("/a", data).tables
    return table


# -- .eh_frame


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("base", [0, 0x400000])
def test_functions_are_found_by_address(header: bool, base: int) -> None:
    entries = (
        w.Cie(),
        w.Fde(start=base + CODE + 0x80, size=0x20),
        w.Fde(start=base + CODE, size=0x40),
    )
    table = table_of(w.image(entries=entries, header=header, base=base))
    assert (table.header_table is not None) == header

    def start_at(offset: int) -> int | None:
        found = table.find(base + CODE + offset)
        return None if found is None else found.start - base - CODE

    assert [start_at(o) for o in (0, 1, 0x3F)] == [0, 0, 0]
    assert [start_at(o) for o in (0x80, 0x9F)] == [0x80, 0x80]
    assert [start_at(o) for o in (-1, 0x40, 0x7F, 0xA0)] == [None] * 4


def test_a_description_has_its_instructions() -> None:
    data = w.image(entries=TWO)
    found = table_of(data).find(CODE + 0x81)
    assert found is not None
    assert data[found.program : found.end].rstrip(b"\0") == b"\x42\x43"
    assert data[found.cie.start : found.cie.end].rstrip(b"\0") == w.Cie().program
    assert found.cie == Cie(
        code_align=1,
        data_align=-8,
        return_register=16,
        encoding=0x1B,
        signal_frame=False,
        augmented=True,
        start=found.cie.start,
        end=found.cie.end,
    )


def test_many_functions_are_found_in_both_ways() -> None:
    starts = [CODE + 0x10 * i for i in range(250)]
    entries: list[w.Cie | w.Fde] = [w.Cie()]
    entries += [w.Fde(start=s, size=0x10) for s in starts]
    for header in (True, False):
        table = table_of(w.image(entries=entries, header=header))
        assert [f.start for s in starts if (f := table.find(s + 7))] == starts


@pytest.mark.parametrize(
    "encoding",
    [
        *(0x00, 0x03, 0x04, 0x0B, 0x0C),  # absolute
        *(0x10, 0x1A, 0x1B, 0x1C),  # relative to the place of the pointer
    ],
)
def test_encodings_of_addresses(encoding: int) -> None:
    entries = (w.Cie(encoding=encoding), w.Fde(start=CODE + 0x10, size=0x20))
    found = table_of(w.image(entries=entries)).find(CODE + 0x1F)
    assert found is not None
    assert found.start == CODE + 0x10


def test_addresses_relative_to_the_header() -> None:
    # DW_EH_PE_datarel counts from .eh_frame_hdr
    cie = w.Cie(encoding=0x3B)
    entries = (cie, w.Fde(start=CODE, size=0x20))
    data = bytearray(w.image(entries=entries))
    at = w.FRAMES_AT + w.eh_frame(entries).places[1] + 8
    struct.pack_into("<i", data, at, CODE - w.HEADER_AT)
    found = table_of(bytes(data)).find(CODE + 0x1F)
    assert found is not None
    assert found.start == CODE


def test_an_application_that_nobody_uses_counts_from_zero() -> None:
    # DW_EH_PE_textrel and funcrel: meaningless on the machines that we read
    table = FrameTable(struct.pack("<i", 0x1234), 64)
    assert table.pointer(0, 0x2B) == (0x1234, 4)
    assert table.pointer(0, 0x4B) == (0x1234, 4)


def test_a_32_bit_image() -> None:
    cie = w.Cie(data_align=-4, return_register=8, program=w.def_cfa(4, 4) + w.saved(8, 1))
    entries = (cie, w.Fde(start=0x8048000 + CODE, size=0x20))
    table = table_of(w.image(entries=entries, base=0x8048000, machine=I386))
    found = table.find(0x8048000 + CODE)
    assert found is not None
    assert (found.cie.data_align, found.cie.return_register) == (-4, 8)


def test_the_64_bit_dwarf_format_in_eh_frame() -> None:
    # the length takes 12 bytes there, the CIE pointer still four
    entries = (w.Cie(wide=True), w.Fde(size=0x20))
    found = table_of(w.image(entries=entries)).find(CODE)
    assert found is not None
    assert found.start == CODE


# -- augmentation


@pytest.mark.parametrize(
    ("letters", "extra", "encoding", "signal"),
    [
        ("", None, 0, False),
        ("zR", b"\x1b", 0x1B, False),
        ("zRS", b"\x1b", 0x1B, True),
        ("zLR", b"\x1b\x03", 0x03, False),
        ("zPLR", b"\x9b\x11\x22\x33\x44\x1b\x1b", 0x1B, False),  # personality: indirect pcrel
        ("zPLR", b"\x00\x11\x22\x33\x44\x55\x66\x77\x88\x1b\x1b", 0x1B, False),
        ("zPR", b"\xff\x1b", 0x1B, False),  # no personality at all
        ("zRB", b"\x1b", 0x1B, False),  # aarch64: signed with the B key
        ("zX?R", b"\x1b", 0x1B, False),  # letters of the future are passed over
        ("zR", b"\x1b\x00\x00\x00", 0x1B, False),  # padded
    ],
)
def test_augmentations(letters: str, extra: bytes | None, encoding: int, signal: bool) -> None:
    cie = w.Cie(augmentation=letters, augmentation_data=extra, encoding=encoding)
    data = w.eh_frame([cie]).data
    found = FrameTable(data, 64).cie(0)
    assert (found.encoding, found.signal_frame) == (encoding, signal)
    assert found.augmented == letters.startswith("z")
    assert data[found.start : found.end].rstrip(b"\0") == cie.program


def test_the_description_of_a_function_may_be_augmented() -> None:
    # the pointer to the exception table lies before the instructions
    cie = w.Cie(augmentation="zLR", augmentation_data=b"\x1b\x1b")
    fde = w.Fde(augmentation_data=b"\x11\x22\x33\x44", program=b"\x41\x0e\x10")
    data = w.image(entries=[cie, fde])
    found = table_of(data).find(CODE)
    assert found is not None
    assert data[found.program : found.program + 3] == b"\x41\x0e\x10"


@pytest.mark.parametrize("letters", ["z" + "R" * 40, "R" * 32])
def test_an_augmentation_without_end_is_damage(letters: str) -> None:
    # it must not be searched for in the rest of a file of gigabytes
    data = w.eh_frame([w.Cie(augmentation=letters)]).data
    with pytest.raises(ValueError, match="an augmentation without end"):
        FrameTable(data, 64).cie(0)


def test_the_same_common_entry_is_read_once() -> None:
    table = FrameTable(w.eh_frame([w.Cie()]).data, 64)
    assert table.cie(0) is table.cie(0)


# -- .debug_frame


@pytest.mark.parametrize("version", [1, 3, 4])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("bits", [64, 32])
def test_debug_frame(version: int, wide: bool, bits: int) -> None:
    cie = w.Cie(version=version, wide=wide, data_align=-bits // 8, return_register=8)
    entries = (cie, w.Fde(start=0x8048010, size=0x20, program=b"\x45"))
    section = w.debug_frame(entries, bits=bits)
    table = debug_frame_table(section.data, bits)
    assert table is not None
    assert table.entries == [(0x8048010, section.places[1])]
    found = table.find(0x804802F)
    assert found is not None
    assert (found.start, found.cie.return_register, found.cie.data_align) == (
        *(0x8048010, 8),
        -bits // 8,
    )
    assert section.data[found.program : found.end].rstrip(b"\0") == b"\x45"
    assert table.find(0x8048030) is None
    assert table.find(0x804800F) is None


def test_debug_frame_with_several_common_entries() -> None:
    entries = (
        w.Cie(return_register=1),
        w.Fde(start=0x1000, size=8),
        w.Cie(return_register=2, version=4),
        w.Fde(start=0x2000, size=8, cie=2),
        w.Fde(start=0x3000, size=8, cie=0),
    )
    table = scanned(*entries)
    assert table is not None
    registers = [f.cie.return_register for a in (0x1000, 0x2000, 0x3000) if (f := table.find(a))]
    assert registers == [1, 2, 1]


def test_return_registers_have_one_byte_in_version_1() -> None:
    table = scanned(w.Cie(version=1, return_register=200), w.Fde())
    assert table is not None
    found = table.find(CODE)
    assert found is not None
    assert found.cie.return_register == 200


def test_large_return_registers_have_two_bytes_from_version_3_on() -> None:
    table = scanned(w.Cie(version=3, return_register=300), w.Fde())
    assert table is not None
    found = table.find(CODE)
    assert found is not None
    assert found.cie.return_register == 300


def test_an_empty_section_is_no_table() -> None:
    assert debug_frame_table(b"", 64) is None
    assert scanned(w.Cie()) is None


# -- damage


def test_the_scan_ends_at_the_terminator() -> None:
    first, second = w.eh_frame(TWO).data, w.eh_frame(TWO).data
    table = FrameTable(first + second, 64)
    table.scan(0, len(first) + len(second))
    assert len(table.entries) == 2


def test_the_scan_ends_where_an_entry_runs_out_of_the_section() -> None:
    section = w.debug_frame(TWO)
    data = bytearray(section.data)
    struct.pack_into("<I", data, section.places[2], 0x7FFFFFF0)
    table = debug_frame_table(bytes(data), 64)
    assert table is not None
    assert [start for start, _ in table.entries] == [CODE]


def test_the_scan_passes_over_entries_with_a_damaged_common_entry() -> None:
    section = w.debug_frame((*TWO, w.Cie(), w.Fde(start=CODE + 0x100, cie=3)))
    data = bytearray(section.data)
    struct.pack_into("<I", data, section.places[0] + 4, 3)  # not the mark of a common entry
    table = debug_frame_table(bytes(data), 64)
    assert table is not None
    assert [start for start, _ in table.entries] == [CODE + 0x100]


@pytest.mark.parametrize("pointer", [0, 1, 4, 0x7FFFFFFF, 0xFFFFFF00])
def test_pointers_to_common_entries_that_lead_nowhere(pointer: int) -> None:
    # GIVEN an entry whose CIE pointer names itself, its middle, or a place outside
    section = w.debug_frame(TWO)
    data = bytearray(section.data)
    at = section.places[1]
    struct.pack_into("<I", data, at + 4, at + pointer)
    table = debug_frame_table(bytes(data), 64)
    assert table is not None
    # THEN the others are still found
    assert [start for start, _ in table.entries] == [CODE + 0x80]


def test_an_entry_that_names_itself_in_eh_frame() -> None:
    section = w.eh_frame(TWO)
    data = bytearray(section.data)
    struct.pack_into("<I", data, section.places[1] + 4, 4)
    table = FrameTable(bytes(data), 64)
    with pytest.raises(ValueError, match="not a CIE"):
        table.fde(section.places[1], CODE)


def test_a_common_entry_before_the_section_is_damage() -> None:
    # Python would count a negative place from the end
    section = w.eh_frame(TWO)
    data = bytearray(section.data)
    struct.pack_into("<I", data, section.places[1] + 4, section.places[1] + 4 + len(data))
    with pytest.raises(ValueError, match="before its section"):
        FrameTable(bytes(data), 64).fde(section.places[1], CODE)


def test_a_common_entry_describes_no_address() -> None:
    assert FrameTable(w.eh_frame(TWO).data, 64).fde(0, CODE) is None


def test_a_section_of_tiny_entries_is_left_after_a_bounded_time() -> None:
    # GIVEN two million entries of nothing
    entry = struct.pack("<IB", 1, 0)
    data = entry * 10
    table = FrameTable(data, 64)
    table.scan(0, len(data))
    assert table.entries == []
    # THEN no more are read than any program has
    assert tables.MAX_ENTRIES == 1_000_000
    many = FrameTable(entry * (tables.MAX_ENTRIES + 10) + w.eh_frame(TWO).data, 64)
    many.scan(0, len(many.data))
    assert many.entries == []


# -- .eh_frame_hdr


def with_header(header: bytes) -> bytes:
    """An image with another .eh_frame_hdr."""
    data = bytearray(w.image(entries=TWO))
    data[w.HEADER_AT : w.HEADER_AT + len(header)] = header
    return bytes(data)


@pytest.mark.parametrize(
    "header",
    [
        b"\x02\x1b\x03\x3b",  # another version
        b"\x01\x1b\x03\x1b",  # a table that bisection cannot read
        b"\x01\x1b\xff\xff",  # ld could not make a table
        b"\x01\x05\x03\x3b",  # an unknown encoding
        b"\x01\x1b\x03\x3b" + struct.pack("<iI", 0x800, 0),  # no entries
    ],
    ids=["version", "unsorted", "omitted", "encoding", "empty"],
)
def test_a_header_that_is_of_no_use_leads_to_a_scan(header: bytes) -> None:
    table = table_of(with_header(header))
    assert table.header_table is None
    found = table.find(CODE + 0x81)
    assert found is not None
    assert found.start == CODE + 0x80


def test_a_header_without_section_headers_is_enough() -> None:
    # sstrip and the memory of a process have no section headers
    data = bytearray(w.image(entries=TWO))
    struct.pack_into("<Q", data, 40, 0)
    found = table_of(bytes(data)).find(CODE + 0x81)
    assert found is not None


def test_without_header_and_sections_there_is_no_table() -> None:
    data = bytearray(w.image(entries=TWO, header=False))
    struct.pack_into("<Q", data, 40, 0)
    assert Image("/a", bytes(data)).tables == ()


def test_a_cut_header_leads_to_a_scan() -> None:
    data = w.image(entries=TWO)
    segments = [Segment(0x6474E550, 4, len(data) - 3, 0x800, 20, 20)]
    assert eh_frame_table(data, 64, segments, {}) is None


def test_a_section_that_is_in_another_file_is_no_table() -> None:
    section = Section(".eh_frame", w.SHT_NOBITS, 2, 0x1000, 0, 100)
    assert eh_frame_table(w.eh_frame(TWO).data, 64, [], {".eh_frame": section}) is None


def test_a_section_longer_than_the_file_is_read_to_its_end() -> None:
    data = w.debug_frame([w.Cie()]).data
    section = Section(".eh_frame", w.SHT_PROGBITS, 2, 0, 0, 1 << 40)
    assert eh_frame_table(data, 64, [], {".eh_frame": section}) is None


@pytest.mark.parametrize("count", [1000, 0xFFFFFFFF])
def test_a_header_that_counts_more_rows_than_it_has(count: int) -> None:
    # bisection may well land behind the table, in bytes that mean something else
    data = bytearray(with_header(b"\x01\x1b\x03\x3b" + struct.pack("<iI", 0x7F4, count)))
    table = table_of(bytes(data))
    try:
        found: Fde | None = table.find(CODE)
    except DAMAGED:
        found = None
    assert found is None or found.start == CODE


def test_a_row_that_points_to_no_segment_is_damage() -> None:
    data = bytearray(w.image(entries=TWO))
    struct.pack_into("<i", data, w.HEADER_AT + 12 + 4, 0x7000_0000)
    with pytest.raises(ValueError, match="address 0x70000800 is in no segment"):
        table_of(bytes(data)).find(CODE)


def test_an_address_before_all_functions() -> None:
    assert table_of(w.image(entries=TWO)).find(CODE - 1) is None
    table = scanned(*TWO)
    assert table is not None
    assert table.find(CODE - 1) is None


# -- addresses and places


def test_addresses_and_places_of_several_segments() -> None:
    segments = [
        Segment(type=1, flags=4, offset=0x100, vaddr=0x5000, file_size=0x10, memory_size=0x20),
        Segment(type=1, flags=4, offset=0x200, vaddr=0x1000, file_size=0x10, memory_size=0x10),
        Segment(type=2, flags=4, offset=0x300, vaddr=0x9000, file_size=0x10, memory_size=0x10),
    ]
    table = FrameTable(b"", 64, segments)
    assert [table.place(a) for a in (0x5000, 0x500F, 0x1001)] == [0x100, 0x10F, 0x201]
    assert [table.vaddr(p) for p in (0x100, 0x20F)] == [0x5000, 0x100F]
    assert [table.vaddr(p) for p in (0x110, 0xFF, 0x300)] == [0x110, 0xFF, 0x300]
    for address in (0x5010, 0x9000, 0):
        with pytest.raises(ValueError, match="is in no segment"):
            table.place(address)


def test_the_work_for_one_table_is_bounded() -> None:
    table = FrameTable(b"", 64)
    table.check_steps()
    table.steps = tables.MAX_STEPS + 1
    with pytest.raises(ValueError, match="takes too long"):
        table.check_steps()
