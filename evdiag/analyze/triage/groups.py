"""Crashes that are one: a group for each signature, and none with two crashes in it.

A signature's text tells crashes apart where the application's functions stand in it. Where they
have no names, or where there are none, the address signature and the build have to be the same
too. Nothing else is merged: two groups of one crash cost a reader less than one group of two.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from evdiag.analyze.sign import HASH_DIGITS
from evdiag.analyze.signature.digest import sha256
from evdiag.model.triage import BuildCount, Crash, Group, Line, Place

Key = tuple[str | None, ...]

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)")
_SEPARATOR = " | "


def grouped(crashes: Iterable[Crash]) -> tuple[Group, ...]:
    """The groups that crashes fall into: the most frequent first, then the one seen last.

    The order of the crashes does not matter.
    """
    members: dict[Key, list[Crash]] = defaultdict(list)
    for crash in crashes:
        members[_key(crash)].append(crash)
    _name_the_nameless(members)
    names = _names(members)
    groups = [_group(names[key], found) for key, found in members.items()]
    return tuple(sorted(groups, key=_rank))


def moment(text: str | None) -> str:
    """A date and a time that can be compared; empty where it is none, or has no date."""
    found = _MOMENT.match(text or "")
    return f"{found[1]} {found[2]}" if found else ""


def key_by_address(crash: Crash) -> Key | None:
    """What two cores of one crash share if only one of them has symbols; None: nothing does.

    The address has build-ids and offsets. The class and its detail are known without symbols.
    """
    if crash.address is None or crash.anonymous or not crash.signature:
        return None
    return (*_head(crash), crash.cls, crash.program, crash.address)


# -- which belong together


def _key(crash: Crash) -> Key:
    if crash.signature and crash.symbols and not crash.anonymous:
        return (crash.signature,)
    # Such a text may hold for two builds, or for two crashes in the same library.
    return (
        crash.signature,
        crash.cls,
        crash.program,
        crash.address,
        crash.build_id,
        *_unsorted(crash),
    )


def _unsorted(crash: Crash) -> tuple[str, ...]:
    """A mark where nothing tells whether two crashes are one.

    All that end in abort() have the same innermost frame, and where the stack is lost it is the
    only one. A library that the application called is named in the text.
    """
    if crash.signature and not crash.anonymous:
        return ()
    named = _SEPARATOR.join(_head(crash)) != crash.signature
    sure = crash.signature and named and crash.address is not None and not crash.truncated
    return () if sure else ("unsorted",)


def _head(crash: Crash) -> list[str]:
    """Program, class and detail, as they stand in the signature."""
    return (crash.signature or "").split(_SEPARATOR)[:2]


def _name_the_nameless(members: dict[Key, list[Crash]]) -> None:
    """Move cores without symbols to the one group that has the same code with its names."""
    named: dict[Key, set[Key]] = defaultdict(set)
    nameless: list[Key] = []
    for key, crashes in members.items():
        for crash in crashes:
            address = key_by_address(crash)
            if address is not None and crash.symbols:
                named[address].add(key)
        if not crashes[0].symbols:
            nameless.append(key)
    for key in nameless:
        # All of them have the same address: it is part of their key.
        address = key_by_address(members[key][0])
        targets = named.get(address, set()) if address is not None else set()
        if len(targets) == 1:
            members[next(iter(targets))] += members.pop(key)


def _names(members: Mapping[Key, Sequence[Crash]]) -> dict[Key, str]:
    """A short name for each group, no two the same: where it can be, the hash of the signature."""
    names = {key: _name(key, crashes) for key, crashes in members.items()}
    taken = Counter(names.values())
    return {
        key: name if taken[name] == 1 else _digest(key, 2 * HASH_DIGITS)
        for key, name in names.items()
    }


def _name(key: Key, crashes: Sequence[Crash]) -> str:
    own = (crash.hash for crash in crashes if len(key) == 1 and _key(crash) == key)
    return min(filter(None, own), default="") or _digest(key, HASH_DIGITS)


def _digest(key: Key, digits: int) -> str:
    # Fields cannot run into each other: a text of the process may hold any separator.
    return sha256(repr(key))[:digits]


# -- what a group is like


def _group(name: str, crashes: Sequence[Crash]) -> Group:
    newest_first = sorted(crashes, key=lambda crash: crash.path)
    newest_first.sort(key=lambda crash: moment(crash.seen), reverse=True)
    best = min(newest_first, key=_lacks)
    seen = [crash.seen for crash in newest_first if moment(crash.seen)]
    return Group(
        hash=name,
        signature=best.signature,
        title=best.title,
        cls=best.cls,
        confidence=best.confidence,
        summary=best.summary,
        program=best.program,
        unsorted=bool(_unsorted(best)),
        count=len(newest_first),
        first_seen=seen[-1] if seen else None,
        last_seen=seen[0] if seen else None,
        builds=_builds(newest_first),
        modules=tuple(sorted({c.module_id for c in newest_first if c.module_id})),
        lines=_lines(newest_first),
        representative=best.path,
        cores=tuple(newest_first),
    )


def _lacks(crash: Crash) -> tuple[bool, ...]:
    """What a core lacks, the worst first; of equal ones the newest is taken."""
    return (not crash.symbols, crash.truncated, crash.place.line is None)


def _rank(group: Group) -> tuple[bool, int, bool, tuple[int, ...], str]:
    """The most frequent first, then the one seen last. What could not be sorted is at the end."""
    last = moment(group.last_seen)
    newest_first = tuple(-ord(char) for char in last)
    return group.unsorted, -group.count, not last, newest_first, group.hash or ""


def _builds(crashes: Iterable[Crash]) -> tuple[BuildCount, ...]:
    counts = Counter((crash.build_id, crash.image) for crash in crashes)
    ordered = sorted(counts.items(), key=lambda item: (-item[1], *(x or "" for x in item[0])))
    return tuple(BuildCount(build_id=id_, image=image, count=n) for (id_, image), n in ordered)


def _lines(crashes: Iterable[Crash]) -> tuple[Line, ...]:
    """Places by their line; where that is not known, by their address."""
    found: dict[tuple[object, ...], Place] = {}
    counts: Counter[tuple[object, ...]] = Counter()
    for crash in crashes:
        place = crash.place
        if place == Place():
            continue
        by_line = place.file is not None and place.line is not None
        key: tuple[object, ...] = (
            (place.file, place.line) if by_line else msgspec.structs.astuple(place)
        )
        counts[key] += 1
        found.setdefault(key, place)
    ordered = sorted(found, key=lambda key: (-counts[key], str(found[key])))
    return tuple(Line(place=found[key], count=counts[key]) for key in ordered)
