"""Whole reports on some of the cores, with values where they are wanted."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

import msgspec

from evdiag.errors import EvdiagError
from evdiag.model.report import Report, SoftError
from evdiag.model.triage import Crash, Group
from evdiag.triage.known import Known
from evdiag.triage.meter import Meter
from evdiag.triage.origins import Case, Origin, opened
from evdiag.triage.pool import Pool
from evdiag.triage.tasks import Answer, Reported, Task

if TYPE_CHECKING:
    from evdiag.adapters.gdb.debugger import Debugger

PORTION = 32
"""Reports that are in memory at once, besides those that are kept."""
MAX_NOTES = 20


class Ask(Protocol):
    """What the user is to decide: over values, over secrets, and where reports go."""

    def debugger(self, origin: Origin) -> "Debugger | None":
        """The gdb for cores of this origin; None if no values are wanted."""

    def crash(self, crash: Crash, origin: Origin) -> Crash:
        """The crash as it may be shown."""

    def report(self, report: Report, origin: Origin) -> Report:
        """The report as it may be shown."""

    def keep(self, path: str, report: Report) -> None:
        """A report on one core of many. Raises OutputNotWritten."""

    def tell(self, meter: Meter) -> None:
        """Show how far it is."""


class Reports:
    """Makes reports; what was made stays where somebody interrupts it."""

    def __init__(self, pool: Pool, known: Known, ask: Ask) -> None:
        self.pool, self.known, self.ask = pool, known, ask
        self.made: dict[str, Report] = {}
        """By the path of the core."""
        self.notes: list[SoftError] = []
        self.debugged = 0

    def so_far(self, groups: Sequence[Group]) -> tuple[Group, ...]:
        """The groups with the reports that were made."""
        return tuple(
            msgspec.structs.replace(group, report=self.made[group.representative])
            if group.representative in self.made
            else group
            for group in groups
        )

    def of(self, cases: Sequence[Case], contents: dict[str, str]) -> Iterator[tuple[Case, Report]]:
        """The reports on these cores; `contents` has their digests by their paths.

        What belongs to one program comes together, and what belongs to one archive.
        """
        meter = Meter("reports", len(cases))
        by_origin: dict[int, list[Case]] = defaultdict(list)
        for case in cases:
            by_origin[id(case.origin)].append(case)
        for listed in by_origin.values():
            with self._open(listed) as usable:
                for at in range(0, len(usable), PORTION):
                    yield from self._portion(usable[at : at + PORTION], contents, meter)

    @contextmanager
    def _open(self, cases: Sequence[Case]) -> Iterator[Sequence[Case]]:
        """The same cores, unpacked once more where they are in an archive."""
        origin = cases[0].origin
        if not origin.is_archive or origin.bundle is None:
            yield cases
            return
        wanted = {case.core.shown for case in cases}
        try:
            with opened(origin.bundle, origin.given) as (_, again):
                yield [case for case in again if case.core.shown in wanted]
        except EvdiagError as error:
            self._note(str(error))

    def _portion(
        self, cases: Sequence[Case], contents: dict[str, str], meter: Meter
    ) -> Iterator[tuple[Case, Report]]:
        tasks = [
            Task(
                number=i,
                kind="report",
                path=case.core.path,
                options=case.origin.options,
                content=contents[case.core.shown],
            )
            for i, case in enumerate(cases)
        ]
        answers: dict[int, Answer] = {}
        for task, answer in self.pool.answers(tasks):
            answers[task.number] = answer
            meter.step()
            self.ask.tell(meter)
            if answer.reported is None:
                self._note(f"{cases[task.number].core.shown}: no report: {answer.message}")
        listed = [
            (cases[i], msgspec.structs.replace(made, report=cases[i].origin.retold(made.report)))
            for i in range(len(cases))
            if (made := answers[i].reported) is not None
        ]
        yield from self._with_values(listed, contents, cases[0].origin)

    def _with_values(
        self,
        listed: Sequence[tuple[Case, Reported]],
        contents: dict[str, str],
        origin: Origin,
    ) -> Iterator[tuple[Case, Report]]:
        """The reports as they may be shown, with values if some are wanted."""
        debugger = self.ask.debugger(origin) if listed else None
        if debugger is None:
            for case, made in listed:
                yield case, self.ask.report(origin.without_root(made.report), origin)
            return
        # brings gdb, which not everybody wants
        from evdiag.triage.values import with_values  # noqa: PLC0415

        digests = [contents[case.core.shown] for case, _ in listed]
        reported = [made for _, made in listed]
        meter = Meter("values", len(listed))
        told = with_values(reported, digests, debugger, self.known.cache.folder)
        for (case, _), (report, was_asked) in zip(listed, told, strict=True):
            self.debugged += was_asked
            meter.step()
            self.ask.tell(meter)
            yield case, self.ask.report(origin.without_root(report), origin)

    def _note(self, message: str) -> None:
        if len(self.notes) < MAX_NOTES:
            self.notes.append(SoftError(stage="reports", message=message))
