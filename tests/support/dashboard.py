"""Node-RED as browsers and others meet it: HTTP, the socket of a page, the editor's API."""

import base64
import contextlib
import http.client
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

SOCKET = "/ui/socket.io/?EIO=4&transport="
SECONDS = 15.0


class Answer(NamedTuple):
    """What an HTTP server answered."""

    status: int
    headers: Mapping[str, str]
    text: str


def ask(
    port: int, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Answer:
    """Ask a server of this machine; a body makes it a POST, and becomes JSON if it is no text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    kind = "text/plain" if isinstance(body, str) else "application/json"
    data = body if body is None or isinstance(body, str) else json.dumps(body)
    words = {"Content-Type": kind, **(headers or {})}
    try:
        connection.request("GET" if body is None else "POST", path, data, words)
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.headers), answer.read().decode(errors="replace"))
    finally:
        connection.close()


def basic(password: str, user: str = "admin") -> dict[str, str]:
    """The header that a browser sends with a password."""
    return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}


# -- the editor


def log_in(port: int, password: object, user: str = "admin") -> Answer:
    """Ask for a token as the editor does."""
    who = {"client_id": "node-red-editor", "grant_type": "password", "scope": "*"}
    return ask(port, "/auth/token", {**who, "username": user, "password": password})


def token(port: int, password: str) -> dict[str, str]:
    """The header of whoever has logged in."""
    return {"Authorization": f"Bearer {json.loads(log_in(port, password).text)['access_token']}"}


# -- the socket of a page


def join_polling(port: int, headers: Mapping[str, str]) -> str:
    """Join the socket with plain requests; return what is said to that."""
    path = f"{SOCKET}polling"
    opened = ask(port, path, headers=headers)
    sid = json.loads(opened.text[1:])["sid"]
    # "40": connect to the default namespace (socket.io's protocol 5)
    ask(port, f"{path}&sid={sid}", "40", headers)
    return ask(port, f"{path}&sid={sid}", headers=headers).text


@dataclass(frozen=True)
class Page:
    """A page's websocket. `joined` is the answer to joining."""

    connection: ClientConnection
    joined: str

    def emit(self, *event: object) -> None:
        """Send an event."""
        self.connection.send(f"42{json.dumps(event)}")

    def next_event(self, name: str) -> list[Any]:
        """Wait for an event, and return what comes with it."""
        while True:
            text = str(self.connection.recv(timeout=SECONDS))
            if text == "2":
                self.connection.send("3")  # the answer to a ping
            elif text.startswith("42"):
                got, *content = json.loads(text[2:])
                if got == name:
                    return list(content)


@contextlib.contextmanager
def websocket(
    port: int, headers: Mapping[str, str] | None = None, origin: str | None = None
) -> Iterator[Page]:
    """Join the socket as a browser does that begins with a websocket."""
    with connect(
        f"ws://127.0.0.1:{port}{SOCKET}websocket",
        additional_headers=dict(headers or {}),
        origin=None if origin is None else Origin(origin),
        max_size=None,
        proxy=None,
    ) as connection:
        connection.recv(timeout=SECONDS)
        connection.send("40")
        yield Page(connection, str(connection.recv(timeout=SECONDS)))
