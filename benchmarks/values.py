"""Measures values of variables against plain gdb: `python -m benchmarks.values`, or `make bench`.

The base is `thread apply all bt full` of the same gdb. Beside each ratio stands how many of the
values are those that this gdb prints by itself, with the printers of GNU's C++ library.
"""

from __future__ import annotations

import argparse
import json
import os
import pty
import re
import select
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.material import Material, MaterialError, describe, make
from benchmarks.measure import Task, environment, progress, round_robin
from benchmarks.run import COLD, ToolMissingError, find
from benchmarks.table import pipe_table
from evdiag.analyze.spelling import same_text

if TYPE_CHECKING:
    from collections.abc import Sequence

SAFE: Final = ("-nx", "-batch", "-iex", "set debuginfod enabled off")
COMPARABLE: Final = ("-iex", "set language c++", "-iex", "set backtrace past-main on")
PLAIN: Final = Path(__file__).parents[1] / "tests/support/plain_values.py"
PRINTERS: Final = "\n".join(
    (
        "import sys",
        "sys.path.insert(0, '/usr/share/gcc/python')",
        "from libstdcxx.v6 import printers",
        "printers.register_libstdcxx_printers(None)",
    )
)
"""gdb 18 of the wheel does not find them by itself, and would print less in less time."""
COMPARED: Final = 1200
"""Characters of a value; the rest may be cut at another place."""
LONG_HAND: Final = re.compile(
    r"std::__cxx11::basic_string<char, ?std::char_traits<char>, ?std::allocator<char> ?>"
)
"""What the printers of GNU's library call a string in one place, and std::string in another."""
GDBS: Final = {"gdb": "gdb", "gdb 18": f"{sys.executable} -P -m gdb_for_pwndbg.gdb"}
LIMITS: Final = {"crash-cold": 0.6, "crash": 0.6, "all-cold": 1.05, "all": 0.65}
DEADLINE: Final = 600.0

Value = tuple[int, int, str, str | None]
"""LWP, pc, name and text of a variable."""


@dataclass(frozen=True, slots=True)
class Row:
    """A target, what was measured, and how many values are gdb's own."""

    what: str
    measured: float
    limit: float
    equal: int
    values: int

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        met = "met" if self.measured <= self.limit else "MISSED"
        share = f"{self.equal} of {self.values} values equal"
        return self.what, f"{self.measured:.3f}", f"<= {self.limit}", met, share


def tasks_of(material: Material, evdiag: Sequence[str], directory: Path, rounds: int) -> list[Task]:
    """bt full and evdiag, with each gdb; a name that ends in -cold has an emptied cache."""
    tasks = []
    for gdb, command in GDBS.items():
        program = find(command)
        full = (*SAFE, "-ex", f"python exec({PRINTERS!r})", "-ex", "thread apply all bt full")
        commands = {"bt full": (*program, *full, material.executable, material.core)}
        for which in ("crash", "all"):
            options = ("--format", "json", "--values", which, "--gdb", " ".join(program))
            ours = (*evdiag, "backtrace", *options, material.core)
            commands[f"{which}{COLD}"] = commands[which] = ours
        for name, words in commands.items():
            cold = name.endswith(COLD)
            cache = directory / f"cache {gdb} {'cold' if cold else 'warm'}"
            tasks.append(
                Task(name=f"{gdb} {name}", command=words, directory=directory, rounds=rounds,
                     cache=cache, cold=cold)
            )  # fmt: skip
    return tasks


def comparable(text: str | None) -> str | None:
    """The beginning of a value, strings by their short name."""
    return text and LONG_HAND.sub("std::string", text).replace("> >", ">>")[:COMPARED]


def plain_values(material: Material, gdb: str, directory: Path) -> Counter[Value]:
    """Every value as gdb prints it by itself."""
    answer = directory / "plain.json"
    subprocess.run(
        [*find(gdb), *SAFE, *COMPARABLE, material.executable, material.core,
         "-ex", f"source {PLAIN}"],
        env={**os.environ, "PLAIN_VALUES": str(answer), "LC_ALL": "C.UTF-8"},
        capture_output=True, check=True, timeout=DEADLINE,
    )  # fmt: skip
    return Counter(
        (lwp, pc, name, comparable(same_text(text)) if text else None)
        for lwp, frames in json.loads(answer.read_text())
        for pc, variables in frames
        for name, text in variables
    )


def reported_values(path: Path) -> Counter[Value]:
    """Every value in a report, but for what pointers point to: gdb shows that on request only."""
    report = json.loads(path.read_text())
    return Counter(
        (thread["lwp"], int(frame["pc"], 16), variable["name"], comparable(variable.get("value")))
        for thread in report["threads"]
        for frame in thread["frames"]
        for variable in (*frame.get("args", ()), *frame.get("locals", ()))
        if not variable["name"].startswith("*")
    )


def rows_of(material: Material, tasks: Sequence[Task], directory: Path) -> list[Row]:
    """Every target."""
    usage = round_robin(tasks)
    rows = []
    for gdb, command in GDBS.items():
        plain = plain_values(material, command, directory)
        for task in tasks:
            name = task.name.removeprefix(f"{gdb} ")
            if task.name == f"{gdb} {name}" and name in LIMITS:
                found = reported_values(task.output)
                equal = sum((found & plain).values())
                ratio = usage[task.name].cpu / usage[f"{gdb} bt full"].cpu
                rows.append(Row(task.name, ratio, LIMITS[name], equal, found.total()))
    for task in tasks:
        used = usage[task.name]
        progress(f"{task.name}: {used.cpu:.2f} CPU s, {used.wall:.2f} s, {used.peak_mb:.0f} MB")
    return rows


def on_terminal(material: Material, evdiag: Sequence[str], cache: Path) -> tuple[float, float]:
    """Seconds from the command to its first screen, and to the values, on a terminal."""
    master, slave = pty.openpty()
    start = time.monotonic()
    process = subprocess.Popen(
        [*evdiag, "backtrace", material.core],
        stdin=slave, stdout=slave, stderr=subprocess.DEVNULL, env=environment(cache),
    )  # fmt: skip
    os.close(slave)
    text, first, values = b"", 0.0, 0.0
    while select.select([master], [], [], DEADLINE)[0]:
        try:
            data = os.read(master, 1 << 16)
        except OSError:  # the other side is closed
            break
        text += data
        now = time.monotonic() - start
        first = first or (now if b"Crashed thread" in text else 0.0)
        values = values or (now if re.search(rb"Values of", text) else 0.0)
    os.close(master)
    process.wait()
    return first, values


def main(arguments: Sequence[str]) -> int:
    """Exit status 2: nothing was measured."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.values", description=__doc__)
    parser.add_argument("--evdiag", default="evdiag", metavar="CMD", help="command to measure")
    parser.add_argument("--rounds", type=int, default=3, help="counted rounds (default: 3)")
    options = parser.parse_args(arguments)
    try:
        material, evdiag = make(), find(options.evdiag)
        with tempfile.TemporaryDirectory(prefix="evdiag-bench-") as name:
            directory = Path(name)
            tasks = tasks_of(material, evdiag, directory, options.rounds)
            rows = rows_of(material, tasks, directory)
            first, values = on_terminal(material, evdiag, directory / "cache gdb warm")
    except (MaterialError, ToolMissingError, subprocess.SubprocessError) as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 2
    heads = ("CPU, of `bt full` of the same gdb", "measured", "target", "", "output")
    sys.stdout.write(f"```\n{describe(material)}\n```\n\n")
    sys.stdout.write(pipe_table(heads, [row.cells() for row in rows]))
    sys.stdout.write(f"\n\nOn a terminal: first screen after {first:.2f} s, ")
    sys.stdout.write(f"values after {values:.2f} s.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
