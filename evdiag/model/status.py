"""What a charger is doing: the document of `evdiag status --json`, and what it is shown from."""

import msgspec

SCHEMA = "evdiag.status/1"


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """A program of supervisord."""

    name: str
    state: str
    """As supervisord says it, in small letters: running, starting, backoff, exited, fatal, ..."""
    pid: int | None = None
    since: float | None = None
    """When it was started, or when it ended. Seconds since 1970, as all times here."""
    detail: str = ""
    """Why it does not run."""


class Module(msgspec.Struct, frozen=True, kw_only=True):
    """A process of EVerest."""

    id: str
    type: str = ""
    pid: int
    threads: int = 0
    memory: int = 0
    """Bytes that are resident."""
    started: float | None = None
    user: str = ""
    state: str = ""
    """Only where it is no usual one: stopped, zombie, waiting for a disk."""


class Everest(msgspec.Struct, frozen=True, kw_only=True):
    """The manager and what became of its starts."""

    state: str
    """up, starting, down, or unknown."""
    pid: int | None = None
    since: float | None = None
    """When the manager was started."""
    expected: int | None = None
    """Modules in the configuration."""
    missing: tuple[str, ...] = ()
    """Ids of modules that do not run."""
    restarts: int = 0
    """Starts but the first, since the container was started."""
    crashes: int = 0
    """Times that a module took EVerest down, as far back as the logs go."""
    last_crash: float | None = None
    last_crashed: str = ""
    """The module that died then."""


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """The connection to the CSMS."""

    state: str
    """connected, disconnected, or unknown."""
    version: str = ""
    """Of OCPP, as it was configured: 1.6, 2.0.1 or 2.1."""
    url: str = ""
    """Without account and password."""
    id: str = ""
    since: float | None = None
    """Of the connection."""
    error: str = ""
    """Why there is none."""
    error_time: float | None = None


class Connector(msgspec.Struct, frozen=True, kw_only=True):
    """Where a car is plugged in."""

    number: int
    module: str
    state: str = ""
    """As EVerest names it: Unplugged, AuthRequired, Charging, ...; empty: it did not say."""
    power: float | None = None
    """W"""
    energy: float | None = None
    """Wh of this session."""
    seconds: float | None = None
    """Of this session's charging."""
    soc: float | None = None
    """Percent of the car's battery."""
    faulty: bool = False


class Core(msgspec.Struct, frozen=True, kw_only=True):
    """A crash that left a core, or a note that says why not."""

    name: str
    """Of the core's file; of the note where there is no core."""
    size: int | None = None
    disk: int | None = None
    time: float | None = None
    state: str = "complete"
    """complete, truncated, writing, empty, or none."""
    signal: str = ""
    process: str = ""
    """`<id>:<Type>` of a module, else the program."""
    error: str = ""
    """Why it is not complete."""


class Url(msgspec.Struct, frozen=True, kw_only=True):
    """A door of the charger to this machine."""

    what: str
    url: str


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """Something that could not be looked at."""

    part: str
    reason: str


class ChargerStatus(msgspec.Struct, frozen=True, kw_only=True):
    """All of one charger."""

    schema: str = SCHEMA
    name: str
    image: str = ""
    state: str = ""
    """Of the container, as the engine says it."""
    verdict: str
    """healthy, starting, degraded, or stopped."""
    reasons: tuple[str, ...] = ()
    """Why it is not healthy, or how it ended."""
    taken: float
    """When."""
    started: float | None = None
    finished: float | None = None
    exit_code: int | None = None
    oom_killed: bool = False
    engine_restarts: int = 0
    """Of the container, by the engine's restart policy."""
    everest: Everest | None = None
    ocpp: Link
    connectors: tuple[Connector, ...] = ()
    errors: tuple[str, ...] = ()
    """Errors that EVerest has raised and not cleared."""
    services: tuple[Service, ...] = ()
    modules: tuple[Module, ...] = ()
    orphans: tuple[Module, ...] = ()
    """Left over from a manager that was killed."""
    cores: tuple[Core, ...] = ()
    """The newest first."""
    cores_disk: int | None = None
    """Bytes that all of them take."""
    cores_complete: bool = True
    """Whether the list is."""
    urls: tuple[Url, ...] = ()
    gaps: tuple[Gap, ...] = ()
