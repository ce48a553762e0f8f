"""A triage that was written as JSON, read again as a baseline. It may come from anybody."""

from typing import Any

import msgspec

from evdiag.errors import NotABaseline
from evdiag.model.report import Address
from evdiag.model.triage import SCHEMA, Group, Triage

LONGEST_TRIAGE = 1 << 29
"""Bytes. Nearly all of them are reports, of which the largest have some hundred kilobytes."""

MOST_GROUPS = 100_000
MOST_CORES = 1_000_000
_FAMILY = SCHEMA.partition("/")[0] + "/"


class _Schema(msgspec.Struct):
    """What a document says that it is."""

    schema: str


class _Group(Group, frozen=True, kw_only=True):
    """A group whose report stays what it is in the file: nobody needs it."""

    report: msgspec.Raw = msgspec.Raw()  # type: ignore[assignment]  # null too


class _Triage(Triage, frozen=True, kw_only=True):
    groups: tuple[_Group, ...] = ()


def read_triage(data: bytes) -> Triage:
    """The triage without the reports of its groups. Raises NotABaseline."""
    if len(data) > LONGEST_TRIAGE:
        raise NotABaseline(f"it has {len(data):,} bytes")
    try:
        schema = msgspec.json.decode(data, type=_Schema).schema
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise NotABaseline("it is no JSON that evdiag has written") from None
    if schema != SCHEMA:
        if schema.startswith(_FAMILY):
            raise NotABaseline(
                "it was made by another version of evdiag, with another format",
                advice="Make it again, or update evdiag: `pip install --upgrade evdiag`.",
            )
        raise NotABaseline("it is no triage, but another document")
    try:
        found = msgspec.json.decode(data, type=_Triage, dec_hook=_decode_hook)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotABaseline(f"it is damaged: {str(error)[:200]}") from None
    cores = sum(len(group.cores) for group in found.groups)
    if len(found.groups) > MOST_GROUPS or cores > MOST_CORES:
        raise NotABaseline(f"it has {len(found.groups):,} groups with {cores:,} cores")
    fields = _fields(found, "groups")
    return Triage(**fields, groups=tuple(Group(**_fields(g, "report")) for g in found.groups))


def _fields(noun: msgspec.Struct, left_out: str) -> dict[str, Any]:
    return {name: getattr(noun, name) for name in noun.__struct_fields__ if name != left_out}


def _decode_hook(kind: type, value: Any) -> Address:  # noqa: ANN401 - whatever the JSON holds
    assert kind is Address
    return Address(int(value, 16))
