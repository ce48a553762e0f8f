"""The core of a program whose locals are damaged in known ways (tests/crashers/corrupt_values.cpp).

Compiled and crashed once per state of source and compiler, like the other crashers, but apart
from them: it is one file, and its damage only makes sense without optimisation.
"""

import hashlib
from signal import SIGSEGV

from .crasher_build import SOURCES, CannotBuild, cache_directory, compiler_id, locked, run
from .crasher_modes import Mode
from .crashers import CrashedProcess, Program, crash_once

COMPILER = "g++"
FLAGS = ("-std=c++17", "-g3", "-ggdb", "-O0", "-Wall", "-Wextra", "-U_FORTIFY_SOURCE")
MODE = Mode(
    "corrupt-values", "null-write", "main", "die", SIGSEGV,
    "writes to a null pointer, among damaged locals",
)  # fmt: skip


def corrupt_core() -> CrashedProcess:
    """The crashed program. Raises CannotBuild and CannotMakeCores."""
    parts = [SOURCES / "corrupt_values.cpp", SOURCES / "keep.hpp"]
    key = hashlib.sha256(b"\0".join(part.read_bytes() for part in parts))
    machine = compiler_id(COMPILER)
    if "x86_64" not in machine and "aarch64" not in machine:
        raise CannotBuild("the damage is made for 64-bit machines")
    key.update("\0".join((machine, *FLAGS)).encode())
    folder = cache_directory() / f"corrupt-values-{key.hexdigest()[:16]}"
    program = folder / "corrupt_values"
    with locked(folder.with_suffix(".lock")):
        if not program.exists():
            folder.mkdir(parents=True, exist_ok=True)
            made = folder / "new"
            run([COMPILER, *FLAGS, "-Wl,--build-id", str(parts[0]), "-o", str(made)])
            made.rename(program)
    path = str(program)
    return crash_once(
        Program(executable=program, command=(path,), argv=(path,)), MODE, folder / MODE.name
    )
