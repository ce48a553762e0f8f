"""The lists of frames that signatures leave out."""

import copy

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.adapters.signature_lists import FILE, signature_lists
from evdiag.model.signature import MAX_KNOWN, Lists
from evdiag.parse.signature_lists import PLACES, ROLES, ListsError, parse_lists

DOCUMENT = {
    "version": "v1",
    "list": [
        {"role": "noise", "where": "libc", "why": "ends", "names": ["raise", "libc_message*"]},
        {"role": "noise", "where": "any", "why": "throws", "names": ["__cxa_*", "std::terminate"]},
        {"role": "noise", "where": "libc", "why": "checks", "names": ["*_chk", "a*z"]},
    ],
}


@pytest.mark.parametrize(
    ("place", "name", "pattern"),
    [
        ("libc", "raise", "raise"),
        ("program", "raise", None),
        ("libc", "libc_message_impl", "libc_message*"),
        ("libc", "raise_it", None),
        ("program", "std::terminate", "std::terminate"),
        ("program", "__cxa_throw", "__cxa_*"),
        ("libc", "strcpy_chk", "*_chk"),
        ("libc", "abcz", "a*z"),
        ("libc", "abc", None),
    ],
)
def test_a_name_counts_in_its_place_only(place: str, name: str, pattern: str | None) -> None:
    entry = parse_lists(as_json(DOCUMENT)).find(place, name)
    assert (entry.pattern if entry else None) == pattern


def as_json(document: object) -> bytes:
    return msgspec.json.encode(document)


def changed(**fields: object) -> dict[str, object]:
    document: dict[str, list[dict[str, object]]] = copy.deepcopy(DOCUMENT)  # type: ignore[arg-type]
    document["list"][0].update(fields)
    return document  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("document", "words"),
    [
        (None, "damaged"),
        ({}, "damaged"),
        ({"version": "v1", "list": [{"role": "noise"}]}, "damaged"),
        (changed(names="raise"), "damaged"),
        (changed(unknown=1), "damaged"),
        (changed(role="keep"), "no list can be 'keep'"),
        (changed(where="everywhere"), "for 'everywhere'"),
        (changed(names=["*"]), "needs a name"),
        (changed(names=[""]), "needs a name"),
        (changed(names=["a*b*"]), "at most one star"),
    ],
)
def test_damaged_lists_are_refused(document: object, words: str) -> None:
    with pytest.raises(ListsError, match=words):
        parse_lists(as_json(document))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
LISTED = st.fixed_dictionaries(
    {
        "role": st.sampled_from([*ROLES, "x"]) | JSON,
        "where": st.sampled_from(PLACES) | JSON,
        "why": st.just("why") | JSON,
        "names": st.lists(st.text(alphabet="ab*", max_size=4), max_size=3) | JSON,
    }
)


@given(JSON | st.fixed_dictionaries({"version": st.just("v1"), "list": st.lists(LISTED)}))
def test_any_document_gives_lists_or_their_error(document: object) -> None:
    try:
        lists = parse_lists(as_json(document))
    except ListsError:
        return
    assert isinstance(lists, Lists)
    assert lists.find("nowhere", "no such name") is None


def test_the_lists_that_evdiag_brings_along() -> None:
    lists = signature_lists()
    assert lists.version == "v1"
    assert FILE.name == f"signature-{lists.version}.json"
    for name in ("raise", "abort", "tgkill", "assert_fail_base", "strcpy_chk", "tcache_put"):
        entry = lists.find("libc", name)
        assert entry is not None, name
        assert entry.role == "noise"
        assert lists.find("program", name) is None, name
    for name in ("__cxa_throw", "std::__throw_out_of_range", "__cxa_pure_virtual"):
        entry = lists.find("program", name)
        assert entry is not None, name
        assert entry.role == "noise"


def test_every_list_says_why_and_none_catches_names_that_users_give() -> None:
    lists = signature_lists()
    reserved = ("_", "std::", "operator ", "global constructors", "boost::", "nlohmann::", "fmt::")
    libraries = ("sigslot::", "asio::", "spdlog::", "websocketpp::")
    entries = [*lists.exact.values(), *(entry for *_, entry in lists.starred)]
    for entry in entries:
        assert entry.why
        if entry.where in ("any", "program"):
            assert entry.pattern.startswith((*reserved, *libraries)), entry.pattern


def test_answers_are_kept_but_not_for_ever() -> None:
    lists = parse_lists(as_json(DOCUMENT))
    for number in range(MAX_KNOWN + 10):
        assert lists.find("libc", f"name_{number}") is None
    assert len(lists.known) == 10
    for _ in range(2):
        entry = lists.find("libc", "raise")
        assert entry is not None
        assert entry.role == "noise"
