"""The engine's stream of events, cut anywhere."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.watch import ContainerEvent
from evdiag.parse.events import LONGEST, EventReader, read_event

DIE = {
    "status": "die", "Type": "container", "Action": "die", "timeNano": 1795406765123456789,
    "Actor": {"ID": "1", "Attributes": {"exitCode": "139", "name": "x"}},
}  # fmt: skip
KILL = {"Action": "kill", "timeNano": 1, "Actor": {"Attributes": {"signal": "15", "exitCode": "x"}}}


def test_what_they_say() -> None:
    assert read_event(json.dumps(DIE).encode()) == ContainerEvent(
        action="die", time=1795406765.1234567, exit_code=139
    )
    assert read_event(json.dumps(KILL).encode()) == ContainerEvent(
        action="kill", time=1e-9, signal=15
    )
    assert read_event(b'{"status": "oom"}') == ContainerEvent(action="oom")


@pytest.mark.parametrize("line", [
    b"", b"[]", b"{", b"\xff", b'{"Action": 1}', b'{"Action": "exec_die"}', b"[" * 100_000,
    b'{"Action": "die"' + b" " * LONGEST + b"}",
])  # fmt: skip
def test_what_is_none(line: bytes) -> None:
    assert read_event(line) is None


@pytest.mark.parametrize("odd", [
    {"timeNano": -1}, {"timeNano": 1 << 70}, {"timeNano": "1"}, {"Actor": []},
    {"Actor": {"Attributes": 1}}, {"Actor": {"Attributes": {"exitCode": 1}}},
    {"Actor": {"Attributes": {"exitCode": "1" * 10}}},
    {"Actor": {"Attributes": {"exitCode": "\u0661"}}},
])  # fmt: skip
def test_what_is_odd_counts_as_not_known(odd: dict[str, object]) -> None:
    assert read_event(json.dumps({"Action": "die", **odd}).encode()) == ContainerEvent(action="die")


def test_events_come_in_pieces() -> None:
    data = b"\n".join(json.dumps(event).encode() for event in (DIE, KILL, DIE)) + b"\n"
    for size in (1, 7, len(data)):
        reader = EventReader()
        pieces = [data[at : at + size] for at in range(0, len(data), size)]
        actions = [event.action for piece in pieces for event in reader.feed(piece)]
        assert actions == ["die", "kill", "die"]


def test_a_line_without_end_is_not_kept() -> None:
    reader = EventReader()
    for _ in range(40):
        assert list(reader.feed(b"x" * (LONGEST // 8))) == []
    assert sum(map(len, reader._rest)) <= LONGEST + LONGEST // 8
    found = list(reader.feed(b"\n" + json.dumps(KILL).encode() + b"\n"))
    assert [event.action for event in found] == ["kill"]


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\n", json.dumps(DIE).encode()])))
def test_any_bytes(pieces: list[bytes]) -> None:
    reader = EventReader()
    assert all(event.action for piece in pieces for event in reader.feed(piece))
