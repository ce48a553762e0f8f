"""Inputs that really crash EVerest at the pinned commit, and what must be told of each."""

from dataclasses import dataclass

CARSIM = "everest_external/nodered/1/carsim"


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashCase:
    """A message on a topic, `{id}` being the module's id, and the crash that it is.

    `code` is the line of the source that the first frame of EVerest itself stands at; its number
    is looked up in the image's sources.
    """

    name: str
    module_type: str
    topic: str
    payload: str
    function: str
    file: str
    code: str
    exception: str
    what: str


CASES = (
    CrashCase(
        name="car simulator: unknown command",
        module_type="EvManager",
        topic=f"{CARSIM}/cmd/execute_charging_session",
        payload="sleep 1;fly_away",
        function="CommandRegistry::get_registered_command",
        file="modules/EV/EvManager/main/command_registry.hpp",
        code='throw std::invalid_argument{"Command not found: " + command_name};',
        exception="std::invalid_argument",
        what="Command not found: fly_away",
    ),
    CrashCase(
        name="API: a limit beyond a float",
        module_type="API",
        topic="everest_api/{evse}/cmd/set_limit_amps",
        payload="1e99",
        function="get_external_limits",
        file="modules/API/API/API.cpp",
        code="const auto limit = std::stof(data);",
        exception="std::out_of_range",
        what="stof",
    ),
    CrashCase(
        name="charging board: broken JSON",
        module_type="YetiSimulator",
        topic=f"{CARSIM}/error",
        payload='{"error_type": "DiodeFault",',
        function="parse_error_type",
        file="modules/Simulation/YetiSimulator/util/errors.cpp",
        code="const auto e = json::parse(payload);",
        exception="parse_error",
        what="[json.exception.parse_error.101]",
    ),
    CrashCase(
        name="isolation monitor: beyond an int",
        module_type="IMDSimulator",
        topic="everest_api/{id}/cmd/set_resistance",
        payload="99999999999",
        function="isolation_monitorImpl::init",
        file="modules/Simulation/IMDSimulator/main/isolation_monitorImpl.cpp",
        code="int32_t _resistance_ohm = std::stoi(resistance_ohm);",
        exception="std::out_of_range",
        what="stoi",
    ),
    CrashCase(
        name="over-voltage monitor: beyond a float",
        module_type="OVMSimulator",
        topic="everest_api/{id}/cmd/set_over_voltage_measurement_V",
        payload="1e99",
        function="over_voltage_monitorImpl::init",
        file="modules/Simulation/OVMSimulator/main/over_voltage_monitorImpl.cpp",
        code="voltage_measurement_V = std::stof(over_voltage_measurement_V);",
        exception="std::out_of_range",
        what="stof",
    ),
)

OCSP = CrashCase(
    name="OCPP: an answer without a status",
    module_type="OCPP201",
    topic="",
    payload="",
    function="ocpp::v2::from_json",
    file="lib/everest/ocpp/lib/ocpp/v2/messages/GetCertificateStatus.cpp",
    code='k.status = conversions::string_to_get_certificate_status_enum(j.at("status"));',
    exception="out_of_range",
    what="key 'status' not found",
)
"""The CSMS answers GetCertificateStatus with {}: what EVerest asks seconds after each boot."""
