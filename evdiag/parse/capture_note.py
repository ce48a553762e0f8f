"""The note that the core writer of EVerest's image leaves beside each core: JSON, one object.

It is there too when no core could be written. Whoever made the core may have made the note, so it
is read strictly: what is not as documented makes all of it unusable, and the reason is told.
"""

from datetime import datetime
from typing import Annotated

import msgspec

from evdiag.model.incident import CaptureNote

SCHEMA = "evdiag.capture/1"
MAX_NOTE = 1 << 20
"""Bytes: a note has about a thousand, and the command line may have a hundred thousand."""
MAX_ARGUMENTS = 10_000
MAX_REMOVED = 1_000
LONGEST_REASON = 200
"""Letters of an error that stand in a sentence."""
LONGEST_NAME = 255
"""Bytes of a file's name (NAME_MAX, limits.h)."""

_Id = Annotated[int, msgspec.Meta(ge=0, lt=1 << 32)]
_Count = Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
_Number = Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]
_Signal = Annotated[int, msgspec.Meta(ge=1, le=64)]
"""Linux has 64 signals (signal(7))."""
_Time = Annotated[datetime, msgspec.Meta(tz=True)]
_Address = Annotated[str, msgspec.Meta(pattern="^0x[0-9a-fA-F]{1,16}$")]
_Name = Annotated[str, msgspec.Meta(min_length=1, max_length=LONGEST_NAME, pattern=r"^[^/\x00]+$")]


class Unusable(msgspec.Struct, frozen=True):
    """A file that is no note, or one that is broken."""

    reason: str
    is_foreign: bool = False
    """Whether it does not even claim to be a note."""


class _Schema(msgspec.Struct):
    schema: object = None


class _Raw(msgspec.Struct, kw_only=True):
    """The note as it is written; more fields than these may come."""

    core: _Name | None
    pid: _Id
    signal: _Signal
    tid: _Id | None = None
    si_code: _Number | None = None
    fault_address: _Address | None = None
    sender_pid: _Id | None = None
    sender_uid: _Id | None = None
    comm: str | None = None
    thread: str | None = None
    executable: str | None = None
    argv: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_ARGUMENTS)] = ()
    started: _Time | None = None
    crashed_at: _Time | None = None
    bytes: _Count | None = None
    truncated: bool = False
    missing_bytes: _Count = 0
    error: str | None = None
    removed: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=MAX_REMOVED)] = ()


def read_note(content: bytes) -> CaptureNote | Unusable:
    """The note, or why the file cannot be used. Never raises."""
    if not content:
        return Unusable("it is empty")
    if len(content) > MAX_NOTE:
        return Unusable(f"it has more than {MAX_NOTE} bytes")
    # The names of processes and files are bytes: one that is no text must not hide a crash.
    text = content.decode("utf-8", "replace")
    try:
        schema = msgspec.json.decode(text, type=_Schema).schema
        if not (isinstance(schema, str) and schema.startswith("evdiag.capture/")):
            return Unusable("it is no note on a core", is_foreign=True)
        if schema != SCHEMA:
            return Unusable(f"its schema is {_short(schema)}, and only {SCHEMA} is known")
        return _note(msgspec.json.decode(text, type=_Raw))
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        return Unusable(_short(str(error)), is_foreign="evdiag.capture" not in text)


def _note(raw: _Raw) -> CaptureNote:
    return CaptureNote(
        core=raw.core if raw.core not in (".", "..") else None,
        pid=raw.pid,
        tid=raw.tid,
        signal=raw.signal,
        si_code=raw.si_code,
        fault_address=None if raw.fault_address is None else int(raw.fault_address, 16),
        sender_pid=raw.sender_pid,
        sender_uid=raw.sender_uid,
        comm=raw.comm or None,
        thread=raw.thread or None,
        executable=raw.executable or None,
        argv=raw.argv,
        started=_seconds(raw.started),
        crashed_at=_seconds(raw.crashed_at),
        bytes=raw.bytes,
        truncated=raw.truncated,
        missing_bytes=raw.missing_bytes,
        error=_short(raw.error) if raw.error else None,
        removed=raw.removed,
    )


def _seconds(time: datetime | None) -> float | None:
    return None if time is None else time.timestamp()


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= LONGEST_REASON else f"{line[: LONGEST_REASON - 1]}…"
