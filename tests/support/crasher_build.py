"""Compiling the crashers: once for every state of sources, flags and compiler."""

import fcntl
import functools
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .crasher_modes import modes_here

Opt = Literal["O0", "O2"]
OPTS: tuple[Opt, ...] = ("O0", "O2")

SOURCES = Path(__file__).resolve().parent.parent / "crashers"

# Without what distributions add by themselves: a crash must be the same everywhere.
COMMON_FLAGS = (
    "-std=c++17", "-g3", "-ggdb", "-pthread", "-Wall", "-Wextra",
    "-U_FORTIFY_SOURCE", "-fstack-protector-strong",
)  # fmt: skip

LIBRARY_UNITS = ("chargebridge",)
MODULE_UNITS = (
    "module", "chain", "waits", "modes", "crash_memory", "crash_jump", "crash_stack",
    "crash_abort", "crash_assert", "crash_heap", "crash_exception", "crash_thrown",
    "crash_instruction", "crash_signal", "crash_deadlock",
)  # fmt: skip
MODULE_TYPES = ("EvseManager", "EnergyNode", "EvseV2G", "OCPP201")
PYTHON_MODULE = "PyEvSim"
PARALLEL_JOBS = 2


class CannotBuild(Exception):
    """The crashers cannot be compiled here; the message says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """The compiled process tree: one EVerest-like prefix for every optimisation level."""

    root: Path
    compiler: str

    def prefix(self, opt: Opt) -> Path:
        """Return the install prefix of one optimisation level."""
        return self.root / opt

    def manager(self, opt: Opt) -> Path:
        """Return the executable of the process manager."""
        return self.prefix(opt) / "bin/manager"

    def module(self, opt: Opt, module_type: str = "EvseManager") -> Path:
        """Return the executable of a module type."""
        return self.prefix(opt) / f"libexec/everest/modules/{module_type}/{module_type}"

    def library(self, opt: Opt) -> Path:
        """Return the shared library that all modules use."""
        return self.prefix(opt) / "lib/libchargebridge.so"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock on `path`, which is made if need be, against other processes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def cache_directory() -> Path:
    """Return where builds and cores are kept between test runs."""
    home = os.environ.get("XDG_CACHE_HOME")
    if home:
        return Path(home) / "evdiag-tests"
    return Path(tempfile.gettempdir()) / f"evdiag-tests-{os.geteuid()}"


def compiler_id(compiler: str) -> str:
    """Return what tells one compiler from another, with the libc it links to."""
    if shutil.which(compiler) is None:
        raise CannotBuild(f"{compiler} is not installed")
    version = run([compiler, "--version"])
    libc = Path(run([compiler, "-print-file-name=libc.so.6"]).strip())
    stamp = f"{libc.stat().st_size} {libc.stat().st_mtime_ns}" if libc.is_file() else "no libc"
    return f"{version}\n{stamp}\n{platform.machine()}"


def fingerprint(parts: Iterable[str]) -> str:
    """Return a short hash of all sources, the helpers that use them, and `parts`."""
    digest = hashlib.sha256()
    helpers = Path(__file__).parent
    files = [*SOURCES.glob("*.?pp"), SOURCES / "module.py", helpers / "core_files.py"]
    for path in (*sorted(files), *sorted(helpers.glob("crasher*.py"))):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


def run(command: Sequence[str], cwd: Path | None = None) -> str:
    """Run a tool and return its output; a failure is shown with the command to repeat it."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotBuild(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def run_all(commands: Iterable[Sequence[str]]) -> None:
    """Run tools that do not depend on each other, a few at a time."""
    with ThreadPoolExecutor(max_workers=PARALLEL_JOBS) as pool:
        for _ in pool.map(run, commands):
            pass


@functools.cache
def build(directory: Path | None = None, compiler: str = "g++") -> Build:
    """Compile the process tree at -O0 and -O2, or return what an earlier call has compiled.

    The result lies below `directory` (default: the cache directory) under a name made of
    everything that goes into it. A lock keeps two test workers from compiling at once.
    Raises CannotBuild.
    """
    base = directory or cache_directory()
    key = fingerprint([compiler_id(compiler), *COMMON_FLAGS, *MODULE_TYPES])
    root = base / f"tree-{Path(compiler).name}-{key}"
    with locked(base / f"{root.name}.lock"):
        if not (root / "complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            compile_tree(root, compiler)
            (root / "complete").touch()
    return Build(root=root, compiler=compiler)


def compile_tree(root: Path, compiler: str) -> None:
    """Compile and link everything below `root`."""
    made = Build(root=root, compiler=compiler)
    for opt in OPTS:
        for directory in ("objects", "bin", "lib", f"libexec/everest/modules/{PYTHON_MODULE}"):
            (made.prefix(opt) / directory).mkdir(parents=True)
        for module_type in MODULE_TYPES:
            made.module(opt, module_type).parent.mkdir(parents=True)
        python_module = made.prefix(opt) / f"libexec/everest/modules/{PYTHON_MODULE}/module.py"
        shutil.copyfile(SOURCES / "module.py", python_module)
    run_all(command for opt in OPTS for command in compile_commands(made, opt))
    run_all(library_command(made, opt) for opt in OPTS)
    run_all(command for opt in OPTS for command in link_commands(made, opt))
    for opt in OPTS:
        shutil.rmtree(made.prefix(opt) / "objects")
    if run([compiler, "-dumpmachine"]).startswith(platform.machine()):
        check_modes(made)


def compile_commands(made: Build, opt: Opt) -> Iterator[list[str]]:
    """Yield the commands that make the object files of one optimisation level."""
    objects = made.prefix(opt) / "objects"
    base = [made.compiler, *COMMON_FLAGS, f"-{opt}", "-c"]
    for unit in LIBRARY_UNITS:
        yield [*base, "-fPIC", str(SOURCES / f"{unit}.cpp"), "-o", str(objects / f"{unit}.o")]
    for unit in (*MODULE_UNITS, "manager"):
        yield [*base, "-fPIE", str(SOURCES / f"{unit}.cpp"), "-o", str(objects / f"{unit}.o")]
    for module_type in MODULE_TYPES:
        define = f'-DMODULE_TYPE="{module_type}"'
        target = str(objects / f"{module_type}.o")
        yield [*base, "-fPIE", define, str(SOURCES / "module_type.cpp"), "-o", target]


def library_command(made: Build, opt: Opt) -> list[str]:
    """Return the command that links the shared library."""
    objects = [str(made.prefix(opt) / f"objects/{unit}.o") for unit in LIBRARY_UNITS]
    name = "-Wl,-soname,libchargebridge.so"
    target = str(made.library(opt))
    return [made.compiler, "-shared", "-pthread", "-Wl,--build-id", name, *objects, "-o", target]


def link_commands(made: Build, opt: Opt) -> Iterator[list[str]]:
    """Yield the commands that link manager and modules.

    The library is found relative to the executable, so that a prefix can be moved.
    """
    objects = made.prefix(opt) / "objects"
    base = [made.compiler, "-pie", "-pthread", "-Wl,--build-id"]
    yield [*base, str(objects / "manager.o"), "-o", str(made.manager(opt))]
    units = [str(objects / f"{unit}.o") for unit in MODULE_UNITS]
    runpath = "-Wl,--enable-new-dtags,-rpath,$ORIGIN/../../../../lib"
    for module_type in MODULE_TYPES:
        own = [str(objects / f"{module_type}.o"), str(made.library(opt)), runpath]
        yield [*base, *units, *own, "-o", str(made.module(opt, module_type))]


def check_modes(made: Build) -> None:
    """Make sure that the C++ side and the Python table name the same modes."""
    expected = {f"{mode.name} {mode.thread}" for mode in modes_here()}
    for opt in OPTS:
        listed = set(run([str(made.module(opt)), "--list-modes"]).splitlines())
        if listed != expected:
            raise CannotBuild(
                f"only in the C++ tables: {sorted(listed - expected)}; "
                f"only in crasher_modes.MODES: {sorted(expected - listed)}"
            )
