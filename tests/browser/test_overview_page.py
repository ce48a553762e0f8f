"""The page of a triage in a browser: sorting, filtering, its JSON, and what leads to a report."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from evdiag.model.report import TimelineEvent
from evdiag.model.triage import Crash, Group, Triage
from evdiag.parse.triage import read_triage
from evdiag.report.html import overview
from evdiag.report.triage import json
from tests.support import samples

EVENTS = (
    TimelineEvent(offset=-2.5, kind="ocpp", direction="to_csms", text="Heartbeat"),
    TimelineEvent(offset=0.0, kind="crash", text="api crashed", current=True),
)
GROUPS = (
    Group(
        hash="a1", title="api: abort in f", cls="abort", program="API", count=9, status="known",
        first_seen="2026-11-01 10:00:00 UTC", report=samples.abort(), cores=(Crash(path="core.1"),),
    ),
    Group(
        hash="b2", title="ocpp: null-write in g", cls="null-write", program="OCPP", count=12,
        status="new", report=msgspec.structs.replace(samples.null_write(), timeline=EVENTS),
    ),
    Group(hash="c3", title=samples.HOSTILE, cls="abort", count=1, report=samples.values()),
)  # fmt: skip
TRIAGE = Triage(groups=GROUPS, baseline="last.json")


@pytest.fixture(scope="module")
def page(chromium: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The page, opened from a disk; what its console says is a failure."""
    file = tmp_path_factory.mktemp("overview") / "triage.html"
    file.write_text(overview.render(TRIAGE))
    said: list[str] = []
    with chromium.new_page(viewport={"width": 1440, "height": 1000}) as page:
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append(dialog.message))
        page.goto(file.as_uri())
        yield page
    assert said == []


def numbers(page: Page) -> list[str]:
    """The groups that are seen, in their order."""
    return page.locator("#group-rows tr:visible td:first-child").all_inner_texts()


def test_a_column_sorts_the_table(page: Page) -> None:
    head = page.get_by_role("columnheader", name="Crashes").first
    head.get_by_role("button").click()
    assert numbers(page) == ["2", "1", "3"]
    assert head.get_attribute("aria-sort") == "descending"
    head.get_by_role("button").press("Enter")
    assert numbers(page) == ["3", "1", "2"]
    page.get_by_role("button", name="First seen").click()
    assert numbers(page)[0] == "1"  # what is not known is last
    page.get_by_role("button", name="#", exact=True).click()
    assert numbers(page) == ["1", "2", "3"]
    assert page.locator("[aria-sort]").count() == 1


def test_words_filter_the_table(page: Page) -> None:
    page.get_by_label("Filter").fill("ocpp G")
    assert numbers(page) == ["2"]
    assert page.locator("#filtered").inner_text() == "1 of 3 groups"
    page.get_by_label("Filter").fill("")
    page.get_by_label("new ones only").check()
    assert numbers(page) == ["2"]
    page.get_by_label("new ones only").uncheck()
    assert numbers(page) == ["1", "2", "3"]


def test_its_json_is_the_triage(page: Page) -> None:
    with page.expect_download() as download:
        page.get_by_role("button", name="Download JSON").first.click()
    whole = Path(download.value.path()).read_bytes()
    assert msgspec.json.decode(whole) == msgspec.json.decode(json.render(TRIAGE))
    assert [group.hash for group in read_triage(whole).groups] == ["a1", "b2", "c3"]


def test_a_group_leads_to_its_report(page: Page) -> None:
    page.get_by_role("link", name="null-write in g", exact=True).click()
    assert page.evaluate("location.hash") == "#g2"
    assert page.locator("#g2").evaluate("group => group.getBoundingClientRect().top < 200")


def test_a_mark_of_the_timeline_tells_what_it_is(page: Page) -> None:
    read = page.locator("#g2 .g-read:visible")
    assert "api crashed" in (read.text_content() or "")
    page.locator("#g2 .g-mark").first.focus()
    assert "→ CSMS · Heartbeat" in (read.text_content() or "")
    page.locator("#g2 .g-mark-crash .g-dot").hover()
    assert "api crashed" in (read.text_content() or "")


@pytest.mark.parametrize(("width", "dark"), [(390, True), (1440, False)])
def test_everybody_can_read_it(page: Page, width: int, dark: bool) -> None:
    page.set_viewport_size({"width": width, "height": 1000})
    page.emulate_media(color_scheme="dark" if dark else "light")
    found = Axe().run(page).response["violations"]
    assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
