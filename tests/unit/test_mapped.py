"""Which files make a core readable elsewhere, and where they lie in a bundle."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.adapters.files import SOURCES
from evdiag.analyze.mapped import (
    MAX_LINK,
    MAX_PATH,
    MAX_SOURCES,
    below_sources,
    below_symbols,
    debug_places,
    in_store,
    is_file,
    shared_debug_places,
    source_place,
    symbols_place,
    wanted_sources,
)
from evdiag.model.report import Frame, Report, Thread, Verdict
from evdiag.parse.bundle import is_path
from evdiag.parse.image import Image
from evdiag.parse.modules import MappedModule
from tests.support import elfwriter as w

PAGE = b"\x7fELF" + bytes(60)


def module(path: str, build_id: str | None = None, first: bytes = b"") -> MappedModule:
    return MappedModule(
        path=path, start=0x1000, end=0x2000, head=0x1000, build_id=build_id, first_bytes=first
    )


# -- places of symbols


def test_files_lie_as_gdb_and_debuginfod_lay_them_out() -> None:
    assert in_store("abcdef0123") == ".build-id/ab/cdef0123"
    assert in_store("abcdef0123", ".debug") == ".build-id/ab/cdef0123.debug"
    assert below_symbols(".build-id/ab/cd") == "symbols/.build-id/ab/cd"


@pytest.mark.parametrize("build_id", ["", "ab", "../../x", "ab/cdef", "ABCDEF", "a" * 200])
def test_what_is_no_build_id_has_no_place(build_id: str) -> None:
    assert in_store(build_id) is None


def test_a_file_without_build_id_lies_by_its_first_page() -> None:
    one, other = module("/a", first=PAGE), module("/a", first=PAGE + b"x")
    assert (symbols_place(one) or "").startswith(".first-page/")
    assert symbols_place(one) == symbols_place(module("/b", first=PAGE))
    assert symbols_place(one) != symbols_place(other)


def test_of_which_nothing_is_known_any_file_would_do_so_none_does() -> None:
    assert symbols_place(module("/a")) is None
    assert symbols_place(module("relative", build_id="abcdef")) is None
    assert symbols_place(module("/a", build_id="abcdef")) == ".build-id/ab/cdef"


@pytest.mark.parametrize(
    "path",
    [
        *("", "libc.so.6", "/a\0b", "/a\x1b[31m", "/dev/zero", "/proc/self/exe", "/sys/x"),
        *("/memfd:jit", "/SYSV00000000", "/anon_hugepage", "/[vdso]", "/a/../b", "/" + "a" * 2000),
    ],
)
def test_paths_that_nobody_is_asked_for(path: str) -> None:
    assert not is_file(path)


@pytest.mark.parametrize("path", ["/usr/lib/libc.so.6", "/opt/my module/x", "/opt/größe", "/a..b"])
def test_paths_of_files(path: str) -> None:
    assert is_file(path)


# -- separate debug information


def linked(name: bytes, build_id: bytes | None = w.images.BUILD_ID) -> Image:
    section = w.Section(name=".gnu_debuglink", data=name + b"\0\1\2\3\4")
    return Image("/a", w.image(build_id=build_id, sections=[section]))


def test_debug_files_are_looked_for_where_gdb_does() -> None:
    place = "/usr/lib/debug/.build-id/a0/a1a2a3a4a5a6a7a8a9aaabacadaeafb0b1b2b3.debug"
    assert debug_places("/usr/lib/libx.so", Image("/a", w.image())) == (place,)
    assert debug_places("/usr/lib/libx.so", linked(b"x.debug")) == (
        place,
        "/usr/lib/x.debug",
        "/usr/lib/.debug/x.debug",
        "/usr/lib/debug/usr/lib/x.debug",
    )


def test_a_link_to_the_file_itself_or_with_control_characters_is_none() -> None:
    assert debug_places("/usr/lib/libx.so", linked(b"libx.so", None)) == (
        "/usr/lib/.debug/libx.so",
        "/usr/lib/debug/usr/lib/libx.so",
    )
    assert debug_places("/usr/lib/libx.so", linked(b"a\x1b[1m", None)) == ()


def shared(content: bytes, flags: int = 0) -> tuple[str, tuple[str, ...]] | None:
    section = w.Section(name=".gnu_debugaltlink", data=content, flags=flags)
    return shared_debug_places(Image("/a", w.elf(sections=[section])))


def test_the_file_that_debug_files_share() -> None:
    place = "/usr/lib/debug/.build-id/12/3456.debug"
    assert shared(b"/usr/lib/debug/.dwz/x.debug\0\x12\x34\x56") == (
        "123456",
        (place, "/usr/lib/debug/.dwz/x.debug"),
    )
    assert shared(b"../../.dwz/x.debug\0\x12\x34\x56") == ("123456", (place,))
    assert shared(b"no build-id\0") is None
    assert shared(b"x" * 2 * MAX_LINK) is None
    assert shared(b"\2\0\0\0" + bytes(30), flags=0x800) is None  # packed in an unknown way
    assert shared_debug_places(Image("/a", w.elf())) is None


# -- sources


@pytest.mark.parametrize(
    ("file", "place"),
    [
        ("/usr/src/everest/API.cpp", "usr/src/everest/API.cpp"),
        ("./nptl/pthread_kill.c", "nptl/pthread_kill.c"),
        ("/build/../src/a.cpp", "src/a.cpp"),
        ("/src//./a.cpp", "src/a.cpp"),
        ("/src/a b.cpp", "src/a_b.cpp"),
        ("../a.cpp", None),
        ("/", None),
        ("", None),
        ("..", None),
        ("/" + "a" * MAX_PATH + "/a.cpp", None),
    ],
)
def test_where_a_source_lies(file: str, place: str | None) -> None:
    assert source_place(file) == place


@given(st.text() | st.text("./ab\\\0\x1b"))
def test_no_name_of_a_source_leads_out_of_its_folder(file: str) -> None:
    place = source_place(file)
    assert place is None or is_path(below_sources(place))


def report(*files: tuple[str, bool], frame: int = 0) -> Report:
    frames = tuple(
        Frame(level=i, kind="normal", file=file, in_app=own) for i, (file, own) in enumerate(files)
    )
    crashed = Thread(number=1, lwp=1, crashed=True, frames=frames)
    calm = Thread(
        number=2, lwp=2, frames=(Frame(level=0, kind="normal", file="/src/calm.cpp", in_app=True),)
    )
    return Report(threads=(calm, crashed), verdict=Verdict(frame=frame))


def test_the_programs_own_sources_come_first() -> None:
    one = report(("/usr/include/vector.h", False), ("/src/a.cpp", True), ("/src/b.cpp", True))
    two = report(("/src/b.cpp", True), ("/src/key.cpp", True), frame=1)
    assert wanted_sources([one, two], SOURCES) == (
        *("/src/a.cpp", "/src/b.cpp", "/src/key.cpp"),
        "/usr/include/vector.h",
    )


def test_the_frame_to_look_at_comes_before_those_within_it() -> None:
    found = wanted_sources([report(("/src/a.cpp", True), ("/src/b.cpp", True), frame=1)], SOURCES)
    assert found == ("/src/b.cpp", "/src/a.cpp")


def test_only_sources_and_not_too_many() -> None:
    hostile = report(("/etc/shadow", True), ("/root/.ssh/id_rsa", True), ("../../x.cpp", True))
    assert wanted_sources([hostile], SOURCES) == ()
    many = report(*((f"/src/{i}.cpp", True) for i in range(100)))
    assert len(wanted_sources([many], SOURCES)) == MAX_SOURCES
    assert wanted_sources([Report()], SOURCES) == ()
