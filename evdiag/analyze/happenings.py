"""Happenings from many files as one list: told once, each request with its answer, routine folded.

All lists are in the order of time; every step reads its list once.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence

import msgspec

from evdiag.model.timeline import FROM_CAR, FROM_CSMS, LOCAL, TO_CAR, TO_CSMS, Happening

QUARTER = 900.0
"""Seconds: all zones of the world differ by whole quarters of an hour."""
FARTHEST_ZONE = 14 * 3600 + QUARTER
NEAR = 60.0
"""Seconds that two records of one thing may be apart."""
TWICE = 2.0
"""Seconds within which another file tells the same: raw text has the time of the line before."""
SOON = 1.0
"""Seconds: an answer that comes later is a line of its own."""
MOST_REMEMBERED = 64
"""Happenings of one kind and text that wait for their like."""

_BACK = {TO_CSMS: FROM_CSMS, FROM_CSMS: TO_CSMS, TO_CAR: FROM_CAR, FROM_CAR: TO_CAR}


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """A happening of the list, and what became of it."""

    happening: Happening
    count: int = 1
    answered_after: float | None = None
    answered: bool | None = None
    """None where it wants no answer."""


def zone(pairs: Iterable[tuple[float, float]]) -> float | None:
    """Seconds by which a local clock is ahead of UTC, by times of the same things on both.

    None if they do not tell: a zone is a number of quarters of an hour, and few may disagree.
    """
    votes: dict[float, int] = {}
    for local, utc in pairs:
        ahead = round((local - utc) / QUARTER) * QUARTER
        if abs(ahead) <= FARTHEST_ZONE and abs(local - utc - ahead) <= NEAR:
            votes[ahead] = votes.get(ahead, 0) + 1
    return min(votes, key=lambda ahead: (-votes[ahead], abs(ahead)), default=None)


def by_one_clock(happenings: Iterable[Happening], ahead: float | None) -> list[Happening]:
    """All with their times in UTC; what has no time is left out."""
    offset = ahead or 0.0
    return [
        msgspec.structs.replace(each, time=each.time - offset)
        if each.clock == LOCAL and offset
        else each
        for each in happenings
        if each.time is not None
    ]


def time_of(happening: Happening) -> float:
    """Its time; those without one are the oldest."""
    return happening.time or 0.0


def millisecond(time: float) -> int:
    """The time as most sources tell it: they cut off what is less."""
    scaled = time * 1000 + 0.001
    return math.floor(scaled) if math.isfinite(scaled) else 0


def in_order(happenings: Iterable[Happening]) -> list[Happening]:
    """Oldest first; within a millisecond in the order of the files, which says more."""
    return sorted(happenings, key=lambda each: millisecond(time_of(each)))


def once(happenings: Iterable[Happening]) -> list[Happening]:
    """Each thing once, also where several files tell it; what a file tells twice happened twice."""
    waiting: dict[tuple[object, ...], deque[tuple[float, set[str]]]] = {}
    found: list[Happening] = []
    for each in happenings:
        key = (each.kind, each.text, each.direction, each.call, each.is_answer)
        time = time_of(each)
        others = waiting.setdefault(key, deque(maxlen=MOST_REMEMBERED))
        while others and time - others[0][0] > max(TWICE, each.precision):
            others.popleft()
        same = next((sources for _, sources in others if each.source not in sources), None)
        if same is not None:
            same.add(each.source)
        else:
            others.append((time, {each.source}))
            found.append(each)
    return found


def answered(happenings: Sequence[Happening]) -> list[Told]:
    """Each request with its answer; who never got one is told so."""
    answers = _pairs(happenings)
    requests = {answer: request for request, answer in answers.items()}
    found: list[Told] = []
    for i, each in enumerate(happenings):
        if i in answers:
            found.append(_with_answer(each, happenings[answers[i]]))
        elif not each.is_answer:
            found.append(Told(happening=each, answered=None if each.call is None else False))
        elif i not in requests or not _is_soon(happenings[requests[i]], each):
            found.append(Told(happening=_answer(each)))
    return found


def _pairs(happenings: Sequence[Happening]) -> dict[int, int]:
    """The places of answers by those of their requests."""
    asked: dict[tuple[str, str | None], int] = {}
    found: dict[int, int] = {}
    for i, each in enumerate(happenings):
        if each.call is None:
            continue
        if not each.is_answer:
            asked[each.call, each.direction] = i
        else:
            request = asked.pop((each.call, _BACK.get(each.direction or "")), None)
            if request is not None:
                found[request] = i
    return found


def _with_answer(request: Happening, answer: Happening) -> Told:
    soon = _is_soon(request, answer)
    says = answer.text if soon and answer.kind == "ocpp" else ""
    text = f"{request.text}: {says}" if says else request.text
    is_error = answer.text.startswith("error")
    return Told(
        happening=msgspec.structs.replace(
            request, text=text, routine=None if is_error or not soon else request.routine
        ),
        answered=True,
        answered_after=_between(request, answer),
    )


def _answer(answer: Happening) -> Happening:
    """An answer that stands alone."""
    says = answer.text if answer.kind == "ocpp" else ""
    text = ": ".join(part for part in (f"answer to {answer.name or answer.text}", says) if part)
    return msgspec.structs.replace(answer, text=text)


def _is_soon(request: Happening, answer: Happening) -> bool:
    return _between(request, answer) <= SOON


def _between(request: Happening, answer: Happening) -> float:
    return max(0.0, time_of(answer) - time_of(request))


def folded(told: Iterable[Told]) -> list[Told]:
    """Routine between two other things together, each kind of it at the time of its last."""
    found: list[Told] = []
    stretch: dict[tuple[str, str | None, str, bool], Told] = {}
    for each in told:
        happening = each.happening
        if happening.routine is None:
            found += stretch.values()
            stretch = {}
            found.append(each)
            continue
        lost = each.answered is False
        key = (happening.kind, happening.direction, happening.routine, lost)
        before = stretch.pop(key, None)  # the order is that of the last ones
        count = each.count + (before.count if before is not None else 0)
        stretch[key] = msgspec.structs.replace(each, count=count)
    return found + list(stretch.values())
