"""Places where gdb can be started on a core: this machine, or one that another module knows."""

import contextlib
import os
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path, PurePath
from typing import Protocol

import msgspec

from evdiag.adapters.gdb.find import Command
from evdiag.adapters.gdb.process import Process, Talk
from evdiag.adapters.gdb.scene import Scene, exchange_core, laid_out, settings
from evdiag.analyze.gdb_place import HERE
from evdiag.errors import GdbUnusable

BARE = {
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "PYTHONSAFEPATH": "1",
    "PYTHONNOUSERSITE": "1",
    "PYTHONDONTWRITEBYTECODE": "1",
}
"""What gdb's environment holds wherever it runs, besides the path and an empty home."""


class NotHere(GdbUnusable):
    """A place is not for this core, which is nothing that anybody has to be told."""


class Opened(msgspec.Struct, frozen=True):
    """A gdb that was started in a folder where the core and its files lie."""

    talk: Talk
    settings: Sequence[str]
    """Commands that tell it where they lie."""
    turn: Callable[[Scene], Sequence[str]] | None = None
    """Lays another core of the same files in the place of the last one, and tells the settings for
    it; raises GdbUnusable. None where that cannot be done."""


class Place(Protocol):
    """Somewhere a gdb can be started."""

    title: str
    """Where that is, in words for the report."""
    keeps_index: bool
    """Whether gdb can use the index cache of this machine there."""

    def opened(
        self, scene: Scene, arguments: Sequence[str]
    ) -> contextlib.AbstractContextManager[Opened]:
        """Start gdb there; all of it is gone when the block is left.

        Raises NotHere if it is not for this core, GdbUnusable if it is of no use.
        """


class Here:
    """This machine, with one of its gdbs."""

    title = HERE
    keeps_index = True

    def __init__(self, gdb: Command) -> None:
        self.gdb = gdb

    @contextlib.contextmanager
    def opened(self, scene: Scene, arguments: Sequence[str]) -> Iterator[Opened]:
        """Start it in a folder of links. Raises GdbUnusable."""
        with laid_out(scene) as folder:
            process = Process(
                [*self.gdb, *arguments],
                folder,
                _environment(folder),
                scene.memory,
                name=shlex.join(self.gdb),
            )

            def turn(following: Scene) -> Sequence[str]:
                exchange_core(following, folder)
                return settings(following, folder)

            yield Opened(process, settings(scene, folder), turn)


def bare(folder: PurePath) -> dict[str, str]:
    """The part of gdb's environment that is the same everywhere: no home, nothing of the user's."""
    return {"HOME": str(folder / "home"), **BARE}


def _environment(folder: Path) -> Mapping[str, str]:
    """What gdb may know of this machine."""
    return {"PATH": os.environ.get("PATH", os.defpath), **bare(folder)}
