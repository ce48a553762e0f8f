"""Lines of mosquitto_sub with the format below, as messages."""

import re

import msgspec

FORMAT = "%U %r %x %t"
"""Time, whether it was retained, the payload in hexadecimal digits, topic (mosquitto_sub(1)).
mosquitto refuses topics with control characters, so each message is one line."""
_LINE = re.compile(rb"(\d{1,12}(?:\.\d{1,9})?) ([01]) ((?:[0-9a-fA-F]{2})*) (.+)", re.DOTALL)


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the broker."""

    time: float
    """Seconds since 1970, by the container's clock."""
    topic: str
    payload: bytes
    retained: bool = False


def read_message(line: bytes) -> Message | None:
    """The message of a line without its end, or None if it is none."""
    match = _LINE.fullmatch(line)
    if match is None:
        return None
    return Message(
        time=float(match[1]),
        topic=match[4].decode("utf-8", "replace"),
        payload=bytes.fromhex(match[3].decode("ascii")),
        retained=match[2] == b"1",
    )
