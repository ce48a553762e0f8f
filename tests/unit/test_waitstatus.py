"""Wait statuses: numbers and words for how a process ended."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.logs import ExitStatus
from evdiag.parse.waitstatus import decode, from_words


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, ExitStatus(code=0)),
        (256, ExitStatus(code=1)),
        (512, ExitStatus(code=2)),
        (65280, ExitStatus(code=255)),
        (139, ExitStatus(signal=11, core_dumped=True)),
        (11, ExitStatus(signal=11, core_dumped=False)),
        (134, ExitStatus(signal=6, core_dumped=True)),
        (136, ExitStatus(signal=8, core_dumped=True)),
        (2, ExitStatus(signal=2, core_dumped=False)),
        (15, ExitStatus(signal=15, core_dumped=False)),
        (0x137F, None),  # stopped by SIGSTOP
        (-1, None),
        (0x10000, None),
    ],
)
def test_a_raw_status(status: int, expected: ExitStatus | None) -> None:
    assert decode(status) == expected


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("signal=11", ExitStatus(signal=11)),
        ("exit_code=1", ExitStatus(code=1)),
        ("raw=139", ExitStatus(signal=11, core_dumped=True)),
        ("raw=999999", None),
        ("signal=", None),
        ("signal=11 ", None),
        ("11", None),
    ],
)
def test_the_words_of_the_manager(words: str, expected: ExitStatus | None) -> None:
    assert from_words(words) == expected


@given(st.integers())
def test_any_number_has_at_most_one_meaning(status: int) -> None:
    found = decode(status)
    assert found is None or (found.code is None) != (found.signal is None)
