"""Call frame information: .eh_frame with its sorted table, and .debug_frame."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tests.support.elfwriter.files import CODE

PC_RELATIVE_4 = 0x1B
"""DW_EH_PE_pcrel | sdata4: what compilers write."""
ABSOLUTE = 0x00


def uleb(value: int) -> bytes:
    """An unsigned LEB128 number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def sleb(value: int) -> bytes:
    """A signed LEB128 number."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value & 0x7F])


def def_cfa(register: int, offset: int) -> bytes:
    """DW_CFA_def_cfa."""
    return b"\x0c" + uleb(register) + uleb(offset)


def def_cfa_offset(offset: int) -> bytes:
    """DW_CFA_def_cfa_offset."""
    return b"\x0e" + uleb(offset)


def def_cfa_expression(expression: bytes) -> bytes:
    """DW_CFA_def_cfa_expression."""
    return b"\x0f" + uleb(len(expression)) + expression


def saved(register: int, factor: int) -> bytes:
    """DW_CFA_offset: the register lies `factor` times the data alignment from the CFA."""
    return bytes([0x80 | register]) + uleb(factor)


def advance(units: int) -> bytes:
    """DW_CFA_advance_loc."""
    return bytes([0x40 | units])


def undefined(register: int) -> bytes:
    """DW_CFA_undefined."""
    return b"\x07" + uleb(register)


def by_expression(register: int, expression: bytes, *, value: bool = False) -> bytes:
    """DW_CFA_expression, or DW_CFA_val_expression."""
    return (b"\x16" if value else b"\x10") + uleb(register) + uleb(len(expression)) + expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Cie:
    """A Common Information Entry; the defaults are those of gcc for x86-64."""

    program: bytes = def_cfa(7, 8) + saved(16, 1)
    version: int = 1
    augmentation: str = "zR"
    code_align: int = 1
    data_align: int = -8
    return_register: int = 16
    encoding: int = PC_RELATIVE_4
    augmentation_data: bytes | None = None
    """None: what "zR" wants, the encoding."""
    wide: bool = False
    """In the 64-bit DWARF format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fde:
    """A Frame Description Entry for `size` bytes of code from `start` on."""

    start: int = CODE
    size: int = 0x100
    program: bytes = b""
    cie: int = 0
    """Index of its CIE among the entries."""
    augmentation_data: bytes = b""


class FrameSection(NamedTuple):
    """A section of call frame information, and where in it each entry begins."""

    data: bytes
    places: tuple[int, ...]


def eh_frame(entries: "Sequence[Cie | Fde]", *, vaddr: int = 0, bits: int = 64) -> FrameSection:
    """.eh_frame for the given address, with the terminator that linkers put behind it."""
    made = _frame_section(entries, vaddr, bits, debug=False)
    return made._replace(data=made.data + bytes(4))


def debug_frame(entries: "Sequence[Cie | Fde]", *, bits: int = 64) -> FrameSection:
    """.debug_frame: absolute addresses, and CIE pointers that are offsets in the section."""
    return _frame_section(entries, 0, bits, debug=True)


def _frame_section(
    entries: "Sequence[Cie | Fde]", vaddr: int, bits: int, *, debug: bool
) -> FrameSection:
    out = bytearray()
    places: list[int] = []
    cies: dict[int, Cie] = {}
    for i, entry in enumerate(entries):
        places.append(len(out))
        wide = entry.wide if isinstance(entry, Cie) else cies[entry.cie].wide
        identity_at = len(out) + (12 if wide else 4)
        long_identity = wide and debug
        body_at = identity_at + (8 if long_identity else 4)
        if isinstance(entry, Cie):
            cies[i] = entry
            identity = (1 << (64 if long_identity else 32)) - 1 if debug else 0
            body = _cie_body(entry, bits, debug=debug)
        else:
            cie = cies[entry.cie]
            identity = places[entry.cie] if debug else identity_at - places[entry.cie]
            body = _fde_body(entry, cie, vaddr + body_at, bits, debug=debug)
        body += b"\0" * (-(body_at + len(body)) % 4)
        size = body_at - identity_at + len(body)
        out += struct.pack("<IQ", 0xFFFFFFFF, size) if wide else struct.pack("<I", size)
        out += identity.to_bytes(body_at - identity_at, "little") + body
    return FrameSection(bytes(out), tuple(places))


def _cie_body(cie: Cie, bits: int, *, debug: bool) -> bytes:
    letters = "" if debug and cie.augmentation == "zR" else cie.augmentation
    out = bytes([cie.version]) + letters.encode("latin-1") + b"\0"
    if cie.version >= 4:
        out += bytes([bits // 8, 0])
    out += uleb(cie.code_align) + sleb(cie.data_align)
    out += bytes([cie.return_register]) if cie.version == 1 else uleb(cie.return_register)
    if letters.startswith("z"):
        extra = bytes([cie.encoding]) if cie.augmentation_data is None else cie.augmentation_data
        out += uleb(len(extra)) + extra
    return out + cie.program


def _fde_body(fde: Fde, cie: Cie, at: int, bits: int, *, debug: bool) -> bytes:
    encoding = ABSOLUTE if debug else cie.encoding
    start = fde.start - (at if encoding & 0x70 == 0x10 else 0)
    out = _pointer(start, encoding & 0x0F, bits) + _pointer(fde.size, encoding & 0x0F, bits)
    if cie.augmentation.startswith("z") and not debug:
        out += uleb(len(fde.augmentation_data)) + fde.augmentation_data
    return out + fde.program


def _pointer(value: int, kind: int, bits: int) -> bytes:
    """A number in one of the DW_EH_PE formats of fixed size."""
    size = {0x00: bits // 8, 0x02: 2, 0x03: 4, 0x04: 8, 0x0A: 2, 0x0B: 4, 0x0C: 8}[kind]
    return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def eh_frame_hdr(
    entries: "Sequence[Cie | Fde]", frames: FrameSection, *, vaddr: int, frames_at: int
) -> bytes:
    """.eh_frame_hdr with its sorted table: version 1, pcrel|sdata4, udata4, datarel|sdata4."""
    rows = sorted(
        (entry.start - vaddr, frames_at + place - vaddr)
        for entry, place in zip(entries, frames.places, strict=True)
        if isinstance(entry, Fde)
    )
    head = struct.pack("<4BiI", 1, PC_RELATIVE_4, 0x03, 0x3B, frames_at - vaddr - 4, len(rows))
    return head + b"".join(struct.pack("<ii", *row) for row in rows)
