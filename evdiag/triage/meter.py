"""How far a run is, how quick it is, and how long it will still take."""

import time
from collections.abc import Callable

Clock = Callable[[], float]

SOON = 3.0
"""Seconds after which a rate means something."""


class Meter:
    """Counts what is done of one stage."""

    def __init__(self, what: str, total: int, clock: Clock = time.monotonic) -> None:
        """`what` names the stage: `stacks`."""
        self.what, self.total, self.done = what, total, 0
        self._clock = clock
        self._begun = clock()

    def step(self) -> None:
        """One more is done."""
        self.done += 1

    def text(self) -> str:
        """One line: `stacks: 312 of 1000 cores, 85 a second, 8 s left`."""
        line = f"{self.what}: {self.done} of {self.total} cores"
        seconds = self._clock() - self._begun
        if not self.done or seconds < SOON:
            return line
        rate = self.done / seconds
        left = (self.total - self.done) / rate
        told = f"{rate:.0f} a second" if rate >= 2 else f"{rate * 60:.0f} a minute"
        return f"{line}, {told}, {_duration(left)} left"


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 100:
        return f"{whole} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
