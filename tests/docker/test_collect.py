"""`evdiag collect` of real containers: in every state, with cores that are whole or not."""

import hashlib
import json
import struct
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evdiag.adapters.docker.engine import connect
from evdiag.adapters.incident import gather
from evdiag.cli import main
from evdiag.collection import Request, collect
from evdiag.errors import NoSuchContainer
from tests.docker.conftest import MQTT
from tests.support.charger import CORES, Charger, Said, await_true, charger, docker
from tests.support.evdiag_command import interrupted

pytestmark = pytest.mark.docker

LATE = "core.late:Late.7.1795000000"


class Bundle(NamedTuple):
    """What one run of the command made."""

    path: Path
    manifest: Any
    err: str

    def files(self, kind: str) -> dict[str, Any]:
        """Entries of the manifest by path."""
        return {each["path"]: each for each in self.manifest["files"] if each["kind"] == kind}

    def skipped(self) -> dict[str, str]:
        """Reasons by origin."""
        return {each["origin"]: each["reason"] for each in self.manifest.get("skipped", ())}


Run = Callable[..., Said]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`evdiag collect` in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def collected(*arguments: object) -> Said:
        capsys.readouterr()
        code = main(["collect", *map(str, arguments)])
        said = capsys.readouterr()
        assert "Traceback" not in said.err, said.err
        return Said(code, said.out, said.err)

    return collected


def bundle(said: Said) -> Bundle:
    """The bundle that was made."""
    assert said.code == 0, said.err
    path = Path(said.out.removesuffix("\n"))
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["complete"]
    for entry in manifest["files"]:
        assert digest(path / entry["path"]) == entry["sha256"], entry
    return Bundle(path, manifest, said.err)


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@pytest.fixture(scope="module")
def crashed(image: str) -> Iterator[Charger]:
    """A charger one of whose modules has crashed."""
    with charger(image, {**MQTT, "OCPP_URL": "ws://127.0.0.1:1/x"}) as started:
        started.await_starts(1)
        started.crash("ocpp", "null-write")
        await_true(lambda: bool(started.reports()), "a core")
        yield started


def test_a_running_charger(crashed: Charger, run: Run) -> None:
    (name,) = crashed.cores()
    crashed.output("sh", "-c", f"ln -s /etc/passwd {CORES}/core.link.1.2; mkfifo {CORES}/core.fifo")
    said = run("--name", crashed.name)
    made = bundle(said)
    assert made.path.name.startswith(f"evdiag-{crashed.name}-")
    assert made.path.stat().st_mode & 0o777 == 0o700

    # -- the core, with its holes, its note, its symbols
    (core,) = made.files("core").values()
    assert core["path"] == f"cores/{name}"
    assert core["origin"] == f"{CORES}/{name}"
    assert crashed.output("sha256sum", core["origin"]).split()[0] == core["sha256"]
    assert (made.path / core["path"]).stat().st_blocks * 512 < core["bytes"] / 10
    assert "truncated" not in core
    assert list(made.files("note")) == [f"cores/{name}.json"]
    assert len(made.files("symbols")) > 3

    # -- everything else, under the names that a report knows
    files = {each["path"] for each in made.manifest["files"]}
    facts = {"core_pattern", "limits", "df", "build.json", "processes.json", "image.json",
             "engine.json", "events.json", "counters.json"}  # fmt: skip
    assert {f"facts/{fact}" for fact in facts} - files <= {"facts/build.json", "facts/events.json"}
    assert {"container.json", "README.txt", "logs/everest.log", "logs/supervisord.log",
            "logs/output.log", "config/everest/config.yaml"} <= files  # fmt: skip
    assert (
        any(path.startswith("everest/") for path in files)
        or not crashed.exec("find", f"{CORES}/ocpp", "-name", "*.log").out
    )
    found = gather([made.path], [])
    assert [path.name for path in found.cores] == [name]
    assert found.around.pattern is not None
    assert found.around.limits is not None
    assert found.around.disks
    assert found.around.container is not None
    assert found.around.container.oom_kills == 0
    assert "Z " in (made.path / "logs/output.log").read_text().splitlines()[0]

    # -- what must not be in it
    for entry in made.manifest["files"]:
        if entry["kind"] not in ("core", "symbols"):
            assert MQTT["MQTT_PASSWORD"].encode() not in (made.path / entry["path"]).read_bytes()
    assert made.manifest["redaction"]["key"]
    assert not [path for path in files if "link" in path or "fifo" in path]
    assert "1 core" in said.err
    assert "hold the memory" in said.err
    assert f"evdiag backtrace {made.path}" in said.err

    # -- whole, until somebody changes a byte
    assert run("--verify", made.path).code == 0
    with (made.path / core["path"]).open("r+b") as file:
        file.seek(64)
        file.write(b"\xff")
    changed = run("--verify", made.path)
    assert changed.code == 8
    assert name in changed.err


def test_cores_that_are_being_written(crashed: Charger, tmp_path: Path, run: Run) -> None:
    """By the core writer, which renames it in the end, and by the kernel."""
    (tmp_path / "whole").write_bytes(core_of(3_000_000))
    docker("cp", str(tmp_path / "whole"), f"{crashed.name}:/tmp/whole")
    script = (
        f"cd {CORES}; head -c 1000000 /tmp/whole | tee .{LATE}.part > core; touch /tmp/begun; "
        f"sleep 1; tail -c +1000001 /tmp/whole | tee -a .{LATE}.part >> core; "
        f"mv .{LATE}.part {LATE}; sleep 0.5; echo {{}} > {LATE}.json"
    )
    docker("exec", "-d", "-u", "root", crashed.name, "sh", "-c", script)
    await_true(lambda: crashed.exec("test", "-e", "/tmp/begun").code == 0, "the first third")
    made = bundle(run("--name", crashed.name, "--max-core-size", "50M", "-o", "late"))
    cores = made.files("core")
    assert set(cores) == {f"cores/{LATE}", "cores/core"}
    assert {core["sha256"] for core in cores.values()} == {digest(tmp_path / "whole")}
    assert not [core for core in cores.values() if "truncated" in core]
    crashed.output("sh", "-c", f"rm {CORES}/core {CORES}/{LATE}*")


def test_interrupted_and_gone_on_with(crashed: Charger, tmp_path: Path, run: Run) -> None:
    asked = ("collect", "--name", crashed.name, "-o", tmp_path / "again")
    said = interrupted(*asked, after="core.ocpp")
    assert said.code == 130
    assert "what came so far is in" in said.err
    assert "again.partial: the same command goes on with it" in said.err
    assert "Traceback" not in said.err
    assert not (tmp_path / "again").exists()
    interrupted_one = run("--verify", tmp_path / "again.partial")
    assert interrupted_one.code == 8
    assert "it was interrupted" in interrupted_one.err
    made = bundle(run(*asked[1:], "--no-symbols"))
    assert "here already" in made.err
    assert not (tmp_path / "again.partial").exists()
    assert len(made.files("core")) == 1
    taken = run(*asked[1:])
    assert taken.code == 2
    assert "is a bundle already" in taken.err


def test_a_charger_that_is_no_more(crashed: Charger, run: Run) -> None:
    (name,) = [each for each in crashed.cores() if each.startswith("core.ocpp")]
    crashed.output("sh", "-c", f'head -c 1000000 "{CORES}/{name}" > {CORES}/.{LATE}.part')
    docker("pause", crashed.name)
    paused = bundle(run("--name", crashed.name, "--no-symbols", "-o", "paused"))
    docker("unpause", crashed.name)
    docker("kill", crashed.name)

    # -- what was being written will not be finished any more
    for made in (paused, bundle(run("--name", crashed.name, "--no-symbols", "-o", "ended"))):
        cores = made.files("core")
        assert set(cores) == {f"cores/{name}", f"cores/{LATE}"}
        assert "its writer was ended" in cores[f"cores/{LATE}"]["truncated"]
        assert "truncated" not in cores[f"cores/{name}"]
        assert list(made.files("note")) == [f"cores/{name}.json"]
        assert {"logs/everest.log", "logs/output.log"} <= set(made.files("log"))
        assert f"cores/{LATE} is incomplete" in made.err

    # -- caps, and one file
    said = run("--name", crashed.name, "--max-core-size", "2M", "--archive", "one.tar.zst",
               "--no-symbols")  # fmt: skip
    assert (said.code, said.out) == (0, "one.tar.zst\n")
    assert list(Path().glob("evdiag-*")) == []
    assert f"left out: {CORES}/{name}" in said.err
    assert "(--max-core-size)" in said.err
    assert run("--verify", "one.tar.zst").code == 0
    without = bundle(run("--name", crashed.name, "--no-cores", "--no-redact"))
    assert without.files("core") == {}
    assert list(without.files("note")) == [f"cores/{name}.json"]
    assert without.manifest["redaction"] == {"enabled": False}
    assert "Nothing was redacted" in without.err
    assert b"100% $ecret" in (without.path / "container.json").read_bytes()


class Removing:
    """Is told what goes on, and removes the container when it comes to a step."""

    def __init__(self, name: str, step: str) -> None:
        self.name, self.step = name, step

    def begin(self, text: str) -> None:
        if text.startswith(self.step):
            docker("rm", "-f", self.name)

    def at(self, detail: str) -> None:
        pass

    def done(self, text: str = "") -> None:
        pass

    def warn(self, text: str) -> None:
        pass


@pytest.mark.parametrize(
    ("step", "left"), [("copying core", True), ("copying what it printed", False)]
)
def test_removed_in_the_middle(image: str, step: str, left: bool, tmp_path: Path) -> None:
    name = f"evdiag-test-{uuid.uuid4().hex[:12]}"
    (tmp_path / "core.a:A.1.2").write_bytes(b"")
    (tmp_path / "core.b:B.1.2").write_bytes(minimal_core())
    try:
        docker("run", "--name", name, "--entrypoint", "true", image)
        for core in sorted(tmp_path.iterdir()):
            docker("cp", str(core), f"{name}:{CORES}/")
        engine = connect()
        facts, request = engine.container(name), Request(output=tmp_path / "b", symbols=False)
        if left:
            with pytest.raises(NoSuchContainer, match="was removed while it was read") as error:
                collect(engine, facts, request, Removing(name, step))
            assert f"{tmp_path}/b.partial" in error.value.advice
            manifest = json.loads((tmp_path / "b.partial/manifest.json").read_text())
            assert not manifest["complete"]
        else:
            manifest = collect(engine, facts, request, Removing(name, step)).manifest
            assert any("removed" in problem for problem in manifest.problems)
            assert sum(entry.kind == "core" for entry in manifest.files) == 2
        engine.close()
    finally:
        docker("rm", "-f", name)


def core_of(size: int) -> bytes:
    """A core with one segment, which reaches to its end."""
    head = b"\x7fELF\x02\x01\x01" + bytes(9)
    head += struct.pack("<HHIQQQIHHHHHH", 4, 62, 1, 0, 64, 0, 0, 64, 56, 1, 64, 0, 0)
    head += struct.pack("<IIQQQQQQ", 1, 4, 4096, 0, 0, size - 4096, size - 4096, 0)
    return head.ljust(size, b"x")


def minimal_core() -> bytes:
    """An ELF header that says ET_CORE, and a page."""
    return b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x04\0\x3e\0\x01\0\0\0" + bytes(40 + 4032)


def test_strangers_volumes_and_folders(run: Run, tmp_path: Path) -> None:
    name = f"evdiag-test-{uuid.uuid4().hex[:12]}"
    cores = tmp_path / "cores"
    cores.mkdir()
    (cores / "core.x:X.1.2").write_bytes(minimal_core())
    (cores / "note.log").write_bytes(b"it died\n")
    (cores / "core.link").symlink_to("/etc/passwd")
    (cores / "binary.log").write_bytes(b"\x7fELF" + bytes(100))
    try:
        # -- an image without Python, and a core where the kernel puts it
        docker("run", "-d", "--name", name, "-w", "/srv", "-v", f"{name}:/data",
               "debian:bookworm-slim", "sh", "-c", "echo hello; sleep 100")  # fmt: skip
        for place in ("/srv/core", "/data/core.x:X.1.2", "/opt/core.9"):
            docker("cp", str(cores / "core.x:X.1.2"), f"{name}:{place}")
        foreign = bundle(run("--name", name, "--from", "/data", "-o", "foreign", "--no-symbols"))
        assert set(foreign.files("core")) == {
            "cores/srv/core", "cores/data/core.x:X.1.2", "cores/opt/core.9",
        }  # fmt: skip
        assert "hello" in (foreign.path / "logs/output.log").read_text()
        assert any("no python3" in problem for problem in foreign.manifest["problems"])

        # -- the container is gone, its volume is not
        docker("rm", "-f", name)
        volume = bundle(run("--volume", name, "-o", "volume"))
        assert list(volume.files("core")) == ["cores/core.x:X.1.2"]
        assert volume.manifest["subject"]["kind"] == "volume"
        assert docker("ps", "-aq", "--filter", "name=evdiag-volume").out == ""
        assert docker("volume", "ls", "-q").out.split().count(name) == 1
        missing = run("--volume", f"{name}-none")
        assert missing.code == 5
        assert "there is no volume called" in missing.err
    finally:
        docker("rm", "-f", name)
        docker("volume", "rm", name)

    # -- a folder of this machine
    folder = bundle(run("--folder", cores, "-o", "folder"))
    assert list(folder.files("core")) == ["cores/core.x:X.1.2"]
    assert {"logs/note.log", "logs/binary.log"} == set(folder.files("log"))
    assert not [each for each in folder.manifest["files"] if "passwd" in each["path"]]


def test_nothing_to_collect(run: Run) -> None:
    name = f"evdiag-test-{uuid.uuid4().hex[:12]}"
    try:
        docker("create", "--name", name, "debian:bookworm-slim", "true")
        never = run("--name", name)
        docker("start", "-a", name)
        nothing = run("--name", name)
    finally:
        docker("rm", "-f", name)
    assert (never.code, nothing.code) == (7, 7)
    assert f"{name} has never been started" in never.err
    assert f"{name} has no cores and no logs" in nothing.err
    assert list(Path().iterdir()) == []
