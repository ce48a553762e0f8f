"""ELF images: addresses and offsets, build-ids, sections, unwind tables."""

import struct
import zlib

import pytest

from evdiag.model.machine import I386
from evdiag.parse.elf import ElfError
from evdiag.parse.image import DebugLink, Image
from tests.support import elfwriter as w

FUNCTION = (w.Cie(), w.Fde(start=w.CODE, size=0x40))


def test_what_is_no_elf_file_is_refused() -> None:
    with pytest.raises(ElfError, match="not an ELF file"):
        Image("/a", b"text")


def test_an_image_knows_its_path_and_base() -> None:
    # GIVEN a program that is linked to a fixed address, as -no-pie does
    image = Image("/opt/module", w.image(base=0x400000, kind=w.ET_EXEC))
    # THEN symbol tables, which count from the first segment, are looked up relative to that
    assert (image.path, image.base) == ("/opt/module", 0x400000)
    assert Image("/lib/libc.so.6", w.image()).base == 0
    assert Image("/empty", w.elf()).base == 0


def test_segments_out_of_order_are_sorted() -> None:
    data = w.elf([w.Segment(vaddr=0x9000, data=b"b"), w.Segment(vaddr=0x3000, data=b"a")])
    image = Image("/a", data)
    assert [s.vaddr for s in image.loads] == [0x3000, 0x9000]
    assert image.base == 0x3000


def test_the_address_of_an_offset() -> None:
    image = Image("/a", w.image(base=0x400000))
    assert image.vaddr(0) == 0x400000
    assert image.vaddr(w.CODE + 5) == 0x400000 + w.CODE + 5
    assert image.vaddr(w.CODE + 0x2000) is None


def test_of_two_segments_with_the_same_bytes_the_executable_one_counts() -> None:
    # lld maps the page where one segment ends and the next begins twice
    data = w.elf(
        [
            w.Segment(flags=w.READ, vaddr=0x1000, offset=0x1000, file_size=0x400),
            w.Segment(flags=w.READ | w.EXECUTE, vaddr=0x2200, offset=0x1200, file_size=0x400),
            w.Segment(flags=w.READ | w.WRITE, vaddr=0x3200, offset=0x1200, file_size=0x400),
        ]
    )
    image = Image("/a", data)
    assert image.vaddr(0x1100) == 0x1100
    assert image.vaddr(0x1300) == 0x2300
    assert image.vaddr(0x1500) == 0x2500


def test_the_build_id() -> None:
    assert Image("/a", w.image()).build_id == "a0a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3"
    assert Image("/a", w.image(build_id=None)).build_id is None


def test_the_build_id_in_the_second_segment_of_notes() -> None:
    property_note = w.Segment(type=w.PT_NOTE, data=w.note(5, b"GNU", bytes(16)))
    with_id = w.Segment(type=w.PT_NOTE, data=w.build_id_note(b"\x12\x34"))
    assert Image("/a", w.elf([property_note, with_id])).build_id == "1234"


def test_notes_that_no_linker_makes_are_not_searched() -> None:
    # GIVEN thousands of segments that all claim the whole file
    noise = w.note(1, b"X", b"") * 3000
    segments = [w.Segment(type=w.PT_NOTE, data=noise)]
    segments += [w.Segment(type=w.PT_NOTE, offset=0x40, file_size=1 << 40)] * 5000
    segments.append(w.Segment(type=w.PT_NOTE, data=w.build_id_note(b"\x12\x34")))
    # THEN the search ends after the first few of them
    assert Image("/a", w.elf(segments)).build_id is None


def test_sections_by_name() -> None:
    data = w.image(entries=FUNCTION)
    assert set(Image("/a", data).sections) == {"", ".eh_frame", ".shstrtab"}
    image = Image("/a", w.elf([w.Segment()]))
    assert image.sections == {}
    assert image.sections is image.sections  # read once


@pytest.mark.parametrize(
    ("name", "kind", "debug_info", "symbols"),
    [
        (".text", w.SHT_PROGBITS, False, False),
        (".debug_info", w.SHT_PROGBITS, True, False),
        (".debug_info", w.SHT_NOBITS, False, False),  # its contents are in another file
        (".symtab", 2, False, True),
        (".dynsym", 11, False, True),
    ],
)
def test_what_a_file_says_about_its_functions(
    name: str, kind: int, debug_info: bool, symbols: bool
) -> None:
    image = Image("/a", w.elf(sections=[w.Section(name=name, type=kind)]))
    assert (image.has_debug_info, image.has_symbols) == (debug_info, symbols)


@pytest.mark.parametrize(
    ("section", "split"),
    [
        (w.Section(name=".debug_str", data=b"/build\0main.dwo\0"), True),
        (w.Section(name=".debug_str", data=b"/build\0main.cpp\0"), False),
        (w.Section(name=".debug_str", type=w.SHT_NOBITS, size=100), False),
        (w.Section(name=".debug_str", data=b"\2\0\0\0" + bytes(30), flags=0x800), False),
        (w.Section(name=".debug_line_str", data=b"main.dwo\0"), False),
    ],
)
def test_debug_information_in_other_files(section: w.Section, split: bool) -> None:
    assert Image("/a", w.elf(sections=[section])).has_split_debug_info is split


def test_the_dynamic_section() -> None:
    image = Image("/a", w.elf([w.Segment(), w.Segment(type=w.PT_DYNAMIC, vaddr=0x3DE0)]))
    assert image.dynamic == 0x3DE0
    assert Image("/a", w.elf([w.Segment()])).dynamic is None


def debug_link(contents: bytes, *, flags: int = 0) -> DebugLink | None:
    section = w.Section(name=".gnu_debuglink", data=contents, flags=flags)
    return Image("/a", w.elf(sections=[section])).debug_link


def test_the_debug_link() -> None:
    assert debug_link(b"libc.debug\0\0\x78\x56\x34\x12") == DebugLink("libc.debug", 0x12345678)
    assert Image("/a", w.elf()).debug_link is None


@pytest.mark.parametrize("name", [b"", b"../../etc/passwd", b"/etc/passwd", b".hidden"])
def test_a_debug_link_leads_nowhere_else(name: bytes) -> None:
    assert debug_link(name + b"\0\1\2\3\4") is None


def test_a_damaged_debug_link_is_none() -> None:
    assert debug_link(b"\2\0\0\0" + bytes(30), flags=0x800) is None


# -- unwind tables


def test_the_table_in_eh_frame() -> None:
    image = Image("/a", w.image(entries=FUNCTION))
    (table,) = image.tables
    found = table.find(w.CODE + 0x3F)
    assert found is not None
    assert found.start == w.CODE
    assert table.find(w.CODE + 0x40) is None
    assert image.tables is image.tables


def test_a_static_program_has_eh_frame_without_a_header() -> None:
    entries = (w.Cie(), w.Fde(start=0x400000 + w.CODE, size=0x40))
    data = w.image(entries=entries, header=False, base=0x400000)
    (table,) = Image("/static", data).tables
    assert table.header_table is None
    assert table.entries == [(0x400000 + w.CODE, w.FRAMES_AT + 24)]


def test_a_file_without_unwind_tables() -> None:
    image = Image("/a", w.image())
    assert image.tables == ()
    assert image.fallback_tables == ()


def test_the_table_in_debug_frame() -> None:
    image = Image("/a", w.image(debug_entries=FUNCTION))
    assert image.tables == ()
    (table,) = image.fallback_tables
    assert table.find(w.CODE + 1) is not None
    assert image.fallback_tables is image.fallback_tables


def test_the_table_in_the_debug_frame_of_the_companion() -> None:
    image = Image("/a", w.image())
    image.companion = Image("/a.debug", w.image(debug_entries=FUNCTION))
    (table,) = image.fallback_tables
    assert table.find(w.CODE + 1) is not None


def test_the_tables_of_file_and_companion_come_in_this_order() -> None:
    other = (w.Cie(), w.Fde(start=w.CODE + 0x100, size=0x40))
    image = Image("/a", w.image(debug_entries=FUNCTION))
    image.companion = Image("/a.debug", w.image(debug_entries=other))
    assert [t.entries[0][0] for t in image.fallback_tables] == [w.CODE, w.CODE + 0x100]


def test_a_debug_frame_without_contents_is_none() -> None:
    section = w.Section(name=".debug_frame", type=w.SHT_NOBITS, size=100)
    assert Image("/a", w.elf(sections=[section])).fallback_tables == ()


def compressed(contents: bytes, kind: int) -> w.Section:
    head = struct.pack("<3I", kind, len(contents), 4)
    return w.Section(name=".debug_frame", flags=0x800, data=head + zlib.compress(contents))


def test_a_debug_frame_packed_with_zlib() -> None:
    contents = w.debug_frame(FUNCTION, bits=32).data
    data = w.elf(sections=[compressed(contents, 1)], bits=32, machine=I386.elf_machine)
    (table,) = Image("/a", data).fallback_tables
    assert table.find(w.CODE) is not None


def test_a_debug_frame_packed_in_another_way_is_none() -> None:
    contents = w.debug_frame(FUNCTION, bits=32).data
    data = w.elf(sections=[compressed(contents, 2)], bits=32, machine=I386.elf_machine)
    assert Image("/a", data).fallback_tables == ()
