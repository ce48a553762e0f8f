"""The nouns of the CSMS: versions, handshakes and messages."""

from dataclasses import dataclass
from typing import Any, Literal

Version = Literal["1.6", "2.0.1", "2.1"]
Payload = dict[str, Any]
Kind = Literal["call", "result", "error", "other"]

SUBPROTOCOLS: dict[Version, str] = {"1.6": "ocpp1.6", "2.0.1": "ocpp2.0.1", "2.1": "ocpp2.1"}
"""WebSocket subprotocols, from OCPP-J 1.6 section 3.2 and part 4 of OCPP 2.0.1 and 2.1."""


def version_of(subprotocol: str) -> Version:
    """The version that a negotiated subprotocol stands for."""
    return {name: version for version, name in SUBPROTOCOLS.items()}[subprotocol]


@dataclass(frozen=True, slots=True, kw_only=True)
class Handshake:
    """One attempt to connect, as it came: path, subprotocols and credentials.

    `status` is the answer: 101 for a connection, 401 for wrong credentials.
    """

    path: str
    identity: str
    offered: tuple[str, ...]
    user: str | None
    password: str | None
    secure: bool
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A charge point that is connected, or was: `number` counts from 1."""

    number: int
    identity: str
    path: str
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message in either direction; `action` is the request's, for answers too."""

    connection: Connection
    sent: bool
    kind: Kind
    unique_id: str
    action: str
    payload: Payload

    def __str__(self) -> str:
        arrow = "->" if self.sent else "<-"
        return f"{arrow} {self.connection.version} {self.kind} {self.action} {self.payload}"


class CallError(Exception):
    """A charge point answered a request with CALLERROR."""
