"""How a charger stands with its CSMS and what its connectors do: EVerest's API, and its log."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from evdiag.analyze.readiness import why
from evdiag.model.status import Connector, Everest, Link, Module
from evdiag.parse.status import Probe, Told, read_power, read_session, read_soc

CONNECTOR, CAR = "EvseManager", "EvManager"
LINK_TOPIC = "everest_api/ocpp/var/connection_status"
_REASON = re.compile(r"CLIENT_CONNECTION_ERROR: \[(.{1,200}?)\](?:\.|$)")

# -- OCPP


def without_account(url: str) -> str:
    """An address without account and password, whatever it looks like."""
    scheme, separator, rest = url.rpartition("://")
    return scheme.rpartition("@")[2] + separator + rest.rpartition("@")[2]


def configured_link(environment: Mapping[str, str]) -> Link:
    return Link(
        state="unknown",
        version=environment.get("OCPP_VERSION") or "1.6",
        url=without_account(environment.get("OCPP_URL") or "ws://localhost:9000"),
        id=environment.get("OCPP_ID") or "CP1",
    )


def link_of(environment: Mapping[str, str], probe: Probe, everest: Everest) -> Link:
    """The API says how it is now, the log since when, or why not."""
    link = configured_link(environment)
    last = probe.everest_log.last if probe.everest_log else {}
    since = everest.since or 0.0
    told = {
        kind: event.time
        for kind in ("connected", "closed", "failed")
        if (event := last.get(f"ocpp-{kind}")) and event.time is not None and event.time >= since
    }
    newest = max(told, key=lambda kind: told[kind]) if told else ""
    state = {"connected": "connected", "closed": "disconnected", "failed": "disconnected"}.get(
        newest, "unknown"
    )
    live = (probe.mqtt or {}).get(LINK_TOPIC, "").strip().strip('"')
    if live in ("connected", "disconnected"):
        state = live
    if everest.state == "down":
        state = "disconnected"
    if state == "connected":
        return msgspec.structs.replace(link, state=state, since=told.get("connected"))
    error, when = _link_error(last, since)
    return msgspec.structs.replace(link, state=state, error=error, error_time=when)


def _link_error(last: Mapping[str, Told], since: float) -> tuple[str, float | None]:
    events = [
        (event.time, event.text)
        for kind in ("ocpp-error", "ocpp-closed", "ocpp-close")
        if (event := last.get(kind)) and event.time is not None and event.time >= since
    ]
    if not events:
        return "", None
    when, text = max(events)
    match = _REASON.search(text)
    if match:
        return why(match[1]), when
    return ("the connection was closed" if "closed connection" in text else text), when


# -- charging


def connectors_of(probe: Probe, modules: Sequence[Module]) -> tuple[Connector, ...]:
    """One for each EvseManager of the configuration; the n-th car belongs to the n-th of them."""
    configured = probe.configured or [(module.id, module.type) for module in modules]
    named = [name for name, kind in configured if kind == CONNECTOR]
    cars = [name for name, kind in configured if kind == CAR]
    found = []
    for at, name in enumerate(named):
        car = cars[at] if at < len(cars) else None
        found.append(_connector(at + 1, name, car, probe.mqtt or {}))
    return tuple(found)


def _connector(number: int, name: str, car: str | None, messages: Mapping[str, str]) -> Connector:
    session = read_session(messages.get(f"everest_api/{name}/var/session_info", ""))
    if session is None:
        return Connector(number=number, module=name)
    measured = read_power(messages.get(f"everest_api/{name}/var/powermeter", ""))
    plugged = session.state != "Unplugged"
    soc = read_soc(messages.get(f"everest_api/{car}/var/ev_info", "")) if plugged else None
    return Connector(
        number=number,
        module=name,
        state=session.state,
        power=session.power if measured is None else measured,
        energy=session.energy,
        seconds=session.seconds,
        soc=soc,
        faulty=session.faulty,
    )
