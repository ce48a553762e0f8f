"""Frames of the engine, however they are cut."""

import struct

from hypothesis import given
from hypothesis import strategies as st

from evdiag.parse.output_frames import STDERR, STDOUT, Splitter, split_output


@given(st.lists(st.tuples(st.integers(0, 2), st.binary(max_size=40))), st.data())
def test_frames_come_apart_however_they_arrive(
    frames: list[tuple[int, bytes]], data: st.DataObject
) -> None:
    line = b"".join(struct.pack(">BxxxL", number, len(text)) + text for number, text in frames)
    whole = line
    splitter = Splitter()
    streams = {0: b"", 1: b"", 2: b""}
    while line:
        size = data.draw(st.integers(1, len(line)))
        for number, text in splitter.feed(line[:size]):
            streams[number] += text
        line = line[size:]
    for number in streams:
        assert streams[number] == b"".join(text for stream, text in frames if stream == number)
    out = b"".join(text for stream, text in frames if stream != STDERR)
    assert split_output(whole) == (out, streams[STDERR])


def test_a_frame_that_was_cut_off_is_taken_as_far_as_it_goes() -> None:
    line = struct.pack(">BxxxL", STDERR, 3) + b"err" + struct.pack(">BxxxL", STDOUT, 9) + b"out"
    assert split_output(line) == (b"out", b"err")
    assert split_output(line[:14]) == (b"", b"err")
