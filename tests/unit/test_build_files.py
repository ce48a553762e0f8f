"""The build context as a tar: what is in it, in which order, and byte for byte the same."""

import io
import os
import tarfile
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from evdiag.adapters.container_files import (
    PIECE,
    TIME,
    context_folder,
    entries,
    pieces,
    read_dockerfile,
    survey,
)
from evdiag.errors import BuildFailed, UsageError


def members(folder: Path, sources: Path | None = None) -> dict[str, tarfile.TarInfo]:
    data = b"".join(pieces(folder, sources))
    with tarfile.open(fileobj=io.BytesIO(data), errorlevel=2) as tar:
        return {member.name: member for member in tar}


def write(folder: Path, files: Iterable[str]) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(os.fsencode(name))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = write(tmp_path / "context", ["Dockerfile", "start.sh", "sources/README.md", "a/b/c.c",
                                        "a/__pycache__/x.pyc", "__pycache__/y.pyc"])  # fmt: skip
    (made / "start.sh").chmod(0o700)
    (made / "a").chmod(0o775)
    (made / "Dockerfile").chmod(0o666)
    (made / "sources").chmod(0o775)
    (made / "sources/README.md").chmod(0o664)
    return made


def test_own_files_have_the_modes_that_git_knows(folder: Path) -> None:
    found = members(folder)

    assert {name: member.mode for name, member in found.items()} == {
        "Dockerfile": 0o644, "a": 0o755, "a/b": 0o755, "a/b/c.c": 0o644,
        "sources": 0o755, "sources/README.md": 0o644,
        "start.sh": 0o755,
    }  # fmt: skip
    about = {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in found.values()}
    assert about == {(0, 0, "root", "root", TIME)}
    assert list(found) == sorted(found)


def test_the_same_files_give_the_same_bytes(folder: Path) -> None:
    first = b"".join(pieces(folder))
    os.utime(folder / "start.sh", (1, 1))
    (folder / "__pycache__/z.pyc").write_text("new")

    assert b"".join(pieces(folder)) == first
    assert len(first) % tarfile.RECORDSIZE == 0


def test_what_dockerignore_leaves_out_is_not_sent(folder: Path) -> None:
    (folder / ".dockerignore").write_text("*\n!sources\n!a/b\n")
    write(folder, ["notes.txt", "a/x", "sources/everest/a.o"])

    assert list(members(folder)) == [
        ".dockerignore", "Dockerfile", "a/b", "a/b/c.c", "sources", "sources/README.md",
        "sources/everest", "sources/everest/a.o",
    ]  # fmt: skip


def test_own_source_trees_are_sent_as_they_are(folder: Path, tmp_path: Path) -> None:
    (folder / ".dockerignore").write_text("*\n!sources\nsources/**/*.o\n")
    odd = os.fsdecode(b"o\xffdd \n^name")
    long = "n" * 150
    own = write(tmp_path / "my ^sources.d", [f"everest/{odd}", "everest/.git/HEAD", "everest/x.o",
                                             f"everest/{long}/{long}", "README"])  # fmt: skip
    (own / "everest/.git/HEAD").chmod(0o444)
    (own / "everest/link").symlink_to("../nowhere/")
    write(tmp_path / "elsewhere", ["CMakeLists.txt"])
    (own / "libfmt").symlink_to(tmp_path / "elsewhere")

    found = members(folder, own)

    below = {name.removeprefix("sources/") for name in found if name.startswith("sources/")}
    assert below == {
        "README", "everest", f"everest/{odd}", "everest/.git", "everest/.git/HEAD", "everest/x.o",
        f"everest/{long}", f"everest/{long}/{long}", "everest/link", "libfmt",
        "libfmt/CMakeLists.txt",
    }  # fmt: skip
    assert found["sources/everest/.git/HEAD"].mode == 0o444
    assert found["sources/everest/link"].linkname == "../nowhere/"
    assert found["sources/libfmt"].isdir()


def test_sockets_and_pipes_are_left_out(folder: Path, tmp_path: Path) -> None:
    own = write(tmp_path / "own", ["everest/x"])
    os.mkfifo(own / "everest/pipe")

    listed = {entry.name: entry.is_special for entry in entries(folder, own)}
    assert listed["sources/everest/pipe"]
    assert not listed["sources/everest/x"]
    assert "sources/everest/pipe" not in members(folder, own)


def test_a_file_that_changes_meanwhile(folder: Path) -> None:
    large = folder / "a/large"
    large.write_bytes(b"x" * (3 * PIECE))
    sent = pieces(folder)
    next(sent)
    os.truncate(large, 10)

    with pytest.raises(BuildFailed, match="a/large became shorter"):
        for _ in sent:
            pass


def test_what_cannot_be_read(folder: Path, tmp_path: Path) -> None:
    found = entries(folder)
    next(found)
    (folder / "start.sh").unlink()
    with pytest.raises(UsageError, match=r"start\.sh cannot be read: No such file"):
        list(found)
    own = tmp_path / "own"
    own.mkdir()
    sent = pieces(folder, own)
    own.rmdir()
    with pytest.raises(UsageError, match="own cannot be read"):
        list(sent)


def test_a_large_file_takes_no_memory(folder: Path) -> None:
    with (folder / "a/large").open("wb") as file:
        file.truncate(64 * PIECE)
    tracemalloc.start()
    try:
        total = sum(len(piece) for piece in pieces(folder))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert total > 64 * PIECE
    assert peak < 8 * PIECE


def test_a_folder_of_sources(tmp_path: Path) -> None:
    own = write(tmp_path / "own", ["everest/CMakeLists.txt", "everest/dependencies.yaml", "x/y",
                                   ".hidden/z", "file"])  # fmt: skip
    found = survey(own)

    assert {tree.name: tree.has_cmake for tree in found.trees} == {"everest": True, "x": False}
    assert found.names == {"everest", "x", ".hidden", "file"}
    assert found.dependencies == "everest/dependencies.yaml"
    assert survey(own / "everest").dependencies is None
    for wrong, why in ((own / "file", "is no folder"), (own / "none", "does not exist")):
        with pytest.raises(UsageError, match=why):
            survey(wrong)


def test_the_context_of_the_checkout() -> None:
    folder = context_folder()

    assert "AS runtime" in read_dockerfile(folder)
    names = [entry.name for entry in entries(folder)]
    assert {"Dockerfile", "capture/core.c", "sources/README.md"} <= set(names)
    with pytest.raises(UsageError, match="no Dockerfile"):
        read_dockerfile(folder / "capture")
