"""Hypothesis makes any noun out of the types of its fields, so new fields are covered at once."""

from collections.abc import Mapping
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

import msgspec
from hypothesis import strategies as st

from evdiag.model.report import SCHEMA, Address, Noun, Report, Variable

# Lone surrogates and unassigned characters too: they come out of broken memory.
TEXT = st.text(st.characters(exclude_categories=()), max_size=12)

VALUES = st.sampled_from(
    (
        *("0x0", "0x7fff5c3a1b20", "12.5", "<optimized out>", '"connector-2"', "-1", "", " " * 999),
        *("@0x8: <error: Cannot access memory at address 0x8>", "{connector = 1, " * 200),
        *("std::vector of length -2, capacity 9 = {16, 32}", "(X *) 0x4141414141414141"),
        *("名" * 999, "std::unique_ptr<X> = {get() = 0x0}"),
    )
)
"""What gdb says about variables, beside any text."""

_SCALARS: Mapping[object, st.SearchStrategy[Any]] = {
    str: TEXT,
    int: st.integers(0, 2**53),
    float: st.floats(0, 1e6),
    bool: st.booleans(),
    Address: st.integers(0, 2**64 - 1).map(Address),
    type(None): st.none(),
}


def nouns(kind: type[Noun]) -> st.SearchStrategy[Any]:
    """Any noun of that kind."""
    fields = {
        field.name: values(field.type)
        for field in msgspec.structs.fields(kind)
        if field.name != "schema"
    }
    if kind is Variable:
        fields["value"] = st.one_of(st.none(), VALUES, TEXT)
    return st.builds(kind, **fields)


def values(kind: Any) -> st.SearchStrategy[Any]:  # noqa: ANN401 - any annotation there is
    """Any value of a field with that annotation."""
    if kind in _SCALARS:
        return _SCALARS[kind]
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return st.one_of(*map(values, arguments))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(values(arguments[0]), values(arguments[1]), max_size=2)
    return st.deferred(lambda: nouns(kind))


REPORTS = nouns(Report).filter(lambda report: report.schema == SCHEMA)
