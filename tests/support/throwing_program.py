"""Cores of a program that ends by exceptions of all kinds (throwing.cpp), by several compilers."""

import hashlib
import shutil
from pathlib import Path
from signal import SIGABRT

from .crasher_build import CannotBuild, cache_directory, compiler_id, locked, run
from .crasher_modes import Mode
from .crashers import CrashedProcess, Program, crash_once

SOURCE = Path(__file__).parent / "throwing.cpp"
FLAGS = ("-std=c++17", "-g", "-pthread", "-Wall", "-Wextra", "-Wl,--build-id")
BUILDS = {
    "O0": ("g++", "-O0"),
    "O2": ("g++", "-O2"),
    "static": ("g++", "-O2", "-static"),
    "static-libstdc++": ("g++", "-O2", "-static-libstdc++", "-static-libgcc"),
    "no-pie": ("g++", "-O1", "-no-pie"),
    "clang": ("clang++", "-O1"),
}


def throwing_core(name: str, mode: str) -> CrashedProcess:
    """The program ended in a mode. Raises CannotBuild and CannotMakeCores."""
    compiler, *flags = BUILDS[name]
    if shutil.which(compiler) is None:
        raise CannotBuild(f"{compiler} is not installed")
    key = hashlib.sha256(SOURCE.read_bytes())
    key.update("\0".join((compiler_id(compiler), *FLAGS, *flags)).encode())
    folder = cache_directory() / f"throwing-{name}-{key.hexdigest()[:16]}"
    program = folder / "throwing"
    with locked(folder.with_suffix(".lock")):
        if not program.exists():
            folder.mkdir(parents=True, exist_ok=True)
            made = folder / "new"
            run([compiler, *FLAGS, *flags, str(SOURCE), "-o", str(made)])
            made.rename(program)
    path = str(program)
    ending = Mode(mode, "abort", "main", None, SIGABRT, "")
    return crash_once(
        Program(executable=program, command=(path,), argv=(path, mode)), ending, folder / mode
    )
