"""Records of several logs in one order, cut where the manager started anew; cores to each part."""

import re
from collections.abc import Iterable, Sequence
from math import inf

import msgspec

from evdiag.model.incident import CoreSeen
from evdiag.model.logs import LogEvent

MANAGER_PROGRAM = re.compile(r"everest|manager", re.IGNORECASE)
"""What people call the program of supervisord that is EVerest's manager."""
NAME_WIDTH = 15
"""EVerest's logs cut the name of a process to so many characters, as the kernel does (prctl(2))."""
START_SLACK = 1.0
"""supervisord and the manager each tell of one start: seconds between their records at most."""
MILLISECOND = 0.000999
ZONE_STEP = 900
"""Time zones differ by multiples of a quarter of an hour."""
FARTHEST_ZONE = 14 * 3600
WRITE_SLACK = 30.0
"""Seconds between the end of a process and the last byte of its core, for a slow disk."""
FAR = 64
"""Processes of one start have neighbouring ids: a manager starts some twenty at once. Ids that
are farther away than this say nothing."""

KERNEL = ("oom", "kernel-fault")
"""Records whose process ids are those of the host."""
ENDS = ("module-exit", "manager-exit")


def same_name(one: str | None, other: str | None) -> bool:
    """Whether two names mean one module: equal, or the first 15 characters of the other."""
    if not one or not other:
        return False
    if one == other:
        return True
    return (len(one) == NAME_WIDTH and other.startswith(one)) or (
        len(other) == NAME_WIDTH and one.startswith(other)
    )


def merged(events: Iterable[LogEvent]) -> list[LogEvent]:
    """The events of all logs by time; those of one log stay in its order.

    A record that stands in two logs, because one collects what the other has, comes once.
    """
    by_source: dict[str, list[LogEvent]] = {}
    for event in events:
        by_source.setdefault(event.source, []).append(event)
    rows = []
    for number, listed in enumerate(by_source.values()):
        clock = next((event.time for event in listed if event.time is not None), inf)
        for place, event in enumerate(listed):
            # A clock that was set back must not turn the order of a log around.
            clock = max(clock, clock if event.time is None else _moment(event.time, event.kind))
            rows.append((clock, number, place, event))
    rows.sort(key=lambda row: row[:3])
    seen: dict[tuple[object, ...], str] = {}
    found = []
    for _, _, _, event in rows:
        key = (event.kind, event.time, event.module_id, event.pid, event.text)
        if event.time is None or seen.setdefault(key, event.source) == event.source:
            found.append(event)
    return found


def _moment(time: float, kind: str) -> float:
    """When it was at the latest: supervisord cuts its times to milliseconds."""
    return time + MILLISECOND if kind == "service-exit" else time


def manager_programs(events: Iterable[LogEvent]) -> frozenset[str]:
    """The programs of supervisord that are a manager: by their names, or the only one there is."""
    services = ("service-start", "service-exit")
    names = {e.module_id for e in events if e.kind in services and e.module_id}
    called = frozenset(name for name in names if MANAGER_PROGRAM.search(name))
    return called or (frozenset(names) if len(names) == 1 else frozenset())


class _State:
    """What a run has had so far."""

    def __init__(self) -> None:
        self.manager_start: float | None = None
        self.started = self.served = self.ended = self.gone = False

    def is_over(self, event: LogEvent, *, service: bool) -> bool:
        """Whether an event begins another run."""
        if event.kind == "manager-start":
            return self.started or self.ended
        if event.kind == "service-start" and service:
            told_late = (
                self.manager_start is not None
                and event.time is not None
                and not self.served
                and event.time - self.manager_start < START_SLACK
            )
            return self.ended or self.served or (self.started and not told_late)
        return event.kind == "module-exit" and self.gone

    def add(self, event: LogEvent, *, service: bool) -> None:
        if event.kind == "manager-start":
            self.started, self.manager_start = True, event.time
        elif event.kind == "service-start" and service:
            self.served = True
        elif event.kind in ENDS or (event.kind == "service-exit" and service):
            self.ended = True
            self.gone = self.gone or event.kind != "module-exit"


def split(events: Sequence[LogEvent]) -> list[list[LogEvent]]:
    """The merged events, cut where the manager was started anew. Never an empty part."""
    managers = manager_programs(events)
    runs: list[list[LogEvent]] = []
    state = _State()
    for event in events:
        service = event.module_id in managers
        if not runs or state.is_over(event, service=service):
            runs.append([])
            state = _State()
        runs[-1].append(event)
        state.add(event, service=service)
    return runs


class _Known(msgspec.Struct, frozen=True):
    """What a run has to compare a core with."""

    names: frozenset[str]
    pids: dict[int, frozenset[str]]
    """Names by process id; none for programs of supervisord, whose names anybody made up."""
    lowest: int
    highest: int
    ended: float | None


def _known(run: Sequence[LogEvent]) -> _Known:
    events = [event for event in run if event.kind not in KERNEL]
    pids: dict[int, set[str]] = {}
    for event in events:
        if event.pid is not None:
            service = event.kind.startswith("service-")
            names = pids.setdefault(event.pid, set())
            names.update([event.module_id] if event.module_id and not service else [])
    ends = [e.time for e in events if e.kind in (*ENDS, "service-exit") and e.time is not None]
    return _Known(
        frozenset(event.module_id for event in events if event.module_id),
        {pid: frozenset(names) for pid, names in pids.items()},
        min(pids, default=0),
        max(pids, default=0),
        ends[0] if ends else None,
    )


def _score(core: CoreSeen, known: _Known, managers: frozenset[str]) -> tuple[int, int, int, float]:
    """How well a core fits to a run: process id, name, neighbouring ids, time. The first decides.

    Process ids of a container are used again after a restart, so a name that contradicts counts.
    """
    own = [name for name in (core.module_id, core.program) if name]
    if core.program and not core.module_id and MANAGER_PROGRAM.search(core.program):
        own += managers
    named = any(same_name(mine, theirs) for mine in own for theirs in known.names)
    pid = _pid_fits(core.pid, own, known)
    near = -FAR
    if core.pid is not None and known.pids:
        near = -min(max(known.lowest - core.pid, core.pid - known.highest, 0), FAR)
    return pid, int(named), near, _time_fits(core.moment, known.ended)


def _pid_fits(pid: int | None, own: Sequence[str], known: _Known) -> int:
    """2: it is that of the process of this name. 1: it was named. 0: not known. -1: it is not."""
    if pid is None:
        return 0
    names = known.pids.get(pid)
    if names is not None:
        agree = any(same_name(mine, theirs) for mine in own for theirs in names)
        return 2 if agree else 1 if not names or not own else -1
    others = (name for theirs in known.pids.values() for name in theirs)
    return -1 if any(same_name(mine, name) for mine in own for name in others) else 0


def _time_fits(written: float | None, ended: float | None) -> float:
    """How near a crash is to the end of a run: 0 if not, else more the nearer it is.

    Logs have local time without a zone, so only the rest of a quarter of an hour can be compared.
    """
    if written is None or ended is None:
        return 0.0
    apart = abs(written - ended)
    rest = min(apart % ZONE_STEP, ZONE_STEP - apart % ZONE_STEP)
    if rest > WRITE_SLACK or apart > FARTHEST_ZONE + WRITE_SLACK:
        return 0.0
    return 1.0 + 1.0 / (1.0 + apart)


def assign(
    cores: Iterable[CoreSeen], runs: Sequence[Sequence[LogEvent]]
) -> tuple[list[list[CoreSeen]], list[CoreSeen]]:
    """The cores of each run, and those that belong to none."""
    known = [_known(run) for run in runs]
    managers = manager_programs(event for run in runs for event in run)
    found: list[list[CoreSeen]] = [[] for _ in runs]
    left = []
    for core in cores:
        scores = [_score(core, run, managers) for run in known]
        best = max(range(len(runs)), key=lambda i: (scores[i], i), default=None)
        if best is None or not _belongs(core, scores[best], len(runs)):
            left.append(core)
        else:
            found[best].append(core)
    return found, left


def _belongs(core: CoreSeen, score: tuple[int, int, int, float], runs: int) -> bool:
    pid, named, near, time = score
    if pid or named:
        return pid >= 0
    is_near, is_timely = near > -FAR, time > 0
    if core.module_id is None:
        return False
    return (is_near or is_timely) if runs == 1 else (is_near and is_timely)
