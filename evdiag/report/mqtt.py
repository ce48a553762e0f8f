"""Messages of the broker, one line each: for people, and as JSON."""

from datetime import datetime

import msgspec

from evdiag.parse.mqtt import Message
from evdiag.report.neutral import clean

LONGEST_PAYLOAD = 4000
_DIM, _TOPIC, _RESET = "\x1b[2m", "\x1b[36m", "\x1b[0m"


def line(message: Message, colour: bool = False) -> str:
    """Time, topic and payload, harmless for a terminal."""
    clock = _clock(message.time)
    topic = clean(message.topic)
    text = _text(message.payload)
    shown = clean(text, LONGEST_PAYLOAD) if text is not None else _bytes(message.payload)
    mark = " (retained)" if message.retained else ""
    if colour:
        return f"{_DIM}{clock}{_RESET} {_TOPIC}{topic}{_RESET}{mark} {shown}\n"
    return f"{clock} {topic}{mark} {shown}\n"


def json_line(message: Message) -> str:
    """One JSON object; bytes that are no text are in `hex`."""
    text = _text(message.payload)
    document: dict[str, object] = {"time": message.time, "topic": message.topic}
    if text is None:
        document["hex"] = message.payload.hex()
    else:
        document["payload"] = text
    document["retained"] = message.retained
    return msgspec.json.encode(document).decode() + "\n"


def _clock(seconds: float) -> str:
    try:
        return datetime.fromtimestamp(seconds).strftime("%H:%M:%S.%f")[:-3]  # noqa: DTZ006
    except (ValueError, OverflowError, OSError):
        return "--:--:--.---"


def _text(payload: bytes) -> str | None:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return None


def _bytes(payload: bytes) -> str:
    more = "…" if len(payload) > 32 else ""
    return f"({len(payload):,} bytes: {payload[:32].hex(' ')}{more})"
