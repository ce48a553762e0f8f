"""What the tests with real containers share: the image, and a charger that nobody crashes."""

from collections.abc import Iterator

import pytest

from tests.conftest import need
from tests.support.charger import Charger, charger
from tests.support.charger_image import charger_image, missing_engine

MQTT = {"MQTT_USER": "tester", "MQTT_PASSWORD": "100% $ecret"}
DASHBOARD = {"DASHBOARD_AUTH": "others", "DASHBOARD_PASSWORD": "also: 100% $ecret"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Building the image takes minutes: the first test of a worker may wait for it."""
    for item in items:
        if item.get_closest_marker("docker"):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The charger's image with the crashers in EVerest's place."""
    reason = missing_engine()
    if reason is not None:
        need(request, "docker", reason)
    return charger_image()


@pytest.fixture(scope="session")
def running(image: str) -> Iterator[Charger]:
    """A healthy charger with published ports, shared by tests that change nothing."""
    options = ("-p", "127.0.0.1::1880", "-p", "127.0.0.1::1884",
               "--sysctl", "net.ipv6.conf.all.disable_ipv6=0")  # fmt: skip
    with charger(image, {**MQTT, **DASHBOARD, "IGNORE_TERM": ""}, options) as started:
        started.await_healthy()
        yield started


def port(container: Charger, inside: int) -> int:
    """Return the port of this machine that leads to one of the container."""
    bound = container.inspect()["NetworkSettings"]["Ports"][f"{inside}/tcp"]
    return int(bound[0]["HostPort"])
