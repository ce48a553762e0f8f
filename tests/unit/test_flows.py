"""The dashboard's flow as a file: it fits together, and does only what it is meant to do."""

import json
import re
import runpy
from typing import Any

import pytest

from tests.support.charger_config import CONTAINER

FLOWS = CONTAINER / "flows.json"
BUILD = CONTAINER / "dashboard/build.py"

Node = dict[str, Any]
NODES: list[Node] = json.loads(FLOWS.read_text(encoding="utf-8"))

LAYOUT = {"ui-base", "ui-theme", "ui-page", "ui-group"}
TYPES = LAYOUT | {"tab", "mqtt-broker", "mqtt in", "mqtt out", "function", "inject", "ui-template"}
"""None of these starts programs, touches files, or speaks anything but MQTT."""

REFERENCES = {
    "z": "tab",
    "ui": "ui-base",
    "theme": "ui-theme",
    "page": "ui-page",
    "group": "ui-group",
    "broker": "mqtt-broker",
}
"""Properties with the id of another node, and the type of that."""

EVSE = "everest_api/+/var/"
DERATING = "everest_api/1/dc_external_derate_consumer/+/m2e/set_external_derating"
LISTENED = {
    "everest_api/connectors",
    "everest_api/errors/var/active_errors",
    "everest_api/ocpp/var/connection_status",
    DERATING,
    *(f"{EVSE}{name}" for name in ("session_info", "powermeter", "telemetry", "ev_info")),
    *(f"{EVSE}{name}" for name in ("selected_protocol", "hlc_log")),
}

TOPIC = re.compile(r"everest[\w/${}\\]*")
COMMANDS = (
    "everest_api/evse_manager${suffix}/cmd/",
    "everest_external/nodered/${connector}/carsim/cmd/",
    "everest_api/1/dc_external_derate_consumer/dc_external_derate_api${suffix}",
)
"""Where the flow may publish, as its code writes that."""


def of_type(kind: str) -> list[Node]:
    """All nodes of a type."""
    return [node for node in NODES if node["type"] == kind]


def test_it_is_made_of_its_sources() -> None:
    built: str = runpy.run_path(str(BUILD))["flows"]()
    assert built == FLOWS.read_text(encoding="utf-8"), f"run python3 {BUILD}"


def test_every_id_is_there_once() -> None:
    ids = [node["id"] for node in NODES]
    assert len(ids) == len(set(ids))


def test_only_known_types_of_nodes() -> None:
    assert {node["type"] for node in NODES} <= TYPES


@pytest.mark.parametrize("node", NODES, ids=lambda node: str(node["id"]))
def test_what_a_node_refers_to_exists(node: Node) -> None:
    types = {each["id"]: each["type"] for each in NODES}
    for output in node.get("wires", []):
        for target in output:
            assert types[target] not in LAYOUT | {"tab", "mqtt-broker", "mqtt in", "inject"}
    for name, kind in REFERENCES.items():
        if node["type"] == "mqtt-broker" and name == "broker":
            continue  # there it is the address
        if node.get(name):
            assert types[node[name]] == kind, name


def test_every_node_is_wired() -> None:
    """One that nothing leads to, and that does nothing by itself, was forgotten."""
    reached = {target for node in NODES for output in node.get("wires", []) for target in output}
    forgotten = {
        node["id"]
        for node in NODES
        if node["type"] in {"function", "mqtt out", "ui-template"} and node["id"] not in reached
    }
    assert forgotten == set()


def test_it_listens_to_documented_topics_only() -> None:
    assert {node["topic"] for node in of_type("mqtt in")} == LISTENED


def test_it_publishes_commands_only() -> None:
    """The topics of `mqtt out` come out of the code; there they begin with one of these."""
    assert {node["topic"] for node in of_type("mqtt out")} == {""}
    (sender,) = (node for node in NODES if ["out"] in node.get("wires", []))
    code = sender["func"]
    written = set(TOPIC.findall(re.sub(r"^\s*//.*$", "", code, flags=re.MULTILINE)))
    assert written == set(COMMANDS)


def test_commands_are_sent_once_for_sure_and_not_kept() -> None:
    for node in of_type("mqtt out"):
        assert (node["qos"], node["retain"]) == ("1", "false")


def test_the_broker_has_no_name_and_no_secret() -> None:
    """With a fixed client id two chargers at one broker would throw each other out."""
    (broker,) = of_type("mqtt-broker")
    assert broker["clientid"] == ""
    assert (broker["broker"], broker["port"]) == ("${MQTT_HOST}", "${MQTT_PORT}")
    for will in ("birth", "close", "will"):
        assert broker[f"{will}Topic"] == ""
    for node in NODES:
        assert not {"credentials", "user", "password"} & set(node)


def test_the_code_stays_inside() -> None:
    for node in of_type("function"):
        assert not node["libs"]
        assert not re.search(r"\brequire\b|\bprocess\b|\bglobal\b|\beval\b", node["func"])


def test_the_page_loads_nothing_and_shows_text_as_text() -> None:
    (page,) = of_type("ui-template")
    text = page["format"]
    assert not re.search(r"https?://|//\w+\.\w|\bimport\s*\(|@import|url\(", text)
    assert not re.search(r"v-html|innerHTML|outerHTML|document\.write|\beval\b", text)


def test_the_page_has_one_place_only() -> None:
    assert [node["path"] for node in of_type("ui-base")] == ["/ui"]
    assert len(of_type("ui-page")) == len(of_type("ui-group")) == len(of_type("ui-theme")) == 1
