"""From what the user named to groups of crashes with their reports."""

import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from evdiag import __version__
from evdiag.adapters import host
from evdiag.adapters.content import Identity
from evdiag.adapters.core_search import BundleFound, search
from evdiag.adapters.triage_cache import Fingerprints
from evdiag.analyze.triage.baseline import compared, doubts
from evdiag.analyze.triage.crash import placed
from evdiag.analyze.triage.groups import grouped
from evdiag.analyze.triage.hints import Hint
from evdiag.analyze.triage.similar import not_compared, with_similar
from evdiag.engine import Options
from evdiag.errors import EvdiagError, NothingCollected
from evdiag.model.report import SoftError, Tool
from evdiag.model.triage import Crash, Failure, Gone, Group, Run, Triage
from evdiag.triage.known import Known
from evdiag.triage.meter import Meter
from evdiag.triage.origins import Case, Origin, opened
from evdiag.triage.pool import Pool, useful_jobs
from evdiag.triage.reports import Ask, Reports
from evdiag.triage.tasks import Answer, Task

MAX_REPORTS = 100
"""Groups that get a report, the most frequent ones: each report takes megabytes."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What the user said."""

    words: tuple[str, ...]
    options: Options = Options()
    jobs: int | None = None
    cache: Path | None = None
    """Where results are kept; without it none are."""
    reports: bool = True
    """Whether the core that stands for a group gets a report."""
    everything: bool = False
    """Whether each core gets one."""
    prints: Fingerprints | None = None
    """Of other code than this, for tests."""


class Triaging:
    """One run."""

    def __init__(self, settings: Settings, ask: Ask) -> None:
        self.settings, self.ask = settings, ask
        self.known = Known(settings.cache, settings.prints)
        self.errors: list[EvdiagError] = []
        """What is wrong with what the user named."""
        self.pool = Pool(useful_jobs(settings.jobs), self.known, settings.cache)
        self._crashes: list[Crash] = []
        self._cases: dict[str, Case] = {}
        """By the path that a crash has."""
        self._failures: list[Failure] = []
        self._notes: list[SoftError] = []
        self._analysed = 0
        self._interrupted = False
        self._clock, self._begun = os.times(), time.monotonic()

    def run(self, baseline: Triage | None = None, name: str = "") -> Triage:
        """Everything; if the user interrupts it, what is known by then. Raises NothingCollected."""
        groups: tuple[Group, ...] = ()
        reports = Reports(self.pool, self.known, self.ask)
        with self.pool:
            try:
                self._look_at_all()
            except KeyboardInterrupt:
                self._interrupted = True
            groups = with_similar(grouped(self._shown()))
            gone: tuple[Gone, ...] = ()
            if baseline is not None:
                groups, gone = compared(groups, baseline)
                self._notes += doubts(groups, baseline)
            if self.settings.reports and not self._interrupted:
                try:
                    groups = self._with_reports(groups, reports)
                except KeyboardInterrupt:
                    self._interrupted = True
                    groups = reports.so_far(groups)
        self.known.cache.make_room()
        too_many = not_compared(groups)
        return Triage(
            tool=Tool(version=__version__),
            created=host.now(),
            groups=groups,
            failures=tuple(sorted(self._failures, key=lambda failure: failure.path)),
            baseline=name or None,
            gone=gone,
            soft_errors=(*self._notes, *reports.notes, *((too_many,) if too_many else ())),
            run=self._run(reports.debugged),
        )

    def _run(self, debugged: int) -> Run:
        now, then = os.times(), self._clock
        cpu = sum(now[:4]) - sum(then[:4])
        return Run(
            cores=len(self._crashes) + len(self._failures),
            analysed=self._analysed,
            debugged=debugged,
            seconds=round(time.monotonic() - self._begun, 3),
            cpu_seconds=round(cpu, 3),
            jobs=self.pool.jobs,
            interrupted=self._interrupted,
        )

    def _shown(self) -> Iterator[Crash]:
        """The crashes without secrets."""
        for crash in self._crashes:
            yield self.ask.crash(crash, self._cases[crash.path].origin)

    # -- cores

    def _look_at_all(self) -> None:
        found = search(self.settings.words, self._is_known)
        self._failures += found.failures
        self._notes += found.notes
        self.errors += found.errors
        given = self.settings.options
        plain = Origin(options=given, given=given)
        cases = [Case(core=core, origin=plain) for core in found.cores]
        folders = [bundle for bundle in found.bundles if bundle.path.is_dir()]
        archives = [bundle for bundle in found.bundles if not bundle.path.is_dir()]
        for folder in folders:
            self._in_bundle(folder, cases.extend)
        self._look_at(cases)
        for archive in archives:
            self._in_bundle(archive, self._look_at)
        if not (self._crashes or self._failures):
            where = ", ".join(self.settings.words[:3])
            raise NothingCollected(
                f"{where} holds no core",
                advice="Name cores, folders with cores, or bundles of `evdiag collect`.",
            )

    def _is_known(self, identity: Identity) -> bool:
        return self.known.cache.content(identity) is not None

    def _in_bundle(self, found: BundleFound, use: Callable[[list[Case]], None]) -> None:
        try:
            with opened(found, self.settings.options) as (_, cases):
                use(cases)
        except EvdiagError as error:
            path = str(found.path)
            self._failures.append(_failure(path, path, str(error), error.advice))
            if path in self.settings.words:
                self.errors.append(error)

    def _look_at(self, cases: Sequence[Case]) -> None:
        """Find the crash of each core: what is known first, then by symbols of one program."""
        left: list[tuple[Case, str | None]] = []
        meter = Meter("known from before", len(cases))
        for case in cases:
            content = self.known.cache.content(case.core.identity)
            crash = None
            if content is not None:
                crash = self.known.crash(case.core.path, content, case.origin.options)
            if crash is not None and content is not None:
                self._add(case, crash, content)
            else:
                left.append((case, content))
            meter.step()
            self.ask.tell(meter)
        if left:
            self._trace(self._looked(left))

    def _looked(self, left: Sequence[tuple[Case, str | None]]) -> list[tuple[Task, Case, Hint]]:
        """What is to be done, and what the notes say of each; without those that are no cores."""
        meter = Meter("notes", len(left))
        tasks = [
            Task(
                number=i,
                kind="look",
                path=case.core.path,
                options=case.origin.options,
                content=content,
            )
            for i, (case, content) in enumerate(left)
        ]
        found: dict[int, tuple[Task, Case, Hint]] = {}
        for task, answer in self.pool.answers(tasks):
            meter.step()
            self.ask.tell(meter)
            case = left[task.number][0]
            if answer.hint is None:
                self._fail(case, answer)
            else:
                trace = msgspec.structs.replace(task, kind="trace")
                found[task.number] = trace, case, answer.hint
        return [found[i] for i in sorted(found)]

    def _trace(self, looked: Sequence[tuple[Task, Case, Hint]]) -> None:
        meter = Meter("stacks", len(looked))
        cases = {task.number: case for task, case, _ in looked}
        tasks, hints = [task for task, _, _ in looked], [hint for _, _, hint in looked]
        for task, answer in self.pool.answers(tasks, hints):
            meter.step()
            self.ask.tell(meter)
            case = cases[task.number]
            if answer.crash is None:
                self._fail(case, answer)
            else:
                self._analysed += not answer.known
                self._add(case, answer.crash, answer.content or "")

    def _add(self, case: Case, crash: Crash, content: str) -> None:
        core = case.core
        if core.shown in self._cases:
            return  # a bundle that is there as a folder and as an archive
        self._cases[core.shown] = case
        self._crashes.append(
            placed(
                crash,
                core.shown,
                content=content,
                written=core.identity.written,
                image=case.origin.image,
            )
        )

    def _fail(self, case: Case, answer: Answer) -> None:
        message = case.origin.shortened(answer.message or "nothing is known of it")
        where = f" ({answer.bug})" if answer.bug else ""
        path = case.origin.shortened(str(case.core.path))
        self._failures.append(
            _failure(case.core.shown, path, f"{message}{where}", answer.advice or "")
        )

    # -- reports

    def _with_reports(self, groups: tuple[Group, ...], reports: Reports) -> tuple[Group, ...]:
        """The groups with the report on the core that stands for each."""
        chosen = [g for g in groups if g.representative in self._cases][:MAX_REPORTS]
        cases = [self._cases[group.representative or ""] for group in chosen]
        if len(groups) > MAX_REPORTS:
            self._notes.append(
                SoftError(
                    stage="reports",
                    message=f"only the {MAX_REPORTS} most frequent groups have a report",
                    hint="`evdiag backtrace` gives the report on any core.",
                )
            )
        contents = {crash.path: crash.content or "" for crash in self._crashes}
        for case, report in reports.of(cases, contents):
            reports.made[case.core.shown] = report
        if self.settings.everything:
            listed = [self._cases[crash.path] for group in groups for crash in group.cores]
            for case, report in reports.of(listed, contents):
                self.ask.keep(case.core.shown, report)
        return reports.so_far(groups)


def _failure(shown: str, path: str, message: str, advice: str) -> Failure:
    """A failure; its message does not name the file once more."""
    return Failure(path=shown, message=message.removeprefix(f"{path}: "), advice=advice or None)
