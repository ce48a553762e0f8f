"""What led to a crash: everything that happened shortly before it and right after, in one list."""

import re
from collections.abc import Iterable, Sequence

import msgspec

from evdiag.analyze.happenings import (
    Told,
    answered,
    folded,
    in_order,
    millisecond,
    once,
    time_of,
    zone,
)
from evdiag.analyze.times import time_words, utc_words
from evdiag.model.incident import CoreSeen, Member
from evdiag.model.logs import LogEvent
from evdiag.model.report import TimelineEvent
from evdiag.model.signals import signal_name
from evdiag.model.timeline import LOCAL, Happening, Moment

BEFORE = 60.0
"""Seconds before the crash that are told."""
FAR_BEFORE = 600.0
"""So far back is looked where little happened."""
AFTER = 30.0
LITTLE = 20
"""Events that are told at least, where there are so many within `FAR_BEFORE`."""
MOST_BEFORE, MOST_AFTER = 200, 8
LONGEST = 400
"""Characters of an event: signatures of C++ functions are long."""
SAME = 0.05
"""Seconds after a crash in which the log may give what the process said before it."""
SILENT = 5.0
"""Seconds that may be between the record before and raw text."""
WRITTEN = 5.0
"""Seconds that a core takes to be written, at most: its file is so much younger than the crash."""

NO_ZONE = "nothing tells the zone of the clock by which EVerest's log is written"
NO_ZONE_EFFECT = "the timeline takes it for UTC: messages of OCPP may stand hours off in it"

_HEADER = re.compile(r"\[?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.,]\d+\]? ?(?:[A-Z]{4} )?")
_EVEREST = re.compile(r"\[(\w{4})\] (.{15}|\S{1,15}) (?:.*? )?:\d*: ?(.*)", re.DOTALL)
_LAST_WORDS = ("terminate", "what", "libc-message", "sanitizer", "script", "module-error")
"""What a process says when it dies: right before its crash, whatever time its line has."""
_RAW = ("terminate", "libc-message", "sanitizer")
"""Of these, what has no time of its own: the log gives it that of the record before."""
_WRITER = ("core-written", "no-core")
_EXPLAIN = {
    *("module-exit", "module-stopped", "manager-exit", "manager-start", "service-exit"),
    *("service-start", "oom", "kernel-fault", "container", "crash", "everest-up", *_WRITER),
}
"""What explains a crash when it comes afterwards."""


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The process that a timeline is about."""

    is_known: bool = True
    """Whether logs tell of it: else only what happened at its moment has to do with it."""

    moment: Moment | None = None
    """When it ended; None where nothing tells."""
    is_guess: bool = False
    """Whether that is only the time of the core's file, which copies do not keep."""
    module: str | None = None
    pid: int | None = None
    text: str = ""
    """What happened to it; empty where a line of a log tells that already."""
    end: LogEvent | None = None
    """The record that tells of its end, where no note does."""


def subject(member: Member | None, core: CoreSeen | None) -> Subject:
    """Whom a report is about, and when it crashed."""
    seen = core or (member.lost if member is not None else None)
    name = (seen.module_id if seen is not None else None) or (member.name if member else None)
    pid = seen.pid if seen is not None else member.pid if member is not None else None
    if seen is not None and seen.note is not None and seen.note.crashed_at is not None:
        moment = Moment(time=seen.note.crashed_at)
        return Subject(moment=moment, module=name, pid=pid, text=_crash_words(seen))
    end = next((e for e in member.ends if e.time is not None), None) if member else None
    if end is not None and end.time is not None:
        return Subject(moment=Moment(time=end.time, clock=LOCAL), module=name, pid=pid, end=end)
    if seen is not None and seen.written is not None:
        moment = Moment(time=seen.written)
        words = _crash_words(seen)
        known = member is not None
        return Subject(
            is_known=known, moment=moment, is_guess=True, module=name, pid=pid, text=words
        )
    return Subject(is_known=member is not None, module=name, pid=pid)


def _crash_words(core: CoreSeen) -> str:
    who = core.module_id or core.program or "a process"
    pid = f" (pid {core.pid})" if core.pid is not None else ""
    how = f" with {signal_name(core.signal)}" if core.signal is not None else ""
    return f"{who}{pid} crashed{how}"


def crashes(cores: Iterable[CoreSeen]) -> list[Happening]:
    """The crashes whose moment is noted."""
    return [
        Happening(
            kind="crash",
            text=_crash_words(core),
            time=core.note.crashed_at,
            module=core.module_id or core.program,
            pid=core.pid,
            source=core.path.rpartition("/")[2],
        )
        for core in cores
        if core.note is not None and core.note.crashed_at is not None
    ]


def told_by_logs(events: Sequence[LogEvent]) -> list[Happening]:
    """The events of logs; those without a time have that of the next one of the same log."""
    with_status = {
        (e.source, e.module_id) for e in events if e.kind == "module-stopped" and e.status
    }
    found: list[Happening] = []
    untimed: dict[str, list[int]] = {}
    seen: set[tuple[str, int]] = set()
    announced: dict[str, set[str | None]] = {}
    for event in events:
        who = (event.source, event.module_id)
        only_told = event.kind == "module-stopped" and event.status is None
        if only_told and who in with_status:
            continue
        if (event.source, event.line) in seen:
            continue  # a list of modules in one line
        seen.add((event.source, event.line))
        if event.kind == "manager-start":
            announced.pop(event.source, None)
        elif event.kind == "module-exit":
            before = announced.setdefault(event.source, set())
            if event.status is not None and event.module_id in before:
                continue
            before.add(event.module_id)
        elif event.kind == "what" and found and _goes_on(found[-1], event):
            words = event.text.strip().removeprefix("what():").strip()
            found[-1] = msgspec.structs.replace(found[-1], text=f"{found[-1].text}: {brief(words)}")
            continue
        found.append(_of_log(event))
        waiting = untimed.setdefault(event.source, [])
        waiting.append(len(found) - 1)
        if event.time is not None:
            for i in waiting:
                found[i] = msgspec.structs.replace(found[i], time=event.time)
            waiting.clear()
    return found


def _goes_on(before: Happening, event: LogEvent) -> bool:
    """Whether it is the text of the exception of which the line before tells."""
    return before.kind == "terminate" and before.source == event.source


def _of_log(event: LogEvent) -> Happening:
    text = brief(event.text)
    routine = {"error": text, "module-stopped": event.source}.get(event.kind)
    return Happening(
        kind=event.kind,
        text=text,
        source=event.source,
        time=event.time,
        clock=LOCAL,
        module=event.module_id,
        pid=event.pid,
        routine=routine,
    )


def brief(text: str) -> str:
    """The first line of a record without what its columns say already."""
    line = _HEADER.sub("", text.partition("\n")[0], count=1)
    match = _EVEREST.fullmatch(line)
    if match is not None:
        line = f"{match[2].strip()}: {match[3]}"
    return line if len(line) <= LONGEST else line[:LONGEST] + "…"


def zone_of(
    stamps: Iterable[tuple[float, float]], cores: Iterable[CoreSeen], events: Iterable[LogEvent]
) -> float | None:
    """How far the clock of the logs is ahead of UTC, by what is written down with both clocks."""
    by_stamps = zone(stamps)
    if by_stamps is not None:
        return by_stamps
    noted = {
        core.pid: core.note.crashed_at
        for core in cores
        if core.pid and core.note is not None and core.note.crashed_at is not None
    }
    modules = {
        core.module_id: noted[core.pid]
        for core in cores
        if core.pid in noted and core.module_id is not None
    }
    pairs = []
    for event in events:
        if event.time is None or event.kind not in (*_WRITER, "module-exit"):
            continue
        crashed = noted.get(event.pid or 0) or modules.get(event.module_id or "")
        if crashed is not None:
            pairs.append((event.time, crashed))
    return zone(pairs)


def span(who: Subject, ahead: float | None) -> tuple[float, float] | None:
    """From when to when, in UTC, files have to be read for it; None: what is last in them."""
    if who.moment is None:
        return None
    at = _utc(who.moment, ahead)
    return at - FAR_BEFORE, at + AFTER


def _utc(moment: Moment, ahead: float | None) -> float:
    return moment.time - (ahead or 0.0) if moment.clock == LOCAL else moment.time


def timeline(
    who: Subject, happenings: Iterable[Happening], ahead: float | None
) -> tuple[TimelineEvent, ...]:
    """What led to its end, oldest first; its own line is marked.

    `ahead` is that of `zone_of`, and the happenings have come through `by_one_clock` with it.
    """
    known = list(happenings)
    at = _crashed_at(who, known, ahead)
    if at is None and not who.is_known:
        return ()
    if at is None:
        last = folded(answered(once(in_order(known))))[-MOST_BEFORE:]
        return tuple(_event(each, None, ahead) for each in last)
    near = [each for each in known if at - FAR_BEFORE <= time_of(each) <= at + AFTER]
    near = [each for each in near if each.kind != "warning" or each.module == who.module]
    if not near:
        return ()
    near = once(in_order(near))
    crash = _own(who, near, at)
    told = answered(_in_order(near, crash, at))
    place = next(i for i, each in enumerate(told) if each.happening is crash)
    before = _recent(folded(told[:place]), at)
    after = folded(each for each in told[place + 1 :] if each.happening.kind in _EXPLAIN)
    return (
        *(_event(each, at, ahead) for each in before),
        msgspec.structs.replace(_event(told[place], at, ahead), current=True),
        *(_event(each, at, ahead) for each in after[:MOST_AFTER]),
    )


def _crashed_at(who: Subject, known: Sequence[Happening], ahead: float | None) -> float | None:
    """The moment in UTC; None where only a file tells, at a time of which nothing else tells."""
    if who.moment is None:
        return None
    at = _utc(who.moment, ahead)
    if who.is_guess and not any(at - BEFORE <= time_of(each) <= at + WRITTEN for each in known):
        return None
    return at


def _own(who: Subject, near: Sequence[Happening], at: float) -> Happening:
    """The line of its crash: what a log says of its end, where nothing else tells of it."""
    end = who.end
    for each in near:
        is_end = end is not None and (each.kind, each.module) == (end.kind, end.module_id)
        is_noted = each.kind == "crash" and each.pid == who.pid
        if (is_end or is_noted) and abs(time_of(each) - at) <= 0.001:
            return each
    text = who.text or f"{who.module or 'the process'} ended"
    return Happening(kind="crash", text=text, time=at, module=who.module, pid=who.pid)


def _in_order(near: Sequence[Happening], crash: Happening, at: float) -> list[Happening]:
    """In the order of time, but a crash after the last words, and before the core was written.

    Raw text in a log has the time of the line before, whoever wrote that.
    """
    noted = [each for each in (*near, crash) if each.kind == "crash"]
    died = {each.pid: time_of(each) for each in noted}
    times = sorted({at, *died.values()})
    keyed: list[tuple[float, int, Happening]] = []
    for each in near:
        time, rank = time_of(each), 0
        if each is crash:
            rank = 1
        elif each.kind in _WRITER:
            time, rank = max(time, died.get(each.pid, time)), 2
        elif each.kind in _LAST_WORDS:
            # of the next crash, or of one a moment ago
            patience = SILENT if each.kind in _RAW else 0.0
            time = next((t for t in times if -SAME <= t - time <= patience), time)
        elif each.kind in _EXPLAIN and millisecond(time) == millisecond(at):
            rank = 2
        if time != each.time:
            each = msgspec.structs.replace(each, time=time)
        keyed.append((time, rank, each))
    if not any(each is crash for each in near):
        keyed.append((at, 1, crash))
    return [each for _, _, each in sorted(keyed, key=lambda row: (millisecond(row[0]), row[1]))]


def _recent(before: list[Told], at: float) -> list[Told]:
    """The last minute; more where little happened."""
    recent = [each for each in before if time_of(each.happening) >= at - BEFORE]
    return (before[-LITTLE:] if len(recent) < LITTLE else recent)[-MOST_BEFORE:]


def _event(told: Told, at: float | None, ahead: float | None) -> TimelineEvent:
    happening = told.happening
    words = time_words if happening.clock == LOCAL and ahead is None else utc_words
    text = happening.text
    if told.answered is False and happening.kind in ("ocpp", "v2g"):
        text = f"{text}: no answer"
    elif told.count > 1 and happening.kind == "module-stopped":
        text = f"{told.count} other modules ended"
    return TimelineEvent(
        time=words(happening.time),
        offset=None if at is None else (millisecond(time_of(happening)) - millisecond(at)) / 1000,
        precision=happening.precision if happening.precision > 0.001 else None,
        kind=happening.kind,
        text=text,
        direction=happening.direction,
        answered_after=None if told.answered_after is None else round(told.answered_after, 3),
        module=happening.module,
        source=happening.source or None,
        count=told.count,
    )
