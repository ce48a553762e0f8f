"""Costs too small for a process of their own: a child python measures itself and prints them.

A snippet gets cores as arguments and prints two numbers: milliseconds of CPU per core, and how
many threads it saw. It runs in the python that runs the benchmark, so evdiag must be importable.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from benchmarks.measure import environment

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

DEADLINE: Final = 300.0
REPEATS: Final = 20

TIMING: Final = """
import statistics
import sys
import time

def milliseconds(call, core):
    start = time.process_time()
    call(core)
    return 1000 * (time.process_time() - start)
"""

# What the process has read of a binary stays in memory for the next core.
FURTHER_CORE: Final = (
    TIMING
    + """
from pathlib import Path
from evdiag.__main__ import collect_rarely
from evdiag.engine import Engine, Options

collect_rarely()
engine = Engine(Options())

def stacks(core):
    return engine.report(Path(core)).threads

first, *further = sys.argv[1:]
threads = len(stacks(first))
# three times over: nothing of a core itself is kept, and a busy machine disturbs less
times = [milliseconds(stacks, core) for _ in range(3) for core in further]
print(statistics.median(times), threads)
"""
)

# Notes and memory: everything that is known without symbols.
STAGE_0: Final = (
    TIMING
    + """
from pathlib import Path
from evdiag.adapters.files import open_core
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from evdiag.parse.modules import mapped_modules
from evdiag.parse.startup import executable_path, read_startup

def facts(core):
    data = open_core(Path(core))
    found = read_core(data)
    memory = Memory(data, found)
    read_startup(found, memory)
    executable_path(found, memory)
    mapped_modules(found.files, memory)
    return found

core, repeats = sys.argv[1], int(sys.argv[2])
threads = len(facts(core).threads)
print(statistics.median([milliseconds(facts, core) for _ in range(repeats)]), threads)
"""
)


class SnippetError(Exception):
    """A snippet gave no number; the message is its own."""


@dataclass(frozen=True, slots=True)
class Inside:
    """What a snippet measured."""

    milliseconds: float
    threads: int


def further_core(cores: Sequence[str], cache: Path, snippet: str = FURTHER_CORE) -> Inside:
    """A core more of a binary that the process has seen: all threads, with names and lines."""
    run_snippet(snippet, cores, cache)
    return run_snippet(snippet, cores, cache)


def stage_0(core: str, cache: Path, snippet: str = STAGE_0) -> Inside:
    """What is known of a core without symbols."""
    return run_snippet(snippet, [core, str(REPEATS)], cache)


def run_snippet(snippet: str, arguments: Sequence[str], cache: Path) -> Inside:
    """Runs a snippet in a child python."""
    done = subprocess.run(
        [sys.executable, "-c", snippet, *arguments],
        capture_output=True,
        text=True,
        env=environment(cache),
        timeout=DEADLINE,
        check=False,
    )
    match done.stdout.split():
        case [milliseconds, threads] if done.returncode == 0:
            return Inside(float(milliseconds), int(threads))
        case _:
            raise SnippetError((done.stderr.strip().splitlines() or ["no output"])[-1])
