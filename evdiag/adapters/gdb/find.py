"""Which gdb to use: the one that was named, the one on PATH, the one from the wheel."""

import importlib.util
import os
import platform
import shlex
import shutil
import sys

from evdiag.errors import GdbMissing
from evdiag.model.machine import Machine

WHEEL = "gdb_for_pwndbg"
"""The package behind the extra `gdb`: gdb 18 for all architectures."""
_OWN_MACHINES = {
    "x86_64": {"x86-64", "i386"},
    "amd64": {"x86-64", "i386"},
    "aarch64": {"aarch64", "arm"},
    "arm64": {"aarch64", "arm"},
}


Command = tuple[str, ...]
"""A program that is a gdb, and what goes before its options."""


def candidates(named: str | None, machine: Machine) -> list[Command]:
    """The gdbs to try, best first. Raises GdbMissing.

    A distribution's gdb knows its own architecture only: for cores of another one, those that
    know all come first.
    """
    if named is not None:
        return [_named(named)]
    own = _on_path("gdb")
    all_machines = [*_wheel(), *_on_path("gdb-multiarch")]
    found = [*all_machines, *own] if is_foreign(machine) else [*own, *all_machines]
    if not found:
        raise GdbMissing("there is no gdb on this machine: no values of variables")
    return found


def marks(named: str | None, machine: Machine) -> tuple[str, ...]:
    """What tells these gdbs from others, newer ones for example, without starting them.

    Raises GdbMissing.
    """
    return tuple(
        " ".join(_state(word) for word in command) for command in candidates(named, machine)
    )


def _state(word: str) -> str:
    """A word of a command; of a file, also its size and when it was written."""
    name = word
    if word.startswith(WHEEL) and (found := importlib.util.find_spec(WHEEL)):
        name = found.origin or word
    try:
        status = os.stat(name)  # noqa: PTH116 - most words are no paths
    except (OSError, ValueError):
        return word
    return f"{word}:{status.st_size}:{status.st_mtime_ns}"


def is_foreign(machine: Machine) -> bool:
    """Whether a core is of another architecture than this machine."""
    return machine.name not in _OWN_MACHINES.get(platform.machine().lower(), set())


def _named(text: str) -> Command:
    try:
        words = tuple(shlex.split(text))
    except ValueError:
        words = ()
    if not words:
        raise GdbMissing(f"--gdb {text!r} is not a command")
    path = shutil.which(words[0])
    if path is None:
        raise GdbMissing(f"--gdb {words[0]} is not a program", advice="Check its path.")
    # it is started in another folder
    return (os.path.abspath(path), *words[1:])  # noqa: PTH100 - links stay links


def _on_path(name: str) -> list[Command]:
    path = shutil.which(name)
    return [(path,)] if path else []


def _wheel() -> list[Command]:
    if importlib.util.find_spec(WHEEL) is None:
        return []
    # -P: the folder that gdb starts in is no place to import from
    return [(sys.executable, "-P", "-m", f"{WHEEL}.gdb")]
