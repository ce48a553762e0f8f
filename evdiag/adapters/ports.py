"""Ports of this machine: whether one is free, and whether a page answers there."""

import errno
import http.client
import socket
from urllib.parse import urlsplit

PAGE_SECONDS = 2.0
MOST_PAGE = 1 << 16


def is_free(address: str, port: int) -> bool | None:
    """Whether a program can listen there; None where that cannot be told."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            # as the engine does: connections that have just ended are no obstacle
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
            # on Linux two may be bound like this, but only one may listen
            probe.listen(1)
    except OSError as error:
        return False if error.errno == errno.EADDRINUSE else None
    return True


def page_answers(url: str) -> bool:
    """Whether a page is there, be it behind a password; asked for directly, past any proxy."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PAGE_SECONDS)
    try:
        connection.request("GET", parts.path)
        answer = connection.getresponse()
        answer.read(MOST_PAGE)
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    asks = answer.status == http.client.UNAUTHORIZED and "WWW-Authenticate" in answer.headers
    return asks or answer.status == http.client.OK
