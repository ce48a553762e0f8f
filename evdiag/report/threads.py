"""The words about threads: who shares a stack, what each one did, who waits for whom."""

from collections.abc import Iterable, Mapping

from evdiag.analyze.names import function
from evdiag.model.report import Report, Thread
from evdiag.report.words import MOST_NUMBERS, count, name_of, thread_name

MOST_DEADLOCKED = 8
"""Threads of a circle of waits whose stacks are shown with it."""
NOBODY: Mapping[int, str] = {}
_WITHOUT_OWNER = {"condition variable", "semaphore", "future", "atomic", "futex", "lock"}
"""What nobody holds, so that its address helps nobody."""
_LOCKS = {"rwlock": "read-write lock"}


def thread_groups(threads: Iterable[Thread]) -> list[tuple[Thread, ...]]:
    """The threads in groups of equal stacks, in the order of their first members."""
    groups: dict[object, list[Thread]] = {}
    for thread in threads:
        key: object = thread.group
        if key is None:
            key = tuple((frame.pc, frame.function, frame.line) for frame in thread.frames)
        groups.setdefault(key, []).append(thread)
    return [tuple(members) for members in groups.values()]


def others(report: Report) -> list[tuple[Thread, ...]]:
    """The threads that did not crash, in groups of equal stacks."""
    return thread_groups(thread for thread in report.threads if not thread.crashed)


def others_title(report: Report) -> str:
    """How many other threads there are, and in how many stacks."""
    groups = others(report)
    threads = sum(map(len, groups))
    stacks = ""
    if len(groups) < threads:
        stacks = " with the same stack" if len(groups) == 1 else f" in {len(groups)} stacks"
    return f"{count(threads, 'other thread')}{stacks}"


def group_title(threads: tuple[Thread, ...], names: Mapping[int, str] = NOBODY) -> str:
    """Who shares a stack, and what they do; `names` are those of `thread_names`."""
    first = threads[0]
    if len(threads) == 1:
        return ", ".join(text for text in (thread_name(first), doing(first, names)) if text)
    numbers = " ".join(f"#{thread.number}" for thread in threads[:MOST_NUMBERS])
    hidden = len(threads) - MOST_NUMBERS
    more = f" and {hidden} more" if hidden > 0 else ""
    roles = ", ".join(dict.fromkeys(thread.role for thread in threads if thread.role))
    spot = next((frame for frame in first.frames if frame.in_app), None)
    what = dict.fromkeys(doing(thread, names) for thread in threads)
    states = dict.fromkeys(thread.state for thread in threads)
    texts = [
        f"{len(threads)} threads: {numbers}{more}" + (f" ({roles})" if roles else ""),
        next(iter(what)) if len(what) == 1 else ", ".join(filter(None, states)),
        "" if spot is None else f"all in {function(name_of(spot), 60)}",
    ]
    return ", ".join(text for text in texts if text)


def thread_names(report: Report) -> dict[int, str]:
    """What to call the threads where another one is spoken of: `#7 meter (LWP 4127)`."""
    return {thread.lwp: thread_name(thread) for thread in report.threads if thread.lwp is not None}


def doing(thread: Thread, names: Mapping[int, str] = NOBODY) -> str:
    """What a thread did in the end: whom it waited for, or else its state."""
    wait = thread.waits_for
    if wait is None or (wait.owner_lwp is None and wait.kind in _WITHOUT_OWNER):
        return thread.state or ""
    return waiting(thread, names)


def waiting(thread: Thread, names: Mapping[int, str] = NOBODY) -> str:
    """Whom a thread waits for."""
    wait = thread.waits_for
    if wait is None:
        return ""
    owner = wait.owner_lwp
    other = "" if owner is None else names.get(owner, f"LWP {owner}")
    if owner is not None and owner == thread.lwp:
        other = "itself"
    if wait.kind == "join":
        return f"waits for {other or 'a thread'} to end"
    lock = _LOCKS.get(wait.kind or "", wait.kind) or "lock"
    where = f"a {lock}" if wait.address is None else f"the {lock} at {wait.address}"
    return f"waits for {where}" + (f", held by {other}" if other else "")


def deadlock(report: Report) -> list[str]:
    """A line for each thread of a circle of waits: who it is, and whom it waits for."""
    named = thread_names(report)
    lines = []
    for member in report.deadlock:
        thread = Thread(
            number=member.thread or 0, lwp=member.lwp, role=member.role, waits_for=member.waits_for
        )
        known = member.thread is not None
        who = thread_name(thread) if known else f"LWP {member.lwp}"
        lines.append(f"{who} {waiting(thread, named)}".rstrip())
    return lines


def told_above(report: Report, group: tuple[Thread, ...]) -> bool:
    """Whether the stack of these threads stands with the deadlock already."""
    members = {member.lwp for member in report.deadlock[:MOST_DEADLOCKED]}
    return any(thread.lwp in members for thread in group)
