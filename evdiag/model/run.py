"""Starting a charger: what is wanted, what was found, what is asked of the engine, what happens."""

import ipaddress
from typing import Any

import msgspec

from evdiag.model.charger import CORES, IMAGE, NAME, ContainerFacts, EngineFacts, ImageFacts
from evdiag.model.incident import CorePattern

OCPP_VERSIONS = ("1.6", "2.0.1", "2.1")
OCPP_URL = "ws://localhost:9000"
"""The CSMS of somebody who names none: on this machine, at the port that OCPP's examples use."""
OCPP_ID = "CP1"
DASHBOARD_PORT, MQTT_PORT = 1880, 1884
"""Ports inside of the container."""
DASHBOARD_USER = "admin"
DASHBOARD_AUTH, DASHBOARD_PASSWORD = "DASHBOARD_AUTH", "DASHBOARD_PASSWORD"
"""Variables of the image: who needs the password for the dashboard, and which one it is."""
PASSWORD_FILE = "/run/evdiag/dashboard-password"  # noqa: S105 - where it is, not what
"""In the container, for root: the password in force."""
MOST_CONNECTORS = 16
CAPTURES = ("auto", "kernel", "preload", "off")
"""Who writes cores: auto is the capture layer, with the kernel where it cannot."""
OUR_PATTERN = f"{CORES}/core.%e.%p.%t"
"""What --set-core-pattern sets: where and how the capture layer names its cores."""
GATEWAY_NAME = "host.docker.internal"
"""What Docker calls the machine of the engine, seen from a container."""


class RunSpec(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants."""

    name: str = NAME
    image: str = IMAGE
    ocpp_version: str = "1.6"
    ocpp_url: str = OCPP_URL
    ocpp_id: str = OCPP_ID
    port: int = DASHBOARD_PORT
    bind: str = "127.0.0.1"
    network: str | None = None
    """Of the user; None: one of its own."""
    cores: str | None = None
    """Absolute folder for cores on the engine's machine."""
    capture: str = "auto"
    set_core_pattern: bool = False
    environment: dict[str, str] = {}
    replace: bool = False

    @property
    def connectors(self) -> int:
        """How many there will be; a number that is none is the container's business."""
        text = self.environment.get("NUM_CONNECTORS", "")
        number = int(text) if text.isascii() and text.isdecimal() and len(text) < 4 else 1
        return number if number <= MOST_CONNECTORS else 1

    @property
    def publishes_mqtt(self) -> bool:
        """Whether the broker listens for the outside."""
        return all(self.environment.get(name) for name in ("MQTT_USER", "MQTT_PASSWORD"))

    @property
    def is_loopback(self) -> bool:
        """Whether the ports are published for the engine's machine alone."""
        return ipaddress.ip_address(self.bind).is_loopback

    @property
    def dashboard_auth(self) -> str:
        """Who needs the password for the dashboard: all, or others than the engine's machine.

        The container cannot know how it is published, so it asks all unless it is told.
        """
        default = "others" if self.is_loopback else "all"
        return self.environment.get(DASHBOARD_AUTH, default) or "all"

    @property
    def editor(self) -> str:
        """Where this machine reaches Node-RED's editor."""
        address = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.bind, self.bind)  # noqa: S104
        host = f"[{address}]" if ":" in address else address
        return f"http://{host}:{self.port}/"

    @property
    def page(self) -> str:
        """Where this machine reaches the dashboard."""
        return f"{self.editor}ui/"


class Listener(msgspec.Struct, frozen=True):
    """A TCP socket of this machine that takes connections."""

    address: str
    port: int


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What this machine says of itself, where it is the engine's; None is not known."""

    is_local: bool = False
    """Whether the engine's containers are reached at this machine's addresses."""
    same_kernel: bool = False
    """Whether they run on this very kernel: not in the virtual machine of Docker Desktop."""
    port_free: bool | None = None
    disk_free: int | None = None
    """Bytes where the engine keeps its containers."""
    memory_available: int | None = None
    ipv6: bool | None = None
    core_pattern: CorePattern | None = None
    cores_problem: str | None = None
    """Why the folder of --cores cannot be used."""
    listeners: tuple[Listener, ...] | None = None


class NetworkFacts(msgspec.Struct, frozen=True, kw_only=True):
    """A network of the engine."""

    name: str
    ipv6: bool = False
    driver: str = ""
    labels: dict[str, str] = {}


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """What was found before the start."""

    engine: EngineFacts
    machine: Machine = Machine()
    image: ImageFacts | None = None
    pullable: bool = False
    emulated: bool | None = None
    """Whether the engine runs programs of the image's foreign architecture."""
    holder: ContainerFacts | None = None
    """The container that has the name."""
    port_holder: ContainerFacts | None = None
    """The container that has the port."""
    network: NetworkFacts | None = None
    """The one that the user named."""
    neighbours: tuple[str, ...] = ()
    """Other chargers in it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of the engine: keyword arguments of docker.APIClient."""

    container: dict[str, Any]
    """Of create_container."""
    host: dict[str, Any]
    """Of create_host_config."""
    own_network: str | None = None
    """The network that is made for it, if the user named none."""

    def without(self, key: str) -> "Plan":
        """The same without one part of the host configuration."""
        rest = {name: value for name, value in self.host.items() if name != key}
        return msgspec.structs.replace(self, host=rest)


# -- what happens between the start and the charger being ready


class Reached(msgspec.Struct, frozen=True):
    """A step of the start is over."""

    step: str
    text: str


class Under(msgspec.Struct, frozen=True):
    """How far a step is that takes a while."""

    text: str
    detail: str


class Warned(msgspec.Struct, frozen=True):
    """Something that the user should know; the start goes on."""

    text: str


Event = Reached | Under | Warned


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """A charger that is ready, for the last words."""

    spec: RunSpec
    seconds: float
    ocpp: str
    """The state of the connection, in words."""
    capture: str
    """Who writes cores, in words."""
    csms: str
    """The address of the CSMS as the container has it."""
    mqtt_port: int | None = None
    """The published port of the broker."""
