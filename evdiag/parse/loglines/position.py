"""Where reading of a container's output stopped, to go on there without a gap or a repetition."""

from datetime import UTC, datetime

from evdiag.parse.loglines.frames import Entry


class Position:
    """After the last line that was seen. The engine gives out lines from a time on, so those of
    the very same time come again; they are counted."""

    def __init__(self) -> None:
        self.stamp = ""
        self._count = 0
        self._passed = 0
        self._going = True

    def reopened(self) -> str:
        """The stream is asked for again: from what time on, in seconds since 1970."""
        self._passed, self._going = 0, not self.stamp
        return seconds_of_stamp(self.stamp) if self.stamp else ""

    def fresh(self, entries: list[Entry]) -> list[Entry]:
        """Those of the lines that were not seen before."""
        if not self._going:
            entries = self._unseen(entries)
        for entry in reversed(entries):
            if entry.stamp:
                self._remember(entries, entry.stamp)
                break
        return entries

    def _unseen(self, entries: list[Entry]) -> list[Entry]:
        for at, entry in enumerate(entries):
            if entry.stamp > self.stamp or not entry.stamp:
                self._going = True
                return entries[at:]
            if entry.stamp == self.stamp:
                self._passed += 1
                if self._passed > self._count:
                    self._going = True
                    return entries[at:]
        return []

    def _remember(self, entries: list[Entry], stamp: str) -> None:
        same = sum(entry.stamp == stamp for entry in entries)
        self._count = same + (self._count if stamp == self.stamp else 0)
        self.stamp = stamp


def seconds_of_stamp(stamp: str) -> str:
    """`2026-11-23T00:48:15.520373493Z` in seconds since 1970, with all its digits."""
    try:
        moment = datetime.fromisoformat(stamp[:19]).replace(tzinfo=UTC)
    except ValueError:
        return ""
    digits = stamp[20:29].rstrip("Z") if stamp[19:20] == "." else ""
    return f"{int(moment.timestamp())}.{digits or '0'}"
