"""This machine, as far as doctor asks: files of its kernel, and the gdb on PATH."""

import mmap
import os
import shutil
import subprocess
from pathlib import Path

from evdiag.model.doctor import Debugger, HostFacts
from evdiag.parse.doctor import NO_PYTHON, handler_path, read_gdb_version, read_host

KERNEL = Path("/proc/sys/kernel")
FILES = {"core_pattern": "core_pattern", "core_uses_pid": "core_uses_pid"} | {
    "ptrace_scope": "yama/ptrace_scope"
}
SECONDS = 10.0


def look_around(*, versions: bool) -> HostFacts:
    """What there is to see. The version of gdb costs a start of it."""
    about = os.uname()
    files = {name: _text(KERNEL / path) for name, path in FILES.items()}
    handler = handler_path(files["core_pattern"])
    exists = None if handler is None else Path(handler).is_file()
    return read_host(about.sysname, about.release, files, exists, _gdb(versions=versions))


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _gdb(*, versions: bool) -> Debugger | None:
    path = shutil.which("gdb")
    if path is None:
        return None
    return Debugger(path=path, version=_version(path) if versions else "", python=_python(path))


def _version(path: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - the user's own gdb
            [path, "-nx", "--version"],
            capture_output=True,
            check=False,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return read_gdb_version(done.stdout.decode(errors="replace"))


def _python(path: str) -> bool | None:
    """Told by what a gdb without Python has to say; starting Python in it takes 0.1 s."""
    try:
        with Path(path).open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as all:
            return None if all[:4] != b"\x7fELF" else all.find(NO_PYTHON) < 0
    except (OSError, ValueError):
        return None
