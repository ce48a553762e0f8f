"""What the program in the container tells of a charger, and the messages of EVerest's API.

The container may be broken, and its broker may have been told anything: a document that is not as
it should be is refused as a whole, a message that is not counts as not known.
"""

from typing import Annotated, TypeVar

import msgspec

_Text = Annotated[str, msgspec.Meta(max_length=1 << 16)]
_Name = Annotated[str, msgspec.Meta(max_length=2000)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Time = Annotated[float, msgspec.Meta(ge=0, le=253_402_300_799)]
"""Seconds since 1970, until the year 9999."""
_Kind = TypeVar("_Kind")
LONGEST_DOCUMENT = 64 << 20
LONGEST_ERROR = 300


class UnreadableProbe(ValueError):
    """The program in the container did not print its document."""


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """A process of the container."""

    pid: _Count
    parent: _Count
    session: _Count = 0
    state: _Name = ""
    threads: _Count = 0
    memory: _Count = 0
    started: _Time | None = None
    comm: _Name = ""
    argv0: _Name = ""
    script: _Name = ""
    """The second argument: where argv[0] is an interpreter, what it runs."""
    user: _Name = ""
    module: _Name = ""
    """EV_MODULE of a Python program."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """What supervisord says of a program."""

    name: _Name
    statename: _Name = ""
    pid: _Count = 0
    start: _Time = 0
    stop: _Time = 0
    exitstatus: int = 0
    spawnerr: _Name = ""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a log."""

    time: _Time | None = None
    text: _Name = ""
    kind: _Name = ""


class EverestLog(msgspec.Struct, frozen=True, kw_only=True):
    """What was found in everest.log."""

    counts: dict[str, _Count] = {}
    last: dict[str, Told] = {}
    crashes: tuple[Told, ...] = ()


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file in the folder for cores."""

    name: _Name
    size: _Count | None = None
    disk: _Count | None = None
    time: _Time | None = None


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """The note beside a core; its text is None where it could not be read."""

    name: _Name
    text: Annotated[str, msgspec.Meta(max_length=1 << 17)] | None = None


class Cores(msgspec.Struct, frozen=True, kw_only=True):
    """The folder for cores."""

    files: tuple[File, ...] = ()
    notes: tuple[Note, ...] = ()
    note_count: _Count = 0
    left_out: _Count = 0
    disk: _Count | None = None


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """All of it; a part that could not be looked at is None and has its reason in `errors`."""

    now: _Time
    errors: dict[str, _Name] = {}
    processes: tuple[Process, ...] | None = None
    services: tuple[Program, ...] | None = None
    everest_log: EverestLog | None = None
    supervisor_log: tuple[Told, ...] | None = None
    cores: Cores | None = None
    configured: tuple[tuple[_Name, _Name], ...] | None = None
    mqtt: dict[str, _Text] | None = None


def read_probe(printed: bytes) -> Probe:
    """The document that the program printed. Raises UnreadableProbe."""
    if len(printed) > LONGEST_DOCUMENT:
        raise UnreadableProbe(f"it printed {len(printed)} bytes")
    try:
        return msgspec.json.decode(printed, type=Probe)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise UnreadableProbe(" ".join(str(error).split())[:LONGEST_ERROR]) from None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """What EVerest says of a connector."""

    state: str = ""
    power: float | None = None
    energy: float | None = None
    seconds: float | None = None
    faulty: bool = False


def read_session(text: str) -> Session | None:
    """`everest_api/ID/var/session_info`, or None if it is nothing of the kind."""
    message = _object(text)
    state = message.get("state")
    if not isinstance(state, str):
        return None
    return Session(
        state=state,
        power=_number(message.get("latest_total_w")),
        energy=_number(message.get("charged_energy_wh")),
        seconds=_number(message.get("charging_duration_s")),
        faulty=message.get("permanent_fault") is True,
    )


def read_power(text: str) -> float | None:
    """W, from `everest_api/ID/var/powermeter`."""
    power = _object(text).get("power_W")
    return _number(power.get("total")) if isinstance(power, dict) else None


def read_soc(text: str) -> float | None:
    """Percent of the car's battery, from `everest_api/ID/var/ev_info`."""
    return _number(_object(text).get("soc"))


def read_errors(text: str) -> tuple[str, ...]:
    """The errors in `everest_api/errors/var/active_errors`, one line each: module, type, message.

    Their form is that of EVerest's types/error_history.yaml.
    """
    found = []
    entries: list[object] = _decoded(text, list) or []
    for entry in entries:
        error = entry if isinstance(entry, dict) else {}
        kind, message, origin = (error.get(key) for key in ("type", "message", "origin"))
        module = origin.get("module_id") if isinstance(origin, dict) else None
        parts = [part for part in (module, kind, message) if isinstance(part, str) and part]
        found.append(": ".join(parts) or "an error without a name")
    return tuple(found)


def _object(text: str) -> dict[str, object]:
    return _decoded(text, dict) or {}


def _decoded(text: str, kind: type[_Kind]) -> _Kind | None:
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _number(value: object) -> float | None:
    """A number that can be shown: JSON's may be as long as they like."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if -1e12 < value < 1e12 else None
