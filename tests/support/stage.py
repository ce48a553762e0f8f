"""A charger without EVerest, the dashboard of the image, a browser, and EVerest's part."""

import itertools
import os
import shutil
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from playwright.sync_api import Browser, sync_playwright

from tests.support.charger import Charger, await_true, charger
from tests.support.mqtt import Mqtt
from tests.support.replay import UNPLUGGED, Replay, derating
from tests.support.simulated import COMMAND

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
SETTINGS = {
    "MQTT_USER": "tester",
    "MQTT_PASSWORD": "100% $ecret",
    "NUM_CONNECTORS": "2",
    "EVSE_MAX_CURRENT": "400",
    "DASHBOARD_AUTH": "others",
    "DASHBOARD_PASSWORD": "with blank & 100%:",
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A charger in which somebody else speaks for EVerest."""

    container: Charger
    address: str
    replay: Replay
    mqtt: Mqtt

    def mark(self) -> int:
        """Where the next message will stand: `since` for commands from now on."""
        return self.mqtt.published.mark()

    def commands(self, since: int) -> list[tuple[str, str]]:
        """Topic and payload of all commands by now."""
        heard = self.mqtt.published.entries(since)
        return [(each.topic, each.text) for each in heard if COMMAND.fullmatch(each.topic)]

    def await_commands(self, since: int, count: int) -> None:
        """Wait until so many were sent."""
        numbers = itertools.count(1)
        self.mqtt.published.wait(
            f"{count} commands",
            lambda each: bool(COMMAND.fullmatch(each.topic)) and next(numbers) == count,
            since=since,
            seconds=10,
        )

    def settle(self) -> None:
        """No limits, no errors, and all well: what a test does not care for."""
        since = self.mark()
        for connector in (1, 2):
            self.mqtt.publish(derating(connector), "{}")
        self.await_commands(since, 2)  # or they would count as what a test has caused
        self.replay.charger(
            connectors=["evse_manager", "evse_manager_2"], errors=[], ocpp="connected"
        )


def browser_program() -> str | None:
    """The system's Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, CHROMIUM)), None)


@contextmanager
def open_browser(program: str) -> Iterator[Browser]:
    """A Chromium without a window."""
    # Chromium's own sandbox refuses root; a container's /dev/shm is too small
    arguments = ["--disable-dev-shm-usage", *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@contextmanager
def open_stage(image: str) -> Iterator[Stage]:
    """A charger of an image whose EVerest has been stopped."""
    ports = ("-p", "127.0.0.1::1880", "-p", "127.0.0.1::1884")
    with charger(image, SETTINGS, ports) as container:
        bound = container.inspect()["NetworkSettings"]["Ports"]
        http, mqtt_port = (int(bound[f"{port}/tcp"][0]["HostPort"]) for port in (1880, 1884))
        address = f"http://127.0.0.1:{http}"
        await_true(lambda: _answers(f"{address}/ui/"), "a dashboard")
        container.output("supervisorctl", "stop", "everest")
        door = ("127.0.0.1", mqtt_port, SETTINGS["MQTT_USER"], SETTINGS["MQTT_PASSWORD"])
        with Replay(*door) as replay, Mqtt(*door) as mqtt:
            mqtt.wait_connected()
            for connector in (1, 2):
                replay.show(connector, UNPLUGGED)
            yield Stage(container, address, replay, mqtt)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
