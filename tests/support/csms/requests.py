"""Requests of a CSMS, each in the words of the version that is spoken."""

from datetime import UTC, datetime, timedelta

from .messages import Payload, Version

Request = tuple[str, Payload]

PROFILE_ID = 1


def _id_of(version: Version, number: int) -> Payload:
    """The field that names a connector in 1.6 and an EVSE later."""
    return {"connectorId": number} if version == "1.6" else {"evseId": number}


def set_profile(version: Version, watts: float, evse: int = 1) -> Request:
    """SetChargingProfile: no transaction at this EVSE draws more than that."""
    # a minute ago: the clock of a container may be a moment behind
    begin = (datetime.now(UTC) - timedelta(minutes=1)).isoformat(timespec="seconds")
    schedule: Payload = {
        "chargingRateUnit": "W",
        "startSchedule": begin.replace("+00:00", "Z"),
        "chargingSchedulePeriod": [{"startPeriod": 0, "limit": float(watts)}],
    }
    profile: Payload = {
        "stackLevel": 1,
        "chargingProfilePurpose": "TxDefaultProfile",
        "chargingProfileKind": "Absolute",
    }
    if version == "1.6":
        profile |= {"chargingProfileId": PROFILE_ID, "chargingSchedule": schedule}
        key = "csChargingProfiles"
    else:
        profile |= {"id": PROFILE_ID, "chargingSchedule": [{"id": 1, **schedule}]}
        key = "chargingProfile"
    return "SetChargingProfile", _id_of(version, evse) | {key: profile}


def clear_profile(version: Version) -> Request:
    """ClearChargingProfile: the profile of `set_profile`, wherever it applies."""
    key = "id" if version == "1.6" else "chargingProfileId"
    return "ClearChargingProfile", {key: PROFILE_ID}


def composite_schedule(version: Version, evse: int = 1, seconds: int = 600) -> Request:
    """GetCompositeSchedule in watts."""
    payload = _id_of(version, evse) | {"duration": seconds, "chargingRateUnit": "W"}
    return "GetCompositeSchedule", payload


def first_limit(version: Version, answer: Payload) -> float:
    """The limit in force at the beginning of a composite schedule, from the answer to it."""
    schedule = answer["chargingSchedule"] if version == "1.6" else answer["schedule"]
    return float(schedule["chargingSchedulePeriod"][0]["limit"])


def remote_start(version: Version, token: str, evse: int = 1) -> Request:
    """RemoteStartTransaction, or RequestStartTransaction since 2.0.1."""
    if version == "1.6":
        return "RemoteStartTransaction", {"connectorId": evse, "idTag": token}
    payload = {
        "evseId": evse,
        "remoteStartId": 1,
        "idToken": {"idToken": token, "type": "ISO14443"},
    }
    return "RequestStartTransaction", payload


def remote_stop(version: Version, transaction: int | str) -> Request:
    """RemoteStopTransaction, or RequestStopTransaction since 2.0.1."""
    action = "RemoteStopTransaction" if version == "1.6" else "RequestStopTransaction"
    return action, {"transactionId": transaction}


def reset(version: Version) -> Request:
    """Reset, at once."""
    return "Reset", {"type": "Soft" if version == "1.6" else "Immediate"}


def get_setting(version: Version, component: str, name: str) -> Request:
    """GetConfiguration, or GetVariables since 2.0.1; 1.6 knows no components."""
    if version == "1.6":
        return "GetConfiguration", {"key": [name]}
    wanted = {"component": {"name": component}, "variable": {"name": name}}
    return "GetVariables", {"getVariableData": [wanted]}


def setting(version: Version, answer: Payload) -> str:
    """The value in the answer to `get_setting`."""
    if version == "1.6":
        return str(answer["configurationKey"][0]["value"])
    return str(answer["getVariableResult"][0]["attributeValue"])


def set_setting(version: Version, component: str, name: str, value: str) -> Request:
    """ChangeConfiguration, or SetVariables since 2.0.1."""
    if version == "1.6":
        return "ChangeConfiguration", {"key": name, "value": value}
    given = {
        "component": {"name": component},
        "variable": {"name": name},
        "attributeValue": value,
    }
    return "SetVariables", {"setVariableData": [given]}


def accepted(answer: Payload) -> bool:
    """Whether the answer to a request of this file says that it was accepted."""
    if "setVariableResult" in answer:
        results = answer["setVariableResult"]
        return all(result["attributeStatus"] == "Accepted" for result in results)
    return bool(answer.get("status") == "Accepted")
