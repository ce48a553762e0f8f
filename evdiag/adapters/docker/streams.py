"""Programs in a container that are spoken with while they run, over one connection."""

import contextlib
import os
import select
import socket
import ssl
import time
from collections.abc import Iterator, Sequence
from typing import Any

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.adapters.docker.inside import source
from evdiag.parse.output_frames import Splitter

PIECE = 1 << 16
KILLED = 137
"""Exit code of what SIGKILL ended."""
ENDED_SECONDS = 2.0


class Attached:
    """A program that was started in a container, and the connection to it.

    Its methods raise EngineUnreachable where the connection breaks.
    """

    def __init__(self, engine: ContainerEngine, number: str, opened: Any, what: str) -> None:  # noqa: ANN401
        self._engine, self._number, self._what, self._opened = engine, number, what, opened
        self._socket: Any = getattr(opened, "_sock", opened)
        self._socket.settimeout(None)
        self._early = _read_early(opened, self._socket)

    def fileno(self) -> int:
        """For select: readable when `read` will not wait, as long as `pending` is false."""
        number: int = self._socket.fileno()
        return number

    @property
    def pending(self) -> bool:
        """Whether there is something that select does not know of."""
        buffered = getattr(self._socket, "pending", None)  # of TLS
        return bool(self._early) or bool(buffered and buffered())

    def read(self) -> bytes:
        """What has come, as it came over the line; nothing at its end."""
        if self._early:
            early, self._early = self._early, b""
            return early
        with translated(f"read from {self._what}"):
            data: bytes = self._socket.recv(PIECE)
        return data

    def write(self, data: bytes) -> None:
        """Type something. A program that has ended takes nothing."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def end_input(self) -> None:
        """Close the program's standard input."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def resize(self, rows: int, columns: int) -> None:
        """Tell its terminal how large it is."""
        with translated(f"resize the terminal of {self._what}"):
            self._engine.api.exec_resize(self._number, height=rows, width=columns)

    def frames(self, output: int | None = None) -> Iterator[tuple[int, bytes]]:
        """(stream, bytes) of a program without a terminal, until it closes its output.

        `output` is a file that what comes is written to. Raises BrokenPipeError when the reader
        of that has gone: it would be noticed at the next write only.
        """
        splitter = Splitter()
        while True:
            if output is not None and not self.pending:
                self._wait(output)
            data = self.read()
            if not data:
                return
            yield from splitter.feed(data)

    def _wait(self, output: int) -> None:
        poll = select.poll()
        poll.register(self.fileno(), select.POLLIN)
        poll.register(output, 0)  # an error is always told
        for number, event in poll.poll():
            if number == output and event & (select.POLLERR | select.POLLNVAL):
                raise BrokenPipeError

    def read_some(self) -> bytes | None:
        """What has come, or None if nothing has; nothing at its end. After `unblock` only."""
        try:
            return self.read()
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None

    def write_some(self, data: bytes) -> int:
        """Type as much as goes at once; how much that was. After `unblock` only."""
        try:
            sent: int = self._socket.send(data)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return 0
        except (BrokenPipeError, ConnectionResetError):
            return len(data)  # the program has ended: nobody wants it
        return sent

    def unblock(self) -> None:
        """From now on nothing is waited for."""
        self._socket.setblocking(False)

    def code(self) -> int | None:
        """How the program ended; None if the engine does not know, or it still runs."""
        with translated(f"ask how {self._what} ended"):
            ended = self._engine.api.exec_inspect(self._number)
        code = ended.get("ExitCode") if isinstance(ended, dict) else None
        return code if isinstance(code, int) else None

    def close(self) -> None:
        """Hang up: the program's standard input ends."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        with contextlib.suppress(OSError):
            self._opened.close()
        with contextlib.suppress(OSError):
            self._socket.close()


def _read_early(opened: Any, line: Any) -> bytes:  # noqa: ANN401
    """What came together with the engine's answer: the SDK's reader has it and forgets it."""
    response = getattr(opened, "_response", None)
    reader = getattr(getattr(getattr(response, "raw", None), "_fp", None), "fp", None)
    if reader is None or not hasattr(reader, "peek"):
        return b""
    early = b""
    line.setblocking(False)
    try:
        while waiting := reader.peek():
            early += reader.read(len(waiting))
    except OSError:
        pass  # nothing is there
    finally:
        line.setblocking(True)
    return early


def attach(
    engine: ContainerEngine,
    container: str,
    command: Sequence[str],
    *,
    user: str = "",
    terminal: bool = False,
    environment: dict[str, str] | None = None,
) -> Attached:
    """Start a program in a running container and stay connected to it. Raises ContainerStopped."""
    what = f"{os.path.basename(command[0])} in {container[:12]}"  # noqa: PTH119 - no path of here
    with translated(f"start {what}"):
        made = engine.api.exec_create(
            container, list(command), stdin=True, stdout=True, stderr=True, tty=terminal,
            user=user, environment=environment or {},
        )  # fmt: skip
        opened = engine.api.exec_start(made["Id"], tty=terminal, socket=True)
    return Attached(engine, made["Id"], opened, what)


def attach_tied(
    engine: ContainerEngine, container: str, command: Sequence[str], given: bytes = b""
) -> Attached:
    """Start a program that ends with this connection, however that ends, and give it its input."""
    tied = ["python3", "-I", "-S", "-c", source("tied"), str(len(given)), *command]
    attached = attach(engine, container, tied)
    attached.write(given)
    return attached


def container_ended(engine: ContainerEngine, container: str, code: int | None) -> bool:
    """Whether a program ended with its container; the engine learns of both one after the other."""
    if code not in (None, KILLED):
        return False
    deadline = time.monotonic() + ENDED_SECONDS
    while engine.container(container).is_running:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
