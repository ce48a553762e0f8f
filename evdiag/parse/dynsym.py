"""Where an ELF file defines a symbol: by the dynamic linker's hash table, else by its tables.

Formats: System V ABI (gabi), chapters 4 "Symbol Table" and 5 "Dynamic Section"; for
DT_GNU_HASH, which the ABI does not know, binutils' bfd/elflink.c and glibc's elf/dl-lookup.c.
"""

import struct
from collections.abc import Iterator

import msgspec

from evdiag.parse.elf import DAMAGED, PT_DYNAMIC, SHT_NOBITS
from evdiag.parse.image import Image

DT_STRTAB, DT_SYMTAB, DT_GNU_HASH = 5, 6, 0x6FFFFEF5
STT_TLS = 6
SHN_UNDEF = 0
MAX_DYNAMIC = 1 << 12
"""Entries of a dynamic section: linkers write about thirty, and one for each needed library."""
MAX_CHAIN = 1 << 12
"""Symbols in one bucket of the hash table: linkers make buckets of one to four."""
MAX_TABLE = 1 << 26
"""Bytes read of a symbol table: 2.8 million symbols, ten times those of large programs."""
MAX_SPELLINGS = 64
"""Places in the string table where a name may begin. Linkers store it once, at the end of the
longer names that end with it."""

_u32 = struct.Struct("<I").unpack_from


class _Layout(msgspec.Struct, frozen=True):
    """How symbols and words are laid out in files of 32 and of 64 bits."""

    dynamic: struct.Struct
    """(tag, value)"""
    symbol: struct.Struct
    order: tuple[int, int, int]
    """Where info, section and value stand in it; the name is always the first."""
    word: int


_LAYOUTS = {
    32: _Layout(struct.Struct("<iI"), struct.Struct("<IIIBBH"), (3, 5, 1), 4),
    64: _Layout(struct.Struct("<qQ"), struct.Struct("<IBBHQQ"), (1, 3, 4), 8),
}


def exported(image: Image, name: str) -> int | None:
    """The address in the file of a symbol that the file offers to others; None if there is none.

    Versions of symbols do not matter. Thread-local variables have no address, so they are left
    out.
    """
    wanted = name.encode()
    if not wanted:
        return None
    try:
        found = _by_hash(image, wanted)
    except DAMAGED:
        found = None
    return _by_sections(image, wanted, ".dynsym", ".dynstr") if found is None else found


def defined(image: Image, name: str) -> int | None:
    """Like `exported`; else from the symbols for debuggers, in the file or in its companion.

    A static program exports nothing. Reading .symtab is a scan of all symbols.
    """
    found = exported(image, name)
    for part in (image, image.companion):
        if found is None and part is not None and name:
            found = _by_sections(part, name.encode(), ".symtab", ".strtab")
    return found


def definitions(image: Image, name: str) -> frozenset[int]:
    """All addresses that a name has in the file and in its companion.

    Several files of a program may each have a function of that name, known to none of the others.
    """
    wanted = name.encode("utf-8", "surrogateescape")
    tables = ((".dynsym", ".dynstr"), (".symtab", ".strtab"))
    parts = [part for part in (image, image.companion) if part is not None and wanted]
    return frozenset(
        value for part in parts for table in tables for value in _named(part, wanted, *table)
    )


def gnu_hash(name: bytes) -> int:
    """The hash of DT_GNU_HASH."""
    value = 5381
    for byte in name:
        value = (value * 33 + byte) & 0xFFFFFFFF
    return value


def _by_hash(image: Image, wanted: bytes) -> int | None:
    """Look a name up as the dynamic linker does. Raises one of DAMAGED."""
    table = _dynamic(image)
    places = [_offset(image, table[tag]) for tag in (DT_GNU_HASH, DT_SYMTAB, DT_STRTAB)]
    at, symbols, strings = places
    data, layout = image.data, _LAYOUTS[image.header.bits]
    buckets, first, bloom, _ = struct.unpack_from("<4I", data, at)
    buckets_at = at + 16 + bloom * layout.word
    chains_at = buckets_at + 4 * buckets
    hashed = gnu_hash(wanted)
    start = _u32(data, buckets_at + 4 * (hashed % buckets))[0]
    if start < first:
        return None
    for index in range(start, start + MAX_CHAIN):
        chained = _u32(data, chains_at + 4 * (index - first))[0]
        if chained | 1 == hashed | 1:
            row = layout.symbol.unpack_from(data, symbols + index * layout.symbol.size)
            spelled = strings + row[0]
            if data[spelled : spelled + len(wanted) + 1] == wanted + b"\0":
                value = _value(row, layout)
                if value is not None:
                    return value
        if chained & 1:
            break
    return None


def _dynamic(image: Image) -> dict[int, int]:
    """The entries of the dynamic section, by tag."""
    found: dict[int, int] = {}
    pair = _LAYOUTS[image.header.bits].dynamic
    for s in image.segments:
        if s.type == PT_DYNAMIC:
            size = min(s.file_size, MAX_DYNAMIC * pair.size) // pair.size * pair.size
            for tag, value in pair.iter_unpack(bytes(image.data[s.offset : s.offset + size])):
                if not tag:
                    break
                found[tag] = value
    return found


def _offset(image: Image, vaddr: int) -> int:
    """Where an address lies in the file. Raises ValueError."""
    for s in image.loads:
        if s.vaddr <= vaddr < s.vaddr + s.file_size:
            return vaddr - s.vaddr + s.offset
    raise ValueError(f"address {vaddr:#x} is not in the file")


def _value(row: tuple[int, ...], layout: _Layout) -> int | None:
    """The address of a symbol, None for one that has none."""
    info, section, value = (row[i] for i in layout.order)
    if section == SHN_UNDEF or info & 15 == STT_TLS:
        return None
    return value or None


def _by_sections(image: Image, wanted: bytes, symbols: str, strings: str) -> int | None:
    """Look through a symbol table for a name."""
    return next(_named(image, wanted, symbols, strings), None)


def _named(image: Image, wanted: bytes, symbols: str, strings: str) -> Iterator[int]:
    """The addresses that a name has in a symbol table."""
    table, names = image.sections.get(symbols), image.sections.get(strings)
    if table is None or names is None or SHT_NOBITS in (table.type, names.type):
        return
    try:
        spelled = set(_spellings(image, wanted, names.offset, names.offset + names.size))
        if not spelled:
            return
        layout = _LAYOUTS[image.header.bits]
        raw = bytes(image.data[table.offset : table.offset + min(table.size, MAX_TABLE)])
        whole = len(raw) // layout.symbol.size * layout.symbol.size
        for row in layout.symbol.iter_unpack(memoryview(raw)[:whole]):
            if row[0] in spelled:
                value = _value(row, layout)
                if value is not None:
                    yield value
    except DAMAGED:
        pass


def _spellings(image: Image, wanted: bytes, start: int, end: int) -> Iterator[int]:
    """Where in a string table the name begins; longer names may end with it."""
    at = start
    for _ in range(MAX_SPELLINGS):
        at = image.data.find(wanted + b"\0", at, end)
        if at < 0:
            return
        yield at - start
        at += 1
