"""Variable-length numbers and encoded pointers of DWARF (DWARF 5 section 7.6; LSB 10.5)."""

import struct
from collections.abc import Callable

from evdiag.parse.elf import Data

MAX_BITS = 70
"""A number of 64 bits has at most ten bytes; longer ones are damage, and slow."""


def uleb(data: Data, at: int) -> tuple[int, int]:
    """Read an unsigned LEB128 number; returns it and the place behind it."""
    value = shift = 0
    while shift <= MAX_BITS:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise ValueError("a LEB128 number has no end")


def sleb(data: Data, at: int) -> tuple[int, int]:
    """Read a signed LEB128 number; returns it and the place behind it."""
    value, end = uleb(data, at)
    bits = 7 * (end - at)
    return (value - (1 << bits) if value >> (bits - 1) else value), end


FIXED = {
    0x02: struct.Struct("<H"),
    0x03: struct.Struct("<I"),
    0x04: struct.Struct("<Q"),
    0x0A: struct.Struct("<h"),
    0x0B: struct.Struct("<i"),
    0x0C: struct.Struct("<q"),
}
"""DW_EH_PE_udata2 and so on: formats of fixed size."""

OMIT, ABSOLUTE, PC_RELATIVE, DATA_RELATIVE = 0xFF, 0x00, 0x10, 0x30


def encoded(
    data: Data, at: int, encoding: int, bits: int, base: Callable[[int, int], int]
) -> tuple[int, int]:
    """Read a pointer with a DW_EH_PE encoding; returns it and the place behind it.

    `base(application, at)` gives what to add for an application (0x10, 0x20 ...) at a place.
    """
    if encoding == OMIT:
        return 0, at
    kind = encoding & 0x0F
    if kind == 0:
        kind = 0x04 if bits == 64 else 0x03
    if kind == 0x01:
        value, end = uleb(data, at)
    elif kind == 0x09:
        value, end = sleb(data, at)
    else:
        fixed = FIXED[kind]
        value, end = fixed.unpack_from(data, at)[0], at + fixed.size
    if encoding & 0x70 and value:
        value += base(encoding & 0x70, at)
    return value & ((1 << bits) - 1), end
