"""Crashes in a log while it goes by: one alert for each, after the first line that tells of it.

A crash is told several times: by the core writer, by EVerest's manager when it sees the module's
end and again when all modules are down, and by supervisord when the manager itself has ended.
"""

import posixpath
import shlex
from collections.abc import Sequence

import msgspec

from evdiag.model.charger import CORES
from evdiag.model.loglines import ALERT, EVEREST, HEADED, PROCESS, RAW, SUPERVISORD, LogLine
from evdiag.model.logs import LogEvent
from evdiag.model.signals import signal_name
from evdiag.parse.logs import capture, everest, supervisord
from evdiag.parse.logs.records import Record

_LOUD = frozenset(("WARN", "ERRO", "CRIT"))
_PREFIX = "evdiag capture: "
_LISTS = "did not shut down cleanly:"
"""In the manager's list when all modules are down; the crash was announced before."""
_RESET = "Performing "
"""How a module begins to tell that it was asked to restart EVerest."""
_OF_ANY = ("reset", "broker-lost")
"""What a module tells that matters to who has ended, and why."""


class CrashReader:
    """From the lines of a charger's logs to the events that tell who ended, and how."""

    def __init__(self) -> None:
        self._everest = everest.PARSER.start()
        self._capture = capture.PARSER.start()
        self._supervisord = supervisord.PARSER.start()
        self._count = 0

    def events(self, line: LogLine, time: float | None = None) -> list[LogEvent]:
        """The events of one line, in the order of the log; `time` is when it was written."""
        self._count += 1
        record = Record(
            form="everest", source=line.service, line=self._count, lines=[line.text],
            message=line.text, time=time,
        )  # fmt: skip
        if line.service == SUPERVISORD:
            record.form = "supervisord"
            return list(self._supervisord(record))
        if line.form == RAW:
            return list(self._capture(record)) if line.text.startswith(_PREFIX) else []
        if line.service != EVEREST or line.form != HEADED:
            return []
        record.severity = line.severity
        if line.module == "manager":
            record.process = "manager"
            return list(self._everest(record))
        if line.severity not in _LOUD and not line.text.startswith(_RESET):
            return []
        record.process = line.module
        if line.more:
            record = msgspec.structs.replace(record, lines=line.lines())
        return [event for event in self._everest(record) if event.kind in _OF_ANY]


class Alerts:
    """What was told of the crashes of one container."""

    def __init__(self, container: str) -> None:
        self.container = container
        self._reader = CrashReader()
        self._told: set[str] = set()
        """Modules of the current life of EVerest, cut as the log cuts them."""

    def add(self, batch: Sequence[LogLine]) -> Sequence[LogLine]:
        """The lines, and alerts where they tell of a crash for the first time."""
        places = [
            place
            for place, line in enumerate(batch)
            if line.severity in _LOUD or line.service == SUPERVISORD
        ]
        found = list(batch)
        more = 0
        for place in places:
            if alert := self._alert(batch[place]):
                more += 1
                found.insert(place + more, alert)
        return found if more else batch

    def _alert(self, line: LogLine) -> LogLine | None:
        if _LISTS in line.text:
            return None
        for event in self._reader.events(line):
            if event.kind == "manager-exit" or _is_end_of_everest(event):
                alert = self._service(line, event)
                self._told.clear()
                return alert
            if event.kind in ("core-written", "no-core", "module-exit"):
                return self._module(line, event)
            if event.kind == "service-exit":
                return self._service(line, event)
        return None

    def _module(self, line: LogLine, event: LogEvent) -> LogLine | None:
        module = event.module_id or "?"
        if any(_is_same(module, told) for told in self._told):
            return None
        status = event.status
        if status is not None and status.code == 0 and status.signal is None:
            return None
        self._told.add(module)
        name = "" if event.pid is None else f" (pid {event.pid})"
        number = None if status is None else status.signal
        if number is not None:
            how = f"died of {signal_name(number)}"
        elif status is not None:
            how = f"ended with code {status.code}"
        else:
            how = "ended unexpectedly"
        core = ""
        if event.kind == "no-core":
            core = f"no core: {event.detail}"
        elif event.kind == "core-written":
            core = f"core: {posixpath.join(CORES, event.detail or '')}"
        return self._made(line, module, f"module {module}{name} {how}", core)

    def _service(self, line: LogLine, event: LogEvent) -> LogLine | None:
        """A program of supervisord that a signal ended, unasked."""
        status = event.status
        if event.kind != "service-exit" or event.detail != "not expected" or status is None:
            return None
        if status.signal is None:
            return None
        name = event.module_id or "?"
        who = "EVerest's manager" if name == EVEREST else name
        return self._made(line, name, f"{who} died of {signal_name(status.signal)}", "")

    def _made(self, line: LogLine, module: str, what: str, core: str) -> LogLine:
        more = [core] if core else []
        more.append(f"next: evdiag backtrace {shlex.quote(self.container)}")
        return LogLine(line.time, EVEREST, "CRIT", what, module, form=ALERT, more=more)


def _is_end_of_everest(event: LogEvent) -> bool:
    return event.kind == "service-exit" and event.module_id == EVEREST


def _is_same(module: str, told: str) -> bool:
    """Whether two names, of which each may be cut, are those of one module."""
    short, long = sorted((module, told), key=len)
    return short == long or (len(short) >= PROCESS and long.startswith(short))
