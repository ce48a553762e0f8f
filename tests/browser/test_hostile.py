"""What comes by MQTT is shown as text, whatever is in it, and does no harm."""

import pytest
from playwright.sync_api import expect

from tests.support.dashboard_page import Dashboard
from tests.support.replay import CHARGER, CHARGING, topic
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60, func_only=True)]

SCRIPTS = (
    "<img src=x onerror=\"document.title='owned'\">",
    "<script>document.title='owned'</script>",
    "{{ constructor.constructor('document.title=`owned`')() }}",
    "<svg/onload=document.title='owned'>",
)
ACTIVE = ":is(img, script, svg[onload])"
ODD = "\x1b[31mred\x1b[0m \u202eesrever\u202c \x00\x07 \ud83d\ude00 " + "wide " * 2000


def _error(text: str) -> dict[str, object]:
    return {
        "type": text,
        "description": text,
        "message": text,
        "severity": text,
        "timestamp": text,
        "origin": {"module_id": text, "implementation_id": text},
    }


def test_markup_is_text(dashboard: Dashboard, stage: Stage) -> None:
    title, elements = dashboard.page.title(), dashboard.page.locator(ACTIVE)
    before = elements.count()
    errors = [_error(text) for text in SCRIPTS]
    stage.replay.charger(errors=errors, ocpp=SCRIPTS[0])
    stage.replay.show(1, CHARGING, selected_protocol=SCRIPTS[0])
    shown = dashboard.value("errors")
    for text in SCRIPTS:
        expect(shown).to_contain_text(text)
    expect(dashboard.value("protocol")).to_contain_text("<img")
    expect(dashboard.value("ocpp")).to_contain_text("<img")

    assert elements.count() == before
    assert dashboard.page.title() == title


def test_a_flood_of_odd_text_stays_in_its_place(dashboard: Dashboard, stage: Stage) -> None:
    stage.replay.charger(errors=[_error(ODD), *([_error("x" * 10_000)] * 100)])
    shown = dashboard.value("errors")
    expect(shown).to_contain_text("xxx")
    expect(shown).to_contain_text("esrever")

    assert len(shown.inner_text()) < 50_000
    width = dashboard.page.evaluate("document.scrollingElement.scrollWidth")
    assert width <= dashboard.page.evaluate("innerWidth")


def test_messages_of_another_kind_are_passed_over(dashboard: Dashboard, stage: Stage) -> None:
    since = stage.mark()
    for said in ("", "null", "7", "[]", '"text"', "{", '{"state": {"a": 1}}', '{"state": "<b>"}'):
        for name in ("session_info", "powermeter", "telemetry", "selected_protocol", "ev_info"):
            stage.mqtt.publish(topic(1, name), said)
        for name in CHARGER.values():
            stage.mqtt.publish(name, said)
        stage.mqtt.publish(topic(1, "hlc_log"), said)
    stage.replay.show(1, CHARGING)

    dashboard.await_state("Charging")
    dashboard.await_value("current", r"300\.0")
    dashboard.await_value("errors", "None")
    dashboard.await_value("ocpp", "connected")
    assert stage.commands(since) == []
