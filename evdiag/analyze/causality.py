"""Who died first, who was taken down with it, and who has nothing to do with it.

EVerest's manager ends all modules when one has ended, and supervisord starts the manager anew.
What is believed, in this order: the manager's own record of who ended first, unless the core
writer noted that another one had crashed before; statuses (whom SIGTERM ended afterwards was taken
down); supervisord's record of the manager; the times that the core writer noted; and last the
times of core files, which copying changes and which come out of order.
"""

from collections.abc import Iterable, Sequence
from math import inf

import msgspec

from evdiag.analyze.incarnations import assign, manager_programs, merged, same_name, split
from evdiag.analyze.members import (
    DEADLY,
    SIGINT,
    SIGTERM,
    Members,
    died_of,
    ended,
    is_failure,
    is_service,
    name_of,
)
from evdiag.model.incident import CoreSeen, Member, Run
from evdiag.model.logs import LogEvent
from evdiag.model.signals import SIGKILL

MAX_RUNS = 2_000
"""Starts that are looked at, the last ones: a supervisor may restart a broken program for days."""
MTIME_STEP = 1.0
"""Times of files that are nearer together say nothing: a core takes time to write."""
NOTED_STEP = 0.002
"""Seconds: two crashes that were noted nearer together than this may have been in any order, as
notes have milliseconds."""
TOGETHER = 60.0
"""Seconds between the cores of one run: all modules end within seconds, cores are written later."""
MOST_NAMED = 8
"""Processes that a sentence names one by one."""
SHUT_DOWN_CRASH = "crashed while it was being shut down"
KILLED = "killed, because it did not end when told"

_STOPPED = "stopped by supervisord"
"""`LogEvent.detail` of a service-exit that supervisord wanted."""
_GOODBYE = "EVerest manager is exiting"
"""What the manager says when it was told to end; after a crash it says something else."""
TELL_OF_RUNS = (
    *("module-exit", "module-stopped", "manager-start", "manager-exit"),
    *("service-start", "service-exit"),
)
"""Records of somebody who starts and ends others."""
NAMELESS = {
    "terminate": "abort",
    "what": "abort",
    "libc-message": "abort",
    "sanitizer": "any",
    "script": "code",
}
"""Texts of run-time libraries, which have no name, and how a process ends that prints them."""
BROKERS = ("mosquitto", "mqtt", "broker")
"""What people call the program of supervisord that is the MQTT broker."""


def decide(
    cores: Iterable[CoreSeen], events: Iterable[LogEvent]
) -> tuple[tuple[Run, ...], tuple[CoreSeen, ...]]:
    """The runs that the logs tell of, oldest first, and the cores that belong to none of them."""
    ordered = merged(events)
    if not any(event.kind in TELL_OF_RUNS for event in ordered):
        return _with_lost(*_alone(list(cores), ordered))
    managers = manager_programs(ordered)
    parts = split(ordered)[-MAX_RUNS:]
    of_runs, left = assign(cores, parts)
    runs = [_run(part, found, managers) for part, found in zip(parts, of_runs, strict=True)]
    return _with_lost(tuple(run for run in runs if run.members), tuple(left))


def _with_lost(
    runs: tuple[Run, ...], left: tuple[CoreSeen, ...]
) -> tuple[tuple[Run, ...], tuple[CoreSeen, ...]]:
    """Crashes without a core that belong to no run are runs of their own."""
    lost = sorted((c for c in left if not c.path), key=lambda core: core.moment or 0.0)
    own = tuple(_run((), (core,), frozenset()) for core in lost)
    return (*runs, *own), tuple(core for core in left if core.path)


def _alone(
    cores: Sequence[CoreSeen], events: Sequence[LogEvent]
) -> tuple[tuple[Run, ...], tuple[CoreSeen, ...]]:
    """What a single program wrote: no record of it tells of starts and ends."""
    texts = [event for event in events if event.kind in NAMELESS]
    pids = {event.pid for event in texts if event.pid is not None}
    if len(cores) == 1 and not cores[0].path:
        return (_run(events, cores, frozenset()),), ()
    if len(cores) == 1:
        table = Members(frozenset())
        table.add_core(cores[0])
        return (Run(members=tuple(table.all()), events=tuple(events)),), ()
    if cores or not texts:
        return (), tuple(cores)
    unknown = Member(pid=pids.pop() if len(pids) == 1 else None, role="first_fault")
    run = Run(kind="crash", confidence="medium", members=(unknown,), events=tuple(events))
    return (run,), ()


def decide_without_logs(
    cores: Iterable[CoreSeen],
) -> tuple[tuple[Run, ...], tuple[CoreSeen, ...]]:
    """The same for cores alone: those whose files were written together may be of one run."""
    listed = list(cores)
    dated = [(core.moment, core) for core in listed if core.moment and core.module_id]
    dated.sort(key=lambda row: row[0])
    groups: list[list[tuple[float, CoreSeen]]] = []
    for row in dated:
        if not groups or row[0] - groups[-1][-1][0] > TOGETHER or _is_again(row[1], groups[-1]):
            groups.append([])
        groups[-1].append(row)
    together = [[core for _, core in group] for group in groups if len(group) > 1]
    runs = tuple(_run((), group, frozenset()) for group in together)
    alone = tuple(c for c in listed if not any(c is o for group in together for o in group))
    return _with_lost(runs, alone)


def _is_again(core: CoreSeen, group: Sequence[tuple[float, CoreSeen]]) -> bool:
    """Whether a module had crashed already: then it has been started anew since."""
    others = [other for _, other in group if other.module_id == core.module_id]
    return core.is_timed and any(other.is_timed and other.pid != core.pid for other in others)


class _First(msgspec.Struct, frozen=True):
    """What a rule says about a run."""

    kind: str
    member: int | None = None
    evidence: tuple[str, ...] = ()
    confidence: str = "high"


def _run(events: Sequence[LogEvent], cores: Sequence[CoreSeen], managers: frozenset[str]) -> Run:
    table = Members(managers)
    for event in events:
        table.add(event)
    for core in cores:
        table.add_core(core)
    members = table.all()
    found = (
        _by_broker(events, members)
        or _by_manager(events, members)
        or _by_service(members)
        or _by_request(events)
        or _by_being_told(members)
        or _by_cores(members)
        or _by_failed_manager(members)
        or _First("unknown")
    )
    told = [_with_role(m, i == found.member, found) for i, m in enumerate(members)]
    told.sort(key=lambda member: member.role != "first_fault")
    return Run(
        kind=found.kind,
        members=tuple(told),
        evidence=found.evidence + _aftermath(told) + _contradiction(told),
        confidence=found.confidence,
        events=tuple(events),
    )


# ---------------------------------------------------------------- who was first


def _place(event: LogEvent) -> str:
    return f"{event.source}, line {event.line}"


def _by_broker(events: Sequence[LogEvent], members: Sequence[Member]) -> _First | None:
    """Modules that ended because the broker was gone: nobody failed, or the broker did."""
    lost = next((i for i, event in enumerate(events) if event.kind == "broker-lost"), None)
    exits = [i for i, event in enumerate(events) if event.kind == "module-exit"]
    if lost is None or (exits and exits[0] < lost):
        return None
    first = next((m for m in members if exits and events[exits[0]] in m.ends), None)
    if first is not None and (died_of(first.status) is not None or first.crashes):
        return None  # it lost the broker, but died of something else
    place = _place(events[lost])
    evidence = f"the connection to the MQTT broker was lost ({place}): every module ends then"
    for i, member in enumerate(members):
        called = (member.name or "").lower()
        if is_service(member) and any(word in called for word in BROKERS):
            return _First("crash", i, (f"{called} ended: {ended(member)}", evidence))
    return _First("broker-lost", None, (evidence,))


def _by_manager(events: Sequence[LogEvent], members: Sequence[Member]) -> _First | None:
    """The manager names the first one that ended without having been told to."""
    first = next((event for event in events if event.kind == "module-exit"), None)
    place = next((i for i, member in enumerate(members) if first in member.ends), None)
    if first is None or place is None:
        return None
    member = members[place]
    if _is_reset(events, first, member):
        text = f"all ended because a reset was asked for, no process failed ({_place(first)})"
        return _First("reset", None, (text,))
    stop = next((event for event in events if event.detail == _STOPPED), None)
    if stop is not None and _may_be_told(member):
        text = f"supervisord stopped {stop.module_id}, with all its modules ({_place(stop)})"
        return _First("stopped", None, (text,))
    text = f"the manager's log names {name_of(member)} as the first to end ({_place(first)})"
    return _crashed_before(members, place, text) or _First("crash", place, (text,))


def _crashed_before(members: Sequence[Member], place: int, text: str) -> _First | None:
    """One that had crashed before the first that the manager saw end.

    While the core of the one was written, another could crash, and its core be written sooner.
    """
    seen = _noted(members[place])
    others = [(time, i) for i, m in enumerate(members) if (time := _noted(m)) is not None]
    earliest, i = min(others, default=(inf, place))
    if seen is None or not NOTED_STEP <= seen - earliest <= TOGETHER:
        return None
    name, sooner = name_of(members[i]), seconds(seen - earliest)
    noted = f"but {name} had crashed {sooner} before, as the core writer noted"
    return _First("crash", i, (text, noted), "medium")


def _noted(member: Member) -> float | None:
    """When a process crashed, where the core writer noted it."""
    times = [core.moment for core in member.crashes if core.is_timed]
    return min((time for time in times if time is not None), default=None)


def seconds(time: float) -> str:
    """A duration in words: `3 s`, `0.045 s`."""
    return f"{time:.0f} s" if time >= TOGETHER / 6 else f"{time:.3f} s"


def _may_be_told(member: Member) -> bool:
    """Whether a process may have ended because it was told to.

    With `stopasgroup` supervisord tells the whole process group: the manager may see a module end
    before it has seen that it is to end itself.
    """
    number = died_of(member.status)
    return number == SIGTERM or not (number or is_failure(member.status))


def _is_reset(events: Sequence[LogEvent], first: LogEvent, member: Member) -> bool:
    """OCPP's Reset: the module `System` ends itself, by SIGINT or SIGTERM, and with it all end."""
    number = died_of(member.status)
    if number == SIGINT:
        return True
    asked = [event for event in events[: events.index(first)] if event.kind == "reset"]
    by_it = any(not e.module_id or same_name(e.module_id, member.name) for e in asked)
    return by_it and number not in DEADLY and number != SIGKILL


def _by_service(members: Sequence[Member]) -> _First | None:
    """The manager itself, or another program of supervisord, died of a signal."""
    for member in sorted(members, key=lambda member: not member.manager):
        number = died_of(member.status)
        if (member.manager or is_service(member)) and (number in DEADLY or number == SIGKILL):
            who = f"supervisord saw {name_of(member)} end" if member.ends else name_of(member)
            evidence = [f"{who}: {ended(member)}"]
            if member.manager:
                evidence.append("the modules end with their manager (PR_SET_PDEATHSIG)")
            return _First("crash", members.index(member), tuple(evidence))
    return None


def _by_request(events: Sequence[LogEvent]) -> _First | None:
    """The manager ended without any module having ended before: it was told to."""
    for event in events:
        if event.kind == "manager-exit" and _GOODBYE in event.text:
            return _First("stopped", None, (f"the manager ended as told ({_place(event)})",))
    return None


def _by_being_told(members: Sequence[Member]) -> _First | None:
    """The manager told all to end but one, as that one was gone already."""
    told = [m for m in members if any(event.kind == "module-stopped" for event in m.ends)]
    left = [i for i, m in enumerate(members) if m.crashes and not m.ends and not m.manager]
    if not told or len(left) != 1:
        return None
    name = name_of(members[left[0]])
    text = f"the manager ended {len(told)} modules, but not {name}: that one was gone already"
    return _First("crash", left[0], (text,), "medium")


def _by_cores(members: Sequence[Member]) -> _First | None:
    """No log names a first one: the only crash, else the oldest, tells who it was."""
    left = [i for i, member in enumerate(members) if member.crashes]
    if not left:
        return None
    if len(left) == 1:
        only = members[left[0]]
        what = "that left a core" if only.cores else "of which a crash was noted"
        text = f"no log names the first to end; {name_of(only)} is the only process {what}"
        return _First("crash", left[0], (text,), "medium")
    dated = sorted((min(c.moment or 0.0 for c in members[i].crashes), i) for i in left)
    apart = dated[1][0] - dated[0][0]
    if all(_noted(members[i]) is not None for i in left) and apart >= NOTED_STEP:
        name = name_of(members[dated[0][1]])
        sooner = f"{seconds(apart)} before the others, as the core writer noted"
        text = f"no log names the first to end; {name} crashed {sooner}"
        return _First("crash", dated[0][1], (text,), "medium")
    if dated[0][0] and apart >= MTIME_STEP:
        name = name_of(members[dated[0][1]])
        text = f"no log names the first to end; the core of {name} is {apart:.0f} s older"
        return _First("crash", dated[0][1], (text,), "low")
    return _First("unknown", None, ("no log says which of these processes ended first",), "low")


def _by_failed_manager(members: Sequence[Member]) -> _First | None:
    """All that is known is that the manager ended with an error."""
    for i, member in enumerate(members):
        if member.manager and is_failure(member.status):
            text = f"supervisord saw {name_of(member)} end: {ended(member)}"
            why = "no log of EVerest says whether a module ended before"
            return _First("crash", i, (text, why), "low")
    return None


# ---------------------------------------------------------------- roles and words


def _with_role(member: Member, is_first: bool, found: _First) -> Member:
    if is_first:
        return msgspec.structs.replace(member, role="first_fault")
    if is_service(member):
        return msgspec.structs.replace(member, role="unrelated")
    if found.kind == "unknown":
        return member
    number = died_of(member.status)
    role, note = ("taken_down" if found.kind == "crash" else None), None
    if number in DEADLY:
        role, note = "taken_down", SHUT_DOWN_CRASH
    elif number == SIGKILL:
        note = KILLED
    return msgspec.structs.replace(member, role=role, note=note)


def _aftermath(members: Sequence[Member]) -> tuple[str, ...]:
    """How many were taken down, who crashed meanwhile, and what supervisord saw."""
    taken = [m for m in members if m.role == "taken_down" and not m.manager]
    texts = []
    if taken:
        were = "1 other was" if len(taken) == 1 else f"{len(taken)} others were"
        texts.append(f"{were} taken down afterwards")
    crashed = [name_of(member) for member in taken if member.note == SHUT_DOWN_CRASH]
    if crashed:
        named = ", ".join(crashed[:MOST_NAMED])
        texts.append(f"crashed only while being shut down, which is another fault: {named}")
    told = (m for m in members if m.manager and m.role == "taken_down" and m.ends)
    texts += [f"supervisord saw {name_of(m)} end afterwards: {ended(m)}" for m in told]
    return tuple(texts)


def _contradiction(members: Sequence[Member]) -> tuple[str, ...]:
    """Cores whose files are older than that of the first fault."""
    if not members or members[0].role != "first_fault":
        return ()
    own = [core.moment for core in members[0].cores if core.moment]
    noted = _noted(members[0]) is not None
    texts = []
    for member in members[1:]:
        if noted and _noted(member) is not None:
            continue  # these times are sure, and have been looked at
        older = [min(own) - core.moment for core in member.cores if own and core.moment]
        if older and max(older) >= MTIME_STEP:
            name = name_of(member)
            texts.append(
                f"the core of {name} is {max(older):.0f} s older, but times of files prove nothing"
            )
    return tuple(texts[:MOST_NAMED])
