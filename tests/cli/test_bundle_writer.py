"""Bundles on a disk: written, interrupted anywhere, gone on with, and checked."""

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from evdiag.adapters.bundle.partial import FREE_SOME
from evdiag.adapters.bundle.reader import is_bundle, open_bundle, verify
from evdiag.adapters.bundle.writer import BundleWriter, Limits, find_partial
from evdiag.errors import (
    DamagedBundle,
    DiskFull,
    EngineUnreachable,
    EvdiagError,
    NotReady,
    OutputNotWritten,
)
from evdiag.model.bundle import FileEntry, Redaction, Subject, Token
from evdiag.parse.tar import TarCut

SUBJECT = Subject(name="everest", id="abc")
MB = 1 << 20


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "out/bundle"


def begin(target: Path, limits: Limits | None = None) -> BundleWriter:
    return BundleWriter.begin(target, SUBJECT, limits=limits)


def put(
    bundle: BundleWriter, path: str, *pieces: bytes, origin: str = "", modified: float = 5.0
) -> FileEntry:
    return bundle.add(path, "log", origin or f"/{path}", pieces, modified=modified)


def cut(*pieces: bytes, error: BaseException) -> Iterator[bytes]:
    yield from pieces
    raise error


def below(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


# -- written


def test_a_bundle_from_begin_to_end(target: Path) -> None:
    with begin(target) as bundle:
        assert bundle.partial == target.with_name("bundle.partial")
        log = put(bundle, "logs/a.log", b"one ", b"two")
        put(bundle, "facts/empty")
        bundle.skip("/x.key", "a key", 5)
        bundle.skip("/x.key", "a key", 5)
        bundle.problem("no events")
        bundle.problem("no events")
        assert not target.exists()
        made = bundle.finish(Redaction(tokens=(Token(token="t", kind="word"),)))

    assert made == target
    assert not target.with_name("bundle.partial").exists()
    assert below(target) == {"logs/a.log", "facts/empty", "manifest.json"}
    assert (target / "logs/a.log").read_bytes() == b"one two"
    assert (target / "logs/a.log").stat().st_mtime == 5.0
    assert {path.stat().st_mode & 0o777 for path in target.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o777 for path in (target, target / "logs")} == {0o700}
    with open_bundle(target) as opened:
        manifest = opened.manifest
        assert opened.root == opened.source == target
        assert opened.paths("log") == (target / "facts/empty", target / "logs/a.log")
    assert manifest.complete
    assert manifest.finished is not None
    assert manifest.finished >= manifest.begun
    assert manifest.files[1] == log
    assert [skipped.reason for skipped in manifest.skipped] == ["a key"]
    assert manifest.problems == ("no events",)
    assert manifest.redaction.tokens[0].token == "t"
    assert verify(target, contents=True) == []
    assert is_bundle(target)


def test_zeros_become_holes(target: Path) -> None:
    data, zeros = os.urandom(3000), bytes(5 * MB)
    pieces = [data, zeros[: 2 * MB - 512], zeros[:MB], zeros[:100], data, zeros[:9999], zeros[:MB]]
    with begin(target) as bundle:
        entry = put(bundle, "cores/core", *pieces)
        put(bundle, "cores/nothing", zeros[:MB], zeros[:MB])
        bundle.finish()

    core = target / "cores/core"
    assert core.read_bytes() == b"".join(pieces)
    assert core.stat().st_size == entry.bytes
    assert core.stat().st_blocks * 512 <= 16384
    nothing = (target / "cores/nothing").stat()
    assert (nothing.st_size, nothing.st_blocks) == (2 * MB, 0)
    assert verify(target, contents=True) == []


def test_files_that_another_one_has_the_name_of(target: Path) -> None:
    with begin(target) as bundle:
        paths = [
            put(bundle, path, b"x", origin=origin).path
            for path, origin in (
                ("cores/core", "/a"),
                ("cores/core", "/b"),
                ("cores/CORE", "/c"),
                ("cores/core/below", "/d"),
                ("cores", "/e"),
                ("manifest.json", "/f"),
                (".journal", "/g"),
                ("cores/core", "/a"),
            )
        ]
        bundle.finish()

    assert paths == [
        "cores/core", "cores/core~2", "cores/CORE~3", "cores/core~4/below", "cores~2",
        "manifest~2.json", "~2.journal", "cores/core",
    ]  # fmt: skip
    assert below(target) == {*paths, "manifest.json"}


@pytest.mark.parametrize("path", ["", "/x", "../x", "a/../x", "a\nb", "a//b"])
def test_names_that_lead_out_are_a_bug_of_the_caller(target: Path, path: str) -> None:
    with begin(target) as bundle, pytest.raises(ValueError, match="not a name"):
        put(bundle, path, b"x", origin="/x")


def test_limits(target: Path) -> None:
    with begin(target, Limits(file=10, total=25)) as bundle:
        first = put(bundle, "a", b"12345", b"67890")
        second = put(bundle, "b", b"12345", b"678901")
        third = put(bundle, "c", b"1234567890")
        fourth = bundle.add("d", "log", "/d", [b"1"], limit=0)
        assert bundle.room == 0
        bundle.drop(third)
        assert bundle.room == 5
        bundle.finish()

    assert first.truncated is None
    assert (second.bytes, second.truncated) == (10, "cut at the limit of 10 bytes")
    assert (third.bytes, third.truncated) == (5, "cut at the limit of 5 bytes")
    assert (fourth.bytes, fourth.truncated) == (0, "cut at the limit of 0 bytes")
    assert (target / "b").read_bytes() == b"1234567890"
    assert below(target) == {"a", "b", "d", "manifest.json"}


def test_more_can_be_said_of_a_file_later(target: Path) -> None:
    with begin(target) as bundle:
        count = iter([7])
        entry = bundle.add("a", "log", "/a", [b"x"], redacted=lambda: next(count))
        assert entry.redacted == 7
        new = bundle.change(entry, msgspec.structs.replace(entry, truncated="the writer died"))
        with pytest.raises(ValueError, match="what is said"):
            bundle.change(new, msgspec.structs.replace(new, bytes=9))
        bundle.finish()
    with open_bundle(target) as opened:
        assert opened.manifest.files == (new,)


def test_files_of_this_machine(target: Path, tmp_path: Path) -> None:
    file = tmp_path / "core"
    with file.open("wb") as out:
        out.write(b"begin")
        out.seek(3 * MB)
        out.write(b"middle")
        out.truncate(5 * MB + 7)
    os.utime(file, (9.5, 9.5))
    (tmp_path / "link").symlink_to(file)
    (tmp_path / "hole").touch()
    os.truncate(tmp_path / "hole", MB + 1)
    with begin(target) as bundle:
        entry = bundle.take("cores/core", "core", str(file), file)
        bundle.take("cores/hole", "core", "hole", tmp_path / "hole")
        with pytest.raises(OSError, match="symbolic links"):
            bundle.take("cores/link", "core", "link", tmp_path / "link")
        bundle.finish()

    assert (entry.bytes, entry.modified, entry.original_bytes) == (5 * MB + 7, 9.5, 5 * MB + 7)
    assert (target / "cores/core").read_bytes() == file.read_bytes()
    assert (target / "cores/core").stat().st_blocks * 512 <= 16384
    assert below(target) == {"cores/core", "cores/hole", "manifest.json"}
    assert verify(target, contents=True) == []


# -- broken streams


def test_a_stream_that_breaks_leaves_nothing(target: Path) -> None:
    with begin(target) as bundle:
        for error in (TarCut("cut"), EngineUnreachable("gone"), KeyboardInterrupt()):
            with pytest.raises(type(error)):
                bundle.add("a", "log", "/a", cut(b"half", error=error))
        pieces = cut(b"half", error=KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            bundle.add("a", "log", "/a", pieces, keep_part=True)
        assert below(bundle.partial) == {".journal", "manifest.json"}
        assert put(bundle, "a", b"whole").path == "a"
        bundle.finish()
    assert (target / "a").read_bytes() == b"whole"


def test_the_part_that_came_may_be_kept(target: Path) -> None:
    with begin(target) as bundle:
        pieces = cut(b"half", error=TarCut("the stream ended in 'a'"))
        entry = bundle.add("a", "log", "/a", pieces, keep_part=True, original_bytes=9)
        bundle.finish()
    assert (entry.bytes, entry.original_bytes) == (4, 9)
    assert entry.truncated == "the stream ended in 'a'"
    assert (target / "a").read_bytes() == b"half"


# -- interrupted and gone on with


def test_what_is_whole_is_taken_over(target: Path) -> None:
    with begin(target) as bundle:
        log = put(bundle, "logs/a.log", b"one", modified=5.25)
        put(bundle, "logs/old.log", b"gone meanwhile")
        bundle.remember(Redaction(key="00"))
    assert below(target.with_name("bundle.partial")) == {
        ".journal", "manifest.json", "logs/a.log", "logs/old.log",
    }  # fmt: skip
    assert find_partial(target.parent, SUBJECT) == target
    assert find_partial(target.parent, Subject(name="everest", id="other")) is None
    assert find_partial(target.parent / "none", SUBJECT) is None

    with begin(target) as bundle:
        assert not bundle.entries
        assert bundle.manifest.redaction.key == "00"
        assert bundle.has("/logs/a.log", modified=6.5) is None
        assert bundle.has("/logs/a.log", modified=5.26) is None
        assert bundle.has("/logs/a.log", modified=5.25, size=4) is None
        assert bundle.has("/other") is None
        assert bundle.has("/logs/a.log", modified=5.25, size=3) == log
        assert bundle.has("/logs/a.log", modified=5, size=3) == log
        assert bundle.entries == (log,)
        put(bundle, "logs/b.log", b"two")
        bundle.finish()
    assert below(target) == {"manifest.json", "logs/a.log", "logs/b.log"}
    assert find_partial(target.parent, SUBJECT) is None
    assert verify(target, contents=True) == []


def test_what_was_changed_meanwhile_is_not_taken_over(target: Path) -> None:
    large = os.urandom(MB + 1)
    with begin(target) as bundle:
        for name in ("size", "link", "gone", "folder", "content"):
            put(bundle, f"logs/{name}", b"one")
        put(bundle, "large", large)
        put(bundle, "touched", large)
    partial = target.with_name("bundle.partial")
    (partial / "logs/size").write_bytes(b"more")
    for name in ("link", "gone", "folder"):
        (partial / "logs" / name).unlink()
    (partial / "logs/link").symlink_to("size")
    (partial / "logs/folder").mkdir()
    times = (partial / "logs/content").stat().st_mtime
    (partial / "logs/content").write_bytes(b"two")
    os.utime(partial / "logs/content", (times, times))
    (partial / "large").write_bytes(large[::-1])
    (partial / "touched").touch()

    with begin(target) as bundle:
        for name in ("size", "link", "gone", "folder", "content"):
            assert bundle.has(f"/logs/{name}") is None
        assert bundle.has("/large") is None
        assert bundle.has("/touched") is not None
        assert put(bundle, "logs/content", b"one").path == "logs/content"
        assert put(bundle, "logs/link", b"one").path == "logs/link"
        bundle.finish()
    assert (target / "logs/link").read_bytes() == b"one"
    assert not (target / "logs/link").is_symlink()


def test_a_part_is_not_taken_over(target: Path) -> None:
    with begin(target, Limits(file=2)) as bundle:
        put(bundle, "a", b"one")
        assert bundle.has("/a") is None
    with begin(target) as bundle:
        assert bundle.has("/a") is None


def test_a_damaged_journal_costs_only_what_it_does_not_say(target: Path) -> None:
    with begin(target) as bundle:
        first, second = put(bundle, "a", b"one"), put(bundle, "b", b"two")
        put(bundle, "c", b"three")
    journal = target.with_name("bundle.partial") / ".journal"
    lines = journal.read_bytes().splitlines(keepends=True)
    assert len(lines) == 6
    journal.write_bytes(b"".join([*lines[:2], b"\0\xff\n", *lines[2:5], lines[5][:-20]]))

    with begin(target) as bundle:
        assert bundle.has("/a") == first
        assert bundle.has("/b") == second
        assert bundle.has("/c") is None
        assert put(bundle, "c", b"three").path == "c"
    with begin(target) as bundle:
        assert [bundle.has(f"/{name}") is not None for name in "abc"] == [True] * 3


KILLED = """
import itertools, sys
from pathlib import Path
from evdiag.adapters.bundle.writer import BundleWriter
from evdiag.model.bundle import Subject

bundle = BundleWriter.begin(Path(sys.argv[1]), Subject(name="everest", id="abc"))
for number in range(100):
    if bundle.has(f"/{number}") is None:
        bundle.add(f"logs/{number}", "log", f"/{number}", [str(number).encode() * 3] * 100)
        print(number, flush=True)
bundle.finish()
"""


KILLS = (1, 3, 7)
"""After how many files."""


def test_an_attempt_that_is_killed_loses_one_file_at_most(target: Path) -> None:
    written: list[int] = []
    for stop in (*KILLS, 0):
        command = [sys.executable, "-c", KILLED, str(target)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout, 1):
                written.append(int(line))
                if count == stop:
                    process.send_signal(signal.SIGKILL)
        assert process.returncode == (-signal.SIGKILL if stop else 0)
        assert target.exists() == (not stop)

    assert len(written) == len(set(written))  # nothing is done twice
    untold = set(range(100)) - set(written)
    assert len(untold) <= len(KILLS)  # in the bundle, by one who was killed before he said so
    assert verify(target, contents=True) == []
    assert len(below(target)) == 101


def test_one_process_at_a_time(target: Path) -> None:
    with begin(target) as bundle:
        with pytest.raises(NotReady, match="another evdiag writes"):
            begin(target)
        put(bundle, "a", b"one")
        bundle.finish()


def test_a_bundle_without_files_leaves_nothing(target: Path) -> None:
    with begin(target) as bundle:
        assert bundle.partial.exists()
    bundle.close()
    assert list(target.parent.iterdir()) == []


def test_the_bundle_of_something_else_is_left_alone(target: Path) -> None:
    with begin(target) as bundle:
        put(bundle, "a", b"one")
    with pytest.raises(OutputNotWritten, match="interrupted bundle of something else"):
        BundleWriter.begin(target, Subject(name="other", id="def"))
    partial = target.with_name("bundle.partial")
    (partial / "manifest.json").write_text("{}")
    with pytest.raises(DamagedBundle, match="cannot be gone on with"):
        begin(target)
    assert below(partial) == {".journal", "manifest.json", "a"}


# -- the end


def test_the_name_is_taken_meanwhile(target: Path) -> None:
    with begin(target) as bundle:
        put(bundle, "a", b"one")
        target.mkdir()
        (target / "precious").touch()
        with pytest.raises(OutputNotWritten, match="is there already"):
            bundle.finish()
    with pytest.raises(OutputNotWritten, match="is there already"):
        begin(target)
    assert below(target) == {"precious"}
    (target / "precious").unlink()
    target.rmdir()
    with begin(target) as bundle:
        assert bundle.has("/a") is not None
        bundle.finish()
    assert below(target) == {"a", "manifest.json"}


def test_a_file_that_was_changed_meanwhile(target: Path) -> None:
    def leave(path: Path) -> None:
        path.unlink()
        path.symlink_to("/etc/passwd")

    for spoil in (
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b"longer"),
        leave,
    ):
        with begin(target) as bundle:
            entry = put(bundle, "logs/a", b"one")
            spoil(bundle.partial / entry.path)
            with pytest.raises(DamagedBundle, match="was changed by somebody"):
                bundle.finish()
            assert not target.exists()


def test_a_folder_that_was_moved_meanwhile(target: Path) -> None:
    with begin(target) as bundle:
        put(bundle, "a", b"one")
        moved = bundle.partial.rename(target.parent / "elsewhere")
        bundle.partial.mkdir()
        with pytest.raises(DamagedBundle, match="was moved"):
            bundle.finish()
    assert below(moved) == {".journal", "manifest.json", "a"}
    assert not target.exists()


def test_links_that_appear_lead_nowhere(target: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    with begin(target) as bundle:
        (bundle.partial / "logs").symlink_to(outside)
        (bundle.partial / "a").symlink_to(outside / "a")
        (outside / "b").write_bytes(b"precious")
        (bundle.partial / "b").hardlink_to(outside / "b")
        for path in ("logs/x", "logs/deep/x", "a", "b"):
            with pytest.raises(OutputNotWritten):
                put(bundle, path, b"evil")
        assert put(bundle, "c", b"good").path == "c"
        bundle.finish()
    assert below(outside) == {"b"}
    assert (outside / "b").read_bytes() == b"precious"


def test_a_journal_that_is_another_file_too(target: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    partial = target.with_name("bundle.partial")
    partial.mkdir(parents=True)
    (partial / ".journal").hardlink_to(tmp_path / "precious")
    with pytest.raises(OutputNotWritten, match="same file as another"):
        begin(target)
    (partial / ".journal").unlink()
    (partial / ".journal").symlink_to(tmp_path / "precious")
    with pytest.raises(OutputNotWritten, match="cannot be written"):
        begin(target)
    assert (tmp_path / "precious").read_bytes() == b"precious"


# -- disks


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path / "file/x", Path("/proc/none/x"), tmp_path / ("n" * 300)):
        with pytest.raises(OutputNotWritten, match="cannot be written") as caught:
            begin(target)
        assert "-o" in caught.value.advice


def test_a_full_disk(target: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = 3 * MB

    def pwrite(fd: int, data: memoryview, at: int) -> int:
        """As a disk with that much room does: it takes a part, then nothing."""
        taken = min(len(data), max(room - at, 0))
        if not taken:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(fd, data[:taken], at)

    real = os.pwrite
    with begin(target) as bundle:
        put(bundle, "a", b"one")
        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", pwrite)
            with pytest.raises(DiskFull) as caught:
                bundle.add("core", "core", "/core", [os.urandom(MB)] * 9, original_bytes=9 * MB)
        assert str(caught.value).endswith("6,291,456 bytes more are needed; what is there is kept")
        assert "goes on with what is there" in caught.value.advice
        assert below(bundle.partial) == {".journal", "manifest.json", "a"}
    with begin(target) as bundle:
        assert bundle.has("/a") is not None


def test_errors_have_advice() -> None:
    for error in (DiskFull("x"), OutputNotWritten("x"), DamagedBundle("x"), NotReady("x")):
        assert isinstance(error, EvdiagError)
        assert error.advice
    assert FREE_SOME.endswith(".")
