"""Manifests and journals of bundles, also of ones that somebody has made up."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.errors import DamagedBundle
from evdiag.model.bundle import SCHEMA, FileEntry, Manifest, Skipped, Subject
from evdiag.parse.bundle import (
    LONGEST_MANIFEST,
    MOST_FILES,
    Note,
    is_path,
    is_unchanged,
    read_journal,
    read_manifest,
    write_manifest,
    write_note,
)

HASH = "0123456789abcdef" * 4


def entry(path: str = "logs/a.log", size: int = 3, sha256: str = HASH) -> FileEntry:
    return FileEntry(path=path, kind="log", origin="/a.log", bytes=size, sha256=sha256)


def manifest(*files: FileEntry, schema: str = SCHEMA) -> Manifest:
    return Manifest(
        schema=schema, evdiag="1.0", begun=1.0, complete=True, subject=Subject(name="x"),
        files=files, skipped=(Skipped(origin="/key", reason="a key"),), problems=("no gdb",),
    )  # fmt: skip


def complaint(data: bytes) -> str:
    with pytest.raises(DamagedBundle) as caught:
        read_manifest(data)
    return str(caught.value)


def test_a_manifest_is_read_as_it_was_written() -> None:
    made = manifest(entry(), entry("cores/core", 1 << 40))
    assert read_manifest(write_manifest(made)) == made
    assert write_manifest(made).endswith(b"}\n")


def test_manifests_of_newer_versions_of_the_format_may_have_more() -> None:
    document = json.loads(write_manifest(manifest(entry())))
    document["new"] = document["files"][0]["new"] = {"a": 1}
    assert read_manifest(json.dumps(document).encode()) == manifest(entry())


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "cut or damaged"),
        (b"\xff{}", "cut or damaged"),
        (b"{}", "cut or damaged"),
        (b"[" * 100_000, "cut or damaged"),
        (b'{"schema": 1}', "cut or damaged"),
        (b'{"schema": "other/1"}', "not one of evdiag's"),
        (b'{"schema": "evdiag.bundle/2"}', "another version of evdiag"),
        (b'{"schema": "evdiag.bundle/1"}', "is damaged"),
        (write_manifest(manifest(entry()))[:-30], "cut or damaged"),
        (b" " * (LONGEST_MANIFEST + 1), "has 67,108,865 bytes"),
    ],
)
def test_what_is_no_manifest(data: bytes, text: str) -> None:
    assert text in complaint(data)


@pytest.mark.parametrize(
    "path",
    [
        "", "/etc/passwd", "../x", "a/../b", "a//b", "a/", ".", "a/./b", "a\nb", "\x1b[31m", "a\0b",
        "n" * 256, "é" * 200, "a/" * 200 + "b", "a\\b", "\u202ex", "..", "...",
    ],
)  # fmt: skip
def test_paths_that_lead_somewhere_else(path: str) -> None:
    assert not is_path(path)
    assert "names a file" in complaint(write_manifest(manifest(entry(path))))


def test_lone_surrogates() -> None:
    assert not is_path("\udcff")
    document = write_manifest(manifest(entry())).replace(b"logs/a.log", b"logs/\\udcff")
    assert "damaged" in complaint(document) or "names a file" in complaint(document)


@pytest.mark.parametrize("size", [-1, 1 << 50, 1 << 62])
def test_sizes_that_are_none(size: int) -> None:
    assert "a size that is none" in complaint(write_manifest(manifest(entry(size=size))))


@pytest.mark.parametrize("sha256", ["", "0" * 63, "0" * 65, "A" * 64, "g" * 64, " " * 64])
def test_hashes_that_are_none(sha256: str) -> None:
    assert "no hash" in complaint(write_manifest(manifest(entry(sha256=sha256))))


def test_files_that_cannot_be_there_together() -> None:
    assert "twice" in complaint(write_manifest(manifest(entry(), entry())))
    inside = manifest(entry("a/b"), entry("a/b/c"))
    assert "'a/b/c' in a file" in complaint(write_manifest(inside))


def test_too_many_files() -> None:
    document: dict[str, Any] = json.loads(write_manifest(manifest(entry())))
    document["files"] *= MOST_FILES + 1
    text = msgspec.json.encode(document)
    assert "50,001 files" in complaint(text)


@given(st.binary(max_size=300))
def test_any_bytes(data: bytes) -> None:
    assert complaint(data)


WHOLE = write_manifest(manifest(entry(), entry("b")))


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=3))
def test_any_damage(at: int, damage: bytes) -> None:
    data = WHOLE[:at] + damage + WHOLE[at + len(damage) :]
    try:
        found = read_manifest(data)
    except DamagedBundle:
        return
    assert all(is_path(entry.path) for entry in found.files)


@pytest.mark.parametrize(
    ("had", "modified", "size", "same"),
    [
        (5.25, None, None, True),
        (5.25, 5.25, 3, True),
        (5.25, 5.2501, 3, True),
        (5.25, 5.26, 3, False),
        (5.25, 5.0, 3, True),
        (5.0, 5.75, 3, True),
        (5.25, 6.5, 3, False),
        (None, 5.0, 3, False),
        (5.25, 5.25, 4, False),
    ],
)
def test_files_that_have_not_changed_since(
    had: float | None, modified: float | None, size: int | None, same: bool
) -> None:
    copied = msgspec.structs.replace(entry(), modified=had)
    assert is_unchanged(copied, modified, size) == same
    redacted = msgspec.structs.replace(copied, bytes=99, original_bytes=3)
    assert is_unchanged(redacted, modified, size) == same
    cut = msgspec.structs.replace(copied, truncated="at a limit")
    assert not is_unchanged(cut, modified, size)


# -- the journal


def begin(path: str) -> bytes:
    return write_note(Note(does="begin", path=path))


def file(path: str, size: int = 3) -> bytes:
    return write_note(Note(does="file", file=entry(path, size), written=5))


def test_what_is_whole_and_what_was_only_begun() -> None:
    dropped = write_note(Note(does="drop", path="c"))
    lines = [begin("a"), file("a"), begin("b"), begin("c"), file("c"), dropped]
    lines += [begin("d"), file("d"), begin("d")]
    found = read_journal(lines)

    assert list(found.files) == ["a"]
    assert found.files["a"].written == 5
    assert found.begun == {"a", "b", "c", "d"}


def test_what_else_is_noted() -> None:
    skipped = Skipped(origin="/x", reason="large", bytes=5)
    lines = [write_note(Note(does="skip", skipped=skipped)),
             write_note(Note(does="problem", text="no events")),
             write_note(Note(does="skip")), write_note(Note(does="file"))]  # fmt: skip
    found = read_journal(lines)
    assert (found.skipped, found.problems, found.files) == ([skipped], ["no events"], {})


def test_lines_that_are_cut_or_damaged_are_left_out() -> None:
    lines = [begin("a"), file("a"), b"", b"\n", b"\xff", b"{}", b'{"does": "fly"}', file("b")[:-9],
             begin("../up"), file("../up"), file("/etc/passwd"), file("c", -1), b"[" * 100_000,
             file("d")]  # fmt: skip
    found = read_journal(lines)
    assert list(found.files) == ["a", "d"]
    assert found.begun == {"a"}


@given(st.lists(st.binary(max_size=100), max_size=5))
def test_any_lines(lines: list[bytes]) -> None:
    assert read_journal(lines).files == {}
