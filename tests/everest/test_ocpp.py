"""The real EVerest finds its CSMS: version, identity, password, encryption, reset, new address."""

from itertools import count
from pathlib import Path

import pytest

from tests.everest.conftest import HOST, VERSIONS, NewStation, Station
from tests.support.csms import Connection, Csms, Message, Version, make_certificate, requests
from tests.support.real_charger import RealCharger, docker, new_name, own_network

pytestmark = [pytest.mark.everest, pytest.mark.timeout(600)]

PASSWORD = "a-password-of-24-letters"
CA_INSIDE = "/etc/evdiag-test-ca.pem"
STATE = "/var/lib/everest"

# identifierString of OCPP 2.0.1: letters, digits and *-_=:+|@. ; the colon ends the user's name in
# RFC 7617, so that no identity with a password has one
IDENTITY = "DE*ABC-1_2=3+4|5@6.7"

_volumes = count(1)


def test_boots_and_speaks_its_version(station: Station) -> None:
    boot = station.wait_booted()

    shake = station.csms.handshakes.entries()[0]
    assert shake.offered == (f"ocpp{station.version}",)
    assert (shake.path, shake.identity) == ("/CP1", "CP1")
    assert (shake.user, shake.password, shake.status) == (None, None, 101)
    if station.version == "1.6":
        assert boot["chargePointVendor"]
    else:
        assert boot["reason"] == "PowerUp"
        assert boot["chargingStation"]["vendorName"]


def test_tells_the_state_of_its_connector(station: Station) -> None:
    number = "connectorId" if station.version == "1.6" else "evseId"
    key = "status" if station.version == "1.6" else "connectorStatus"

    def available(message: Message) -> bool:
        return (message.payload[number], message.payload[key]) == (1, "Available")

    station.csms.wait_for("StatusNotification", available)


def test_answers_for_its_settings(station: Station) -> None:
    if station.version == "1.6":
        asked = requests.get_setting(station.version, "", "NumberOfConnectors")
        expected = "1"
    else:
        asked = requests.get_setting(station.version, "SecurityCtrlr", "Identity")
        expected = "CP1"

    assert requests.setting(station.version, station.ask(asked)) == expected


def test_a_reset_restarts_everest(station: Station) -> None:
    charger, version = station.charger, station.version
    since, logged = station.csms.messages.mark(), charger.log.mark()
    before = charger.module_processes()

    assert requests.accepted(station.ask(requests.reset(version)))

    boot = station.wait_booted(since=since)
    charger.wait_up(since=logged)
    if version != "1.6":
        assert boot["reason"] == "RemoteReset"
    after = charger.module_processes()
    assert after.keys() == before.keys()
    assert {name for name in after if after[name] == before[name]} == set()
    assert charger.cores() == set()


@pytest.mark.parametrize("version", VERSIONS)
def test_identity_and_password(version: Version, new_station: NewStation) -> None:
    station = new_station(version, password=PASSWORD, environment={"OCPP_ID": IDENTITY})

    station.wait_booted()

    shake = station.csms.handshakes.entries()[-1]
    assert shake.identity == IDENTITY
    assert (shake.user, shake.password) == (IDENTITY, PASSWORD)
    assert not shake.secure


@pytest.mark.parametrize("version", VERSIONS)
def test_encrypted_with_the_given_authority(
    version: Version, new_station: NewStation, tmp_path: Path
) -> None:
    certificate = make_certificate(tmp_path, HOST)
    certificate.authority.chmod(0o644)
    station = new_station(
        version,
        password=PASSWORD,
        certificate=certificate,
        environment={"OCPP_CA_FILE": CA_INSIDE},
        arguments=("-v", f"{certificate.authority}:{CA_INSIDE}:ro"),
    )

    station.wait_booted()

    shake = station.csms.handshakes.entries()[-1]
    assert (shake.secure, shake.user, shake.password) == (True, "CP1", PASSWORD)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_new_address_counts_although_the_state_is_kept(version: Version, image: str) -> None:
    """EVerest keeps what it was told in databases, which win over its configuration."""
    volume = new_name("state")
    docker("volume", "create", volume)
    try:
        first = _first_connection(version, image, volume, "CP1")
        second = _first_connection(version, image, volume, "CP2")
    finally:
        docker("volume", "rm", volume)
    assert (first.identity, second.identity) == ("CP1", "CP2")


def _first_connection(version: Version, image: str, volume: str, identity: str) -> Connection:
    """Of a charger with a state that it shares with others, and with a CSMS of its own."""
    with own_network() as (network, gateway), Csms(versions=[version], host=gateway) as csms:
        charger = RealCharger(
            image,
            version=version,
            url=csms.url(),
            environment={"OCPP_ID": identity},
            arguments=("--network", network, "-v", f"{volume}:{STATE}"),
        )
        with charger:
            boot = csms.wait_for("BootNotification", seconds=120)
            docker("stop", charger.name)
        return boot.connection


def test_a_restarted_container_boots_again(new_station: NewStation) -> None:
    station = new_station("2.0.1")
    station.wait_booted()
    since = station.csms.messages.mark()

    station.charger.restart()

    station.wait_booted(since=since)
