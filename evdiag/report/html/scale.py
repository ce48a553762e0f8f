"""Where moments stand in a drawing: quiet stretches are shortened, so that bursts can be read."""

import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from typing import Final, TypeVar

QUICK: Final = 0.02
"""Seconds below which a stretch is drawn to scale; a longer one grows with its logarithm."""
_DIGITS: Final = 4
"""Logs have milliseconds; what is nearer to each other is at one place."""
_ROUND: Final = (
    *(60.0, 10.0, 1.0, 0.1, 600.0, 30.0, 5.0, 20.0, 0.01, 300.0, 120.0, 2.0, 0.5, 40.0, 15.0),
    *(0.2, 0.05, 3600.0),
)
"""Seconds before or after a crash that are told on the axis, the most telling ones first."""

_Item = TypeVar("_Item")


class Scale:
    """From seconds to pixels: moments that are known stand apart, others between them."""

    def __init__(self, moments: Iterable[float], left: float, right: float) -> None:
        self._moments = sorted({round(moment, _DIGITS) for moment in moments})
        steps = [0.0]
        for before, after in zip(self._moments, self._moments[1:], strict=False):
            steps.append(steps[-1] + math.log1p((after - before) / QUICK))
        factor = (right - left) / steps[-1] if steps[-1] > 0 else 0.0
        self._places = [left + step * factor for step in steps]

    def place(self, moment: float) -> float:
        """Where a moment is; one before the first or after the last is at the end."""
        i = bisect_right(self._moments, moment)
        if i == 0 or i == len(self._moments):
            return self._places[0 if i == 0 else -1]
        before, after = self._moments[i - 1], self._moments[i]
        part = (moment - before) / (after - before)
        return self._places[i - 1] + part * (self._places[i] - self._places[i - 1])

    def ticks(self, apart: float) -> list[tuple[float, float]]:
        """Round moments with their places, from left to right, at least so far from each other."""
        first, last = self._moments[0], self._moments[-1]
        found = [(0.0, self.place(0.0))] if first <= 0 <= last else []
        for seconds in _ROUND:
            for moment in (-seconds, seconds):
                if first <= moment <= last:
                    place = self.place(moment)
                    if all(abs(place - other) >= apart for _, other in found):
                        found.append((moment, place))
        return sorted(found)


def bunches(
    items: Sequence[_Item], place: Callable[[_Item], float], apart: float
) -> list[tuple[float, list[_Item]]]:
    """Items that would touch each other as one: the middle of each bunch, and what is in it."""
    found: list[tuple[float, list[_Item]]] = []
    for item in items:
        x = place(item)
        if found and x - found[-1][0] < apart:
            middle, members = found[-1]
            members.append(item)
            found[-1] = (middle + (x - middle) / len(members), members)
        else:
            found.append((x, [item]))
    return found
