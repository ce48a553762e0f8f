"""What programs in a container print, out of the engine's frames for both output streams.

Docker Engine API, "Attach to a container": kind of stream, three zeros, size, bytes.
"""

import struct
from collections.abc import Iterator

STDOUT, STDERR = 1, 2
_HEADER = struct.Struct(">BxxxL")


class Splitter:
    """Takes the frames of both output streams apart."""

    def __init__(self) -> None:
        self._rest = b""
        self._stream, self._left = 0, 0

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """The pieces that are in the next bytes of the line; a frame may come in several."""
        data = self._rest + data
        self._rest = b""
        at = 0
        while at < len(data):
            if self._left:
                piece = data[at : at + self._left]
                self._left -= len(piece)
                at += len(piece)
                yield self._stream, piece
            elif len(data) - at < _HEADER.size:
                self._rest, at = data[at:], len(data)
            else:
                self._stream, self._left = _HEADER.unpack_from(data, at)
                at += _HEADER.size


def split_output(data: bytes) -> tuple[bytes, bytes]:
    """Standard output and errors; a frame that was cut off is taken as far as it goes."""
    parts: tuple[list[bytes], list[bytes]] = ([], [])
    for stream, piece in Splitter().feed(data):
        parts[stream == STDERR].append(piece)
    return b"".join(parts[0]), b"".join(parts[1])
