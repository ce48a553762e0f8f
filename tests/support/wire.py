"""A server on a socket that answers as it is told: stands where a container engine would be."""

import contextlib
import json
import re
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

RECORDED = Path(__file__).parent.parent / "wire/recorded"
SECONDS = 20.0
"""For a client that does nothing more; tests are through long before."""

REASONS = {200: "OK", 201: "Created", 204: "No Content", 404: "Not Found"}

Answer = bytes | Callable[["Connection"], None]
"""What to send, or who sends it."""


class Recorded(NamedTuple):
    """What a real engine answered once."""

    request: str
    status: int
    body: Any


def recorded(engine: str) -> dict[str, Recorded]:
    """The answers of an engine, by the name of the case."""
    entries = json.loads((RECORDED / f"{engine}.json").read_text())
    return {name: Recorded(**entry) for name, entry in entries.items()}


class Connection:
    """One client that has asked something."""

    def __init__(self, server: "WireServer", client: socket.socket) -> None:
        self.server, self._client = server, client

    def send(self, data: bytes) -> None:
        """Send bytes; a client that has left does not matter."""
        with contextlib.suppress(OSError):
            self._client.sendall(data)

    def wait(self) -> None:
        """Answer nothing until the client leaves, or the server ends."""
        with contextlib.suppress(OSError):
            while self._client.recv(65_536):
                pass

    def reset(self) -> None:
        """Break the connection hard."""
        self._client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._client.close()


# -- answers


def reply(body: object, status: int = 200, protocol: str = "HTTP/1.1") -> bytes:
    """A whole answer; what is no text or bytes becomes JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reason = REASONS.get(status, "Error")
    head = f"{protocol} {status} {reason}\r\nContent-Type: application/json\r\n"
    return f"{head}Connection: close\r\nContent-Length: {len(data)}\r\n\r\n".encode() + data


def refusal(message: str, status: int = 500) -> bytes:
    """An error of the engine."""
    return reply({"message": message}, status)


def chunked(*pieces: bytes, ends: bool = True, headers: str = "") -> bytes:
    """A stream of chunks, cut off or with its end."""
    head = f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n{headers}Connection: close\r\n\r\n"
    body = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces)
    return head.encode() + body + (b"0\r\n\r\n" if ends else b"")


def frame(text: bytes, stream: int = 1) -> bytes:
    """A piece of a container's output, as it is sent where there is no terminal."""
    return struct.pack(">BxxxL", stream, len(text)) + text


def raw(*pieces: bytes) -> bytes:
    """The output of a program that was started in a container: until the connection ends."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.raw-stream\r\n\r\n"
    return head + b"".join(pieces)


# -- the server


class WireServer:
    """Answers each request by the first rule whose expression its `METHOD /path` matches."""

    def __init__(self, listening: socket.socket, context: ssl.SSLContext | None = None) -> None:
        self.requests: list[str] = []
        """`GET /v1.41/info`, in the order in which they came."""
        self._rules: list[tuple[re.Pattern[str], list[Answer]]] = []
        self._listening, self._context = listening, context
        self._clients: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def on(self, pattern: str, *answers: Answer) -> None:
        """Answer requests; several answers are given one after the other, the last one for ever.

        What is said later goes first.
        """
        self._rules.insert(0, (re.compile(pattern), list(answers)))

    def refuse(self) -> None:
        """Take no more clients."""
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def close(self) -> None:
        """Take no more clients, and leave those that are there."""
        self.refuse()
        for client in self._clients:
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
            client.close()
        self._thread.join(SECONDS)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            client.settimeout(SECONDS)
            self._clients.append(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        # ValueError: an encrypted connection that `close` has closed meanwhile
        with contextlib.suppress(OSError, ValueError):
            if self._context is not None:
                client = self._context.wrap_socket(client, server_side=True)
                self._clients.append(client)
            request = _read_request(client)
            if request:
                self.requests.append(request)
                answer = self._answer(request)
                connection = Connection(self, client)
                if isinstance(answer, bytes):
                    connection.send(answer)
                else:
                    answer(connection)
            with contextlib.suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        client.close()

    def _answer(self, request: str) -> Answer:
        for pattern, answers in self._rules:
            if pattern.search(request):
                return answers.pop(0) if len(answers) > 1 else answers[0]
        return refusal(f"no rule for {request}", 501)


def _read_request(client: socket.socket) -> str:
    data = b""
    while b"\r\n\r\n" not in data:
        got = client.recv(65_536)
        if not got:
            return ""
        data += got
        if data.startswith(b"\x16"):  # a handshake of TLS (RFC 8446, 5.1), which this is not
            return "TLS hello"
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)^content-length: (\d+)", head, re.MULTILINE)
    while length and len(body) < int(length[1]):
        got = client.recv(65_536)
        if not got:
            return ""
        body += got
    method, path, _ = head.split(b"\r\n")[0].decode().split(" ", 2)
    return f"{method} {path}"


@contextlib.contextmanager
def serving(path: Path) -> Iterator[WireServer]:
    """A server on a unix socket that answers nothing but its version, which is 20.10's."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(str(path))
    listening.listen(16)
    server = WireServer(listening)
    server.on("GET .*/version$", reply(recorded("20.10")["version"].body))
    try:
        yield server
    finally:
        server.close()


@contextlib.contextmanager
def serving_tcp(context: ssl.SSLContext | None = None) -> Iterator[tuple[WireServer, int]]:
    """The same on a port of this machine, with TLS if there is a context."""
    listening = socket.create_server(("127.0.0.1", 0))
    server = WireServer(listening, context)
    server.on("GET .*/version$", reply(recorded("20.10")["version"].body))
    try:
        yield server, int(listening.getsockname()[1])
    finally:
        server.close()
