"""More than one connector, and configurations that EVerest itself takes for right."""

from functools import partial

import pytest

from tests.everest.conftest import VERSIONS, NewStation
from tests.support.csms import Message, Payload, Version, requests
from tests.support.csms.requests import accepted
from tests.support.real_charger import docker, new_name

pytestmark = [pytest.mark.everest, pytest.mark.timeout(600)]

CHECK = "manager --prefix /opt/everest --config /run/everest/config.yaml --check 2>&1"


@pytest.mark.parametrize("connectors", [1, 2, 16])
@pytest.mark.parametrize("version", VERSIONS)
def test_the_manager_accepts_the_configuration(
    version: Version, connectors: int, image: str
) -> None:
    variables = ("-e", f"OCPP_VERSION={version}", "-e", f"NUM_CONNECTORS={connectors}")
    said = docker("run", "--rm", "--name", new_name("check"), *variables, image, "sh", "-c", CHECK)

    assert "ERRO" not in said
    assert "CRIT" not in said


@pytest.mark.parametrize("version", ["1.6", "2.0.1"])
def test_two_cars_at_two_connectors(version: Version, new_station: NewStation) -> None:
    station = new_station(version, environment={"NUM_CONNECTORS": "2"})
    charger = station.charger
    charger.wait_up()
    station.wait_booted()
    number = "connectorId" if version == "1.6" else "evseId"
    key = "status" if version == "1.6" else "connectorStatus"
    for connector in (1, 2):
        available = partial(_says, {number: connector, key: "Available"})
        station.csms.wait_for("StatusNotification", available)

    charger.plug_in(2)
    charger.wait_state("Charging", number=2, seconds=120)
    charger.wait_power(10_000, 400_000, number=2)
    assert charger.state(1) in ("Unplugged", "Unknown")
    charger.plug_in(1)
    charger.wait_state("Charging", number=1, seconds=120)
    charger.wait_power(10_000, 400_000, number=1)

    assert accepted(station.ask(requests.set_profile(version, 8_000, evse=2)))
    charger.wait_power(6_500, 8_500, number=2)
    charger.wait_power(10_000, 400_000, number=1)
    charger.unplug(2)
    charger.wait_state("Unplugged", number=2)
    assert charger.state(1) == "Charging"


def _says(fields: Payload, message: Message) -> bool:
    """Whether a message has these fields."""
    return fields.items() <= message.payload.items()
