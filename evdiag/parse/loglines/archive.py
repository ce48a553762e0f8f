"""Files in a tar stream, without any trust in it: POSIX ustar as the engine makes it.

Python's tarfile makes members of what it reads, follows sizes that lie, and raises on a stream that
ends early; here regular files are passed on block by block and all the rest is skipped.
"""

import re
from collections.abc import Iterable, Iterator

import msgspec

BLOCK = 512
PIECE = 1 << 18
LOG_NAME = re.compile(r"(?:^|/)(mosquitto|everest|nodered|supervisord)\.log(?:\.(\d{1,2}))?$")


class Member(msgspec.Struct, frozen=True):
    """A regular file of the archive."""

    name: str
    size: int
    modified: float


def read_archive(pieces: Iterable[bytes]) -> Iterator[Member | bytes]:
    """Each file's member, then its bytes in blocks. What is damaged ends it without an error."""
    stream = _Stream(pieces)
    while (head := stream.take(BLOCK)) and len(head) == BLOCK and head.strip(b"\0"):
        size = _number(head[124:136])
        if size is None:
            return
        name = head[:100].split(b"\0")[0].decode("utf-8", "replace")
        regular = head[156:157] in (b"0", b"\0")
        if regular:
            yield Member(name, size, float(_number(head[136:148]) or 0))
        left = size
        while left > 0:
            block = stream.take(min(left, PIECE))
            if not block:
                return
            left -= len(block)
            if regular:
                yield block
        stream.take(-size % BLOCK)


def _number(field: bytes) -> int | None:
    """Octal digits, or base 256 for what is larger than 8 GiB (GNU)."""
    if field[0] & 0x80:
        return int.from_bytes(field[1:], "big")
    try:
        return int(field.strip(b"\0 ") or b"0", 8)
    except ValueError:
        return None


class _Stream:
    """Pieces of any size, taken in others."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = iter(pieces)
        self._held, self._at = b"", 0

    def take(self, size: int) -> bytes:
        """That many bytes; fewer at the end."""
        if self._at + size <= len(self._held):
            self._at += size
            return self._held[self._at - size : self._at]
        parts, have = [self._held[self._at :]], len(self._held) - self._at
        while have < size:
            piece = next(self._pieces, None)
            if piece is None:
                break
            parts.append(piece)
            have += len(piece)
        self._held, self._at = b"".join(parts), 0
        return self.take(min(size, have))
