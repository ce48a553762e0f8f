"""`evdiag symbolize` against `eu-addr2line -i`, and on long logs: python -m benchmarks.symbolize

Needed: what `benchmarks.material` needs, and `eu-addr2line` (package `elfutils`), which takes a
minute of CPU for 10,000 addresses of a large program. `--program FILE` takes another program or
library in place of the material's, and may be repeated.
"""

from __future__ import annotations

import argparse
import posixpath
import random
import re
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks import logs, material
from benchmarks.measure import Task, Usage, median, progress, run_once
from benchmarks.stacks import short_name
from benchmarks.table import pipe_table
from evdiag.adapters.files import map_file
from evdiag.parse.image import Image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SEED: Final = 9
ROUNDS: Final = 3
EVERY: Final = 20
"""Of so many lines of the long log one has an address."""
UNKNOWN: Final = "??"
LONG: Final = 1000
"""Letters from which on evdiag shortens a name."""
LINE: Final = re.compile(r"(?P<file>.*?):(?P<line>\d+)(?::\d+)?(?: .*)?")


@dataclass(frozen=True, slots=True)
class Level:
    """One function at an address; the innermost one is the first of several."""

    function: str
    file: str
    line: int


Answers = dict[int, list[Level]]


# ---------------------------------------------------------------- addresses and answers


def addresses_of(program: Path, count: int) -> list[int]:
    """Random addresses of instructions."""
    text = Image(str(program), map_file(program)).sections[".text"]
    chosen = random.Random(SEED)
    return [text.vaddr + chosen.randrange(text.size) for _ in range(count)]


def level_of(function: str, place: str) -> Level:
    """A function and `file:line:column` as tools print them."""
    found = LINE.fullmatch(place)
    if found is None or found["file"] == UNKNOWN:
        return Level(function, UNKNOWN, 0)
    return Level(function, posixpath.normpath(found["file"]), int(found["line"]))


def from_addr2line(text: str) -> Answers:
    """Lines of `eu-addr2line -a -i -f`: an address, then two lines for each function there."""
    answers: Answers = {}
    levels: list[Level] = []
    lines = iter(text.splitlines())
    for line in lines:
        if re.fullmatch(r"0x[0-9a-f]{16}", line):
            levels = answers[int(line, 16)] = []
        else:
            levels.append(level_of(line.partition(" inlined at ")[0], next(lines)))
    return answers


def from_evdiag(text: str) -> Answers:
    """Lines `PROGRAM+0x12 f at file:1, inlined in g at file:2`."""
    answers: Answers = {}
    for line in text.splitlines():
        head, _, answer = line.partition(" ")
        levels = []
        for part in answer.split(", inlined in ") if answer else []:
            function, at, place = part.rpartition(" at ")
            levels.append(level_of(function, place) if at else Level(part, UNKNOWN, 0))
        answers[int(head.rpartition("+")[2], 16)] = levels
    return answers


def difference(theirs: list[Level], ours: list[Level]) -> str:
    """In what two answers differ; empty if in nothing."""
    known = [level for level in theirs if level.function != UNKNOWN or level.file != UNKNOWN]
    if not ours and all(level.function == UNKNOWN for level in known):
        return "a line between two functions in eu-addr2line" if known else ""
    if not known or not ours:
        return f"only {'evdiag' if ours else 'eu-addr2line'} knows it"
    if len(known) != len(ours):
        return "more inlined calls in " + ("evdiag" if len(ours) > len(known) else "eu-addr2line")
    found = [_differs(*pair) for pair in zip(known, ours, strict=True)]
    return next((text for text in found if text), "")


def _differs(theirs: Level, ours: Level) -> str:
    same_place = (theirs.file, theirs.line) == (ours.file, ours.line)
    if short_name(theirs.function) != short_name(ours.function):
        if len(theirs.function) >= LONG:
            return "name of more than 1,000 letters"
        return "another name, of the same file and line" if same_place else "function"
    if theirs.line == ours.line == 0 or same_place:
        return ""
    if 0 in (theirs.line, ours.line):
        return f"only {'evdiag' if ours.line else 'eu-addr2line'} has a line"
    return "line" if theirs.file == ours.file else "file"


# ---------------------------------------------------------------- what is measured


def compare(program: Path, count: int, evdiag: str, folder: Path) -> tuple[list[str], list[str]]:
    """A row of the table, and examples of each kind of difference."""
    addresses = addresses_of(program, count)
    text = folder / "text"
    text.write_text("".join(f"{program}+{at:#x}\n" for at in addresses))
    command = (evdiag, "symbolize", str(text), "--exe", str(program))
    tools = ("eu-addr2line", "-a", "-i", "-f", "-C", "-e", str(program), *map(hex, addresses))
    facts = {"directory": folder, "rounds": 1, "cache": folder / f"cache-{program.name}"}
    progress(f"eu-addr2line on {program.name}")
    theirs = Task(name="addr2line", command=tools, **facts)  # type: ignore[arg-type]
    ours = Task(name="evdiag", command=command, **facts)  # type: ignore[arg-type]
    slow = run_once(theirs)
    progress(f"evdiag on {program.name}")
    cold, warm = run_once(ours), median(run_once(ours) for _ in range(ROUNDS))
    expected = from_addr2line(theirs.output.read_text(errors="replace"))
    actual = from_evdiag(ours.output.read_text(errors="replace"))
    counted: Counter[str] = Counter()
    examples: dict[str, str] = {}
    for at in addresses:
        kind = difference(expected.get(at, []), actual.get(at, []))
        counted[kind] += 1
        examples.setdefault(kind, f"{at:#x}\n    {expected.get(at)}\n    {actual.get(at)}")
    levels = sum(len(expected.get(at, [])) for at in addresses)
    row = [
        f"{program.name} ({program.stat().st_size / 1e6:.0f} MB)",
        f"{len(addresses):,}", f"{levels:,}", f"{counted[''] / len(addresses):.2%}",
        f"{slow.cpu:.1f}", f"{cold.cpu:.2f}", f"{warm.cpu:.2f}", f"1 : {slow.cpu / warm.cpu:.0f}",
        f"{slow.peak_mb:.0f}", f"{warm.peak_mb:.0f}",
        str(slow.status or cold.status or warm.status),
    ]  # fmt: skip
    kinds = [
        f"- {program.name}: {number} times {kind}, as {examples[kind]}"
        for kind, number in counted.most_common()
        if kind
    ]
    return row, kinds


def long_log(program: Path, megabytes: int, *, with_addresses: bool) -> Iterator[bytes]:
    """EVerest's log, in which some lines are a backtrace's."""
    addresses = cycle(addresses_of(program, 10_000))
    for block in logs.lines(megabytes * 1_000_000):
        if not with_addresses:
            yield block
            continue
        for number, line in enumerate(block.splitlines(keepends=True)):
            if number % EVERY == 0:
                at = next(addresses)
                yield f"{program}(+{at:#x}) [0x55{at + (1 << 36):010x}]\n".encode()
            yield line


def streamed(program: Path, megabytes: int, evdiag: str, folder: Path) -> Iterator[list[str]]:
    """Rows of the table: without addresses, with some, and a tenth of that."""
    for name, size, with_addresses in (
        ("without addresses", megabytes, False),
        (f"an address in 1 of {EVERY} lines", megabytes, True),
        ("a tenth of that", megabytes // 10, True),
    ):
        path = folder / "log"
        with path.open("wb") as file:
            file.writelines(long_log(program, size, with_addresses=with_addresses))
        progress(f"evdiag on a log {name}")
        task = Task(
            name="log", directory=folder, rounds=1, cache=folder / f"cache-{program.name}",
            command=(evdiag, "symbolize", str(path), "--exe", str(program)),
        )  # fmt: skip
        yield _log_row(
            name, path.stat().st_size / 1e6, median(run_once(task) for _ in range(ROUNDS))
        )


def _log_row(name: str, size: float, used: Usage) -> list[str]:
    speed = (f"{size / used.cpu:.0f}", f"{size / used.wall:.0f}")
    return [name, f"{size:.0f}", f"{used.cpu:.2f}", *speed, f"{used.peak_mb:.0f}", str(used.status)]


def main(arguments: Sequence[str]) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--program", type=Path, action="append", default=[])
    parser.add_argument("--evdiag", default=str(Path(sys.executable).with_name("evdiag")))
    parser.add_argument("--addresses", type=int, default=10_000)
    parser.add_argument("--megabytes", type=int, default=100)
    parser.add_argument("--verbose", action="store_true", help="an example of each difference")
    options = parser.parse_args(arguments)
    programs = options.program or [Path(material.make().executable)]
    with tempfile.TemporaryDirectory(prefix="evdiag-bench-") as name:
        folder = Path(name)
        results = [
            compare(program.resolve(), options.addresses, options.evdiag, folder)
            for program in programs
        ]
        rows = list(streamed(programs[0].resolve(), options.megabytes, options.evdiag, folder))
    heads = ["program", "addresses", "functions", "equal", "eu-addr2line CPU s", "evdiag cold",
             "evdiag", "ratio", "eu-addr2line MB", "evdiag MB", "status"]  # fmt: skip
    sys.stdout.write(pipe_table(heads, [row for row, _ in results]) + "\n\n")
    kinds = [kind for _, listed in results for kind in listed]
    told = kinds if options.verbose else [kind.partition(", as ")[0] for kind in kinds]
    sys.stdout.write("".join(f"{line}\n" for line in told) + "\n")
    heads = ["log", "MB", "CPU s", "MB per CPU s", "MB per s", "peak MB", "status"]
    sys.stdout.write(pipe_table(heads, rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
