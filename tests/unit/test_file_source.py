"""Files of a crashed system: links stay inside, and only what begins like the wanted file comes."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.adapters.file_source import (
    HEAD,
    MAX_LINKS,
    FolderFiles,
    NoFiles,
    NotHad,
    begun_well,
    of_source,
)
from evdiag.adapters.source_files import MAX_FOLDERS, maps_for_gdb, source_paths
from evdiag.errors import EngineTimeout, EngineUnreachable, NoSuchContainer
from evdiag.parse.image import Image
from tests.support import elfwriter as w


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "root"
    (inside / "usr/lib").mkdir(parents=True)
    (inside / "usr/lib/x.so.1").write_bytes(b"inside")
    (tmp_path / "outside").write_bytes(b"outside")
    return inside


def content(root: Path, path: str) -> bytes:
    return b"".join(FolderFiles(root).open(path))


def test_a_file_by_its_path(root: Path) -> None:
    assert content(root, "/usr/lib/x.so.1") == b"inside"
    assert content(root, "/usr/./lib//x.so.1") == b"inside"
    status = FolderFiles(root).status("/usr/lib/x.so.1")
    assert (status.size, status.modified) == (6, (root / "usr/lib/x.so.1").stat().st_mtime)
    assert FolderFiles(root).name == str(root)


def test_links_are_followed_as_the_crashed_system_would(root: Path) -> None:
    (root / "lib").symlink_to("usr/lib/")
    (root / "usr/lib/x.so").symlink_to("/lib/x.so.1")
    (root / "usr/lib/up.so").symlink_to("../../../../../lib/./x.so")
    assert content(root, "/lib/x.so") == b"inside"
    assert content(root, "/lib/up.so") == b"inside"


@pytest.mark.parametrize("target", ["../../outside", "/../outside", "/../../../../outside"])
def test_no_link_leads_out(root: Path, target: str) -> None:
    (root / "evil").symlink_to(target)
    with pytest.raises(FileNotFoundError):
        content(root, "/evil")
    with pytest.raises(FileNotFoundError):
        content(root, "/../outside")


def test_what_is_no_regular_file_is_none(root: Path) -> None:
    os.mkfifo(root / "pipe")
    (root / "loop").symlink_to("loop")
    at = "/usr/lib/x.so.1"
    for number in range(MAX_LINKS + 1):
        (root / f"link{number}").symlink_to(at)
        at = f"/link{number}"
    for path in ("/usr/lib", "/pipe", "/loop", "/none", "/usr/lib/x.so.1/y", "/a\0b", at):
        with pytest.raises(FileNotFoundError):
            FolderFiles(root).status(path)


def test_a_source_that_has_nothing() -> None:
    with pytest.raises(FileNotFoundError):
        NoFiles().status("/a")
    with pytest.raises(FileNotFoundError):
        NoFiles().open("/a")


# -- complaints


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (FileNotFoundError(2, "No such file"), ""),
        (PermissionError(13, "Permission denied"), "Permission denied"),
        (OSError("odd"), "odd"),
        (NoSuchContainer("removed meanwhile"), "removed meanwhile"),
    ],
)
def test_what_a_source_complains_about(error: Exception, told: str) -> None:
    with pytest.raises(NotHad) as caught, of_source():
        raise error
    assert str(caught.value) == told


@pytest.mark.parametrize("error", [EngineTimeout("slow"), EngineUnreachable("gone")])
def test_an_engine_that_is_gone_ends_everything(error: Exception) -> None:
    with pytest.raises(type(error)), of_source():
        raise error


# -- begins of files

WANTED = w.image(build_id=b"\1\2\3\4") + bytes(3 * HEAD)


def is_wanted(image: Image) -> bool:
    return image.build_id == "01020304"


def pieces(content: bytes, asked: list[int]) -> Iterator[bytes]:
    for at in range(0, len(content), 1000):
        asked.append(at)
        yield content[at : at + 1000]


def test_the_wanted_file_comes_whole() -> None:
    assert b"".join(begun_well(pieces(WANTED, []), is_wanted)) == WANTED


def test_a_file_that_has_no_build_id_at_its_begin_may_be_it() -> None:
    late = w.image(build_id=None)
    assert b"".join(begun_well(pieces(late, []), is_wanted)) == late


@pytest.mark.parametrize("other", [w.image() + bytes(9 * HEAD), b"", b"#!/bin/sh\n" * HEAD])
def test_another_file_is_known_by_its_begin(other: bytes) -> None:
    asked: list[int] = []
    with pytest.raises(NotHad, match="another build"):
        next(begun_well(pieces(other, asked), is_wanted))
    assert len(asked) <= HEAD // 1000 + 1


# -- sources


def test_where_a_source_may_be(tmp_path: Path) -> None:
    maps = (("/usr/src", "/home/me"),)
    assert list(source_paths("/usr/src/a.cpp", maps, (), None)) == [
        *(Path("/home/me/a.cpp"), Path("/usr/src/a.cpp")),
    ]
    assert list(source_paths("/a/../b.cpp", (), (tmp_path,), Path("/root"))) == [
        *(tmp_path / "b.cpp", Path("/root/a/../b.cpp")),
    ]
    assert list(source_paths("./b.cpp", (), (), None)) == []


def test_no_link_in_a_bundle_shows_a_file_of_this_machine(root: Path, tmp_path: Path) -> None:
    (root / "a.cpp").symlink_to(tmp_path / "outside")
    (root / "folder").symlink_to(tmp_path)
    (root / "b.cpp").symlink_to("usr/lib/x.so.1")
    assert list(source_paths("/a.cpp", (), (root,), None)) == []
    assert list(source_paths("/folder/outside", (), (root,), None)) == []
    assert list(source_paths("/b.cpp", (), (root,), None)) == [root / "b.cpp"]


def test_gdb_is_told_of_the_folders_of_a_bundle(tmp_path: Path) -> None:
    for name in ("usr", "build"):
        (tmp_path / name).mkdir()
    assert maps_for_gdb([tmp_path, tmp_path / "none"]) == [
        *(("/build", f"{tmp_path}/build"), ("/usr", f"{tmp_path}/usr")),
    ]
    for number in range(MAX_FOLDERS):
        (tmp_path / f"x{number}").mkdir()
    assert len(maps_for_gdb([tmp_path])) == MAX_FOLDERS
