"""The user's store of files by build-id: checked, bounded, and never needed."""

import os
from pathlib import Path

from evdiag.adapters.file_store import FileStore
from tests.support import elfwriter as w

ONE, TWO = "01020304", "05060708"


def made(folder: Path, build_id: str, size: int = 0) -> Path:
    file = folder / f"file-{build_id}"
    file.write_bytes(w.image(build_id=bytes.fromhex(build_id)) + bytes(size))
    return file


def test_what_was_kept_is_found(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "cache")
    file = made(tmp_path, ONE)
    store.keep(ONE, file)
    store.keep(ONE, file, ".debug")

    found = store.find(ONE)
    assert found == tmp_path / "cache/.build-id/01/020304"
    assert found is not None
    assert found.read_bytes() == file.read_bytes()
    assert found.stat().st_mode & 0o777 == 0o600
    assert store.find(ONE, ".debug") == tmp_path / "cache/.build-id/01/020304.debug"
    assert store.find(TWO) is None


def test_a_file_counts_only_under_its_own_build_id(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "cache")
    store.keep(ONE, made(tmp_path, TWO))
    assert store.find(ONE) is None
    # what has no build-id is checked by whoever put it there
    assert store.find(ONE, checked=False) is not None


def test_names_of_cores_lead_nowhere(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "cache")
    store.keep("../../x", made(tmp_path, ONE))
    assert store.find("../../x") is None
    assert not (tmp_path / "cache").exists()


def test_links_and_damaged_files_are_no_files(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    place = tmp_path / ".build-id/01/020304"
    place.parent.mkdir(parents=True)
    place.symlink_to(made(tmp_path, ONE))
    assert store.find(ONE) is None
    place.unlink()
    place.write_bytes(b"\x7fELF")
    assert store.find(ONE) is None


def test_what_was_used_least_recently_goes_first(tmp_path: Path) -> None:
    size = made(tmp_path, ONE, 30_000).stat().st_size
    store = FileStore(tmp_path / "cache", limit=2 * size + 1)
    for at, build_id in enumerate((ONE, TWO)):
        store.keep(build_id, made(tmp_path, build_id, 30_000))
        found = store.find(build_id)
        assert found is not None
        os.utime(found, (1000 + at, 1000 + at))
    assert store.find(ONE) is not None  # used now

    third = "0a0b0c0d"
    store.keep(third, made(tmp_path, third, 30_000))

    assert [store.find(each) is not None for each in (ONE, TWO, third)] == [True, False, True]


def test_what_a_killed_process_left_goes_too(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    left = tmp_path / ".build-id/01/.020304.77.1.new"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    os.utime(left, (1, 1))
    store.keep(TWO, made(tmp_path, TWO))
    assert not left.exists()


def test_a_store_that_cannot_be_written_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("not a folder")
    store = FileStore(tmp_path / "cache")
    store.keep(ONE, made(tmp_path, ONE))
    assert store.find(ONE) is None


def test_a_file_that_is_larger_than_the_store_is_not_kept(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "cache", limit=1000)
    store.keep(ONE, made(tmp_path, ONE))
    assert store.find(ONE) is None
