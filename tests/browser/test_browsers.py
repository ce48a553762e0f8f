"""More than one browser at the same charger, and who is let in."""

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Error, HttpCredentials, expect

from tests.support.dashboard_page import Dashboard
from tests.support.replay import CHARGING, LIMITED, derating
from tests.support.stage import SETTINGS, Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60, func_only=True)]


@pytest.fixture
def second(chromium: Browser, stage: Stage) -> Iterator[Dashboard]:
    """A page of another user, not loaded yet."""
    with chromium.new_context(viewport={"width": 390, "height": 844}) as context:
        yield Dashboard(context.new_page(), stage.address)


def test_two_browsers(dashboard: Dashboard, second: Dashboard, stage: Stage) -> None:
    """The second is new: whatever it loads comes from the charger, and nothing goes wrong."""
    asked: list[str] = []
    wrong: list[str] = []
    second.page.on("request", lambda request: asked.append(request.url))
    second.page.on("websocket", lambda socket: asked.append(socket.url))
    second.page.on("pageerror", lambda error: wrong.append(str(error)))
    second.page.on(
        "console", lambda said: wrong.append(said.text) if said.type == "error" else None
    )
    stage.replay.show(1, CHARGING)
    stage.replay.show(2, LIMITED, session_info={"state": "Preparing"})
    dashboard.limit(60)

    second.open()
    second.await_state("Charging")
    second.await_value("limit", "60 A")
    second.choose(2)
    second.await_state("Preparing")
    second.await_value("limit", "none")
    second.limit(7)
    dashboard.await_value("limit", "60 A")  # has a connector of its own
    dashboard.await_state("Charging")
    dashboard.choose(2)
    dashboard.await_value("limit", "7 A")
    dashboard.await_state("Preparing")
    dashboard.limit(8)
    second.await_value("limit", "8 A")
    stage.mqtt.publish(derating(2), '{"max_export_current_A": 35}')
    for page in (dashboard, second):
        page.await_value("limit", "35 A")
        expect(page.slider).to_have_value("35")
        expect(page.number).to_have_value("35")

    assert {urlsplit(url).netloc for url in asked} == {urlsplit(stage.address).netloc}
    assert {urlsplit(url).scheme for url in asked} == {"http", "ws"}
    assert wrong == []


# -- from elsewhere: by the container's own address, which is not the one of this machine


@pytest.fixture
def elsewhere(stage: Stage) -> str:
    """The address at which the dashboard needs a password."""
    networks = stage.container.inspect()["NetworkSettings"]["Networks"]
    return f"http://{next(iter(networks.values()))['IPAddress']}:1880"


def test_without_the_password_there_is_no_page(chromium: Browser, elsewhere: str) -> None:
    with chromium.new_context() as context, pytest.raises(Error, match="ERR_INVALID_AUTH"):
        context.new_page().goto(f"{elsewhere}/ui/")

    wrong: HttpCredentials = {"username": "admin", "password": "wrong"}
    with chromium.new_context(http_credentials=wrong) as context:
        page = context.new_page()
        answer = page.goto(f"{elsewhere}/ui/")
        assert answer is not None
        assert answer.status == 401
        assert page.get_by_test_id("state").count() == 0


def test_with_the_password_there_is(chromium: Browser, elsewhere: str, stage: Stage) -> None:
    given: HttpCredentials = {"username": "admin", "password": SETTINGS["DASHBOARD_PASSWORD"]}
    with chromium.new_context(http_credentials=given) as context:
        dashboard = Dashboard(context.new_page(), elsewhere)
        dashboard.open()
        stage.replay.show(1, CHARGING)
        dashboard.await_state("Charging")
        dashboard.await_value("current", r"300\.0")
        since = stage.mark()
        dashboard.press("Pause")
        stage.await_commands(since, 1)
