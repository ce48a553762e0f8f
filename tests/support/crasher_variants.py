"""One small program in many builds: compilers, DWARF versions, stripped, static, aarch64."""

import functools
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .crasher_build import (
    SOURCES,
    CannotBuild,
    cache_directory,
    compiler_id,
    fingerprint,
    locked,
    run,
)
from .crasher_modes import Mode

BASE_FLAGS = ("-std=c++17", "-pthread", "-U_FORTIFY_SOURCE", "-Wl,--build-id")
DEBUG = ("-g", "-O2")
AARCH64_SYSROOT = Path("/usr/aarch64-linux-gnu")
NO_TABLES = ("-fno-exceptions", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")

# Gets the executable and the directory for separate debug files.
Finish = Callable[[Path, Path], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One way to build the small program.

    `tools` are the programs the build needs besides the compiler. `finish` works on the linked
    executable. `machine` is the processor it is for; a foreign one runs under qemu.
    """

    name: str
    compiler: str = "g++"
    flags: tuple[str, ...] = DEBUG
    note: str = ""
    tools: tuple[str, ...] = ()
    finish: Finish | None = None
    machine: str = "x86_64"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuiltVariant:
    """A compiled variant and what a debugger has to be told to read its cores.

    `runner` stands before the program on its command line: nothing, or an emulator.
    """

    variant: Variant
    executable: Path
    debug_dir: Path | None
    sysroot: Path | None
    gdb: str
    runner: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Why something cannot be had on this machine, for the skip message of a test."""

    reason: str


def objcopy(*words: str | Path) -> None:
    """Run objcopy."""
    run(["objcopy", *map(str, words)])


def move_debug_by_build_id(executable: Path, debug_dir: Path) -> None:
    """Strip the executable; the debug file lies where its build-id says."""
    notes = run(["readelf", "-n", str(executable)])
    build_id = notes.split("Build ID:")[1].split()[0]
    debug = debug_dir / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    debug.parent.mkdir(parents=True)
    objcopy("--only-keep-debug", executable, debug)
    objcopy("--strip-all", executable)


def move_debug_by_link(executable: Path, debug_dir: Path) -> None:
    """Strip the executable; a .gnu_debuglink names the debug file next to it."""
    debug = executable.with_suffix(".debug")
    objcopy("--only-keep-debug", executable, debug)
    objcopy("--strip-all", executable)
    objcopy("--remove-section=.note.gnu.build-id", f"--add-gnu-debuglink={debug}", executable)


def strip_all(executable: Path, debug_dir: Path) -> None:
    """Leave no symbol but those of the dynamic linker."""
    objcopy("--strip-all", executable)


def compress_with_dwz(executable: Path, debug_dir: Path) -> None:
    """Let dwz fold equal parts of the debug information into partial units."""
    run(["dwz", str(executable)])


def drop_debug_frame(executable: Path, debug_dir: Path) -> None:
    """Remove the last unwind table: only frame pointers are left."""
    objcopy("--remove-section=.debug_frame", executable)


def drop_eh_frame(executable: Path, debug_dir: Path) -> None:
    """Cut the unwind tables out of a finished program, as some hardening scripts do."""
    objcopy("--remove-section=.eh_frame", "--remove-section=.eh_frame_hdr", executable)


def _aarch64(name: str, *flags: str, note: str = "") -> Variant:
    """Describe a cross-compiled variant."""
    return Variant(
        name=f"aarch64-{name}", compiler="aarch64-linux-gnu-g++", flags=("-g", *flags), note=note,
        tools=("qemu-aarch64-static",), machine="aarch64",
    )  # fmt: skip


VARIANTS: tuple[Variant, ...] = (
    Variant(name="gcc-O0", flags=("-g", "-O0")),
    Variant(name="gcc-O2"),
    Variant(name="gcc-dwarf4", flags=(*DEBUG, "-gdwarf-4")),
    Variant(name="gcc-dwarf5", flags=(*DEBUG, "-gdwarf-5")),
    Variant(name="gcc-g1", flags=("-g1", "-O2"), note="line tables and inlines, no variables"),
    Variant(name="gcc-g0", flags=("-O2",), note="symbol table only"),
    Variant(name="gcc-gz", flags=(*DEBUG, "-gz=zlib"), note="compressed debug sections"),
    Variant(name="gcc-type-units", flags=(*DEBUG, "-fdebug-types-section")),
    Variant(name="gcc-static", flags=(*DEBUG, "-static"), note=".eh_frame without its table"),
    Variant(name="gcc-no-pie", flags=(*DEBUG, "-no-pie", "-fno-pie")),
    Variant(name="gcc-build-id-debug", finish=move_debug_by_build_id, tools=("objcopy",),
            note="stripped; debug file in .build-id"),
    Variant(name="gcc-debuglink", finish=move_debug_by_link, tools=("objcopy",),
            note="stripped, no build-id; debug file named by .gnu_debuglink"),
    Variant(name="gcc-stripped", finish=strip_all, tools=("objcopy",), note="no symbols at all"),
    Variant(name="gcc-lto", flags=(*DEBUG, "-flto")),
    Variant(name="gcc-split-dwarf", flags=(*DEBUG, "-gsplit-dwarf"), note="a .dwo beside it"),
    Variant(name="gcc-dwz", finish=compress_with_dwz, tools=("dwz",)),
    Variant(name="gcc-omit-frame-pointer", flags=(*DEBUG, "-fomit-frame-pointer")),
    Variant(name="gcc-debug-frame", flags=(*DEBUG, *NO_TABLES, "-fomit-frame-pointer"),
            note="no .eh_frame of its own, only .debug_frame"),
    Variant(name="gcc-frame-pointers", finish=drop_debug_frame, tools=("objcopy",),
            flags=(*DEBUG, *NO_TABLES, "-fno-omit-frame-pointer"),
            note="no unwind table of its own at all, only frame pointers"),
    Variant(name="gcc-eh-frame-removed", finish=drop_eh_frame, tools=("objcopy",),
            flags=("-g", "-O0", *NO_TABLES[:1], "-fno-omit-frame-pointer"),
            note="unwind tables cut out of the finished program; the header still names them"),
    Variant(name="clang-O0", compiler="clang++", flags=("-g", "-O0")),
    Variant(name="clang-O2", compiler="clang++"),
    Variant(name="clang-dwarf5", compiler="clang++", flags=(*DEBUG, "-gdwarf-5")),
    _aarch64("static-O0", "-static", "-O0"),
    _aarch64("static-O2", "-static", "-O2"),
    _aarch64("dynamic-O0", "-O0", note="a position-independent executable"),
    _aarch64("dynamic-O2", "-O2", note="a position-independent executable"),
    _aarch64("no-pie-O2", "-O2", "-no-pie", "-fno-pie", note="dynamic, at a fixed address"),
)  # fmt: skip


def variants() -> tuple[Variant, ...]:
    """Return all variants, whether this machine can build them or not."""
    return VARIANTS


def oracle_gap(variant: Variant, mode: Mode) -> str | None:
    """Return why gdb cannot be asked for the stacks of this core, or None if it can.

    Seen with gdb 13.1; our own unwinder has to read them all the same.
    """
    if variant.name.startswith("aarch64-dynamic"):
        return "gdb does not find a position-independent executable in a core written by qemu"
    if variant.machine == "aarch64" and mode.name == "signal-handler":
        return "gdb-multiarch does not come to an end on a signal trampoline of aarch64"
    if variant.name == "gcc-frame-pointers" and mode.name == "recursion":
        return "without unwind tables gdb looks for the frame below a stack that is full"
    return None


def missing_tool(variant: Variant) -> str | None:
    """Return the first program that the variant needs and this machine lacks."""
    needed: Sequence[str] = (variant.compiler, *variant.tools)
    return next((tool for tool in needed if shutil.which(tool) is None), None)


@functools.cache
def build_variant(variant: Variant, directory: Path | None = None) -> BuiltVariant | Unavailable:
    """Compile one variant, or say why this machine cannot."""
    tool = missing_tool(variant)
    if tool is not None:
        return Unavailable(f"variant {variant.name} needs {tool}, which is not installed")
    base = directory or cache_directory()
    try:
        parts = [compiler_id(variant.compiler), variant.name, *BASE_FLAGS, *variant.flags]
        root = base / f"variant-{variant.name}-{fingerprint(parts)}"
        with locked(base / f"{root.name}.lock"):
            if not (root / "complete").exists():
                shutil.rmtree(root, ignore_errors=True)
                compile_variant(variant, root)
                (root / "complete").touch()
    except CannotBuild as problem:
        return Unavailable(f"variant {variant.name}: {problem}")
    return describe(variant, root)


def compile_variant(variant: Variant, root: Path) -> None:
    """Compile, link and finish one variant in its own directory."""
    root.mkdir(parents=True)
    flags = [*BASE_FLAGS, *variant.flags]
    source = str(SOURCES / "small.cpp")
    run([variant.compiler, *flags, "-c", source, "-o", "small.o"], cwd=root)
    run([variant.compiler, *flags, "small.o", "-o", "small"], cwd=root)
    if variant.finish is not None:
        variant.finish(root / "small", root / "debug")


def describe(variant: Variant, root: Path) -> BuiltVariant:
    """Return the noun for a compiled variant."""
    foreign = variant.machine == "aarch64"
    sysroot = AARCH64_SYSROOT if foreign and "-static" not in variant.flags else None
    prefix = ("-L", str(sysroot)) if sysroot is not None else ()
    debug_dir = root / "debug"
    return BuiltVariant(
        variant=variant,
        executable=root / "small",
        debug_dir=debug_dir if debug_dir.exists() else None,
        sysroot=sysroot,
        gdb="gdb-multiarch" if foreign else "gdb",
        runner=("qemu-aarch64-static", *prefix) if foreign else (),
    )
