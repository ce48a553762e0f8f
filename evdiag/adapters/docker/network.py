"""Networks of chargers: one for each, with IPv6 at an address that was chosen, not taken from a
pool, as engines before 27 have none."""

from typing import Any

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.errors import translated
from evdiag.analyze.run_plan import subnet_of
from evdiag.errors import EngineForbidden, EngineRefused, NotReady
from evdiag.model.charger import NETWORK_LABEL
from evdiag.model.run import NetworkFacts

REFUSALS = (EngineRefused, EngineForbidden)
"""Engines answer 403 to addresses that overlap, and to the removal of what is in use."""
ATTEMPTS = 5
"""Subnets that are tried; two tries of 2**56 seldom meet what is there."""


def find_network(engine: ContainerEngine, name: str) -> NetworkFacts | None:
    """A network by its exact name."""
    with translated(f"look for the network {name}"):
        listed = engine.api.networks(names=[name])
    found = next((entry for entry in listed if entry.get("Name") == name), None)
    return None if found is None else _facts(found)


def _facts(entry: dict[str, Any]) -> NetworkFacts:
    return NetworkFacts(
        name=str(entry.get("Name", "")),
        ipv6=entry.get("EnableIPv6") is True,
        driver=str(entry.get("Driver", "")),
        labels={str(key): str(text) for key, text in (entry.get("Labels") or {}).items()},
    )


def make_network(engine: ContainerEngine, name: str, *, ipv6: bool) -> NetworkFacts:
    """Make a network for one charger; without IPv6 where the engine cannot do better.

    Raises NotReady if the engine has no addresses left.
    """
    if ipv6:
        for attempt in range(ATTEMPTS):
            try:
                return _create(engine, name, subnet_of(name, attempt))
            except REFUSALS as error:
                if "overlap" not in str(error).lower():
                    break
    try:
        return _create(engine, name, None)
    except REFUSALS as error:
        if "already exists" in str(error) and (found := find_network(engine, name)):
            return found
        if "address pool" not in str(error):
            raise
        raise NotReady(
            "the engine has no addresses left for another network",
            advice="`docker network prune` removes those that nobody uses.",
        ) from error


def _create(engine: ContainerEngine, name: str, subnet: str | None) -> NetworkFacts:
    import docker.types  # noqa: PLC0415

    pools = [] if subnet is None else [docker.types.IPAMPool(subnet=subnet)]
    labels = {NETWORK_LABEL: name}
    with translated(f"make the network {name}"):
        engine.api.create_network(
            name,
            driver="bridge",
            ipam=docker.types.IPAMConfig(pool_configs=pools),
            enable_ipv6=subnet is not None,
            labels=labels,
            check_duplicate=True,
        )
    return NetworkFacts(name=name, ipv6=subnet is not None, driver="bridge", labels=labels)


def remove_network(engine: ContainerEngine, name: str) -> bool:
    """Remove a network that evdiag made; one that is in use or of somebody else stays."""
    found = find_network(engine, name)
    if found is None or NETWORK_LABEL not in found.labels:
        return False
    try:
        with translated(f"remove the network {name}"):
            engine.api.remove_network(name)
    except REFUSALS:  # somebody else is in it
        return False
    return True
