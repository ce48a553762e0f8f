"""The engine's stream of events as nouns: one JSON object after the other (`GET /events`)."""

import json
from collections.abc import Iterator

from evdiag.model.watch import ContainerEvent

LONGEST = 1 << 20
"""Bytes of one event; labels and names of a container are in each."""
ACTIONS = ("start", "die", "oom", "kill", "stop", "restart", "pause", "unpause", "destroy")


class EventReader:
    """Events out of a stream that comes in pieces, cut anywhere. Never raises."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._size = 0

    def feed(self, piece: bytes) -> Iterator[ContainerEvent]:
        """The events that are whole now; what cannot be read is left out."""
        first, *others = piece.split(b"\n")
        self._keep(first)
        for other in others:
            line = b"".join(self._rest)
            self._rest, self._size = [], 0
            event = read_event(line)
            if event is not None:
                yield event
            self._keep(other)

    def _keep(self, part: bytes) -> None:
        """The begin of an event; of one that is too large nothing after that."""
        if self._size <= LONGEST:
            self._rest.append(part)
        self._size += len(part)


def read_event(line: bytes) -> ContainerEvent | None:
    """One event of a container; None if it is none that matters here."""
    try:
        document = json.loads(line) if len(line) <= LONGEST else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict):
        return None
    action = document.get("Action", document.get("status"))
    if not isinstance(action, str) or action not in ACTIONS:
        return None
    actor = document.get("Actor")
    attributes = actor.get("Attributes") if isinstance(actor, dict) else None
    more = attributes if isinstance(attributes, dict) else {}
    told = document.get("timeNano")
    nanoseconds = told if isinstance(told, int) and 0 < told < 1 << 63 else 0
    return ContainerEvent(
        action=action,
        time=nanoseconds / 1e9 if nanoseconds else None,
        exit_code=_number(more.get("exitCode")),
        signal=_number(more.get("signal")),
    )


def _number(text: object) -> int | None:
    """A number that the engine gives as text."""
    if isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 10:
        return int(text)
    return None
