"""What a container engine answers (Docker's API 1.41 and later, podman's like it) as nouns.

All of it comes over a socket from a program of another version: what does not look as it should
counts as not known.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from evdiag.model.charger import (
    ContainerFacts,
    EngineFacts,
    ImageFacts,
    Mount,
    PortBinding,
)

_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
"""`docker info` has the kernel's names, images have Go's."""
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,6})?\d*(Z|[+-]\d\d:\d\d)")


def read_engine(endpoint: str, version: object, info: object) -> EngineFacts:
    """What `/version` and `/info` say."""
    about, machine = _part(version), _part(info)
    options = [_security_name(entry) for entry in _list(machine.get("SecurityOptions"))]
    system = _text(machine.get("OperatingSystem"))
    return EngineFacts(
        endpoint=endpoint,
        kind=_kind(about, system),
        version=_text(about.get("Version")),
        api_version=_text(about.get("ApiVersion")),
        operating_system=system,
        kernel=_text(machine.get("KernelVersion")),
        architecture=architecture(_text(machine.get("Architecture"))),
        cores=_number(machine.get("NCPU")) or 0,
        memory=_number(machine.get("MemTotal")) or None,
        rootless="rootless" in options,
        cgroup_version=_text(machine.get("CgroupVersion")),
        security=tuple(name for name in options if name),
        storage_driver=_text(machine.get("Driver")),
        root=_text(machine.get("DockerRootDir")),
        time=read_time(machine.get("SystemTime")),
    )


def _kind(version: Mapping[str, object], system: str) -> str:
    components = [_text(_part(part).get("Name")) for part in _list(version.get("Components"))]
    if any(name.lower().startswith("podman") for name in components):
        return "podman"
    return "desktop" if "docker desktop" in system.lower() else "engine"


def _security_name(entry: object) -> str:
    """The name in `name=seccomp,profile=default`; podman and old engines give it alone."""
    first = _text(entry).partition(",")[0]
    return first.removeprefix("name=")


def architecture(machine: str) -> str:
    """The name that images have for a machine."""
    return _ARCHITECTURES.get(machine, machine)


def read_image(name: str, document: object) -> ImageFacts:
    """What `/images/NAME/json` says."""
    image = _part(document)
    return ImageFacts(
        id=_text(image.get("Id")),
        name=name,
        architecture=_text(image.get("Architecture")),
        os=_text(image.get("Os")),
        size=_number(image.get("Size")),
        created=_text(image.get("Created")) or None,
        labels=_texts(_part(image.get("Config")).get("Labels")),
    )


def read_container(document: object) -> ContainerFacts:
    """What `/containers/NAME/json` says."""
    container = _part(document)
    state, config = _part(container.get("State")), _part(container.get("Config"))
    host = _part(container.get("HostConfig"))
    network = _part(container.get("NetworkSettings"))
    return ContainerFacts(
        id=_text(container.get("Id")),
        name=_text(container.get("Name")).removeprefix("/"),
        image=_text(config.get("Image")),
        image_id=_text(container.get("Image")),
        # podman says "stopped" for a moment
        state=_text(state.get("Status")).replace("stopped", "exited"),
        health=_text(_part(state.get("Health")).get("Status")) or None,
        exit_code=_number(state.get("ExitCode")),
        error=_text(state.get("Error")),
        oom_killed=state.get("OOMKilled") is True,
        restarts=_number(container.get("RestartCount")) or 0,
        created=read_time(container.get("Created")),
        started=read_time(state.get("StartedAt")),
        finished=read_time(state.get("FinishedAt")),
        labels=_texts(config.get("Labels")),
        environment=_environment(config.get("Env")),
        ports=_ports(network.get("Ports")),
        networks=tuple(_part(network.get("Networks"))),
        mounts=_mounts(container.get("Mounts"), host.get("Tmpfs")),
        core_limit=_core_limit(host.get("Ulimits")),
        log_driver=_text(_part(host.get("LogConfig")).get("Type")),
        read_only=host.get("ReadonlyRootfs") is True,
        privileged=host.get("Privileged") is True,
        memory_limit=_number(host.get("Memory")) or None,
    )


def read_listed(document: object) -> ContainerFacts:
    """One entry of `/containers/json`: it has names, state, labels, ports and networks only."""
    entry = _part(document)
    number = _text(entry.get("Id"))
    names = [_text(name).lstrip("/") for name in _list(entry.get("Names"))] or [number[:12]]
    return ContainerFacts(
        id=number,
        # a container that is linked to others has longer names too: /other/alias
        name=min(names, key=lambda name: name.count("/")),
        image=_text(entry.get("Image")),
        state=_text(entry.get("State")),
        labels=_texts(entry.get("Labels")),
        networks=tuple(_part(_part(entry.get("NetworkSettings")).get("Networks"))),
        ports=tuple(
            PortBinding(inside=inside, address=_text(port.get("IP")), port=outside)
            for port in map(_part, _list(entry.get("Ports")))
            if port.get("Type", "tcp") == "tcp"
            and (outside := _number(port.get("PublicPort")))
            and (inside := _number(port.get("PrivatePort"))) is not None
        ),
    )


def read_time(value: object) -> float | None:
    """Seconds since 1970 of a time in the API (RFC 3339); its zero value is no time."""
    match = _TIME.match(_text(value))
    if match is None or match[1].startswith("0001-"):
        return None
    try:
        zone = match[3].replace("Z", "+00:00")
        moment = datetime.fromisoformat(f"{match[1]}{match[2] or ''}{zone}")
        return moment.astimezone(UTC).timestamp()  # what time_text can write again
    except (ValueError, OverflowError):
        return None


def time_text(seconds: float) -> str:
    """A time as the engine takes it, with all its digits: `2026-11-22T07:01:54.601000Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _environment(value: object) -> dict[str, str]:
    pairs = (_text(entry).partition("=") for entry in _list(value))
    return {name: text for name, equals, text in pairs if equals}


def _ports(value: object) -> tuple[PortBinding, ...]:
    found = []
    for inside, bound in _part(value).items():
        number = inside.partition("/")[0]
        for entry in _list(bound):
            binding = _part(entry)
            outside = _text(binding.get("HostPort"))
            if _is_port(number) and _is_port(outside):
                address = _text(binding.get("HostIp"))
                found.append(PortBinding(inside=int(number), address=address, port=int(outside)))
    return tuple(found)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= 5


def _mounts(value: object, tmpfs: object) -> tuple[Mount, ...]:
    found = [
        Mount(
            kind=_text(mount.get("Type")),
            target=_text(mount.get("Destination")),
            source=_text(mount.get("Name")) or _text(mount.get("Source")),
            writable=mount.get("RW") is not False,
        )
        for mount in map(_part, _list(value))
    ]
    found += [Mount(kind="tmpfs", target=target) for target in _part(tmpfs)]
    return tuple(found)


def _core_limit(value: object) -> tuple[int, int] | None:
    for entry in map(_part, _list(value)):
        soft, hard = _number(entry.get("Soft")), _number(entry.get("Hard"))
        if entry.get("Name") in ("core", "RLIMIT_CORE") and soft is not None and hard is not None:
            return soft, hard
    return None


def _part(document: object) -> dict[str, object]:
    return document if isinstance(document, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _texts(value: object) -> dict[str, str]:
    return {name: text for name, text in _part(value).items() if isinstance(text, str)}
