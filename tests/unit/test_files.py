"""Files of this machine: sources for the report, and output that is whole or absent."""

from pathlib import Path

import pytest

from evdiag.adapters.files import MAX_SOURCE, source_lines, write_text
from evdiag.errors import OutputNotWritten


def test_the_lines_around_a_line(tmp_path: Path) -> None:
    source = tmp_path / "a.cpp"
    source.write_bytes(b"one\r\ntwo\nthr\xffee\nfour\nfive\n")

    assert source_lines(source, 3, 1) == [(2, "two"), (3, "thr\ufffdee"), (4, "four")]
    assert source_lines(source, 1, 1) == [(1, "one"), (2, "two")]
    assert source_lines(source, 6, 1) == []


@pytest.mark.parametrize("name", ["passwd", "id_rsa", "secrets.env", "key.pem", "a.json"])
def test_a_program_cannot_make_the_report_show_other_files(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("secret\n")
    assert source_lines(tmp_path / name, 1, 1) == []


def test_what_is_no_usable_source(tmp_path: Path) -> None:
    (tmp_path / "folder.cpp").mkdir()
    huge = tmp_path / "huge.cpp"
    with huge.open("wb") as file:
        file.truncate(MAX_SOURCE + 1)

    assert source_lines(tmp_path / "missing.cpp", 1, 1) == []
    assert source_lines(tmp_path / "folder.cpp", 1, 1) == []
    assert source_lines(huge, 1, 1) == []
    assert source_lines(tmp_path / ("x" * 300 + ".cpp"), 1, 1) == []


def test_a_report_is_written_whole_and_private(tmp_path: Path) -> None:
    target = tmp_path / "report.md"
    target.write_text("old")

    write_text(target, "new \udcff")

    assert target.read_text() == "new ?"
    assert target.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_a_report_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "folder"
    target.mkdir()

    with pytest.raises(OutputNotWritten, match="cannot be written"):
        write_text(target, "text")

    assert list(tmp_path.iterdir()) == [target]
