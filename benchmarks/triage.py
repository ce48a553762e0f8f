"""A thousand cores: `python -m benchmarks.triage`, against gdb once for each.

The cores are of five crashes of a program in two builds (`fleet`), with more than 100 MB of debug
information each; some were cut, and some files are something else. Beside the figures stands how
well they were sorted: no group may have two crashes in it.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from benchmarks import fleet
from benchmarks.material import MaterialError, describe, make
from benchmarks.measure import Task, Usage, progress, run_once
from benchmarks.run import ToolMissingError, find
from benchmarks.table import pipe_table
from benchmarks.tree import TreeUsage, run_tree
from tests.support import many_cores
from tests.support.core_files import CannotMakeCores, CrasherFailed
from tests.support.many_cores import Made, Plan

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLE: Final = 20
"""Cores that gdb is measured with."""
GDB: Final = ("-nx", "-batch", "-iex", "set debuginfod enabled off", "-ex", "bt")
OF_GDB: Final = 0.002
WARM_SECONDS: Final = 20.0
RESULTS: Final = ("evdiag/triage", "evdiag/values")
"""Below the cache directory: what is known of cores. Beside them lies what is known of programs,
symbol caches and gdb's indexes."""
INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What is measured, and with what."""

    folder: Path
    made: list[Made]
    directory: Path
    evdiag: list[str]
    jobs: int

    def task(self, name: str, *more: str) -> Task:
        """One run of `evdiag triage`; all of them have one cache."""
        output = self.directory / f"{name}.json"
        words = ("triage", str(self.folder), "--format", "json", "-o", str(output))
        return Task(
            name=name,
            command=(*self.evdiag, *words, "--jobs", str(self.jobs), *more),
            directory=self.directory,
            rounds=1,
            cache=self.directory / "cache",
        )

    def triage(self, name: str) -> Any:  # noqa: ANN401 - JSON
        """What a run has found."""
        return json.loads((self.directory / f"{name}.json").read_text())

    def forget(self) -> None:
        """Remove from the cache what is known of cores."""
        for name in RESULTS:
            shutil.rmtree(self.directory / "cache" / name, ignore_errors=True)


# ---------------------------------------------------------------- runs


def runs(bench: Bench) -> dict[str, TreeUsage]:
    """Every run, in an order in which each finds the cache that it is about."""
    found: dict[str, TreeUsage] = {}

    def run(name: str, *more: str, interrupt_after: float | None = None) -> None:
        progress(f"{name} …")
        found[name] = used = run_tree(bench.task(name, *more), interrupt_after)
        wanted = 0 if interrupt_after is None else INTERRUPTED
        if used.usage.status != wanted:
            progress(f"{name} ended with {used.usage.status}: {bench.task(name).complaint()}")

    run("first run")
    run("second run")
    bench.forget()
    run("warm")
    bench.forget()
    run("warm, --values none", "--values", "none")
    bench.forget()
    half = found["warm"].usage.wall / 2
    run("interrupted", interrupt_after=half)
    run("resumed")
    return found


def gdb_cpu(bench: Bench, builds: dict[str, Path], gdb: Sequence[str]) -> tuple[float, float]:
    """Seconds of CPU and of time that gdb takes for a core: the mean of a sample."""
    whole = [made for made in bench.made if made.kind and not made.cut]
    sample = whole[:: max(1, len(whole) // SAMPLE)][:SAMPLE]
    used: list[Usage] = []
    for number, made in enumerate(sample):
        progress(f"gdb {number + 1} of {len(sample)}")
        command = (*gdb, *GDB, str(builds[made.build]), made.path)
        cache = bench.directory / "gdb-cache"
        task = Task(name="gdb", command=command, directory=bench.directory, rounds=1, cache=cache)
        used.append(run_once(task))
    mean = statistics.mean
    return mean(one.cpu for one in used), mean(one.wall for one in used)


# ---------------------------------------------------------------- how well they were sorted


def kinds_of(bench: Bench, group: Any) -> Counter[str]:  # noqa: ANN401 - JSON
    """Which crashes are in a group, as the record of their making has it."""
    kinds = {Path(made.path).name: made.kind for made in bench.made}
    return Counter(kinds[Path(core["path"]).name] for core in group["cores"])


def sorting(bench: Bench, name: str) -> tuple[list[tuple[str, ...]], bool]:
    """A row for each kind, and whether no group has two of them."""
    triage = bench.triage(name)
    groups = [(group, kinds_of(bench, group)) for group in triage["groups"]]
    cut = {Path(made.path).name for made in bench.made if made.cut}
    rows: list[tuple[str, ...]] = []
    for kind in fleet.KINDS:
        own = [found for group, found in groups if found[kind.name] and not group["unsorted"]]
        lost = sum(found[kind.name] for group, found in groups if group["unsorted"])
        made = [one for one in bench.made if one.kind == kind.name]
        sizes = sorted((found[kind.name] for found in own), reverse=True)
        whole = sum(not one.cut for one in made)
        rows.append(
            (
                kind.name,
                f"{whole} + {len(made) - whole} cut",
                ", ".join(map(str, sizes)) or "none",
                str(lost),
                str(len(made) - sum(sizes) - lost),
            )
        )
    mixed = [found for group, found in groups if len(found) > 1 and not group["unsorted"]]
    odd = sum(not made.kind for made in bench.made)
    refused = {Path(str(failure["path"])).name for failure in triage["failures"]}
    garbage = sum(name.startswith("core.odd") for name in refused)
    rows.append(("(garbage)", str(odd), "-", "-", f"{garbage} refused"))
    progress(f"groups with two crashes: {len(mixed)}; cut cores refused: {len(refused & cut)}")
    return rows, not mixed


def timing(bench: Bench, found: dict[str, TreeUsage], gdb: float) -> list[tuple[str, ...]]:
    """A row for each run."""
    cores = len([made for made in bench.made if made.kind])
    rows: list[tuple[str, ...]] = []
    for name, tree in found.items():
        used = tree.usage
        ratio = used.cpu / (gdb * cores)
        done = bench.triage(name)["run"]
        rows.append(
            (
                name,
                f"{used.wall:.1f} s",
                f"{used.cpu:.1f} s",
                f"{100 * ratio:.2f} %",
                f"{tree.peak_mb:.0f} MB",
                f"{used.peak_mb:.0f} MB",
                f"{done['analysed']}, {done['debugged']}",
            )
        )
    return rows


def targets(bench: Bench, found: dict[str, TreeUsage], gdb: float) -> list[tuple[str, ...]]:
    """What was aimed at."""
    cores = len([made for made in bench.made if made.kind])
    warm, second = found["warm"].usage, found["second run"].usage
    both = found["interrupted"].usage.cpu + found["resumed"].usage.cpu
    bare = found["warm, --values none"].usage
    rows = [
        ("warm, --values none: CPU of gdb's", bare.cpu / (gdb * cores), OF_GDB),
        ("warm: CPU of gdb's", warm.cpu / (gdb * cores), OF_GDB),
        ("warm: seconds", warm.wall, WARM_SECONDS),
        ("second run: CPU of the warm run's", second.cpu / warm.cpu, 0.3),
        ("interrupted and resumed: CPU of the warm run's", both / warm.cpu, 1.5),
    ]
    return [
        (what, f"{value:.4g}", f"<= {limit:g}", "met" if value <= limit else "MISSED")
        for what, value, limit in rows
    ]


def same_groups(bench: Bench, one: str, other: str) -> bool:
    """Whether two runs have come to the same groups."""
    first, second = (
        [(group["hash"], group["count"]) for group in bench.triage(name)["groups"]]
        for name in (one, other)
    )
    return first == second


def report(bench: Bench, found: dict[str, TreeUsage], gdb: tuple[float, float]) -> bool:
    """Print everything; whether it was sorted well."""
    rows, pure = sorting(bench, "first run")
    heads = ("crash", "cores", "sizes of its groups", "unsorted", "missing")
    cpu, wall = gdb
    cores = len([made for made in bench.made if made.kind])
    same = all(same_groups(bench, "first run", name) for name in ("second run", "resumed"))
    sections = [
        pipe_table(heads, rows),
        f"No group has two crashes: {'yes' if pure else 'NO'}. "
        f"Second and resumed run find the same groups: {'yes' if same else 'NO'}.",
        pipe_table(
            (
                *("run", "time", "CPU", "of gdb's CPU", "peak of all (PSS)", "largest process"),
                "cores analysed, by gdb",
            ),
            timing(bench, found, cpu),
        ),
        f"gdb: {cpu:.2f} s of CPU and {wall:.2f} s for a core, the mean of {SAMPLE};"
        f" {cpu * cores:.0f} s of CPU for {cores}, by multiplication.",
        pipe_table(("target", "measured", "aim", ""), targets(bench, found, cpu)),
    ]
    sys.stdout.write("\n\n".join(sections) + "\n")
    return pure and same


def main() -> int:
    """Make the cores, measure, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--evdiag", default="evdiag", help="command to measure")
    parser.add_argument("--gdb", default="gdb", help="gdb to compare with")
    parser.add_argument("--cores", type=int, default=1000, help="files; 4 of 100 cut, 2 garbage")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where the cores are kept (1 GB on disk)")
    options = parser.parse_args()
    cut, garbage = options.cores * 4 // 100, options.cores * 2 // 100
    plan = Plan(whole=options.cores - cut - garbage, cut=cut, garbage=garbage)
    try:
        material = make()
        builds = fleet.build(material)
        evdiag, gdb = find(options.evdiag), find(options.gdb)
        key = Path(builds["1"]).parents[1].name
        folder = options.folder or Path(material.directory) / f"{key}-cores" / str(plan.files)
        progress(f"making {plan.files} files in {folder}, unless they are there")
        made = many_cores.make(folder, plan, fleet.KINDS, builds)
    except (
        *(MaterialError, ToolMissingError, CannotMakeCores, CrasherFailed),
        subprocess.CalledProcessError,
    ) as error:
        sys.stderr.write(f"benchmarks: {error}\n")
        return 1
    progress(describe(material))
    with tempfile.TemporaryDirectory(prefix="evdiag-bench-") as directory:
        bench = Bench(
            folder=folder,
            made=made,
            directory=Path(directory),
            evdiag=evdiag,
            jobs=options.jobs,
        )
        base = gdb_cpu(bench, builds, gdb)
        return 0 if report(bench, runs(bench), base) else 1


if __name__ == "__main__":
    sys.exit(main())
