"""Who looks at which core when.

Symbols of a program are made when its first core is looked at: until that is done, nobody else
begins with a core of the same program. Cores of one program go to the same workers, which have its
files open already; and of each kind of crash one core comes before all others, so that whoever
interrupts a run has seen most kinds.
"""

from collections import deque
from collections.abc import Sequence

from evdiag.analyze.triage.hints import Hint

LARGEST = 16
"""Cores that a worker gets at once."""


class Schedule:
    """Cores by their numbers, handed out in portions."""

    def __init__(self, hints: Sequence[Hint | None], workers: int) -> None:
        """One hint for each core; None: it needs nothing that others need too."""
        self._workers = workers
        self._program = [hint.program if hint else None for hint in hints]
        self._waiting: dict[str | None, deque[int]] = {}
        self._warm: set[str | None] = {None}
        self._warming: set[str | None] = set()
        self._last: dict[int, str | None] = {}
        seen: set[Hint | None] = set()
        later = []
        for number, hint in enumerate(hints):
            if hint is None or hint not in seen:
                seen.add(hint)
                self._put(number)
            else:
                later.append(number)
        for number in later:
            self._put(number)

    def _put(self, number: int) -> None:
        self._waiting.setdefault(self._program[number], deque()).append(number)

    @property
    def left(self) -> int:
        """How many have not been handed out."""
        return sum(map(len, self._waiting.values()))

    def take(self, worker: int) -> list[int]:
        """A portion for a worker; empty if there is none, or none that can be begun now."""
        program = self._choose(worker)
        if program is _NOTHING:
            return []
        waiting = self._waiting[program]
        count = 1
        if program in self._warm:
            count = max(1, min(LARGEST, len(waiting) // (2 * self._workers)))
        else:
            self._warming.add(program)
        self._last[worker] = program
        taken = [waiting.popleft() for _ in range(count)]
        if not waiting:
            del self._waiting[program]
        return taken

    def _choose(self, worker: int) -> str | None:
        """The program that the worker knows, else a new one, else one that others know."""
        can = [program for program in self._waiting if program not in self._warming]
        last = self._last.get(worker, _NOTHING)
        if last in can:
            return last
        new = [program for program in can if program not in self._warm]
        return max(new or can, key=lambda program: len(self._waiting[program]), default=_NOTHING)

    def done(self, number: int) -> None:
        """A core was looked at, whatever came out."""
        program = self._program[number]
        self._warming.discard(program)
        self._warm.add(program)

    def again(self, numbers: Sequence[int]) -> None:
        """These were handed out, and not looked at."""
        for number in reversed(numbers):
            program = self._program[number]
            self._warming.discard(program)
            self._waiting.setdefault(program, deque()).appendleft(number)


_NOTHING = "\0nothing"
"""No program has such a name."""
