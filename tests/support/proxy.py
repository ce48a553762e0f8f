"""A line to a container engine that breaks on demand, at a certain byte of the answers."""

import contextlib
import socket
import struct
import threading
import time
from pathlib import Path

PIECE = 1 << 16
SLOW = 0.02
"""Seconds that each piece of a slow line waits."""
SLOW_PIECES = 60


class Proxy:
    """Listens on a socket and passes everything on, until a byte comes that was waited for.

    `fault` says what happens then: reset, end (as if it were all), stall (nothing more comes, on
    no connection) or slow.
    """

    def __init__(self, path: Path, engine: Path) -> None:
        self.path, self.engine = path, engine
        self.fault = ""
        self.count = 0
        """Bytes of answers so far."""
        self.reached = threading.Event()
        self._at: int | None = None
        self._slow = 0
        self._lock = threading.Lock()
        self._healed = threading.Event()
        self._healed.set()
        self._listening = socket.socket(socket.AF_UNIX)
        self._sockets: set[socket.socket] = set()

    def start(self) -> None:
        """Take connections."""
        self._listening.bind(str(self.path))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def arm(self, at: int) -> None:
        """Wait for a byte of the answers, counted from now on."""
        with self._lock:
            self.count, self._at, self._slow = 0, at, 0
            self.reached.clear()

    def disarm(self) -> None:
        """Let everything pass again, also what is stalled."""
        with self._lock:
            self._at, self.fault = None, ""
        self._healed.set()

    def close(self) -> None:
        """Take no more connections, and end those that are there."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._healed.set()
        for each in list(self._sockets):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        server = socket.socket(socket.AF_UNIX)
        self._sockets |= {client, server}
        try:
            server.connect(str(self.engine))
        except OSError:  # as if nobody listened
            self._close(client, server)
            return
        there = threading.Thread(target=self._asked, args=(client, server), daemon=True)
        there.start()
        with contextlib.suppress(OSError):
            self._answered(client, server)
        for each in (client, server):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        there.join()
        self._close(client, server)

    def _close(self, *sockets: socket.socket) -> None:
        for each in sockets:
            self._sockets.discard(each)
            each.close()

    def _asked(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(PIECE):
                self._healed.wait()
                server.sendall(data)
            server.shutdown(socket.SHUT_WR)

    def _answered(self, client: socket.socket, server: socket.socket) -> None:
        while data := server.recv(PIECE):
            self._healed.wait()
            passes, broken = self._passing(len(data))
            client.sendall(data[:passes])
            if broken == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            if broken == "end":
                return
            if broken == "stall":
                self._healed.wait()
                client.sendall(data[passes:])
            elif self._slow > 0:
                time.sleep(SLOW)
                self._slow -= 1

    def _passing(self, size: int) -> tuple[int, str]:
        """How many of so many bytes pass, and what happens then."""
        with self._lock:
            before, self.count = self.count, self.count + size
            if self._at is None or self.count < self._at:
                return size, ""
            passes, self._at = max(self._at - before, 0), None
            if self.fault == "stall":
                self._healed.clear()
            if self.fault == "slow":
                self._slow, passes = SLOW_PIECES, size
            self.reached.set()
            return (passes if self.fault else size), self.fault
