"""Measures evdiag against eu-stack and gdb: `python -m benchmarks.run`, or `make bench`.

Every target is a ratio within one run or a generous bound, and beside it stands a check of what
was printed: a fast wrong answer shows.
"""

from __future__ import annotations

import argparse
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.imports import heaviest_imports
from benchmarks.material import Material, MaterialError, describe, make
from benchmarks.measure import Task, progress, round_robin
from benchmarks.stacks import ReportError
from benchmarks.table import pipe_table
from benchmarks.targets import Results, Row, rows_of

if TYPE_CHECKING:
    from collections.abc import Sequence

# These targets are about stacks without a debugger; benchmarks.values is about values.
BACKTRACE: Final = ("backtrace", "--no-values", "--format", "json")
GDB: Final = ("-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "thread apply all bt")
COLD: Final = "-cold"


class ToolMissingError(Exception):
    """A program that is to be measured is not there."""


# ---------------------------------------------------------------- what is run


def find(command: str) -> list[str]:
    """A command line, its program last looked for where this python's are: there is a gdb, too."""
    program, *arguments = shlex.split(command)
    path = f"{os.environ.get('PATH', os.defpath)}:{Path(sys.executable).parent}"
    found = shutil.which(program, path=path)
    if not found:
        message = f"no program {program!r} to measure: install it first"
        raise ToolMissingError(message)
    return [found, *arguments]


def commands_of(material: Material, evdiag: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """All commands by the name they have in the report, in the order in which they take turns."""
    core, sparse, further = material.core, material.sparse_core, material.further_cores
    backtrace = (*evdiag, *BACKTRACE)
    return {
        "evdiag": (*backtrace, core),
        "evdiag-cold": (*backtrace, core),
        "eu-stack": (*find("eu-stack"), "-s", "-i", "--core", core, "-e", material.executable),
        "gdb": (*find("gdb"), *GDB, material.executable, core),
        "sparse": (*backtrace, sparse),
        "sparse-cold": (*backtrace, sparse),
        "one-core": (*backtrace, further[0]),
        "many-cores": (*backtrace, *further),
        "help": (*evdiag, "--help"),
        "python": (sys.executable, "-c", "pass"),
    }


def measure(material: Material, options: argparse.Namespace, directory: Path) -> Results:
    """Runs all commands in turn. A name that ends in -cold stands for an emptied cache."""
    tasks = {
        name: Task(
            name=name,
            command=command,
            directory=directory,
            rounds=options.gdb_rounds if name == "gdb" else options.rounds,
            cache=directory / ("cache-cold" if name.endswith(COLD) else "cache-warm"),
            cold=name.endswith(COLD),
        )
        for name, command in commands_of(material, find(options.evdiag)).items()
    }
    return Results(material=material, tasks=tasks, usage=round_robin(list(tasks.values())))


# ---------------------------------------------------------------- the report


def report(results: Results, rows: Sequence[Row], verbose: bool) -> str:
    """Everything that is printed."""
    parts = [setting(results), costs(results), targets(rows)]
    if verbose:
        parts += [imports(results), differences(results)]
    return "\n\n".join(parts) + "\n"


def setting(results: Results) -> str:
    """What was measured on, and with which programs."""
    lines = [f"python     {platform.python_version()}, {os.cpu_count()} CPUs"]
    for name in ("gdb", "eu-stack"):
        command = [results.tasks[name].command[0], "--version"]
        version = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        lines.append(f"{name:<10} {version.partition(chr(10))[0]}")
    return "\n".join(["```", describe(results.material), *lines, "```"])


def costs(results: Results) -> str:
    """The plain figures: medians, and the highest peak."""
    rows = [
        (
            name,
            f"{used.cpu:.3f}",
            f"{used.wall:.3f}",
            f"{used.peak_mb:.0f}",
            str(results.tasks[name].rounds),
        )
        for name, used in results.usage.items()
    ]
    return pipe_table(("command", "CPU s", "wall s", "peak MB", "rounds"), rows)


def targets(rows: Sequence[Row]) -> str:
    """The table that this is all about."""
    heads = ("CPU, or memory", "measured", "target", "", "output")
    return pipe_table(heads, [row.cells() for row in rows])


def imports(results: Results) -> str:
    """What the start of evdiag is spent on."""
    task = results.tasks["help"]
    lines = heaviest_imports(task.command, task.cache)
    return "\n".join(["Heaviest imports of --help, by package:", "", *lines])


def differences(results: Results) -> str:
    """Every frame in which evdiag and eu-stack do not agree."""
    try:
        lines = results.agreement("evdiag").differences
    except ReportError as error:
        return f"No stacks to compare: {error}"
    return "\n".join([f"Differences from eu-stack: {len(lines)}", "", *lines])


# ---------------------------------------------------------------- command line


def options_of(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__)
    parser.add_argument("--evdiag", default="evdiag", metavar="CMD", help="command to measure")
    parser.add_argument("--rounds", type=int, default=5, help="counted rounds (default: 5)")
    parser.add_argument("--gdb-rounds", type=int, default=2, help="the same for gdb (default: 2)")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="also write the report here")
    parser.add_argument("--verbose", action="store_true", help="list imports and differences")
    parser.add_argument("--strict", action="store_true", help="exit 1 if a target does not hold")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.gdb_rounds) < 1:
        parser.error("at least one round counts")
    return options


def main(arguments: Sequence[str]) -> int:
    """Exit status 1: a target does not hold (only with --strict); 2: nothing was measured."""
    options = options_of(arguments)
    try:
        progress("looking for the program and its cores; making them takes some minutes")
        material = make()
        with tempfile.TemporaryDirectory(prefix="evdiag-bench-") as directory:
            results = measure(material, options, Path(directory))
            rows = rows_of(results)
            text = report(results, rows, options.verbose)
    except (MaterialError, ToolMissingError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 2
    sys.stdout.write(text)
    if options.markdown:
        options.markdown.write_text(text)
    return 1 if options.strict and not all(row.holds for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
