"""Several processes that ended: what is known of each, and of the container they ran in."""

import msgspec

from evdiag.model.logs import ExitStatus, LogEvent
from evdiag.model.report import Container

UNLIMITED = -1
"""As `ulimit` takes it."""
NOTE_SUFFIX = ".json"
"""What the name of a core writer's note has behind the name of the core."""


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
    removed: frozenset[str] = frozenset()
    """Names of cores that the core writer took away to make room for later ones."""


class CaptureNote(msgspec.Struct, frozen=True, kw_only=True):
    """What the program that writes cores noted of one crash, also where it could write no core."""

    core: str | None = None
    """Name of the core's file."""
    pid: int
    tid: int | None = None
    """The thread that took the signal."""
    signal: int
    si_code: int | None = None
    fault_address: int | None = None
    sender_pid: int | None = None
    sender_uid: int | None = None
    comm: str | None = None
    """Name of the process, cut by the kernel."""
    thread: str | None = None
    """Name of the thread that took the signal, cut by the kernel."""
    executable: str | None = None
    argv: tuple[str, ...] = ()
    started: float | None = None
    """Seconds since 1970, as all times here."""
    crashed_at: float | None = None
    bytes: int | None = None
    """Size of the core when it was whole."""
    truncated: bool = False
    missing_bytes: int = 0
    error: str | None = None
    """Why there is no core, or only a part of one."""
    removed: tuple[str, ...] = ()
    """Names of older cores that had to go to make room for this one."""


class CoreSeen(msgspec.Struct, frozen=True, kw_only=True):
    """One core file, as far as its headers tell; or a crash that only a note tells of."""

    path: str
    """Empty where no core was written, or where it is gone."""
    pid: int | None = None
    module_id: str | None = None
    program: str | None = None
    """Name of the executable's file."""
    signal: int | None = None
    sent: bool = False
    """Whether another process sent the signal."""
    written: float | None = None
    """Time of the file, in seconds since 1970: lost when a file is copied."""
    is_whole: bool = True
    """Whether it has all the memory that its headers promise."""
    note: CaptureNote | None = None

    @property
    def moment(self) -> float | None:
        """When it crashed, by the note if there is one, else by the time of the file."""
        noted = self.note.crashed_at if self.note is not None else None
        return self.written if noted is None else noted

    @property
    def is_timed(self) -> bool:
        """Whether the time of the crash itself is known."""
        return self.note is not None and self.note.crashed_at is not None


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
    lost: CoreSeen | None = None
    """A crash of which there is a note, but no core."""
    ends: tuple[LogEvent, ...] = ()
    """The records that tell of its end, oldest first."""

    @property
    def crashes(self) -> tuple[CoreSeen, ...]:
        """Everything that tells of a crash of it besides the logs."""
        return self.cores if self.lost is None else (*self.cores, self.lost)


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
