"""The engine's stream of a container's output: frames, each one line with the time it came.

Docker's API, "Attach to a container": 8 bytes before each piece, kind of stream and size. Programs
with a terminal have no frames. A line of more than 16 KiB comes in several, all with a time.
"""

import re
from typing import NamedTuple

from evdiag.parse.loglines.records import LONGEST, Lines, cut

HEAD = 8
_KINDS = (b"\x00\x00\x00\x00", b"\x01\x00\x00\x00", b"\x02\x00\x00\x00")
_MOST = 4 * LONGEST
"""Bytes that are kept of a line; a character has up to four."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]{0,10}(?:Z|[+-]\d\d:\d\d) ?")
_STAMP_BYTES = re.compile(_STAMP.pattern.encode())


class Entry(NamedTuple):
    """One line of the container's output."""

    stamp: str
    line: str


class Frames:
    """Lines out of pieces of the stream, cut anywhere."""

    def __init__(self, *, terminal: bool = False) -> None:
        self.terminal = terminal
        self._rest = b""
        self._begun: dict[int, tuple[str, list[bytes], int]] = {}
        self._lines = Lines()

    def feed(self, data: bytes) -> list[Entry]:
        """The lines that are complete now."""
        if self.terminal:
            return [_stamped(line) for line in self._lines.feed(data)]
        if self._rest:
            data = self._rest + data
        found: list[Entry] = []
        at, size = 0, len(data)
        while at + HEAD <= size:
            if data[at : at + 4] not in _KINDS:
                return [*found, *self._no_frames(data[at:])]
            end = at + HEAD + int.from_bytes(data[at + 4 : at + HEAD], "big")
            if end > size:
                break
            if data[end - 1] == 10 and not self._begun:
                text = data[at + HEAD : end - 1].decode("utf-8", "replace")
                stamp, _, line = text.partition(" ")
                found.append(Entry(stamp, line))
            else:
                self._part(found, data[at], data[at + HEAD : end])
            at = end
        self._rest = data[at:]
        return found

    def end(self) -> list[Entry]:
        """Lines without an end."""
        if self.terminal:
            return [_stamped(line) for line in self._lines.rest()]
        found = [_joined(*begun) for begun in self._begun.values()]
        self._begun.clear()
        return found

    def _no_frames(self, data: bytes) -> list[Entry]:
        """It was a terminal's output after all."""
        self.terminal, self._rest = True, b""
        return [_stamped(line) for line in self._lines.feed(data)]

    def _part(self, found: list[Entry], kind: int, data: bytes) -> None:
        match = _STAMP_BYTES.match(data)
        stamp, text = (match[0].decode().rstrip(), data[match.end() :]) if match else ("", data)
        begun = self._begun.pop(kind, None)
        first, parts, held = begun or (stamp, [], 0)
        ended = text.endswith(b"\n")
        if held < _MOST:
            parts.append(text[:-1] if ended else text)
        held += len(text) - ended
        if ended:
            found.append(_joined(first, parts, held))
        else:
            self._begun[kind] = (first, parts, held)


def _stamped(line: str) -> Entry:
    match = _STAMP.match(line)
    return Entry(match[0].rstrip(), line[match.end() :]) if match else Entry("", line)


def _joined(stamp: str, parts: list[bytes], size: int) -> Entry:
    data = b"".join(parts)
    text = data.decode("utf-8", "replace")
    return Entry(stamp, cut(text, size - len(data)) if len(text) > LONGEST else text)
