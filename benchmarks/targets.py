"""What evdiag's speed has to be, each target with what was measured and a check of the output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from benchmarks.inside import SnippetError, further_core, stage_0
from benchmarks.stacks import (
    Agreement,
    ReportError,
    compare,
    from_eu_stack,
    from_evdiag,
    threads_in_gdb,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.inside import Inside
    from benchmarks.material import Material
    from benchmarks.measure import Task, Usage

WARM_OF_EU_STACK: Final = 0.15
WARM_OF_GDB: Final = 0.03
COLD_OF_EU_STACK: Final = 1.3
FURTHER_CORE_MS: Final = 5.0
STAGE_0_MS: Final = 2.0
HELP_MS: Final = 150.0
PEAK_MB: Final = 250.0
EQUAL_SHARE: Final = 0.97


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """Everything that was measured."""

    material: Material
    tasks: dict[str, Task]
    usage: dict[str, Usage]

    def text(self, name: str) -> str:
        """What a task printed the last time."""
        return self.tasks[name].output.read_text(errors="replace")

    def agreement(self, name: str) -> Agreement:
        """A task's stacks compared with those of eu-stack."""
        return compare(from_eu_stack(self.text("eu-stack")), from_evdiag(self.text(name)))

    def threads(self) -> int:
        """The number of threads in each of the cores, by gdb."""
        return threads_in_gdb(self.text("gdb"))


@dataclass(frozen=True, slots=True)
class Check:
    """Whether an output is right, and in which words."""

    good: bool
    text: str


@dataclass(frozen=True, slots=True)
class Row:
    """A target. It is neither met nor missed if it was not measured, or on a wrong output."""

    what: str
    measured: str
    target: str
    met: bool | None
    check: Check

    @property
    def holds(self) -> bool:
        """Whether the target is met by a right output."""
        return bool(self.met) and self.check.good

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        judged = self.check.good and self.met is not None
        met = "met" if self.holds else "MISSED" if judged else "-"
        output = self.check.text if self.check.good else f"WRONG: {self.check.text}"
        return self.what, self.measured, self.target, met, output


def rows_of(results: Results) -> list[Row]:
    """Every target."""
    return [
        ratio(results, "evdiag", "eu-stack", WARM_OF_EU_STACK),
        ratio(results, "evdiag", "gdb", WARM_OF_GDB),
        ratio(results, "evdiag-cold", "eu-stack", COLD_OF_EU_STACK),
        *rows_of_more_cores(results),
        within("help", 1000 * results.usage["help"].cpu, HELP_MS, check_help(results)),
        peak(results, "evdiag", check_stacks(results, "evdiag")),
        peak(results, "evdiag-cold", check_stacks(results, "evdiag-cold")),
        peak(results, "sparse", check_threads(results, "sparse", 1)),
        peak(results, "sparse-cold", check_threads(results, "sparse-cold", 1)),
    ]


def rows_of_more_cores(results: Results) -> list[Row]:
    """What a core costs when everything about its binary is known already, or not needed."""
    cores, core = results.material.further_cores, results.material.core
    cache = results.tasks["evdiag"].cache
    difference = results.usage["many-cores"].cpu - results.usage["one-core"].cpu
    return [
        Row(
            "further core, with its JSON",
            f"{1000 * difference / (len(cores) - 1):.2f} ms",
            "-",
            None,
            check_threads(results, "many-cores", len(cores)),
        ),
        inside(results, "further core", FURTHER_CORE_MS, partial(further_core, cores, cache)),
        inside(results, "stage 0", STAGE_0_MS, partial(stage_0, core, cache)),
    ]


# ---------------------------------------------------------------- kinds of targets


def ratio(results: Results, name: str, base: str, limit: float) -> Row:
    """CPU of one task in units of another's."""
    value = results.usage[name].cpu / results.usage[base].cpu
    check = check_stacks(results, name)
    return Row(f"{name} / {base}", f"{value:.3f}", f"<= {limit}", value <= limit, check)


def within(what: str, milliseconds: float, limit: float, check: Check) -> Row:
    """Milliseconds of CPU."""
    measured, target = f"{milliseconds:.2f} ms", f"< {limit:g} ms"
    return Row(what, measured, target, milliseconds < limit, check)


def peak(results: Results, name: str, check: Check) -> Row:
    """The most memory that a task held."""
    value = results.usage[name].peak_mb
    return Row(f"{name}, memory", f"{value:.0f} MB", f"< {PEAK_MB:g} MB", value < PEAK_MB, check)


def inside(results: Results, what: str, limit: float, measure: Callable[[], Inside]) -> Row:
    """Milliseconds of CPU that a child python measured itself."""
    try:
        measured = measure()
    except SnippetError as error:
        return Row(what, "-", f"< {limit:g} ms", None, Check(False, f"not measured: {error}"))
    threads = results.threads()
    check = Check(measured.threads == threads, f"{measured.threads} of {threads} threads")
    return within(what, measured.milliseconds, limit, check)


# ---------------------------------------------------------------- checks of output


def failure(results: Results, name: str) -> Check | None:
    """For a task that ended badly: how."""
    status = results.usage[name].status
    if status == 0:
        return None
    return Check(False, f"status {status}: {results.tasks[name].complaint()}")


def check_stacks(results: Results, name: str) -> Check:
    """The same threads as gdb, and the same frames as eu-stack."""
    if failed := failure(results, name):
        return failed
    try:
        found, agreement = len(from_evdiag(results.text(name))), results.agreement(name)
    except ReportError as error:
        return Check(False, str(error))
    threads = results.threads()
    good = found == threads and agreement.equal_frames >= EQUAL_SHARE * agreement.frames
    return Check(good, f"{found} threads, gdb {threads}; eu-stack's {agreement}")


def check_threads(results: Results, name: str, cores: int) -> Check:
    """As many threads as all the cores have together."""
    if failed := failure(results, name):
        return failed
    found, expected = results.text(name).count('"lwp"'), cores * results.threads()
    return Check(found == expected, f"{found} of {expected} threads")


def check_help(results: Results) -> Check:
    """A help text, and what a python that does nothing takes."""
    if failed := failure(results, "help"):
        return failed
    shown = "usage" in results.text("help").lower()
    python = 1000 * results.usage["python"].cpu
    return Check(shown, f"{'' if shown else 'no '}help text; python alone {python:.0f} ms")
