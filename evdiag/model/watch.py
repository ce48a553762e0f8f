"""What `evdiag watch` sees: events of a container, crashes, and what it tells of them."""

import msgspec

SCHEMA = "evdiag.watch/1"
OUT_OF_MEMORY = "out of memory"
"""`Crash.how` where the kernel killed for want of memory."""


class ContainerEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that the engine says happened to a container."""

    action: str
    """start, die, oom, kill, stop, restart, pause, unpause or destroy."""
    time: float | None = None
    """Seconds since 1970 by the engine's clock."""
    exit_code: int | None = None
    signal: int | None = None
    """What it was sent, of `kill`."""


class Listening(msgspec.Struct, frozen=True):
    """From now on nothing that the engine says is missed."""


class EngineAway(msgspec.Struct, frozen=True, kw_only=True):
    """The engine does not answer."""

    patience: float
    """Seconds that it is waited for."""


class BackOff(msgspec.Struct, frozen=True, kw_only=True):
    """EVerest's start script waits, because EVerest ended soon after each of its last starts."""

    times: int
    wait: int
    """Seconds until the next start."""


class LogsEnded(msgspec.Struct, frozen=True):
    """All that an ended container has printed has been read."""


class Crash(msgspec.Struct, frozen=True, kw_only=True):
    """One crash, with all that belongs to it, as logs and engine tell of it."""

    time: float | None = None
    """Of the first thing that tells of it, in seconds since 1970."""
    module: str = ""
    """EVerest's module, else the program of supervisord; empty: the container itself."""
    pid: int | None = None
    how: str = ""
    """SIGSEGV, `code 1`, or `out of memory`."""
    what: str
    """In a sentence: `module auth (pid 7) died of SIGSEGV`."""
    cores: tuple[str, ...] = ()
    """Names of the cores that were written."""
    pids: tuple[int, ...] = ()
    """Of the processes that left them."""
    taken_down: tuple[str, ...] = ()
    """Modules that were ended because of it."""

    @property
    def key(self) -> tuple[str, str]:
        """What crashes have in common that may be the same, before a core was looked at."""
        return self.module, self.how


class Quiet(msgspec.Struct, frozen=True, kw_only=True):
    """EVerest ended, and nothing failed."""

    kind: str
    """reset, broker-lost, stopped or unknown."""


class Started(msgspec.Struct, frozen=True):
    """The container was started."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """The container does not run any more."""

    code: int | None = None
    asked: bool = False
    """Whether somebody asked for it."""
    removed: bool = False


class Loop(msgspec.Struct, frozen=True, kw_only=True):
    """How often one and the same crash was seen."""

    count: int
    first: float
    last: float
    looping: bool = False
    """Whether it comes again and again: then it is counted only."""
    uncollected: int = 0
    """How many were counted only."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a crash when it is told: one line of JSON."""

    schema: str = SCHEMA
    container: str
    time: float | None = None
    cls: str = msgspec.field(name="class", default="unknown")
    """Of the report's verdict."""
    title: str
    summary: str = ""
    signature: str | None = None
    """The report's hash for it; null where there is no core."""
    module: str | None = None
    pid: int | None = None
    signal: str | None = None
    taken_down: tuple[str, ...] = ()
    bundle: str | None = None
    """Where it is; null if none was made."""
    problem: str | None = None
    """Why there is no bundle, or no report."""
    loop: Loop
