"""Broker and Node-RED may be away: the page says so, and goes on when they are back."""

import re

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Dashboard
from tests.support.replay import CHARGING, LIMITED
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90, func_only=True)]

SECONDS = 30.0


def _press_works(dashboard: Dashboard, stage: Stage) -> None:
    since = stage.mark()
    dashboard.press("Pause")
    stage.await_commands(since, 1)
    assert stage.commands(since) == [("everest_api/evse_manager/cmd/pause_charging", "")]


def test_the_broker_starts_again(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.show(1, CHARGING)
    dashboard.await_value("current", r"300\.0")
    stage.container.output("supervisorctl", "restart", "mosquitto")
    stage.replay.show(1, LIMITED)

    dashboard.await_value("current", r"50\.0", SECONDS)
    stage.mqtt.wait_connected()
    _press_works(dashboard, stage)


def test_node_red_is_away_and_comes_back(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.show(1, CHARGING)
    dashboard.await_state("Charging")
    stage.container.output("supervisorctl", "stop", "nodered")
    try:
        told = re.compile("no connection|connection lost", re.IGNORECASE)
        expect(dashboard.page.get_by_text(told)).to_be_visible(timeout=SECONDS * 1000)
        expect(dashboard.page.locator("[data-state=Charging]")).to_have_count(0, timeout=10_000)
    finally:
        stage.container.output("supervisorctl", "start", "nodered")
    dashboard.await_state("Charging", SECONDS)
    dashboard.await_value("current", r"300\.0")
    expect(dashboard.value("note")).to_be_hidden()
    _press_works(dashboard, stage)


def test_node_red_that_hangs(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.show(1, CHARGING)
    dashboard.await_state("Charging")
    stage.container.output("pkill", "-STOP", "-f", "^node-red")
    try:
        dashboard.await_state("NoData", SECONDS)
        expect(dashboard.value("note")).to_contain_text("No connection to the dashboard")
        dashboard.await_enabled(set())
    finally:
        stage.container.output("pkill", "-CONT", "-f", "^node-red")
    dashboard.await_state("Charging", SECONDS)
