"""Copies out of real containers: sparse, hostile, shrinking, and out of ones that go."""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.adapters.bundle.reader import verify
from evdiag.adapters.bundle.writer import BundleWriter
from evdiag.adapters.docker.copy import copied, copied_file
from evdiag.adapters.docker.engine import ContainerEngine, connect
from evdiag.analyze.bundle_names import safe_path
from evdiag.errors import NoSuchContainer
from evdiag.model.bundle import Manifest, Subject
from evdiag.parse.bundle import read_manifest
from evdiag.parse.tar import TarCut, TarMember
from tests.support.charger import Charger, docker
from tests.support.processes import Growth

pytestmark = pytest.mark.docker

MAKE = r"""
import os, socket
os.makedirs("/srv/hostile/deep")
at = os.open("/srv/hostile/deep", os.O_RDONLY)
for _ in range(18):  # Linux has no path of more than 4096 bytes, but folders may be deeper
    os.mkdir("d" * 200, dir_fd=at)
    at = os.open("d" * 200, os.O_RDONLY, dir_fd=at)
os.close(os.open("end", os.O_CREAT | os.O_WRONLY, dir_fd=at))
for name in (b"a\nb", b"\x1b[31mred", b"caf\xe9", b"-rf", b"n" * 255, b"CASE", b"case", b" ",
             b"..x", b"a'b;c$(d)", "\u202egol".encode(), b"manifest.json", b"a\\b"):
    with open(b"/srv/hostile/" + name, "wb") as file:
        file.write(name)
os.symlink("/etc/shadow", "/srv/hostile/link")
os.symlink("../../../../../../etc/passwd", "/srv/hostile/up")
os.symlink("/srv", "/srv/hostile/loop")
os.link("/srv/hostile/case", "/srv/hostile/hard")
os.mkfifo("/srv/hostile/pipe")
os.mknod("/srv/hostile/null", 0o20666, os.makedev(1, 3))
socket.socket(socket.AF_UNIX).bind("/srv/hostile/socket")
os.symlink("libx.so.1", "/srv/libx.so")
os.symlink("/srv/hostile/../real", "/srv/libx.so.1")
with open("/srv/real", "w") as file:
    file.write("library")
with open("/srv/core", "wb") as file:
    for megabyte in range(0, 150, 10):
        file.seek(megabyte << 20)
        file.write(os.urandom(1 << 20))
    file.truncate(150 << 20)
"""


@pytest.fixture(scope="module")
def volume(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of this machine that is /srv/volume in the container."""
    return tmp_path_factory.mktemp("volume")


@pytest.fixture(scope="module")
def container(image: str, volume: Path) -> Iterator[Charger]:
    """A container with files that nobody should trust."""
    name = f"evdiag-test-copy-{time.time_ns()}"
    try:
        options = ("--network", "none", "-v", f"{volume}:/srv/volume", "--entrypoint", "sleep")
        said = docker("run", "-d", "--name", name, *options, image, "600")
        assert said.code == 0, said
        made = Charger(name)
        made.output("python3", "-c", MAKE)
        yield made
    finally:
        docker("rm", "-f", name)


@pytest.fixture
def engine() -> Iterator[ContainerEngine]:
    """The real one."""
    connected = connect()
    yield connected
    connected.close()


def copy_all(engine: ContainerEngine, name: str, path: str, target: Path) -> Manifest:
    """All regular files below a path in a bundle."""
    with BundleWriter.begin(target, Subject(name=name)) as bundle:
        items = copied(engine, name, path)
        item = next(items, None)
        while item is not None:
            assert isinstance(item, TarMember)
            member, item = item, None

            def content() -> Iterator[bytes]:
                nonlocal item
                for item in items:
                    if isinstance(item, TarMember):
                        return
                    yield item
                item = None

            if member.kind == "file":
                where = safe_path("everest", member.name)
                bundle.add(where, "log", f"/srv/{member.name}".encode("ascii", "backslashreplace")
                           .decode(), content(), modified=member.modified)  # fmt: skip
            else:
                bundle.skip(repr(member.name), member.kind)
                item = next(items, None)
        bundle.finish()
    return read_manifest((target / "manifest.json").read_bytes())


def test_a_large_core_takes_little_memory_and_disk(
    container: Charger, engine: ContainerEngine, tmp_path: Path
) -> None:
    with Growth() as growth:
        manifest = copy_all(engine, container.name, "/srv/core", tmp_path / "b")
    core = tmp_path / "b/everest/core"
    assert growth.megabytes < 40
    assert core.stat().st_size == 150 << 20
    assert 15 <= core.stat().st_blocks >> 11 <= 16
    assert manifest.files[0].sha256 == container.output("sha256sum", "/srv/core").split()[0]


def test_hostile_files_stay_in_the_bundle(
    container: Charger, engine: ContainerEngine, tmp_path: Path
) -> None:
    manifest = copy_all(engine, container.name, "/srv/hostile", tmp_path / "b")

    assert [path.name for path in tmp_path.iterdir() if path.name != "evdiag"] == ["b"]
    assert verify(tmp_path / "b", contents=True) == []
    kinds = {path: (tmp_path / "b" / path).read_bytes() for path in
             (entry.path for entry in manifest.files)}  # fmt: skip
    assert len(kinds) >= 14
    assert b"a\nb" in kinds.values()
    assert b"n" * 255 in kinds.values()
    assert all(path.isascii() and path.isprintable() for path in kinds)
    assert not any(path.is_symlink() for path in (tmp_path / "b").rglob("*"))
    left_out = {skipped.origin: skipped.reason for skipped in manifest.skipped}
    for name in ("link", "up", "loop", "hard"):
        assert left_out.get(f"'hostile/{name}'", "link") == "link"
    assert left_out["'hostile/pipe'"] == left_out["'hostile/null'"] == "other"


def test_one_file_by_the_links_to_it(container: Charger, engine: ContainerEngine) -> None:
    assert b"".join(copied_file(engine, container.name, "/srv/libx.so")) == b"library"
    assert b"root:" in b"".join(copied_file(engine, container.name, "/srv/hostile/up"))
    for path in ("/srv", "/srv/hostile/pipe", "/srv/hostile/loop", "/srv/none"):
        with pytest.raises(FileNotFoundError):
            list(copied_file(engine, container.name, path))
    with pytest.raises(NoSuchContainer):
        list(copied_file(engine, container.name + "x", "/srv/core"))


def test_a_file_that_shrinks_is_a_cut_stream(
    container: Charger, engine: ContainerEngine, volume: Path
) -> None:
    large = volume / "large"
    large.touch()
    os.truncate(large, 1 << 40)
    items = copied(engine, container.name, "/srv/volume/large")
    member = next(items)
    assert isinstance(member, TarMember)
    assert member.size == 1 << 40
    os.truncate(large, 1 << 20)
    with pytest.raises(TarCut, match="'large', with "):
        for _ in items:
            pass


def test_a_container_that_goes_meanwhile(
    container: Charger, engine: ContainerEngine, volume: Path
) -> None:
    """The engine lets nobody at a container whose files it sends: the copy is whole."""
    items = copied(engine, container.name, "/srv/core")
    next(items)
    with subprocess.Popen(["docker", "kill", container.name], stdout=subprocess.DEVNULL) as kill:
        assert sum(len(item) for item in items if isinstance(item, bytes)) == 150 << 20
        assert kill.wait(60) == 0
    assert b"".join(copied_file(engine, container.name, "/srv/libx.so")) == b"library"

    os.truncate(volume / "large", 1 << 40)  # nobody would wait for the end of this one
    items = copied(engine, container.name, "/srv/volume/large")
    next(items)
    next(items)
    items.close()
    assert docker("rm", "-f", container.name).code == 0
    with pytest.raises(NoSuchContainer):
        list(copied(engine, container.name, "/srv/core"))
