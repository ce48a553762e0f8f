"""Make the cores of `evdiag demo` anew: `make demo-data` and `make demo-data-aarch64`.

The module is compiled and crashed under the paths that a real charger would have. For x86-64 they
are made to exist for it alone, by a mount namespace: that needs root on Linux, g++ and util-linux.
For aarch64 it crashes in an emulated machine, see `aarch64/make-core.sh`. What is packed: the core,
the module and its library with full debug information, the sources, and of the system's libraries
a copy whose code is zeroed (a stack needs their unwind tables and names only).
"""

import argparse
import lzma
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from io import BytesIO
from pathlib import Path

from evdiag.adapters.files import open_core
from evdiag.parse.elfcore import read_core
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import mapped_modules
from tests.support.crasher_build import (
    MODULE_TYPES,
    SOURCES,
    Build,
    Opt,
    compile_commands,
    library_command,
    link_commands,
    run_all,
)
from tests.support.crasher_modes import DEMO_MODE
from tests.support.crashers import module_argv

DATA = Path(__file__).resolve().parents[2] / "evdiag/data"
SHF_EXECINSTR = 4
OPT: Opt = "O2"
INSTALLED = Path("/opt/everest")
COMPILED_IN = "/workspace/charger"
MODULE = "evse_manager"
MAKE_EMULATED_CORE = Path(__file__).resolve().parent / "aarch64/make-core.sh"
EMULATED_CORE_TOOLS = ("aarch64-linux-gnu-g++", "qemu-system-aarch64", "cpio", "apt-get")


def compile_module(scratch: Path, compiler: str = "g++", *flags: str) -> Build:
    """Compile module and library as if they lay in COMPILED_IN."""
    made = Build(root=scratch, compiler=compiler)
    for folder in ("objects", "bin", "lib"):
        (made.prefix(OPT) / folder).mkdir(parents=True)
    for module_type in MODULE_TYPES:
        made.module(OPT, module_type).parent.mkdir(parents=True)
    # of two that match, the compiler takes the last one
    mapped = [f"-ffile-prefix-map={Path.cwd()}=/workspace"]
    mapped += [f"-ffile-prefix-map={SOURCES}={COMPILED_IN}"]
    run_all([*command, *flags, *mapped] for command in compile_commands(made, OPT))
    run_all([library_command(made, OPT)])
    run_all(link_commands(made, OPT))
    return made


def installed_module(made: Build) -> Path:
    """Return the module's executable as its process knows it."""
    return INSTALLED / made.module(OPT).relative_to(made.prefix(OPT))


def crash(made: Build, scratch: Path) -> Path:
    """Crash the module below INSTALLED, without anything of this machine in its environment."""
    argv = module_argv(MODULE, INSTALLED)
    script = (
        'mount --bind "$1" "$2" && cd "$3" && shift 3 && ulimit -c unlimited && ulimit -s 512 && '
        'mode="$1" exe="$2" name="$3" && shift 3 && '
        'exec env -i PATH=/usr/bin:/bin MALLOC_ARENA_MAX=1 CRASH_MODE="$mode" '
        'bash -c \'unset PWD OLDPWD SHLVL; exec -a "$0" "$@"\' "$name" "$exe" "$@"'
    )
    fresh = not INSTALLED.exists()
    INSTALLED.mkdir(parents=True, exist_ok=True)
    run = scratch / "run"
    run.mkdir()
    try:
        subprocess.run(
            ["unshare", "--mount", "bash", "-c", script, "demo", made.prefix(OPT), INSTALLED, run,
             DEMO_MODE, installed_module(made), *argv],
            check=False,
        )  # fmt: skip
    finally:
        if fresh:
            INSTALLED.rmdir()
    (core,) = run.glob("core*")
    return core


def crash_emulated(made: Build, root: Path) -> Path:
    """Crash the module below INSTALLED in an emulated machine with `root` as its root directory."""
    prefix = root / INSTALLED.relative_to("/")
    shutil.copytree(made.prefix(OPT), prefix, ignore=shutil.ignore_patterns("objects"))
    argv = module_argv(MODULE, INSTALLED)
    command = [str(MAKE_EMULATED_CORE), str(root.parent), DEMO_MODE, str(installed_module(made))]
    subprocess.run([*command, *argv], check=True)
    return root.parent / "core"


def without_code(image: Image) -> bytes:
    """The file with zeros in place of its machine code; layout, tables and names stay."""
    content = bytearray(image.data)
    for section in image.sections.values():  # segments of code have headers and tables too
        if section.flags & SHF_EXECINSTR:
            content[section.offset : section.offset + section.size] = bytes(section.size)
    return bytes(content)


def contents(made: Build, core: Path, root: Path) -> dict[str, bytes]:
    """Everything that is packed, by name; the system's libraries are taken from below `root`."""
    data = open_core(core)
    facts = read_core(data)
    found = {"core": bytes(data)}
    for module in mapped_modules(facts.files, Memory(data, facts)):
        path = Path(module.path)
        if path.is_relative_to(INSTALLED):
            found[f"root{path}"] = (made.prefix(OPT) / path.relative_to(INSTALLED)).read_bytes()
        else:
            library = root / path.relative_to("/")
            found[f"root{path}"] = without_code(Image(str(path), library.read_bytes()))
    for source in sorted((*SOURCES.glob("*.cpp"), *SOURCES.glob("*.hpp"))):
        found[f"root{COMPILED_IN}/{source.name}"] = source.read_bytes()
    return found


def pack(files: dict[str, bytes], target: Path) -> None:
    """Write an archive that depends on nothing but its contents."""
    with (
        lzma.open(target, "wb", preset=9 | lzma.PRESET_EXTREME) as packed,
        tarfile.open(fileobj=packed, mode="w") as archive,
    ):
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(content), 0o600
            archive.addfile(member, BytesIO(content))


def missing(machine: str) -> str:
    """Say what is not here to make the demo of a machine with; nothing if all is."""
    if machine == "aarch64":
        tools = [tool for tool in EMULATED_CORE_TOOLS if shutil.which(tool) is None]
        return f"the demo of aarch64 needs {', '.join(tools)}\n" if tools else ""
    if platform.machine() != "x86_64":
        return "the demo of x86-64 can be made on such a machine only\n"
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return "make demo-data needs root (for a mount namespace) and unshare\n"
    return ""


def demo_files(machine: str, scratch: Path) -> dict[str, bytes]:
    """Compile and crash the module for a machine; returns everything that is packed, by name."""
    if machine == "aarch64":
        root = scratch / "root"
        made = compile_module(scratch, "aarch64-linux-gnu-g++", "-mbranch-protection=standard")
        return contents(made, crash_emulated(made, root), root)
    made = compile_module(scratch)
    return contents(made, crash(made, scratch), Path("/"))


def main() -> int:
    """Make the demo's archive for a machine; returns the exit code."""
    parser = argparse.ArgumentParser(description="Make the core of `evdiag demo` anew.")
    parser.add_argument("--machine", choices=("x86-64", "aarch64"), default="x86-64")
    machine: str = parser.parse_args().machine
    why_not = missing(machine)
    if why_not:
        sys.stderr.write(why_not)
        return 3
    with tempfile.TemporaryDirectory() as folder:
        target = DATA / f"demo-{machine}.tar.xz"
        pack(demo_files(machine, Path(folder)), target)
    sys.stdout.write(f"wrote {target} ({target.stat().st_size} bytes)\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
