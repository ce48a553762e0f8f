"""What is new since an earlier triage, and what did not come again."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from evdiag.analyze.triage.groups import Key, key_by_address
from evdiag.model.report import SoftError
from evdiag.model.triage import Gone, Group, Triage

NEW, KNOWN = "new", "known"

_Addresses = Mapping[tuple[Key, bool], set[str]]
"""Groups by the address of a member, and by whether that one has symbols."""


def compared(
    groups: Sequence[Group], baseline: Triage
) -> tuple[tuple[Group, ...], tuple[Gone, ...]]:
    """The groups, each new or known, and those of the baseline that are gone.

    A group that has symbols in one of the two only is known by its address, where that leads to
    one group alone.
    """
    earlier = {name: group for group in baseline.groups if (name := group.hash)}
    addresses = _addresses(baseline.groups)
    found: set[str] = set()
    out = []
    for group in groups:
        known = _known(group, earlier, addresses)
        found |= known
        out.append(msgspec.structs.replace(group, status=KNOWN if known else NEW))
    return tuple(out), tuple(_gone(name, old) for name, old in earlier.items() if name not in found)


def doubts(groups: Sequence[Group], baseline: Triage) -> tuple[SoftError, ...]:
    """Why new groups may be known ones, and gone ones still there."""
    found: list[SoftError] = []
    mine, theirs = _versions(groups), _versions(baseline.groups)
    if mine and theirs and mine != theirs:
        found.append(
            SoftError(
                stage="baseline",
                message="the baseline was made by an evdiag that signs crashes in another way",
                effect="known crashes count as new, and as gone",
                hint="Make the baseline again from its cores.",
            )
        )
    if baseline.run.interrupted:
        found.append(
            SoftError(
                stage="baseline",
                message="the baseline is of a run that was interrupted",
                effect="what counts as new may be older than it",
                hint="Make the baseline again: what was done is not done twice.",
            )
        )
    return tuple(found)


def _known(group: Group, earlier: Mapping[str, Group], addresses: _Addresses) -> set[str]:
    """Which of the earlier groups it is: by its name, else the only one with its address."""
    name = group.hash or ""
    old = earlier.get(name)
    # Hashes are short: two texts with the same one are two crashes.
    if old is not None and old.signature == group.signature:
        return {name}
    found: set[str] = set()
    for crash in group.cores:
        if (key := key_by_address(crash)) is not None:
            found |= addresses.get((key, not crash.symbols), set())
    return found if len(found) == 1 else set()


def _addresses(groups: Sequence[Group]) -> _Addresses:
    found: dict[tuple[Key, bool], set[str]] = defaultdict(set)
    for group in groups:
        for crash in group.cores:
            if group.hash and (key := key_by_address(crash)) is not None:
                found[key, crash.symbols].add(group.hash)
    return found


def _versions(groups: Sequence[Group]) -> set[str]:
    """The beginnings of signatures: `sig:v1`."""
    return {":".join(group.signature.split(":", 2)[:2]) for group in groups if group.signature}


def _gone(name: str, group: Group) -> Gone:
    return Gone(
        hash=name,
        signature=group.signature,
        title=group.title,
        count=group.count,
        last_seen=group.last_seen,
    )
