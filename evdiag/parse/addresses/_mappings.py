"""Where files lie in memory, as far as the text itself has told it so far."""

from bisect import bisect_left, bisect_right

import msgspec

MOST = 4096
"""Mappings that are remembered; with one more all older ones are forgotten."""


class Mapping(msgspec.Struct, frozen=True, kw_only=True):
    """A range of memory with code in it."""

    start: int
    end: int
    module: str
    base: int
    kind: str
    """Of the mentions that lie in it."""


class Mappings:
    """The newest mapping wins: another process may have others at the same place."""

    def __init__(self) -> None:
        self._rows: list[Mapping] = []  # in order, and apart from each other
        self._first: dict[str, int] = {}

    def add(self, row: Mapping) -> None:
        """Remember where code is; what was said of the same place before is wrong now."""
        if len(self._rows) >= MOST:
            self._rows.clear()
        low = bisect_right(self._rows, row.start, key=lambda other: other.end)
        high = bisect_left(self._rows, row.end, key=lambda other: other.start)
        self._rows[low:high] = [row]

    def begin(self, module: str, start: int) -> None:
        """Remember where the first mapping of a file is."""
        if len(self._first) >= MOST:
            self._first.clear()
        self._first[module] = start

    def base(self, module: str) -> int | None:
        """Where the first mapping of a file is."""
        return self._first.get(module)

    def at(self, address: int) -> Mapping | None:
        """The mapping that holds an address."""
        place = bisect_right(self._rows, address, key=lambda row: row.start) - 1
        if place >= 0 and address < self._rows[place].end:
            return self._rows[place]
        return None
