"""A CSMS for tests: OCPP 1.6, 2.0.1 and 2.1 on ws and wss, with everything said on record."""

from .certificates import Certificate, make_certificate
from .journal import Journal
from .messages import CallError, Connection, Handshake, Message, Payload, Version
from .server import Csms

__all__ = [
    "CallError",
    "Certificate",
    "Connection",
    "Csms",
    "Handshake",
    "Journal",
    "Message",
    "Payload",
    "Version",
    "make_certificate",
]
