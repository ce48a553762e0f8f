"""The HTML report in a real browser, opened from a disk: it works, asks and obeys nobody."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Dialog, Page, expect

from evdiag.report import html
from evdiag.report import json as report_json
from evdiag.report.html import overview
from tests.support import report_pages, samples
from tests.support.triages import crashes, full, triage

pytestmark = [pytest.mark.browser, pytest.mark.timeout(60, func_only=True)]

SCREENSHOTS = os.environ.get("EVDIAG_SCREENSHOTS")
"""A folder that keeps what the pages looked like."""

VIOLATIONS = "addEventListener('securitypolicyviolation', (e) => console.error(e.blockedURI))"
OWNED = "() => [window.owned, document.title.includes('owned:')]"
FOREIGN = """() => [...document.querySelectorAll('*')].filter((element) =>
    ['IMG', 'IFRAME', 'OBJECT', 'EMBED', 'BASE', 'FORM', 'TEXTAREA'].includes(element.tagName)
    || element.getAttributeNames().some((name) => name.startsWith('on') || name === 'srcdoc')
    || /^\\s*javascript:/i.test(element.getAttribute('href') ?? '')
    || (element.tagName === 'SCRIPT' && element.type === '' && element.id !== '')
).map((element) => element.outerHTML.slice(0, 200))"""
"""Elements and attributes that a page of ours never has."""
SCRIPTS = "() => document.querySelectorAll('script:not([type])').length"
WIDER = "() => document.scrollingElement.scrollWidth - innerWidth"
CLOSED = "() => document.querySelectorAll('details:not([open])').length"
BEFORE_PRINT = "() => addEventListener('beforeprint', () => { window.closed_then = (%s)(); })"


class Opened:
    """A page from a disk, and what it did that it must not do."""

    def __init__(self, page: Page, path: Path) -> None:
        self.page, self.path = page, path
        self.wrong: list[str] = []
        page.on("pageerror", lambda error: self.wrong.append(f"error: {error}"))
        page.on("console", lambda message: self.wrong.append(f"console: {message.text}"))
        page.on("dialog", self._asked)
        page.on("popup", lambda _: self.wrong.append("a window"))
        page.on("request", lambda request: self._requested(request.url))
        page.add_init_script(VIOLATIONS)

    def _asked(self, dialog: Dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _requested(self, url: str) -> None:
        # an icon in the page itself, and what a download is made of, ask nobody
        if url != self.path.as_uri() and not url.startswith(("data:image/svg+xml,", "blob:")):
            self.wrong.append(f"request: {url[:200]}")

    def show(self, text: str) -> Page:
        """Open a document."""
        self.path.write_text(text)
        self.page.goto(self.path.as_uri())
        return self.page

    def search(self, words: str) -> None:
        """Type into the search of the page."""
        self.page.get_by_role("searchbox", name="Search").fill(words)


@pytest.fixture(scope="module")
def window(chromium: Browser) -> Iterator[BrowserContext]:
    """A window without a network."""
    size: dict[str, int] = {"width": 1440, "height": 1000}
    with chromium.new_context(viewport=size, reduced_motion="reduce", offline=True) as context:  # type: ignore[arg-type]
        context.route(lambda url: not url.startswith("file:"), lambda route: route.abort())
        yield context


@pytest.fixture
def opened(window: BrowserContext, tmp_path: Path) -> Iterator[Opened]:
    """A page that has done nothing wrong when the test is over."""
    page = window.new_page()
    opened = Opened(page, tmp_path / "report.html")
    yield opened
    page.close()
    assert opened.wrong == []


def axe(page: Page) -> None:
    """No rule of accessibility is broken; at night the colours are others, and nothing else is."""
    schemes: dict[Literal["light", "dark"], dict[str, object]] = {
        "light": {"resultTypes": ["violations"]},
        "dark": {"resultTypes": ["violations"], "runOnly": ["color-contrast"]},
    }
    for scheme, options in schemes.items():
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options=options)
        assert not found.response["violations"], f"{scheme}: {found.generate_report()}"


def fits(page: Page, name: str, *, full: bool = False) -> None:
    """Nothing is wider than the screen, on a telephone or a desk."""
    for width in (390, 1440):
        page.set_viewport_size({"width": width, "height": 1000})
        if SCREENSHOTS:
            page.screenshot(path=Path(SCREENSHOTS) / f"{name}-{width}.png", full_page=full)
        assert (width, page.evaluate(WIDER)) == (width, 0)


def shown_frames(page: Page) -> int:
    return page.locator(".thread .frame:visible").count()


# ---------------------------------------------------------------- one report


def test_search_finds_frames_and_values_and_counts_them(opened: Opened) -> None:
    page = opened.show(html.render(report_pages.everything()))
    found = page.get_by_role("status")
    before = shown_frames(page)
    opened.search("meter lock_1")
    expect(found).to_have_text("1 frame in 1 stack")
    assert shown_frames(page) == 1
    expect(page.locator(".frame:visible")).to_contain_text("charging::Meter::lock_1()")

    opened.search("DEADBEEF")  # a value that is folded away; gdb's own stack has it too
    expect(found).to_have_text("2 frames in 1 stack")
    assert shown_frames(page) == 2
    expect(page.locator(".thread").get_by_text("DEADBEEF").first).to_be_visible()

    opened.search("no such thing")
    expect(found).to_have_text("Nothing found")
    page.keyboard.press("Escape")
    expect(found).to_have_text("")
    assert shown_frames(page) == before


def test_the_keyboard_is_enough(opened: Opened) -> None:
    page = opened.show(html.render(report_pages.everything()))
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Search")).to_be_focused()
    page.keyboard.press("Escape")

    thread = page.locator("details.thread:not([open])").first
    page.evaluate(
        "(id) => document.getElementById(id).classList.add('mine')", thread.get_attribute("id")
    )
    thread = page.locator("details.thread.mine")
    summary, frame = thread.locator("> summary"), thread.locator(".frame").first
    expect(frame).to_be_hidden()
    summary.focus()
    page.keyboard.press("Enter")
    expect(frame).to_be_visible()
    page.keyboard.press("Space")
    expect(frame).to_be_hidden()

    page.get_by_role("button", name="Open all").press("Enter")
    assert page.evaluate(CLOSED) == 0

    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.reload()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the report")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#content")).to_be_focused()


def test_the_json_comes_out_as_it_is(opened: Opened, tmp_path: Path) -> None:
    report = report_pages.hostile()
    page = opened.show(html.render(report))
    with page.expect_download() as coming:
        page.get_by_role("button", name="Download JSON").click()
    assert coming.value.suggested_filename.endswith(".json")
    coming.value.save_as(tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == report_json.render(report)


def test_axe_finds_nothing(opened: Opened) -> None:
    page = opened.show(html.render(report_pages.everything()))
    page.get_by_role("button", name="Open all").click()
    axe(page)


@pytest.mark.parametrize("name", ["everything", "hostile", "all_hostile"])
def test_nothing_is_wider_than_the_screen(opened: Opened, name: str) -> None:
    page = opened.show(html.render(getattr(report_pages, name)()))
    fits(page, name, full=name == "everything")
    page.get_by_role("button", name="Open all").click()
    fits(page, f"{name}-open")


def test_a_print_has_it_all(opened: Opened) -> None:
    page = opened.show(html.render(report_pages.everything()))
    closed = page.evaluate(CLOSED)
    assert closed > 3
    page.emulate_media(media="print")
    assert page.evaluate(WIDER) == 0
    expect(page.get_by_role("searchbox", name="Search")).to_be_hidden()
    page.evaluate(BEFORE_PRINT % CLOSED)
    page.pdf()
    assert page.evaluate("window.closed_then") == 0
    assert page.evaluate(CLOSED) == closed


def test_drawings_of_a_deadlock_and_of_the_time_before(opened: Opened) -> None:
    page = opened.show(html.render(report_pages.everything()))
    waits, timeline = page.locator(".g-waits svg"), page.locator(".g-timeline svg")
    for i in range(3):
        expect(waits).to_contain_text(f"meter {i}")
    expect(timeline).to_be_visible()
    mark = timeline.locator("[tabindex='0']").first
    mark.focus()
    expect(mark).to_be_focused()


# ---------------------------------------------------------------- harm


@pytest.mark.parametrize("policy", ["policy", "no policy"])
def test_hostile_text_is_text(chromium: Browser, tmp_path: Path, policy: str) -> None:
    """Also where the browser does not keep to the page's policy: the page alone is safe."""
    with chromium.new_context(bypass_csp=policy == "no policy", offline=True) as context:
        page = context.new_page()
        opened = Opened(page, tmp_path / "report.html")
        reports = [report_pages.hostile(), report_pages.all_hostile(), samples.hostile()]
        opened.show(html.render_many(reports))
        page.get_by_role("button", name="Open all").click()
        opened.search("window.owned")
        expect(page.get_by_role("status")).to_contain_text("frame")
        opened.search("<script> onerror=")
        opened.search("")
        for link in page.locator("main a[href]").all()[:3]:
            link.click()
        assert page.evaluate(OWNED) == [None, False]
        assert page.evaluate(FOREIGN) == []
        assert page.evaluate(SCRIPTS) == 1
        text = page.locator("main").text_content() or ""
        assert "<script>window.owned=1</script>" in text
        assert "{{ 7*7 }}{% include 'x' %}" in text
        assert not {"\x1b", "\x07", "\u202e", "\u2066"} & set(text)
        assert opened.wrong == []


# ---------------------------------------------------------------- several, and a large one


def test_several_reports(opened: Opened, tmp_path: Path) -> None:
    reports = [samples.null_write(), samples.overflow(), samples.abort()]
    page = opened.show(html.render_many(reports))
    expect(page.get_by_role("heading", level=1)).to_have_text("3 crash reports")
    links = page.locator(".index a")
    expect(links).to_have_count(3)
    links.nth(1).click()
    expect(page.locator(":target")).to_be_in_viewport()
    opened.search("Tree::depth")
    expect(page.get_by_role("status")).to_contain_text("in 1 stack")
    expect(page.locator("article.report:visible")).to_have_count(1)
    opened.search("")
    expect(page.locator("article.report:visible")).to_have_count(3)

    with page.expect_download() as coming:
        page.get_by_role("button", name="Download JSON").nth(2).click()
    coming.value.save_as(tmp_path / "out.json")
    assert (tmp_path / "out.json").read_text() == report_json.render(reports[2])
    fits(page, "several")


def test_a_large_report_is_quick_enough_to_work_with(opened: Opened) -> None:
    text = html.render(report_pages.large())
    assert len(text.encode()) > 5_000_000
    began = time.perf_counter()
    page = opened.show(text)
    loaded = time.perf_counter() - began
    opened.search("pool_399 step_7")
    expect(page.get_by_role("status")).to_have_text("1 frame in 1 stack")
    searched = time.perf_counter() - began - loaded
    opened.search("")
    expect(page.locator("details.thread:visible")).to_have_count(400)
    size = len(text.encode()) / 1e6
    print(f"{size:.1f} MB: loaded in {loaded:.2f} s, first search {searched:.2f} s")


# ---------------------------------------------------------------- many crashes


def test_the_overview_of_a_triage(opened: Opened, tmp_path: Path) -> None:
    many = full()
    first, *others = many.groups  # one report will do
    bare = (msgspec.structs.replace(group, report=None) for group in others)
    many = msgspec.structs.replace(many, groups=(first, *bare))
    page = opened.show(overview.render(many))
    rows = page.locator("#group-rows tr")
    expect(rows).to_have_count(len(many.groups))

    numbers = page.get_by_role("columnheader", name="Crashes").first
    numbers.get_by_role("button").press("Enter")
    expect(numbers).to_have_attribute("aria-sort", "descending")
    counts = [
        int(text.replace(",", "")) for text in rows.locator("td:nth-child(2)").all_inner_texts()
    ]
    assert counts == sorted(counts, reverse=True)
    numbers.get_by_role("button").press("Enter")
    expect(numbers).to_have_attribute("aria-sort", "ascending")
    expect(rows.first.locator("td").nth(1)).to_have_text(str(min(counts)))

    page.get_by_label("Filter").fill("step_2")
    expect(page.locator("#group-rows tr:visible")).to_have_count(1)
    expect(page.locator("#filtered")).to_have_text(f"1 of {len(many.groups)} groups")
    page.locator("#group-rows tr:visible a").first.click()
    expect(page.locator(":target")).to_be_in_viewport()
    page.get_by_label("Filter").fill("")

    with page.expect_download() as coming:
        page.get_by_role("button", name="Download JSON").first.click()
    coming.value.save_as(tmp_path / "out.json")
    assert len(json.loads((tmp_path / "out.json").read_text())["groups"]) == len(many.groups)

    axe(page)
    fits(page, "overview", full=True)
    page.emulate_media(media="print")
    expect(numbers).to_contain_text("Crashes")
    expect(numbers.get_by_text("Crashes")).to_be_visible()


def test_an_overview_of_hostile_crashes(opened: Opened) -> None:
    page = opened.show(overview.render(report_pages.poisoned(triage(crashes(2)))))
    assert page.evaluate(OWNED) == [None, False]
    assert page.evaluate(FOREIGN) == []
    assert page.evaluate(SCRIPTS) == 1
    page.get_by_label("Filter").fill("<script>")
    expect(page.locator("#group-rows tr:visible")).to_have_count(2)
    page.get_by_label("Filter").fill("")
    fits(page, "overview-hostile")
