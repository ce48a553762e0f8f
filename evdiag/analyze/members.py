"""The processes of one run, put together from records of several logs and from cores."""

import msgspec

from evdiag.analyze.incarnations import same_name
from evdiag.model.incident import CoreSeen, Member
from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.model.signals import (
    FAULTS,
    SIGABRT,
    SIGKILL,
    SIGQUIT,
    SIGXCPU,
    SIGXFSZ,
    signal_name,
)

SIGINT, SIGTERM = 2, 15
DEADLY = FAULTS | {SIGABRT, SIGQUIT, SIGXCPU, SIGXFSZ}
"""Signals whose default is to end the process with a core (signal(7))."""
SHELL_BASE = 128
"""A shell ends with this plus the number of the signal that ended its command."""
MAX_MEMBERS = 128
"""EVerest has some twenty modules; what a hostile log names beyond this is left out."""

_TELLS_OF_ENDS = ("module-exit", "module-stopped", "service-exit")
_MANAGER = "manager"
"""EVerest's manager by the name of its program."""


def died_of(status: ExitStatus | None) -> int | None:
    """The signal that ended a process, also where a shell tells of it by its own exit code."""
    if status is None:
        return None
    if status.signal is None and status.code is not None:
        number = status.code - SHELL_BASE
        return number if number in DEADLY | {SIGKILL, SIGTERM, SIGINT} else None
    return status.signal


def status_words(status: ExitStatus | None) -> str | None:
    """`SIGSEGV, core dumped`, `exit code 1`."""
    if status is None or (status.signal is None and status.code is None):
        return None
    if status.signal is None:
        number = died_of(status)
        said = f" (a shell's word for {signal_name(number)})" if number else ""
        return f"exit code {status.code}{said}"
    dumped = ", core dumped" if status.core_dumped else ""
    return f"{signal_name(status.signal)}{dumped}"


def is_failure(status: ExitStatus | None) -> bool:
    """Whether a process ended by a fault, by abort(), or by an error of its own."""
    number = died_of(status)
    if number is not None:
        return number in DEADLY
    return status is not None and bool(status.code)


def name_of(member: Member) -> str:
    """How a process is called."""
    return member.name or ("a process" if member.pid is None else f"pid {member.pid}")


def ended(member: Member) -> str:
    """How a process ended, in words."""
    return status_words(member.status) or "it is not told how"


def is_service(member: Member) -> bool:
    """Whether only supervisord tells of the process, and it is not the manager."""
    told = bool(member.ends) and all(event.kind == "service-exit" for event in member.ends)
    return told and not member.manager


class Members:
    """The processes of one run, in the order in which the logs tell of their ends."""

    def __init__(self, managers: frozenset[str]) -> None:
        self._managers = managers
        self._members: list[Member] = []
        self._places: dict[str, int] = {}
        self._service_pids: dict[str, int | None] = {}

    def add(self, event: LogEvent) -> None:
        """Take in one record."""
        if event.kind == "service-start" and event.module_id:
            self._service_pids[event.module_id] = event.pid
        if event.kind not in _TELLS_OF_ENDS or (not event.module_id and event.pid is None):
            return
        service = event.kind == "service-exit"
        pid = event.pid
        if pid is None and service and event.module_id:
            pid = self._service_pids.get(event.module_id)
        place = self._find(event.module_id, pid)
        old = Member(name=event.module_id) if place is None else self._members[place]
        new = msgspec.structs.replace(
            old,
            name=old.name or event.module_id,
            pid=pid if old.pid is None else old.pid,
            status=_better(old.status, event.status),
            manager=old.manager or (service and event.module_id in self._managers),
            ends=(*old.ends, event) if len(old.ends) < MAX_MEMBERS else old.ends,
        )
        self._put(place, new)

    def add_core(self, core: CoreSeen) -> None:
        """Give a core to the process that left it, or to a new one."""
        name = core.module_id or core.program
        is_manager = core.module_id is None and core.program == _MANAGER
        place = self._find(name, core.pid)
        if place is None and core.module_id is None:
            place = self._service(core.pid, is_manager=is_manager)
        old = Member(name=name, manager=is_manager) if place is None else self._members[place]
        if not core.path:
            self._add_lost(place, name, core)
            return
        status = old.status
        # A manager that does not wait for its modules only knows that it told them to end.
        if core.signal and (status is None or not status.core_dumped):
            status = ExitStatus(signal=core.signal, core_dumped=True)
        new = msgspec.structs.replace(
            old,
            pid=core.pid if old.pid is None else old.pid,
            status=status,
            cores=(*old.cores, core),
        )
        self._put(place, new)

    def _add_lost(self, place: int | None, name: str | None, core: CoreSeen) -> None:
        """Give a crash without a core to the process that crashed, or to a new one."""
        old = Member(name=name) if place is None else self._members[place]
        if old.crashes and old.pid != core.pid:
            place, old = None, Member(name=name)
        status = old.status
        if core.signal and (status is None or (status.signal is None and status.code is None)):
            status = ExitStatus(signal=core.signal)
        pid = core.pid if old.pid is None else old.pid
        self._put(place, msgspec.structs.replace(old, pid=pid, status=status, lost=core))

    def all(self) -> list[Member]:
        """The processes, without programs of supervisord that ended as they should."""
        return [
            member
            for member in self._members
            if not is_service(member)
            or member.crashes
            or is_failure(member.status)
            or died_of(member.status) == SIGKILL
        ]

    def _put(self, place: int | None, member: Member) -> None:
        if place is not None:
            self._members[place] = member
            self._places.setdefault(member.name or "", place)
        elif len(self._members) < MAX_MEMBERS or member.crashes:
            self._places.setdefault(member.name or "", len(self._members))
            self._members.append(member)

    def _service(self, pid: int | None, *, is_manager: bool) -> int | None:
        """The program of supervisord with that process id, whatever its name; or the manager."""
        for i, member in enumerate(self._members):
            if member.manager and is_manager:
                return i
            if pid is not None and member.pid == pid and (is_service(member) or member.manager):
                return i
        return None

    def _find(self, name: str | None, pid: int | None) -> int | None:
        """The member of that name; of that process id, where one of the names is not known."""
        if name and name in self._places:
            return self._places[name]
        for i, member in enumerate(self._members):
            if same_name(member.name, name):
                return i
        for i, member in enumerate(self._members):
            if pid is not None and member.pid == pid and not (member.name and name):
                return i
        return None


def _better(old: ExitStatus | None, new: ExitStatus | None) -> ExitStatus | None:
    """The status that says more, else the one that was told first."""
    return new if old is None or (old.signal is None and old.code is None) else old
