"""Which crashes come again and again: these are told once, and then only counted.

A crash is known by its signature. Before its core was looked at only module and signal are known:
with the same ones it may be one that has looped a moment ago.
"""

import msgspec

from evdiag.model.watch import Crash, Loop

LOOP_COUNT, LOOP_SECONDS = 3, 600.0
"""So often within this time the same crash is a loop."""


Identity = tuple[str, ...]
"""What tells a crash from others."""


class _Row(msgspec.Struct):
    first: float
    times: list[float]
    """The last ones."""
    count: int = 0
    uncollected: int = 0
    looping: bool = False
    title: str = ""

    def add(self, now: float) -> None:
        self.count += 1
        self.times = [*self.times[1 - LOOP_COUNT :], now]

    def loop(self) -> Loop:
        return Loop(
            count=self.count,
            first=self.first,
            last=self.times[-1],
            looping=self.looping,
            uncollected=self.uncollected,
        )


class Loops:
    """All crashes of one container so far. Times are in seconds since 1970."""

    def __init__(self) -> None:
        self._rows: dict[Identity, _Row] = {}
        self._seen: dict[tuple[str, str], list[Identity]] = {}
        """The crashes of that module by that signal, the last one at the end."""

    def suspects(self, crash: Crash, now: float) -> list[Identity]:
        """The loops that a crash may belong to, the last one first; none: it is to be collected."""
        found = []
        for identity in reversed(self._seen.get(crash.key, [])):
            row = self._rows[identity]
            if now - row.times[-1] > LOOP_SECONDS:
                row.looping = False  # that was over
            if row.looping:
                found.append(identity)
        return found

    def count(self, identity: Identity, now: float) -> tuple[str, Loop]:
        """Count a crash of a loop, which is not collected. Its title comes back."""
        row = self._rows[identity]
        row.uncollected += 1
        row.add(now)
        return row.title, row.loop()

    def add(self, crash: Crash, identity: Identity, title: str, now: float) -> tuple[Loop, bool]:
        """Count a crash that was looked at; `identity` is what tells it from others.

        Whether it is a loop since now, and so has to be told, comes with it.
        """
        row = self._rows.setdefault(identity, _Row(first=now, times=[]))
        seen = self._seen.setdefault(crash.key, [])
        seen[:] = [*(other for other in seen if other != identity), identity]
        row.title = title
        row.add(now)
        was, often = row.looping, len(row.times) == LOOP_COUNT
        row.looping = was or (often and now - row.times[0] <= LOOP_SECONDS)
        return row.loop(), row.looping and not was

    def backs_off(self, crash: Crash, times: int) -> tuple[str, Loop] | None:
        """EVerest's start script waits, for it ended so often: whether that is a loop since now."""
        seen = self._seen.get(crash.key)
        row = self._rows[seen[-1]] if seen else None
        if row is None or row.looping or times < LOOP_COUNT or row.count < LOOP_COUNT - 1:
            return None
        row.looping = True
        return row.title, row.loop()

    def rest(self) -> list[tuple[str, Loop]]:
        """The crashes that were only counted, for the end."""
        return [(row.title, row.loop()) for row in self._rows.values() if row.uncollected]
