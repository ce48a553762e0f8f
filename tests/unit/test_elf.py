"""ELF headers, segments, sections and notes."""

import struct
import zlib

import pytest

from evdiag.errors import ExitCode
from evdiag.parse.elf import (
    DAMAGED,
    ElfError,
    Header,
    Section,
    Segment,
    gnu_build_id,
    machine_name,
    notes,
    read_header,
    read_sections,
    read_segments,
    section_bytes,
)
from tests.support import elfwriter as w

# The first 64 bytes of a /bin/true.
REAL_HEADER = bytes.fromhex(
    "7f454c46020101000000000000000000"
    "03003e0001000000d023000000000000"
    "40000000000000009083000000000000"
    "00000000400038000d0040001f001e00"
)


def test_the_header_of_a_real_program() -> None:
    assert read_header(REAL_HEADER) == Header(
        bits=64,
        machine=62,
        type=3,
        entry=0x23D0,
        segments_at=64,
        segment_count=13,
        sections_at=0x8390,
        section_count=31,
        section_names=30,
    )


def test_a_32_bit_header() -> None:
    data = w.elf([w.Segment(data=b"x")], bits=32, machine=3, kind=w.ET_EXEC, entry=0x8048000)
    header = read_header(data)
    assert (header.bits, header.machine, header.type) == (32, 3, 2)
    assert (header.entry, header.segments_at, header.segment_count) == (0x8048000, 52, 1)
    assert (header.sections_at, header.section_count) == (0, 0)


def test_a_header_somewhere_in_the_data() -> None:
    assert read_header(b"padding!" + REAL_HEADER, 8) == read_header(REAL_HEADER)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\necho this is a script\n", "not an ELF file"),
        (b"\x7fELF", "the ELF header is cut off"),
        (REAL_HEADER[:19], "the ELF header is cut off"),
        (REAL_HEADER[:63], "the ELF header is cut off"),
        (REAL_HEADER[:4] + b"\x07" + REAL_HEADER[5:], "ELF class 7 is neither 32 nor 64 bit"),
        (REAL_HEADER[:5] + b"\x00" + REAL_HEADER[6:], "ELF data encoding 0 is unknown"),
        (w.elf(machine=20, bits=32, order=">"), "big-endian ELF (ppc)"),
        (w.elf(machine=22, order=">"), "big-endian ELF (s390)"),
        (w.elf(machine=4711, order=">"), "big-endian ELF (machine 4711)"),
    ],
)
def test_what_is_no_little_endian_elf_file_is_named(data: bytes, message: str) -> None:
    with pytest.raises(ElfError) as caught:
        read_header(data)
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.BUG  # callers turn it into an error of their own


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (62, "x86-64"),
        (183, "aarch64"),
        (3, "i386"),
        (40, "arm"),
        (243, "riscv"),
        (21, "ppc64"),
        (9999, "machine 9999"),
    ],
)
def test_machines_have_names(number: int, name: str) -> None:
    assert machine_name(number) == name


def test_segments_of_both_sizes_have_their_fields_in_one_order() -> None:
    parts = [
        w.Segment(type=1, flags=5, vaddr=0x1000, offset=0x200, file_size=0x30, memory_size=0x40),
        w.Segment(type=4, flags=4, vaddr=0x2000, offset=0x230, file_size=0x10),
    ]
    expected = [
        Segment(type=1, flags=5, offset=0x200, vaddr=0x1000, file_size=0x30, memory_size=0x40),
        Segment(type=4, flags=4, offset=0x230, vaddr=0x2000, file_size=0x10, memory_size=0x10),
    ]
    for bits in (32, 64):
        data = w.elf(parts, bits=bits)
        assert read_segments(data, read_header(data)) == expected


def test_a_cut_table_gives_the_segments_that_are_whole() -> None:
    data = w.elf([w.Segment(vaddr=i) for i in range(5)])
    assert [s.vaddr for s in read_segments(data[: 64 + 56 * 3 + 7], read_header(data))] == [0, 1, 2]


@pytest.mark.parametrize("bits", [32, 64])
def test_65535_segments_are_counted_in_section_zero(bits: int) -> None:
    count = 66_000
    data = w.elf([w.Segment(vaddr=i & 0xFFFF) for i in range(count)], bits=bits, many_segments=True)
    header = read_header(data)
    assert header.segment_count == count
    segments = read_segments(data, header)
    assert (len(segments), segments[-1].vaddr) == (count, 65_999 & 0xFFFF)


def test_a_count_of_segments_that_no_file_has_is_bounded() -> None:
    data = bytearray(w.elf([w.Segment()], many_segments=True))
    at = read_header(bytes(data)).sections_at
    struct.pack_into("<I", data, at + 44, 0xFFFFFFFF)
    header = read_header(bytes(data))
    assert header.segment_count == 1 << 20
    # it takes all there is in the file for segments, and no more
    assert len(read_segments(bytes(data), header)) == (len(data) - 64) // 56


@pytest.mark.parametrize("place", [0x1000, (1 << 64) - 1])
def test_many_segments_without_section_zero_are_none(place: int) -> None:
    data = bytearray(w.elf([w.Segment()], many_segments=True))
    struct.pack_into("<Q", data, 40, place)
    assert read_header(bytes(data)).segment_count == 0


def test_sections_have_names() -> None:
    parts = [
        w.Section(name=".text", flags=6, vaddr=0x1000, offset=0x100, size=0x20),
        w.Section(name=".bss", type=8, flags=3, vaddr=0x2000, offset=0x120, size=0x99),
    ]
    for bits in (32, 64):
        data = w.elf(sections=parts, bits=bits)
        found = read_sections(data, read_header(data))
        assert found[:3] == [
            Section(name="", type=0, flags=0, vaddr=0, offset=0, size=0),
            Section(name=".text", type=1, flags=6, vaddr=0x1000, offset=0x100, size=0x20),
            Section(name=".bss", type=8, flags=3, vaddr=0x2000, offset=0x120, size=0x99),
        ]
        assert [s.name for s in found[3:]] == [".shstrtab"]


def test_a_file_without_sections_has_none() -> None:
    data = w.elf([w.Segment()])
    assert read_sections(data, read_header(data)) == []


def test_a_cut_table_of_sections_is_not_used() -> None:
    data = w.elf(sections=[w.Section(name=".text")])
    assert read_sections(data[:-1], read_header(data)) == []


def test_sections_without_their_names_are_not_used() -> None:
    data = w.elf(sections=[w.Section(name=".text")])
    assert len(read_sections(data, read_header(data))) == 3
    data = data[:62] + struct.pack("<H", 3) + data[64:]
    assert read_sections(data, read_header(data)) == []


def test_a_section_name_without_end_is_cut() -> None:
    data = w.elf(sections=[w.Section(name="x" * 1000)])
    assert read_sections(data, read_header(data))[1].name == "x" * 256


def packed(contents: bytes, *, bits: int, kind: int = 1) -> bytes:
    """A compressed section: Elf32_Chdr or Elf64_Chdr, then the stream."""
    size = len(contents)
    head = (
        struct.pack("<IIQQ", kind, 0, size, 1) if bits == 64 else struct.pack("<3I", kind, size, 1)
    )
    return head + zlib.compress(contents)


def section_for(data: bytes, *, flags: int = 0x800) -> Section:
    return Section(name=".debug_frame", type=1, flags=flags, vaddr=0, offset=0, size=len(data))


def test_a_plain_section_is_a_range_of_the_file() -> None:
    section = Section(name=".x", type=1, flags=0, vaddr=0, offset=2, size=3)
    assert section_bytes(b"abcdefg", section, 64) == b"cde"


@pytest.mark.parametrize("bits", [32, 64])
def test_a_section_packed_with_zlib_is_unpacked(bits: int) -> None:
    data = packed(b"frame description" * 50, bits=bits)
    assert section_bytes(data, section_for(data), bits) == b"frame description" * 50


def test_a_section_packed_in_another_way_is_refused() -> None:
    data = packed(b"contents", bits=64, kind=2)  # ELFCOMPRESS_ZSTD
    with pytest.raises(ValueError, match=r"section \.debug_frame is compressed with method 2"):
        section_bytes(data, section_for(data), 64)


def test_a_damaged_stream_is_one_of_the_errors_that_callers_expect() -> None:
    data = packed(b"contents", bits=64)[:24] + b"no stream of zlib"
    with pytest.raises(DAMAGED):
        section_bytes(data, section_for(data), 64)


def test_notes_are_padded_to_four_bytes() -> None:
    blob = w.note(1, b"CORE", b"12345") + w.note(0x406, b"LINUX", b"") + w.note(3, b"", b"abc")
    assert list(notes(blob)) == [
        (1, b"CORE", b"12345"),
        (0x406, b"LINUX", b""),
        (3, b"", b"abc"),
    ]


def test_a_note_may_have_neither_owner_nor_contents() -> None:
    assert list(notes(struct.pack("<III", 0, 0, 7))) == [(7, b"", b"")]


def test_notes_end_at_the_first_that_is_cut() -> None:
    blob = w.note(1, b"CORE", b"12345678") + w.note(2, b"CORE", b"12345678")
    assert [kind for kind, _, _ in notes(blob)] == [1, 2]
    assert [kind for kind, _, _ in notes(blob[:-1])] == [1]
    assert [kind for kind, _, _ in notes(blob[:11])] == []
    assert list(notes(b"")) == []


@pytest.mark.parametrize(
    "sizes", [(0xFFFFFFFF, 0), (0xFFFFFFFC, 4), (0, 0xFFFFFFFF), (5, 0xFFFFFFF0)]
)
def test_notes_of_four_gigabytes_end_the_list(sizes: tuple[int, int]) -> None:
    blob = w.note(1, b"CORE", b"fine") + struct.pack("<III", *sizes, 1) + b"CORE\0\0\0\0"
    assert list(notes(blob)) == [(1, b"CORE", b"fine")]


def test_notes_end_at_a_hole_in_the_file() -> None:
    blob = w.note(1, b"CORE", b"12345678") + bytes(4096) + w.note(2, b"CORE", b"")
    assert list(notes(blob)) == [(1, b"CORE", b"12345678")]


def test_the_build_id_is_found_among_other_notes() -> None:
    blob = (
        w.note(3, b"Go", b"not this")
        + w.note(5, b"GNU", b"property")
        + w.note(3, b"GNU", b"")
        + w.note(3, b"GNU", bytes.fromhex("00ff10"))
    )
    assert gnu_build_id(blob) == "00ff10"
    assert gnu_build_id(blob[:-8]) is None
    assert gnu_build_id(b"") is None
