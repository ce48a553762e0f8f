"""Costs of whole processes, measured in turn: A B C A B C, so that a busy spell hits all alike."""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

LAUNCHER: Final = Path(__file__).with_name("launch.py")
DEADLINE: Final = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one process and its children used. CPU is user and system time in seconds."""

    cpu: float
    wall: float
    peak_mb: float
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """One command to be measured, with a cache directory that no other program uses."""

    name: str
    command: tuple[str, ...]
    directory: Path
    rounds: int
    cache: Path
    cold: bool = False

    @property
    def output(self) -> Path:
        """What the last run printed."""
        return self.directory / f"{self.name}.out"

    @property
    def errors(self) -> Path:
        """What the last run said on standard error."""
        return self.directory / f"{self.name}.err"

    def complaint(self) -> str:
        """The last line of standard error, for a run that failed."""
        lines = self.errors.read_text(errors="replace").strip().splitlines()
        return lines[-1] if lines else "no message"


def environment(cache: Path) -> dict[str, str]:
    """The caller's, without what would make runs differ from machine to machine."""
    left_out = ("DEBUGINFOD_", "EVDIAG_", "PYTHONDONTWRITEBYTECODE", "PYTHONPROFILE", "LC_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(left_out)}
    return kept | {"LC_ALL": "C.UTF-8", "XDG_CACHE_HOME": str(cache)}


def launched(task: Task) -> subprocess.Popen[bytes]:
    """Start a task's command below the launcher, which prints its figures as JSON in the end."""
    task.cache.mkdir(parents=True, exist_ok=True)
    outputs = (str(task.output), str(task.errors))
    return subprocess.Popen(
        [sys.executable, "-I", "-S", str(LAUNCHER), *outputs, *task.command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        env=environment(task.cache),
        start_new_session=True,
    )


def run_once(task: Task) -> Usage:
    """Runs a task's command to its end."""
    if task.cold:
        shutil.rmtree(task.cache, ignore_errors=True)
    launcher = launched(task)
    try:
        figures, _ = launcher.communicate(timeout=DEADLINE)
    except BaseException:
        os.killpg(launcher.pid, signal.SIGKILL)
        launcher.wait()
        raise
    return Usage(**json.loads(figures))


def round_robin(tasks: Sequence[Task]) -> dict[str, Usage]:
    """The median figures of every task. One round before the others does not count."""
    runs: dict[str, list[Usage]] = {task.name: [] for task in tasks}
    last = max(task.rounds for task in tasks)
    for number in range(last + 1):
        progress(f"round {number} of {last}" if number else "warm-up round")
        for task in tasks:
            if number <= task.rounds:
                usage = run_once(task)
                runs[task.name] += [usage] if number else []
    return {name: median(usages) for name, usages in runs.items()}


def median(usages: Iterable[Usage]) -> Usage:
    """Each figure's median. A run that failed gives its status to the whole."""
    listed = list(usages)
    return Usage(
        cpu=statistics.median(usage.cpu for usage in listed),
        wall=statistics.median(usage.wall for usage in listed),
        peak_mb=max(usage.peak_mb for usage in listed),
        status=next((usage.status for usage in listed if usage.status), 0),
    )


def progress(text: str) -> None:
    """Says on standard error what is going on."""
    sys.stderr.write(f"benchmarks: {text}\n")
