"""Where a source file may be that debug information names."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from evdiag.analyze.mapped import source_place

MAX_FOLDERS = 64
"""Folders below the sources of a bundle that gdb is told of; most have `usr` alone."""


def source_paths(
    file: str, maps: Iterable[tuple[str, str]], roots: Sequence[Path], sysroot: Path | None
) -> Iterator[Path]:
    """Mapped prefixes first, then a bundle or this machine, and a copy of the crashed system."""
    for old, new in maps:
        if file.startswith(old):
            yield Path(new + file[len(old) :])
    place = source_place(file) if roots else None
    if place is not None:
        for root in roots:
            found = root / place
            # a bundle may come from anybody: no link in it shows a file of this machine
            if found.resolve().is_relative_to(root.resolve()):
                yield found
    if sysroot is not None:
        yield sysroot / file.lstrip("/")
    if file.startswith("/") and not roots:
        yield Path(file)


def maps_for_gdb(roots: Iterable[Path]) -> list[tuple[str, str]]:
    """(prefix as compiled, prefix in such a folder): gdb replaces begins of paths."""
    found: list[tuple[str, str]] = []
    for root in roots:
        with contextlib.suppress(OSError):
            found += [(f"/{entry.name}", str(entry.absolute())) for entry in root.iterdir()]
    return sorted(found)[:MAX_FOLDERS]
