"""A command with all processes that it starts: how much memory they hold together.

`launch.py` tells the peak of the largest process. What a machine needs is the sum: pages that
processes share are counted in parts (PSS), by a look at all of them a few times a second.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.measure import Usage, launched

if TYPE_CHECKING:
    from benchmarks.measure import Task

EVERY: Final = 0.2
"""Seconds between two looks: a look takes some milliseconds."""
DEADLINE: Final = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeUsage:
    """What a command used, and the most memory that it and its children held at once."""

    usage: Usage
    peak_mb: float


def run_tree(task: Task, interrupt_after: float | None = None) -> TreeUsage:
    """Run a command to its end, or until so many seconds have passed: then it gets SIGINT."""
    launcher = launched(task)
    begun, peak = time.monotonic(), 0.0
    while True:
        try:
            figures, _ = launcher.communicate(timeout=EVERY)
            return TreeUsage(usage=Usage(**json.loads(figures)), peak_mb=peak)
        except subprocess.TimeoutExpired:
            passed = time.monotonic() - begun
        peak = max(peak, memory_of(descendants(launcher.pid)))
        if interrupt_after is not None and passed >= interrupt_after:
            interrupt(launcher.pid)
            interrupt_after = None
        if passed > DEADLINE:
            os.killpg(launcher.pid, signal.SIGKILL)


def interrupt(launcher: int) -> None:
    """What Ctrl-C does, to the command alone: its workers have to be ended by it."""
    for pid in children_of().get(launcher, []):
        os.kill(pid, signal.SIGINT)


def descendants(pid: int) -> list[int]:
    """All processes below one, without itself."""
    children = children_of()
    found = list(children.get(pid, []))
    for one in found:
        found += children.get(one, [])
    return found


def children_of() -> dict[int, list[int]]:
    """The processes of the machine by their parent."""
    children: dict[int, list[int]] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                text = (path / "stat").read_text(errors="replace")
            except OSError:
                continue  # it has ended
            parent = int(text.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(path.name))
    return children


def memory_of(pids: list[int]) -> float:
    """Megabytes that processes hold together."""
    total = 0
    for pid in pids:
        try:
            rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue  # it has ended
        total += sum(int(row.split()[1]) for row in rows if row.startswith("Pss:"))
    return total * 1024 / 1e6
