"""gdb for a person: the same safe start and the same files, on the user's own terminal."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

from evdiag.adapters.gdb.conversation import LANGUAGE, PRINTERS, index_folder, inside
from evdiag.adapters.gdb.debugger import SAFE
from evdiag.adapters.gdb.find import Command, candidates
from evdiag.adapters.gdb.process import limit
from evdiag.adapters.gdb.scene import CORE, PROGRAM, Scene, laid_out, settings
from evdiag.errors import GdbUnusable

SETUP = "printers.py"
PREPARED = ("set confirm off", "set print thread-events off", "set pagination off")
READY = ("-ex", "set pagination on")
"""Nobody wants to press return for what gdb says while it loads."""
_FORGET = ("DEBUGINFOD_URLS", "PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP")


def run_interactively(named: str | None, scene: Scene, cache: Path, arguments: list[str]) -> int:
    """Run gdb until its user leaves it; returns its exit status. Raises GdbError."""
    gdb = candidates(named, scene.machine)[0]
    with laid_out(scene) as folder:
        command = [*gdb, *SAFE]
        for setting in (*PREPARED, *settings(scene, folder), LANGUAGE):
            command += ["-iex", setting]
        for setting in index_settings(gdb, cache):
            command += ["-iex", setting]
        if _has_python(gdb):
            (folder / SETUP).write_bytes(inside(*PRINTERS))
            command += ["-iex", f"source {folder / SETUP}"]
        command += [*arguments, *READY, "-c", str(folder / CORE)]
        if scene.program is not None:
            command.append(str(folder / PROGRAM))
        return _run(command, scene.memory)


def index_settings(gdb: Command, cache: Path) -> tuple[str, ...]:
    """Let gdb use and keep the indexes of its version."""
    first = _output(gdb, *SAFE, "--version").partition("\n")[0].split()
    return index_folder(cache, first[-1]) if first else ()


def _has_python(gdb: Command) -> bool:
    return _output(gdb, *SAFE, "--batch", "-ex", "python print(6 * 7)").strip() == "42"


def _output(gdb: Command, *arguments: str) -> str:
    """What gdb prints. Raises GdbUnusable."""
    try:
        done = subprocess.run(  # noqa: S603 - the user's own gdb
            [*gdb, *arguments],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=20,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GdbUnusable(f"{gdb[0]} cannot be started: {error}") from None
    return done.stdout.decode("utf-8", "replace")


def _run(command: list[str], memory: int) -> int:
    try:
        with _ignoring_interrupts():
            process = subprocess.Popen(command, env=_environment())  # noqa: S603 - as above
            limit(process.pid, memory)
            return process.wait()
    except OSError as error:
        raise GdbUnusable(f"{command[0]} cannot be started: {error.strerror}") from None


@contextlib.contextmanager
def _ignoring_interrupts() -> Iterator[None]:
    """Ctrl-C on the terminal is meant for gdb, not for us."""
    before = signal.signal(signal.SIGINT, lambda *_: None)  # unlike SIG_IGN, not inherited
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _environment() -> dict[str, str]:
    kept = {name: text for name, text in os.environ.items() if name not in _FORGET}
    return {**kept, "PYTHONSAFEPATH": "1"}
