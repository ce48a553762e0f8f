"""Text of any length in blocks of whole lines, as bytes: from a file, a pipe, packed or not.

What a pipe has is given at once, so that who follows a log sees its lines as they come.
"""

import os
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import zstandard

from evdiag.errors import UsageError

BLOCK = 1 << 18
"""Bytes read at a time; a pipe has 64 KiB at most."""
LONGEST = 1 << 16
"""Bytes of a line that are looked at together; a longer one comes in pieces."""
NEAR = 1 << 10
"""How far before the end of a piece it is cut at a space, so that no address is torn apart."""
STEP = 1 << 10
"""Packed bytes unpacked at a time: zstandard may make 32 MB of them."""
LARGEST_WINDOW = 1 << 27
"""Bytes of memory that a frame may ask for; `zstd -d` has the same limit."""
STDIN = 0

GZIP = b"\x1f\x8b\x08"
"""RFC 1952, 2.3.1; deflate is the only method there is."""
ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""RFC 8878, 3.1.1."""


class Unpacker(Protocol):
    """One member or frame of a packed file."""

    @property
    def eof(self) -> bool:
        """Whether it is over."""
        ...

    @property
    def unused_data(self) -> bytes:
        """What follows it."""
        ...

    def decompress(self, data: bytes, /) -> bytes:
        """Unpack some more."""
        ...


@contextmanager
def text_blocks(path: Path | None) -> Iterator[Iterator[bytes]]:
    """The text of a file, of standard input without one. Raises UsageError, also while reading.

    Each block ends with a line, but for lines that are very long and for the end of the text.
    """
    name = str(path) if path is not None else "standard input"
    with _descriptor(path, name) as fd:
        yield _whole_lines(_text(_read(fd, name), name))


@contextmanager
def _descriptor(path: Path | None, name: str) -> Iterator[int]:
    if path is None:
        yield STDIN
        return
    if path.is_dir():
        raise UsageError(f"{name} is a directory", advice="Name a file, or - for standard input.")
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (OSError, ValueError) as error:
        raise _unreadable(name, error) from None
    try:
        yield fd
    finally:
        os.close(fd)


def _read(fd: int, name: str) -> Iterator[bytes]:
    """What there is, as soon as it is there."""
    while True:
        try:
            piece = os.read(fd, BLOCK)
        except OSError as error:
            raise _unreadable(name, error) from None
        if not piece:
            return
        yield piece


def _unreadable(name: str, error: OSError | ValueError) -> UsageError:
    if isinstance(error, FileNotFoundError):
        return UsageError(f"{name} does not exist", advice="Check the name.")
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return UsageError(f"{name} cannot be read: {reason}", advice="Check the name and its rights.")


def _text(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The same, unpacked if it begins as packed files do."""
    head = b""
    for piece in pieces:
        head += piece
        if not any(magic.startswith(head) for magic in (GZIP, ZSTANDARD)):
            break
    new: Callable[[], Unpacker] | None = None
    if head.startswith(GZIP):
        new = _new_gzip
    elif head.startswith(ZSTANDARD):
        new = _new_zstandard
    if head:
        yield from _with_head(head, pieces) if new is None else _unpacked(head, pieces, new, name)


def _with_head(head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from pieces


def _new_gzip() -> Unpacker:
    return zlib.decompressobj(wbits=31)


def _new_zstandard() -> Unpacker:
    return zstandard.ZstdDecompressor(max_window_size=LARGEST_WINDOW).decompressobj()


def _unpacked(
    head: bytes, pieces: Iterator[bytes], new: Callable[[], Unpacker], name: str
) -> Iterator[bytes]:
    """All members one after the other. Raises UsageError for what is cut or damaged."""
    member: Unpacker | None = None
    try:
        for data in _small(_with_head(head, pieces)):
            while data:
                member = member or new()
                text = member.decompress(data)
                if text:
                    yield text
                data = b""
                if member.eof:
                    data, member = member.unused_data, None
    except (zlib.error, zstandard.ZstdError):
        raise UsageError(
            f"{name} is damaged: it cannot be unpacked further", advice="The text ends before it."
        ) from None
    if member is not None:
        raise UsageError(f"{name} is cut off", advice="What there is of it was read.")


def _small(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for at in range(0, len(piece), STEP):
            yield piece[at : at + STEP]


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield rest + piece[:end]
            rest = piece[end:]
        else:
            rest += piece
        while len(rest) > LONGEST:
            cut = rest.rfind(b" ", LONGEST - NEAR, LONGEST) + 1 or LONGEST
            yield rest[:cut]
            rest = rest[cut:]
    if rest:
        yield rest
