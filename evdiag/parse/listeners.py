"""/proc/net/tcp and tcp6 (proc(5)): which sockets of a machine take connections."""

import ipaddress
import re
import sys

from evdiag.model.run import Listener

MOST_TEXT = 1 << 24
"""Characters: a hundred thousand sockets."""
_LISTENING = re.compile(
    r"^\s*\d+: ([0-9A-F]{8}|[0-9A-F]{32}):([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 0A ", re.MULTILINE
)


def read_listeners(text: str) -> tuple[Listener, ...]:
    """The listening sockets of one of these tables; lines that are none count for nothing."""
    found = _LISTENING.finditer(text[:MOST_TEXT])
    return tuple(Listener(_address(row[1]), int(row[2], 16)) for row in found)


def _address(digits: str) -> str:
    """The kernel prints words of 32 bits in the machine's own order."""
    words = (digits[at : at + 8] for at in range(0, len(digits), 8))
    packed = b"".join(int(word, 16).to_bytes(4, sys.byteorder) for word in words)
    address = ipaddress.ip_address(packed)
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)
