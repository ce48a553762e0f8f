"""What is published works without the checkout: the wheel holds all that evdiag needs."""

import subprocess
import sys
import zipfile
from pathlib import Path

from evdiag.adapters.gdb.debugger import EXTRACTOR, PRINTERS
from evdiag.report.json import decode

ROOT = Path(__file__).resolve().parents[2]


def test_the_wheel_runs_the_demo(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        archive.extractall(installed)

    assert not [name for name in names if name.startswith(("tests/", "docs/", "benchmarks/"))]
    # no modules, but sent to gdb
    inside = {name for name in names if name.startswith("evdiag/adapters/gdb/inside/")}
    assert inside == {f"evdiag/adapters/gdb/inside/{name}" for name in (*PRINTERS, *EXTRACTOR)}
    code = f"import sys; sys.path[0] = {str(installed)!r}; from evdiag.__main__ import run; run()"
    done = subprocess.run(
        [sys.executable, "-c", code, "demo", "-o", "here"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("evse_manager (EvseManager): null-write")
    assert len(decode((tmp_path / "here/report.json").read_text()).threads) == 16
