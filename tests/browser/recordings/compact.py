"""Makes `session.jsonl` of what a real EVerest with two connectors published in a session at the
second one: `python -m tests.browser.recordings.compact < RAW > session.jsonl`.

RAW is what `mosquitto_sub -F '%U %t %p' -t everest_api/#` prints in the container.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

READ = re.compile(
    r"everest_api/(evse_manager_2/var/(session_info|powermeter|telemetry|selected_protocol|hlc_log)"
    r"|ev_manager_2/var/ev_info|errors/var/active_errors|ocpp/var/connection_status|connectors)"
)
"""What the dashboard reads of the second connector, and of the charger."""

SPOKEN = re.compile(r"V2G Session(Setup|Stop)Res|Change HLC Limits: ")
"""What it reads of the long log of ISO 15118."""

UNREAD = ("timestamp", "datetime", "active_enable_disable_source")
"""What differs in every message, or is long, and not read."""

PAUSE = 0.9
"""Seconds between two messages on the same topic, but for the log: more is not needed."""


def compact(lines: Iterable[str]) -> Iterator[tuple[float, str, Any]]:
    """The messages that the dashboard reads, without those that repeat what the last one said."""
    last: dict[str, tuple[float, Any]] = {}
    begin: float | None = None
    for line in lines:
        time, topic, payload = line.rstrip("\n").split(" ", 2)
        begin = float(time) if begin is None else begin
        if not READ.fullmatch(topic):
            continue
        seconds = round(float(time) - begin, 2)
        said: Any = json.loads(payload) if payload[0] in "[{" else payload
        if isinstance(said, dict):
            said = {key: value for key, value in said.items() if key not in UNREAD}
        logged = topic.endswith("/hlc_log")
        if logged and not SPOKEN.match(said["msg"]):
            continue
        then, was = last.get(topic, (-PAUSE, None))
        if logged or (said != was and seconds - then >= PAUSE):
            last[topic] = seconds, said
            yield seconds, topic, said


if __name__ == "__main__":
    for entry in compact(sys.stdin):
        print(json.dumps(entry, separators=(",", ":")))
