"""What a friendly CSMS answers: it accepts everything and knows no certificate."""

from collections.abc import Callable
from datetime import UTC, datetime
from itertools import count

from ocpp.exceptions import NotImplementedError as NotImplementedByCsms
from ocpp.messages import MessageType, get_validator

from .messages import Payload, Version

Answer = Callable[[Version, Payload], Payload]

HEARTBEAT_SECONDS = 60

_transactions = count(4711)


def now() -> str:
    """The time as OCPP writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def answer(version: Version, action: str, payload: Payload) -> Payload:
    """The answer to a request; the error of OCPP for an action that the version has not."""
    given = ANSWERS.get(action)
    if given is not None:
        return given(version, payload)
    required = _required(version, action)
    return {"status": "Accepted"} if "status" in required else {}


def _required(version: Version, action: str) -> list[str]:
    """What the schema of the answer wants."""
    try:
        validator = get_validator(MessageType.CallResult, action, version)
    except OSError:
        raise NotImplementedByCsms(details={"cause": f"{version} has no {action}"}) from None
    required: list[str] = validator.schema.get("required", [])
    return required


def _boot(version: Version, payload: Payload) -> Payload:
    return {"currentTime": now(), "interval": HEARTBEAT_SECONDS, "status": "Accepted"}


def _heartbeat(version: Version, payload: Payload) -> Payload:
    return {"currentTime": now()}


def _authorize(version: Version, payload: Payload) -> Payload:
    return {"idTagInfo" if version == "1.6" else "idTokenInfo": {"status": "Accepted"}}


def _start_transaction(version: Version, payload: Payload) -> Payload:
    return {"transactionId": next(_transactions), "idTagInfo": {"status": "Accepted"}}


def _certificate_status(version: Version, payload: Payload) -> Payload:
    return {"status": "Failed"}


def _ev_certificate(version: Version, payload: Payload) -> Payload:
    return {"status": "Failed", "exiResponse": ""}


def _ev_charging_needs(version: Version, payload: Payload) -> Payload:
    return {"status": "Processing"}


ANSWERS: dict[str, Answer] = {
    "BootNotification": _boot,
    "Heartbeat": _heartbeat,
    "Authorize": _authorize,
    "StartTransaction": _start_transaction,
    "GetCertificateStatus": _certificate_status,
    "Get15118EVCertificate": _ev_certificate,
    "NotifyEVChargingNeeds": _ev_charging_needs,
}
"""Answers that need more than a status; the others follow from the schema of the answer."""
