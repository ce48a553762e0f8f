"""The configuration of EVerest that the container's environment becomes."""

import json
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.charger_config import (
    CONTAINER,
    broken_rules,
    configure,
    environment,
    places_below,
    template,
)

VERSIONS = ("1.6", "2.0.1", "2.1")
PLACES = places_below(Path("/below"))
OWN = {
    *("evse_manager", "yeti_driver", "powersupply_dc", "imd", "ovm", "slac", "iso15118_charger"),
    *("token_provider", "dc_external_derate_api", "ev_manager", "iso15118_car"),
    *("api_sink", "ocpp_sink"),
}
"""The modules that every connector has."""


def modules_of(version: str = "1.6", connectors: int = 1, **variables: str) -> dict[str, Any]:
    """The modules of a charger."""
    given = {"OCPP_VERSION": version, "NUM_CONNECTORS": str(connectors), **variables}
    settings = environment.settings_of(given)
    modules: dict[str, Any] = configure.charger(template(version), settings, PLACES)[
        "active_modules"
    ]
    return modules


def targets(modules: dict[str, Any], name: str, requirement: str) -> list[str]:
    """The modules that a module is connected to."""
    return [each["module_id"] for each in modules[name]["connections"][requirement]]


def test_the_rules_find_what_is_wrong() -> None:
    modules = template("1.6")["active_modules"]
    assert broken_rules(modules) == []
    target = modules["evse_manager"]["connections"]["bsp"][0]
    target["implementation_id"] = "rcd"
    modules["api"]["connections"]["x"] = []
    modules["energy_manager"]["connections"] = {}
    modules["auth"]["connections"]["evse_manager"] = [{"module_id": "nobody"}]
    assert broken_rules(modules) == [
        f"evse_manager.bsp is no evse_board_support: {target}",
        "energy_manager.energy_trunk has 0 connections",
        "auth.evse_manager is no evse_manager: {'module_id': 'nobody'}",
        "api requires no x",
    ]


@pytest.mark.parametrize("version", VERSIONS)
def test_one_connector_is_the_template_itself(version: str) -> None:
    shipped = template(version)["active_modules"]
    settings = environment.settings_of({"OCPP_VERSION": version})
    same = configure.Places(
        templates=CONTAINER,
        prefix=Path("/opt/everest"),
        run=Path("/run/everest"),
        state=Path("/var/lib/everest"),
        logs=Path("/tmp/everest-logs"),
    )
    modules = configure.charger(template(version), settings, same)["active_modules"]
    if version == "2.1":
        trunk = modules["energy_manager"]["connections"]["energy_trunk"][0]
        trunk["module_id"] = "ocpp_station_sink"
    text = json.dumps(modules).replace(f"/everest/{settings.name}", "/everest/charger")
    assert json.loads(text) == shipped


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("connectors", range(1, 17))
def test_every_number_of_connectors(version: str, connectors: int) -> None:
    modules = modules_of(version, connectors)
    assert broken_rules(modules) == []
    shared = template(version)["active_modules"].keys() - OWN
    copies = {f"{name}_{n}" for name in OWN for n in range(2, connectors + 1)}
    assert modules.keys() == shared | OWN | copies
    for n in range(1, connectors + 1):
        of_connector = {name if n == 1 else f"{name}_{n}" for name in OWN}
        for name in of_connector:
            assert modules[name]["mapping"] == {"module": {"evse": n}}
            used = {
                each
                for key in modules[name].get("connections", ())
                for each in targets(modules, name, key)
            }
            assert used <= of_connector | shared
    evses = [modules[name]["config_module"] for name in targets(modules, "auth", "evse_manager")]
    assert [each["connector_id"] for each in evses] == list(range(1, connectors + 1))
    assert [each["evse_id"] for each in evses] == [
        f"DE*PNX*E12345*{n}" for n in range(1, connectors + 1)
    ]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("connectors", [1, 2, 16])
def test_what_the_station_shares_sees_every_connector(version: str, connectors: int) -> None:
    modules = modules_of(version, connectors)

    def every(name: str) -> list[str]:
        return [name, *(f"{name}_{n}" for n in range(2, connectors + 1))]

    assert targets(modules, "ocpp", "evse_manager") == every("evse_manager")
    assert targets(modules, "ocpp", "extensions_15118") == every("iso15118_charger")
    assert targets(modules, "auth", "token_provider") == [*every("token_provider"), "ocpp"]
    assert targets(modules, "auth", "token_validator") == ["ocpp"]
    assert targets(modules, "api", "evse_energy_sink") == every("api_sink")
    assert targets(modules, "ev_api", "ev_manager") == every("ev_manager")
    assert targets(modules, "grid_connection_point", "energy_consumer") == every("api_sink")
    station, *sinks = targets(modules, "ocpp", "evse_energy_sink")
    assert sinks == every("ocpp_sink")
    assert modules[station]["mapping"] == {"module": {"evse": 0}}
    tokens = [modules[name]["config_implementation"]["main"] for name in every("token_provider")]
    assert [(each["token"], each["connector_id"]) for each in tokens] == [
        (f"TOKEN{n}", n) for n in range(1, connectors + 1)
    ]


def chain(modules: dict[str, Any]) -> list[str]:
    """The nodes between the energy manager and the first connector."""
    found, name, requirement = [], "energy_manager", "energy_trunk"
    while name != "evse_manager":
        name, requirement = targets(modules, name, requirement)[0], "energy_consumer"
        found.append(name)
    return found


def test_a_limit_for_the_station_is_in_the_chain_where_it_is_right() -> None:
    last = ["grid_connection_point", "api_sink", "ocpp_sink", "evse_manager"]
    assert chain(modules_of("1.6")) == last
    assert chain(modules_of("2.0.1")) == ["ocpp_station_sink", *last]
    assert chain(modules_of("2.1")) == last
    assert targets(modules_of("2.1"), "ocpp", "evse_energy_sink")[0] == "ocpp_station_sink"


@hypothesis.settings(max_examples=30)
@given(
    st.sampled_from(VERSIONS),
    st.integers(1, 16),
    st.integers(1_000, 1_000_000),
    st.integers(1, 1_000),
)
def test_nothing_before_the_power_supply_limits_it(
    version: str, connectors: int, power: int, current: int
) -> None:
    modules = modules_of(
        version, connectors, EVSE_MAX_POWER=str(power), EVSE_MAX_CURRENT=str(current)
    )
    for name, module in modules.items():
        if module["module"] == "DCSupplySimulator":
            supply = module["config_implementation"]["main"]
            assert supply["max_power"] == supply["nominal_max_export_power"] == power
            assert supply["max_current"] == supply["nominal_max_current"] == current
        elif module["module"] == "YetiSimulator":
            config = module["config_module"]
            assert config["max_current_A_import"] * 690 >= power
            assert config["min_current_A_import"] == 0
        elif module["module"] == "EnergyNode":
            own = name.startswith(("api_sink", "ocpp_sink"))
            needed = power * (1 if own else connectors)
            assert module["config_module"]["fuse_limit_A"] * 690 >= needed
    board = modules["yeti_driver"]["config_module"]["max_current_A_import"]
    slice_ampere = modules["energy_manager"]["config_module"]["slice_ampere"]
    assert slice_ampere >= 0.5
    assert slice_ampere * 100 > board


def test_paths_follow_the_command_line_and_the_charger() -> None:
    state = f"/below/state/{environment.settings_of({}).name}"
    text = json.dumps(modules_of())
    assert f'"{state}/certs/ca/csms/CSMS_ROOT_CA.pem"' in text
    assert f'"{state}/user_config.json"' in text
    assert f'"DatabasePath": "{state}"' in text
    for path in ("state/persistent_store.db", "run/ocpp.json", "logs/ocpp", "logs/sessions"):
        assert f'"/below/{path}"' in text
    for shipped in ("/var/lib", "/run/everest", "/tmp/"):
        assert shipped not in text


# -- OCPP


def test_ocpp_1_6() -> None:
    settings = environment.settings_of(
        {
            "OCPP_ID": "x" * 30,
            "NUM_CONNECTORS": "2",
            "OCPP_URL": "ws://a/b",
            "EVSE_MAX_POWER": "5000",
        }
    )
    shipped = configure.read(CONTAINER / "ocpp-config-16.json")
    config = configure.ocpp16(shipped, settings)
    assert config["Internal"]["ChargePointId"] == "x" * 30
    assert config["Internal"]["ChargeBoxSerialNumber"] == "x" * 25
    assert config["Internal"]["CentralSystemURI"] == "ws://a/b"
    assert config["Internal"]["CompositeScheduleDefaultLimitWatts"] == 5000
    assert config["Internal"]["CompositeScheduleDefaultLimitAmps"] * 690 >= 5000
    assert config["Core"]["NumberOfConnectors"] == 2
    assert config["Core"]["ConnectorPhaseRotation"] == (
        "0.NotApplicable,1.NotApplicable,2.NotApplicable"
    )
    assert config["Security"] == {"CpoName": "evdiag", "SecurityProfile": 0}
    assert "SmartCharging" in config["Core"]["SupportedFeatureProfiles"]
    assert config["SmartCharging"]["ChargingScheduleAllowedChargingRateUnit"] == "Current,Power"
    assert 10 <= config["Core"]["MeterValueSampleInterval"] <= 30
    # what is installed of libocpp's profile_schemas; another section ends the module
    assert config.keys() <= {
        *("Internal", "Core", "FirmwareManagement", "LocalAuthListManagement", "Reservation"),
        *("Security", "SmartCharging", "PnC", "CostAndPrice"),
    }


def test_ocpp_1_6_with_a_password() -> None:
    settings = environment.settings_of({"OCPP_PASSWORD": "\"}'{: #%!"})
    security = configure.ocpp16({}, settings)["Security"]
    assert security == {"SecurityProfile": 1, "AuthorizationKey": "\"}'{: #%!"}


@pytest.mark.parametrize("version", ["2.0.1", "2.1"])
def test_ocpp_2(version: str) -> None:
    settings = environment.settings_of({"OCPP_VERSION": version, "OCPP_ID": "me"})
    config = configure.ocpp2(configure.read(CONTAINER / "ocpp-config-201.json"), settings)
    assert config["InternalCtrlr"]["SupportedOcppVersions"] == f"ocpp{version}"
    assert config["InternalCtrlr"]["AllowSecurityLevelZeroConnections"] is True
    assert config["InternalCtrlr"]["NetworkConnectionProfiles"] == "[]"
    assert config["SecurityCtrlr"] == {"SecurityCtrlrIdentity": "me", "SecurityProfile": 0}
    assert config["NetworkConfiguration_1"] == {
        "OcppCsmsUrl": "ws://localhost:9000",
        "SecurityProfile": 0,
        "MessageTimeout": 30,
    }
    assert config["SmartChargingCtrlr"]["CompositeScheduleDefaultLimitWatts"] == 150_000
    names = {name for part in (config, *config.values()) for name in part}
    assert not [name for name in names if name.startswith("_")]


def test_ocpp_2_with_a_password_over_tls() -> None:
    given = {"OCPP_URL": "wss://a", "OCPP_PASSWORD": "x" * 16, "OCPP_VERSION": "2.1"}
    config = configure.ocpp2({}, environment.settings_of(given))
    assert config["SecurityCtrlr"]["BasicAuthPassword"] == "x" * 16
    assert config["SecurityCtrlr"]["SecurityProfile"] == 2
    assert config["NetworkConfiguration_1"]["SecurityProfile"] == 2
    assert config["InternalCtrlr"]["AllowSecurityLevelZeroConnections"] is False
    assert config["InternalCtrlr"]["UseSslDefaultVerifyPaths"] is True
