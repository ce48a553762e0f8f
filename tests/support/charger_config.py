"""The programs that make EVerest's configuration, and the rules that a configuration has to obey.

The rules are those of the manifests at the commit of EVerest that the image is made of.
"""

import copy
import functools
import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import yaml

CONTAINER = Path(__file__).resolve().parents[2] / "container"

PROVIDES = {
    "Auth": "main:auth reservation:reservation",
    "DCSupplySimulator": "main:power_supply_DC powermeter:powermeter",
    "DummyTokenProvider": "main:auth_token_provider",
    "EnergyManager": "main:energy_manager",
    "EnergyNode": "energy_grid:energy external_limits:external_energy_limits",
    "ErrorHistory": "error_history:error_history",
    "EvManager": "main:car_simulator ev_manager:ev_manager",
    "EvseManager": (
        "evse:evse_manager energy_grid:energy token_provider:auth_token_provider "
        "random_delay:uk_random_delay dc_external_derate:dc_external_derate"
    ),
    "EvseSecurity": "main:evse_security",
    "EvseV2G": "charger:ISO15118_charger extensions:iso15118_extensions",
    "IMDSimulator": "main:isolation_monitor",
    "OCPP": (
        "main:ocpp_1_6_charge_point auth_validator:auth_token_validator "
        "auth_provider:auth_token_provider data_transfer:ocpp_data_transfer ocpp_generic:ocpp "
        "session_cost:session_cost"
    ),
    "OCPP201": (
        "auth_validator:auth_token_validator auth_provider:auth_token_provider "
        "data_transfer:ocpp_data_transfer ocpp_generic:ocpp session_cost:session_cost"
    ),
    "OVMSimulator": "main:over_voltage_monitor",
    "PersistentStore": "main:kvs",
    "PyEvJosev": "ev:ISO15118_ev",
    "SlacSimulator": "evse:slac ev:ev_slac",
    "System": "main:system",
    "YetiSimulator": (
        "powermeter:powermeter temperature_sensor:temperature_sensor "
        "board_support:evse_board_support ev_board_support:ev_board_support rcd:ac_rcd "
        "connector_lock:connector_lock"
    ),
    "dc_external_derate_consumer_API": "generic_error:generic_error",
}
"""Implementations of a module type and the interface of each: IMPLEMENTATION:INTERFACE."""

REQUIRES = {
    "API": (
        "charger_information:charger_information:0-1 evse_manager:evse_manager:1-128 "
        "ocpp:ocpp:0-1 random_delay:uk_random_delay:0-128 error_history:error_history:0-1 "
        "evse_energy_sink:external_energy_limits:0-128"
    ),
    "Auth": (
        "token_provider:auth_token_provider:1-128 token_validator:auth_token_validator:1-128 "
        "evse_manager:evse_manager:1-128 kvs:kvs:0-1"
    ),
    "DummyTokenProvider": "evse:evse_manager",
    "EnergyManager": "energy_trunk:energy",
    "EnergyNode": (
        "energy_consumer:energy:1-128 powermeter:powermeter:0-1 "
        "price_information:energy_price_information:0-1"
    ),
    "EvAPI": "ev_manager:ev_manager:1-128",
    "EvManager": (
        "ev_board_support:ev_board_support ev:ISO15118_ev:0-1 slac:ev_slac:0-1 "
        "powermeter:powermeter:0-1 kvs:kvs:0-1"
    ),
    "EvseManager": (
        "bsp:evse_board_support ac_rcd:ac_rcd:0-1 connector_lock:connector_lock:0-1 "
        "powermeter_grid_side:powermeter:0-1 powermeter_car_side:powermeter:0-1 slac:slac:0-1 "
        "hlc:ISO15118_charger:0-1 imd:isolation_monitor:0-1 "
        "over_voltage_monitor:over_voltage_monitor:0-1 powersupply_DC:power_supply_DC:0-1 "
        "store:kvs:0-1"
    ),
    "EvseV2G": "security:evse_security iso15118_vas:ISO15118_vas:0-128",
    "OCPP": (
        "charger_information:charger_information:0-1 evse_manager:evse_manager:1-128 "
        "evse_energy_sink:external_energy_limits:0-129 reservation:reservation auth:auth "
        "system:system security:evse_security data_transfer:ocpp_data_transfer:0-1 "
        "display_message:display_message:0-1 extensions_15118:iso15118_extensions:0-128"
    ),
    "OCPP201": (
        "evse_manager:evse_manager:1-128 system:system security:evse_security "
        "data_transfer:ocpp_data_transfer:0-1 auth:auth "
        "evse_energy_sink:external_energy_limits:0-129 display_message:display_message:0-1 "
        "reservation:reservation:0-1 extensions_15118:iso15118_extensions:0-128"
    ),
    "OVMSimulator": "power_supply:power_supply_DC:0-1",
    "System": "store:kvs:0-1",
    "dc_external_derate_consumer_API": "derate:dc_external_derate",
}
"""What a module type has to be connected to: REQUIREMENT:INTERFACE[:LEAST-MOST], else exactly 1."""


class Places(Protocol):
    """The directories of configure.py's command line."""

    templates: Path
    prefix: Path
    run: Path
    state: Path
    logs: Path


class Settings(Protocol):
    """As much of what environment.py found as tests read."""

    name: str


def load(name: str) -> ModuleType:
    """One of the programs of the image. They are no package: in the image, each lies alone."""
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, CONTAINER / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[name] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[name])
    return sys.modules[name]


environment = load("environment")
configure = load("configure")


def template(version: str) -> dict[str, Any]:
    """The shipped configuration for a version of OCPP."""
    return copy.deepcopy(_template("16" if version == "1.6" else "201"))


@functools.cache
def _template(kind: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((CONTAINER / f"config-ocpp{kind}.yaml").read_text())
    return content


def places_below(folder: Path) -> Places:
    """Directories for a charger that is made of the shipped files."""
    parts = {name: folder / name for name in ("prefix", "run", "state", "logs")}
    places: Places = configure.Places(templates=CONTAINER, **parts)
    return places


def broken_rules(modules: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """What `manager --check` would say about these modules, in few words."""
    broken = []
    for name, module in modules.items():
        connections = module.get("connections", {})
        wanted = dict(word.split(":", 1) for word in REQUIRES.get(module["module"], "").split())
        broken += [f"{name} requires no {each}" for each in connections if each not in wanted]
        for requirement, rule in wanted.items():
            interface, _, count = rule.partition(":")
            least, _, most = (count or "1-1").partition("-")
            targets = connections.get(requirement, [])
            if not int(least) <= len(targets) <= int(most):
                broken.append(f"{name}.{requirement} has {len(targets)} connections")
            broken += [
                f"{name}.{requirement} is no {interface}: {target}"
                for target in targets
                if interface_of(modules, target) != interface
            ]
    return broken


def interface_of(modules: Mapping[str, Mapping[str, Any]], target: Mapping[str, str]) -> str | None:
    """The interface that a connection leads to, or None where there is no such thing."""
    if set(target) != {"module_id", "implementation_id"} or target["module_id"] not in modules:
        return None
    offered = PROVIDES.get(modules[target["module_id"]]["module"], "").split()
    return dict(word.split(":") for word in offered).get(target["implementation_id"])
