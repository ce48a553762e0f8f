"""Writes the pictures of the docs: the dashboard, a report, a triage.

`python -m tests.browser.screenshot docs/images`
"""

import shutil
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Browser

from evdiag.adapters.demo_data import unpack_demo
from evdiag.engine import Engine, Options
from evdiag.report import html
from tests.support.charger_image import charger_image
from tests.support.crashers import OPTS, make_core, mode_named
from tests.support.dashboard_page import Dashboard
from tests.support.evdiag_command import evdiag
from tests.support.replay import CHARGING, SESSION, UNPLUGGED, Replay, topic
from tests.support.stage import browser_program, open_browser, open_stage

STEP = 0.5
HEAP = {
    "null-write": 9, "assert": 6, "throw-thread": 5, "double-free": 3, "recursion-mutual": 2,
    "deadlock": 1,
}  # fmt: skip
"""How often a triage sees crashes in these modes of the test programs."""


def play(replay: Replay, connector: int, end: float) -> None:
    """Let a connector say what was recorded, from the begin to a moment."""
    for step in range(int(end / STEP) + 1):
        moment = step * STEP
        replay.show(connector, max(moment, UNPLUGGED))
        for entry in SESSION.between(moment - STEP, moment):
            if entry.topic.endswith("/hlc_log"):
                replay.once(topic(connector, "hlc_log"), entry.payload)
        time.sleep(STEP)


def dashboard(browser: Browser, target: Path) -> None:
    """Start a charger, play the session and take the picture."""
    with open_stage(charger_image()) as stage:
        stage.settle()
        stage.replay.show(2, UNPLUGGED)
        play(stage.replay, 1, CHARGING)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        shown = Dashboard(page, stage.address)
        shown.open()
        shown.await_value("current", r"300\.0")
        page.screenshot(path=target, full_page=True)


def triage() -> str:
    """What `evdiag triage` makes of some crashes, in two builds."""
    with tempfile.TemporaryDirectory() as folder:
        cores = Path(folder) / "cores"
        cores.mkdir()
        for name, count in HEAP.items():
            for i in range(count):
                core = make_core(mode_named(name), OPTS[i % 2]).core
                shutil.copy(core, cores / f"core.{name}.{1000 + i}")
        page = Path(folder) / "triage.html"
        said = evdiag("triage", cores, "-o", page, "--no-cache")
        assert page.is_file(), said
        return page.read_text().replace(f"{folder}/", "")


def text(browser: Browser, target: Path, page_text: str, width: int) -> None:
    """Take the picture of the top of a page."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "page.html"
        file.write_text(page_text)
        page = browser.new_page(viewport={"width": width, "height": 900})
        page.goto(file.as_uri())
        page.screenshot(path=target)


def demo() -> str:
    """The report of `evdiag demo`."""
    with tempfile.TemporaryDirectory() as folder:
        core = unpack_demo("x86-64", Path(folder))
        report = Engine(Options(sysroot=Path(folder) / "root")).report(core)
        return html.render(report).replace(f"{folder}/", "evdiag-demo/")


def main(folder: Path) -> None:
    """Take all pictures."""
    program = browser_program()
    assert program is not None, "Chromium is not installed"
    with open_browser(program) as browser:
        text(browser, folder / "report.png", demo(), 1200)
        text(browser, folder / "triage.png", triage(), 1440)
        dashboard(browser, folder / "dashboard.png")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
