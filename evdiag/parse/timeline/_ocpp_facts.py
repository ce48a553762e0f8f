"""The facts of a message of OCPP in a few words, for all versions; never tokens of people, values
of variables, or URLs: these may be secrets."""

import re
from collections.abc import Iterator, Sequence

from evdiag.parse.timeline._reader import short

LONGEST_FACT = 60
MOST_NAMES = 3

_FACTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("", ("eventType",)),
    ("", ("status",)),
    ("", ("connectorStatus",)),
    ("", ("idTagInfo", "status")),
    ("", ("idTokenInfo", "status")),
    ("", ("transactionInfo", "chargingState")),
    ("", ("triggerReason",)),
    ("", ("errorCode",)),
    ("", ("vendorErrorCode",)),
    ("", ("reason",)),
    ("", ("transactionInfo", "stoppedReason")),
    ("", ("type",)),
    ("", ("operationalStatus",)),
    ("", ("requestedMessage",)),
    ("", ("messageTrigger",)),
    ("", ("key",)),
    ("", ("vendorId",)),
    ("", ("messageId",)),
    ("evse", ("evseId",)),
    ("evse", ("evse", "id")),
    ("connector", ("connectorId",)),
    ("transaction", ("transactionId",)),
    ("transaction", ("transactionInfo", "transactionId")),
    ("meter", ("meterStart",)),
    ("meter", ("meterStop",)),
    ("interval", ("interval",)),
    ("request", ("requestId",)),
    ("", ("statusInfo", "reasonCode")),
)
"""What to call a fact, and where it stands; in the order in which they are told."""

_UUID = re.compile(r"\b([0-9a-f]{8})-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}\b")
_PERIODIC = ("MeterValuePeriodic", "MeterValueClock")
_ROUTINE = ("Heartbeat", "MeterValues", "NotifyReport", "NotifyMonitoringReport")
_NEVER_EMPTY = (
    *("Authorize", "BootNotification", "DataTransfer", "Get15118EVCertificate", "Heartbeat"),
    *("GetCertificateStatus", "NotifyEVChargingNeeds", "NotifyEVChargingSchedule"),
    *("SignCertificate", "StartTransaction"),
)
"""Actions of a charger whose answer has required fields."""
_BORING = ("NoError", "None")


def facts_of(action: str, payload: object, *, answer: bool) -> str:
    """What matters of a message."""
    if not isinstance(payload, dict):
        return "without a payload"
    if answer and not payload and action in _NEVER_EMPTY:
        return "empty answer {}"
    told = [*_plain(payload), *_variables(payload), *_limit(payload), *_power(payload)]
    return ", ".join(dict.fromkeys(told))


def routine_of(action: str, payload: object) -> str | None:
    """What a message has in common with others that come all the time; None if it is not such."""
    if action in _ROUTINE:
        return f"{action} {_at(payload, ('connectorId',))} {_at(payload, ('evseId',))}"
    if action == "TransactionEvent" and _at(payload, ("triggerReason",)) in _PERIODIC:
        return None if _at(payload, ("eventType",)) != "Updated" else "TransactionEvent"
    return None


def _plain(payload: object) -> Iterator[str]:
    for name, path in _FACTS:
        value = _at(payload, path)
        if isinstance(value, bool) or not isinstance(value, str | int | float):
            continue
        said = _UUID.sub(r"\1…", short(value, LONGEST_FACT))
        if said and said not in _BORING:
            yield f"{name} {said}".lstrip()


def _variables(payload: object) -> Iterator[str]:
    """Names of the variables that are read or written, and what became of it; not their values."""
    rows = [
        row
        for name in ("getVariableData", "setVariableData", "getVariableResult", "setVariableResult")
        for row in _list(_at(payload, (name,)))
    ] + _list(_at(payload, ("eventData",)))
    for row in rows[:MOST_NAMES]:
        component, variable = _at(row, ("component", "name")), _at(row, ("variable", "name"))
        status = _at(row, ("attributeStatus",))
        if isinstance(component, str) and isinstance(variable, str):
            what = f"{short(component, 40)}.{short(variable, 40)}"
            yield f"{what} {short(status, 30)}" if isinstance(status, str) else what
    if len(rows) > MOST_NAMES:
        yield f"and {len(rows) - MOST_NAMES} more"


def _limit(payload: object) -> Iterator[str]:
    """The first limit of a charging profile or of a composite schedule."""
    places: tuple[tuple[str, ...], ...] = (
        ("csChargingProfiles", "chargingSchedule"),  # 1.6
        ("chargingProfile", "chargingSchedule"),
        ("chargingSchedule",),
        ("schedule",),
    )
    for path in places:
        found = _at(payload, path)
        schedule = next(iter(_list(found)), None) if isinstance(found, list) else found
        period = next(iter(_list(_at(schedule, ("chargingSchedulePeriod",)))), None)
        limit, unit = _at(period, ("limit",)), _at(schedule, ("chargingRateUnit",))
        if isinstance(limit, int | float):
            yield f"limit {limit:g} {short(unit, 4) if isinstance(unit, str) else ''}".rstrip()
            return


def _power(payload: object) -> Iterator[str]:
    """The power of the last meter value, in watts or kilowatts."""
    for value in reversed(_list(_at(payload, ("meterValue",)))[-MOST_NAMES:]):
        for sample in _list(_at(value, ("sampledValue",)))[:50]:
            if _at(sample, ("measurand",)) in ("Power.Active.Import", "Power.Active.Export"):
                unit = _at(sample, ("unit",)) or _at(sample, ("unitOfMeasure", "unit")) or "W"
                yield f"{short(_at(sample, ('value',)), 16)} {short(unit, 8)}"
                return


def _at(value: object, path: Sequence[str]) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []
