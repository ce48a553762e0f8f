"""Plays EVerest to the dashboard: each connector says what a real one said at some moment."""

import json
import threading
from pathlib import Path
from types import TracebackType
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion

from tests.support.recording import Recording, text

SESSION = Recording.read(Path(__file__).parent.parent / "browser/recordings/session.jsonl")

# moments of the recording
UNPLUGGED, WAITING, PREPARING = 0.4, 6.4, 13.2
LIMITED = 34.0
"""Charging with 50 A."""
STOPPING, PAUSED_BY_CHARGER, PAUSED_BY_CAR = 38.5, 45.0, 86.0
CHARGING = 113.9
"""With 300 A."""
FAULTY = 116.0
"""As before, with an error."""
FINISHED = 131.0

EVERY = 0.5
"""Seconds after which all is said again, as EVerest does."""

NAMES = ("session_info", "powermeter", "telemetry", "selected_protocol", "ev_info")
"""What is said of each connector."""

CHARGER = {
    "connectors": "everest_api/connectors",
    "errors": "everest_api/errors/var/active_errors",
    "ocpp": "everest_api/ocpp/var/connection_status",
}
"""What is said of the charger as a whole."""

OPENED, CLOSED = "V2G SessionSetupRes", "V2G SessionStopRes"
"""What the log of ISO 15118 says of the connection to the car."""


def topic(connector: int, name: str) -> str:
    """The topic on which one connector says something, such as `powermeter`."""
    module = "ev_manager" if name == "ev_info" else "evse_manager"
    suffix = "" if connector == 1 else f"_{connector}"
    return f"everest_api/{module}{suffix}/var/{name}"


def derating(connector: int) -> str:
    """The topic on which the limit of a connector is set."""
    module = "dc_external_derate_api" + ("" if connector == 1 else f"_{connector}")
    return f"everest_api/1/dc_external_derate_consumer/{module}/m2e/set_external_derating"


class Replay:
    """Says all that is set again and again, until the block is left."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self._said: dict[str, str] = {}
        self._guard = threading.Lock()
        self._changed, self._ended = threading.Event(), threading.Event()
        self._address = host, port
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._thread = threading.Thread(target=self._repeat)

    def __enter__(self) -> "Replay":
        self._client.connect_async(*self._address)
        self._client.loop_start()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        self._changed.set()
        self._thread.join()
        self._client.disconnect()
        self._client.loop_stop()

    def show(self, connector: int, moment: float, **changes: dict[str, Any] | str | None) -> None:
        """Let a connector say what it said at a moment, from now on.

        `powermeter={"current_A": {"DC": 7}}` says one field otherwise; a field that is None, and a
        message that is None, is not said; a text is said as it is.
        """
        was = SESSION.at(moment)
        said: dict[str, str] = {}
        for name in NAMES:
            payload = _changed(was.get(topic(2, name)), changes.pop(name, {}))
            if payload is not None:
                said[topic(connector, name)] = payload
        assert not changes, f"nothing is called {changes}"
        self._replace(connector, said)

    def silence(self, connector: int, *, but: dict[str, Any] | None = None) -> None:
        """Let a connector say nothing any more, but for what its session_info has to say."""
        said = {} if but is None else {topic(connector, "session_info"): text(but)}
        self._replace(connector, said)

    def charger(self, **said: Any) -> None:  # noqa: ANN401  # whatever JSON holds
        """Let the charger say this from now on: `errors=[...]`, `ocpp=None` for nothing."""
        with self._guard:
            for name, value in said.items():
                self._said.pop(CHARGER[name], None)
                if value is not None:
                    self._said[CHARGER[name]] = text(value)
        self._changed.set()

    def log(self, connector: int, line: str) -> None:
        """Say one line of the log of ISO 15118, once."""
        said = {"iso15118": True, "msg": line, "origin": "EVSE", "target": "CAR"}
        self.once(topic(connector, "hlc_log"), json.dumps(said))

    def once(self, name: str, payload: str) -> None:
        """Say something on any topic, once."""
        self._client.publish(name, payload, qos=1)

    def _replace(self, connector: int, said: dict[str, str]) -> None:
        with self._guard:
            for name in NAMES:
                self._said.pop(topic(connector, name), None)
            self._said |= said
        self._changed.set()

    def _repeat(self) -> None:
        while not self._ended.is_set():
            self._changed.clear()
            with self._guard:
                said = list(self._said.items())
            for name, payload in said:
                # not kept for a broker that is away, as EVerest would not
                self._client.publish(name, payload, qos=0)
            self._changed.wait(EVERY)


def _changed(was: str | None, change: dict[str, Any] | str | None) -> str | None:
    """What is said in place of a payload."""
    if not isinstance(change, dict):
        return change
    if not change:
        return was
    fields = json.loads(was or "{}") | change
    return json.dumps({key: value for key, value in fields.items() if value is not None})
