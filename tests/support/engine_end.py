"""The engine's end of a connection to a program: it runs here, and its outputs come in frames."""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

from evdiag.adapters.docker.endpoint import Endpoint
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.streams import Attached

SECONDS = 0.5
"""In which a program ends that has lost its connection; the engine does not wait at all."""
NO_API: Any = None
ENGINE = ContainerEngine(NO_API, Endpoint(url="unix:///nowhere", origin="test"), None)
"""It is never asked for anything."""


class _Frames:
    """Carries both outputs over one connection, as the engine does."""

    def __init__(self, line: socket.socket, *outputs: IO[bytes]) -> None:
        self._line, self._lock, self._open = line, threading.Lock(), len(outputs)
        self._threads = [
            threading.Thread(target=self._carry, args=(number, output), daemon=True)
            for number, output in enumerate(outputs, 1)
        ]
        for thread in self._threads:
            thread.start()

    def _carry(self, number: int, output: IO[bytes]) -> None:
        while data := output.read1(65536):  # type: ignore[attr-defined]
            with contextlib.suppress(OSError), self._lock:
                self._line.sendall(struct.pack(">BxxxL", number, len(data)) + data)
        with self._lock:
            self._open -= 1
            if not self._open:
                with contextlib.suppress(OSError):
                    self._line.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        for thread in self._threads:
            thread.join()


@contextlib.contextmanager
def attached(
    command: Sequence[str], environment: Mapping[str, str] | None = None
) -> Iterator[Attached]:
    """A program that runs as if in a container; it is over when the block is left."""
    ours, theirs = socket.socketpair()
    with theirs, ours:
        process = subprocess.Popen(
            command,
            stdin=theirs.fileno(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert process.stdout is not None
        assert process.stderr is not None
        frames = _Frames(theirs, process.stdout, process.stderr)
        try:
            yield Attached(ENGINE, "", ours, "a program")
        finally:
            with contextlib.suppress(OSError):
                ours.shutdown(socket.SHUT_RDWR)
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            frames.join()
            process.stdout.close()
            process.stderr.close()
