"""What causality found, in the words of a report: siblings, evidence, lines of logs."""

import re
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from evdiag.analyze.causality import NAMELESS, SHUT_DOWN_CRASH
from evdiag.analyze.incarnations import same_name
from evdiag.analyze.members import ended, name_of, status_words
from evdiag.analyze.times import time_words
from evdiag.model.crash import Cause
from evdiag.model.incident import CoreSeen, Member, Run
from evdiag.model.logs import LogEvent, LogFacts
from evdiag.model.report import LogExcerpt, Report, Sibling, Verdict

MOST_LINES = 20
"""Lines of a process before its end that are shown."""
MOST_DECIDING = 20
WINDOW = 20_000
"""So many lines before its end, a process is looked for: who said nothing since then is silent."""

_PROCESS = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \[(?:VERB|DEBG|INFO|WARN|ERRO|CRIT)\] (.{1,15})"
)
_ANY_HEADER = re.compile(r"\[?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d")


def siblings(
    run: Run, others: Iterable[CoreSeen], verdicts: Mapping[str, Verdict]
) -> tuple[Sibling, ...]:
    """The processes of a run, and below them cores that have nothing to do with it."""
    known = [member for member in run.members if member.name or member.pid is not None]
    found = [_sibling(member, verdicts) for member in known]
    found += [
        Sibling(
            module_id=core.module_id or core.program,
            pid=core.pid,
            role="unrelated",
            note="left by another run",
            core=core.path or None,
        )
        for core in others
    ]
    return tuple(found)


def _sibling(member: Member, verdicts: Mapping[str, Verdict]) -> Sibling:
    core = member.cores[0].path if member.cores else None
    verdict = verdicts.get(core or name_of(member))
    return Sibling(
        module_id=member.name,
        pid=member.pid,
        status=status_words(member.status) or _told(member),
        role=member.role,
        note=member.note,
        cls=verdict.cls if verdict else None,
        summary=verdict.summary if verdict else None,
        core=core,
    )


def _told(member: Member) -> str | None:
    """What the manager did to a process, where it did not wait for its end."""
    told = [event.detail for event in member.ends if event.kind == "module-stopped"]
    return next((f"{detail} sent" for detail in reversed(told) if detail), None)


def evidence(run: Run, member: Member) -> tuple[str, ...]:
    """Why a process is the one that died first, or is not."""
    first = run.first
    if first is None or member is first:
        return run.evidence
    if member.role == "taken_down":
        said = f"; this process {member.note}" if member.note else ""
        return (f"{name_of(first)} ended first ({ended(first)}){said}", *run.evidence)
    return ()


def advice(run: Run, member: Member) -> tuple[str, ...]:
    """What to look at first, when it is not this process."""
    first = run.first
    if first is None or member is first or member.role != "taken_down":
        return ()
    return (f"Look at {name_of(first)} first: this process was only being shut down.",)


def retold(report: Report, run: Run, member: Member, known: Sequence[Sibling]) -> Report:
    """The report with what the logs of its run say of it and of the others."""
    verdict = report.verdict
    process = report.process
    return msgspec.structs.replace(
        report,
        verdict=msgspec.structs.replace(
            verdict,
            evidence=(*verdict.evidence, *_sender(report, run), *evidence(run, member)),
            advice=(*advice(run, member), *verdict.advice),
        ),
        process=msgspec.structs.replace(
            process, crashed_at=process.crashed_at or _ended_at(member)
        ),
        siblings=tuple(known),
    )


def _sender(report: Report, run: Run) -> tuple[str, ...]:
    """Which process of the run sent the signal that ended this one."""
    signal = report.signal
    if report.verdict.cls != "sent-signal" or signal is None or not signal.sender_pid:
        return ()
    who = next((m for m in run.members if m.pid == signal.sender_pid and m.name), None)
    return () if who is None else (f"process {signal.sender_pid} is {who.name}",)


def _ended_at(member: Member) -> str | None:
    """When a process ended, by the clock of the log that tells it first."""
    return next((time_words(e.time) for e in member.ends if e.time is not None), None)


def title(run: Run, member: Member, cause: Cause) -> str:
    """What to call a report that rests on logs alone."""
    if run.first is None and member.lost is None:
        return f"no crash: {run.kind.replace('-', ' ')}"
    detail = f" {cause.detail}" if cause.detail else ""
    return f"{name_of(member)}: {cause.cls}{detail}"


# ---------------------------------------------------------------- lines of logs


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """The lines of one log that are wanted for one process."""

    name: str | None
    end: int
    """Number of the line that tells of its end."""
    deciding: frozenset[int]
    """Numbers of the lines that say why."""


def wanted(facts: LogFacts, member: Member) -> dict[str, Wanted]:
    """By the name of the log: which lines of it to show for a process."""
    by_source: dict[str, list[LogEvent]] = {}
    for event in (*facts.events, *member.ends):
        by_source.setdefault(event.source, []).append(event)
    found = {}
    for source, events in by_source.items():
        ends = [event.line for event in events if event in member.ends]
        numbers: list[int] = []
        for event in events[-MOST_DECIDING:]:
            numbers += range(event.line, event.line + min(event.text.count("\n") + 1, MOST_LINES))
        found[source] = Wanted(
            name=member.name,
            end=min(ends, default=max(numbers)),
            deciding=frozenset(numbers),
        )
    return found


class Excerpt:
    """Collects the lines of one log for one process while the log goes by."""

    def __init__(self, lines: Wanted) -> None:
        self._wanted = lines
        self._first = max(1, lines.end - WINDOW)
        self._last = max((lines.end, *lines.deciding))
        self.begin = min((self._first, *lines.deciding))
        """Number of the first line that it wants to see."""
        self._own: list[tuple[int, str]] = []
        self._deciding: list[tuple[int, str]] = []
        self._continues = False

    def is_over(self, number: int) -> bool:
        """Whether nothing more is wanted after this line."""
        return number >= self._last

    def wants(self, number: int) -> bool:
        """Whether to look at the line of this number."""
        return self._first <= number <= self._last or number in self._wanted.deciding

    def add(self, number: int, text: str) -> None:
        """Look at a line, without its colours."""
        if number in self._wanted.deciding:
            self._deciding.append((number, text))
        if not self._first <= number <= self._wanted.end:
            return
        if _ANY_HEADER.match(text):
            match = _PROCESS.match(text)
            name = match[1].partition(":")[0].strip() if match else None
            self._continues = same_name(name, self._wanted.name)
        if self._continues:
            self._own.append((number, text))
            if len(self._own) > 4 * MOST_LINES:
                del self._own[:-MOST_LINES]

    def lines(self) -> tuple[str, ...]:
        """The lines, in the order of the log."""
        both = dict(self._own[-MOST_LINES:]) | dict(self._deciding)
        return tuple(text for _, text in sorted(both.items()))


def with_excerpts(report: Report, excerpts: Mapping[str, Excerpt]) -> Report:
    """The report with the lines of each log that has some."""
    logs = [LogExcerpt(source=source, lines=e.lines()) for source, e in excerpts.items()]
    return msgspec.structs.replace(report, logs=tuple(log for log in logs if log.lines))


def cases(run: Run, facts: Sequence[LogFacts]) -> list[tuple[Member, LogFacts, CoreSeen | None]]:
    """Whom of a run to report on: cores, the first fault, and who said why it died."""
    found: list[tuple[Member, LogFacts, CoreSeen | None]] = []
    for member, known in zip(run.members, facts, strict=True):
        found += [(member, known, core) for core in member.cores]
        spoke = any(event.kind in NAMELESS for event in known.events)
        crashed = member.note == SHUT_DOWN_CRASH
        told = member.lost is not None or crashed or spoke
        if not member.cores and (member.role == "first_fault" or told):
            found.append((member, known, None))
    return found


def who_was_first(runs: Sequence[Run], reports: int) -> str:
    """One line for somebody who gets several reports."""
    if reports < 2:
        return ""
    crashed = [run for run in runs if run.first is not None]
    if not crashed:
        return "no log says which of these processes died first"
    texts = []
    for run in crashed:
        assert run.first is not None
        fallen = sum(member.role == "taken_down" for member in run.members)
        more = f" and took {fallen} others down" if fallen > 1 else ""
        sure = "" if run.confidence == "high" else f" (confidence: {run.confidence})"
        texts.append(f"{name_of(run.first)} died first{more}{sure}")
    listed = "; in the next run ".join(texts)
    return f"{listed}: its report comes first" if len(crashed) == 1 else f"{listed}; oldest first"
