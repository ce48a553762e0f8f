"""The page for everybody: with the keyboard, with a screen reader, on a telephone."""

import os
from pathlib import Path
from typing import Literal

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.support.dashboard_page import Dashboard
from tests.support.replay import CHARGING, FAULTY, LIMITED, SESSION
from tests.support.stage import Stage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60, func_only=True)]

SCREENSHOTS = os.environ.get("EVDIAG_SCREENSHOTS")
"""A folder that keeps what the pages looked like."""

ALLOWED = {
    "aria-tooltip-name": "an empty tooltip of Dashboard 2, which nothing shows",
}
"""Rules of axe that the page breaks, and why that is no harm."""

CUT_OFF = """() => {
    const wrong = [];
    for (const element of document.querySelectorAll('main *')) {
        const own = [...element.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
        const box = element.getBoundingClientRect();
        const style = getComputedStyle(element);
        const hidden = !box.width || style.clipPath !== 'none' || element.closest('nav');
        if (!own || hidden) { continue; }
        const cut = style.overflowX !== 'visible' && element.scrollWidth > element.clientWidth;
        if (cut || box.left < 0 || box.right > innerWidth + 0.5) {
            wrong.push(element.textContent.trim().slice(0, 60));
        }
    }
    return wrong;
}"""
"""The texts that are not seen in full; not Dashboard 2's menu, nor what only screen readers get."""

FOCUSED = """() => {
    const element = document.activeElement;
    return element.ariaLabel || (element.labels && element.labels[0]
        ? element.labels[0].firstChild.data : element.innerText || '').trim();
}"""

ORDER = [
    *("Connector", "Plug in", "Unplug", "Pause car", "Resume car", "Pause", "Resume"),
    *("Maximum current", "Maximum current in ampere", "No limit"),
]


@pytest.fixture(scope="module")
def busy(shared_page: Dashboard, stage: Stage) -> Dashboard:
    """The page with something in all of its places."""
    stage.settle()
    stage.replay.show(1, CHARGING)
    stage.replay.show(2, LIMITED)
    shared_page.choose(1)
    stage.replay.charger(errors=SESSION.at(FAULTY)["everest_api/errors/var/active_errors"])
    shared_page.await_value("current", r"300\.0")
    expect(shared_page.value("errors")).to_contain_text("MREC3HighTemperature")
    return shared_page


def test_axe_finds_nothing(busy: Dashboard) -> None:
    schemes: tuple[Literal["light", "dark"], ...] = ("dark", "light")
    for scheme in schemes:
        busy.page.emulate_media(color_scheme=scheme)
        found = Axe().run(busy.page)
        wrong = [each for each in found.response["violations"] if each["id"] not in ALLOWED]
        assert not wrong, f"{scheme}: {found.generate_report()}"


def test_headings_and_landmarks(busy: Dashboard) -> None:
    assert busy.page.get_by_role("heading", level=1).count() == 1
    assert busy.page.get_by_role("main").count() == 1
    headings = set(busy.page.get_by_role("heading", level=2).all_inner_texts())
    assert {"Charging state", "Current limit", "Power", "Voltage"} <= headings
    for name in ("power", "voltage", "current", "temperature"):
        expect(busy.value(name)).to_have_role("meter")
        expect(busy.value(f"trend-{name}")).to_have_role("img")
    expect(busy.state).to_have_role("status")


def test_the_keyboard_is_enough(busy: Dashboard, stage: Stage) -> None:
    keyboard = busy.page.keyboard
    busy.connector.focus()
    reached = [busy.page.evaluate(FOCUSED)]
    while len(reached) < len(ORDER):
        keyboard.press("Tab")
        reached.append(busy.page.evaluate(FOCUSED))
    assert reached == ORDER

    since = stage.mark()
    busy.connector.press("ArrowDown")
    busy.await_value("current", r"50\.0")
    busy.connector.press("ArrowUp")
    busy.await_value("current", r"300\.0")
    busy.button("Pause").press("Enter")
    busy.button("Pause car").press("Space")
    stage.await_commands(since, 2)
    assert [topic.rpartition("/")[2] for topic, _ in stage.commands(since)] == [
        "pause_charging",
        "modify_charging_session",
    ]


def test_all_is_seen_on_every_screen(busy: Dashboard) -> None:
    assert busy.page.viewport_size is not None
    widest = busy.page.viewport_size["width"]
    for width in (390, 800, widest):
        busy.page.set_viewport_size({"width": width, "height": 900})
        scrolled = busy.page.evaluate("document.scrollingElement.scrollWidth")
        cut = busy.page.evaluate(CUT_OFF)
        if SCREENSHOTS:
            path = Path(SCREENSHOTS) / f"dashboard-{width}.png"
            busy.page.screenshot(path=path, full_page=True)

        assert (width, scrolled, cut) == (width, min(scrolled, width), [])
