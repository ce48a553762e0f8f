"""The part of a large file that is about one crash, found by its times."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evdiag.parse.timeline import READERS
from evdiag.parse.timeline._window import FARTHEST, MOST, PROBE, WHOLE, pieces, window

READER = next(reader for reader in READERS if reader.id == "ocpp")
BEGIN = 1_795_406_400.0


class File:
    """A file of records, one each second, that counts how much of it is read."""

    def __init__(self, count: int, size: int = 200, junk: bytes = b"") -> None:
        self.record = size
        self.junk = junk
        self.count = count
        self.size = len(junk) + count * size
        self.asked = 0

    def read(self, at: int, size: int) -> bytes:
        self.asked += size
        end = min(at + size, self.size)
        found = [self.junk[at:end]] if at < len(self.junk) else []
        first = max(0, at - len(self.junk)) // self.record
        last = max(0, end - len(self.junk) - 1) // self.record
        text = b"".join(self.line(n) for n in range(first, min(last + 1, self.count)))
        skip = max(0, at - len(self.junk)) - first * self.record
        return b"".join([*found, text[skip : skip + end - at - sum(map(len, found))]])

    def line(self, number: int) -> bytes:
        time = datetime.fromtimestamp(BEGIN + number, UTC).isoformat(timespec="milliseconds")
        head = f"{time.replace('+00:00', 'Z')}: SYS> number {number} ".encode()
        return head.ljust(self.record - 1, b".") + b"\n"


def numbers(file: File, span: tuple[float, float] | None) -> list[int]:
    """The records that are read for a time after the begin, in seconds."""
    asked = None if span is None else (BEGIN + span[0], BEGIN + span[1])
    part = window(file, READER.time_of, asked)
    if part is None:
        return []
    read = READER.read("f", pieces(file, *part))
    return [int(each.text.split()[2].strip(".")) for each in read]


def test_a_small_file_is_read_whole_or_not_at_all() -> None:
    file = File(100)
    assert numbers(file, (50, 60)) == list(range(100))
    assert numbers(file, (-50, -10)) == []
    assert numbers(file, (200, 260)) == []
    assert numbers(File(0), (0, 1)) == []
    assert numbers(File(0, junk=b"text"), (0, 1)) == []


@pytest.mark.parametrize("at", [0, 1, 299_990, 2_500_000, 4_999_000])
def test_of_a_gigabyte_little_is_read(at: int) -> None:
    file = File(5_000_000)
    assert file.size == 1_000_000_000

    found = numbers(file, (at, at + 600))

    wanted = range(at, min(at + 601, file.count))
    assert set(wanted) <= set(found)
    assert file.asked < 8_000_000
    assert found == sorted(found)


def test_a_flood_is_read_to_its_end_only() -> None:
    file = File(20_000, size=5_000)
    found = numbers(file, (0, 18_000))
    assert found[-1] > 18_000
    assert len(found) * file.record <= MOST


def test_without_a_time_the_end_is_read() -> None:
    file = File(10_000, size=2_000)
    assert numbers(file, None)[-1] == 9_999
    assert numbers(File(3), None) == [0, 1, 2]


def test_long_text_without_a_time() -> None:
    file = File(10_000, junk=b"x" * (2 * FARTHEST) + b"\n")
    assert set(range(9_000, 9_060)) <= set(numbers(file, (9_000, 9_060)))
    nothing = File(0, junk=b"x" * (WHOLE + 1))
    assert window(nothing, READER.time_of, (BEGIN, BEGIN + 1)) is not None


def test_a_part_begins_with_a_whole_line() -> None:
    file = File(10)
    assert b"".join(pieces(file, 5, 600)) == file.line(1) + file.line(2)
    assert b"".join(pieces(file, 200, 400)) == file.line(1)
    endless = File(0, junk=b"x" * (2 * PROBE))
    assert b"".join(pieces(endless, 10, 20)) == b"x" * 10
    assert b"".join(pieces(endless, 0, 5 * PROBE)) == endless.junk


@settings(max_examples=30)
@given(st.binary(max_size=300), st.floats(-1e12, 1e12), st.floats(0, 1e9), st.integers(1, 64))
def test_any_file_has_an_end(text: bytes, begin: float, length: float, size: int) -> None:
    file = File(0, junk=text)
    part = window(file, READER.time_of, (begin, begin + length))
    if part is not None:
        assert b"".join(pieces(file, *part, size=size)) == text
