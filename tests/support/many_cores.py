"""Very many cores, of crashes of a few kinds: made by a program that crashes in all of them.

The cores lie in one folder, as they would on a server that collects them: whole ones, some that
were cut while they were copied, and files that are something else. What each of them is stands
beside the folder, not in it.
"""

import json
import os
import random
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from .core_files import CrasherFailed, await_end, start, take_core

CUT_AT = (0.9, 0.6, 0.3, 0.02)
"""Shares of a core that are left of it."""
FIRST_DAY = 1_760_000_000
"""When the first core was written; the others follow within some weeks."""
LONGEST = 30 * 86_400


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One way to crash."""

    name: str
    signal: int
    classes: tuple[str, ...]
    """Verdicts that are right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many of what."""

    whole: int
    cut: int
    garbage: int

    @property
    def files(self) -> int:
        """All of them."""
        return self.whole + self.cut + self.garbage


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A file of the folder and what it is; `kind` is empty for what is no core."""

    path: str
    kind: str
    build: str
    cut: bool


def make(
    folder: Path,
    plan: Plan,
    kinds: Sequence[Kind],
    builds: Mapping[str, Path],
    jobs: int = 2,
) -> list[Made]:
    """Fill a folder, or find it filled. Raises CrasherFailed.

    The program is called with the number of a kind, a seed and a number of threads. Both depend on
    the number of the core alone, addresses on nothing.
    """
    record = folder.with_name(folder.name + ".json")
    if record.exists():
        return [Made(**facts) for facts in json.loads(record.read_text())]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with ThreadPoolExecutor(jobs) as pool:
        cores = pool.map(
            lambda number: _core(folder, number, plan, kinds, builds),
            range(plan.whole + plan.cut),
        )
        made = [*cores, *_garbage(folder, plan.garbage, next(iter(builds.values())))]
    record.write_text(json.dumps([asdict(one) for one in made], indent=0))
    return made


def _core(
    folder: Path, number: int, plan: Plan, kinds: Sequence[Kind], builds: Mapping[str, Path]
) -> Made:
    chance = random.Random(number)
    # The first kind is as frequent as all after it together, and so on: as it is with real ones.
    at = min(_leading_ones(chance), len(kinds) - 1)
    kind, build = kinds[at], chance.choice(sorted(builds))
    target = folder / f"week-{number % 5}" / f"core.{1000 + number}"
    target.parent.mkdir(exist_ok=True)
    words = (str(at), str(chance.randrange(1, 10_000)), str(chance.randrange(1, 12)))
    _crash(builds[build], words, kind.signal, target)
    cut = number >= plan.whole
    if cut:
        os.truncate(target, int(target.stat().st_size * CUT_AT[number % len(CUT_AT)]))
    moment = FIRST_DAY + chance.randrange(LONGEST)
    os.utime(target, (moment, moment))
    return Made(path=str(target), kind=kind.name, build=build, cut=cut)


def _leading_ones(chance: random.Random) -> int:
    """0 in half of all cases, 1 in a quarter, and so on."""
    count = 0
    while chance.random() < 0.5:
        count += 1
    return count


def _crash(program: Path, words: Sequence[str], expected: int, target: Path) -> None:
    """Run the program to its end, and keep its core."""
    workplace = target.with_name(target.name + ".d")
    workplace.mkdir()
    arguments = [program.name, *words]
    process = start(str(program), arguments, workplace, {"MALLOC_ARENA_MAX": "1"})
    ending = await_end(process)
    if ending.status != -expected:
        raise CrasherFailed(
            f"{program} {' '.join(words)} ended with {ending.status} instead of "
            f"{signal.Signals(expected).name}: {ending.stderr}"
        )
    take_core(process.pid, workplace, 0.0, target)
    workplace.rmdir()


def _garbage(folder: Path, count: int, program: Path) -> Iterator[Made]:
    """Files that somebody has put there, or that a full disk has left."""
    chance = random.Random(count)
    for number in range(count):
        path = folder / f"core.odd-{number}"
        match number % 5:
            case 0:
                path.write_bytes(b"")
            case 1:
                path.write_bytes(chance.randbytes(20_000))
            case 2:
                path.write_text("2026-11-22 03:12:44 evse_manager: session started\n" * 50)
            case 3:
                with program.open("rb") as file:
                    path.write_bytes(file.read(200_000))
            case _:
                path.write_bytes(b"\x7fELF\x02\x01\x01" + b"\0" * 9 + b"\x04\0" + b"\xff" * 400)
        yield Made(path=str(path), kind="", build="", cut=False)
