"""Which cores may share a gdb, told by their files and by what they say of their program."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from evdiag.adapters.gdb import find
from evdiag.adapters.gdb.find import marks
from evdiag.adapters.gdb.scene import Scene, exchange_core, laid_out
from evdiag.adapters.gdb.sets import FileMarks, linked
from evdiag.errors import GdbUnusable
from evdiag.model.machine import AARCH64, X86_64
from evdiag.parse.elf import read_header, read_segments
from tests.support import elfwriter as w

BIAS = 0x5555_5555_4000
LIBRARY, OTHER = "/usr/lib/a/../liba.so", "/usr/lib/libb.so"
AT_PHDR, AT_ENTRY = 3, 9
FOUND = frozenset({"/usr/lib/liba.so"})
"""Of these libraries, the one that is here."""
DYNAMIC, HEAP = 0x2000, 0x7F00_0000_0000


def written(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


# -- files


def scene_of(folder: Path, **more: Path) -> Scene:
    """A core and its files below a folder."""
    return Scene(
        core=folder / "core",
        machine=X86_64,
        program=folder / "program",
        libraries=((OTHER, str(more.get("library", folder / "libb.so"))),),
    )


@pytest.fixture
def first(tmp_path: Path) -> Path:
    folder = tmp_path / "first"
    written(folder / "program", w.image(build_id=b"program1"))
    written(folder / "libb.so", w.image(build_id=b"library1"))
    return folder


def test_copies_are_the_same_files(first: Path, tmp_path: Path) -> None:
    second = shutil.copytree(first, tmp_path / "second")
    files = FileMarks()

    assert files.set_of(scene_of(first)) == files.set_of(scene_of(second))
    assert FileMarks().set_of(scene_of(second)) == files.set_of(scene_of(first))  # in another run


def test_another_build_is_another_file(first: Path, tmp_path: Path) -> None:
    other = written(tmp_path / "libb.so", w.image(build_id=b"library2"))
    files = FileMarks()

    assert files.set_of(scene_of(first)) != files.set_of(scene_of(first, library=other))


def test_a_file_that_only_says_it_is_the_same_is_not(first: Path, tmp_path: Path) -> None:
    forged = w.image(build_id=b"library1", code=b"\xcc" * 0x2000)
    other = written(tmp_path / "libb.so", forged)
    assert len(forged) == (first / "libb.so").stat().st_size
    files = FileMarks()

    assert files.set_of(scene_of(first)) != files.set_of(scene_of(first, library=other))


def test_a_first_file_that_is_gone_is_like_nothing(first: Path, tmp_path: Path) -> None:
    other = shutil.copy(first / "libb.so", tmp_path / "libb.so")
    files = FileMarks()
    mark = files.mark(first / "libb.so")
    (first / "libb.so").unlink()

    assert files.mark(Path(other)) not in (None, mark)
    assert files.mark(first / "libb.so") is None
    assert files.mark(Path("\0")) is None
    assert files.mark(Path("x" * 5000)) is None


def test_files_without_build_id_are_told_by_their_place_and_time(tmp_path: Path) -> None:
    one = written(tmp_path / "one", w.image(build_id=None))
    two = written(tmp_path / "two", w.image(build_id=None))
    text = written(tmp_path / "text", b"no program")
    files = FileMarks()

    before = files.mark(one)
    assert len({before, files.mark(two), files.mark(text)}) == 3
    assert files.mark(one) == before
    os.utime(one, ns=(1, 1))
    assert files.mark(one) != before


def test_a_library_under_another_name_makes_another_set(first: Path) -> None:
    scene = scene_of(first)
    files = FileMarks()
    other = Scene(
        core=scene.core,
        machine=X86_64,
        program=scene.program,
        libraries=(("/opt/libb.so", str(first / "libb.so")),),
    )
    foreign = Scene(
        core=scene.core, machine=AARCH64, program=scene.program, libraries=scene.libraries
    )

    assert len({files.set_of(scene), files.set_of(other), files.set_of(foreign)}) == 3


def test_the_next_core_takes_the_place_of_the_last_one(first: Path, tmp_path: Path) -> None:
    written(first / "core", b"first")
    following = written(tmp_path / "second core", b"second")
    scene = scene_of(first)

    with laid_out(scene) as folder:
        assert (folder / "core").read_bytes() == b"first"
        exchange_core(Scene(core=following, machine=X86_64, program=None), folder)
        assert (folder / "core").read_bytes() == b"second"
        exchange_core(Scene(core=tmp_path / "gone", machine=X86_64, program=None), folder)
        assert not (folder / "core").exists()  # not the one before
        (folder / "core").mkdir()
        with pytest.raises(GdbUnusable, match="cannot be changed"):
            exchange_core(scene, folder)


# -- where the program and its libraries lie


def program(*, kind: int = w.ET_DYN, dynamic: bool = True) -> bytes:
    """A program with a dynamic section, in which the dynamic linker writes."""
    more = [w.Segment(type=w.PT_DYNAMIC, vaddr=DYNAMIC, offset=DYNAMIC)] if dynamic else []
    return w.image(kind=kind, segments=more)


def linked_core(
    data: bytes,
    *,
    auxv: Mapping[int, int] | None = None,
    names: Sequence[str] = ("linux-vdso.so.1", LIBRARY, OTHER),
    headers: bytes | None = None,
    bias: int = BIAS,
) -> bytes:
    """A core of a program with libraries of these names; `headers` are the program's in memory."""
    header = read_header(data)
    begin = header.segments_at
    found = {AT_PHDR: bias + begin, AT_ENTRY: bias + header.entry}
    memory = []
    if headers is not None:
        memory.append(w.Piece(start=bias, data=data[:begin] + headers))
    texts = b"".join(name.encode() + b"\0" for name in names)
    nodes, at_texts = b"", HEAP + 0x1000
    for i, name in enumerate(names):
        following = HEAP + 0x100 + 32 * (i + 1) if i + 1 < len(names) else 0
        nodes += w.words(0x7F11_0000_0000 + i, at_texts, 0, following)
        at_texts += len(name) + 1
    debug = w.words(1, HEAP + 0x100 if names else 0)
    memory += [
        w.Piece(start=bias + DYNAMIC, data=w.words(21, HEAP, 0, 0)),
        w.Piece(start=HEAP, data=debug.ljust(0x100, b"\0") + nodes),
        w.Piece(start=HEAP + 0x1000, data=texts.ljust(0x100, b"\0")),
    ]
    return w.core(auxv=found | dict(auxv or {}), memory=memory)


def of(folder: Path, data: bytes, core: bytes) -> frozenset[str] | None:
    scene = Scene(
        core=written(folder / "core", core),
        machine=X86_64,
        program=written(folder / "program", data),
        libraries=((LIBRARY, "liba.so"), ("/usr/lib/other.so", "other.so")),
    )
    return linked(scene)


def test_libraries_that_are_here_have_to_be_found(tmp_path: Path) -> None:
    assert of(tmp_path, program(), linked_core(program())) == FOUND


def test_program_headers_in_memory_have_to_be_the_files(tmp_path: Path) -> None:
    data = program()
    header = read_header(data)
    own = data[header.segments_at : header.segments_at + 56 * len(read_segments(data, header))]

    assert of(tmp_path, data, linked_core(data, headers=own)) == FOUND
    other = own[:-1] + b"\1"
    assert of(tmp_path, data, linked_core(data, headers=other)) is None


@pytest.mark.parametrize(
    "auxv", [{AT_ENTRY: 0}, {AT_ENTRY: BIAS + w.CODE + 8}, {AT_PHDR: 0}, {AT_PHDR: BIAS + 65}]
)
def test_a_core_that_does_not_tell_where_its_program_lies(
    auxv: dict[int, int], tmp_path: Path
) -> None:
    data = program()

    assert of(tmp_path, data, linked_core(data, auxv=auxv)) is None


def test_a_program_that_cannot_move_needs_no_telling(tmp_path: Path) -> None:
    data = program(kind=w.ET_EXEC)
    core = linked_core(data, bias=0, auxv={AT_PHDR: 1})

    assert of(tmp_path, data, core) == FOUND


def test_a_list_of_libraries_that_cannot_be_read(tmp_path: Path) -> None:
    assert of(tmp_path, program(), linked_core(program(), names=())) is None
    static = program(dynamic=False)
    assert of(tmp_path, static, linked_core(static)) == frozenset()


def test_files_that_are_none(tmp_path: Path) -> None:
    data = program()
    assert of(tmp_path, data, b"no core") is None
    assert of(tmp_path, b"no program", linked_core(data)) is None
    assert linked(Scene(core=tmp_path / "core", machine=X86_64, program=None)) is None
    gone = tmp_path / "gone"
    assert linked(Scene(core=tmp_path / "core", machine=X86_64, program=gone)) is None


# -- which gdb


def test_a_gdb_is_told_by_its_file(tmp_path: Path) -> None:
    gdb = written(tmp_path / "gdb", b"#!/bin/sh\n")
    gdb.chmod(0o755)
    (before,) = marks(f"{gdb} --option", X86_64)
    gdb.write_bytes(b"#!/bin/sh\n\n")
    (after,) = marks(f"{gdb} --option", X86_64)

    assert before != after
    assert before.endswith(" --option")


def test_a_gdb_of_a_package_is_told_by_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(find, "WHEEL", "msgspec")  # any package that is there
    gdb = written(tmp_path / "gdb", b"")
    gdb.chmod(0o755)

    (mark,) = marks(f"{gdb} -m msgspec.gdb", X86_64)

    size, written_at = mark.rpartition(" msgspec.gdb:")[2].split(":")
    assert int(size) > 0
    assert int(written_at) > 0
