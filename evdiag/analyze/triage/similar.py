"""How alike the stacks of two groups are: perhaps one defect that is reached in two ways.

The measure is the position dependent model of Dang et al., "ReBucket: a method for clustering
duplicate crash reports based on call stack similarity" (ICSE 2012), with the numbers of CASR
(https://github.com/ispras/casr): the alignment of two stacks that is worth most, where an equal
function counts the more the nearer to the crash it is in both, and the less the further it has
moved, as a share of what equal stacks are worth.

Groups are not merged for it: that is for a person to decide.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import accumulate, combinations, islice
from math import exp

import msgspec

from evdiag.analyze.names import clip
from evdiag.analyze.sign import LONGEST_FRAME
from evdiag.analyze.signature.spelling import normal
from evdiag.model.report import Report, SoftError, Thread
from evdiag.model.triage import Group, Similar

PER_LEVEL, PER_SHIFT = 0.04, 0.13
"""How quickly a function counts less: away from the crash, and away from its place."""

ALIKE_BELOW = 0.3
"""Distance from which on stacks are no longer alike."""

MOST_FRAMES = 64
"""Of a stack: those below have less than a tenth of the weight together."""

MOST_GROUPS = 300
"""That are compared, the first ones: 45,000 pairs at most, most of which differ at a glance."""

MOST_ALIGNED = 2_000
"""Pairs that need a closer look: half a millisecond each."""

MOST_SIMILAR = 5
"""That are told of one group."""

_LEVELS = [exp(-PER_LEVEL * level) for level in range(1, MOST_FRAMES + 1)]
_WORTH = [0.0, *accumulate(_LEVELS)]
"""What so many equal frames are worth if all are in the same place."""
_SHIFTS = [exp(-PER_SHIFT * shift) for shift in range(MOST_FRAMES)]


def stack_of(report: Report) -> tuple[str, ...]:
    """What of a report's stack is compared: the application's functions, innermost first.

    Those of libraries are left out, as in CASR: all aborts have five of them in common. Of threads
    that wait for each other, each one's stack, in an order that does not depend on their numbers.
    """
    if report.verdict.cls == "deadlock" and report.deadlock:
        waiting = {member.lwp for member in report.deadlock}
        stacks = sorted(_functions(thread) for thread in report.threads if thread.lwp in waiting)
        return tuple(name for stack in stacks for name in stack)[:MOST_FRAMES]
    found = _functions(report.crashed) if report.crashed is not None else []
    if not found and report.signature is not None:
        return report.signature.proto[:MOST_FRAMES]
    return tuple(found)


def _functions(thread: Thread) -> list[str]:
    names = [frame.function for frame in thread.frames if frame.in_app and frame.function]
    return [clip(normal(name), LONGEST_FRAME) for name in names[:MOST_FRAMES]]


def distance(one: Sequence[str], other: Sequence[str]) -> float:
    """0: the shorter stack is the beginning of the longer one. 1: they have nothing in common."""
    one, other = one[:MOST_FRAMES], other[:MOST_FRAMES]
    shorter = min(len(one), len(other))
    if not shorter:
        return 1.0
    above = [0.0] * (len(other) + 1)
    for i, function in enumerate(one):
        best = 0.0
        row = [best]
        for j, name in enumerate(other):
            best = max(best, above[j + 1])
            if name == function:
                worth = _LEVELS[min(i, j)] * _SHIFTS[abs(i - j)]
                best = max(best, above[j] + worth)
            row.append(best)
        above = row
    # Sums of the same numbers in another order differ in the last digit.
    return min(1.0, max(0.0, round(1.0 - above[-1] / _WORTH[shorter], 6)))


def with_similar(groups: Sequence[Group]) -> tuple[Group, ...]:
    """The groups, each with those that have nearly the same stack: the most alike first."""
    found: dict[int, list[Similar]] = defaultdict(list)
    for (i, one), (j, other) in islice(_pairs(groups), MOST_ALIGNED):
        apart = distance(one, other)
        if apart < ALIKE_BELOW:
            found[i].append(Similar(hash=groups[j].hash or "", distance=apart))
            found[j].append(Similar(hash=groups[i].hash or "", distance=apart))
    return tuple(
        msgspec.structs.replace(group, similar=_nearest(found[i])) if i in found else group
        for i, group in enumerate(groups)
    )


def not_compared(groups: Sequence[Group]) -> SoftError | None:
    """What `with_similar` leaves out of so many groups; None where it compares all of them."""
    crowded = len(_stacks(groups)) > MOST_GROUPS
    if not crowded and sum(1 for _ in islice(_pairs(groups), MOST_ALIGNED + 1)) <= MOST_ALIGNED:
        return None
    return SoftError(
        stage="similar",
        message="there are too many groups to compare each with each",
        effect="some that are alike are not named",
        hint="Groups that are crashes all of their own are listed in any case.",
    )


_Stack = tuple[int, tuple[str, ...]]
"""Index of a group, and its stack."""


def _pairs(groups: Sequence[Group]) -> Iterator[tuple[_Stack, _Stack]]:
    """Pairs of stacks that may be alike, of groups with the same class and program."""
    kinds: dict[tuple[str, str | None], list[tuple[_Stack, Counter[str]]]] = defaultdict(list)
    for i, stack in _stacks(groups)[:MOST_GROUPS]:
        kinds[groups[i].cls, groups[i].program].append(((i, stack), Counter(stack)))
    for members in kinds.values():
        for (one, bag), (other, other_bag) in combinations(members, 2):
            # However they are aligned, no more frames than that are equal.
            equal = (bag & other_bag).total()
            shorter = min(len(one[1]), len(other[1]))
            if 1 - _WORTH[equal] / _WORTH[shorter] < ALIKE_BELOW:
                yield one, other


def _stacks(groups: Sequence[Group]) -> list[_Stack]:
    """The groups that have a stack to compare."""
    return [
        (i, stack)
        for i, group in enumerate(groups)
        if group.hash and not group.unsorted and (stack := _stack(group))
    ]


def _stack(group: Group) -> tuple[str, ...]:
    """That of the core that stands for the group."""
    return next(
        (crash.proto[:MOST_FRAMES] for crash in group.cores if crash.path == group.representative),
        (),
    )


def _nearest(similar: Sequence[Similar]) -> tuple[Similar, ...]:
    return tuple(sorted(similar, key=lambda s: (s.distance, s.hash))[:MOST_SIMILAR])
