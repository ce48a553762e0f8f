"""`evdiag collect` of an engine that sends archives which no engine would send."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.analyze import collect_plan as plan
from evdiag.collection import Request, collect
from tests.support.wire import Connection, WireServer, chunked
from tests.wire.test_collect import CORES, Told, core

OUTSIDE = ("../../up.log", "/abs.log", f"{CORES}/../../../side.log", f"{CORES}/../x/core.evil")


def entry(name: str, content: bytes = b"", **fields: Any) -> bytes:  # noqa: ANN401
    """One member, whatever its fields say."""
    info = tarfile.TarInfo(name)
    info.mtime, info.size = 1_795_000_000, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    padding = bytes(-len(content) % 512)
    head = info.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
    return head + content + padding


def made_of(engine: ContainerEngine, folder: Path) -> dict[str, Any]:
    """The manifest of a bundle; nothing else lies around it."""
    folder.mkdir()
    request = Request(output=folder / "b", symbols=False)
    collected = collect(engine, engine.container("garage"), request, Told())
    assert [path.name for path in folder.iterdir()] == ["b"]
    for path in collected.path.rglob("*"):
        assert path.is_dir() or (path.is_file() and not path.is_symlink())
    manifest: dict[str, Any] = json.loads((collected.path / "manifest.json").read_text())
    listed = {each["path"] for each in manifest["files"]}
    files = {str(path.relative_to(collected.path)) for path in collected.path.rglob("*")
             if path.is_file()}  # fmt: skip
    assert files == listed | {"manifest.json"}
    return manifest


def test_names_links_and_devices(
    engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    links = [
        entry(f"{CORES}/core.link", type=tarfile.SYMTYPE, linkname="/etc/shadow"),
        entry(f"{CORES}/core.hard", type=tarfile.LNKTYPE, linkname="../../etc/shadow"),
        entry(f"{CORES}/way", type=tarfile.SYMTYPE, linkname=str(tmp_path)),
    ]
    others = [
        entry(f"{CORES}/core.dev", type=tarfile.CHRTYPE, devmajor=1, devminor=8),
        entry(f"{CORES}/core.fifo", type=tarfile.FIFOTYPE),
    ]
    twice = [entry(f"{CORES}/core.1", core(1024)), entry(f"{CORES}/core.1", core(2048))]
    renamed = entry(f"{CORES}/x.log", b"one\n", pax_headers={"path": "../../../renamed.log"})
    files = [entry(name, b"one\n" if name.endswith("log") else core(1024)) for name in OUTSIDE]
    data = b"".join([
        entry(CORES, type=tarfile.DIRTYPE), *links, *others, *twice, *files, renamed,
        entry(f"{CORES}/way/below.log", b"one\n"), entry(f"{CORES}/manifest.json", b"{}"),
    ])  # fmt: skip
    there.on("everest-logs", chunked(data + bytes(1024)))

    inside = tmp_path / "a" / "b" / "c" / "in"  # so deep that what climbs out is still seen
    inside.parent.mkdir(parents=True)

    manifest = made_of(engine, inside)

    assert not [path for path in tmp_path.rglob("*.log") if inside not in path.parents]
    cores = {each["path"]: each["bytes"] for each in manifest["files"] if each["kind"] == "core"}
    assert cores["cores/core.1"] == 1024, "what comes twice is taken once"
    assert not [path for path in cores if "link" in path or "hard" in path or "dev" in path]
    assert any("3 links" in each["origin"] for each in manifest["skipped"])


@pytest.mark.parametrize(
    "lie", [
        entry(f"{CORES}/core.1", core(1024), size=1 << 50),
        entry(f"{CORES}/core.1", core(1024), pax_headers={"size": "9" * 18}),
        entry(f"{CORES}/core.1", core(1024), pax_headers={"size": "-1"}),
        entry(f"{CORES}/y.log", b"one\n" * 300, size=100),
        entry(f"{CORES}/x.log", b"one\n", size=1 << 40),
        entry(f"{CORES}/{'n' * 70_000}", b"one\n"),
        b"no archive at all" * 100,
    ],
)  # fmt: skip
def test_sizes_that_lie(
    lie: bytes, engine: ContainerEngine, there: WireServer, tmp_path: Path
) -> None:
    there.on("everest-logs", chunked(entry(f"{CORES}/core.0", core(1024)) + lie))

    manifest = made_of(engine, tmp_path / "in")

    assert manifest.get("problems") or manifest.get("skipped")
    for each in manifest["files"]:
        if each["path"] == "cores/core.0":
            assert "truncated" not in each
        assert each["bytes"] <= 4096 or each["kind"] != "core"


def test_an_archive_without_end(
    engine: ContainerEngine,
    there: WireServer,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(plan, "MAX_PASSED", 1 << 20)
    large = entry(f"{CORES}/core.huge", size=1 << 50)
    sent: list[int] = []

    def without_end(connection: Connection) -> None:
        connection.send(chunked(entry(f"{CORES}/core.0", core(1024)) + large, ends=False))
        piece = b"10000\r\n" + bytes(1 << 16) + b"\r\n"
        while len(sent) < 10_000:
            try:
                connection._client.sendall(piece)
            except OSError:
                return
            sent.append(1)

    there.on("everest-logs", without_end)

    manifest = made_of(engine, tmp_path / "in")

    assert len(sent) < 1_000
    assert any("were not looked at" in problem for problem in manifest["problems"])
    assert "cores/core.0" in {each["path"] for each in manifest["files"]}
    assert any("--max-core-size" in each["reason"] for each in manifest["skipped"])


def test_files_without_end(
    engine: ContainerEngine, there: WireServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plan, "MAX_FILES", 50)
    files = io.BytesIO()
    for number in range(500):
        files.write(entry(f"{CORES}/x{number}.log", b"one\n"))
    there.on("everest-logs", chunked(files.getvalue() + bytes(1024)))

    manifest = made_of(engine, tmp_path / "in")

    assert len(manifest["files"]) < 70
    assert any(plan.TOO_MANY in problem for problem in manifest["problems"])
