"""Stretches of a stack that repeat."""

from typing import SupportsIndex, overload

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.fold import MAX_PERIOD, Stretch, find_repeats


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ("", []),
        ("a", []),
        ("abcdef", []),
        ("aa", []),  # two may be chance
        ("aaa", [(0, 1, 3)]),
        ("abab", []),
        ("ababab", [(0, 2, 3)]),
        ("xababababy", [(1, 2, 4)]),
        ("xabababay", [(1, 2, 3)]),  # the fourth round is not whole
        ("abcabcabcabc", [(0, 3, 4)]),
        ("mainaaaatail", [(4, 1, 4)]),
        ("aaabbb", [(0, 1, 3), (3, 1, 3)]),
        ("aaaxbcbcbc", [(0, 1, 3), (4, 2, 3)]),
        ("aabaabaab", [(0, 3, 3)]),
    ],
)
def test_stretches(keys: str, expected: list[tuple[int, int, int]]) -> None:
    found = find_repeats([ord(c) for c in keys])
    assert found == [Stretch(*e) for e in expected]


def test_the_end_of_a_stretch() -> None:
    assert Stretch(5, 3, 4).end == 17


def test_the_longest_period() -> None:
    longest = list(range(MAX_PERIOD))
    assert find_repeats(longest * 3) == [Stretch(0, MAX_PERIOD, 3)]
    assert find_repeats([*longest, 99] * 3) == []


def test_a_quarter_of_a_million_frames_of_one_recursion() -> None:
    assert find_repeats([7, 8, 9] * 80_000 + [1, 2]) == [Stretch(0, 3, 80_000)]
    assert find_repeats([7] * 250_000) == [Stretch(0, 1, 250_000)]


class Counted(list[int]):
    """A list that counts the items that are looked at."""

    looks = 0

    @overload
    def __getitem__(self, index: SupportsIndex) -> int: ...

    @overload
    def __getitem__(self, index: slice) -> list[int]: ...

    def __getitem__(self, index: SupportsIndex | slice) -> int | list[int]:
        found = super().__getitem__(index)
        self.looks += len(found) if isinstance(found, list) else 1
        return found


def test_work_grows_with_the_length_only() -> None:
    # GIVEN the Thue-Morse word: everywhere it begins to repeat, nowhere three times
    def looks(length: int) -> int:
        keys = Counted(i.bit_count() & 1 for i in range(length))
        assert find_repeats(keys) == []
        return keys.looks

    # THEN four times the frames take four times the work, not sixteen times
    assert looks(20_000) < 4.2 * looks(5_000)


@given(st.lists(st.integers(0, 2), max_size=120))
def test_stretches_are_what_they_say(keys: list[int]) -> None:
    at = 0
    for stretch in find_repeats(keys):
        assert at <= stretch.start
        assert stretch.rounds >= 3
        one = keys[stretch.start : stretch.start + stretch.period]
        assert keys[stretch.start : stretch.end] == one * stretch.rounds
        at = stretch.end
    assert at <= len(keys)
