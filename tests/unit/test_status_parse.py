"""What the program in the container prints, and the messages of EVerest's API and of the broker."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.parse.mqtt import Message, read_message
from evdiag.parse.status import (
    LONGEST_DOCUMENT,
    Probe,
    Session,
    UnreadableProbe,
    read_errors,
    read_power,
    read_probe,
    read_session,
    read_soc,
)

CHARGING = (
    '{"active_enable_disable_source":{"priority":5000,"source":"CSMS","state":"Enable"},'
    '"charged_energy_wh":202,"charging_duration_s":20,"datetime":"2026-11-23T00:48:51.948Z",'
    '"discharged_energy_wh":0,"latest_total_w":120000.0,"permanent_fault":false,'
    '"state":"Charging"}'
)
METER = '{"power_W": {"total": 120000.00},"voltage_V": {"DC": 400.00}}'
anything = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def test_a_probe_is_read_as_far_as_it_goes() -> None:
    probe = read_probe(b'{"now": 5, "errors": {"services": "no socket"}, "more": [1]}')
    assert probe == Probe(now=5, errors={"services": "no socket"})
    assert probe.processes is None


@pytest.mark.parametrize(
    "printed",
    [b"", b"[]", b"{}", b'{"now": "x"}', b'{"now": -1}', b'{"now": 1e300}', b"\xff", b"[" * 9999,
     b'{"now": 1, "processes": [{"pid": -1, "parent": 0}]}',
     b'{"now": 1, "cores": {"files": [{"name": "core", "size": 1e99}]}}'],
)  # fmt: skip
def test_what_is_no_probe(printed: bytes) -> None:
    with pytest.raises(UnreadableProbe) as raised:
        read_probe(printed)
    assert len(str(raised.value)) <= 300


def test_a_flood_is_no_probe() -> None:
    with pytest.raises(UnreadableProbe, match="bytes"):
        read_probe(b" " * (LONGEST_DOCUMENT + 1))


@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_output_is_a_probe_or_none(printed: bytes) -> None:
    with contextlib.suppress(UnreadableProbe):
        assert read_probe(printed).now >= 0


def test_messages_of_a_session() -> None:
    wanted = Session(state="Charging", power=120000.0, energy=202.0, seconds=20.0)
    assert read_session(CHARGING) == wanted
    assert read_session('{"state": "Unplugged", "permanent_fault": true}') == Session(
        state="Unplugged", faulty=True
    )
    assert read_power(METER) == 120000.0
    assert read_soc('{"soc": 30.18, "battery_capacity": 60000.0}') == 30.18


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"state": 3}', "\ud800", "[" * 5000])
def test_messages_that_are_none(text: str) -> None:
    assert read_session(text) is None
    assert read_power(text) is None
    assert read_soc(text) is None
    assert read_errors(text) == ()


@pytest.mark.parametrize("number", ["true", '"1"', "1e13", "-1e13", "9" * 400, "null"])
def test_numbers_that_cannot_be_shown(number: str) -> None:
    assert read_soc(f'{{"soc": {number}}}') is None
    assert read_power(f'{{"power_W": {{"total": {number}}}}}') is None
    assert read_power(f'{{"power_W": {number}}}') is None


def test_errors_are_named_by_module_type_and_message() -> None:
    text = json.dumps(
        [
            {"type": "evse_manager/MREC11CableCheckFault", "message": "no cable",
             "origin": {"module_id": "evse_manager"}},
            {"type": "generic/CommunicationFault", "origin": 3, "message": None},
            7,
        ]
    )  # fmt: skip
    assert read_errors(text) == (
        "evse_manager: evse_manager/MREC11CableCheckFault: no cable",
        "generic/CommunicationFault",
        "an error without a name",
    )


@given(st.text(max_size=60) | anything.map(json.dumps))
def test_any_message_is_read_or_left(text: str) -> None:
    session = read_session(text)
    assert session is None or isinstance(session.state, str)
    assert all(isinstance(error, str) for error in read_errors(text))
    for number in (read_power(text), read_soc(text)):
        assert number is None or abs(number) < 1e12


def test_lines_of_the_brokers_client() -> None:
    assert read_message(b"1795397602.29 1 68c3a9 a/b c") == Message(
        time=1795397602.29, topic="a/b c", payload="hé".encode(), retained=True
    )
    empty = read_message(b"1 0  x")
    assert empty is not None
    assert (empty.payload, empty.retained) == (b"", False)


@pytest.mark.parametrize("line", [b"", b"Error: x", b"1 2 00 x", b"1 0 0 x", b"1 0 00 ", b"x"])
def test_lines_that_are_no_message(line: bytes) -> None:
    assert read_message(line) is None


@given(st.binary(max_size=80))
def test_any_line_is_a_message_or_none(line: bytes) -> None:
    message = read_message(line)
    assert message is None or message.topic
