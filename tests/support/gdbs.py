"""The gdbs that values are read with: the distribution's, the wheel's, and one without Python."""

import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.support.crasher_build import cache_directory, locked


class NoGdb(Exception):
    """A gdb cannot be had here; the message says why."""


def system_gdb() -> str:
    """The distribution's gdb, with Python. Raises NoGdb."""
    path = shutil.which("gdb", path="/usr/local/bin:/usr/bin:/bin")
    if path is None:
        raise NoGdb("there is no gdb")
    return path


def wheel_gdb() -> str:
    """gdb 18 of the extra `gdb`. Raises NoGdb."""
    if importlib.util.find_spec("gdb_for_pwndbg") is None:
        raise NoGdb("gdb-for-pwndbg is not installed")
    return f"{sys.executable} -P -m gdb_for_pwndbg.gdb"


def minimal_gdb() -> str:
    """Debian's gdb-minimal, unpacked beside the crashers: it cannot be installed next to gdb.

    Raises NoGdb.
    """
    folder = cache_directory() / "gdb-minimal"
    program = folder / "usr/bin/gdb"
    with locked(folder.with_suffix(".lock")):
        if not program.exists():
            folder.mkdir(parents=True, exist_ok=True)
            _unpack("gdb-minimal", folder)
    if not program.exists():
        raise NoGdb("gdb-minimal holds no gdb")
    return str(program)


def _unpack(package: str, folder: Path) -> None:
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise NoGdb(f"there is no {tool} to fetch {package} with")
    try:
        subprocess.run(
            ["apt-get", "download", package], cwd=folder, check=True, capture_output=True
        )
        (archive,) = folder.glob(f"{package}_*.deb")
        subprocess.run(["dpkg", "-x", str(archive), str(folder)], check=True, capture_output=True)
    except (subprocess.CalledProcessError, ValueError) as error:
        raise NoGdb(f"{package} cannot be fetched: {error}") from None


GDBS: dict[str, Callable[[], str]] = {
    "system": system_gdb,
    "wheel": wheel_gdb,
    "minimal": minimal_gdb,
}
"""By name, each gives a command for `--gdb`."""
