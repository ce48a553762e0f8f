"""Does what it is told, as EVerest and its car do, but out of a recording and in no time."""

import json
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any

from tests.support.mqtt import Mqtt, Published
from tests.support.real_charger import PLUG_IN, START_AGAIN, STOP_AND_UNPLUG
from tests.support.replay import (
    CHARGING,
    FINISHED,
    PAUSED_BY_CAR,
    PAUSED_BY_CHARGER,
    PREPARING,
    SESSION,
    STOPPING,
    UNPLUGGED,
    WAITING,
    Replay,
    topic,
)

PAUSE_CAR = "iso_pause_charging;iso_wait_for_resume"
RESUME_CAR = "iso_start_bcb_toggle 3;iso_wait_pwm_is_running;" + START_AGAIN.removeprefix(
    "iso_wait_slac_matched;"
)
UNPLUG = "unplug"

COMMAND = re.compile(r"everest_external/.+|everest_api/1/.+|everest_api/[^/]+/cmd/.+")
"""The topics of all commands; what else is below everest_api/ is said by EVerest."""

CAR = re.compile(r"everest_external/nodered/(\d+)/carsim/cmd/(\w+)_charging_session")
PAUSING = re.compile(r"everest_api/evse_manager(?:_(\d+))?/cmd/(pause|resume)_charging")
DERATING = re.compile(
    r"everest_api/1/dc_external_derate_consumer/dc_external_derate_api(?:_(\d+))?"
    r"/m2e/set_external_derating"
)

STEP = 0.1
"""Seconds between two states that follow each other by themselves."""

Action = Callable[[], None]


@dataclass(slots=True)
class _Connector:
    number: int
    moment: float = UNPLUGGED
    limit: float | None = None
    ready: bool = False
    """Resumed by the charger; the car has to begin again."""
    plan: list[tuple[float, Action]] = field(default_factory=list)


class SimulatedCharger:
    """Listens to all commands and lets the replay show what comes of them."""

    def __init__(self, replay: Replay, mqtt: Mqtt, connectors: int) -> None:
        self.unknown: list[Published] = []
        """Commands that EVerest would not have understood."""
        self._replay, self._mqtt = replay, mqtt
        self._connectors = {number: _Connector(number) for number in range(1, connectors + 1)}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._live)

    def __enter__(self) -> "SimulatedCharger":
        for one in self._connectors.values():
            self._show(one, UNPLUGGED)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()

    def _live(self) -> None:
        heard = self._mqtt.published.mark()
        while not self._ended.wait(0.05):
            new = self._mqtt.published.entries(heard)
            heard += len(new)
            for message in new:
                if COMMAND.fullmatch(message.topic) and not self._obey(message):
                    self.unknown.append(message)
            for one in self._connectors.values():
                self._go_on(one)

    # -- what is heard

    def _obey(self, message: Published) -> bool:
        if found := DERATING.fullmatch(message.topic):
            return self._derate(self._connectors[int(found[1] or 1)], message.value())
        if found := PAUSING.fullmatch(message.topic):
            return self._by_charger(self._connectors[int(found[1] or 1)], found[2])
        if found := CAR.fullmatch(message.topic):
            return self._by_car(self._connectors[int(found[1])], found[2], message.text)
        return False

    def _derate(self, one: _Connector, limits: Mapping[str, Any]) -> bool:
        one.limit = limits.get("max_export_current_A")
        if one.moment == CHARGING:
            self._show(one, CHARGING)
        return set(limits) <= {"max_export_current_A"}

    def _by_charger(self, one: _Connector, command: str) -> bool:
        if command == "pause" and one.moment == CHARGING:
            self._plan(one, STOPPING, PAUSED_BY_CHARGER)
        elif command == "resume" and one.moment == PAUSED_BY_CHARGER:
            one.ready = True
        else:
            return False
        return True

    def _by_car(self, one: _Connector, command: str, steps: str) -> bool:
        told = command, steps
        if told == ("execute", PLUG_IN) and one.moment == UNPLUGGED:
            self._plan(one, WAITING, PREPARING, CHARGING)
        elif told == ("modify", START_AGAIN) and one.ready:
            self._plan(one, PREPARING, CHARGING)
        elif told == ("modify", PAUSE_CAR) and one.moment == CHARGING:
            self._plan(one, PAUSED_BY_CAR)
        elif told == ("modify", RESUME_CAR) and one.moment == PAUSED_BY_CAR:
            self._plan(one, PREPARING, CHARGING)
        elif told == ("modify", STOP_AND_UNPLUG) and one.moment == CHARGING:
            self._plan(one, FINISHED, UNPLUGGED)
        elif told == ("modify", UNPLUG) and one.moment != UNPLUGGED:
            self._plan(one, UNPLUGGED)
        else:
            return False
        one.ready = False
        return True

    # -- what comes of it

    def _plan(self, one: _Connector, *moments: float) -> None:
        """Show one moment after the other.

        Nothing is said of the car's connection, after the end of which the dashboard waits.
        """
        now = time.monotonic()
        one.plan = [
            (now + number * STEP, lambda moment=moment: self._show(one, moment))  # type: ignore[misc]
            for number, moment in enumerate(moments)
        ]

    def _go_on(self, one: _Connector) -> None:
        now = time.monotonic()
        for due, action in [step for step in one.plan if step[0] <= now]:
            one.plan.remove((due, action))
            action()

    def _show(self, one: _Connector, moment: float) -> None:
        one.moment = moment
        meter = json.loads(SESSION.at(moment)[topic(2, "powermeter")])
        amperes, volts = meter["current_A"]["DC"], meter["voltage_V"]["DC"]
        if one.limit is not None:
            amperes = min(amperes, one.limit)
        self._replay.show(
            one.number,
            moment,
            powermeter={"current_A": {"DC": amperes}, "power_W": {"total": amperes * volts}},
        )
