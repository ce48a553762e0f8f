"""From what is wanted and what was found to what is asked of the engine."""

import hashlib
import ipaddress

from evdiag import __version__
from evdiag.analyze.ocpp_url import csms_of
from evdiag.model.charger import (
    CORES,
    NETWORK_LABEL,
    PATTERN_LABEL,
    VERSION_LABEL,
    ContainerFacts,
)
from evdiag.model.run import (
    DASHBOARD_AUTH,
    DASHBOARD_PORT,
    GATEWAY_NAME,
    MQTT_PORT,
    OUR_PATTERN,
    Plan,
    RunSpec,
    Situation,
)

IPV6_SYSCTL = {"net.ipv6.conf.all.disable_ipv6": "0"}
"""Engines turn IPv6 off in containers whose network has none; ISO 15118 needs link-local
addresses only, and those come with any interface."""


def make_plan(spec: RunSpec, situation: Situation, pattern_before: str | None = None) -> Plan:
    """What is asked of the engine; `pattern_before` is the core pattern that was replaced."""
    network = spec.network or own_network(spec.name)
    labels = {VERSION_LABEL: __version__}
    if spec.network is None:
        labels[NETWORK_LABEL] = network
    if pattern_before is not None:
        labels[PATTERN_LABEL] = pattern_before
    ports = {DASHBOARD_PORT: (spec.bind, spec.port)}
    if spec.publishes_mqtt:
        # any free port: the next charger wants one too
        ports[MQTT_PORT] = (spec.bind, 0)
    limit = 0 if spec.capture in ("off", "preload") else -1
    host: dict[str, object] = {
        "network_mode": network,
        "port_bindings": ports,
        "ulimits": [{"Name": "core", "Soft": limit, "Hard": limit}],
    }
    if situation.machine.ipv6 is not False:
        host["sysctls"] = dict(IPV6_SYSCTL)
    if csms_of(spec.ocpp_url).on_gateway:
        host["extra_hosts"] = {GATEWAY_NAME: "host-gateway"}
    if spec.cores is not None:
        host.update(_bind_mount(spec.cores, situation))
    container: dict[str, object] = {
        "image": spec.image,
        "name": spec.name,
        "environment": variables(spec),
        "labels": labels,
        "ports": sorted(ports),
    }
    own = None if spec.network else network
    return Plan(container=container, host=host, own_network=own)


def _bind_mount(folder: str, situation: Situation) -> dict[str, object]:
    """A folder of the engine's machine for cores. SELinux lets a container write only into what
    is labelled for it, which just the older form of the option asks for."""
    if "selinux" in situation.engine.security and ":" not in folder:
        return {"binds": [f"{folder}:{CORES}:z"]}
    return {"mounts": [{"Type": "bind", "Source": folder, "Target": CORES}]}


def variables(spec: RunSpec) -> dict[str, str]:
    """The environment of the container."""
    capture = "on" if spec.capture in ("auto", "preload") else "off"
    # closed is the image's own default; evdiag alone knows that nobody else reaches the port
    opened = {DASHBOARD_AUTH: "others"} if spec.dashboard_auth == "others" else {}
    return {
        **opened,
        **spec.environment,
        "OCPP_VERSION": spec.ocpp_version,
        "OCPP_URL": csms_of(spec.ocpp_url).url,
        "OCPP_ID": spec.ocpp_id,
        "EVDIAG_CAPTURE": capture,
    }


# -- names and addresses


def own_network(name: str) -> str:
    """The network of one charger: cars look for chargers by multicast, so each has its own."""
    return f"evdiag-{name}"


def subnet_of(network: str, attempt: int = 0) -> str:
    """A unique local subnet (RFC 4193), the same each time; another one for each attempt.

    Engines before 27 have no pool of their own to take it from.
    """
    digest = hashlib.sha256(f"{network}\0{attempt}".encode()).digest()
    packed = b"\xfd" + digest[:7] + bytes(8)
    return str(ipaddress.IPv6Network((packed, 64)))


def spare_name(name: str, taken: frozenset[str]) -> str:
    """The name for a charger that makes room for a new one but holds cores."""
    number = 1
    while f"{name}-old-{number}" in taken:
        number += 1
    return f"{name}-old-{number}"


def is_core(name: str) -> bool:
    """Whether a file in the folder for cores is one: the capture layer's, or the kernel's."""
    return (name == "core" or name.startswith("core.")) and not (
        "/" in name or name.endswith((".json", ".part", ".new"))
    )


def may_restore_pattern(
    charger: ContainerFacts, others: tuple[ContainerFacts, ...], current: str
) -> bool:
    """Whether the core pattern that this charger replaced may come back when it stops."""
    before = charger.labels.get(PATTERN_LABEL)
    if before is None or current.strip("\n") != OUR_PATTERN:
        return False
    return not any(
        other.id != charger.id and other.is_running and PATTERN_LABEL in other.labels
        for other in others
    )
