"""Bundles as one file, also of ones that somebody has made to do harm."""

import errno
import hashlib
import io
import os
import shutil
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import zstandard

from evdiag.adapters.bundle import archive as packing
from evdiag.adapters.bundle.archive import pack, unpack
from evdiag.adapters.bundle.reader import is_bundle, open_bundle, verify
from evdiag.adapters.bundle.writer import BundleWriter
from evdiag.errors import DamagedBundle, DiskFull, OutputNotWritten
from evdiag.model.bundle import SCHEMA, FileEntry, Manifest, Subject
from evdiag.parse.bundle import write_manifest
from tests.support.processes import Growth

MB = 1 << 20
SUBJECT = Subject(name="everest", id="abc")


class Member(NamedTuple):
    """What an archive has beside its manifest."""

    name: str
    content: bytes = b""
    kind: bytes = tarfile.REGTYPE
    link: str = ""


def manifest(files: dict[str, bytes], *, complete: bool = True) -> bytes:
    entries = tuple(
        FileEntry(path=path, kind="log", origin=path, bytes=len(content),
                  sha256=hashlib.sha256(content).hexdigest())
        for path, content in files.items()
    )  # fmt: skip
    return write_manifest(
        Manifest(schema=SCHEMA, evdiag="1", begun=1.0, complete=complete, subject=SUBJECT,
                 files=entries)
    )  # fmt: skip


def tar(*members: Member, format: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=format) as target:
        for member in members:
            entry = tarfile.TarInfo(member.name)
            entry.type, entry.linkname, entry.size = member.kind, member.link, len(member.content)
            target.addfile(entry, io.BytesIO(member.content))
    return out.getvalue()


def stored(folder: Path, data: bytes, name: str = "b.tar.zst") -> Path:
    path = folder / name
    path.write_bytes(zstandard.compress(data))
    return path


def made(folder: Path, files: dict[str, bytes], *members: Member) -> Path:
    """An archive with a manifest of some files, and with other members."""
    return stored(folder, tar(Member("b/manifest.json", manifest(files)), *members))


def below(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def complaint(path: Path) -> str:
    with pytest.raises(DamagedBundle) as caught, open_bundle(path):
        pass
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle with a core that is mostly a hole."""
    with BundleWriter.begin(tmp_path / "made", SUBJECT) as writer:
        random = [os.urandom(MB) for _ in range(2)]
        holes = [bytes(MB)] * 6
        writer.add("cores/core.x:Y.1", "core", "/core", [*holes, *random, *holes], modified=5.5)
        writer.add("logs/a.log", "log", "/a.log", [b"text\n" * 1000])
        writer.add("facts/empty", "fact", "engine: empty", [])
        return writer.finish()


# -- there and back


def test_packed_and_opened_again(bundle: Path, tmp_path: Path) -> None:
    target = tmp_path / "other.name"
    assert pack(bundle, target) == target
    assert target.stat().st_mode & 0o777 == 0o600
    assert target.stat().st_size < 4 * MB
    assert is_bundle(target)
    with open_bundle(target) as opened:
        root = opened.root
        assert opened.source == target
        assert opened.problems == ()
        assert below(root) == below(bundle)
        assert (root / "cores/core.x:Y.1").stat().st_blocks * 512 < 4 * MB
        assert (root / "cores/core.x:Y.1").stat().st_mtime == 5.5
        assert root.stat().st_mode & 0o777 == 0o700
        assert verify(root, contents=True) == []
    assert not root.exists()
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_the_programs_of_the_system_understand_it(bundle: Path, tmp_path: Path) -> None:
    target = pack(bundle, tmp_path / "b.tar.zst")
    plain = tmp_path / "plain"
    with target.open("rb") as file, plain.open("wb") as out:
        zstandard.ZstdDecompressor().copy_stream(file, out)
    listed = subprocess.run(["tar", "-tf", plain], capture_output=True, text=True, check=True)
    assert listed.stdout.split() == [
        "b/manifest.json", "b/cores/core.x:Y.1", "b/facts/empty", "b/logs/a.log",
    ]  # fmt: skip
    assert is_bundle(plain)
    with open_bundle(plain) as opened:
        assert below(opened.root) == below(bundle)


def test_memory_does_not_depend_on_the_size(tmp_path: Path) -> None:
    with BundleWriter.begin(tmp_path / "made", SUBJECT) as writer:
        writer.add("core", "core", "/core", [os.urandom(MB), *[bytes(MB)] * 150])
        made = writer.finish()
    with Growth() as growth:
        target = pack(made, tmp_path / "b.tar.zst")
    assert growth.megabytes < 60
    with Growth() as growth, open_bundle(target):
        pass
    assert growth.megabytes < 30


def test_a_tar_that_was_made_by_hand(tmp_path: Path) -> None:
    files = {"logs/a": b"one"}
    folder = Member("b", kind=tarfile.DIRTYPE)
    data = tar(folder, Member("b/manifest.json", manifest(files)), Member("b/logs/a", b"one"))
    unordered = tar(Member("b/logs/a", b"one"), Member("b/manifest.json", manifest(files)))
    with open_bundle(stored(tmp_path, data)) as opened:
        assert below(opened.root)["logs/a"] == b"one"
    path = stored(tmp_path, unordered)
    assert not is_bundle(path)
    assert "packed by hand" in complaint(path)


def test_an_archive_of_several_frames(tmp_path: Path) -> None:
    data = tar(Member("manifest.json", manifest({"a": b"x" * 5000})), Member("a", b"x" * 5000))
    path = tmp_path / "b"
    path.write_bytes(b"".join(zstandard.compress(data[at : at + 700])
                              for at in range(0, len(data), 700)))  # fmt: skip
    with open_bundle(path) as opened:
        assert below(opened.root)["a"] == b"x" * 5000


def test_what_cannot_be_packed(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputNotWritten, match="is not a file"):
        pack(bundle, tmp_path)
    with pytest.raises(OutputNotWritten, match="cannot be written"):
        pack(bundle, tmp_path / "none/b.tar.zst")
    (bundle / "logs/a.log").unlink()
    with pytest.raises(OutputNotWritten, match="cannot be written"):
        pack(bundle, tmp_path / "b.tar.zst")
    (bundle / "manifest.json").write_bytes(manifest({}, complete=False))
    with pytest.raises(DamagedBundle, match="is not complete"):
        pack(bundle, tmp_path / "b.tar.zst")
    assert not list(tmp_path.glob("*.zst"))
    assert not list(tmp_path.glob(".*"))


# -- what is no bundle


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x7fELF" + bytes(5000),
        b"\x28\xb5\x2f\xfd",
        b"\x28\xb5\x2f\xfdnonsense",
        zstandard.compress(b"some text"),
        zstandard.compress(tar(Member("etc/passwd", b"root"))),
        tar(Member("etc/passwd", b"root")),
        tar(Member("a/b/manifest.json", b"{}")),
        tar(Member("manifest.json", kind=tarfile.SYMTYPE, link="/etc/passwd")),
        zstandard.compress(bytes(1024)),
    ],
)
def test_other_files(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    assert not is_bundle(path)
    complaint(path)


def test_other_places(tmp_path: Path) -> None:
    assert not is_bundle(tmp_path)
    (tmp_path / "node").mkdir()
    (tmp_path / "node/manifest.json").write_text('{"name": "node-red"}')
    assert not is_bundle(tmp_path / "node")
    assert not is_bundle(tmp_path / "none")
    assert not is_bundle(Path("/dev/null"))
    assert "does not exist" in complaint(tmp_path / "none")
    assert "no manifest.json" in complaint(tmp_path)
    with pytest.raises(DamagedBundle, match="cannot be read"):
        verify(tmp_path / "none", contents=False)


def test_manifests_in_archives_are_checked(tmp_path: Path) -> None:
    for content, text in (
        (b"{}", "cut or damaged"),
        (manifest({}, complete=False), "not complete"),
        (manifest({"../x": b""}), "names a file '../x'"),
    ):
        path = stored(tmp_path, tar(Member("manifest.json", content)))
        assert is_bundle(path)
        assert text in complaint(path)


# -- cut and changed


def test_a_cut_archive_says_what_is_missing(bundle: Path, tmp_path: Path) -> None:
    whole = pack(bundle, tmp_path / "b.tar.zst").read_bytes()
    cut = tmp_path / "cut"
    for kept in (5, 200, len(whole) // 2, len(whole) - 900):
        cut.write_bytes(whole[:kept])
        said = complaint(cut)
        assert "is cut" in said
        if kept > 1000:
            assert "3 of 3 files are missing (cores/core.x:Y.1, " in said or "of 3 files" in said
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    cut.write_bytes(damaged)
    assert "is not what its manifest says" in complaint(cut) or "is cut" in complaint(cut)


def test_files_that_are_missing_or_different(tmp_path: Path) -> None:
    files = {f"logs/{number}": b"text" for number in range(9)}
    some = [Member("b/logs/0", b"text")]
    said = complaint(made(tmp_path, files, *some))
    assert said.endswith("is not whole: 8 of 9 files are missing "
                         "(logs/1, logs/2, logs/3 and 5 more)")  # fmt: skip
    said = complaint(made(tmp_path, {"a": b"text"}, Member("b/a", b"longer")))
    assert said.endswith("a has 6 bytes, its manifest says 4")
    said = complaint(made(tmp_path, {"a": b"text"}, Member("b/a", b"tixt")))
    assert said.endswith("a is not what its manifest says")


def test_a_bundle_that_was_changed(bundle: Path) -> None:
    size = (bundle / "logs/a.log").stat().st_size
    (bundle / "logs/a.log").write_bytes(b"x" * size)
    (bundle / "facts/empty").unlink()
    (bundle / "facts/empty").symlink_to("/dev/null")
    with (bundle / "cores/core.x:Y.1").open("ab") as core:
        core.write(b"x")

    wanted = ("cores/core.x:Y.1 has 14,680,065 bytes instead of 14,680,064",
              "facts/empty is missing")  # fmt: skip
    assert verify(bundle, contents=False) == list(wanted)
    assert verify(bundle, contents=True) == [*wanted, "logs/a.log was changed"]
    with open_bundle(bundle) as opened:
        assert opened.problems == wanted


def test_a_bundle_that_was_interrupted(tmp_path: Path) -> None:
    with BundleWriter.begin(tmp_path / "b", SUBJECT) as writer:
        writer.add("logs/a", "log", "/a", [b"one"])
        dropped = writer.add("logs/b", "log", "/b", [b"two"])
        writer.drop(dropped)
        writer.skip("/k", "a key")
        writer.problem("no events")
    partial = tmp_path / "b.partial"
    assert is_bundle(partial)
    with open_bundle(partial) as opened:
        found = opened.manifest
    assert not found.complete
    assert [entry.path for entry in found.files] == ["logs/a"]
    assert (found.skipped[0].reason, found.problems) == ("a key", ("no events",))
    (partial / ".journal").unlink()
    with open_bundle(partial) as opened:
        assert opened.manifest.files == ()


# -- made to do harm


HOSTILE = [
    Member("../up", b"evil"),
    Member("b/../../up", b"evil"),
    Member("/tmp/evdiag-absolute", b"evil"),
    Member("b//tmp/evdiag-absolute", b"evil"),
    Member("b/logs", kind=tarfile.SYMTYPE, link="/tmp"),
    Member("b/logs/a", kind=tarfile.SYMTYPE, link="/etc/passwd"),
    Member("b/logs/a", kind=tarfile.LNKTYPE, link="/etc/passwd"),
    Member("b/logs/a", kind=tarfile.LNKTYPE, link="../../outside"),
    Member("b/logs/a", kind=tarfile.CHRTYPE),
    Member("b/logs/a", kind=tarfile.BLKTYPE),
    Member("b/logs/a", kind=tarfile.FIFOTYPE),
    Member("b/logs/a", kind=tarfile.DIRTYPE),
    Member("b/logs/a", kind=tarfile.GNUTYPE_SPARSE),
    Member("b/logs/a\n\x1b[31m", b"evil"),
    Member("b/logs/" + "n" * 300, b"evil"),
    Member("b/" + "a/" * 5000 + "x", b"evil"),
    Member("b/LOGS/A", b"evil"),
    Member("b/manifest.json", b"{}"),
    Member("", b"evil"),
    Member("b/", b"evil"),
    Member("b/unnamed", b"evil"),
    Member("other/logs/a", b"evil"),
]


def test_nothing_but_what_the_manifest_names(tmp_path: Path) -> None:
    files = {"logs/a": b"good", "logs/b": b""}
    good = [Member("b/logs/a", b"good"), Member("b/logs/b"), Member("b/logs/a", b"evil")]
    inside = tmp_path / "inside"
    inside.mkdir()
    before = sorted(Path("/tmp").glob("evdiag-absolute*"))
    unpack(made(tmp_path, files, *HOSTILE, *good, *HOSTILE), inside)

    assert set(below(inside)) == {"manifest.json", "logs/a", "logs/b"}
    assert below(inside)["logs/a"] == b"good"
    assert sorted(path.name for path in inside.rglob("*")) == ["a", "b", "logs", "manifest.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.tar.zst", "inside"]
    assert sorted(Path("/tmp").glob("evdiag-absolute*")) == before


@pytest.mark.parametrize("member", HOSTILE)
def test_each_of_them_instead_of_the_file(tmp_path: Path, member: Member) -> None:
    assert "1 of 1 files are missing" in complaint(made(tmp_path, {"logs/a": b"good"}, member))


def test_headers_that_name_another_file(tmp_path: Path) -> None:
    """By PAX: the path, size and link of a header do not count then."""
    entry = tarfile.TarInfo("b/logs/a")
    entry.size = 4
    entry.pax_headers = {"path": "b/../../../up", "linkpath": "/etc/passwd"}
    head = entry.tobuf(tarfile.PAX_FORMAT)
    data = tar(Member("b/manifest.json", manifest({"logs/a": b"good"}))).rstrip(b"\0")
    data += bytes(-len(data) % 512) + head + b"good" + bytes(508 + 1024)
    assert "1 of 1 files are missing" in complaint(stored(tmp_path, data))


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    entry = FileEntry(path="a", kind="core", origin="a", bytes=packing.MOST_UNPACKED + 1,
                      sha256="0" * 64)  # fmt: skip
    content = write_manifest(
        Manifest(schema=SCHEMA, evdiag="1", begun=1.0, complete=True, subject=SUBJECT,
                 files=(entry,))
    )  # fmt: skip
    path = stored(tmp_path, tar(Member("manifest.json", content)))
    assert "68,719,476,737 bytes when unpacked, more than evdiag takes" in complaint(path)


def test_more_content_than_the_manifest_says(tmp_path: Path) -> None:
    said = complaint(made(tmp_path, {"a": b"x"}, Member("b/a", bytes(50 * MB))))
    assert said.endswith("a has 52,428,800 bytes, its manifest says 1")


def test_frames_that_ask_for_too_much_memory(tmp_path: Path) -> None:
    data = tar(Member("b/manifest.json", manifest({"a": b"x"})), Member("b/a", b"x"))
    parameters = zstandard.ZstdCompressionParameters(window_log=30, enable_ldm=True)
    packed = io.BytesIO()
    compressor = zstandard.ZstdCompressor(compression_params=parameters)
    with compressor.stream_writer(packed, closefd=False) as out:
        out.write(data)
    path = tmp_path / "b"
    path.write_bytes(packed.getvalue())
    assert not is_bundle(path)
    assert "is cut" in complaint(path)


# -- room


def test_a_disk_without_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = os.urandom(4 * MB)
    path = made(tmp_path, {"a": content}, Member("b/a", content))
    monkeypatch.setattr(packing, "KEPT_FREE", 1 << 60)
    monkeypatch.setattr(packing, "CHECKED_EVERY", MB)
    with pytest.raises(DiskFull, match="too full to unpack") as caught, open_bundle(path):
        pass
    assert "TMPDIR" in caught.value.advice
    assert list((tmp_path / "evdiag/unpacked").iterdir()) == []


def test_no_room_for_an_archive(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fsync(fd: int) -> None:
        """As disks of other machines do that notice at the end only."""
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fsync)
    with pytest.raises(DiskFull, match="is whole"):
        pack(bundle, tmp_path / "b.tar.zst")
    assert not list(tmp_path.glob("*b.tar.zst*"))


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)
    yield folder
    monkeypatch.setattr("tempfile.tempdir", None)


def test_where_archives_are_unpacked(tmp_path: Path, elsewhere: Path) -> None:
    path = made(tmp_path, {})
    with open_bundle(path) as opened:
        assert opened.root.parent == elsewhere
    assert list(elsewhere.iterdir()) == []
    shutil.rmtree(elsewhere)


def test_what_killed_processes_left_is_removed(tmp_path: Path) -> None:
    path = made(tmp_path, {})
    above = tmp_path / "evdiag/unpacked"
    with open_bundle(path) as opened:
        (above / "evdiag-bundle-left/logs").mkdir(parents=True)
        (above / "evdiag-bundle-new").mkdir()
        old = time.time() - 3600
        os.utime(above / "evdiag-bundle-left", (old, old))
        os.utime(opened.root, (old, old))
        with open_bundle(path):
            assert opened.root.exists()
            assert not (above / "evdiag-bundle-left").exists()
            assert (above / "evdiag-bundle-new").exists()


def test_a_place_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = made(tmp_path, {})
    monkeypatch.setenv("EVDIAG_CACHE", "/proc/none")
    with open_bundle(path) as opened:  # a cache is not needed
        assert opened.root.is_relative_to(tempfile.gettempdir())
    monkeypatch.setattr("tempfile.tempdir", "/proc/none")
    with pytest.raises(OutputNotWritten, match="cannot be unpacked"), open_bundle(path):
        pass
