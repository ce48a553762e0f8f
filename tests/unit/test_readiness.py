"""A charger's start, by what it logs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.preflight import NO_IPV6
from evdiag.analyze.readiness import (
    LAST_LINES,
    MOST_REMEMBERED,
    OCPP_PATIENCE,
    OCPP_SILENCE,
    Readiness,
    too_slow,
    why,
    why_ended,
)
from evdiag.errors import NotReady, UsageError
from evdiag.model.charger import ContainerFacts
from evdiag.model.run import Event, Reached, Under, Warned

BROKER = "2026-11-23 00:48:54: mosquitto version 2.0.22 running"
FLOWS = "23 Nov 00:48:55 - [info] Started flows"


def everest(process: str, message: str, level: str = "37mINFO") -> str:
    return (
        f"2026-11-23 00:48:55.493797 [\x1b[1;{level}\x1b[0m] \x1b[1;32m{process:15.15}\x1b[0m "
        f"\x1b[1;36m\x1b[0m \x1b[1;30m:\x1b[0m\x1b[1;32m\x1b[0m: {message}"
    )


STARTING = everest("manager", "Starting 24 modules")
UP = everest(
    "manager",
    "\x1b[1m\x1b[32m🚙🚙🚙 All modules are initialized. EVerest up and running [3953ms] 🚙\x1b[0m",
)
CONNECTED = everest(
    "ocpp:OCPP201", "OCPP client successfully connected to server with version: ocpp2.0.1"
)
CRASHED = everest(
    "manager", "Module ocpp exited unexpectedly, terminating remaining modules...", "35mCRIT"
)


def module(name: str) -> str:
    return everest(f"{name}:Type", f"Module \x1b[1m\x1b[34m{name}\x1b[0m initialized [3274ms]")


def failed(reason: str) -> str:
    return everest(
        "ocpp:OCPP201", f"CLIENT_CONNECTION_ERROR: [{reason}]. Attempting reconnect", "31mERRO"
    )


def fed(readiness: Readiness, *lines: str, now: float = 0.0) -> list[Event]:
    return [event for line in lines for event in readiness.feed(line, now)]


def test_a_start_from_the_broker_to_the_dashboard() -> None:
    readiness = Readiness()

    assert readiness.missing == "the MQTT broker, EVerest, OCPP, the dashboard"
    assert fed(readiness, BROKER, BROKER) == [Reached("broker", "MQTT broker runs")]
    assert fed(readiness, STARTING) == [Under("EVerest", "0 of 24 modules")]
    assert fed(readiness, module("auth"), module("auth")) == [
        Under("EVerest", "1 of 24 modules"),
        Under("EVerest", "1 of 24 modules"),
    ]
    # now and then two modules write at once
    assert fed(readiness, module("api") + module("evse_manager")) == [
        Under("EVerest", "3 of 24 modules")
    ]
    assert not readiness.waits_for_page
    assert fed(readiness, FLOWS) == []
    assert readiness.waits_for_page
    assert readiness.page_answers() == [Reached("dashboard", "dashboard answers")]
    assert not readiness.waits_for_page
    assert fed(readiness, UP) == [Reached("everest", "EVerest is up: 24 modules")]
    assert (readiness.ready, readiness.missing) == (False, "OCPP")
    assert fed(readiness, CONNECTED) == [Reached("ocpp", "OCPP 2.0.1 is connected")]
    assert (readiness.ready, readiness.missing) == (True, "")
    assert readiness.ocpp == "connected"
    assert readiness.next_change is None
    assert readiness.tick(1e9) == []


def test_without_the_number_of_modules_they_are_counted_all_the_same() -> None:
    readiness = Readiness()

    assert fed(readiness, module("auth")) == [Under("EVerest", "1 modules")]
    assert fed(readiness, UP) == [Reached("everest", "EVerest is up")]
    assert fed(readiness, module("late")) == []


def test_it_counts_as_ready_after_some_tries_of_a_csms_that_is_not_there() -> None:
    readiness = Readiness()
    fed(readiness, STARTING, UP, now=10.0)

    assert readiness.next_change == 10.0 + OCPP_SILENCE
    assert readiness.tick(11.0) == []
    assert fed(readiness, failed("conn fail: ECONNREFUSED"), now=12.0) == [
        Under("OCPP", "not connected: nothing takes connections there (conn fail: ECONNREFUSED)")
    ]
    assert fed(readiness, failed("conn fail: ECONNREFUSED"), now=13.0) == []
    assert readiness.next_change == 12.0 + OCPP_PATIENCE
    (event,) = readiness.tick(12.0 + OCPP_PATIENCE)
    assert event == Warned(
        "OCPP not connected: nothing takes connections there (conn fail: ECONNREFUSED); "
        "the charger goes on trying"
    )
    assert fed(readiness, CONNECTED) == []
    assert readiness.ocpp == "connected"


def test_a_csms_that_never_answers_is_not_waited_for_for_ever() -> None:
    readiness = Readiness()
    fed(readiness, UP, now=10.0)

    (event,) = readiness.tick(10.0 + OCPP_SILENCE)

    assert isinstance(event, Warned)
    assert "no answer from the CSMS yet" in event.text
    assert fed(readiness, failed("late"), now=99.0) == []
    assert readiness.ocpp == "not connected: late"


def test_everest_that_says_twice_that_it_is_up_counts_from_the_first_time() -> None:
    once, twice = Readiness(), Readiness()
    fed(once, BROKER, UP, now=1.0)
    fed(twice, BROKER, UP, now=1.0)

    assert fed(twice, UP, now=50.0) == []
    assert twice.next_change == once.next_change


def test_a_csms_that_closes_is_not_connected() -> None:
    readiness = Readiness()

    fed(readiness, CONNECTED, everest("ocpp:OCPP", "OCPP client closed connection to server"))

    assert readiness.ocpp == "not connected: the CSMS closed the connection"


def test_a_crash_is_said_at_once_and_everest_has_to_come_up_again() -> None:
    readiness = Readiness()
    fed(readiness, BROKER, STARTING, UP, CONNECTED)
    core = "evdiag capture: ocpp:OCPP201 pid 64 tid 64 died of signal 11: core.ocpp.64.17 (80 MB)"

    said = fed(readiness, core, CRASHED, CRASHED)

    assert said == [
        Warned("a crash while the charger started: core.ocpp.64.17 is its core"),
        Warned("module ocpp ended while the charger started; EVerest starts again"),
    ]
    assert readiness.missing == "EVerest, OCPP, the dashboard"
    assert fed(readiness, STARTING, UP, CONNECTED)[1:] == [
        Reached("everest", "EVerest is up: 24 modules"),
        Reached("ocpp", "OCPP 2.0.1 is connected"),
    ]


def test_an_end_of_the_manager_starts_all_over() -> None:
    readiness = Readiness()
    fed(readiness, BROKER, STARTING, UP, CONNECTED)

    line = "2026-11-23 00:48:59,1 WARN exited: everest (terminated by SIGKILL; not expected)"

    assert fed(readiness, line) == []
    assert readiness.missing == "EVerest, OCPP, the dashboard"
    # the previous life's lines may come late, but its successor's do for sure
    fed(readiness, UP, CONNECTED, STARTING)
    assert readiness.missing == "EVerest, OCPP, the dashboard"


def test_older_managers_tell_of_a_crash_in_other_words() -> None:
    text = "Module ocpp (pid: 12) exited with status: 139. Terminating all modules."

    (event,) = fed(Readiness(), everest("manager", text))

    assert event == Warned("module ocpp ended while the charger started; EVerest starts again")


def test_a_crash_without_a_core_says_why_and_many_are_not_all_said() -> None:
    readiness = Readiness()
    line = "evdiag capture: no core of 12 ocpp (signal 6): the disk is full"

    (event,) = fed(readiness, line)
    more = [
        f"evdiag capture: x pid {n} tid {n} died of signal 6: core.x.{n} (1 MB)" for n in range(99)
    ]

    assert isinstance(event, Warned)
    assert "no core of 12 ocpp (signal 6): the disk is full" in event.text
    assert len(fed(readiness, *more)) == MOST_REMEMBERED - 1


def test_what_the_container_says_of_its_settings_is_kept() -> None:
    readiness = Readiness()

    assert fed(readiness, "configure: OCPP_ID is 'a b': must be", "entrypoint: must start") == []
    (event,) = fed(readiness, "entrypoint: no interface has an IPv6 link-local address: no car")

    assert event == Warned(NO_IPV6)
    assert readiness.complaints[:2] == ["OCPP_ID is 'a b': must be", "must start"]


def test_only_the_last_lines_are_kept_and_empty_ones_are_not() -> None:
    readiness = Readiness()

    fed(readiness, *(f"line {n}" for n in range(99)), "", "\x1b[0m  ", "x" * 1_000_000)

    assert len(readiness.last) == LAST_LINES
    assert readiness.last[-2] == "line 98"
    assert len(readiness.last[-1]) < 10_000


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("conn fail: ECONNREFUSED", "nothing takes connections there"),
        ("conn fail: EHOSTUNREACH", "its host does not answer"),
        ("DNS NXDOMAIN", "its name has no address"),
        ("HS: ws upgrade response not 101", "not with a WebSocket"),
        ("HS: ws upgrade unauthorized", "HTTP 401"),
        ("tls: self-signed certificate", "does not trust its certificate"),
        ("tls: error:0A00010B:SSL routines::wrong version number", "does not speak TLS"),
        ("something new", "something new"),
    ],
)
def test_why_there_is_no_connection(reason: str, words: str) -> None:
    said = why(reason)

    assert words in said
    assert reason in said


def ended(code: int | None, **more: object) -> ContainerFacts:
    facts = {"id": "1", "name": "everest", "state": "exited", "exit_code": code, **more}
    return ContainerFacts(**facts)  # type: ignore[arg-type]  # names of ContainerFacts


def after(*lines: str) -> Readiness:
    readiness = Readiness()
    fed(readiness, *lines)
    return readiness


def test_a_container_that_refuses_its_settings_is_a_wrong_use() -> None:
    said = after("configure: OCPP_ID is bad", "configure: NUM_CONNECTORS is bad", "last")

    error = why_ended(ended(2), said)

    assert isinstance(error, UsageError)
    assert str(error).splitlines()[1:] == ["  OCPP_ID is bad", "  NUM_CONNECTORS is bad"]


def test_a_container_that_ended_otherwise_is_not_ready() -> None:
    error = why_ended(ended(2), after("one", "two"))

    assert isinstance(error, NotReady)
    assert "it ended with code 2 while it started" in str(error)
    assert str(error).endswith("one\n    two")
    assert "memory ran out" in str(why_ended(ended(137, oom_killed=True), after()))


def test_a_program_of_another_machine_is_named() -> None:
    line = "exec /usr/local/bin/entrypoint.sh: exec format error"

    assert str(why_ended(ended(1), after("x", line, "y"))).endswith(line)
    assert str(why_ended(ended(127, error="no such file"), after())).endswith("no such file")


def test_a_charger_that_takes_too_long_is_left_to_start() -> None:
    error = too_slow("west", after(BROKER, UP), 90)

    assert str(error).startswith("west is not ready after 90 s: OCPP, the dashboard missing.")
    assert BROKER in str(error)
    assert "--name west -f" in error.advice


PIECES = st.sampled_from(
    [BROKER, STARTING, UP, CONNECTED, CRASHED, FLOWS, failed("x"), module("a"), "\x1b[", "Module "]
)


@given(st.lists(st.lists(PIECES | st.text(max_size=20), max_size=4).map("".join), max_size=12))
def test_any_text_is_followed(lines: list[str]) -> None:
    readiness = Readiness()
    now = 0.0
    for line in lines:
        for event in (*readiness.feed(line, now), *readiness.tick(now)):
            assert isinstance(event, Reached | Under | Warned)
        now += 1.0
        assert readiness.next_change is None or readiness.next_change > 0
    assert readiness.ready is (readiness.missing == "")
