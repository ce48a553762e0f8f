"""What is asked about one core, and the answers, as they go from process to process."""

import os
from pathlib import Path
from typing import IO, Any, Literal

import msgspec

from evdiag.adapters.gdb.scene import Scene
from evdiag.analyze.triage.hints import Hint
from evdiag.engine import Options
from evdiag.model.report import Address, Report
from evdiag.model.triage import Crash


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """One question about one core."""

    number: int
    kind: Literal["look", "trace", "report"]
    """look: its notes alone. trace: the crash. report: the whole report."""
    path: Path
    options: Options
    content: str | None = None
    """The digest of its bytes, where that is known."""


class Reported(msgspec.Struct, frozen=True, kw_only=True):
    """A report, and what a debugger needs to add values."""

    report: Report
    scene: Scene


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came out for one core; without anything else, the reason why there is nothing."""

    number: int
    hint: Hint | None = None
    content: str | None = None
    """The digest of its bytes."""
    crash: Crash | None = None
    reported: Reported | None = None
    known: bool = False
    """Whether the answer was in the cache."""
    message: str | None = None
    advice: str | None = None
    bug: str | None = None
    """Where in evdiag an error comes from that should not be."""


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What a process of workers is told: at first where the cache is, then tasks."""

    cache: Path | None
    tasks: tuple[Task, ...] = ()


def to_bytes(value: object) -> bytes:
    """A noun as bytes. Raises UnicodeEncodeError for text that is none."""
    return msgspec.msgpack.encode(value, enc_hook=_encoded)


def _encoded(value: object) -> object:
    if isinstance(value, Address):
        return int(value)
    if isinstance(value, Path):
        return os.fsencode(value)  # names of files need not be text
    raise NotImplementedError(type(value))


def decoded(kind: type, value: Any) -> object:  # noqa: ANN401 - whatever the bytes hold
    """For msgspec: what it does not know itself."""
    if kind is Address:
        return Address(value)
    if issubclass(kind, Path):
        return Path(os.fsdecode(value))
    raise NotImplementedError(kind)


_KINDS: dict[type, "msgspec.msgpack.Decoder[Any]"] = {}


def from_bytes(raw: bytes, kind: type) -> Any:  # noqa: ANN401 - of the kind
    """The noun again. Raises msgspec.DecodeError, ValueError, TypeError."""
    decoder = _KINDS.get(kind)
    if decoder is None:
        decoder = _KINDS[kind] = msgspec.msgpack.Decoder(kind, dec_hook=decoded)
    return decoder.decode(raw)


LENGTH = 4
"""Bytes before each message that tell its length."""


def send(stream: IO[bytes], raw: bytes) -> None:
    """Write one message. Raises OSError."""
    stream.write(len(raw).to_bytes(LENGTH, "little") + raw)
    stream.flush()


def receive(stream: IO[bytes]) -> bytes | None:
    """Read one message; None at the end."""
    head = stream.read(LENGTH)
    if len(head) < LENGTH:
        return None
    size = int.from_bytes(head, "little")
    raw = stream.read(size)
    return raw if len(raw) == size else None
