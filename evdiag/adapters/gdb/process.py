"""A gdb, or a command that stands for one: started safely, read without waiting, ended for sure.

It gets a session of its own and is killed as a group, so that nothing that it started stays
behind. Its memory is limited, it leaves no core of its own, and both of its outputs are drained
all the time: a gdb that writes much to stderr would block for ever otherwise.
"""

import contextlib
import os
import resource
import select
import signal
import subprocess
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

from evdiag.errors import GdbDied, GdbRefused, GdbUnusable

MAX_LINE = 256 << 20
"""A longer line is no answer."""
KEPT_ERRORS = 4096
"""Bytes of stderr that are kept, for the message when gdb dies."""
CHUNK = 1 << 18
GRACE = 2.0
"""Seconds that gdb gets to end by itself, and to write its index cache."""
SILENCE = 1.0
"""Seconds without a word after which it is checked whether gdb is still there."""


def limit(pid: int, memory: int | None) -> None:
    """Limit what a process may take. macOS cannot do that from outside, and does without."""
    set_limit = getattr(resource, "prlimit", None)
    if set_limit is None:
        return
    with contextlib.suppress(OSError, ValueError):
        set_limit(pid, resource.RLIMIT_CORE, (0, 0))
        if memory is not None:
            set_limit(pid, resource.RLIMIT_AS, (memory, memory))


class Talk(Protocol):
    """A gdb that was started somewhere, and the way to speak with it."""

    name: str
    """What messages call it."""

    def send(self, line: str) -> None:
        """Queue a line for gdb; it is written while lines are read."""

    def lines(self, deadline: float) -> list[bytes]:
        """Lines that have come, after waiting for some until the deadline; none is late.

        Raises GdbDied when it has ended, GdbRefused for an endless line.
        """

    def interrupt(self) -> None:
        """What Ctrl-C does: gdb gives up what it is doing."""

    def close(self, *, politely: bool = False) -> None:
        """End it and everything that it started."""


class Said:
    """What gdb printed: whole lines that nobody has read yet, and the end of its errors."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._partial = bytearray()
        self._lines: deque[bytes] = deque()
        self._errors = bytearray()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def take(self) -> list[bytes]:
        """The lines, which then are read."""
        found = list(self._lines)
        self._lines.clear()
        return found

    def take_one(self, longest: int) -> bytes:
        """The first line; empty if there is none yet. Raises GdbRefused for too long a one."""
        if not self._lines and len(self._partial) <= longest:
            return b""
        line = self._lines.popleft() if self._lines else bytes(self._partial)
        if len(line) > longest:
            raise GdbRefused(f"{self.name} printed a line of {len(line)} bytes")
        return line

    def add(self, data: bytes) -> None:
        """Cut what came into lines, looking at each byte once. Raises GdbRefused."""
        head, newline, rest = data.partition(b"\n")
        self._partial += head
        if len(self._partial) > MAX_LINE:
            raise GdbRefused(f"{self.name} printed a line of more than {MAX_LINE >> 20} MB")
        if newline:
            self._lines.append(bytes(self._partial))
            *whole, last = rest.split(b"\n")
            self._lines.extend(whole)
            self._partial = bytearray(last)

    def add_error(self, data: bytes) -> None:
        """Keep the end of what came."""
        self._errors += data
        del self._errors[:-KEPT_ERRORS]

    def last_words(self) -> list[str]:
        """The last lines of its errors."""
        return bytes(self._errors).decode("utf-8", "replace").strip().splitlines()


class Process:
    """gdb's process and its three pipes."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str],
        memory: int | None = None,
        *,
        name: str = "gdb",
    ) -> None:
        """Start it in a folder, with at most so many bytes of memory. Raises GdbUnusable.

        `name` is what messages call it.
        """
        try:
            self._process = subprocess.Popen(  # noqa: S603 - the user's own gdb
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=folder,
                env=environment,
                bufsize=0,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            raise GdbUnusable(f"{name} cannot be started: {reason}") from None
        self.name = name
        limit(self._process.pid, memory)
        self._pipes = [
            pipe
            for pipe in (self._process.stdin, self._process.stdout, self._process.stderr)
            if pipe is not None
        ]
        self._in, self._out, self._err = (pipe.fileno() for pipe in self._pipes)
        for fd in (self._in, self._out, self._err):
            os.set_blocking(fd, False)
        self._unsent = b""
        self._said = Said(name)
        self._open = {self._out, self._err}

    # -- talking

    def send(self, line: str) -> None:
        """Queue a line for gdb; it is written while lines are read."""
        self._unsent += os.fsencode(line) + b"\n"  # names of files may be any bytes

    def lines(self, deadline: float) -> list[bytes]:
        """Lines that have come, after waiting for some until the deadline; none is late.

        Raises GdbDied when it has ended, GdbRefused for an endless line.
        """
        while not self._said:
            left = deadline - time.monotonic()
            if left <= 0:
                return []
            if self._out not in self._open:
                raise GdbDied(self._obituary())
            # Its end is not always the end of its output: what it started may hold the pipe.
            silent = not self._pump(min(left, SILENCE))
            if silent and self._process.poll() is not None and not self._pump(0.0):
                raise GdbDied(self._obituary())
        return self._said.take()

    def _pump(self, seconds: float) -> bool:
        """Write and read what can be; whether anything came within that time."""
        wanted = [self._in] if self._unsent else []
        readable, writable, _ = select.select(list(self._open), wanted, [], seconds)
        if writable:
            try:
                self._unsent = self._unsent[os.write(self._in, self._unsent[:CHUNK]) :]
            except OSError:  # it is gone: what it said before it went may still be read
                self._unsent = b""
        for fd in readable:
            self._receive(fd)
        return bool(readable)

    def _receive(self, fd: int) -> None:
        try:
            data = os.read(fd, CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._open.discard(fd)
        elif fd == self._err:
            self._said.add_error(data)
        else:
            self._said.add(data)

    def interrupt(self) -> None:
        """What Ctrl-C does: gdb gives up what it is doing."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGINT)

    # -- the end

    def close(self, *, politely: bool = False) -> None:
        """End it and everything that it started."""
        if politely:
            self._unsent = b""
            self._pipes[0].close()  # gdb ends when nothing more can come
            self._drain(time.monotonic() + GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for pipe in self._pipes:
            pipe.close()

    def _drain(self, deadline: float) -> None:
        """Read and forget until it has ended, or the deadline has come."""
        with contextlib.suppress(GdbDied, GdbRefused):
            while self.lines(deadline):
                pass

    def _obituary(self) -> str:
        """How it ended, and its last words."""
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            how = "closed its output"
        else:
            how = ending(code)
        said = self._said.last_words()
        return f"{self.name} {how}" + (f": {said[-1][:300]}" if said else "")


def ending(code: int) -> str:
    """How a process ended, in words; `code` is negative for a signal."""
    return f"was ended by signal {-code}" if code < 0 else f"ended with status {code}"
