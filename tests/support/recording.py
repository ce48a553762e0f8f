"""What a real EVerest published while a car charged: what it said at any moment of that."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self


class Entry(NamedTuple):
    """One message: seconds since the recording began, topic and payload."""

    seconds: float
    topic: str
    payload: str


@dataclass(frozen=True, slots=True)
class Recording:
    """The messages of one connector and of the charger, in their order, without repeated ones."""

    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file that `tests.browser.recordings.compact` made."""
        lines = path.read_text(encoding="utf-8").splitlines()
        read = (json.loads(line) for line in lines)
        return cls(tuple(Entry(seconds, topic, text(said)) for seconds, topic, said in read))

    def at(self, seconds: float) -> dict[str, str]:
        """What was said last on each topic by that moment."""
        return {entry.topic: entry.payload for entry in self.entries if entry.seconds <= seconds}

    def between(self, begin: float, end: float) -> list[Entry]:
        """What was said after one moment and until another."""
        return [entry for entry in self.entries if begin < entry.seconds <= end]


def text(said: Any) -> str:  # noqa: ANN401  # whatever JSON holds
    """A payload: words as they are, all else as JSON."""
    return said if isinstance(said, str) else json.dumps(said)
