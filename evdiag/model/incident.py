"""Several processes that ended: what is known of each, and of the container they ran in."""

import msgspec

from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.model.report import Container

UNLIMITED = -1
"""As `ulimit` takes it."""


class CorePattern(msgspec.Struct, frozen=True, kw_only=True):
    """Where the kernel puts cores (core(5))."""

    text: str
    kind: str
    """pipe, socket, absolute or relative."""
    handler: str | None = None
    """Name of the program that a pipe leads to."""
    names_pid: bool = False
    """Whether the names of two cores differ."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a core may be (/proc/PID/limits), in bytes or UNLIMITED."""

    soft: int | None = None
    hard: int | None = None


class DiskSpace(msgspec.Struct, frozen=True, kw_only=True):
    """One row of df(1)."""

    mounted_on: str
    available: int
    """Bytes."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the container, or of the machine, in which the processes ran."""

    container: Container | None = None
    oom_kills: int | None = None
    """How often the kernel killed a process of the control group for want of memory."""
    pattern: CorePattern | None = None
    limits: Limits | None = None
    disks: tuple[DiskSpace, ...] = ()
    empty_cores: tuple[str, ...] = ()
    """Files that are called like a core and hold nothing."""
    cores: int = 0
    """How many cores there are."""


class CoreSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One core file, as far as its headers tell."""

    path: str
    pid: int | None = None
    module_id: str | None = None
    program: str | None = None
    """Name of the executable's file."""
    signal: int | None = None
    sent: bool = False
    """Whether another process sent the signal."""
    written: float | None = None
    """Time of the file, in seconds since 1970: lost when a file is copied."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One process of a run, and how it ended."""

    name: str | None = None
    """EVerest's module, or the program of supervisord."""
    pid: int | None = None
    status: ExitStatus | None = None
    role: str | None = None
    """first_fault, taken_down, unrelated, or None: not known."""
    note: str | None = None
    """What is remarkable about its end, in words."""
    manager: bool = False
    """Whether it is the one that starts and ends the modules."""
    cores: tuple[CoreSeen, ...] = ()
    ends: tuple[LogEvent, ...] = ()
    """The records that tell of its end, oldest first."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The time between two starts of the manager: what is taken down together."""

    kind: str = "unknown"
    """crash, reset, broker-lost, stopped (all ended as told) or unknown."""
    members: tuple[Member, ...] = ()
    """In the order in which they ended, the first fault first."""
    evidence: tuple[str, ...] = ()
    """Why it is known who was first, in words."""
    confidence: str = "high"
    events: tuple[LogEvent, ...] = ()

    @property
    def first(self) -> Member | None:
        """Who died by itself and took the others down."""
        return next((member for member in self.members if member.role == "first_fault"), None)
