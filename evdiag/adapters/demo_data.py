"""The crash that ships with evdiag: a core, the files it needs, and the sources."""

import tarfile
from importlib.resources import as_file, files
from pathlib import Path

from evdiag.adapters.files import write_atomically
from evdiag.errors import OutputNotWritten, UsageError

MACHINES = ("x86-64", "aarch64")


def unpack_demo(machine: str, folder: Path) -> Path:
    """Unpack the demo's files into a folder; returns the path of the core.

    Raises UsageError for a machine there is no demo of, OutputNotWritten if the folder cannot be
    written.
    """
    if machine not in MACHINES:
        raise UsageError(
            f"there is no demo of {machine!r}", advice=f"Choose one of {', '.join(MACHINES)}."
        )
    source = files("evdiag") / "data" / f"demo-{machine}.tar.xz"
    try:
        with as_file(source) as path, tarfile.open(path) as archive:
            for member in archive:
                if member.isfile():
                    _write(archive, member, folder)
    except OSError as error:
        raise OutputNotWritten(f"{folder} cannot be written: {error.strerror}") from None
    return folder / "core"


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    content = archive.extractfile(member)
    if content is None or ".." in Path(member.name).parts:
        return
    target = folder / member.name.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, content.read())
