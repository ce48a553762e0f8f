"""Addresses of the crashed process: files, modules, images, the vDSO."""

from collections.abc import Sequence

from evdiag.analyze.space import VDSO, AddressSpace
from evdiag.model.core import MappedFile
from evdiag.parse.elfcore import read_core
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import MappedModule, mapped_modules
from tests.support import elfwriter as w

AT, OTHER, VDSO_AT = 0x7F00_0000_0000, 0x7F00_1000_0000, 0x7FFD_0000_0000
LIBRARY = w.image(code=bytes(range(256)) * 32)


def library_core(
    *,
    path: str = "/lib/liba.so",
    memory: Sequence[w.Piece] = (),
    auxv: dict[int, int] | None = None,
) -> bytes:
    """A core with one library at AT."""
    return w.core(
        files=w.mapped(path, LIBRARY, AT),
        memory=[*w.code_pieces(LIBRARY, AT), *memory],
        auxv=auxv,
    )


def space_with(files: dict[str, bytes]) -> AddressSpace:
    return w.address_space(library_core(), files)


def test_the_file_at_an_address() -> None:
    space = space_with({})
    assert space.file_at(AT) == MappedFile(start=AT, end=AT + 0x4000, offset=0, path="/lib/liba.so")
    last = space.file_at(AT + 0x5FFF)
    assert last is not None
    assert last.offset == 0x4000
    assert space.file_at(AT - 1) is None
    assert space.file_at(AT + 0x6000) is None


def test_the_module_at_an_address() -> None:
    space = space_with({})
    module = space.module_at(AT + 0x5000)
    assert module is not None
    assert (module.path, module.start, module.end) == ("/lib/liba.so", AT, AT + 0x6000)
    assert space.module_at(AT - 1) is None


def test_a_deleted_file_is_known_by_its_name() -> None:
    dump = library_core(path="/opt/module (deleted)")
    space = w.address_space(dump, {"/opt/module": LIBRARY})
    module = space.module_at(AT + 0x4000)
    assert module is not None
    assert module.path == "/opt/module"
    image, vaddr = space.locate(AT + 0x4010)
    assert image is not None
    assert (image.path, vaddr) == ("/opt/module", 0x4010)


def test_a_mapped_file_that_is_no_module() -> None:
    row = w.MappedRow(AT, AT + 0x1000, 0, "/data")
    dump = w.core(files=[row], memory=[w.Piece(start=AT, data=b"text")])
    space = w.address_space(dump, {})
    assert space.file_at(AT) is not None
    assert space.module_at(AT) is None
    assert space.locate(AT) == (None, AT)
    assert space.memory.read(AT + 0x10, 4) == b""


def test_an_address_in_the_file_of_its_module() -> None:
    space = space_with({"/lib/liba.so": LIBRARY})
    image, vaddr = space.locate(AT + 0x4123)
    assert image is not None
    assert (image.path, vaddr) == ("/lib/liba.so", 0x4123)


def test_an_address_of_a_program_at_a_fixed_place() -> None:
    program = w.image(base=0x400000, kind=w.ET_EXEC)
    dump = w.core(
        files=w.mapped("/bin/a", program, 0x400000), memory=w.code_pieces(program, 0x400000)
    )
    image, vaddr = w.address_space(dump, {"/bin/a": program}).locate(0x404010)
    assert image is not None
    assert vaddr == 0x404010


def test_an_address_without_a_file_stays_as_it_is() -> None:
    space = space_with({"/lib/liba.so": LIBRARY})
    assert space.locate(0x1234) == (None, 0x1234)


def test_a_module_whose_file_is_not_here() -> None:
    assert space_with({}).locate(AT + 0x4123) == (None, AT + 0x4123)


def test_an_address_behind_the_segments_of_the_file() -> None:
    # GIVEN a mapping longer than the file that is here
    rows = [w.MappedRow(AT, AT + 0x9000, 0, "/lib/liba.so")]
    dump = w.core(files=rows, memory=w.code_pieces(LIBRARY, AT))
    space = w.address_space(dump, {"/lib/liba.so": LIBRARY})
    assert space.locate(AT + 0x8000) == (None, AT + 0x8000)


def test_each_file_is_opened_once_and_only_when_it_is_needed() -> None:
    dump = w.core(
        files=[*w.mapped("/a", LIBRARY, AT), *w.mapped("/b", LIBRARY, OTHER)],
        memory=[*w.code_pieces(LIBRARY, AT), *w.code_pieces(LIBRARY, OTHER)],
    )
    facts = read_core(dump)
    memory = Memory(dump, facts)
    opened: list[str] = []

    def open_image(module: MappedModule) -> Image | None:
        opened.append(module.path)
        return Image(module.path, LIBRARY) if module.path == "/a" else None

    space = AddressSpace(
        facts, memory, facts.files, mapped_modules(facts.files, memory), open_image
    )
    assert opened == []
    for offset in (0x4000, 0x4001, 0x4000):
        space.locate(AT + offset)
    assert opened == ["/a"]
    space.locate(OTHER + 0x4000)
    space.locate(OTHER + 0x4001)  # that it is not here is remembered, too
    assert opened == ["/a", "/b"]


# -- memory that was not dumped


def test_pages_that_were_not_dumped_come_from_the_file() -> None:
    space = space_with({"/lib/liba.so": LIBRARY})
    assert space.memory.read(AT + 0x4010, 4) == b"\x10\x11\x12\x13"
    assert space.memory.word(AT + 0x4010) == 0x1716151413121110


def test_what_the_core_has_wins_over_the_file() -> None:
    # GIVEN a page into which a debugger has put a breakpoint
    page = w.Piece(start=AT + 0x4000, data=b"\xcc" * 0x1000, flags=5, size=0x2000)
    dump = w.core(
        files=w.mapped("/lib/liba.so", LIBRARY, AT),
        memory=[w.code_pieces(LIBRARY, AT)[0], page],
    )
    space = w.address_space(dump, {"/lib/liba.so": LIBRARY})
    assert space.memory.read(AT + 0x4010, 2) == b"\xcc\xcc"
    assert space.memory.read(AT + 0x5010, 2) == b"\x10\x11"


def test_reading_ends_with_the_mapping() -> None:
    space = space_with({"/lib/liba.so": LIBRARY})
    assert space.memory.read(AT + 0x5FFE, 100) == b"\xfe\xff"
    assert space.memory.read(AT + 0x6000, 100) == b""


def test_without_the_file_there_is_nothing() -> None:
    assert space_with({}).memory.read(AT + 0x4010, 4) == b""


# -- the vDSO


def vdso_space(data: bytes, *, auxv: dict[int, int] | None = None, size: int = 0) -> AddressSpace:
    piece = w.Piece(start=VDSO_AT, data=data, flags=5, size=size or len(data))
    return w.address_space(library_core(memory=[piece], auxv=auxv or {33: VDSO_AT}), {})


def test_the_vdso_lies_in_the_core() -> None:
    vdso = w.image(entries=[w.Cie(), w.Fde(start=w.CODE, size=0x10)])
    image, vaddr = vdso_space(vdso).locate(VDSO_AT + 0x4008)
    assert image is not None
    assert (image.path, vaddr) == (VDSO, 0x4008)
    assert image.tables[0].find(0x4008) is not None


def test_a_vdso_with_an_address_of_its_own() -> None:
    # old kernels linked it to a fixed address and mapped it elsewhere
    image, vaddr = vdso_space(w.image(base=0x7000_0000)).locate(VDSO_AT + 0x4008)
    assert image is not None
    assert vaddr == 0x7000_4008


def test_addresses_beside_the_vdso() -> None:
    vdso = w.image()
    space = vdso_space(vdso)
    assert space.locate(VDSO_AT - 1) == (None, VDSO_AT - 1)
    assert space.locate(VDSO_AT + len(vdso)) == (None, VDSO_AT + len(vdso))


def test_a_vdso_that_is_none() -> None:
    assert vdso_space(b"no ELF file").vdso is None
    assert vdso_space(b"", size=0x1000).vdso is None
    assert vdso_space(w.image(), auxv={33: 0x1234}).vdso is None
    assert vdso_space(w.image(), auxv={9: 1}).vdso is None
