"""Symbols by name: in files, and in the process that mapped them."""

import mmap
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.exports import LIBC, bias_of, loaded_address
from evdiag.model.machine import AARCH64, I386, X86_64, Machine
from evdiag.parse.dynsym import MAX_CHAIN, MAX_SPELLINGS, defined, exported, gnu_hash
from evdiag.parse.elf import ElfError
from evdiag.parse.image import Image
from tests.support import elfwriter as w
from tests.support.elfwriter import symbols as sym

AT = 0x7F00_0000_0000
NAMES = {"abort": 0x4010, "__abort_msg": 0x9008, "free": 0x4020, "malloc": 0x4030, "x": 0x4040}
SYMBOLS = sym.symbols_of(NAMES)


def tables(symbols: list[sym.Symbol], table: str, names: str) -> list[w.Section]:
    rows, strings = sym.symbol_table(symbols)
    return [w.Section(name=table, type=2, data=rows), w.Section(name=names, type=3, data=strings)]


def library(**more: object) -> Image:
    return Image("/lib/libc.so.6", sym.library(SYMBOLS, **more))  # type: ignore[arg-type]


# -- in files


def test_the_hash_of_a_name() -> None:
    # from the documentation of the Linux Standard Base, generic part, "GNU hash"
    assert gnu_hash(b"") == 0x1505
    assert gnu_hash(b"printf") == 0x156B2BB8
    assert gnu_hash(b"exit") == 0x7C967E3F


@pytest.mark.parametrize("machine", [X86_64, AARCH64, I386])
@pytest.mark.parametrize("buckets", [1, 3, 64])
def test_a_symbol_by_the_hash_table(machine: Machine, buckets: int) -> None:
    image = library(machine=machine, buckets=buckets)
    assert {name: exported(image, name) for name in NAMES} == NAMES
    assert exported(image, "calloc") is None
    assert exported(image, "abor") is None
    assert exported(image, "") is None


def test_a_file_with_a_fixed_address() -> None:
    image = Image("/app", sym.library(sym.symbols_of({"main": 0x404010}), base=0x400000))
    assert exported(image, "main") == 0x404010


def test_without_a_dynamic_section_the_table_is_looked_through() -> None:
    image = library(dynamic=False, sections=tables(SYMBOLS, ".dynsym", ".dynstr"))
    assert {name: exported(image, name) for name in NAMES} == NAMES
    assert exported(image, "calloc") is None


def test_a_file_that_exports_nothing() -> None:
    assert exported(Image("/a", w.image()), "abort") is None
    assert exported(Image("/a", w.elf()), "abort") is None
    assert defined(Image("/a", w.elf()), "") is None


def test_what_is_needed_from_others_is_not_defined() -> None:
    symbols = [("abort", 0x4010, 1, 0), ("counter", 0x10, sym.TLS, 5), ("zero", 0, 1, 1)]
    image = Image("/a", sym.library(symbols))
    assert [exported(image, s[0]) for s in symbols] == [None] * 3
    scanned = tables([*symbols, ("abort", 0x4020, 1, 2)], ".dynsym", ".dynstr")
    assert exported(Image("/a", w.image(sections=scanned)), "abort") == 0x4020


def test_symbols_for_debuggers() -> None:
    # GIVEN a static program, and one whose symbols lie in a file of their own
    sections = tables(SYMBOLS, ".symtab", ".strtab")
    static, stripped = Image("/a", w.image(sections=sections)), Image("/b", w.image())
    assert exported(static, "abort") is None
    assert defined(static, "abort") == 0x4010
    assert defined(stripped, "abort") is None
    stripped.companion = static
    assert defined(stripped, "abort") == 0x4010
    # THEN what the file itself exports comes first
    both = Image("/c", sym.library(sym.symbols_of({"abort": 0x4FF0}), sections=sections))
    assert defined(both, "abort") == 0x4FF0


def test_names_that_end_alike_share_their_letters() -> None:
    row = struct.pack("<IBBHQQ", 5, 0x11, 0, 1, 0x4010, 8)
    sections = [
        w.Section(name=".symtab", type=2, data=bytes(24) + row + b"cut off"),
        w.Section(name=".strtab", type=3, data=b"\0the_abort\0"),
    ]
    image = Image("/a", w.image(sections=sections))
    assert defined(image, "abort") == 0x4010
    assert defined(image, "the_abort") is None


def test_a_table_whose_bytes_are_elsewhere() -> None:
    rows, strings = sym.symbol_table(SYMBOLS)
    for kinds in ((w.SHT_NOBITS, 3), (2, w.SHT_NOBITS)):
        sections = [
            w.Section(name=".symtab", type=kinds[0], data=rows),
            w.Section(name=".strtab", type=kinds[1], data=strings),
        ]
        assert defined(Image("/a", w.image(sections=sections)), "abort") is None
    alone = [w.Section(name=".symtab", type=2, data=rows)]
    assert defined(Image("/a", w.image(sections=alone)), "abort") is None


def test_a_table_that_ends_early() -> None:
    # GIVEN a file that was cut off within its table
    rows, strings = sym.symbol_table(SYMBOLS)
    whole = w.elf(
        sections=[
            w.Section(name=".strtab", type=3, data=strings),
            w.Section(name=".symtab", type=2, data=rows, offset=0x10000, size=1 << 40),
        ]
    )
    # THEN the symbols before the cut are found
    for tail in (b"", b"\0"):
        image = Image("/a", whole + tail)
        assert defined(image, "abort") == 0x4010
        assert defined(image, "missing") is None


def test_a_table_beyond_any_file(tmp_path: Path) -> None:
    rows, strings = sym.symbol_table(SYMBOLS)
    sections = [
        w.Section(name=".symtab", type=2, data=rows),
        w.Section(name=".strtab", type=3, data=strings),
    ]
    data = bytearray(w.elf(sections=sections))
    (headers,) = struct.unpack_from("<Q", data, 40)
    struct.pack_into("<Q", data, headers + 2 * 64 + 24, (1 << 64) - 1)
    file = tmp_path / "a"
    file.write_bytes(data)
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as raw:
        assert defined(Image("/a", raw), "abort") is None


def test_different_names_with_the_same_hash() -> None:
    assert gnu_hash(b"Ez") == gnu_hash(b"FY")
    image = Image("/a", sym.library(sym.symbols_of({"Ez": 0x4010}), buckets=1))
    assert (exported(image, "Ez"), exported(image, "FY")) == (0x4010, None)


def test_a_name_spelled_more_often_than_any_linker_does() -> None:
    at = 1 + 6 * MAX_SPELLINGS
    row = struct.pack("<IBBHQQ", at, 0x11, 0, 1, 0x4010, 8)
    sections = [
        w.Section(name=".symtab", type=2, data=row),
        w.Section(name=".strtab", type=3, data=b"\0" + b"abort\0" * (MAX_SPELLINGS + 1)),
    ]
    assert defined(Image("/a", w.image(sections=sections)), "abort") is None


def test_a_bucket_without_end() -> None:
    # GIVEN a hash table with a chain that nothing ends
    chains = struct.pack("<4I", 1, 1, 0, 0) + struct.pack("<I", 1) + bytes(8 * MAX_CHAIN)
    tags = struct.pack("<6q", 0x6FFFFEF5, 0x20000, 6, 0x20000, 5, 0x20000)
    parts = [
        w.Segment(vaddr=0x20000, offset=0x20000, data=chains),
        w.Segment(type=w.PT_DYNAMIC, offset=0x30000, data=tags),
    ]
    assert exported(Image("/a", w.image(segments=parts)), "abort") is None


def test_a_dynamic_section_that_leads_nowhere() -> None:
    tags = struct.pack("<6q", 0x6FFFFEF5, 0x900000, 6, 0x900000, 5, 0x900000)
    parts = [w.Segment(type=w.PT_DYNAMIC, offset=0x30000, data=tags)]
    assert exported(Image("/a", w.image(segments=parts)), "abort") is None


@given(st.data())
def test_damaged_files_give_no_answer_or_a_number(data: st.DataObject) -> None:
    good = sym.library(SYMBOLS, sections=tables(SYMBOLS, ".symtab", ".strtab"))
    out = bytearray(good)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(sym.TABLES_AT, len(out) - 1) | st.integers(32, len(out) - 1))
        patch = data.draw(st.binary(min_size=1, max_size=8))
        out[at : at + len(patch)] = patch
    try:
        image = Image("/a", bytes(out[: data.draw(st.just(len(out)) | st.integers(0, len(out)))]))
    except ElfError:
        return
    for name in ("abort", "missing"):
        found = defined(image, name)
        assert found is None or 0 < found < 1 << 64


# -- in the process


def process(path: str, data: bytes, **more: int) -> bytes:
    auxv = {9: more["entry"]} if "entry" in more else None
    return w.core(files=w.mapped(path, data, AT), memory=w.code_pieces(data, AT), auxv=auxv)


def test_the_address_in_the_process() -> None:
    data = sym.library(SYMBOLS)
    space = w.address_space(process("/lib/libc.so.6", data), {"/lib/libc.so.6": data})
    assert loaded_address(space, "__abort_msg") == AT + 0x9008
    assert loaded_address(space, "missing") is None
    assert loaded_address(space, "__abort_msg", ("libstdc++.so.6",)) is None


def test_a_library_that_is_not_here() -> None:
    space = w.address_space(process("/lib/libc.so.6", sym.library(SYMBOLS)), {})
    assert loaded_address(space, "__abort_msg", LIBC) is None


def test_a_library_linked_to_an_address() -> None:
    data = sym.library(sym.symbols_of({"abort": 0x404010}), base=0x400000)
    space = w.address_space(process("/lib/libc-2.31.so", data), {"/lib/libc-2.31.so": data})
    assert loaded_address(space, "abort") == AT + 0x4010


def test_in_a_static_program() -> None:
    data = w.image(sections=tables(SYMBOLS, ".symtab", ".strtab"))
    dump = process("/opt/app", data, entry=AT + 0x4000)
    assert loaded_address(w.address_space(dump, {"/opt/app": data}), "abort") == AT + 0x4010
    elsewhere = process("/opt/app", data, entry=0x1234)
    assert loaded_address(w.address_space(elsewhere, {"/opt/app": data}), "abort") is None


def test_a_library_without_its_first_mapping() -> None:
    # GIVEN a file of which only parts are mapped
    data = sym.library(SYMBOLS)
    code = w.MappedRow(AT + 0x4000, AT + 0x6000, 0x4000, "/lib/libc.so.6")
    tail = w.MappedRow(AT + 0x20000, AT + 0x21000, 0x20000, "/lib/libc.so.6")
    pieces = [
        w.Piece(start=AT + 0x4000, flags=w.READ | w.EXECUTE, size=0x2000),
        w.Piece(start=AT + 0x20000, flags=w.READ, size=0x1000),
    ]
    files = {"/lib/libc.so.6": data}
    # THEN the one with code tells where the whole belongs
    space = w.address_space(w.core(files=[code, tail], memory=pieces), files)
    assert loaded_address(space, "abort") == AT + 0x4010
    # THEN others, which may begin in the middle of a segment, do not
    module, image = space.modules[0], Image("/lib/libc.so.6", data)
    space = w.address_space(w.core(files=[tail], memory=pieces), files)
    assert bias_of(space, module, image) is None
