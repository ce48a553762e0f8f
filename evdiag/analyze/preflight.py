"""What is in the way of a start, all of it at once, and what works but not as one may think."""

from evdiag.analyze.no_core import HANDLERS
from evdiag.errors import (
    DiskFull,
    NameInUse,
    NoSuchImage,
    NotReady,
    PortInUse,
)
from evdiag.model.charger import CORES, Check, ContainerFacts
from evdiag.model.incident import CorePattern
from evdiag.model.run import DASHBOARD_AUTH, OUR_PATTERN, RunSpec, Situation

GB = 1e9
FIRST_CONNECTOR, MORE_CONNECTORS = 1.5e9, 0.4e9
"""Bytes of memory: EVerest's 20 processes, Java, Node-RED; 13 processes for each more."""
ENOUGH_DISK, LITTLE_DISK = 0.5e9, 3e9
"""Bytes: logs and one core; all the cores (EVDIAG_CORES_MAX_BYTES) and logs that are kept."""

_FAILURES: dict[str, type[NotReady]] = {"name": NameInUse, "port": PortInUse, "disk": DiskFull}


def checks(spec: RunSpec, situation: Situation) -> tuple[Check, ...]:
    """Everything that was looked at, in the order in which it matters."""
    return tuple(
        check
        for look in (_engine, _image, _architecture, _name, _port, _bind, _network, _ipv6,
                     _disk, _memory, _cores, _capture)
        for check in look(spec, situation)
    )  # fmt: skip


def refusal(found: tuple[Check, ...]) -> NotReady | NoSuchImage | None:
    """The error that names all that is in the way, or None."""
    failed = [check for check in found if check.failed]
    if not failed:
        return None
    if len(failed) == 1:
        check = failed[0]
        kind = NoSuchImage if check.id == "image" else _FAILURES.get(check.id, NotReady)
        return kind(check.reason, advice=check.fix)
    lines = [f"{len(failed)} things are in the way:"]
    for check in failed:
        lines += [f"  {check.title}: {check.reason}", f"    -> {check.fix}"]
    return NotReady("\n".join(lines), advice="")


def has_registry(image: str) -> bool:
    """Whether the name of an image says where it comes from: HOST/NAME, as Docker tells it."""
    first, slash, _ = image.partition("/")
    return bool(slash) and ("." in first or ":" in first or first == "localhost")


def same_port(container: ContainerFacts, spec: RunSpec) -> bool:
    """Whether a container has the port that is wanted."""
    anywhere = ("0.0.0.0", "::", "")  # noqa: S104
    return any(
        bound.port == spec.port
        and (bound.address == spec.bind or bound.address in anywhere or spec.bind in anywhere)
        for bound in container.ports
    )


def neighbours(containers: tuple[ContainerFacts, ...], spec: RunSpec) -> tuple[str, ...]:
    """Other chargers that run in the network that the user named."""
    return tuple(
        one.name
        for one in containers
        if spec.network in one.networks
        and one.is_charger
        and one.is_running
        and one.name != spec.name
    )


# -- engine and image


def _engine(_: RunSpec, situation: Situation) -> list[Check]:
    engine = situation.engine
    if engine.kind != "podman":
        return []
    reason = "podman is not tested with evdiag"
    return [Check(id="engine", title="engine", state="warn", reason=reason)]


def _image(spec: RunSpec, situation: Situation) -> list[Check]:
    image, title = situation.image, "image"
    if image is None:
        if situation.pullable:
            return []
        reason = f"there is no image {spec.image}"
        fix = "`evdiag build` makes it; another one's name is given with --image."
        return [Check(id="image", title=title, state="fail", reason=reason, fix=fix)]
    if not image.is_charger:
        reason = f"{spec.image} is no image of evdiag: it has no label org.evdiag.cores"
        fix = "`evdiag build` makes one; leave --image out to use it."
        return [Check(id="image-kind", title=title, state="fail", reason=reason, fix=fix)]
    return []


def _architecture(spec: RunSpec, situation: Situation) -> list[Check]:
    image, engine, title = situation.image, situation.engine, "architecture"
    if image is None or not (image.architecture and engine.architecture):
        return []
    if image.architecture == engine.architecture:
        return []
    reason = f"{spec.image} is for {image.architecture}, the engine's machine is "
    reason += engine.architecture
    if situation.emulated:
        reason += ": it is emulated, so expect everything to take five to ten times as long"
        return [Check(id="architecture", title=title, state="warn", reason=reason)]
    fix = "Build it for this machine with `evdiag build`, or install emulation (qemu-user-static)."
    return [Check(id="architecture", title=title, state="fail", reason=reason, fix=fix)]


# -- name, port, network


def _name(spec: RunSpec, situation: Situation) -> list[Check]:
    holder = situation.holder
    if holder is None or (spec.replace and holder.is_charger):
        return []
    if not holder.is_charger:
        reason = f"a container called {spec.name} is there already, and it is no charger"
        fix = "Choose another name with --name."
    else:
        how = "and runs" if holder.is_running else f"({holder.state})"
        reason = f"a charger called {spec.name} is there already {how}"
        fix = "Start it anew with --replace, or another one beside it with --name and --port."
    return [Check(id="name", title="name", state="fail", reason=reason, fix=fix)]


def _port(spec: RunSpec, situation: Situation) -> list[Check]:
    by = situation.port_holder
    own = by is not None and by.name == spec.name
    if own or (by is None and situation.machine.port_free is not False):
        return []
    who = "another program" if by is None else f"the container {by.name}"
    reason = f"port {spec.port} of {spec.bind} is taken by {who}"
    fix = f"Choose another port with --port, for example {spec.port % 65535 + 1}."
    return [Check(id="port", title="port", state="fail", reason=reason, fix=fix)]


def _bind(spec: RunSpec, _: Situation) -> list[Check]:
    if spec.is_loopback:
        return []
    reason = f"published on {spec.bind}: the dashboard and the editor ask for the password, "
    reason += "which crosses the network without TLS"
    if spec.dashboard_auth == "others":
        # there the engine forwards connections itself, so all of them come from one address
        reason = f"published on {spec.bind} with {DASHBOARD_AUTH}=others: with Docker Desktop or a "
        reason += "rootless engine, whoever reaches this machine may look like it and operate the "
        reason += "charger without the password"
    return [Check(id="bind", title="dashboard", state="warn", reason=reason)]


def _network(spec: RunSpec, situation: Situation) -> list[Check]:
    if spec.network is None:
        return []
    network = situation.network
    if network is None:
        reason = f"there is no network called {spec.network}"
        fix = "Leave --network out: the charger then gets one of its own."
        return [Check(id="network", title="network", state="fail", reason=reason, fix=fix)]
    found = []
    if not network.ipv6:
        reason = f"the network {network.name} has no IPv6; a CSMS there is reached by IPv4 only"
        found.append(Check(id="network-ipv6", title="network", state="warn", reason=reason))
    if situation.neighbours:
        names = ", ".join(situation.neighbours)
        reason = f"in the network {network.name} there is {names} too: cars look for chargers by "
        reason += "multicast and may find the wrong one"
        found.append(Check(id="network-shared", title="network", state="warn", reason=reason))
    return found


def _ipv6(_: RunSpec, situation: Situation) -> list[Check]:
    if situation.machine.ipv6 is not False:
        return []
    return [Check(id="ipv6", title="IPv6", state="warn", reason=NO_IPV6)]


NO_IPV6 = "there is no IPv6 here, so no car can charge with DC (ISO 15118); all else works"


# -- room


def _disk(_: RunSpec, situation: Situation) -> list[Check]:
    free = situation.machine.disk_free
    if free is None or free >= LITTLE_DISK:
        return []
    reason = f"the engine has {free / GB:.1f} GB left on its disk"
    fix = DiskFull.advice
    if free >= ENOUGH_DISK:
        reason += ": cores may not fit"
        return [Check(id="disk", title="disk", state="warn", reason=reason, fix=fix)]
    return [Check(id="disk", title="disk", state="fail", reason=reason, fix=fix)]


def _memory(spec: RunSpec, situation: Situation) -> list[Check]:
    needed = FIRST_CONNECTOR + MORE_CONNECTORS * max(0, spec.connectors - 1)
    total, available = situation.engine.memory, situation.machine.memory_available
    have, which = (total, "") if available is None else (available, " free")
    if have is None or have >= needed:
        return []
    count = "a charger" if spec.connectors < 2 else f"{spec.connectors} connectors"
    reason = f"{count} need {needed / GB:.1f} GB of memory, and the engine's machine has "
    reason += f"{have / GB:.1f} GB{which}: the kernel may end modules"
    reason = reason.replace("a charger need ", "a charger needs ")
    return [Check(id="memory", title="memory", state="warn", reason=reason)]


# -- cores


def _cores(spec: RunSpec, situation: Situation) -> list[Check]:
    problem = situation.machine.cores_problem
    if problem is None:
        return []
    fix = "Name a folder that is there, or whose parent folder you may write to."
    reason = f"--cores {spec.cores}: {problem}"
    return [Check(id="cores", title="folder for cores", state="fail", reason=reason, fix=fix)]


def _capture(spec: RunSpec, situation: Situation) -> list[Check]:
    pattern = situation.machine.core_pattern
    if spec.capture != "kernel" or spec.set_core_pattern or pattern is None:
        return []
    title, words = "capture", kernel_words(pattern)
    if pattern.kind in ("pipe", "socket"):
        reason = f"--capture kernel: {words}"
        fix = "Use --capture auto, which needs no help of the kernel, or add --set-core-pattern."
        return [Check(id="capture", title=title, state="fail", reason=reason, fix=fix)]
    if pattern.text == OUR_PATTERN:
        return []
    return [Check(id="capture", title=title, state="warn", reason=words)]


def kernel_words(pattern: CorePattern) -> str:
    """What the kernel does with a core of a container."""
    if pattern.kind == "socket":
        return f"the kernel gives cores to a socket of the host ({pattern.text})"
    if pattern.kind == "pipe":
        where = HANDLERS.get(pattern.handler or "", "outside of the container")
        return f"the kernel gives cores to {pattern.handler} on the host: {where}"
    if pattern.kind == "relative":
        if pattern.names_pid:
            return f"the kernel writes {pattern.text} into {CORES}"
        return f"the kernel writes {pattern.text} into {CORES}, and each crash over the one before"
    folder = pattern.text.rpartition("/")[0] or "/"
    if folder == CORES:
        return f"the kernel writes cores into {CORES}"
    return f"the kernel writes cores into {folder} of the container, if there is such a folder"


def capture_words(spec: RunSpec, pattern: CorePattern | None, *, limited: bool) -> str:
    """Who writes cores of this charger. `limited`: the engine allows the kernel none."""
    kernel = kernel_words(pattern) if pattern is not None else ""
    if spec.capture == "off":
        handed_over = pattern is not None and pattern.kind in ("pipe", "socket")
        return f"nobody writes cores here{', but ' + kernel if handed_over else ''}"
    if spec.capture == "kernel":
        return kernel or "the kernel writes them, as its core_pattern says"
    if spec.capture == "preload" or limited or pattern is None or pattern.kind != "absolute":
        return "written by the capture layer of the image, whatever the host does"
    return f"written by the capture layer of the image; else {kernel}"
