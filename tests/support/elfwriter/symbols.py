"""Symbol tables: what a file offers to the dynamic linker, and what it tells debuggers."""

import struct
from collections.abc import Mapping, Sequence

from evdiag.model.machine import X86_64, Machine
from tests.support.elfwriter.files import PT_DYNAMIC, Section, Segment
from tests.support.elfwriter.images import image

TABLES_AT = 0x20000
"""Where the tables of `library` lie, in the file and (from its base on) in memory."""
DATA = 2
TLS = 6
Symbol = tuple[str, int, int, int]
"""(name, address, type, section)"""


def symbols_of(addresses: Mapping[str, int]) -> list[Symbol]:
    """Variables at addresses."""
    return [(name, at, 1, DATA) for name, at in addresses.items()]


def symbol_table(symbols: Sequence[Symbol], bits: int = 64) -> tuple[bytes, bytes]:
    """The table and its names; the first symbol is the empty one."""
    names, rows = bytearray(b"\0"), [("", 0, 0, 0), *symbols]
    table = b""
    for name, value, kind, section in rows:
        at = len(names) if name else 0
        names += name.encode() + b"\0" if name else b""
        info = 16 + kind
        table += (
            struct.pack("<IBBHQQ", at, info, 0, section, value, 8)
            if bits == 64
            else struct.pack("<IIIBBH", at, value, 4, info, 0, section)
        )
    return table, bytes(names)


def _hash(name: str) -> int:
    value = 5381
    for letter in name.encode():
        value = (value << 5) + value + letter & 0xFFFFFFFF
    return value


def hash_table(names: Sequence[str], buckets: int, bits: int = 64) -> tuple[bytes, list[str]]:
    """DT_GNU_HASH for symbols from number 1 on, and the order in which they must stand."""
    order = sorted(names, key=lambda name: _hash(name) % buckets)
    firsts, chains = [0] * buckets, []
    for number, name in enumerate(order, 1):
        bucket = _hash(name) % buckets
        firsts[bucket] = firsts[bucket] or number
        last = number == len(order) or _hash(order[number]) % buckets != bucket
        chains.append(_hash(name) & ~1 | last)
    bloom = (b"\xff" * (bits // 8),)
    head = struct.pack("<4I", buckets, 1, len(bloom), 6)
    return head + b"".join(bloom) + struct.pack(
        f"<{buckets + len(chains)}I", *firsts, *chains
    ), order


def library(
    symbols: Sequence[Symbol],
    *,
    base: int = 0,
    machine: Machine = X86_64,
    buckets: int = 3,
    dynamic: bool = True,
    sections: Sequence[Section] = (),
) -> bytes:
    """A file that exports symbols through its dynamic section, if `dynamic`."""
    hashed, order = hash_table([s[0] for s in symbols], buckets, machine.bits)
    sorted_symbols = sorted(symbols, key=lambda s: order.index(s[0]))
    table, names = symbol_table(sorted_symbols, machine.bits)
    start = base + TABLES_AT
    at = {0x6FFFFEF5: start, 6: start + len(hashed), 5: start + len(hashed) + len(table)}
    pair = "<qQ" if machine.bits == 64 else "<iI"
    tags = b"".join(struct.pack(pair, *row) for row in [*at.items(), (0, 0)])
    data = hashed + table + names
    parts = [Segment(vaddr=start, offset=TABLES_AT, data=data + tags)]
    if dynamic:
        row = (start + len(data), TABLES_AT + len(data), len(tags))
        parts.append(Segment(type=PT_DYNAMIC, vaddr=row[0], offset=row[1], file_size=row[2]))
    return image(base=base, machine=machine, segments=parts, sections=sections)
