"""The limit of the current: one message for each change, within its bounds."""

import json

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Dashboard
from tests.support.replay import CHARGING, derating
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60, func_only=True)]

MOST = 400


def _amperes(stage: Stage, since: int, count: int) -> list[float]:
    """What was sent since a mark, which has to be so many limits."""
    stage.await_commands(since, count)
    sent = stage.commands(since)
    assert {topic for topic, _ in sent} == {derating(1)}
    limits = [json.loads(payload) for _, payload in sent]
    assert all(set(limit) == {"max_export_current_A"} for limit in limits)
    return [limit["max_export_current_A"] for limit in limits]


@pytest.fixture
def charging(dashboard: Dashboard, stage: Stage) -> Dashboard:
    """The page of a charging car without a limit."""
    stage.replay.show(1, CHARGING)
    dashboard.await_state("Charging")
    dashboard.await_value("limit", "none")
    return dashboard


def test_keys_move_the_slider(charging: Dashboard, stage: Stage) -> None:
    since = stage.mark()
    for key in ("Home", "ArrowRight", "End", "ArrowLeft"):
        charging.slider.press(key)

    assert _amperes(stage, since, 4) == [1, 2, MOST, MOST - 1]
    charging.await_value("limit", f"{MOST - 1} A")
    expect(charging.slider).to_have_value(str(MOST - 1))


def test_the_slider_is_dragged(charging: Dashboard, stage: Stage) -> None:
    box = charging.slider.bounding_box()
    assert box is not None
    middle, since = box["y"] + box["height"] / 2, stage.mark()
    mouse = charging.page.mouse
    mouse.move(box["x"] + box["width"] / 2, middle)
    mouse.down()
    mouse.move(box["x"] + box["width"] / 4, middle, steps=10)
    expect(charging.number).not_to_have_value(str(MOST))  # moves along
    assert stage.commands(since) == []
    mouse.up()
    charging.slider.press("Home")  # whatever is sent twice comes before this

    dragged, least = _amperes(stage, since, 2)
    assert dragged == pytest.approx(MOST / 4, rel=0.1)
    assert least == 1


def test_the_number_is_typed(charging: Dashboard, stage: Stage) -> None:
    since = stage.mark()
    charging.limit(75)
    charging.await_value("limit", "75 A")
    expect(charging.slider).to_have_value("75")
    for typed in ("9999", "0", "-20", "2.4", ""):
        charging.limit(typed)
    expect(charging.number).to_have_value("2")
    charging.slider.fill("50")
    charging.await_value("limit", "50 A")
    expect(charging.number).to_have_value("50")

    # 0 would end the session for good
    assert _amperes(stage, since, 6) == [75, MOST, 1, 1, 2, 50]
    assert charging.slider.get_attribute("min") == "1"
    assert charging.slider.get_attribute("max") == str(MOST)
