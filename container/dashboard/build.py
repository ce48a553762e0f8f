#!/usr/bin/env python3
"""Makes ../flows.json of the files beside this one: `python3 container/dashboard/build.py`.

Node-RED keeps code as one long string of JSON, which nobody can read or review: so that is made.
"""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
TARGET = HERE.parent / "flows.json"

Node = dict[str, Any]

TAB, BROKER, GROUP, PAGE = "charger-flow", "everest-broker", "charger-group", "page"

LISTENED = {
    "everest_api/connectors": "json",
    "everest_api/+/var/session_info": "json",
    "everest_api/+/var/powermeter": "json",
    "everest_api/+/var/telemetry": "json",
    "everest_api/+/var/ev_info": "json",
    "everest_api/+/var/hlc_log": "json",
    "everest_api/+/var/selected_protocol": "utf8",
    "everest_api/errors/var/active_errors": "json",
    "everest_api/ocpp/var/connection_status": "utf8",
    "everest_api/1/dc_external_derate_consumer/+/m2e/set_external_derating": "json",
}
"""What the flow subscribes to, and how Node-RED reads it."""


def settings() -> list[Node]:
    """The dashboard's own nodes, and the broker."""
    return [
        {"id": TAB, "type": "tab", "label": "Charger", "disabled": False,
         "info": "Made by container/dashboard/build.py."},
        {"id": "dashboard", "type": "ui-base", "name": "Charger", "path": "/ui", "appIcon": "",
         "includeClientData": True, "acceptsClientConfig": ["ui-template"],
         "showPathInSidebar": False, "headerContent": "page", "navigationStyle": "none",
         "titleBarStyle": "default", "showReconnectNotification": False,
         # Node-RED that stops in order takes the page away first: only this is left to tell it
         "showDisconnectNotification": True, "notificationDisplayTime": 1,
         "allowInstall": False},
        {"id": "colours", "type": "ui-theme", "name": "Charger",
         "colors": {"surface": "#1f2937", "primary": "#0f62fe", "bgPage": "#f3f4f6",
                    "groupBg": "#f3f4f6", "groupOutline": "#f3f4f6"},
         "sizes": {"density": "default", "pagePadding": "0px", "groupGap": "0px",
                   "groupBorderRadius": "0px", "widgetGap": "0px"}},
        {"id": "charger-page", "type": "ui-page", "name": "Virtual DC charger", "ui": "dashboard",
         "path": "/charger", "icon": "ev-station", "layout": "grid", "theme": "colours",
         "breakpoints": [{"name": "Default", "px": "0", "cols": "12"}],
         "order": 1, "className": "", "visible": True, "disabled": False},
        {"id": GROUP, "type": "ui-group", "name": "Charger", "page": "charger-page",
         "width": "12", "height": "1", "order": 1, "showTitle": False, "className": "",
         "visible": True, "disabled": False, "groupType": "default"},
        {"id": BROKER, "type": "mqtt-broker", "name": "EVerest", "broker": "${MQTT_HOST}",
         "port": "${MQTT_PORT}", "clientid": "", "autoConnect": True, "usetls": False,
         "protocolVersion": "4", "keepalive": "60", "cleansession": True,
         "autoUnsubscribe": True, "birthTopic": "", "birthQos": "0", "birthPayload": "",
         "birthMsg": {}, "closeTopic": "", "closeQos": "0", "closePayload": "", "closeMsg": {},
         "willTopic": "", "willQos": "0", "willPayload": "", "willMsg": {}, "userProps": "",
         "sessionExpiry": ""},
    ]  # fmt: skip


def listener(number: int, topic: str, kind: str) -> Node:
    """A subscription."""
    name = topic.rpartition("/")[2]
    return {"id": f"in-{number}", "type": "mqtt in", "z": TAB, "name": name, "topic": topic,
            "qos": "0", "datatype": kind, "broker": BROKER, "nl": False, "rap": True, "rh": 0,
            "inputs": 0, "x": 240, "y": 60 + 40 * number, "wires": [["remember"]]}  # fmt: skip


def function(name: str, label: str, at: tuple[int, int], wires: list[list[str]]) -> Node:
    """A function node with the code of a file."""
    return {"id": name, "type": "function", "z": TAB, "name": label,
            "func": (HERE / f"{name}.js").read_text(encoding="utf-8").rstrip("\n"),
            "outputs": len(wires), "timeout": 0, "noerr": 0, "initialize": "", "finalize": "",
            "libs": [], "x": at[0], "y": at[1], "wires": wires}  # fmt: skip


def rest() -> list[Node]:
    """The clock, the page, and the way back to MQTT."""
    return [
        {"id": "clock", "type": "inject", "z": TAB, "name": "twice a second",
         "props": [], "repeat": "0.5", "crontab": "", "once": True, "onceDelay": 0.1, "topic": "",
         "x": 230, "y": 520, "wires": [["show"]]},
        {"id": PAGE, "type": "ui-template", "z": TAB, "group": GROUP, "page": "", "ui": "",
         "name": "page", "order": 1, "width": "12", "height": "0", "head": "",
         "format": (HERE / "page.html").read_text(encoding="utf-8").rstrip("\n"),
         "storeOutMessages": False, "passthru": False, "resendOnRefresh": False,
         "templateScope": "local", "className": "", "x": 630, "y": 520, "wires": [["command"]]},
        {"id": "out", "type": "mqtt out", "z": TAB, "name": "commands", "topic": "", "qos": "1",
         "retain": "false", "respTopic": "", "contentType": "", "userProps": "", "correl": "",
         "expiry": "", "broker": BROKER, "x": 1010, "y": 540, "wires": []},
    ]  # fmt: skip


def flows() -> str:
    """The text of flows.json."""
    listeners = [listener(i, *each) for i, each in enumerate(LISTENED.items())]
    functions = [
        function("remember", "what EVerest says", (560, 240), [[]]),
        function("show", "what is shown", (430, 520), [[PAGE]]),
        function("command", "what was pressed", (820, 520), [[PAGE], ["out"]]),
    ]
    nodes = [*settings(), *listeners, *functions, *rest()]
    return json.dumps(nodes, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    TARGET.write_text(flows(), encoding="utf-8")
