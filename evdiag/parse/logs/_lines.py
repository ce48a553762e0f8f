"""From pieces of a log file to its lines: cut where they are endless, taken out of wrappings."""

import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

import msgspec

LONGEST_LINE = 1 << 16
"""Bytes that are kept of a line; the JSON dumps of EVerest have a few ten thousand."""

BATCH = 1 << 18
"""Bytes that are looked at together, when the pieces of the file are smaller."""

_COLOUR = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
_DOCKER = b'{"log":'
_STAMP = re.compile(
    rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)) ?",
)


class Batch(msgspec.Struct):
    """Some whole lines."""

    lines: list[bytes]
    """Without their line ends; colours are still in them."""
    stamps: list[bytes] | None = None
    """The time that the wrapping of each line gives, as it is written there."""

    def text(self) -> bytes:
        """All of it, to see what is not in it."""
        return b"\n".join(self.lines)


class _Wrapped(msgspec.Struct):
    """A line of the files that Docker's json-file driver writes."""

    log: str
    stream: str = ""
    time: str = ""


def batches(pieces: Iterable[bytes | str]) -> Iterator[Batch]:
    """The lines of a file that comes in pieces of any size."""
    parts: list[bytes] = []  # of the last line, which has no end yet
    held = 0
    unwrap = _Unwrapper()
    for data in _collected(pieces):
        *whole, last = data.split(b"\n")
        if whole:
            parts.append(whole[0][:LONGEST_LINE])
            whole[0] = b"".join(parts)
            parts, held = [], 0
            yield unwrap.batch([_clean(line) for line in whole])
        if held < LONGEST_LINE:
            parts.append(last[:LONGEST_LINE])
            held += len(last)
    rest = b"".join(parts)
    if rest:
        yield unwrap.batch([_clean(rest)])
    yield unwrap.rest()


def without_colours(line: bytes) -> str:
    """A line as text; what is not UTF-8 becomes the replacement character."""
    if b"\x1b" in line:
        line = _COLOUR.sub(b"", line)
    return line.decode("utf-8", "replace")


def seconds(text: str) -> float | None:
    """Seconds since 1970 of an ISO time; one without a zone counts as UTC."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _collected(pieces: Iterable[bytes | str]) -> Iterator[bytes]:
    """Small pieces together, large ones in parts."""
    some: list[bytes] = []
    size = 0
    for piece in pieces:
        data = piece.encode("utf-8", "replace") if isinstance(piece, str) else piece
        for at in range(0, len(data), BATCH):
            part = data[at : at + BATCH]
            some.append(part)
            size += len(part)
            if size >= BATCH:
                yield b"".join(some)
                some, size = [], 0
    yield b"".join(some)


def _clean(line: bytes) -> bytes:
    if len(line) > LONGEST_LINE:
        line = line[:LONGEST_LINE]
    return line[:-1] if line.endswith(b"\r") else line


class _Unwrapper:
    """Takes lines out of what `docker logs -t` and Docker's json-file driver put around them."""

    def __init__(self) -> None:
        self.begun: dict[str, str] = {}  # lines of more than 16 KiB come in several parts

    def batch(self, lines: list[bytes]) -> Batch:
        first = next((line for line in lines if line), b"")
        if first.startswith(_DOCKER) and _wrapped(first) is not None:
            return self._json(lines)
        if _STAMP.match(first):
            return self._stamped(lines)
        return Batch(lines)

    def rest(self) -> Batch:
        return Batch([text.encode("utf-8", "replace") for text in self.begun.values() if text])

    def _json(self, lines: list[bytes]) -> Batch:
        out, stamps = [], []
        for line in lines:
            wrapped = _wrapped(line)
            if wrapped is None:
                out.append(line)
                stamps.append(b"")
                continue
            stream = "stderr" if wrapped.stream == "stderr" else "stdout"
            text = (self.begun.pop(stream, "") + wrapped.log)[:LONGEST_LINE]
            if not wrapped.log.endswith("\n"):
                self.begun[stream] = text
                text = ""  # keeps the numbers of the lines right
            out.append(text.rstrip("\r\n").encode("utf-8", "replace"))
            stamps.append(wrapped.time.encode("utf-8", "replace"))
        return Batch(out, stamps)

    def _stamped(self, lines: list[bytes]) -> Batch:
        out, stamps = [], []
        for line in lines:
            match = _STAMP.match(line)
            out.append(line[match.end() :] if match else line)
            stamps.append(match[1] if match else b"")
        return Batch(out, stamps)


def _wrapped(line: bytes) -> _Wrapped | None:
    try:
        return msgspec.json.decode(line, type=_Wrapped)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
