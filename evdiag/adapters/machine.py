"""What this machine tells about itself, where it is the one of the container engine."""

import os
import platform
import re
import sys
from pathlib import Path

from evdiag.adapters.ports import is_free
from evdiag.model.charger import EngineFacts
from evdiag.model.incident import CorePattern
from evdiag.model.run import Listener, Machine, RunSpec
from evdiag.parse.container import read_core_pattern
from evdiag.parse.listeners import read_listeners

MOST_TEXT = 1 << 24
PIECE = 1 << 16


def look_around(engine: EngineFacts, spec: RunSpec) -> Machine:
    """What matters before a charger is started; of another machine nothing is known."""
    if not _is_local(engine):
        return Machine()
    here = _same_kernel(engine)
    return Machine(
        is_local=True,
        same_kernel=here,
        port_free=is_free(spec.bind, spec.port),
        disk_free=_disk_free(engine.root) if here else None,
        memory_available=_memory_available() if here else None,
        ipv6=Path("/proc/sys/net/ipv6").is_dir() if here else None,
        core_pattern=core_pattern(engine),
        cores_problem=_cores_problem(Path(spec.cores)) if spec.cores is not None else None,
        listeners=_listeners() if here and not engine.rootless else None,
    )


def _is_local(engine: EngineFacts) -> bool:
    """A socket may also be the near end of a tunnel; then the kernels are seldom the same."""
    if not engine.endpoint.startswith(("unix://", "npipe://")):
        return bool(re.match(r"\w+://(localhost|127\.0\.0\.1|\[::1\])(:|$)", engine.endpoint))
    return sys.platform != "linux" or engine.kind == "desktop" or _same_kernel(engine)


def _same_kernel(engine: EngineFacts) -> bool:
    return (
        sys.platform == "linux" and engine.kind != "desktop" and engine.kernel == platform.release()
    )


def _read(path: str) -> str:
    found = b""
    try:
        with Path(path).open("rb", buffering=0) as file:
            # below /proc/sys the kernel makes room for as much as is asked for, and refuses much
            while len(found) < MOST_TEXT and (piece := file.read(PIECE)):
                found += piece
    except OSError:
        return ""
    return found.decode("utf-8", "replace")


def core_pattern(engine: EngineFacts) -> CorePattern | None:
    """The core pattern that holds for an engine's containers, if its kernel is this one."""
    if not _same_kernel(engine):
        return None
    uses_pid = _read("/proc/sys/kernel/core_uses_pid")
    return read_core_pattern(_read("/proc/sys/kernel/core_pattern"), uses_pid)


def _listeners() -> tuple[Listener, ...] | None:
    text = _read("/proc/net/tcp")
    return read_listeners(text + _read("/proc/net/tcp6")) if text else None


def _disk_free(root: str) -> int | None:
    try:
        disk = os.statvfs(root)
    except OSError:
        return None
    return disk.f_bavail * disk.f_frsize


def _memory_available() -> int | None:
    found = re.search(r"^MemAvailable: +(\d{1,15}) kB", _read("/proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _cores_problem(folder: Path) -> str | None:
    """Why cores cannot go into a folder, which may still have to be made."""
    try:
        if folder.is_dir():
            return None
        if folder.exists() or folder.is_symlink():
            return "it is there, but no folder"
        parent = next(parent for parent in folder.parents if parent.exists())
        if not parent.is_dir():
            return f"{parent} is no folder"
        if not os.access(parent, os.W_OK | os.X_OK):
            return f"there is no such folder, and {parent} is not writable"
    except OSError as error:
        return (error.strerror or "it cannot be looked at").lower()
    return None
