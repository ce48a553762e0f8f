"""What happened before and after a crash, from all that was written down: one thing at a time."""

import msgspec

UTC, LOCAL = "utc", "local"
"""Clocks: that of the world, and that of the container, whose zone has to be found out."""

TO_CSMS, FROM_CSMS = "to_csms", "from_csms"
TO_CAR, FROM_CAR = "to_car", "from_car"
"""Which way a message went."""

HAPPENINGS = {
    "crash": "a process crashed; the one of the report is marked",
    "ocpp": "a message of OCPP, with its answer",
    "ocpp-link": "the connection to the CSMS, as libocpp tells it",
    "ocpp-security": "an entry of OCPP's log of security events",
    "session": "an event of the charging session",
    "v2g": "a message between car and charger (ISO 15118, DIN 70121)",
    "mqtt": "a command by MQTT, or what the broker tells of a client",
    "container": "what the engine did with the container",
    "warning": "a warning of the process that crashed",
    "everest-up": "EVerest has started all modules",
}
"""Kinds of events besides those that the logs tell (`evdiag.model.logs.KINDS`)."""


class Happening(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened."""

    kind: str
    """One of `HAPPENINGS`, or of the kinds of log events."""
    text: str
    source: str = ""
    """Name of the file that tells it."""
    time: float | None = None
    """Seconds since 1970 by the clock of the source."""
    clock: str = UTC
    precision: float = 0.001
    """Seconds: some write whole seconds only."""
    module: str | None = None
    pid: int | None = None
    direction: str | None = None
    call: str | None = None
    """What a request and its answer have in common."""
    is_answer: bool = False
    routine: str | None = None
    """What such happenings have in common that repeat all the time; they are folded."""
    name: str = ""
    """What it is called without its facts: the action of a message."""


class Moment(msgspec.Struct, frozen=True, kw_only=True):
    """When something happened, and by which clock."""

    time: float
    clock: str = UTC


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A file that tells what happened."""

    name: str
    """As the report calls it."""
    path: str
    reader: str
    """The `id` of who can read it, of `evdiag.parse.timeline.READERS`."""
    is_local: bool = False
    """Whether its times are by the clock of the container."""
