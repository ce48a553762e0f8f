"""From cores and logs of one incident to its reports: who died first comes first.

A single core needs nothing of this; a folder does, and every core whose logs are known.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evdiag import __version__
from evdiag.adapters import host
from evdiag.adapters.files import load_note
from evdiag.adapters.incident import LogFile, gather, mtime, pieces
from evdiag.adapters.noted_core import open_noted
from evdiag.analyze import captured
from evdiag.analyze.causality import decide, decide_without_logs
from evdiag.analyze.log_facts import facts_of
from evdiag.analyze.logverdict import from_log
from evdiag.analyze.members import name_of
from evdiag.analyze.no_core import (
    noted_cause,
    oom_cause,
    plain_cause,
    quiet_cause,
    why_no_core,
)
from evdiag.analyze.retell import (
    Excerpt,
    cases,
    retold,
    siblings,
    title,
    wanted,
    who_was_first,
    with_excerpts,
)
from evdiag.analyze.times import utc_words
from evdiag.engine import Analysis, Engine
from evdiag.errors import CoreError, CoreNotFound
from evdiag.model.crash import Cause
from evdiag.model.incident import CaptureNote, CoreSeen, Member, Run
from evdiag.model.logs import LogEvent, LogFacts
from evdiag.model.report import Process, Provenance, Report, SoftError, Tool, Verdict
from evdiag.parse.logs import read_events
from evdiag.parse.logs._lines import batches, without_colours
from evdiag.parse.startup import module_identity

if TYPE_CHECKING:
    from evdiag.adapters.timeline import History

MAX_EVENTS = 20_000
"""Events of one log that are kept, the last ones; a run of EVerest has about a hundred."""
MAX_ERRORS = 5_000
"""Records of one log that only say that something went wrong: some modules write many."""

MAX_LOST = 10
"""Runs without a core that are reported because a note tells of a crash."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one core, or of one process without a core."""

    path: Path
    report: Report | None = None
    error: CoreError | None = None
    analysis: Analysis | None = None


Case = tuple[Member, LogFacts, CoreSeen | None]
"""A process to report on, what the logs say of it, and its core."""


class Incident:
    """All that was given, and what of it belongs together. Raises CoreNotFound, UsageError."""

    def __init__(self, engine: Engine, targets: Sequence[Path], logs: Sequence[Path]) -> None:
        self.engine = engine
        self.given = gather(targets, logs)
        self._broken: list[Outcome] = []
        seen = [core for path in self.given.cores if (core := self._look(path)) is not None]
        seen = self._without_doubles(seen, targets)
        seen += map(captured.seen, self.given.lone)
        events = [event for log in self.given.logs for event in self._events(log)]
        self.runs, self.left = decide(seen, events) if events else decide_without_logs(seen)
        self._history = self._told_by_files(seen, events)
        self._oom = tuple(event for event in events if event.kind == "oom")
        self._chosen = self._choose(folder=any(path.is_dir() for path in targets))
        if not (self._chosen or self.left or self._broken):
            raise self._nothing(targets)

    @property
    def headline(self) -> str:
        """One line about who died first, where there are several reports."""
        reports = sum(len(listed) for _, listed in self._chosen) + len(self.left)
        return who_was_first([run for run, _ in self._chosen], reports)

    def outcomes(self) -> Iterator[Outcome]:
        """The reports, the first fault of each run before the others, and then the failures."""
        lines = iter(self._excerpts([case for _, listed in self._chosen for case in listed]))
        for run, listed in self._chosen:
            yield from self._of_run(run, listed, [next(lines) for _ in listed])
        for core in self.left:
            yield self._completed(self._with_timeline(self._analysed(core, None), None, core))
        yield from self._broken

    # -- what was given

    def _look(self, path: Path) -> CoreSeen | None:
        """What the headers of a core say; None if it cannot be used, which is told at the end."""
        try:
            core = open_noted(path)
        except CoreError as error:
            self._broken.append(Outcome(path, error=error))
            note = load_note(path)
            if isinstance(note, CaptureNote):
                why = note.error or f"{path.name} cannot be read"
                self.given.lone.append(msgspec.structs.replace(note, core=None, error=why))
            return None
        facts, startup = core.facts, core.startup
        identity = module_identity(startup.argv, startup.environment, core.executable)
        return CoreSeen(
            path=str(path),
            pid=facts.pid,
            module_id=identity.id if identity else None,
            program=(core.executable or facts.name).rpartition("/")[2] or None,
            signal=facts.signal.number if facts.signal else None,
            written=mtime(path),
            is_whole=not facts.missing,
            note=core.note,
        )

    def _without_doubles(self, seen: list[CoreSeen], named: Sequence[Path]) -> list[CoreSeen]:
        """One core of each crash; who named a core wants to see it."""
        kept, doubles = captured.without_doubles(seen)
        insisted = [worse for worse, _ in doubles if Path(worse.path) in named]
        for worse, better in doubles:
            if Path(worse.path) not in named:
                self._note(f"{worse.path} is of the same crash as {better.path}: left out")
        return kept + insisted

    def _events(self, log: LogFile) -> list[LogEvent]:
        """What a log tells; the last of it, if it is much."""
        told: deque[tuple[int, LogEvent]] = deque(maxlen=MAX_EVENTS)
        errors: deque[tuple[int, LogEvent]] = deque(maxlen=MAX_ERRORS)
        try:
            for i, event in enumerate(read_events(log.name, pieces(log))):
                (errors if event.kind == "error" else told).append((i, event))
        except OSError as error:
            self._note(f"{log.name} cannot be read: {error.strerror}")
        if len(told) == MAX_EVENTS:
            self._note(f"{log.name} tells of very much: only its last {MAX_EVENTS} events are used")
        ordered = sorted((*told, *errors), key=lambda row: row[0])
        return [event for _, event in ordered]

    def _note(self, message: str) -> None:
        self.given.notes.append(SoftError(stage="files", message=message))

    def _nothing(self, targets: Sequence[Path]) -> CoreNotFound:
        """Why there is nothing to report on."""
        where = ", ".join(str(path) for path in targets[:3]) or "what was named"
        notes = "".join(f"; {note.message}" for note in self.given.notes[:2])
        if not self.given.logs:
            return CoreNotFound(
                f"{where} holds neither a core nor a log{notes}",
                advice="Name a core, or a folder with the logs of EVerest and of supervisord.",
            )
        names = ", ".join(log.name for log in self.given.logs[:3])
        return CoreNotFound(
            f"{where} holds no core, and no log tells of a process that ended ({names}){notes}",
            advice="Give the logs of the time of the crash with --log.",
        )

    def _told_by_files(
        self, cores: Sequence[CoreSeen], events: Sequence[LogEvent]
    ) -> "History | None":
        """What happened before, where there is more than a core."""
        if not (events or self.given.sources):
            return None
        from evdiag.adapters.timeline import History  # noqa: PLC0415 - a core alone has none

        return History(self.given.sources, cores, events, self.given.notes)

    # -- whom to report on

    def _choose(self, *, folder: bool) -> list[tuple[Run, list[Case]]]:
        """The runs that left cores, and the last one that failed; without any, the last one.

        Who named single cores wants to know about these.
        """
        with_cores = [run for run in self.runs if any(member.crashes for member in run.members)]
        failed = [run for run in self.runs if run.first is not None]
        last = failed[-1:] if folder or not (with_cores or self.left) else []
        if not (with_cores or failed or self.left):
            last = [run for run in self.runs if run.kind != "unknown"][-1:]
        wanted_runs = {id(run) for run in (*with_cores, *last)}
        chosen = [run for run in self.runs if id(run) in wanted_runs]
        chosen = self._without_most_lost(chosen)
        hidden = sum(id(run) not in wanted_runs for run in failed)
        if hidden and folder:
            more = "1 earlier run" if hidden == 1 else f"{hidden} earlier runs"
            self._note(f"the logs tell of {more} that failed and left no core: not reported")
        found = []
        for run in chosen:
            listed = cases(run, facts_of(run))
            found.append((run, listed or [(Member(), LogFacts(events=run.events), None)]))
        return found

    def _without_most_lost(self, chosen: list[Run]) -> list[Run]:
        """Of runs that left notes and no core the last ones: a full disk stays full for long."""
        lost = [run for run in chosen if not any(member.cores for member in run.members)]
        if len(lost) <= MAX_LOST:
            return chosen
        more = len(lost) - MAX_LOST
        self._note(f"{more} earlier runs left notes of crashes, but no core: not reported")
        left_out = {id(run) for run in lost[:more]}
        return [run for run in chosen if id(run) not in left_out]

    # -- reports

    def _of_run(
        self, run: Run, listed: Sequence[Case], excerpts: Sequence[dict[str, Excerpt]]
    ) -> Iterator[Outcome]:
        """All of a run are analysed before the first is told: each names the others' verdicts."""
        outcomes = [
            self._analysed(core, facts)
            if core is not None
            else Outcome(self._somewhere(), self._from_logs(run, member, facts))
            for member, facts, core in listed
        ]
        verdicts = {
            core.path if core is not None else name_of(member): outcome.report.verdict
            for (member, _, core), outcome in zip(listed, outcomes, strict=True)
            if outcome.report is not None
        }
        other = [c for r in self.runs if r is not run for m in r.members for c in m.cores]
        known = siblings(run, (*other, *self.left), verdicts)
        for (member, _, core), outcome, lines in zip(listed, outcomes, excerpts, strict=True):
            if outcome.report is not None:
                report = with_excerpts(retold(outcome.report, run, member, known), lines)
                outcome = msgspec.structs.replace(outcome, report=report)
            yield self._completed(self._with_timeline(outcome, member, core))

    def _analysed(self, core: CoreSeen, facts: LogFacts | None) -> Outcome:
        path = Path(core.path)
        try:
            analysis = self.engine.analyse(path, facts)
        except CoreError as error:
            return Outcome(path, error=error)
        return Outcome(path, analysis.report, analysis=analysis)

    def _somewhere(self) -> Path:
        """What stands for the core in messages where there is none."""
        return [*self.given.folders, *(log.path for log in self.given.logs)][0]

    def _from_logs(self, run: Run, member: Member, facts: LogFacts) -> Report:
        """The report on a process that left no core."""
        cause = self._cause(run, member, facts)
        note = member.lost.note if member.lost is not None else None
        crashed = member.role is not None or note is not None
        return Report(
            tool=Tool(version=__version__),
            created=host.now(),
            title=title(run, member, cause),
            verdict=Verdict(
                cls=cause.cls,
                rule="logs" if note is None else "capture",
                detail=cause.detail,
                confidence=cause.confidence,
                summary=cause.summary,
                evidence=cause.evidence,
                advice=cause.advice,
            ),
            assertion=cause.assertion,
            signal=captured.shown_signal(note) if note is not None else None,
            process=_process(member, note),
            soft_errors=(why_no_core(member, self.given.around, facts.events),) if crashed else (),
            provenance=Provenance(rung="logs" if note is None else "capture"),
        )

    def _cause(self, run: Run, member: Member, facts: LogFacts) -> Cause:
        if member.role is None and member.lost is None:
            return quiet_cause(run)
        events = (*facts.events, *self._oom)
        told = oom_cause(member, events, self.given.around) or from_log(facts.events)
        return noted_cause(member, told) or told or plain_cause(member)

    def _with_timeline(
        self, outcome: Outcome, member: Member | None, core: CoreSeen | None
    ) -> Outcome:
        if self._history is None or outcome.report is None:
            return outcome
        events = self._history.before(member, core)
        report = msgspec.structs.replace(outcome.report, timeline=events)
        return msgspec.structs.replace(outcome, report=report)

    def _completed(self, outcome: Outcome) -> Outcome:
        """The outcome with what is known of the container, and of files that were left out."""
        if outcome.report is None:
            return outcome
        report = msgspec.structs.replace(
            outcome.report,
            container=self.given.around.container,
            soft_errors=(*outcome.report.soft_errors, *self.given.notes),
        )
        return msgspec.structs.replace(outcome, report=report)

    # -- lines of logs

    def _excerpts(self, listed: Sequence[Case]) -> list[dict[str, Excerpt]]:
        """For each process and each log: the lines to show. Each log is read once more."""
        asked = [wanted(facts, member) for member, facts, _ in listed]
        found: list[dict[str, Excerpt]] = [
            {source: Excerpt(lines) for source, lines in sources.items()} for sources in asked
        ]
        for log in self.given.logs:
            readers = [excerpts[log.name] for excerpts in found if log.name in excerpts]
            if readers:
                _feed(log, readers)
        return found


def _process(member: Member, note: CaptureNote | None) -> Process:
    """Who it was that left no core."""
    if note is None:
        return Process(pid=member.pid, module_id=member.name)
    identity = module_identity(note.argv, {}, note.executable)
    return Process(
        executable=note.executable,
        argv=note.argv,
        pid=note.pid,
        module_id=identity.id if identity else member.name,
        module_type=identity.type if identity else None,
        started=utc_words(note.started),
        crashed_at=utc_words(note.crashed_at),
    )


def _feed(log: LogFile, readers: Sequence[Excerpt]) -> None:
    """Show a log to those who want lines of it, up to the last line that one of them wants."""
    number = 0
    waiting = list(readers)
    try:
        for batch in batches(pieces(log)):
            end = number + len(batch.lines)
            awake = [reader for reader in waiting if reader.begin <= end]
            for line in batch.lines if awake else ():
                number += 1
                for reader in awake:
                    if reader.wants(number):
                        reader.add(number, without_colours(line))
            number = end
            waiting = [reader for reader in waiting if not reader.is_over(number)]
            if not waiting:
                return
    except OSError:
        return  # it could be read a moment ago: the report goes without
