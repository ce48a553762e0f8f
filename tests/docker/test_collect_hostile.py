"""`evdiag collect` of a container that wants to harm: it gets nothing outside of the bundle."""

import json
import os
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evdiag.adapters.bundle.reader import verify
from tests.support.charger import CORES, Charger, Said, docker
from tests.support.evdiag_command import command

pytestmark = pytest.mark.docker

SECRET = "root:of-the-machine"
GOOD = "core.good:Good.7.1795000000"
TERA = 1 << 40
MANY = 200
TRICKS = f"""
import os, socket, stat, time

SECRET = {SECRET!r}
os.chdir({CORES!r})
CORE = b"\\x7fELF\\x02\\x01\\x01" + bytes(9) + b"\\x04\\0\\x3e\\0\\x01\\0\\0\\0" + bytes(4072)
NOTE = b'{{"schema": "evdiag.capture/1", "core": "../../../etc/passwd", "pid": 1, "signal": 6}}'


def put(name, content):
    with open(name, "wb") as file:
        file.write(content)


put({GOOD!r}, CORE)
os.link({GOOD!r}, "core.twin:T.1.2")
put("/root/secret", SECRET.encode())
for name, target in (
    ("link.log", "/root/secret"), ("core.out:O.1.2", "../../root/secret"),
    ("core.loop", "core.loop"), ("folder", "/root"), ("core.proc:P.1.2", "/proc/self/environ"),
):
    os.symlink(target, name)
os.mkfifo("core.pipe:P.1.2")
os.mkfifo("pipe.log")
os.mknod("core.zero", stat.S_IFCHR | 0o666, os.makedev(1, 5))
socket.socket(socket.AF_UNIX).bind("core.socket")
for name in (
    b"core.\\n:X.3.4", b"core.\\xff:X.1.2", "core.\\u202eexe.1.2".encode(), b"core.part.part",
    b"CORES", b"core.a.1", b"core.A.1",
):
    put(name, CORE)
for name in (b"manifest.json", b"core.json", b"core..json", b"container.json"):
    put(name, NOTE)
for name in (
    b"\\x1b[31mred\\x07.log", b"..\\\\..\\\\up.log", b"...log", b"a" * 255, b"\\xff\\xfe.log",
    b"-rf", b"journal.jsonl", b"README.txt",
    b"x.log", b"X.LOG", b"x.Log", b"%s%n.log", b"$(id).log",
):
    put(name, b"of no weight\\n")
for folder in ("core.folder:F.1.2", "symbols/.build-id/aa", "manifest", "certs/client", "zz/many"):
    os.makedirs(folder)
    put(folder + "/y.log", b"of no weight\\n")
for number in range({MANY}):
    put("zz/many/%d.log" % number, b"")
deep = os.getcwd()
os.mkdir("deep")
os.chdir("deep")
for _ in range(150):
    os.mkdir("d" * 50)
    os.chdir("d" * 50)
put("deepest.log", b"of no weight\\n")
os.chdir(deep)
os.makedirs("/var/lib/everest", exist_ok=True)
for name in ("core.tera:T.1.2", "tera.log", "/var/lib/everest/tera.json"):
    with open(name, "wb") as file:
        file.write(CORE)
        file.truncate({TERA})
for name in os.listdir():  # nobody waits for more of what is old
    if name.startswith("core") and os.path.isfile(name) and not os.path.islink(name):
        os.utime(name, (1795000000, 1795000000))
if os.fork() == 0:  # one file grows and shrinks all the time
    os.setsid()
    while True:
        with open("restless.log", "ab") as file:
            for _ in range(50):
                file.write(b"of no weight\\n" * 1000)
        os.truncate("restless.log", 10)
        time.sleep(0.005)
"""


@pytest.fixture(scope="module")
def hostile(image: str) -> Iterator[Charger]:
    """A container with every trick in its folder for cores."""
    name = f"evdiag-test-{uuid.uuid4().hex[:12]}"
    words = ("run", "-d", "--network", "none", "--name", name, "--entrypoint", "sleep")
    try:
        said = docker(*words, image, "1000")
        assert said.code == 0, said.err
        made = subprocess.run(
            ["docker", "exec", "-i", "-u", "root", name, "python3", "-"], input=TRICKS.encode(),
            capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        yield Charger(name)
    finally:
        docker("rm", "-f", "-v", name)


def collected(name: str, folder: Path) -> tuple[Said, Any]:
    """Collect in a folder of its own, in a bounded time; the manifest."""
    folder.mkdir()
    done = subprocess.run(
        [*command("collect", "--name", name, "-o", "made")], cwd=folder, capture_output=True,
        text=True, check=False, timeout=120, env={**os.environ, "PYTHONPATH": sys.path[0] or "."},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert os.listdir(folder) == ["made"]  # noqa: PTH208
    return Said(done.returncode, done.stdout, done.stderr), json.loads(
        (folder / "made/manifest.json").read_text()
    )


def paths(manifest: Any) -> set[str]:  # noqa: ANN401
    """The names of the files in the bundle."""
    return {each["path"] for each in manifest["files"]}


def check(root: Path, said: Said, manifest: Any) -> None:  # noqa: ANN401
    """Only plain files with harmless names, all of them listed, and no secret in them."""
    assert verify(root, contents=True) == []
    files = {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}
    assert files == paths(manifest) | {"manifest.json"}
    for name in files:
        status = (root / name).lstat()
        assert stat.S_ISREG(status.st_mode), name
        assert status.st_mode & 0o7177 == 0, name
        assert name.isprintable(), name
        assert name.isascii(), name
        assert SECRET.encode() not in (root / name).read_bytes(), name
    assert len({name.casefold() for name in files}) == len(files)
    assert sum((root / name).stat().st_blocks * 512 for name in files) < 400 << 20
    assert f"cores/{GOOD}" in files
    assert "cores/core._:X.3.4" in files
    assert len({"cores/core.a.1", "cores/core.A.1"} & files) == 1, "equal up to case"
    bad = ("link", "pipe", "core.proc", "core.out", "core.loop", "core.socket", "core.zero")
    assert not [path for path in files if any(word in path for word in bad)]
    assert "\x1b[31mred" not in said.err


def test_a_hostile_container(hostile: Charger, tmp_path: Path) -> None:
    running, manifest = collected(hostile.name, tmp_path / "running")
    check(tmp_path / "running/made", running, manifest)
    skipped = {each["origin"]: each["reason"] for each in manifest["skipped"]}
    assert "(--max-core-size)" in skipped[f"{CORES}/core.tera:T.1.2"]
    assert f"{CORES}/tera.log" in skipped
