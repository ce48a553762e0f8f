"""A CSMS on this machine: `localhost` in an address is the container itself, and seldom meant."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from evdiag.model.run import GATEWAY_NAME, Listener

PORTS = {"ws": 80, "wss": 443}


class Csms(msgspec.Struct, frozen=True, kw_only=True):
    """Where the charger looks for its CSMS."""

    url: str
    """As the container gets it."""
    moved: bool = False
    """Whether `localhost` was replaced."""
    on_gateway: bool = False
    """Whether it is on the engine's machine, by its name or by `localhost`."""
    port: int | None = None
    encrypted: bool = False


def csms_of(url: str) -> Csms:
    """The address for the container. What is no address stays: the container says what is wrong."""
    try:
        parts = urlsplit(url)
        port = parts.port or PORTS.get(parts.scheme)
    except ValueError:
        return Csms(url=url)
    host = (parts.hostname or "").rstrip(".")
    encrypted = parts.scheme == "wss"
    if "@" in parts.netloc or not (_is_this_machine(host) or host == GATEWAY_NAME):
        return Csms(url=url, port=port, encrypted=encrypted)
    shown = url if host == GATEWAY_NAME else _moved(url, parts.netloc)
    moved = shown != url
    return Csms(url=shown, moved=moved, on_gateway=True, port=port, encrypted=encrypted)


def _is_this_machine(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified


def _moved(url: str, netloc: str) -> str:
    """The same with the gateway for a host; the rest is not touched, right or wrong."""
    host, colon, port = netloc.rpartition(":")
    rest = colon + port if colon and not port.endswith("]") and host else ""
    return url.replace(f"//{netloc}", f"//{GATEWAY_NAME}{rest}", 1)


def remarks(csms: Csms, listeners: tuple[Listener, ...] | None, *, rootless: bool) -> list[str]:
    """What the user should know of a CSMS on this machine. `listeners` is None: not known."""
    if not csms.on_gateway:
        return []
    said = []
    if csms.moved and csms.encrypted:
        said.append(
            f"the certificate of the CSMS has to be made out to {GATEWAY_NAME}: the charger "
            "does not connect to one for localhost"
        )
    if rootless:
        said.append(
            "a rootless engine keeps containers away from this machine's localhost: if the charger "
            "does not connect, name this machine's address in the network with --ocpp-url"
        )
    at = [listener.address for listener in listeners or () if listener.port == csms.port]
    if listeners is not None and not at:
        said.append(
            f"nothing listens on port {csms.port} of this machine yet: the charger goes on trying"
        )
    elif at and all(ipaddress.ip_address(address).is_loopback for address in at):
        said.append(
            f"the program on port {csms.port} listens on {' and '.join(sorted(set(at)))} only, "
            "where no container reaches it: let it listen on 0.0.0.0, or on the address of docker0"
        )
    return said
