"""What EVerest says is on the page as long as it is true, and what it does not say is not."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import FACTS, METERS, NOTHING, Dashboard
from tests.support.replay import CHARGING, FAULTY, LIMITED, SESSION, UNPLUGGED
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60, func_only=True)]

ERRORS = "everest_api/errors/var/active_errors"


def test_the_values_of_a_charging_car(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.show(1, CHARGING)
    stage.replay.show(2, LIMITED)

    dashboard.await_value("power", r"120\.0")
    dashboard.await_value("voltage", r"400(\.0)?")
    dashboard.await_value("current", r"300\.0")
    dashboard.await_value("temperature", r"57\.[01]")
    dashboard.await_value("soc", "32 %")
    dashboard.await_value("energy", r"0\.\d\d kWh")
    dashboard.await_value("duration", "00:01:4[67]")
    dashboard.await_value("protocol", "ISO15118-2-2013")
    dashboard.await_value("ocpp", "connected")
    dashboard.await_value("everest", "online")
    dashboard.await_value("errors", "None")
    expect(dashboard.value("power")).to_have_attribute("aria-valuenow", "120")
    expect(dashboard.value("power")).to_have_attribute("aria-valuetext", "120.0 kW")
    for name in METERS:
        expect(dashboard.value(f"trend-{name}")).to_have_attribute("aria-label", re.compile(" to "))

    dashboard.choose(2)
    dashboard.await_value("current", r"50\.0")
    dashboard.await_value("power", r"20\.0")


def test_large_values(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.show(
        1,
        CHARGING,
        session_info={"charging_duration_s": 36_000 + 61, "charged_energy_wh": 123_456},
        powermeter={"power_W": {"total": 1e12}, "current_A": {"DC": -3.25}},
        ev_info={"soc": 100},
    )
    stage.replay.charger(ocpp="disconnected")

    dashboard.await_value("duration", "10:01:01")
    dashboard.await_value("energy", r"123\.46 kWh")
    dashboard.await_value("soc", "100 %")
    dashboard.await_value("power", r"1000000000\.0")
    dashboard.await_value("current", r"-3\.[23]")
    dashboard.await_value("ocpp", "disconnected")


def test_an_error_and_its_end(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.charger(errors=SESSION.at(FAULTY)[ERRORS])
    errors = dashboard.value("errors")
    for words in ("High", "MREC3HighTemperature", "yeti_driver_2", "Simulated fault event"):
        expect(errors).to_contain_text(words)

    stage.replay.charger(errors=[])
    dashboard.await_value("errors", "None")


def test_silence_is_told_and_nothing_is_zero(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.show(1, CHARGING)
    stage.replay.show(2, CHARGING)
    dashboard.await_state("Charging")
    dashboard.await_value("soc", "32 %")
    # one connector says nothing any more, one its state only; the charger as a whole says nothing
    stage.replay.silence(1)
    stage.replay.silence(2, but={"state": "Charging"})
    stage.replay.charger(connectors=None, errors=None, ocpp=None)

    dashboard.await_state("NoData", 10)
    expect(dashboard.state).to_have_text("No data from EVerest")
    _nothing_is_known(dashboard)
    dashboard.await_value("everest", "no data")
    dashboard.await_value("ocpp", "no data")
    dashboard.await_value("limit", NOTHING)
    expect(dashboard.value("errors")).not_to_contain_text("None")
    dashboard.await_enabled(set())
    expect(dashboard.slider).to_be_disabled()

    dashboard.choose(2)
    dashboard.await_state("Charging")
    _nothing_is_known(dashboard)

    # fields that are not what they should be
    stage.replay.show(
        1,
        UNPLUGGED,
        session_info={"charged_energy_wh": "7", "charging_duration_s": [7], "state": "Charging"},
        powermeter={"power_W": 7, "voltage_V": {"L1": 7}, "current_A": {"DC": None}},
        telemetry={"temperature": "hot"},
        ev_info={"soc": True},
        selected_protocol=None,
    )
    dashboard.choose(1)
    dashboard.await_state("Charging")
    _nothing_is_known(dashboard)


def _nothing_is_known(dashboard: Dashboard) -> None:
    for name in (*METERS, *FACTS):
        dashboard.await_value(name, NOTHING)
    for name in METERS:
        expect(dashboard.value(name)).to_have_attribute("aria-valuetext", "no data")
