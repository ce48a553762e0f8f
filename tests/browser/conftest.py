"""What the tests of the dashboard share: a charger without EVerest, a browser, and one page.

Broker, Node-RED and the page are those of the image; what EVerest would publish is a recording.
"""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ViewportSize

from tests.conftest import need
from tests.support.charger_image import charger_image, missing_engine
from tests.support.dashboard_page import Dashboard
from tests.support.stage import CHROMIUM, Stage, browser_program, open_browser, open_stage

WIDE: ViewportSize = {"width": 1440, "height": 1000}


@pytest.fixture(scope="package")
def chromium(request: pytest.FixtureRequest) -> Iterator[Browser]:
    """A browser; not for the whole session: until its end nothing else can use asyncio."""
    program = browser_program()
    if program is None:
        need(request, "browser", f"none of {', '.join(CHROMIUM)} is installed")
    with open_browser(program) as browser:
        yield browser


@pytest.fixture(scope="package")
def stage(request: pytest.FixtureRequest, chromium: Browser) -> Iterator[Stage]:
    """One charger for all tests; they leave it working."""
    reason = missing_engine()
    if reason is not None:
        need(request, "browser", reason)
    with open_stage(charger_image()) as stage:
        yield stage


@pytest.fixture(scope="package")
def context(chromium: Browser) -> Iterator[BrowserContext]:
    """A window that is used for the tests."""
    with chromium.new_context(viewport=WIDE, reduced_motion="reduce") as context:
        yield context


@pytest.fixture(scope="package")
def shared_page(context: BrowserContext, stage: Stage) -> Dashboard:
    """The page that the tests share: to load it takes seconds."""
    dashboard = Dashboard(context.new_page(), stage.address)
    dashboard.open()
    return dashboard


@pytest.fixture
def dashboard(shared_page: Dashboard, stage: Stage) -> Dashboard:
    """The shared page at connector 1, which is in the state in which the last test left it."""
    stage.settle()
    shared_page.choose(1)
    return shared_page
