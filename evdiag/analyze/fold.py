"""Recursion shown once: stretches of a stack that repeat, whatever their period."""

from collections.abc import Sequence

import msgspec

MAX_PERIOD = 32
"""The longest cycle of mutual recursion that is looked for."""

MIN_ROUNDS = 3
"""Two equal rounds may be chance or a retry; three are recursion."""


class Stretch(msgspec.Struct, frozen=True):
    """`rounds` rounds of `period` items, from index `start` on."""

    start: int
    period: int
    rounds: int

    @property
    def end(self) -> int:
        """Index behind the last round."""
        return self.start + self.period * self.rounds


def find_repeats(keys: Sequence[int]) -> list[Stretch]:
    """The stretches of at least three equal rounds, in order, without overlap.

    Takes time in proportion to the length, also for 250,000 items of one recursion.
    """
    found: list[Stretch] = []
    at = 0
    while at < len(keys):
        stretch = _repeat_at(keys, at)
        if stretch is None:
            at += 1
        else:
            found.append(stretch)
            at = stretch.end
    return found


def _repeat_at(keys: Sequence[int], at: int) -> Stretch | None:
    for period in range(1, MAX_PERIOD + 1):
        if at + MIN_ROUNDS * period > len(keys):
            return None
        if keys[at] != keys[at + period]:
            continue
        count = 1
        first = keys[at : at + period]
        while keys[at + count * period : at + (count + 1) * period] == first:
            count += 1
        if count >= MIN_ROUNDS:
            return Stretch(at, period, count)
    return None
