"""Cores as they are analysed where the system's libraries are others, or have no symbols.

options = hidden_symbols(tmp_path, crashed.core)       # .dynsym and unwind tables only
core = without_libraries(tmp_path, crashed.core)       # not even those
"""

import re
import shutil
import subprocess
from pathlib import Path

from evdiag.adapters.files import open_core
from evdiag.engine import Options
from evdiag.parse.elfcore import read_core
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import MappedModule, mapped_modules

SYSTEM = re.compile(r"/(libc|libm|libstdc\+\+|libgcc_s|ld-[^/]+)[.-][^/]*$")
"""Paths of the libraries that every C++ program uses."""


class CannotHide(Exception):
    """The libraries of a core cannot be prepared here; the message says why."""


def system_libraries(core: Path) -> tuple[MappedModule, ...]:
    """The mapped libraries of a core that come with the system's compiler and libc."""
    data = open_core(core)
    facts = read_core(data)
    modules = mapped_modules(facts.files, Memory(data, facts))
    return tuple(module for module in modules if SYSTEM.search(module.path))


def hidden_symbols(tmp_path: Path, core: Path) -> Options:
    """Options for an analysis in which the system's libraries have exported names only.

    They name a copy of the crashed system that holds those libraries without symbols for
    debuggers. What this machine has in /usr/lib/debug does not count: the copy has a debug file
    for each of them too, of the same build-id, in which there is nothing more.
    """
    sysroot = tmp_path / "sysroot"
    for module in system_libraries(core):
        library = sysroot / module.path.lstrip("/")
        library.parent.mkdir(parents=True, exist_ok=True)
        strip(Path(module.path), library)
        build_id = Image(str(library), library.read_bytes()).build_id
        if build_id is None or build_id != module.build_id:
            raise CannotHide(f"{module.path} is not the file that {core} was made with")
        folder = sysroot / "usr/lib/debug/.build-id" / build_id[:2]
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(library, folder / f"{build_id[2:]}.debug")
    return Options(sysroot=sysroot)


def strip(library: Path, target: Path) -> None:
    """Copy a library without symbols for debuggers and without the name of its debug file."""
    tool = shutil.which("strip")
    if tool is None:
        raise CannotHide("strip is not installed")
    remove = ["--strip-all", "--remove-section=.gnu_debuglink"]
    command = [tool, *remove, "-o", str(target), str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise CannotHide(done.stderr)


def without_libraries(tmp_path: Path, core: Path) -> Path:
    """A copy of a core whose system libraries are not on this machine.

    They keep their names, but are in a folder that does not exist here: its last character is
    another one, everywhere in the core. So no file stands for them, and no unwind tables.
    """
    content = core.read_bytes()
    for module in system_libraries(core):
        folder, name = module.path.rsplit("/", 1)
        if Path(other(folder)).exists():
            raise CannotHide(f"{other(folder)} exists")
        # a loader knows the folder as /lib, where /lib is a link to /usr/lib
        old = f"/{folder.rpartition('/')[2]}/{name}\0"
        content = content.replace(old.encode(), f"{other(old[: -len(name) - 2])}/{name}\0".encode())
    copy = tmp_path / "core.elsewhere"
    copy.write_bytes(content)
    return copy


def other(folder: str) -> str:
    """A folder with a name of the same length."""
    return folder[:-1] + "~"
