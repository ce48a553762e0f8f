"""From the command line to what is wanted, checked: before anything is stopped or started.

The container checks its environment itself, with a line for each mistake. What is checked here too
are the options that evdiag has, by the same rules (container/environment.py): --replace must not
end a charger in favour of one that cannot start.
"""

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from evdiag.errors import UsageError
from evdiag.model.run import CAPTURES, OCPP_ID, OCPP_URL, OCPP_VERSIONS, RunSpec

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]{1,100}")
"""Docker's rule for the names of containers; the network's is longer by a word."""
_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,500}")
_IDENTITY = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9*\-_=+|@.]{1,48}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")
_OPTIONS = {
    "OCPP_VERSION": ("--ocpp-version", "ocpp_version"),
    "OCPP_URL": ("--ocpp-url", "ocpp_url"),
    "OCPP_ID": ("--ocpp-id", "ocpp_id"),
}
"""Variables of the image that are options of evdiag."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """The command line as it was given; an empty text is an option that was not."""

    ocpp_version: str = ""
    ocpp_url: str = ""
    ocpp_id: str = ""
    name: str
    image: str
    port: int
    bind: str
    network: str | None = None
    cores: str | None = None
    capture: str = "auto"
    set_core_pattern: bool = False
    environment: tuple[str, ...] = ()
    replace: bool = False


def make_spec(asked: Asked, here: Mapping[str, str]) -> RunSpec:
    """What is wanted; `here` is the user's own environment. Raises UsageError."""
    environment = dict(_variable(text, here) for text in asked.environment)
    chosen = {}
    for variable, (option, field) in _OPTIONS.items():
        given = environment.pop(variable, "")
        text = getattr(asked, field)
        if given and text and given != text:
            raise UsageError(f"{option} and -e {variable} contradict each other",
                             advice="Give one of them.")  # fmt: skip
        chosen[field] = text or given
    if "EVDIAG_CAPTURE" in environment:
        raise UsageError("-e EVDIAG_CAPTURE is for `docker run`",
                         advice="Use --capture.")  # fmt: skip
    spec = RunSpec(
        name=asked.name,
        image=asked.image,
        ocpp_version=chosen["ocpp_version"] or OCPP_VERSIONS[0],
        ocpp_url=chosen["ocpp_url"] or OCPP_URL,
        ocpp_id=chosen["ocpp_id"] or OCPP_ID,
        port=asked.port,
        bind=asked.bind,
        network=asked.network,
        cores=asked.cores,
        capture=asked.capture,
        set_core_pattern=asked.set_core_pattern,
        environment=environment,
        replace=asked.replace,
    )
    _check_place(spec)
    _check_ocpp(spec)
    return spec


def _variable(text: str, here: Mapping[str, str]) -> tuple[str, str]:
    """NAME=VALUE, or NAME of the user's environment: what is secret then stays out of `ps`."""
    name, equals, value = text.partition("=")
    if not _VARIABLE.fullmatch(name) or "\0" in value:
        raise UsageError(
            f"-e {name!r} is no name of a variable",
            advice="Write -e NAME=VALUE, or -e NAME for one of your environment.",
        )
    if not equals:
        if name not in here:
            raise UsageError(f"-e {name}: your environment has no such variable",
                             advice=f"Write -e {name}=VALUE.")  # fmt: skip
        value = here[name]
    return name, value


def _check_place(spec: RunSpec) -> None:
    if not _NAME.fullmatch(spec.name):
        raise UsageError(
            f"--name {spec.name!r} is no name for a container",
            advice="Use 2 to 101 of A-Z a-z 0-9 _ . -, a letter or digit first.",
        )
    if not _IMAGE.fullmatch(spec.image):
        raise UsageError(f"--image {spec.image!r} is no name of an image",
                         advice="For example: evdiag/everest:latest")  # fmt: skip
    try:
        ipaddress.ip_address(spec.bind)
    except ValueError:
        raise UsageError(
            f"--bind {spec.bind!r} is no IP address",
            advice="127.0.0.1 is this machine alone, 0.0.0.0 whoever reaches it.",
        ) from None
    network = spec.network
    if network is not None and (network in ("host", "none") or not _NAME.fullmatch(network)):
        raise UsageError(
            f"--network {network!r} cannot be used: the charger publishes ports, and cars look "
            "for it by multicast",
            advice="Name a bridge network, or leave --network out: it gets one of its own.",
        )
    if spec.capture not in CAPTURES:
        raise UsageError(f"--capture {spec.capture!r} is not known",
                         advice=f"Use one of {', '.join(CAPTURES)}.")  # fmt: skip
    if spec.set_core_pattern and spec.capture in ("preload", "off"):
        raise UsageError(
            f"--set-core-pattern lets the kernel write cores, --capture {spec.capture} forbids it",
            advice="Leave one of them out.",
        )


def _check_ocpp(spec: RunSpec) -> None:
    if spec.ocpp_version not in OCPP_VERSIONS:
        raise UsageError(f"--ocpp-version {spec.ocpp_version!r} is not known",
                         advice=f"Use one of {', '.join(OCPP_VERSIONS)}.")  # fmt: skip
    if not _IDENTITY.fullmatch(spec.ocpp_id):
        raise UsageError(f"--ocpp-id {spec.ocpp_id!r} is no identity of a charger",
                         advice="Use 1 to 48 of A-Z a-z 0-9 * - _ = + | @ .")  # fmt: skip
    url = spec.ocpp_url
    advice = "Write ws://HOST[:PORT][/PATH], or wss:// for TLS."
    if "@" in url.partition("://")[2].partition("/")[0]:
        advice = "The password is -e OCPP_PASSWORD, the name is --ocpp-id."
        raise UsageError("--ocpp-url must not hold a name or password", advice=advice)
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("ws", "wss") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or "?" in url or "#" in url:
        raise UsageError(f"--ocpp-url {url!r} is no address of a CSMS", advice=advice)
