"""A list that one thread writes and another waits for: messages, lines of a log, connections."""

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")

SHOWN = 12
"""How many of the last entries a failed wait names: enough to see what came instead."""


class Journal(Generic[T]):
    """Entries in the order in which they came; nothing is ever taken out."""

    def __init__(self) -> None:
        self._entries: list[T] = []
        self._changed = threading.Condition()

    def add(self, entry: T) -> None:
        """Append an entry and wake those who wait."""
        with self._changed:
            self._entries.append(entry)
            self._changed.notify_all()

    def mark(self) -> int:
        """Where the next entry will stand: `since` for what comes from now on."""
        with self._changed:
            return len(self._entries)

    def entries(self, since: int = 0) -> tuple[T, ...]:
        """What there is by now."""
        with self._changed:
            return tuple(self._entries[since:])

    def wait(
        self,
        what: str,
        matches: Callable[[T], bool],
        *,
        since: int = 0,
        seconds: float = 30.0,
    ) -> T:
        """The first entry from `since` on that matches; an AssertionError after the deadline.

        `matches` sees each entry once and in order, so that it may count.
        """
        deadline = time.monotonic() + seconds
        seen = since
        with self._changed:
            while True:
                while seen < len(self._entries):
                    entry = self._entries[seen]
                    seen += 1
                    if matches(entry):
                        return entry
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    break
            came = [str(entry) for entry in self._entries[since:][-SHOWN:]]
        told = "\n  ".join(came) or "nothing"
        raise AssertionError(f"no {what} within {seconds:g} s; the last that came:\n  {told}")
