"""The cache of symbols is bounded, and cleans up after processes that were killed."""

import os
from pathlib import Path

from evdiag.adapters.files import make_room


def _file(path: Path, size: int, age: int) -> Path:
    path.write_bytes(b"x" * size)
    then = path.stat().st_mtime - age
    os.utime(path, (then, then))
    return path


def test_what_was_used_least_recently_goes_first(tmp_path: Path) -> None:
    old = _file(tmp_path / "old.symcache", 400, age=30)
    used = _file(tmp_path / "used.symcache", 400, age=10)
    new = _file(tmp_path / "new.symcache", 400, age=0)

    make_room(tmp_path, 900)

    assert not old.exists()
    assert used.exists()
    assert new.exists()


def test_the_file_just_made_stays_even_if_it_is_too_large(tmp_path: Path) -> None:
    old = _file(tmp_path / "old.symcache", 10, age=30)
    large = _file(tmp_path / "large.symcache", 5_000, age=60)

    make_room(tmp_path, 1_000, keep=large)

    assert large.exists()
    assert not old.exists()


def test_files_of_killed_processes_go_after_an_hour(tmp_path: Path) -> None:
    abandoned = _file(tmp_path / ".a.symcache.12.34.new", 10, age=4_000)
    being_written = _file(tmp_path / ".b.symcache.56.78.new", 10, age=5)

    make_room(tmp_path, 1_000)

    assert not abandoned.exists()
    assert being_written.exists()
