"""The engine's stream: frames, whose line is whose, and going on where it stopped."""

from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.loglines import CONTAINER, EVEREST, HEADED, MORE, RAW, LogLine
from evdiag.parse.loglines.frames import Entry, Frames
from evdiag.parse.loglines.output import MOST_WAITING, OutputReader, plain_lines
from evdiag.parse.loglines.position import Position, seconds_of_stamp
from evdiag.parse.loglines.records import LONGEST
from evdiag.parse.loglines.times import Clock

CLOCK = Clock()
STAMP = "2026-11-23T00:48:15.520373493Z"
EVENT = "2026-11-23 00:48:15.693129 [INFO] manager          :: "
NODERED = "23 Nov 00:48:16 - [info] "
SUPERVISORD = "2026-11-23 00:48:14,304 INFO "


def frame(text: bytes, kind: int = 1) -> bytes:
    return bytes([kind, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


def entry(text: str, kind: int = 1) -> bytes:
    return frame(f"{STAMP} {text}\n".encode(), kind)


def frames(*pieces: bytes, terminal: bool = False) -> list[Entry]:
    reader = Frames(terminal=terminal)
    return [found for piece in pieces for found in reader.feed(piece)] + reader.end()


def test_each_frame_is_a_line() -> None:
    data = entry("one") + entry("two", 2) + entry("")
    assert frames(data) == [Entry(STAMP, "one"), Entry(STAMP, "two"), Entry(STAMP, "")]
    assert frames(*(data[at : at + 1] for at in range(len(data)))) == frames(data)


def test_parts_of_a_long_line_are_put_together() -> None:
    first = frame(f"{STAMP} {'a' * 16384}".encode())
    last = frame(f"{STAMP} bc\n".encode())
    other = entry("from stderr", 2)
    found = frames(first + other + last + entry("next"))
    assert [line.line for line in found] == ["from stderr", "a" * 16384 + "bc", "next"]
    assert frames(first) == [Entry(STAMP, "a" * 16384)]
    assert frames(frame(b"no time")) == [Entry("", "no time")]
    many = frames(*[first] * 40, last)
    assert many[0].line == "a" * LONGEST + "… (589,826 more characters)"


def test_a_terminal_has_no_frames() -> None:
    raw = f"{STAMP} one\r\nno time\n{STAMP} two".encode()
    wanted = [Entry(STAMP, "one"), Entry("", "no time"), Entry(STAMP, "two")]
    assert frames(raw, terminal=True) == wanted
    assert frames(raw[:3], raw[3:]) == wanted


@given(st.lists(st.binary(max_size=40) | st.just(entry("x")), max_size=6))
def test_whatever_comes_is_read_to_its_end(pieces: list[bytes]) -> None:
    for found in frames(*pieces):
        assert isinstance(found.line, str)


def read(*entries: tuple[float, str], from_start: bool = True) -> list[LogLine]:
    reader = OutputReader(CLOCK, from_start=from_start)
    return reader.feed(stamped(entries))


def stamped(entries: Iterable[tuple[float, str]]) -> list[Entry]:
    return [Entry(f"2026-11-23T00:48:{second:09.6f}000Z", line) for second, line in entries]


def who(found: list[LogLine]) -> list[tuple[str, str, list[str]]]:
    return [(line.service, line.form, line.lines()) for line in found]


def test_before_supervisord_all_is_the_containers() -> None:
    found = read((1, "Traceback"), (1.1, "entrypoint: x"), (2, SUPERVISORD + "started"))
    assert [line.service for line in found] == [CONTAINER, CONTAINER, "supervisord"]
    assert found[0].time == "2026-11-23 00:48:01.000000"


def test_lines_without_a_header_belong_to_the_file_before() -> None:
    found = read(
        (1, SUPERVISORD + "started"),
        (2, EVENT + "{"), (2.000_01, "  1"), (2.000_02, "}"),
        (2.000_03, "terminate called without an active exception"), (2.000_04, "more"),
        (3, "entrypoint: again"), (3.1, "something"), (3.2, NODERED + "x"), (3.200_01, "y"),
    )  # fmt: skip
    assert who(found)[1:] == [
        (EVEREST, HEADED, ["{", "  1", "}"]),
        (EVEREST, RAW, ["terminate called without an active exception", "more"]),
        (CONTAINER, "headed", ["entrypoint: again"]),
        (CONTAINER, "headed", ["something"]),
        ("nodered", HEADED, ["x", "y"]),
    ]


def test_the_next_line_of_a_block_tells_whose_it_is() -> None:
    found = read(
        (1, SUPERVISORD + "a"), (2, NODERED + "x"), (3, SUPERVISORD + "exited: everest"),
        (3.2, "raw of everest"), (3.200_01, "free(): invalid pointer"), (3.200_02, EVENT + "z"),
    )  # fmt: skip
    assert who(found)[3:] == [
        (EVEREST, MORE, ["raw of everest"]),
        (EVEREST, RAW, ["free(): invalid pointer"]),
        (EVEREST, HEADED, ["z"]),
    ]
    assert found[4].time == found[5].time


def test_a_block_without_any_header_is_a_guess() -> None:
    start = (1, SUPERVISORD + "a")
    assert who(read(start, (2, "x"), (3, SUPERVISORD + "b")))[1] == (CONTAINER, MORE, ["x"])
    assert who(read(start, (2, "free(): invalid pointer")))[1][:2] == (EVEREST, RAW)
    after = read(start, (2, NODERED), (2.5, SUPERVISORD), (3, "x"), (4, "entrypoint: y"))
    assert who(after)[3] == ("nodered", MORE, ["x"])
    assert who(read((2, "x"), (4, EVENT), from_start=False))[0] == (EVEREST, MORE, ["x"])
    many = read(start, *((2, str(number)) for number in range(MOST_WAITING + 5)))
    assert sum(len(line.lines()) for line in many) == MOST_WAITING + 6


def test_two_records_in_a_line() -> None:
    coloured = EVENT.replace("[INFO]", "[\x1b[1;37mINFO\x1b[0m]")
    found = read((1, f"{coloured}one{coloured}two"))
    assert [line.text for line in found] == ["one", "two"]


@pytest.mark.parametrize("stamp", ["", "what", "2026-11-23T00:48:15.x"])
def test_times_that_are_none(stamp: str) -> None:
    reader = OutputReader(CLOCK, from_start=True)
    found = reader.feed([Entry(stamp, EVENT + "x"), Entry(stamp, "y"), Entry(stamp, "y")])
    assert sum(len(line.lines()) for line in found) == 3


def test_other_containers_are_shown_as_they_are() -> None:
    (found,) = plain_lines([Entry(STAMP, "\x1b[1mhello")], CLOCK)
    assert found == LogLine("2026-11-23 00:48:15.520373", CONTAINER, "", "hello")


def test_going_on_after_the_last_line() -> None:
    position = Position()
    assert position.reopened() == ""
    lines = [Entry(STAMP, "a"), Entry(STAMP, "b")]
    assert position.fresh(lines[:1]) == lines[:1]
    assert position.fresh([*lines[1:], Entry("", "no time")]) != []
    assert position.reopened() == "1795394895.520373493"
    third = Entry(STAMP, "c")
    assert position.fresh([Entry("2026-11-23T00:48:15.0Z", "old"), *lines]) == []
    assert position.fresh([third]) == [third]
    assert position.reopened() != ""
    assert position.fresh([*lines, third]) == []
    later = Entry("2026-11-23T00:48:16.000000000Z", "d")
    assert position.fresh([later]) == [later]
    assert position.reopened() != ""
    assert position.fresh([]) == []
    assert position.fresh([Entry("", "no time")]) == [Entry("", "no time")]


def test_seconds_of_a_stamp() -> None:
    assert seconds_of_stamp("2026-11-23T00:48:15Z") == "1795394895.0"
    assert seconds_of_stamp("what") == ""


@given(
    st.lists(st.integers(0, 5), min_size=1, max_size=20).map(sorted),
    st.integers(0, 20),
    st.integers(0, 20),
)
def test_no_line_is_lost_or_doubled_when_the_stream_breaks(
    times: list[int], broken: int, repeated: int
) -> None:
    lines = [Entry(f"2026-11-23T00:48:{at:02}.000000000Z", str(n)) for n, at in enumerate(times)]
    position = Position()
    position.reopened()
    seen = [line for at in range(min(broken, len(lines))) for line in position.fresh([lines[at]])]
    if seen:
        position.reopened()
        first = next(at for at, line in enumerate(lines) if line.stamp == seen[-1].stamp)
        again = lines[min(first, repeated) :]
        seen += position.fresh(again[:3]) + position.fresh(again[3:])
        assert seen == lines
