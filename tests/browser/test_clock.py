"""What the dashboard's flow makes of the time that passes, without waiting for it."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import need
from tests.support.charger_config import CONTAINER
from tests.support.replay import CLOSED, OPENED, derating, topic

pytestmark = pytest.mark.browser

Step = tuple[float, str | None, Any]
LOOK = None


@pytest.fixture(scope="module")
def node(request: pytest.FixtureRequest) -> str:
    """The interpreter of this machine."""
    program = shutil.which("node")
    if program is None:
        need(request, "browser", "node is not installed")
    return program


def run(node: str, *steps: Step) -> list[Any]:
    """What the page is told at each look; then all that the flow remembers."""
    script = Path(__file__).with_name("flow_clock.js")
    done = subprocess.run(
        [node, str(script), str(CONTAINER / "dashboard")],
        input=json.dumps(steps), capture_output=True, text=True, check=False, timeout=30,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def state(at: float, name: str, **more: object) -> Step:
    """The first connector says its state."""
    return at, topic(1, "session_info"), {"state": name, **more}


def log(at: float, line: str) -> Step:
    """A line of the log of ISO 15118."""
    return at, topic(1, "hlc_log"), {"msg": line}


def limited(at: float, amps: float) -> Step:
    """Somebody sets a limit."""
    return at, derating(1), {"max_export_current_A": amps}


def look(at: float) -> Step:
    """The page is told what there is."""
    return at, LOOK, None


def first(told: Any) -> Any:  # noqa: ANN401  # whatever JSON holds
    """The first connector, of what the page is told or of what is remembered."""
    return told.get("connectors", told).get("1")


def test_a_pause_without_a_word_ends_the_connection_after_a_while(node: str) -> None:
    paused = [state(at, "ChargingPausedEV") for at in range(1, 23, 2)]
    steps = [log(0, OPENED), *paused[:1], look(2), *paused[1:], look(21), look(21.5)]
    early, still, late, _ = map(first, run(node, *steps))

    assert not early["can"]["resumeCar"]
    assert "as soon as" in early["note"]
    assert not still["can"]["resumeCar"]
    assert late["can"]["resumeCar"]
    assert late["note"] == ""


def test_the_wait_is_counted_down(node: str) -> None:
    steps = [log(0, OPENED), state(1, "ChargingPausedEVSE"), log(2, CLOSED), look(2)]
    steps += [look(5.5), state(7, "ChargingPausedEVSE"), look(8.1)]
    begin, middle, end, _ = map(first, run(node, *steps))

    assert "in 6 s" in begin["note"]
    assert "in 3 s" in middle["note"]
    assert (end["note"], end["can"]["resume"]) == ("", True)
    assert not end["can"]["resumeCar"]


def test_a_pause_that_broke_the_session(node: str) -> None:
    """EVerest then goes on by itself, but a car that begins again fails."""
    steps = [log(0, OPENED), state(1, "Charging"), state(2, "ChargingPausedEVSE")]
    steps += [log(3, "D-LINK_ERROR.req"), state(4, "ChargingPausedEVSE"), look(5)]
    steps += [state(11, "AuthRequired"), look(11.5), state(13, "Preparing"), look(13.5)]
    steps += [state(14, "Unplugged"), look(14.5), state(15, "Preparing"), look(15.5)]
    *broken, unplugged, again, _ = map(first, run(node, *steps))

    for each in broken:
        assert "unplug it, and plug it in again" in each["note"]
        assert (each["can"]["resume"], each["can"]["unplug"]) == (False, True)
    assert (unplugged["note"], unplugged["can"]["plugIn"]) == ("", True)
    assert again["note"] == ""


def test_a_pause_of_the_car_that_broke_the_session(node: str) -> None:
    steps = [log(0, OPENED), state(1, "ChargingPausedEV"), log(2, "D-LINK_ERROR.req")]
    steps += [state(11, "ChargingPausedEV"), look(12)]
    (broken, _) = map(first, run(node, *steps))

    assert (broken["can"]["resumeCar"], "unplug it" in broken["note"]) == (False, True)


def test_an_error_without_a_pause_breaks_no_pause(node: str) -> None:
    steps = [log(0, OPENED), state(1, "Preparing"), log(2, "D-LINK_ERROR.req")]
    steps += [state(3, "ChargingPausedEVSE"), log(3, CLOSED), state(9, "ChargingPausedEVSE")]
    (paused, _) = map(first, run(node, *steps, look(12)))

    assert (paused["can"]["resume"], paused["note"]) == (True, "")


def test_din_70121_knows_no_pause(node: str) -> None:
    protocol = topic(1, "selected_protocol")
    steps = [state(0, "Charging"), look(0.5), (1, protocol, "DIN70121"), look(1.5)]
    steps += [state(6, "Charging"), (6, protocol, "ISO15118-2-2013"), look(6.5)]
    unknown, din, iso, _ = map(first, run(node, *steps))

    assert [each["can"]["pause"] for each in (unknown, din, iso)] == [True, False, True]
    assert [each["can"]["pauseCar"] for each in (unknown, din, iso)] == [True, False, True]
    assert din["note"] == "The car charges by DIN 70121, which knows no pause."
    assert (unknown["note"], iso["note"]) == ("", "")


def test_a_car_that_prepares_is_not_resumed(node: str) -> None:
    steps = [state(0, "Unplugged"), state(1, "Preparing"), look(2)]
    (told, _) = map(first, run(node, *steps))

    assert (told["can"]["resume"], told["note"]) == (False, "")


def test_a_car_that_was_unplugged_waits_too(node: str) -> None:
    steps = [log(0, OPENED), state(1, "Charging"), state(2, "Unplugged"), look(3)]
    steps += [state(7, "Unplugged"), look(8.5)]
    early, late, _ = map(first, run(node, *steps))

    assert ("in 5 s" in early["note"], early["can"]["plugIn"]) == (True, False)
    assert (late["note"], late["can"]["plugIn"]) == ("", True)


def test_a_car_that_does_not_answer(node: str) -> None:
    steps = [state(at, "Preparing") for at in range(0, 71, 2)]
    usual, stuck, _ = map(first, run(node, *steps[:20], look(40), *steps[20:], look(71)))

    assert usual["note"] == ""
    assert "preparing for 71 s" in stuck["note"]


@pytest.mark.parametrize("restart", ["silence", "Unknown"])
def test_everest_that_starts_again_has_forgotten_the_limit(node: str, restart: str) -> None:
    limit = limited(1, 50)
    told = log(1, "Change HLC Limits: 20000W/50A, target_voltage 400")
    again = [state(10, "Charging")] if restart == "silence" else [state(3, "Unknown")]
    end = again[0][0]
    before, after, _ = map(
        first, run(node, state(0, "Charging"), limit, told, look(2), *again, look(end))
    )

    assert (before["limit"], before["told"]) == (50, {"watts": 20000, "amps": 50})
    assert "limit" not in after
    assert "told" not in after


def test_each_value_grows_old_by_itself(node: str) -> None:
    soc: Step = (0, topic(1, "ev_info"), {"soc": 42})
    steps = [soc, state(1, "Charging", charged_energy_wh=1500), look(4), state(6, "Charging")]
    fresh, old, silent, _ = map(first, run(node, *steps, look(6), look(11)))

    assert (fresh["values"]["soc"], fresh["values"]["kWh"]) == (42, 1.5)
    assert (old["values"]["soc"], old["state"]) == (None, "Charging")
    assert (silent["state"], silent["can"], silent["values"]) == (None, {}, {})


def test_a_trend_has_ten_minutes(node: str) -> None:
    steps: list[Step] = []
    for at in range(0, 700):
        steps += [state(at, "Charging"), (at, topic(1, "powermeter"), {"power_W": {"total": at}})]
        steps.append(look(at))
    trend = first(run(node, *steps)[-1])["trend"]

    assert len(trend) == 300
    assert [trend[0][:2], trend[-1][:2]] == [[100_000, 0.1], [698_000, 0.698]]


@pytest.mark.parametrize(
    "payload",
    [None, 7, "x", [], {}, {"state": 7}, {"state": "<b>"}, {"state": "x" * 50}, {"state": ["A"]}],
)
def test_what_is_no_state_is_not_said(node: str, payload: object) -> None:
    (told, _) = run(node, (0, topic(1, "session_info"), payload), look(1))

    assert first(told)["state"] is None


@pytest.mark.parametrize("name", ["evse_manager_0", "evse_manager_17", "evse_manager_x", "imd"])
def test_only_connectors_that_may_be_are_kept(node: str, name: str) -> None:
    (told, _) = run(node, (0, f"everest_api/{name}/var/session_info", {"state": "A"}), look(1))

    assert told["connectors"] == {}
