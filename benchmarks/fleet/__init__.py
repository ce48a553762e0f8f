"""The program whose crashes are sorted, in two builds: as large as the one of `material.py`.

It has that one's libraries and messages, and so more than 100 MB of debug information; what
crashes is in `fleet.cpp`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from pathlib import Path
from signal import SIGABRT, SIGSEGV
from typing import TYPE_CHECKING, Final

from benchmarks.material import COMPILER, FLAGS, compile_unit
from tests.support.many_cores import Kind

if TYPE_CHECKING:
    from benchmarks.material import Material

SOURCE: Final = Path(__file__).parent / "fleet.cpp"
EXECUTABLE: Final = "fleet"
HEAVY: Final = ("messages_0", "messages_1")
"""Units of the program of `material.py` that are linked into it."""
LIBRARIES: Final = ("libstation_core.so", "libstation_messages.so", "libstation_reports.so")
BUILDS: Final = ("1", "2")
KINDS: Final = (
    Kind(name="null-write", signal=SIGSEGV, classes=("null-write",)),
    Kind(name="assert", signal=SIGABRT, classes=("assert",)),
    Kind(name="uncaught-exception", signal=SIGABRT, classes=("uncaught-exception",)),
    Kind(name="heap-corruption", signal=SIGABRT, classes=("heap-corruption",)),
    Kind(name="stack-overflow", signal=SIGSEGV, classes=("stack-overflow",)),
)
"""In the order of the handlers in `fleet.cpp`."""


def build(material: Material) -> dict[str, Path]:
    """The executables by the name of their build; compiled once for a state of the sources."""
    origin = Path(material.directory)
    key = hashlib.sha256(SOURCE.read_bytes()).hexdigest()[:12]
    directory = origin / f"fleet-{key}"
    if not (directory / "complete").exists():
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir()
        objects = heavy_objects(origin)
        for name in BUILDS:
            link(origin, directory / name, name, objects)
        (directory / "complete").touch()
    return {name: directory / name / EXECUTABLE for name in BUILDS}


def heavy_objects(origin: Path) -> list[str]:
    """The units with most of the debug information; they are the same in both builds."""
    folder = origin / "obj"
    folder.mkdir(exist_ok=True)
    for unit in HEAVY:
        if not (folder / f"{unit}.o").exists():
            compile_unit(origin, unit)
    return [str(folder / f"{unit}.o") for unit in HEAVY]


def link(origin: Path, folder: Path, build: str, objects: list[str]) -> None:
    """One build."""
    folder.mkdir()
    libraries = [origin / "bin" / name for name in LIBRARIES]
    command = [
        *(COMPILER, *FLAGS, "-O1", f"-DBUILD={build}", f"-I{origin / 'src'}", str(SOURCE)),
        *(*objects, "-Wl,--build-id", "-Wl,--no-as-needed", *map(str, libraries)),
        *(f"-Wl,-rpath,{origin / 'bin'}", "-o", str(folder / EXECUTABLE)),
    ]
    subprocess.run(command, check=True)
