"""A car charges with DC at the real EVerest: from MQTT, limited by the CSMS and by hand."""

import pytest

from tests.everest.conftest import Station
from tests.support.csms import Message, requests
from tests.support.csms.requests import accepted, first_limit

pytestmark = [pytest.mark.everest, pytest.mark.timeout(600)]

# what a limit may be off by, with the slices and losses of the simulation
LOW, HIGH = 0.85, 1.05
FULL = 120_000
"""What the car of the image takes, see ev_manager in container/config-ocpp*.yaml."""

SECONDS = 120.0
"""From plug-in to charging; on a machine with nothing else to do it takes 15."""


def _charge(station: Station) -> float:
    """Plug in, and wait until the car charges; its power in watts."""
    station.charger.plug_in()
    station.charger.wait_state("Charging", seconds=SECONDS)
    return station.charger.wait_steady(FULL * LOW)


def test_a_session_from_plug_in_to_unplug(station: Station) -> None:
    csms, charger, since = station.csms, station.charger, station.csms.messages.mark()

    full = _charge(station)
    reading = charger.wait_power(full * LOW, full * HIGH)
    volts, amperes = reading["voltage_V"]["DC"], reading["current_A"]["DC"]
    assert volts * amperes == pytest.approx(reading["power_W"]["total"], rel=0.05)
    charger.unplug()
    charger.wait_state("Unplugged")

    if station.version == "1.6":
        begun = csms.wait_for("StartTransaction", since=since)
        assert begun.payload["connectorId"] == 1
        ended = csms.wait_for("StopTransaction", since=since)
        assert ended.payload["meterStop"] > begun.payload["meterStart"]
    else:
        kinds = [_event(station, kind, since) for kind in ("Started", "Ended")]
        assert len({event.payload["transactionInfo"]["transactionId"] for event in kinds}) == 1
        assert kinds[0].payload["seqNo"] < kinds[1].payload["seqNo"]


def _event(station: Station, kind: str, since: int) -> Message:
    """A TransactionEvent of this kind."""
    return station.csms.wait_for(
        "TransactionEvent", lambda message: message.payload["eventType"] == kind, since=since
    )


def test_the_csms_reads_the_meter(station: Station) -> None:
    csms, since = station.csms, station.csms.messages.mark()
    component, name = ("", "MeterValueSampleInterval")
    if station.version != "1.6":
        component, name = ("SampledDataCtrlr", "TxUpdatedInterval")
    was = requests.setting(
        station.version, station.ask(requests.get_setting(station.version, component, name))
    )
    assert accepted(station.ask(requests.set_setting(station.version, component, name, "2")))
    try:
        _charge(station)
        action = "MeterValues" if station.version == "1.6" else "TransactionEvent"
        csms.wait_for(action, _has_power, since=since)
    finally:
        station.ask(requests.set_setting(station.version, component, name, was))


def _has_power(message: Message) -> bool:
    """Whether a message tells of energy or power that is more than nothing."""
    samples = [
        sample
        for value in message.payload.get("meterValue", ())
        for sample in value["sampledValue"]
    ]
    measurands = ("Power.Active.Import", "Energy.Active.Import.Register")
    return any(
        sample.get("measurand", measurands[1]) in measurands and float(sample["value"]) > 0
        for sample in samples
    )


def test_profiles_limit_the_power(station: Station) -> None:
    version, charger = station.version, station.charger
    full = _charge(station)
    try:
        for watts in (30_000, 3_000):
            assert accepted(station.ask(requests.set_profile(version, watts)))
            charger.wait_power(watts * LOW, watts * HIGH)
            schedule = station.ask(requests.composite_schedule(version))
            assert accepted(schedule)
            assert first_limit(version, schedule) == watts
    finally:
        cleared = station.ask(requests.clear_profile(version))

    assert accepted(cleared)
    charger.wait_power(full * LOW, full * HIGH)


def test_derating_by_hand(station: Station) -> None:
    charger = station.charger
    full = _charge(station)
    volts = charger.wait_power(full * LOW, full * HIGH)["voltage_V"]["DC"]

    charger.derate(max_export_current_A=20)
    reading = charger.wait_power(20 * volts * LOW, 20 * volts * HIGH)
    assert reading["current_A"]["DC"] == pytest.approx(20, abs=1)

    charger.derate()
    charger.wait_power(full * LOW, full * HIGH)


def test_a_pause_and_a_new_start(station: Station) -> None:
    charger = station.charger
    full = _charge(station)

    charger.pause()
    charger.wait_state("ChargingPausedEVSE")
    charger.wait_power(-1, 1)
    charger.wait_talk_ended()

    charger.resume()
    charger.wait_state("Charging", seconds=SECONDS)
    charger.wait_power(full * LOW, full * HIGH)

    charger.pause()
    charger.wait_state("ChargingPausedEVSE")
    charger.unplug()
    charger.wait_state("Unplugged")


def test_the_csms_starts_and_stops_a_transaction(station: Station) -> None:
    csms, charger, version = station.csms, station.charger, station.version
    since = csms.messages.mark()
    _charge(station)
    transaction: int | str
    if version == "1.6":
        begun = csms.wait_for("StartTransaction", since=since)
        answers = [
            message.payload
            for message in csms.messages.entries(since)
            if message.sent and message.unique_id == begun.unique_id
        ]
        transaction = answers[0]["transactionId"]
    else:
        begun = _event(station, "Started", since)
        transaction = begun.payload["transactionInfo"]["transactionId"]

    assert accepted(station.ask(requests.remote_stop(version, transaction)))

    charger.wait_state("Finished", "FinishedEVSE", "FinishedEV")
    ended = "StopTransaction" if version == "1.6" else "TransactionEvent"
    csms.wait_for(
        ended, lambda message: message.payload.get("eventType", "Ended") == "Ended", since=since
    )


def test_every_message_kept_to_its_schema(station: Station) -> None:
    """The last test with the shared charger: whatever it has said until now."""
    assert station.csms.messages.mark() > 3
    assert station.csms.violations.entries() == ()
