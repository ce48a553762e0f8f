"""ELF headers, segments, sections and notes (System V ABI, gabi chapters 4 and 5)."""

import mmap
import struct
import zlib
from collections.abc import Iterator

import msgspec

from evdiag.errors import EvdiagError
from evdiag.model.machine import MACHINES, OTHER_MACHINES

Data = bytes | mmap.mmap
"""What the parsers read: a whole file, mapped or in memory."""

DAMAGED = (ValueError, LookupError, TypeError, ArithmeticError, struct.error, zlib.error)
"""What reading damaged tables may raise; each reader turns it into its own answer."""

BIG_ENDIAN = 2
ET_CORE = 4
PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_GNU_EH_FRAME = 1, 2, 4, 0x6474E550
SHT_NOBITS, SHF_COMPRESSED = 8, 0x800
PN_XNUM = 0xFFFF

MAX_SEGMENTS = 1 << 20
MAX_NAME = 256
MAX_UNPACKED = 1 << 28


class ElfError(EvdiagError):
    """The bytes are not an ELF file that evdiag understands; the text says what they are."""


class Segment(msgspec.Struct, frozen=True):
    """A program header, fields in the order in which unwinding uses them."""

    type: int
    flags: int
    offset: int
    vaddr: int
    file_size: int
    memory_size: int


class Section(msgspec.Struct, frozen=True):
    """A section header."""

    name: str
    type: int
    flags: int
    vaddr: int
    offset: int
    size: int


class Header(msgspec.Struct, frozen=True):
    """The ELF header, and where the tables are that it points to."""

    bits: int
    machine: int
    type: int
    entry: int
    segments_at: int
    segment_count: int
    sections_at: int
    section_count: int
    section_names: int


def machine_name(number: int) -> str:
    """The name of an `e_machine`, for messages."""
    known = MACHINES.get(number)
    return known.name if known else OTHER_MACHINES.get(number, f"machine {number}")


def read_header(data: Data, at: int = 0) -> Header:
    """Read the ELF header at `at`. Raises ElfError for anything but little-endian ELF."""
    ident = data[at : at + 20]
    if ident[:4] != b"\x7fELF":
        raise ElfError("not an ELF file")
    if len(ident) < 20:
        raise ElfError("the ELF header is cut off")
    if ident[5] == BIG_ENDIAN:
        raise ElfError(f"big-endian ELF ({machine_name(int.from_bytes(ident[18:20], 'big'))})")
    if ident[5] != 1:
        raise ElfError(f"ELF data encoding {ident[5]} is unknown")
    layout = {1: "<HHIIIIIHHHHHH", 2: "<HHIQQQIHHHHHH"}.get(ident[4])
    if layout is None:
        raise ElfError(f"ELF class {ident[4]} is neither 32 nor 64 bit")
    try:
        fields = struct.unpack_from(layout, data, at + 16)
    except struct.error:
        raise ElfError("the ELF header is cut off") from None
    kind, machine, _, entry, phoff, shoff, _, _, _, phnum, _, shnum, shstrndx = fields
    bits = 32 * ident[4]
    if phnum == PN_XNUM:
        phnum = _many_segments(data, at + shoff, bits)
    return Header(bits, machine, kind, entry, phoff, phnum, shoff, shnum, shstrndx)


def _many_segments(data: Data, section_zero: int, bits: int) -> int:
    """The real number of segments: sh_info of section 0 once there are 65,535 or more."""
    try:
        count: int = struct.unpack_from("<I", data, section_zero + (44 if bits == 64 else 28))[0]
    except (struct.error, OverflowError):
        return 0
    return min(count, MAX_SEGMENTS)


def read_segments(data: Data, header: Header, at: int = 0) -> list[Segment]:
    """The program headers; fewer than promised where the data ends early."""
    start = at + header.segments_at
    size = 56 if header.bits == 64 else 32
    raw = data[start : start + header.segment_count * size]
    raw = raw[: len(raw) // size * size]
    if header.bits == 64:
        return [
            Segment(kind, flags, offset, vaddr, file_size, memory_size)
            for kind, flags, offset, vaddr, _, file_size, memory_size, _ in struct.iter_unpack(
                "<IIQQQQQQ", raw
            )
        ]
    return [
        Segment(kind, flags, offset, vaddr, file_size, memory_size)
        for kind, offset, vaddr, _, file_size, memory_size, flags, _ in struct.iter_unpack(
            "<IIIIIIII", raw
        )
    ]


def read_sections(data: Data, header: Header) -> list[Section]:
    """The section headers with their names; an empty list where there are none."""
    size, layout = (64, "<IIQQQQIIQQ") if header.bits == 64 else (40, "<IIIIIIIIII")
    start, count = header.sections_at, header.section_count
    raw = data[start : start + count * size] if start else b""
    if len(raw) < count * size or header.section_names >= count:
        return []
    rows = list(struct.iter_unpack(layout, raw))
    names = rows[header.section_names]
    return [
        Section(_name(data, names[4] + row[0]), row[1], row[2], row[3], row[4], row[5])
        for row in rows
    ]


def _name(data: Data, at: int) -> str:
    return data[at : at + MAX_NAME].split(b"\0", 1)[0].decode("utf-8", "replace")


def section_bytes(data: Data, section: Section, bits: int) -> bytes:
    """The contents of a section, unpacked if it is compressed with zlib.

    Raises one of DAMAGED for damaged ones and for those compressed in another way.
    """
    raw = bytes(data[section.offset : section.offset + section.size])
    if not section.flags & SHF_COMPRESSED:
        return raw
    kind = int.from_bytes(raw[:4], "little")
    if kind != 1:
        raise ValueError(f"section {section.name} is compressed with method {kind}")
    unpacker = zlib.decompressobj()
    return unpacker.decompress(raw[24 if bits == 64 else 12 :], MAX_UNPACKED)


def notes(blob: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Yield (type, owner, contents) of each note; stops at one that is cut off, and at zeros."""
    at, end = 0, len(blob)
    while at + 12 <= end:
        name_size, size, kind = struct.unpack_from("<III", blob, at)
        if not (name_size or size or kind):
            return
        name_at = at + 12
        data_at = name_at + ((name_size + 3) & ~3)
        if data_at + size > end:
            return
        yield (
            kind,
            blob[name_at : name_at + name_size].rstrip(b"\0"),
            blob[data_at : data_at + size],
        )
        at = data_at + ((size + 3) & ~3)


def gnu_build_id(blob: bytes) -> str | None:
    """The build-id in a block of notes (NT_GNU_BUILD_ID is note type 3 of owner GNU)."""
    for kind, owner, contents in notes(blob):
        if kind == 3 and owner == b"GNU" and contents:
            return contents.hex()
    return None
