"""ELF files, byte by byte."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass

PAGE = 0x1000
READ, WRITE, EXECUTE = 4, 2, 1
ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_GNU_EH_FRAME = 1, 2, 4, 0x6474E550
SHT_PROGBITS, SHT_NOTE, SHT_NOBITS = 1, 7, 8
NT_PRSTATUS, NT_FPREGSET, NT_PRPSINFO, NT_AUXV = 1, 2, 3, 6
NT_ARM_PAC_MASK, NT_FILE, NT_SIGINFO = 0x406, 0x46494C45, 0x53494749
NT_GNU_BUILD_ID = 3
CODE = 0x4000
"""Where the code of an `image` begins, in the file and (from its base on) in memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A program header, and the bytes it stands for."""

    type: int = PT_LOAD
    flags: int = READ
    vaddr: int = 0
    data: bytes = b""
    offset: int | None = None
    """None: behind everything that was placed before."""
    file_size: int | None = None
    """What the header claims, where that is not the size of `data`."""
    memory_size: int | None = None
    """None: as many as in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section header, and the bytes it stands for."""

    name: str
    type: int = SHT_PROGBITS
    flags: int = 0
    vaddr: int = 0
    data: bytes = b""
    offset: int | None = None
    size: int | None = None


def elf(
    segments: Sequence[Segment] = (),
    sections: Sequence[Section] = (),
    *,
    bits: int = 64,
    machine: int = 62,
    kind: int = ET_DYN,
    entry: int = 0,
    order: str = "<",
    many_segments: bool = False,
) -> bytes:
    """Return an ELF file. `many_segments` counts the segments where PN_XNUM says they are."""
    wide = bits == 64
    head, ph_size, sh_size = (64, 56, 64) if wide else (52, 32, 40)
    out = bytearray(head + ph_size * len(segments))
    placed = [_place(out, s.data, s.offset) for s in segments]
    rows = b"".join(
        _segment_row(s, at, wide, order) for s, at in zip(segments, placed, strict=True)
    )
    out[head : head + len(rows)] = rows
    table_at = count = names_index = 0
    if sections or many_segments:
        info = len(segments) if many_segments else 0
        table, count = _sections(out, sections, wide, order, info)
        names_index = count - 1
        table_at = _place(out, table, None)
    shown = 0xFFFF if many_segments else len(segments)
    out[:head] = (
        b"\x7fELF"
        + bytes([bits // 32, 1 if order == "<" else 2, 1])
        + bytes(9)
        + struct.pack(
            order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"),
            *(kind, machine, 1, entry, head if segments else 0, table_at, 0, head),
            *(ph_size, shown, sh_size, count, names_index),
        )
    )
    return bytes(out)


def _place(out: bytearray, data: bytes, offset: int | None) -> int:
    """Put bytes at an offset, or behind the last one, and return where they are."""
    at = -(-len(out) // 8) * 8 if offset is None else offset
    if data:
        out.extend(bytes(max(0, at + len(data) - len(out))))
        out[at : at + len(data)] = data
    return at


def _segment_row(s: Segment, at: int, wide: bool, order: str) -> bytes:
    size = len(s.data) if s.file_size is None else s.file_size
    memory = size if s.memory_size is None else s.memory_size
    if wide:
        return struct.pack(
            order + "IIQQQQQQ", s.type, s.flags, at, s.vaddr, s.vaddr, size, memory, 8
        )
    return struct.pack(order + "8I", s.type, at, s.vaddr, s.vaddr, size, memory, s.flags, 4)


def _sections(
    out: bytearray, sections: Sequence[Section], wide: bool, order: str, info: int
) -> tuple[bytes, int]:
    """The section headers, with the empty one in front and the names behind."""
    names = bytearray(b"\0")
    rows = []
    for s in (*sections, Section(name=".shstrtab", type=3)):
        name_at = len(names)
        names += s.name.encode() + b"\0"
        data = s.data if s.name != ".shstrtab" else bytes(names)
        at = _place(out, data, s.offset)
        rows.append(
            (name_at, s.type, s.flags, s.vaddr, at, len(data) if s.size is None else s.size)
        )
    layout = order + ("IIQQQQIIQQ" if wide else "10I")
    zero = struct.pack(layout, 0, 0, 0, 0, 0, 0, 0, info, 0, 0)
    return zero + b"".join(struct.pack(layout, *row, 0, 0, 1, 0) for row in rows), len(rows) + 1


def note(kind: int, owner: bytes, contents: bytes) -> bytes:
    """One note, padded as the System V ABI wants it."""
    name = owner + b"\0"
    return (
        struct.pack("<III", len(name), len(contents), kind)
        + name.ljust(-(-len(name) // 4) * 4, b"\0")
        + contents.ljust(-(-len(contents) // 4) * 4, b"\0")
    )


def build_id_note(build_id: bytes) -> bytes:
    """The note that a linker makes for --build-id."""
    return note(NT_GNU_BUILD_ID, b"GNU", build_id)
