"""When there is a crash, what belongs to one, and when it is over.

Two streams tell of a container: its logs and the engine's events. In the logs the order within
EVerest's own file is sure; supervisord's lines may come a second before EVerest's of the same
time. So a life of EVerest ends where EVerest's file shows that the next one begins: its start
script has waited for all that was left of the last one, also for those who write the cores.
"""

import re
from collections.abc import Sequence

from evdiag.analyze.causality import decide
from evdiag.analyze.incarnations import same_name
from evdiag.analyze.members import DEADLY, SHELL_BASE, died_of
from evdiag.model.charger import ContainerFacts
from evdiag.model.incident import Member, Run
from evdiag.model.loglines import EVEREST, LogLine
from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.model.signals import SIGKILL, signal_name
from evdiag.model.watch import (
    OUT_OF_MEMORY,
    BackOff,
    ContainerEvent,
    Crash,
    Ended,
    LogsEnded,
    Quiet,
    Started,
)

QUIET_SECONDS = 10.0
"""Without any further sign a crash is over: EVerest does not come back. Its manager gives modules
five seconds to end, and the start script waits ten for what is left."""
LOG_SECONDS = 2.0
"""The last lines of a container that has ended come within this time, if they come."""
MOST_EVENTS = 2_000
"""Of one life of EVerest; it has about a hundred."""
ENDING = frozenset((2, 3, 9, 15))
"""Signals by which people and engines end a container."""

_SIGNS = ("module-exit", "core-written", "no-core")
_DUMPS = ("core-written", "no-core")
_KEPT = (
    *("module-exit", "module-stopped", "manager-start", "manager-exit"),
    *("service-start", "service-exit", "reset", "broker-lost"),
)
_BACK_OFF = re.compile(
    r"EVerest ended (\d{1,9}) times within \d{1,9} s of its start; "
    r"the next start is in (\d{1,9}) s"
)

Item = LogEvent | BackOff | ContainerEvent | LogsEnded
"""What the streams tell."""
News = Crash | Quiet | Started | Ended | BackOff
"""What came of it."""


def back_off(line: LogLine) -> BackOff | None:
    """What EVerest's start script says when it waits."""
    if line.service != EVEREST or line.module != "everest-start":
        return None
    match = _BACK_OFF.match(line.text)
    return BackOff(times=int(match[1]), wait=int(match[2])) if match else None


def missed(known: ContainerFacts, now: ContainerFacts) -> list[ContainerEvent]:
    """What must have happened to a container while nobody listened.

    An engine that is restarted ends its containers, so an end by SIGKILL was asked for then.
    """
    events = []
    again = now.started is not None and known.started is not None and now.started > known.started
    if known.is_running and (again or not (now.is_running or now.state == "paused")):
        if now.oom_killed and not known.oom_killed:
            events.append(ContainerEvent(action="oom", time=now.finished))
        elif died_of(ExitStatus(code=now.exit_code)) not in DEADLY:
            events.append(ContainerEvent(action="kill", time=now.finished))
        code = None if again else now.exit_code
        events.append(ContainerEvent(action="die", time=now.finished, exit_code=code))
    if now.is_running and (again or not known.is_running):
        events.append(ContainerEvent(action="start", time=now.started))
    return events


class Watcher:
    """Puts the streams of one container together."""

    def __init__(self, container: str, *, logs: bool = True) -> None:
        self.container = container
        self._logs = logs
        """Whether lines of its log come at all."""
        self._asked = self._read = False
        self._forget()

    def _forget(self) -> None:
        self._events: list[LogEvent] = []
        self._open = False
        self._oom = False
        self._begun: float | None = None
        self._last = 0.0
        """When the last sign was seen."""
        self._died: Ended | None = None
        """It has ended, and its last lines may still come."""

    @property
    def is_open(self) -> bool:
        """Whether something has happened of which not all is known yet."""
        return self._open or self._died is not None

    def read(self, item: Item, at: float) -> list[News]:
        """What follows from a further item; `at` is when it came, by a clock that never jumps."""
        before = self.wait(at)
        if isinstance(item, ContainerEvent):
            return before + self._engine(item, at)
        if isinstance(item, LogsEnded):
            self._read = True
            return before + (self._end() if self._died is not None else [])
        if isinstance(item, BackOff):
            return [*before, *self._settle(), item]
        return before + self._log(item, at)

    def wait(self, now: float) -> list[News]:
        """What follows from the fact that nothing else came until now."""
        if self._died is not None and now - self._last > LOG_SECONDS:
            return self._end()
        if self._open and self._died is None and now - self._last > QUIET_SECONDS:
            return self._settle()
        return []

    def finish(self) -> list[News]:
        """What is known of what has happened, because nobody can wait for the rest."""
        return self._end()

    # -- logs

    def _log(self, event: LogEvent, at: float) -> list[News]:
        found: list[News] = []
        if self._is_next(event) or self._is_back(event):
            found = self._settle()
        if event.kind in _KEPT or event.kind in _SIGNS:
            del self._events[: max(len(self._events) - MOST_EVENTS, 0)]
            self._events.append(event)
        if self._is_sign(event):
            self._sign(event.time, at)
        elif self._open and event.kind in _KEPT:
            self._last = at  # there is more to come
        return found

    def _is_sign(self, event: LogEvent) -> bool:
        if event.kind != "service-exit":
            return event.kind in _SIGNS
        if event.detail != "not expected":
            return False
        return event.module_id == EVEREST or died_of(event.status) in DEADLY | {SIGKILL}

    def _is_next(self, event: LogEvent) -> bool:
        """Whether EVerest starts anew, after what has happened.

        Of a start that failed at once supervisord may tell before EVerest's log has it.
        """
        if event.kind != "manager-start":
            return False
        return event.time is None or self._begun is None or event.time >= self._begun

    def _is_back(self, event: LogEvent) -> bool:
        """Whether another program than EVerest, the only one that died, has been started again."""
        if event.kind != "service-start" or not self._open or event.module_id == EVEREST:
            return False
        signs = [each for each in self._events if self._is_sign(each)]
        return bool(signs) and all(each.module_id == event.module_id for each in signs)

    def _sign(self, time: float | None, at: float) -> None:
        if not self._open:
            self._begun = time
        self._open, self._last = True, at

    # -- the engine

    def _engine(self, event: ContainerEvent, at: float) -> list[News]:
        if event.action == "kill":
            self._asked = self._asked or event.signal is None or event.signal in ENDING
        elif event.action == "oom":
            self._oom = True
            self._sign(event.time, at)
        elif event.action == "die":
            self._begun = self._begun if self._open else event.time
            self._died, self._last = Ended(code=event.exit_code, asked=self._asked), at
            if self._read or not self._logs:
                return self._end()
        elif event.action == "start":
            found = self._end()
            self._asked = self._read = False
            return [*found, Started()]
        elif event.action == "destroy":
            found = self._end()
            return [*found, Ended(asked=True, removed=True)]
        return []

    def _end(self) -> list[News]:
        """The container has ended, and nothing more will come of this life."""
        died = self._died
        if died is None:
            return self._settle()
        crashed = not died.asked and _is_deadly(died.code)
        self._open = self._open or crashed
        return [*self._settle(), died]

    def _settle(self) -> list[News]:
        """A life of EVerest is over: what it was."""
        found: list[News] = []
        if self._open:
            found = [self._found()]
        self._forget()
        return found

    def _is_told(self, first: Member, dumps: Sequence[LogEvent]) -> bool:
        """Whether it ended because its container was told to, and nobody could say so any more."""
        return self._asked and not dumps and died_of(first.status) not in DEADLY

    def _found(self) -> News:
        runs, _ = decide((), self._events)
        run = next((run for run in reversed(runs) if run.kind == "crash"), None)
        dumps = [event for event in self._events if event.kind in _DUMPS]
        if run is not None and run.first is not None and not self._is_told(run.first, dumps):
            return _of_run(run, run.first, dumps, oom=self._oom, begun=self._begun)
        if dumps:
            return _of_dump(dumps, self._begun)
        if self._oom:
            what = f"{self.container} ran out of memory"
            return Crash(time=self._begun, how=OUT_OF_MEMORY, what=what)
        if self._died is not None and not self._died.asked and _is_deadly(self._died.code):
            return _of_container(self.container, self._died, self._begun)
        told = self._asked or not runs
        return Quiet(kind="stopped" if told else runs[-1].kind)


def _is_deadly(code: int | None) -> bool:
    """Whether a container ended by a signal that nobody sends to end one."""
    return died_of(ExitStatus(code=code)) in DEADLY | {SIGKILL}


def _of_run(
    run: Run, first: Member, dumps: Sequence[LogEvent], *, oom: bool, begun: float | None
) -> Crash:
    own = next((dump for dump in dumps if same_name(dump.module_id, first.name)), None)
    status = own.status if own is not None else first.status
    pid = first.pid if own is None else own.pid
    name = first.name or (own.module_id if own is not None else None) or ""
    how = _how(status)
    if oom and died_of(status) == SIGKILL:
        how = OUT_OF_MEMORY
    taken = [m.name for m in run.members if m.role == "taken_down" and m.name and not m.manager]
    return Crash(
        time=begun,
        module=name,
        pid=pid,
        how=how,
        what=_sentence(name, pid, how),
        cores=_cores(dumps),
        pids=_pids(dumps),
        taken_down=tuple(taken),
    )


def _of_dump(dumps: Sequence[LogEvent], begun: float | None) -> Crash:
    first = dumps[0]
    name, how = first.module_id or "", _how(first.status)
    return Crash(
        time=begun,
        module=name,
        pid=first.pid,
        how=how,
        what=_sentence(name, first.pid, how),
        cores=_cores(dumps),
        pids=_pids(dumps),
    )


def _of_container(container: str, died: Ended, begun: float | None) -> Crash:
    number = (died.code or SHELL_BASE) - SHELL_BASE
    how = signal_name(number)
    what = f"{container} was ended by {how} (exit code {died.code})"
    return Crash(time=begun, how=how, what=what)


def _cores(dumps: Sequence[LogEvent]) -> tuple[str, ...]:
    return tuple(dump.detail for dump in dumps if dump.kind == "core-written" and dump.detail)


def _pids(dumps: Sequence[LogEvent]) -> tuple[int, ...]:
    return tuple(dump.pid for dump in dumps if dump.pid is not None)


def _how(status: ExitStatus | None) -> str:
    number = died_of(status)
    if number is not None:
        return signal_name(number)
    return "" if status is None else f"code {status.code}"


def _sentence(name: str, pid: int | None, how: str) -> str:
    who = "EVerest's manager" if name in (EVEREST, "manager") else f"module {name or '?'}"
    who += "" if pid is None else f" (pid {pid})"
    if not how:
        return f"{who} ended unexpectedly"
    if how == OUT_OF_MEMORY:
        return f"{who} was killed: out of memory"
    return f"{who} ended with {how}" if how.startswith("code ") else f"{who} died of {how}"
