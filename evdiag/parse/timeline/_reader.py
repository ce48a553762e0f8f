"""What the readers of the timeline share: lines of bounded length, times, and what they may ask."""

import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime

import msgspec

from evdiag.model.timeline import Happening

LONGEST_LINE = 1 << 16
"""Bytes that are kept of a line: commands and events have a few hundred."""
LONGEST_TEXT = 300
"""Characters that are kept of what somebody else wrote."""

_COLOUR = re.compile(r"\x1b\[[0-9;?]*[ -/]*[@-~]")


class Reader(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of file: how to recognise it, and what it tells."""

    id: str
    title: str
    """For the documentation."""
    recognises: Callable[[bytes], bool]
    """Whether a file that begins like this is one."""
    time_of: Callable[[bytes], float | None]
    """The time of a record by its first line, by the clock of the file; None for other lines."""
    clock: str
    read: Callable[[str, Iterable[bytes]], Iterator[Happening]]
    """What happened, by the name of the file and its bytes in pieces of any size."""
    is_log: bool = False
    """Whether such a file is a log, and evidence, as well."""


def lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The lines of a file, without their ends; endless ones are cut."""
    parts: list[bytes] = []  # of the last line, which has no end yet
    held = 0
    for piece in pieces:
        first, *more = piece.split(b"\n")
        if held < LONGEST_LINE:
            parts.append(first[: LONGEST_LINE - held])
            held += len(parts[-1])
        if not more:
            continue
        yield _ended(b"".join(parts))
        for line in more[:-1]:
            yield _ended(line[:LONGEST_LINE])
        parts = [more[-1][:LONGEST_LINE]]
        held = len(parts[0])
    if held:
        yield _ended(b"".join(parts))


def _ended(line: bytes) -> bytes:
    return line[:-1] if line.endswith(b"\r") else line


def text_of(line: bytes) -> str:
    """A line as text without colours."""
    text = line.decode("utf-8", "replace")
    return _COLOUR.sub("", text) if "\x1b" in text else text


def first_lines(head: bytes, most: int = 40) -> list[bytes]:
    """The lines that a file begins with, the last one perhaps cut."""
    return head.split(b"\n", most)[:most]


def short(text: object, most: int = LONGEST_TEXT) -> str:
    """What somebody else wrote, on one line and not endless."""
    line = " ".join(str(text)[: 4 * most].split())
    return line if len(line) <= most else line[: most - 1] + "…"


def seconds(text: str) -> float | None:
    """Seconds since 1970 of an ISO time; one without a zone counts as UTC."""
    try:
        time = datetime.fromisoformat(text)
        return (time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None
