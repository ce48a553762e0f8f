"""What the tests with the real EVerest share: the image, chargers with a CSMS, and evdiag."""

import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

import pytest

from tests.conftest import need
from tests.support.csms import Certificate, Csms, Payload, Version
from tests.support.csms.requests import Request
from tests.support.real_charger import RealCharger, own_network

VERSIONS: tuple[Version, ...] = ("1.6", "2.0.1", "2.1")
IMAGE = os.environ.get("EVDIAG_TEST_EVEREST_IMAGE", "evdiag/everest:latest")
HOST = "csms.evdiag.test"
"""This machine's name inside of the containers; the certificate for wss is made out to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Station:
    """A charger and the CSMS that it is connected to."""

    version: Version
    csms: Csms
    charger: RealCharger

    def ask(self, request: Request) -> Payload:
        """Send a request of `tests.support.csms.requests`; its answer."""
        return self.csms.request(*request)

    def wait_booted(self, *, since: int = 0, seconds: float = 120.0) -> Payload:
        """BootNotification, from a mark of the messages on."""
        boot = self.csms.wait_for("BootNotification", since=since, seconds=seconds)
        return boot.payload


NewStation = Callable[..., Station]


@pytest.fixture(scope="session")
def image(request: pytest.FixtureRequest) -> str:
    """The image under test; ends the test where it is not there, or where nobody asked for it.

    These tests take half an hour and measure currents: not beside others, and not by chance.
    """
    if not request.config.getoption("--require-everest"):
        need(request, "everest", "takes half an hour: `make test-everest`")
    try:
        command = ["docker", "image", "inspect", IMAGE]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    except (OSError, subprocess.TimeoutExpired) as reason:
        need(request, "everest", f"docker does not answer: {reason}")
    if done.returncode != 0:
        need(request, "everest", done.stderr.strip() or f"there is no image {IMAGE}")
    return IMAGE


@contextmanager
def stations(image: str) -> Iterator[NewStation]:
    """A way to start chargers, each with a CSMS of its own; all end with the block."""
    with ExitStack() as stack:
        network, gateway = stack.enter_context(own_network())

        def start(
            version: Version,
            *,
            password: str | None = None,
            certificate: Certificate | None = None,
            environment: dict[str, str] | None = None,
            arguments: tuple[str, ...] = (),
        ) -> Station:
            csms = stack.enter_context(
                Csms(versions=[version], host=gateway, password=password, certificate=certificate)
            )
            charger = RealCharger(
                image,
                version=version,
                url=csms.url(HOST),
                environment=({"OCPP_PASSWORD": password} if password else {}) | (environment or {}),
                arguments=("--network", network, "--add-host", f"{HOST}:{gateway}", *arguments),
            )
            stack.enter_context(charger)
            return Station(version=version, csms=csms, charger=charger)

        yield start


@pytest.fixture
def new_station(image: str) -> Iterator[NewStation]:
    """Start chargers that live as long as the test."""
    with stations(image) as start:
        yield start


@pytest.fixture(scope="session", params=VERSIONS)
def shared_station(request: pytest.FixtureRequest, image: str) -> Iterator[Station]:
    """One charger for each version, shared by the tests that leave it as it was."""
    with stations(image) as start:
        station = start(request.param)
        station.charger.wait_up()
        station.wait_booted()
        yield station


@pytest.fixture
def station(shared_station: Station) -> Iterator[Station]:
    """The shared charger; unplugged and without limits when the test is over."""
    yield shared_station
    charger = shared_station.charger
    charger.derate()
    if charger.state() not in IDLE:
        charger.unplug()
        charger.wait_state(*IDLE)


IDLE = ("Unplugged", "Unknown")
"""States without a car; a charger begins with the second."""
