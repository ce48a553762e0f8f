"""Logs of any size: taken in pieces, cut where no secret lies across, and given on.

What belongs together stays together: an OCPP message of libocpp's log, or a token that EVerest
prints, is JSON over many lines, in which the name of a secret can come after its value.
"""

import re
from collections.abc import Callable, Iterable, Iterator

from evdiag.analyze.secrets.hints import HINTS
from evdiag.analyze.secrets.shapes import LONGEST_PEM

CHUNK = 1 << 18
LONGEST_RECORD = 1 << 20
"""Bytes that are looked at together at most: a longer line, or message, is cut."""
_SEARCHED = 1 << 16

BYTES = re.compile(HINTS.encode(), re.VERBOSE)
"""For logs in small letters."""
_COLOURED_WORD = re.compile(
    rb"\x1b\[(?<=[a-zA-Z]..)(?<![0-9;\[]...)(?=[0-9;]{0,12}m[a-zA-Z])", re.DOTALL
)
"""A colour in the middle of a word, which may hide a name."""

_PEM = re.compile(rb"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY")
_ENDS_WITH_TOKEN = re.compile(rb"<redacted-[0-9a-f]{8}>\Z")
_CLOCK = rb"(?:\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+-]\d\d:\d\d) )?+"
"""What the engine writes in front of each line."""
_RECORD = re.compile(_CLOCK + rb"[^\s\]}\"']")
"""How a line begins that does not go on with what the one before it began."""
_NEXT_RECORD = re.compile(rb"\n(?=" + _CLOCK + rb"[^\s\]}\"'])")
_BETWEEN = re.compile(rb"[\s,;](?=[^\s,;]*\Z)")
_GOES_ON = re.compile(rb"[^\s,;&\"'\\)\]}<>]*")

Redact = Callable[[bytes], bytes]
Hints = Callable[[], re.Pattern[bytes] | None]


class Stream:
    """One log on its way through."""

    def __init__(self, redact: Redact, more: Hints) -> None:
        """`redact` does the work on a record, `more` gives a pattern of secrets in this run."""
        self._redact, self._more = redact, more
        self._buffer = bytearray()
        self._looked = 0
        self._cut_in_secret = False

    def through(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The log without secrets, in other pieces."""
        for piece in pieces:
            view = memoryview(piece)
            for start in range(0, len(view), CHUNK):
                self._buffer += view[start : start + CHUNK]
                if len(self._buffer) - self._looked >= CHUNK:
                    yield from self._give()
        if self._buffer:
            yield self._clean(bytes(self._buffer))
            self._buffer.clear()

    def _give(self) -> Iterator[bytes]:
        data = bytes(self._buffer)
        cut = _cut(data)
        forced = cut is None and len(data) >= LONGEST_RECORD
        if forced:
            space = _BETWEEN.search(data, len(data) - _SEARCHED)
            cut = space.end() if space else len(data)
        self._looked = len(data)
        if cut:
            del self._buffer[:cut]
            self._looked = 0
            yield self._clean(data[:cut], forced=forced)

    def _clean(self, data: bytes, *, forced: bool = False) -> bytes:
        if self._cut_in_secret:
            rest = _GOES_ON.match(data)
            data = data[rest.end() :] if rest else data
            self._cut_in_secret = not data
        if _PEM.search(data):
            data = self._redact(data)
        else:
            known = self._more()
            data = self._by_record(data, self._hits(data))
            more = self._more()
            if more is not None and more is not known:  # learned at the end, seen before it
                data = self._by_record(data, (match.start() for match in more.finditer(data)))
        if forced and data.endswith(b">") and _ENDS_WITH_TOKEN.search(data[-30:]):
            self._cut_in_secret = True
        return data

    def _by_record(self, data: bytes, hits: Iterable[int]) -> bytes:
        """Work on those records only that can hold something."""
        out: list[bytes] = []
        done = 0
        for at in hits:
            if at < done:
                continue
            start, end = _record_start(data, at, done), _record_end(data, at)
            out += (data[done:start], self._redact(data[start:end]))
            done = end
        return b"".join((*out, data[done:])) if out else data

    def _hits(self, data: bytes) -> Iterable[int]:
        """Places where there may be something, in order."""
        hits = [match.start() for match in BYTES.finditer(data.lower())]
        more = self._more()
        others = [_COLOURED_WORD] if b"\x1b" in data else []
        others += [more] if more is not None else []
        if not others:
            return hits
        return sorted(hits + [match.start() for other in others for match in other.finditer(data)])


def _cut(data: bytes) -> int | None:
    """Where the last record begins, so that what is before it is whole."""
    at = len(data)
    while (line := data.rfind(b"\n", 0, at)) >= 0:
        if _RECORD.match(data, line + 1):
            return _not_in_key(data, line + 1)
        at = line
    return None


def _not_in_key(data: bytes, cut: int) -> int | None:
    """The same, but before a private key that goes on behind it."""
    begin = data.rfind(b"-----BEGIN ", max(0, cut - LONGEST_PEM), cut)
    if begin < 0 or data.find(b"-----END ", begin, cut) >= 0:
        return cut
    return data.rfind(b"\n", 0, begin) + 1 or None


def _record_start(data: bytes, at: int, done: int) -> int:
    while (line := data.rfind(b"\n", done, at)) >= 0:
        if _RECORD.match(data, line + 1):
            return line + 1
        at = line
    return done


def _record_end(data: bytes, at: int) -> int:
    match = _NEXT_RECORD.search(data, at)
    return match.start() + 1 if match else len(data)
