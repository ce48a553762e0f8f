"""Groups of crashes: one for each signature, and none that mixes two crashes."""

import random

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evdiag.analyze.triage.groups import grouped, key_by_address, moment
from evdiag.model.triage import BuildCount, Crash, Group, Place
from tests.support.random_nouns import nouns
from tests.support.triages import BUILDS, crash

NAMELESS = "sig:v1: EvseManager | null-write | EvseManager+0x1234 | EvseManager+0x99"


def paths(groups: tuple[Group, ...]) -> list[list[str]]:
    return [sorted(core.path for core in group.cores) for group in groups]


def nameless(path: str, **facts: object) -> Crash:
    """The crash of `crash()` in a core whose program could not be found."""
    given: dict[str, object] = {"signature": NAMELESS, "hash": "77", "symbols": False}
    return crash(path, "charging::Session::book", **{**given, "place": Place(), **facts})


def without_own(path: str, **facts: object) -> Crash:
    """A crash in a library that the application called, of which nothing is on the stack."""
    text = "sig:v1: EvseManager | null-write | libcurl"
    given: dict[str, object] = {"signature": text, "hash": "5", "anonymous": True}
    return crash(path, "charging::Session::book", **{**given, "address": "c0+0x5", **facts})


def lost(path: str, **facts: object) -> Crash:
    """A core that ends before its stacks."""
    text = "sig:v1: EvseManager | abort"
    told = {"cls": "abort", "address": "11bc+0x8a", "place": Place()}
    return without_own(path, **{**told, "signature": text, "truncated": True, **facts})


def test_no_crash_is_no_group() -> None:
    assert grouped([]) == ()


def test_one_group_for_each_signature_the_most_frequent_first() -> None:
    groups = grouped([crash("a"), crash("b", "f"), crash("c"), crash("d", "g"), crash("e", "f")])
    assert sorted(paths(groups)) == [["a", "c"], ["b", "e"], ["d"]]
    assert [group.count for group in groups] == [2, 2, 1]
    assert groups[-1].hash == crash("d", "g").hash
    assert groups[-1].signature == crash("d", "g").signature


def test_of_equally_frequent_groups_the_one_seen_last_is_first() -> None:
    groups = grouped(
        [
            crash("old", "a", seen="2026-11-20 01:00:00 UTC"),
            crash("none", "b", seen=None),
            crash("new", "c", seen="2026-11-21 01:00:00 UTC"),
        ]
    )
    assert paths(groups) == [["new"], ["old"], ["none"]]


def test_the_order_of_the_crashes_does_not_matter() -> None:
    crashes = [
        *(crash(f"a{i}", seen=f"2026-11-2{i % 3} 01:00:00 UTC") for i in range(9)),
        *(crash(f"b{i}", "f", seen=None) for i in range(9)),
        *(nameless(f"n{i}") for i in range(4)),
        *(lost(f"l{i}") for i in range(4)),
    ]
    first = grouped(crashes)
    for seed in range(5):
        shuffled = random.Random(seed).sample(crashes, len(crashes))
        assert grouped(shuffled) == first


def test_what_a_group_tells() -> None:
    other = crash().place
    moved = msgspec.structs.replace(other, line=31)
    [group] = grouped(
        [
            crash("a", seen="2026-11-20 01:00:00 UTC", module_id="two"),
            crash("b", seen="2026-11-22 01:00:00 UTC", build_id=BUILDS[1], place=moved),
            crash("c", seen="03:12:44.002", module_id=None, image="charger:1"),
            crash("d", seen="2026-11-21 01:00:00 UTC", place=Place()),
        ]
    )
    assert (group.cls, group.program, group.confidence) == ("null-write", "EvseManager", "high")
    assert (group.first_seen, group.last_seen) == (
        "2026-11-20 01:00:00 UTC",
        "2026-11-22 01:00:00 UTC",
    )
    assert group.builds == (
        BuildCount(build_id=BUILDS[0], count=2),
        BuildCount(build_id=BUILDS[0], image="charger:1", count=1),
        BuildCount(build_id=BUILDS[1], count=1),
    )
    assert group.modules == ("evse_manager_1", "two")
    assert [(line.place.line, line.count) for line in group.lines] == [(29, 2), (31, 1)]
    assert [core.path for core in group.cores] == ["b", "d", "a", "c"]
    assert group.representative == "b"
    assert not group.unsorted


def test_a_place_without_a_line_is_told_by_its_address() -> None:
    here = Place(module="m", offset=crash().place.offset)
    there = Place(module="m")
    [group] = grouped([crash("a", place=here), crash("b", place=there), crash("c", place=here)])
    assert [(line.place, line.count) for line in group.lines] == [(here, 2), (there, 1)]


@pytest.mark.parametrize(
    ("worse", "better"),
    [
        ({"truncated": True, "seen": "2027-01-01 00:00:00"}, {}),
        ({"place": Place(file="f"), "seen": "2027-01-01 00:00:00"}, {}),
        ({}, {"seen": "2027-01-01 00:00:00"}),
        ({"path": "b"}, {"path": "a"}),
    ],
)
def test_the_most_telling_core_stands_for_its_group(
    worse: dict[str, str], better: dict[str, str]
) -> None:
    crashes = [crash(**{"path": "worse", **worse}), crash(**{"path": "zbetter", **better})]
    [group] = grouped(crashes)
    assert group.representative == better.get("path", "zbetter")


def test_two_texts_with_one_hash_are_two_groups() -> None:
    one, other = crash("a", hash="1"), crash("b", "another", hash="1")
    groups = grouped([one, other])
    assert sorted(paths(groups)) == [["a"], ["b"]]
    names = [group.hash or "" for group in groups]
    assert len(set(names)) == 2
    assert "1" not in names


def test_a_text_without_a_hash_gets_one() -> None:
    [group] = grouped([crash("a", hash=None), crash("b", hash=None)])
    assert group.hash
    assert group.count == 2


# -- without symbols


def test_offsets_of_two_builds_are_two_crashes() -> None:
    other = f"{BUILDS[1]}+0x18"
    groups = grouped([nameless("a"), nameless("b", address=other, build_id=BUILDS[1])])
    assert sorted(paths(groups)) == [["a"], ["b"]]
    assert len({group.hash for group in groups}) == 2


def test_a_core_without_symbols_goes_to_the_crash_with_its_address() -> None:
    groups = grouped([nameless("n", seen="2027-01-01 00:00:00"), crash("a"), crash("b", "other_f")])
    assert sorted(paths(groups)) == [["a", "n"], ["b"]]
    group = next(group for group in groups if group.count == 2)
    assert group.hash == crash().hash
    assert group.signature == crash().signature
    assert group.representative == "a", "the one with symbols, though the other one is newer"


@pytest.mark.parametrize(
    "facts",
    [
        {"address": f"{BUILDS[0]}+0x77"},
        {"address": None},
        {"cls": "wild-write"},
        {"program": "Other"},
        {"signature": "sig:v1: EvseManager | null-write: detail | EvseManager+0x1234"},
    ],
)
def test_a_core_without_symbols_stays_alone_if_anything_else_differs(facts: dict[str, str]) -> None:
    assert len(grouped([nameless("n", **facts), crash("a")])) == 2


def test_a_core_without_symbols_stays_alone_if_two_crashes_have_its_address() -> None:
    text = "sig:v1: EvseManager | null-write | std::map<T>::at | charging::Session::book"
    groups = grouped([nameless("n"), crash("a"), crash("b", signature=text, hash="9")])
    assert sorted(paths(groups)) == [["a"], ["b"], ["n"]]


def test_the_address_of_nothing_known_is_no_address() -> None:
    assert key_by_address(crash()) is not None
    assert key_by_address(without_own("a")) is None
    assert key_by_address(crash(address=None)) is None
    assert key_by_address(crash(signature=None)) is None


# -- without a frame of the application


def test_crashes_in_a_library_are_one_if_address_and_build_are() -> None:
    groups = grouped(
        [
            without_own("a"),
            without_own("b"),
            without_own("c", address="c0+0x6"),
            without_own("d", build_id=BUILDS[1]),
            without_own("e", program="Other"),
        ]
    )
    assert sorted(paths(groups)) == [["a", "b"], ["c"], ["d"], ["e"]]
    assert len({group.hash for group in groups}) == 4
    assert not any(group.unsorted for group in groups)


@pytest.mark.parametrize(
    "facts",
    [
        {},
        {"truncated": False},
        {"address": None},
        {"signature": None, "hash": None},
        {"signature": "sig:v1: EvseManager | abort | libcurl"},
        {"signature": "sig:v1: EvseManager | abort | libcurl", "truncated": False, "address": None},
    ],
)
def test_what_nothing_is_known_of_is_left_at_the_end(facts: dict[str, str | None]) -> None:
    groups = grouped([*(lost(f"l{i}", **facts) for i in range(3)), crash("a")])
    assert paths(groups) == [["a"], ["l0", "l1", "l2"]]
    assert [group.unsorted for group in groups] == [False, True]


def test_a_crash_without_any_signature_is_not_merged_with_one_of_another_class() -> None:
    bare = crash("a", signature=None, hash=None, address=None)
    groups = grouped([bare, msgspec.structs.replace(bare, path="b", cls="abort")])
    assert sorted(paths(groups)) == [["a"], ["b"]]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("2026-11-22 03:12:44 UTC", "2026-11-22 03:12:44"),
        ("2026-11-22T03:12:44.123Z", "2026-11-22 03:12:44.123"),
        ("2026-11-22 03:12", "2026-11-22 03:12"),
        ("03:12:44.002", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_moments_can_be_compared(text: str | None, told: str) -> None:
    assert moment(text) == told


@given(st.lists(nouns(Crash), max_size=6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_crash_is_in_one_group(crashes: list[Crash]) -> None:
    groups = grouped(crashes)
    assert sum(group.count for group in groups) == len(crashes)
    assert all(group.count == len(group.cores) for group in groups)
    assert len({group.hash for group in groups}) == len(groups)
    for group in groups:
        texts = {core.signature for core in group.cores if core.symbols}
        assert len(texts) <= 1
        assert group.representative in {core.path for core in group.cores}
