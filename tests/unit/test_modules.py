"""Mapped ELF files, by the kernel's note or by the dynamic linker's list."""

import struct

import pytest

from evdiag.model.core import CoreFacts, MappedFile
from evdiag.model.machine import I386, X86_64
from evdiag.parse.elfcore import read_core
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import (
    MappedModule,
    link_map,
    load_bias,
    loaded_libraries,
    mapped_modules,
    memory_build_id,
)
from tests.support import elfwriter as w

AT = 0x7F00_0000_0000
BUILD_ID = w.BUILD_ID.hex()


def opened(dump: bytes) -> tuple[CoreFacts, Memory]:
    facts = read_core(dump)
    return facts, Memory(dump, facts)


def modules_of(dump: bytes) -> tuple[MappedModule, ...]:
    facts, memory = opened(dump)
    return mapped_modules(facts.files, memory)


# -- by NT_FILE


def test_a_mapped_library() -> None:
    library = w.image()
    dump = w.core(files=w.mapped("/lib/liba.so", library, AT), memory=w.code_pieces(library, AT))
    assert modules_of(dump) == (
        MappedModule(
            path="/lib/liba.so",
            start=AT,
            end=AT + 0x6000,
            head=AT,
            build_id=BUILD_ID,
            first_bytes=library[:0x1000],
        ),
    )


def test_a_library_without_build_id_keeps_its_first_page() -> None:
    library = w.image(build_id=None)
    dump = w.core(files=w.mapped("/lib/liba.so", library, AT), memory=w.code_pieces(library, AT))
    (module,) = modules_of(dump)
    assert module.build_id is None
    assert module.first_bytes == library[:0x1000]


def test_a_header_page_that_was_not_dumped() -> None:
    # GIVEN a core written with a filter that leaves all pages of files out
    library = w.image()
    pieces = [
        w.Piece(start=p.start, flags=p.flags, size=p.size) for p in w.code_pieces(library, AT)
    ]
    dump = w.core(files=w.mapped("/lib/liba.so", library, AT), memory=pieces)
    # THEN executable mappings tell that it is a module; nothing tells which build
    (module,) = modules_of(dump)
    assert (module.path, module.head, module.build_id) == ("/lib/liba.so", AT, None)
    assert module.first_bytes == b""


def test_a_module_without_its_first_mapping() -> None:
    rows = [w.MappedRow(AT + 0x4000, AT + 0x6000, 0x4000, "/lib/liba.so")]
    pieces = [w.Piece(start=AT + 0x4000, flags=5, size=0x2000)]
    (module,) = modules_of(w.core(files=rows, memory=pieces))
    assert (module.head, module.start, module.end) == (None, AT + 0x4000, AT + 0x6000)
    assert (module.build_id, module.first_bytes) == (None, b"")


def test_a_file_that_was_deleted_while_in_use() -> None:
    library = w.image()
    rows = w.mapped("/opt/module (deleted)", library, AT)
    (module,) = modules_of(w.core(files=rows, memory=w.code_pieces(library, AT)))
    assert (module.path, module.build_id) == ("/opt/module", BUILD_ID)


def test_mapped_data_files_are_no_modules() -> None:
    rows = [
        w.MappedRow(0x1000, 0x2000, 0, "/usr/lib/locale/locale-archive"),
        w.MappedRow(0x3000, 0x4000, 0, "/dev/shm/data"),
        w.MappedRow(0x5000, 0x6000, 0x1000, "/data/without/start"),
    ]
    pieces = [
        w.Piece(start=0x1000, size=0x1000, flags=w.READ),
        w.Piece(start=0x3000, data=b"no ELF" + bytes(64), flags=w.READ | w.EXECUTE),
        w.Piece(start=0x5000, size=0x1000, flags=w.READ),
    ]
    assert modules_of(w.core(files=rows, memory=pieces)) == ()


def test_modules_come_in_the_order_of_their_addresses() -> None:
    library = w.image()
    places = [("/b", AT + 0x100000), ("/a", AT), ("/c", AT + 0x200000)]
    rows = [row for path, at in places for row in w.mapped(path, library, at)]
    pieces = [piece for _, at in places for piece in w.code_pieces(library, at)]
    assert [m.path for m in modules_of(w.core(files=rows, memory=pieces))] == ["/a", "/b", "/c"]


def test_more_modules_than_any_process_has() -> None:
    count = 5000
    rows = [w.MappedRow(0x1000 * i, 0x1000 * i + 0x1000, 0, f"/{i}") for i in range(1, count)]
    pieces = [w.Piece(start=0x1000, flags=5, size=0x1000 * count)]
    assert len(modules_of(w.core(files=rows, memory=pieces))) == 4096


# -- build-id from memory


def build_id_in(data: bytes, at: int = AT) -> str | None:
    _, memory = opened(w.core(memory=[w.Piece(start=at, data=data)]))

    def fallback(address: int, size: int) -> bytes:
        # the file is accepted only after this check: looking into it would never end
        raise AssertionError("the check of the build-id has read a file")

    memory.fallback = fallback
    return memory_build_id(memory, at)


def test_the_build_id_of_a_position_independent_image() -> None:
    assert build_id_in(w.image()[:0x1000]) == BUILD_ID


def test_the_build_id_of_a_program_at_a_fixed_address() -> None:
    # GIVEN a segment without an address, as PT_GNU_STACK has none
    stack = w.Segment(type=0x6474E551, offset=0)
    assert build_id_in(w.image(base=0x400000, segments=[stack])[:0x1000], 0x400000) == BUILD_ID


def test_the_build_id_of_a_32_bit_image() -> None:
    assert build_id_in(w.image(machine=I386)[:0x1000]) == BUILD_ID


def test_the_build_id_is_not_asked_of_the_file() -> None:
    # GIVEN a page of which the note was cut off
    assert build_id_in(w.image()[: w.NOTE_AT + 8]) is None
    assert build_id_in(w.image()[:20]) is None
    assert build_id_in(b"no ELF file") is None
    assert build_id_in(w.image(build_id=None)[:0x1000]) is None
    assert build_id_in(w.elf([w.Segment(type=w.PT_NOTE, data=w.build_id_note(b"\x12"))])) is None


def test_the_build_id_of_memory_that_is_not_there() -> None:
    _, memory = opened(w.core())
    assert memory_build_id(memory, AT) is None


def test_a_header_page_with_impossible_offsets() -> None:
    page = bytearray(w.image()[:0x1000])
    struct.pack_into("<QQ", page, 32, (1 << 64) - 1, (1 << 64) - 1)
    struct.pack_into("<H", page, 56, 0xFFFF)
    assert build_id_in(bytes(page)) is None


# -- by the dynamic linker's list


class Program:
    """A position-independent program at AT with a dynamic section, and a list of libraries.

    The list has three nodes as qemu-user leaves them: the program itself (no name), a library
    and the vDSO.
    """

    DYNAMIC = 0x5000
    BASE = AT + 0x10_0000
    DATA = 0x6000_0000

    def __init__(self, *, bits: int = 64, debug: bool = True) -> None:
        machine = X86_64 if bits == 64 else I386
        self.bits, self.at = bits, AT if bits == 64 else 0x5655_5000
        self.base = self.BASE if bits == 64 else 0xF7D0_0000
        data = self.DATA
        self.names = {data + 0x800: b"/lib/liba.so", data + 0x900: b"linux-vdso.so.1"}
        self.nodes = {
            data + 0x100: (self.at, data + 0x8FF, data + 0x200),
            data + 0x200: (self.base, data + 0x800, data + 0x300),
            data + 0x300: (0x7000_0000, data + 0x900, 0),
        }
        self.debug = w.words(1, data + 0x100, bits=bits)
        tags = [(1, 1), (5, 2), (21, data), (0, 0)] if debug else [(1, 1), (0, 0)]
        self.dynamic = w.words(*(n for pair in tags for n in pair), bits=bits)
        self.image = Image(
            "/opt/program",
            w.image(
                machine=machine,
                segments=[w.Segment(type=w.PT_DYNAMIC, vaddr=self.DYNAMIC, offset=0)],
            ),
        )
        self.library = w.image(machine=machine, code=b"\x90" * 0x1234)

    def memory(self) -> Memory:
        data = bytearray(0x1000)
        data[: len(self.debug)] = self.debug
        for at, node in self.nodes.items():
            base, name, following = node
            packed = w.words(base, name, 0, following, bits=self.bits)
            data[at - self.DATA : at - self.DATA + len(packed)] = packed
        for at, name_text in self.names.items():
            data[at - self.DATA : at - self.DATA + len(name_text)] = name_text
        pieces = [
            w.Piece(start=self.at + self.DYNAMIC, data=self.dynamic),
            w.Piece(start=self.DATA, data=bytes(data)),
        ]
        machine = X86_64 if self.bits == 64 else I386
        return opened(w.core(memory=pieces, machine=machine))[1]

    def map(self) -> list[tuple[int, int, int, str]]:
        libraries = {"/lib/liba.so": Image("/lib/liba.so", self.library)}
        rows = link_map(self.memory(), self.image, self.at, libraries.get)
        return [(f.start, f.end, f.offset, f.path) for f in rows]

    def libraries(self) -> list[tuple[int, str]]:
        return list(loaded_libraries(self.memory(), self.image, self.at))

    def own_rows(self) -> list[tuple[int, int, int, str]]:
        at = self.at
        return [
            (at, at + 0x4000, 0, "/opt/program"),
            (at + 0x4000, at + 0x6000, 0x4000, "/opt/program"),
        ]


@pytest.mark.parametrize("bits", [64, 32])
def test_the_list_of_the_dynamic_linker(bits: int) -> None:
    program = Program(bits=bits)
    base = program.base
    assert program.map() == [
        *program.own_rows(),
        (base, base + 0x4000, 0, "/lib/liba.so"),
        (base + 0x4000, base + 0x6000, 0x4000, "/lib/liba.so"),
    ]


@pytest.mark.parametrize("bits", [64, 32])
def test_bases_and_names_of_the_libraries(bits: int) -> None:
    # the program itself has no name; the vDSO has one, though there is no such file
    program = Program(bits=bits)
    assert program.libraries() == [
        (program.base, "/lib/liba.so"),
        (0x7000_0000, "linux-vdso.so.1"),
    ]


def test_libraries_come_in_the_order_of_the_linker() -> None:
    program, data = Program(), Program.DATA
    program.nodes[data + 0x200] = (0x7FFF_0000_0000, data + 0x900, data + 0x300)
    program.nodes[data + 0x300] = (program.base, data + 0x800, 0)
    assert [name for _, name in program.libraries()] == ["linux-vdso.so.1", "/lib/liba.so"]


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ((0, Program.DATA + 0x800), []),  # no base
        ((Program.BASE, 0), []),  # no name
        ((Program.BASE, Program.DATA + 0x8FF), []),  # an empty one
        ((Program.BASE, 0xDEAD_0000), []),  # one that was not dumped
        ((1, Program.DATA + 0x800), [(1, "/lib/liba.so")]),
        (((1 << 64) - 1, Program.DATA + 0x800), [((1 << 64) - 1, "/lib/liba.so")]),
    ],
)
def test_libraries_without_base_or_name_are_passed_over(
    node: tuple[int, int], expected: list[tuple[int, str]]
) -> None:
    program, data = Program(), Program.DATA
    program.nodes[data + 0x200] = (*node, data + 0x300)
    assert program.libraries() == [*expected, (0x7000_0000, "linux-vdso.so.1")]


@pytest.mark.parametrize("following", [0x100, 0x200, 0x300])
def test_each_library_of_a_circle_comes_once(following: int) -> None:
    program, data = Program(), Program.DATA
    program.nodes[data + 0x300] = (0x7000_0000, data + 0x900, data + following)
    assert len(program.libraries()) == 2


def test_a_program_without_list_has_no_libraries() -> None:
    static = Program()
    static.image = Image("/opt/program", w.image())
    not_yet = Program()
    not_yet.debug = b""
    assert static.libraries() == not_yet.libraries() == Program(debug=False).libraries() == []


def test_names_of_libraries_are_cut_and_may_hold_anything() -> None:
    program, data = Program(), Program.DATA
    program.names[data + 0x800] = b"/\xff/../\n" + b"x" * 0xF0
    (_, name), _ = program.libraries()
    assert name.startswith("/\ufffd/../\nxxx")
    assert len(name) <= 4096


def test_segments_that_do_not_begin_at_a_page() -> None:
    data = w.elf(
        [
            w.Segment(vaddr=0x400000, offset=0, file_size=0x345),
            w.Segment(vaddr=0x401DB0, offset=0xDB0, file_size=0x300, memory_size=0x900),
            w.Segment(vaddr=0x404010, offset=0x1010, file_size=0),
        ]
    )
    rows = link_map(opened(w.core())[1], Image("/static", data), 0, lambda name: None)
    assert [(f.start, f.end, f.offset) for f in rows] == [
        (0x400000, 0x401000, 0),
        (0x401000, 0x403000, 0),
        (0x404000, 0x405000, 0x1000),
    ]


def test_a_static_program_is_alone() -> None:
    program = Program()
    program.image = Image("/opt/program", w.image())
    assert program.map() == program.own_rows()


def test_a_program_whose_linker_has_not_run_yet_is_alone() -> None:
    program = Program()
    program.dynamic = w.words(21, 0, 0, 0)
    assert program.map() == program.own_rows()


def test_a_program_without_the_entry_for_debuggers_is_alone() -> None:
    assert (program := Program(debug=False)).map() == program.own_rows()


def test_a_dynamic_section_without_end_is_left() -> None:
    program = Program()
    program.dynamic = w.words(*[1, 1] * 5000, 21, Program.DATA)
    assert program.map() == program.own_rows()


def test_a_dynamic_section_that_was_not_dumped_is_left() -> None:
    program = Program()
    program.dynamic = b""
    assert program.map() == program.own_rows()


def test_a_list_that_runs_in_circles_ends() -> None:
    program = Program()
    data = Program.DATA
    program.nodes[data + 0x300] = (0x7000_0000, data + 0x900, data + 0x200)
    assert len(program.map()) == 4


def test_a_list_that_ends_in_nothing_keeps_what_it_had() -> None:
    program = Program()
    data = Program.DATA
    program.nodes[data + 0x200] = (program.base, data + 0x800, 0xDEAD_0000)
    assert len(program.map()) == 4


def test_a_list_with_thousands_of_nodes_is_cut() -> None:
    # GIVEN 5,000 nodes, each of them with the library at another address
    count, data = 5000, Program.DATA
    program = Program()
    nodes = bytearray()
    for i in range(count):
        following = data + 0x1000 + 32 * (i + 1)
        nodes += w.words(AT + 0x10_0000 * (i + 1), data, 0, following)
    pieces = [
        w.Piece(start=AT + Program.DYNAMIC, data=w.words(21, data + 0x100)),
        w.Piece(start=data, data=b"/lib/liba.so".ljust(0x100, b"\0") + w.words(1, data + 0x1000)),
        w.Piece(start=data + 0x1000, data=bytes(nodes)),
    ]
    _, memory = opened(w.core(memory=pieces))
    library = Image("/lib/liba.so", program.library)
    rows = link_map(memory, program.image, AT, lambda name: library)
    assert len(rows) == 2 + 2 * 4096
    assert len(list(loaded_libraries(memory, program.image, AT))) == 4096


def test_a_library_goes_by_the_name_that_the_process_knew() -> None:
    program = Program()
    libraries = {"/lib/liba.so": Image("/sysroot/lib/liba.so", program.library)}
    rows = link_map(program.memory(), program.image, program.at, libraries.get)
    assert {row.path for row in rows} == {"/opt/program", "/lib/liba.so"}


def test_libraries_that_are_not_here_are_left_out() -> None:
    program = Program()
    program.names[Program.DATA + 0x800] = b"/lib/libb.so"
    assert program.map() == program.own_rows()


def test_the_bias_is_how_far_the_entry_point_moved() -> None:
    program = Image("/opt/program", w.image())
    facts, _ = opened(w.core(auxv={9: AT + w.CODE}))
    assert load_bias(facts, program) == AT
    facts, _ = opened(w.core(auxv={}))
    assert load_bias(facts, program) == 0


def test_rows_are_what_the_kernel_would_have_said() -> None:
    # the same shape as NT_FILE: so that nothing else has to know the difference
    rows = link_map(opened(w.core())[1], Image("/a", w.image()), AT, lambda name: None)
    assert rows[0] == MappedFile(start=AT, end=AT + 0x4000, offset=0, path="/a")
