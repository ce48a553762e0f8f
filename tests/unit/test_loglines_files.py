"""Names of log files, places in large logs, and times."""

import contextlib
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.loglines import EVEREST
from evdiag.parse.loglines import seek
from evdiag.parse.loglines.archive import LOG_NAME
from evdiag.parse.loglines.times import Clock, read_since, seconds_of

CLOCK = Clock()
NOW = datetime(2026, 11, 23, 14, 0, 0, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("supervisor/everest.log", ("everest", None)),
        ("supervisor/everest.log.3", ("everest", "3")),
        ("nodered.log", ("nodered", None)),
        ("supervisor/other.log", None),
        ("supervisor/everest.log.gz", None),
        ("supervisor/neverest.log", None),
    ],
)
def test_names_of_logs(name: str, wanted: tuple[str, str | None] | None) -> None:
    match = LOG_NAME.search(name)
    assert (match.groups() if match else None) == wanted


# -- places


class Bytes:
    """A log file in memory, which counts what is read of it."""

    service, latest = EVEREST, "2026-11-23 12:00:00"

    def __init__(self, data: bytes) -> None:
        self.data, self.size, self.taken = data, len(data), 0

    def read(self, at: int, size: int) -> bytes:
        found = self.data[at : at + size]
        self.taken += len(found)
        return found


def event(number: float, text: str = "x" * 60) -> str:
    moment = datetime.fromtimestamp(NOW + number, UTC)
    return f"{moment:%Y-%m-%d %H:%M:%S.%f} [INFO] manager          :: {number} {text}\n"


LONG = Bytes("".join(event(number / 10) for number in range(20_000)).encode())


def time_of(number: float) -> str:
    return CLOCK.text(NOW + number)


def test_the_ends_of_a_long_log() -> None:
    head, until = seek.head(LONG, CLOCK)
    assert head[0].time == time_of(0)
    assert until == time_of(2)
    assert head[-1].time > until
    tail, since = seek.tail(LONG, CLOCK)
    assert tail[-1].time == time_of(1999.9)
    assert since == time_of(1997.9)
    assert tail[0].time < since


def test_the_ends_of_a_burst_are_as_far_as_was_looked() -> None:
    burst = Bytes("".join(event(number / 1e6) for number in range(22_000)).encode())
    head, until = seek.head(burst, CLOCK)
    assert len(head) < 21_000
    assert head[0].time <= until < head[-1].time
    tail, since = seek.tail(burst, CLOCK)
    assert len(tail) < 21_000
    assert tail[0].time <= since <= tail[-1].time


def test_the_ends_of_a_short_log_are_all_of_it() -> None:
    short = Bytes((event(0) + event(1)).encode())
    assert len(seek.head(short, CLOCK)[0]) == len(seek.tail(short, CLOCK)[0]) == 2
    for data in (b"", b"no header"):
        assert seek.head(Bytes(data), CLOCK)[1] == ""
        assert seek.tail(Bytes(data), CLOCK)[1] == ""
    assert (
        seek.head(Bytes(event(0).replace("11-23", "99-99").encode()), CLOCK)[1][:10] == "2026-99-99"
    )


@pytest.mark.parametrize("number", [-5, 0, 17, 1000, 1999, 7000])
def test_the_place_of_a_time(number: float) -> None:
    place = seek.place_of_time(LONG, CLOCK, time_of(number))
    before = place == 0 or f" {number - 0.5} ".encode() not in LONG.data[:place]
    assert before
    wanted = f":: {float(number)} ".encode()
    assert wanted not in LONG.data or wanted in LONG.data[place:]
    assert LONG.size - place < LONG.size or number < 900
    assert place == 0 or LONG.data[place - 1 : place] == b"\n"


def test_a_time_in_text_without_headers_is_looked_for_from_the_begin() -> None:
    assert seek.place_of_time(Bytes(b"x\n" * 400_000), CLOCK, time_of(0)) == 0


def test_the_place_of_the_last_records() -> None:
    LONG.taken = 0
    place = seek.place_of_last(LONG, CLOCK, 10)
    assert 10 < LONG.data[place:].count(b"\n") < 2000
    assert LONG.taken < LONG.size / 10
    assert seek.place_of_last(LONG, CLOCK, 10**6) == 0
    few = Bytes((event(0) + "{}\n" * 100_000).encode())
    assert seek.place_of_last(few, CLOCK, 5) == 0


def test_whole_lines_only() -> None:
    assert seek.whole_lines(Bytes(b"a\nbc")) == 2
    assert seek.whole_lines(Bytes(b"a\n")) == 2
    assert seek.whole_lines(Bytes(b"a\n" + b"b" * 200_000)) == 2
    assert seek.whole_lines(Bytes(b"b" * 200_000)) == 0


def test_the_last_crash() -> None:
    crash = "evdiag capture: x pid 1 tid 1 died of signal 6: core.x (1)\n"
    text = "".join(event(number) for number in range(9000))
    assert seek.last_crash(Bytes(text.encode()), CLOCK) == ""
    both = event(-9) + crash + event(-7) + event(-6, "Module x exited unexpectedly, so") + text
    assert seek.last_crash(Bytes(both.encode()), CLOCK) == time_of(0)
    assert seek.last_crash(Bytes((event(-9) + crash).encode()), CLOCK) == time_of(-9)
    assert seek.last_crash(Bytes(crash.encode()), CLOCK) == ""


def test_all_blocks_of_a_text() -> None:
    assert b"".join(seek.blocks(LONG, 7)) == LONG.data[7:]
    shrunk = Bytes(b"ab")
    shrunk.size = 9
    assert list(seek.blocks(shrunk)) == [b"ab"]


# -- times


def test_the_clock_of_a_container() -> None:
    berlin = Clock("Europe/Berlin")
    assert berlin.known
    assert berlin.text(0) == "1970-01-01 01:00:00.000000"
    assert berlin.of_stamp("2026-11-23T23:48:15.520373493Z") == "2026-11-24 00:48:15.520373"
    assert berlin.of_stamp("2026-11-23T23:48:15Z") == "2026-11-24 00:48:15"
    assert Clock(":UTC").of_stamp("2026-11-23T23:48:15.5Z") == "2026-11-23 23:48:15.5"
    for stamp in ("", "what", "2026-99-99T00:00:00Z", "0001-01-01T00:00:00Z"):
        assert Clock("America/New_York").of_stamp(stamp) in ("", "0001-01-01 00:00:00")
    assert berlin.text(1e20) == ""


@pytest.mark.parametrize("zone", ["Mars/Olympus", "../../etc/passwd", "CET-1CEST\0", "/etc"])
def test_a_zone_that_is_none_counts_as_utc(zone: str) -> None:
    clock = Clock(zone)
    assert not clock.known
    assert clock.text(0) == "1970-01-01 00:00:00.000000"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("10m", "2026-11-23 13:50:00.000000"),
        ("2 h", "2026-11-23 12:00:00.000000"),
        ("90s", "2026-11-23 13:58:30.000000"),
        ("1d", "2026-11-22 14:00:00.000000"),
        ("13:05", "2026-11-23 13:05:00.000000"),
        ("14:05", "2026-11-22 14:05:00.000000"),
        ("13:05:07.25", "2026-11-23 13:05:07.250000"),
        ("2026-11-23 14:05", "2026-11-23 14:05:00.000000"),
        ("2026-11-23 00:48:15,304", "2026-11-23 00:48:15.304000"),
        ("2026-11-23T14:05:00Z", "2026-11-23 14:05:00.000000"),
        ("2026-11-23T14:05:00+02:00", "2026-11-23 12:05:00.000000"),
        ("2026-11-23", "2026-11-23 00:00:00.000000"),
    ],
)
def test_times_that_people_write(text: str, wanted: str) -> None:
    assert read_since(text, CLOCK, NOW) == wanted


@pytest.mark.parametrize("text", ["x", "10", "25:00", "10w", "9999-12-31T23:59:59-10:00", "-5m"])
def test_times_that_are_none(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_since(text, CLOCK, NOW)


@given(st.text(max_size=20))
def test_any_text_is_a_time_or_is_not(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert isinstance(read_since(text, CLOCK, NOW), str)


def test_seconds_of_a_time() -> None:
    assert seconds_of("2026-11-23 14:00:00.000000", CLOCK) == NOW
    assert seconds_of("what", CLOCK) is None
