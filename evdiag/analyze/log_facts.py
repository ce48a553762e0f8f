"""Which records of the logs are about one process, also those that do not say whose they are.

What run-time libraries print at the end (`terminate called ...`, glibc's message, the report of a
sanitizer, a traceback) has neither a process id nor a name. It stands in the log right before the
record of an end, so it belongs to the process that ended then. Where more than one process may
have said it, nobody gets it: a wrong cause is worse than none.
"""

from collections.abc import Sequence

from evdiag.analyze.causality import NAMELESS, TELL_OF_RUNS
from evdiag.analyze.incarnations import same_name
from evdiag.analyze.members import DEADLY, died_of
from evdiag.model.incident import Member, Run
from evdiag.model.logs import ExitStatus, LogEvent, LogFacts
from evdiag.model.signals import SIGABRT

MAX_EVENTS = 256
"""Events of one process that are kept: the last ones lead to its end."""

_ENDS = ("module-exit", "module-stopped", "service-exit")


def facts_of(run: Run) -> tuple[LogFacts, ...]:
    """What the logs of a run say about each of its processes, oldest first, in their order."""
    owners = nameless_owners(run)
    found: list[list[LogEvent]] = [[] for _ in run.members]
    for i, event in enumerate(run.events):
        for member, events in zip(run.members, found, strict=True):
            if owners.get(i) is member or _is_own(event, member):
                events.append(event)
    return tuple(LogFacts(events=tuple(events[-MAX_EVENTS:])) for events in found)


def _is_own(event: LogEvent, member: Member) -> bool:
    """Whether an event names the process; a name counts more than an id, which may be reused."""
    if event.module_id and member.name:
        return same_name(event.module_id, member.name)
    return event.pid is not None and event.pid == member.pid


def nameless_owners(run: Run) -> dict[int, Member]:
    """Whose the texts without a name are, by their place among the events of the run."""
    found: dict[int, Member] = {}
    if len(run.members) == 1 and not any(e.kind in TELL_OF_RUNS for e in run.events):
        return _all_its_own(run)
    sources = dict.fromkeys(event.source for event in run.events)
    for source in sources:
        places = [i for i, event in enumerate(run.events) if event.source == source]
        for block, end in _blocks(run.events, places):
            owner = _owner(run, [run.events[i] for i in block], end)
            if owner is not None:
                found |= dict.fromkeys(block, owner)
    return found


def _all_its_own(run: Run) -> dict[int, Member]:
    """The texts of the only process that there is."""
    places = [i for i, event in enumerate(run.events) if _is_nameless(event)]
    texts = [run.events[i] for i in places]
    fits = _speakers(texts) <= 1 and _fits(texts, run.members[0])
    return dict.fromkeys(places, run.members[0]) if fits else {}


def _is_nameless(event: LogEvent) -> bool:
    return event.kind in NAMELESS and event.module_id is None and event.pid is None


def _blocks(events: Sequence[LogEvent], places: Sequence[int]) -> list[tuple[list[int], LogEvent]]:
    """The nameless texts of one log between two records of an end, with the later of these."""
    found: list[tuple[list[int], LogEvent]] = []
    block: list[int] = []
    for i in places:
        event = events[i]
        if _is_nameless(event):
            block.append(i)
        elif event.kind in _ENDS:
            if block:
                found.append((block, event))
            block = []
    return found


def _owner(run: Run, texts: Sequence[LogEvent], end: LogEvent) -> Member | None:
    """Who said these texts: the first fault before its end, else the only one that may have."""
    if _speakers(texts) > 1:
        return None
    first = run.first
    if first is not None and end in first.ends and _fits(texts, first):
        return first
    # While all are being ended, several may go at once, in any order; the first is gone by then.
    gone = first is not None and any(_is_before(event, texts[0]) for event in first.ends)
    return _only(run, texts, first if gone else None)


def _is_before(event: LogEvent, text: LogEvent) -> bool:
    return event.source == text.source and event.line < text.line


def _only(run: Run, texts: Sequence[LogEvent], besides: Member | None) -> Member | None:
    """The only process, besides one, that can have said it."""
    able = [m for m in run.members if m is not besides and not m.manager and _fits(texts, m)]
    return able[0] if len(able) == 1 else None


def _speakers(texts: Sequence[LogEvent]) -> int:
    """How many processes spoke at least: each says each of these but once."""
    kinds = [event.kind for event in texts]
    return max((kinds.count(kind) for kind in ("terminate", "script")), default=0)


def _fits(texts: Sequence[LogEvent], member: Member) -> bool:
    """Whether a process that ended like this can have said that."""
    return all(_can_say(NAMELESS[text.kind], member.status) for text in texts)


def _can_say(ending: str, status: ExitStatus | None) -> bool:
    if status is None:
        return True
    number = died_of(status)
    if ending == "abort":
        return number == SIGABRT
    if ending == "code":
        return number is None and bool(status.code)
    return number in DEADLY or bool(status.code)
