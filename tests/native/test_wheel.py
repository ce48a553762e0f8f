"""What is published works without the checkout: the wheel holds all that evdiag needs."""

import io
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from evdiag.adapters.container_files import context_folder, pieces
from evdiag.adapters.gdb.debugger import EXTRACTOR, PRINTERS
from evdiag.report.json import decode

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    # what somebody left there does not go along
    rubbish = ROOT / f"container/sources/.rubbish-{os.getpid()}"
    try:
        rubbish.write_text("a tree")
        subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    finally:
        rubbish.unlink()
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "installed")
        for entry in archive.infolist():  # as pip does
            if entry.external_attr >> 16 & 0o111:
                (folder / "installed" / entry.filename).chmod(0o755)
    return folder / "installed"


def run(installed: Path, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run evdiag out of the wheel alone."""
    code = f"import sys; sys.path[0] = {str(installed)!r}; from evdiag.__main__ import run; run()"
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(folder / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_the_wheel_runs_the_demo(installed: Path, tmp_path: Path) -> None:
    names = [str(path.relative_to(installed)) for path in installed.rglob("*") if path.is_file()]
    top = {name.partition("/")[0] for name in names}
    assert {name.partition("-")[0] for name in top} == {"evdiag"}
    # no modules, but sent to gdb
    inside = {name for name in names if name.startswith("evdiag/adapters/gdb/inside/")}
    assert inside == {f"evdiag/adapters/gdb/inside/{name}" for name in (*PRINTERS, *EXTRACTOR)}

    done = run(installed, tmp_path, "demo", "-o", "here")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("evse_manager (EvseManager): null-write")
    assert len(decode((tmp_path / "here/report.json").read_text()).threads) == 16


def test_the_wheel_brings_the_image(installed: Path, tmp_path: Path) -> None:
    """Byte for byte what a checkout sends: so one's cache is the other's."""
    shipped = installed / "evdiag/_container"
    left_out = ("__pycache__", "node_modules", ".pyc", ".o", "rubbish")
    files = [str(path) for path in shipped.rglob("*") if path.is_file()]
    assert not [name for name in files if any(part in name for part in left_out)]

    done = run(installed, tmp_path, "build", "--print-context")

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"context    {shipped}\n")
    assert "REVISION" not in done.stdout  # it is no checkout
    assert _own(shipped) == _own(context_folder())


def _own(folder: Path) -> list[tuple[str, int, bytes]]:
    with tarfile.open(fileobj=io.BytesIO(b"".join(pieces(folder)))) as tar:
        return [
            (member.name, member.mode, _content(tar, member))
            for member in tar.getmembers()
            if not member.name.startswith("sources/") or member.name == "sources/README.md"
        ]


def _content(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = tar.extractfile(member) if member.isreg() else None
    return file.read() if file else b""
