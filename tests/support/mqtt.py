"""The MQTT side of a charger: what EVerest publishes, kept, and commands to it."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from tests.support.csms import Journal

TOPICS = ("everest_api/#", "everest_external/#")
"""What EVerest offers to the outside; its own traffic below `everest/` is none of our business."""

CONNECT_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """One message of the broker."""

    topic: str
    text: str

    def value(self) -> Any:  # noqa: ANN401  # whatever JSON holds
        """The payload as JSON; None where it is none."""
        try:
            return json.loads(self.text)
        except ValueError:
            return None


class Mqtt:
    """A client that listens to EVerest and connects again whenever the broker is back."""

    def __init__(self, host: str, port: int, user: str, password: str) -> None:
        self.published: Journal[Published] = Journal()
        self._address = host, port
        self._subscribed = threading.Event()
        self._client = paho.Client(CallbackAPIVersion.VERSION2)
        self._client.username_pw_set(user, password)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = self._on_connect
        self._client.on_subscribe = self._on_subscribe
        self._client.on_disconnect = self._on_disconnect
        self._client.on_message = self._on_message

    def __enter__(self) -> "Mqtt":
        self._client.connect_async(*self._address)
        self._client.loop_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def wait_connected(self, seconds: float = CONNECT_SECONDS) -> None:
        """Wait until the broker has let us in and knows what we want to hear."""
        host, port = self._address
        assert self._subscribed.wait(seconds), f"no MQTT broker that lets us in on {host}:{port}"

    def publish(self, topic: str, text: str) -> None:
        """Publish, and wait until the broker has it."""
        sent = self._client.publish(topic, text, qos=1)
        sent.wait_for_publish(CONNECT_SECONDS)
        assert sent.is_published(), f"the broker never took {topic}"

    def wait(
        self,
        topic: str,
        matches: Callable[[Any], bool],
        *,
        what: str,
        since: int = 0,
        seconds: float = 30.0,
    ) -> Any:  # noqa: ANN401  # whatever JSON holds
        """The value of the first message on a topic that matches."""

        def wanted(message: Published) -> bool:
            return message.topic == topic and matches(message.value())

        return self.published.wait(what, wanted, since=since, seconds=seconds).value()

    # -- called by the client's thread

    def _on_connect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.ConnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        if not reason.is_failure:
            client.subscribe([(topic, 1) for topic in TOPICS])

    def _on_subscribe(
        self,
        client: paho.Client,
        userdata: object,
        message_id: int,
        reasons: list[ReasonCode],
        properties: Properties | None,
    ) -> None:
        if not any(reason.is_failure for reason in reasons):
            self._subscribed.set()

    def _on_disconnect(
        self,
        client: paho.Client,
        userdata: object,
        flags: paho.DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._subscribed.clear()

    def _on_message(self, client: paho.Client, userdata: object, message: paho.MQTTMessage) -> None:
        text = message.payload.decode(errors="replace")
        self.published.add(Published(topic=message.topic, text=text))
