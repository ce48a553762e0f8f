"""EVerest's log: modules that end, the manager that ends the others, and what is no crash.

Two managers are known. That of release 2026.02 writes one line with the raw wait status:
`Module X (pid: N) exited with status: 139. Terminating all modules.` The later one first writes
`Module X exited unexpectedly, ...`, and when all modules are down a list of those that did not
end cleanly, in the order in which they ended. So one death gives two `module-exit` events of the
same module: the first announces it and has no status, the later one carries the status (and is
missing where the manager starts the modules again). Whoever counts deaths takes a `module-exit`
without a status and the next one of the same module as one.

All but the first of that list were taken down: `module-stopped`. Where the module that was
announced is not in the list, it ended with exit code 0, and all others were taken down.

A module that was told to restart EVerest (OCPP's Reset) ends itself, by SIGINT in 2026.02 and
later by SIGTERM. The `reset` event comes before the `module-exit` that belongs to it.
"""

import re
from collections.abc import Iterator

from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.parse import waitstatus
from evdiag.parse.logs.records import Parser, Reader, Record

SIGINT = 2
MOST_MODULES = 256
"""Entries that are read of one list of modules."""

_ANNOUNCED = re.compile(r"Module (\S{1,200}) exited unexpectedly, ")
_EXITED = re.compile(
    r"Module (\S{1,200}) \(pid: (\d{1,9})\) exited with status: (\d{1,9})\.(?P<crash> Term)?"
)
_SHUT_DOWN = re.compile(
    r"Module (\S{1,200}) \(pid (\d{1,9})\) shutdown \[\d+ms\] with status: (\S{1,40})"
)
_TOLD = re.compile(r"(SIGTERM|SIGKILL) of child: (\S{1,200}) \(pid: (\d{1,9})\) succeeded")
_UNCLEAN = re.compile(
    r"(?P<crash>Crash recovery shutdown completed in -?\d+ ms\. )?"
    r"Modules that did not shut down cleanly:(?P<list>.*)"
)
_CLEAN = re.compile(r"All \d+ modules shut down gracefully after crash")
_ENTRY = re.compile(r"(\S{1,200}) \(((?:signal|exit_code|raw)=\d{1,9})\)")
_STARTING = re.compile(r"Starting \d+ modules")
_RESET = re.compile(r"Performing (?:soft|hard) reset now\.?$")
_LOCK = re.compile(r"Mutex deadlock detected: Failed to lock ")
_TOP_LEVEL = re.compile(r"Caught top level (?:boost|std)::exception")
_MANAGER_ENDS = ("Exiting manager.", "Unexpected module exit; manager is exiting.")
_GOODBYE = "EVerest manager is exiting ["
_BROKER_LOST = (
    "Error during MQTT sync",
    "Error during mqtt sync",  # before 2023
    "Caught MQTT mainloop ",
    "Caught mqtt mainloop ",
    "Cannot connect to MQTT broker",
)


class _Log:
    """What is remembered of one log file."""

    def __init__(self) -> None:
        self.announced: str | None = None
        """The module whose end was told without its status."""

    def read(self, record: Record) -> Iterator[LogEvent]:
        found = list(self._manager(record)) if record.process == "manager" else []
        yield from found or _any_process(record)

    def _manager(self, record: Record) -> Iterator[LogEvent]:
        message = record.message
        if match := _ANNOUNCED.match(message):
            self.announced = match[1]
            yield record.event("module-exit", module_id=match[1])
        elif match := _EXITED.match(message):
            kind = "module-exit" if match["crash"] else "module-stopped"
            status = waitstatus.decode(int(match[3]))
            yield from _ended(record, kind, match[1], status, int(match[2]))
        elif match := _UNCLEAN.match(message):
            yield from self._unclean(record, match["list"], crash=bool(match["crash"]))
        elif _CLEAN.match(message) and self.announced:
            status, module_id = ExitStatus(code=0), self.announced
            self.announced = None
            yield record.event("module-exit", module_id=module_id, status=status)
        elif match := _SHUT_DOWN.match(message):
            status = waitstatus.from_words(match[3])
            pid = int(match[2])
            yield record.event("module-stopped", module_id=match[1], pid=pid, status=status)
        elif match := _TOLD.match(message):
            told = {"module_id": match[2], "pid": int(match[3]), "detail": match[1]}
            yield record.event("module-stopped", **told)
        elif message.startswith(_MANAGER_ENDS) or _GOODBYE in message:
            yield record.event("manager-exit", detail=message)
        elif _STARTING.match(message):
            self.announced = None
            yield record.event("manager-start", detail=message)

    def _unclean(self, record: Record, listed: str, *, crash: bool) -> Iterator[LogEvent]:
        entries = [match.groups() for match in _ENTRY.finditer(listed)][:MOST_MODULES]
        culprit = self.announced if crash else None
        if crash and culprit is None and entries:
            culprit = entries[0][0]  # the log begins after the announcement
        self.announced = None
        if culprit is not None and entries and entries[0][0] != culprit:
            yield record.event("module-exit", module_id=culprit, status=ExitStatus(code=0))
        for place, (module_id, words) in enumerate(entries):
            kind = "module-exit" if place == 0 and module_id == culprit else "module-stopped"
            yield from _ended(record, kind, module_id, waitstatus.from_words(words))


def _ended(
    record: Record, kind: str, module_id: str, status: ExitStatus | None, pid: int | None = None
) -> Iterator[LogEvent]:
    """The end of a module, and what SIGINT means."""
    told = {"module_id": module_id, "pid": pid, "status": status}
    if kind == "module-exit" and status is not None and status.signal == SIGINT:
        yield record.event("reset", **told, detail="the module ended itself with SIGINT")
    yield record.event(kind, **told)


def _any_process(record: Record) -> Iterator[LogEvent]:
    """What modules and the manager tell alike."""
    module_id = module_of(record.process)
    message = record.message
    if _RESET.match(message) and record.process != "manager":
        yield record.event("reset", module_id=module_id, detail=message)
        return
    if record.severity not in ("ERRO", "CRIT"):
        return
    kind, detail = "error", message
    if message.startswith(_BROKER_LOST):
        kind = "broker-lost"
    elif _LOCK.match(message):
        kind = "lock-timeout"
    elif _TOP_LEVEL.match(message):
        kind, detail = "module-error", _diagnostic(record) or message
    yield record.event(kind, module_id=module_id, detail=detail)


def module_of(process: str) -> str | None:
    """The module's id: the name of the process up to the colon, both may be cut."""
    name = process.partition(":")[0]
    return name if name and name != "manager" else None


def _diagnostic(record: Record) -> str:
    """What boost says about an exception: its text, where it has one, else its first line."""
    for line in record.lines[1:]:
        if line.startswith("std::exception::what: "):
            return line.removeprefix("std::exception::what: ")
    return next((line.strip() for line in record.lines[1:] if line.strip()), "")


def _start() -> Reader:
    return _Log().read


PARSER = Parser(
    id="everest",
    title="EVerest's log",
    forms=("everest", "boost"),
    words=(
        *(b"ERRO", b"CRIT", b"[error]", b"[fatal]", b"exited unexpectedly", b"exited with status"),
        *(b"did not shut down", b"gracefully after crash", b"shutdown [", b"of child: "),
        *(b"manager is exiting", b"Starting ", b" reset now"),
    ),
    start=_start,
)
