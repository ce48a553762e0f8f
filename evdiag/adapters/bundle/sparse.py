"""Contents with holes: cores are mostly zeros, which need no room on a disk.

Zeros are found by memcmp in blocks of the size in which file systems give out room. The hash is
made in a thread of its own, as it takes as long as all the rest: hashlib lets the others run.
"""

import _thread
import ctypes
import errno
import functools
import hashlib
import os
import queue
from collections.abc import Callable, Iterator
from typing import cast

BLOCK = 4096
PIECE = 1 << 20
ZEROS = bytes(PIECE)
_ZERO_BLOCK = bytes(BLOCK)
WRITE_OUT = 8 << 20
"""Bytes after which the kernel is asked to begin with writing to the disk: else there is all of it
to wait for at the end."""
_SYNC_FILE_RANGE_WRITE = 2  # linux/fs.h
WORTH_A_THREAD = 1 << 16
WAITING = 8
"""Pieces that may wait for being hashed."""


class Hashing:
    """SHA-256 of what is added, made meanwhile; `close` also where nobody wants the result.

    Ctrl-C comes at any moment. What `threading` and `queue.Queue` lock would stay locked by it, and
    `close` would wait for ever; these queues and threads are of one piece.
    """

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._waiting: queue.SimpleQueue[bytes | None] | None = None
        self._room: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[None] = queue.SimpleQueue()

    def add(self, piece: bytes) -> None:
        """Go on with a piece; it must not change any more."""
        waiting = self._waiting
        if waiting is None:
            if len(piece) < WORTH_A_THREAD:  # a thread would cost more than it gains
                self._hash.update(piece)
                return
            waiting = self._begin()
        self._room.get()
        waiting.put(piece)

    def _begin(self) -> "queue.SimpleQueue[bytes | None]":
        waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        for _ in range(WAITING):
            self._room.put(None)
        _thread.start_new_thread(self._work, (waiting,))
        self._waiting = waiting
        return waiting

    def _work(self, waiting: "queue.SimpleQueue[bytes | None]") -> None:
        while (piece := waiting.get()) is not None:
            self._hash.update(piece)
            self._room.put(None)
        self._done.put(None)

    def close(self) -> None:
        """Wait for what was added."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.put(None)
            self._done.get()

    def result(self) -> str:
        """The hash in hexadecimal."""
        self.close()
        return self._hash.hexdigest()


class SparseWriter:
    """Writes a new file; what is zero in it is left out. Its methods raise OSError."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self.size = 0
        self.stored = 0
        """Bytes that are no holes."""
        self._asked = (0, 0)

    def add(self, piece: bytes) -> None:
        """Go on with a piece of any size."""
        if ZEROS.startswith(piece):
            self.size += len(piece)
            return
        for start, end in _filled(piece, -self.size % BLOCK):
            self._write(memoryview(piece)[start:end], self.size + start)
            self.stored += end - start
        self.size += len(piece)
        at, stored = self._asked
        if self.stored - stored >= WRITE_OUT:
            _begin_to_write(self._fd, at, self.size)
            self._asked = self.size, self.stored

    def _write(self, part: memoryview, at: int) -> None:
        while part:
            done = os.pwrite(self._fd, part, at)
            if not done:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            part, at = part[done:], at + done

    def finish(self) -> None:
        """Give the file its size: its end may be a hole."""
        os.ftruncate(self._fd, self.size)


def _begin_to_write(fd: int, start: int, end: int) -> None:
    if (call := _sync_file_range()) is not None:
        call(fd, start, end - start, _SYNC_FILE_RANGE_WRITE)  # no more than a hint: it may fail


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """Linux's call of that name, where the C library has it."""
    try:
        call = ctypes.CDLL(None).sync_file_range
    except (OSError, AttributeError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return cast("Callable[[int, int, int, int], int]", call)


def _filled(piece: bytes, first: int) -> Iterator[tuple[int, int]]:
    """Where a piece is not zero, from block to block; its first block is at `first`.

    A part of a block that is zero may be left out too: the file is new, so zeros are there.
    """
    length = len(piece)
    start = -1
    zeros = piece.startswith
    at, end = 0, min(first, length) or min(BLOCK, length)
    while at < length:
        whole = end - at == BLOCK
        if zeros(_ZERO_BLOCK if whole else bytes(end - at), at):
            if start >= 0:
                yield start, at
                start = -1
        elif start < 0:
            start = at
        at, end = end, min(end + BLOCK, length)
    if start >= 0:
        yield start, length


def read_sparse(fd: int, size: int) -> Iterator[bytes]:
    """The content of a file in pieces; holes are not read, they give `ZEROS` or a part of it.

    It ends early where the file does. Raises OSError.
    """
    at = 0
    while at < size:
        start, end = _data(fd, at, size)
        while at < start:
            piece = ZEROS if start - at >= PIECE else bytes(start - at)
            at += len(piece)
            yield piece
        while at < end:
            piece = os.pread(fd, min(PIECE, end - at), at)
            if not piece:
                return
            at += len(piece)
            yield piece


def _data(fd: int, at: int, size: int) -> tuple[int, int]:
    """Where the next bytes are that are no hole, and where they end."""
    try:
        start = min(os.lseek(fd, at, os.SEEK_DATA), size)
        return start, min(os.lseek(fd, start, os.SEEK_HOLE), size) if start < size else size
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole until the end, or the file is shorter
            return (size, size) if os.fstat(fd).st_size >= size else (at, size)
        return at, size  # a file system that knows no holes
