"""A car charges, all by the dashboard: at a simulated charger, and the same at the real EVerest."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from playwright.sync_api import Browser, expect

from tests.docker.conftest import port
from tests.everest.conftest import image as everest_image  # noqa: F401  # a fixture
from tests.everest.conftest import stations
from tests.support.charger import Charger
from tests.support.csms import Version
from tests.support.dashboard_page import Dashboard
from tests.support.simulated import SimulatedCharger
from tests.support.stage import Stage

FULL = r"(2[5-9]\d|3\d\d)\.\d"
"""What the car takes, in A."""
LIMITED = r"(49|50|51)\.\d"

REAL: list[tuple[Version, int]] = [("1.6", 1), ("1.6", 2), ("2.0.1", 1), ("2.0.1", 2)]


@dataclass(frozen=True, slots=True)
class Scene:
    """A dashboard, and how long its charger may take."""

    dashboard: Dashboard
    connectors: int
    seconds: float


@contextmanager
def _simulated(stage: Stage, dashboard: Dashboard) -> Iterator[Scene]:
    with SimulatedCharger(stage.replay, stage.mqtt, 2) as charger:
        yield Scene(dashboard, 2, 15)
        assert charger.unknown == []


@contextmanager
def _real(image: str, version: Version, connectors: int, chromium: Browser) -> Iterator[Scene]:
    variables = {"NUM_CONNECTORS": str(connectors), "DASHBOARD_AUTH": "others"}
    with stations(image) as start:
        station = start(version, environment=variables, arguments=("-p", "127.0.0.1::1880"))
        station.charger.wait_up()
        station.wait_booted()
        with chromium.new_context() as context:
            address = f"http://127.0.0.1:{port(Charger(station.charger.name), 1880)}"
            dashboard = Dashboard(context.new_page(), address)
            dashboard.open()
            yield Scene(dashboard, connectors, 120)


@pytest.fixture(
    params=[
        pytest.param(None, id="simulated", marks=[pytest.mark.browser, pytest.mark.timeout(90)]),
        *(
            pytest.param(
                real,
                id=f"everest-{real[0]}-{real[1]}",
                marks=[pytest.mark.everest, pytest.mark.timeout(900)],
            )
            for real in REAL
        ),
    ]
)
def scene(request: pytest.FixtureRequest) -> Iterator[Scene]:
    """The simulated charger; or the real one, of a version and with so many connectors."""
    if request.param is None:
        stage, dashboard = map(request.getfixturevalue, ("stage", "dashboard"))
        with _simulated(stage, dashboard) as scene:
            yield scene
    else:
        image, chromium = map(request.getfixturevalue, ("everest_image", "chromium"))
        version, connectors = request.param
        with _real(image, version, connectors, chromium) as scene:
            yield scene


def test_a_session_by_hand(scene: Scene) -> None:
    page = scene.dashboard
    if scene.connectors > 1:
        page.choose(2)
    page.await_state("Unplugged", scene.seconds)
    page.press("Plug in", scene.seconds)
    _await_charging(scene)

    page.limit(50)
    page.await_value("limit", "50 A")
    page.await_value("current", LIMITED, scene.seconds)
    page.press("No limit")
    page.await_value("limit", "none")
    page.await_value("current", FULL, scene.seconds)

    page.press("Pause")
    page.await_state("ChargingPausedEVSE", scene.seconds)
    page.await_value("current", r"0\.0", scene.seconds)
    page.press("Resume", scene.seconds)
    _await_charging(scene)

    page.press("Pause car")
    page.await_state("ChargingPausedEV", scene.seconds)
    page.press("Resume car", scene.seconds)
    _await_charging(scene)
    if scene.connectors > 1:
        page.choose(1)
        page.await_state("Unplugged")
        page.await_value("current", r"0\.0")
        page.choose(2)

    page.press("Unplug")
    page.await_state("Unplugged", scene.seconds)
    page.press("Plug in", scene.seconds)  # as soon as it is allowed, it works
    _await_charging(scene)
    page.press("Unplug")
    page.await_state("Unplugged", scene.seconds)
    page.await_value("errors", "None")


def _await_charging(scene: Scene) -> None:
    """Wait for all that is to be seen of a charging car."""
    page = scene.dashboard
    page.await_state("Charging", scene.seconds)
    page.await_value("current", FULL, scene.seconds)
    page.await_value("power", r"1[0-5]\d\.\d", scene.seconds)
    page.await_value("voltage", r"[34]\d\d(\.\d)?")
    page.await_value("soc", r"[3-9]\d %")
    page.await_value("protocol", "ISO15118-2.*")
    expect(page.value("duration")).to_have_text(re.compile(r"00:\d\d:\d\d"))
