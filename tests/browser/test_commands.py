"""Each button sends exactly its messages, and can be pressed when it makes sense only."""

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import BUTTONS, Dashboard
from tests.support.real_charger import PLUG_IN, START_AGAIN, STOP_AND_UNPLUG
from tests.support.replay import CHARGING, CLOSED, OPENED, derating
from tests.support.simulated import PAUSE_CAR, RESUME_CAR
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60, func_only=True)]

UNPLUG = {"Unplug", "No limit"}
STATES: dict[str, tuple[str, set[str]]] = {
    "Unknown": ("Waiting for EVerest", set()),
    "Unplugged": ("Unplugged", {"Plug in", "No limit"}),
    "AuthRequired": ("Waiting for authorisation", UNPLUG),
    "AuthTimeout": ("Authorisation timed out", UNPLUG),
    "Preparing": ("Preparing", UNPLUG),
    "Charging": ("Charging", {"Pause", "Pause car"} | UNPLUG),
    "ChargingPausedEV": ("Paused by car", {"Resume car"} | UNPLUG),
    "ChargingPausedEVSE": ("Paused by charger", {"Resume"} | UNPLUG),
    "FinishedEV": ("Stopping", UNPLUG),
    "FinishedEVSE": ("Stopped by charger", UNPLUG),
    "Finished": ("Finished", UNPLUG),
    "Reserved": ("Reserved", UNPLUG),
    "Disabled": ("Disabled", UNPLUG),
    "SomethingNew": ("SomethingNew", UNPLUG),
}
"""The words of each state and its buttons, without a connection between car and charger."""


def test_every_state_has_its_words_and_buttons(dashboard: Dashboard, stage: Stage) -> None:
    states = list(STATES)
    for pair in zip(states[::2], states[1::2], strict=True):
        for connector, state in enumerate(pair, start=1):
            stage.replay.show(connector, CHARGING, session_info={"state": state})
        for connector, state in enumerate(pair, start=1):
            words, buttons = STATES[state]
            dashboard.choose(connector)
            dashboard.await_state(state)
            expect(dashboard.state).to_have_text(words)
            expect(dashboard.connector).to_contain_text(f"{connector} – {words}")
            dashboard.await_enabled(buttons)
            for limit in (dashboard.slider, dashboard.number):
                expect(limit).to_be_enabled(enabled=state != "Unknown")


def _messages(connector: int) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """State, button, and what it sends."""
    suffix = "" if connector == 1 else f"_{connector}"
    charger = f"everest_api/evse_manager{suffix}/cmd"
    car = f"everest_external/nodered/{connector}/carsim/cmd"
    execute, modify = f"{car}/execute_charging_session", f"{car}/modify_charging_session"
    return [
        ("Unplugged", "Plug in", [(execute, PLUG_IN)]),
        ("Charging", "Pause car", [(modify, PAUSE_CAR)]),
        ("ChargingPausedEV", "Resume car", [(modify, RESUME_CAR)]),
        ("Charging", "Pause", [(f"{charger}/pause_charging", "")]),
        (
            "ChargingPausedEVSE",
            "Resume",
            [(f"{charger}/resume_charging", ""), (modify, START_AGAIN)],
        ),
        ("Preparing", "Unplug", [(modify, "unplug")]),
        ("Unplugged", "No limit", [_no_limit(connector)]),
        ("Charging", "Unplug", [(modify, STOP_AND_UNPLUG)]),
        ("Charging", "Unplug", [(modify, "unplug")]),  # pressed again
    ]


def _no_limit(connector: int) -> tuple[str, str]:
    return derating(connector), "{}"


def test_every_button_sends_its_messages(dashboard: Dashboard, stage: Stage) -> None:
    since = stage.mark()
    expected: list[tuple[str, str]] = []
    for first, second in zip(_messages(1), _messages(2), strict=True):
        for connector, (state, button, messages) in ((1, first), (2, second)):
            stage.replay.show(1, CHARGING, session_info={"state": state})
            stage.replay.show(2, CHARGING, session_info={"state": state})
            dashboard.choose(connector)
            dashboard.await_state(state)
            dashboard.press(button)
            expected += messages
            stage.await_commands(since, len(expected))
    dashboard.press("No limit")  # whatever was sent twice comes before this
    stage.await_commands(since, len(expected) + 1)

    assert stage.commands(since) == [*expected, _no_limit(2)]


def test_a_button_that_is_disabled_sends_nothing(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.show(1, CHARGING, session_info={"state": "Unplugged"})
    dashboard.await_state("Unplugged")
    since = stage.mark()
    for name in set(BUTTONS) - STATES["Unplugged"][1]:
        dashboard.button(name).dispatch_event("click")
    dashboard.press("No limit")
    stage.await_commands(since, 1)

    assert stage.commands(since) == [_no_limit(1)]


def test_a_car_waits_for_the_end_of_its_connection(dashboard: Dashboard, stage: Stage) -> None:
    """A session that begins earlier never charges."""
    stage.replay.log(1, OPENED)
    stage.replay.show(1, CHARGING, session_info={"state": "ChargingPausedEV"})
    dashboard.await_state("ChargingPausedEV")
    dashboard.await_enabled({"Unplug", "No limit"})
    expect(dashboard.value("note")).to_contain_text("as soon as the car has closed")

    stage.replay.log(1, CLOSED)
    expect(dashboard.value("note")).to_contain_text("can be resumed in")
    stage.replay.show(1, CHARGING, session_info={"state": "Unplugged"})
    expect(dashboard.value("note")).to_contain_text("can be plugged in again in")
    dashboard.await_enabled({"No limit"})
    expect(dashboard.button("Plug in")).to_be_enabled(timeout=10_000)
    expect(dashboard.value("note")).to_be_hidden()
