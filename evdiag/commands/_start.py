"""The flow of `evdiag run`: look, make room, start, and follow until the charger is of use."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evdiag.errors import NoSuchContainer, NoSuchImage, NotReady, UsageError
from evdiag.model.incident import CorePattern
from evdiag.model.run import (
    MQTT_PORT,
    OUR_PATTERN,
    Event,
    Outcome,
    Reached,
    RunSpec,
    Situation,
    Under,
    Warned,
)

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.adapters.docker.start import Log, Started
    from evdiag.analyze.readiness import Readiness

PAGE_PAUSE = 0.05
"""Seconds between two looks whether the dashboard answers."""


def run(engine: "ContainerEngine", spec: RunSpec, timeout: float) -> Iterator[Event | Outcome]:
    """The whole way from the first look to a charger that is ready; nothing is said twice."""
    said: list[Warned] = []
    for event in _run(engine, spec, timeout):
        if event in said:
            continue
        if isinstance(event, Warned):
            said.append(event)
        yield event


def _run(engine: "ContainerEngine", spec: RunSpec, timeout: float) -> Iterator[Event | Outcome]:
    from evdiag.adapters.docker.start import rename

    situation: Situation | None = None
    for found in checked(engine, spec):
        if isinstance(found, Situation):
            situation = found
        else:
            yield found
    assert situation is not None
    yield from about_csms(spec, situation)
    old: Replaced | None = None
    started: Started | None = None
    for event in start(engine, spec, situation):
        if isinstance(event, Replaced):
            old = event
        elif isinstance(event, Reached | Under | Warned):
            yield event
        else:
            started = event
    assert started is not None
    try:
        yield from await_ready(engine, spec, situation, started, timeout)
    except UsageError:
        if old is not None:
            rename(engine, old.id, spec.name)
            yield Warned(f"the charger before is {spec.name} again; it is stopped")
        raise
    except BaseException:
        forget_old(engine, old)
        raise
    forget_old(engine, old)


def forget_old(engine: "ContainerEngine", old: "Replaced | None") -> None:
    """Remove the charger that was replaced, unless it holds something."""
    from evdiag.adapters.docker.start import remove

    if old is not None and not old.keep:
        remove(engine, old.id)


def about_csms(spec: RunSpec, situation: Situation) -> Iterator[Event]:
    """What to know of a CSMS on this machine."""
    from evdiag.analyze.ocpp_url import csms_of, remarks

    csms = csms_of(spec.ocpp_url)
    if csms.moved:
        yield Reached("csms", f"localhost in the CSMS's address is this machine: {csms.url}")
    listeners = situation.machine.listeners
    for text in remarks(csms, listeners, rootless=situation.engine.rootless):
        yield Warned(text)


# -- before


def look(engine: "ContainerEngine", spec: RunSpec) -> Situation:
    """Everything that decides whether and how the charger can be started."""
    from evdiag.adapters.docker.core_pattern import can_run, read_pattern_once
    from evdiag.adapters.docker.network import find_network
    from evdiag.adapters.docker.start import list_containers
    from evdiag.adapters.machine import look_around
    from evdiag.analyze.preflight import has_registry, neighbours, same_port

    facts = engine.facts()
    image = None
    with contextlib.suppress(NoSuchImage):
        image = engine.image(spec.image)
    containers = list_containers(engine)
    machine = look_around(facts, spec)
    emulated = None
    if image is not None and image.architecture not in ("", facts.architecture):
        emulated = can_run(engine, spec.image)
    if image is not None and spec.capture == "kernel" and machine.core_pattern is None:
        pattern = read_pattern_once(engine, spec.image)
        machine = msgspec.structs.replace(machine, core_pattern=pattern)
    network = find_network(engine, spec.network) if spec.network else None
    return Situation(
        engine=facts,
        machine=machine,
        image=image,
        pullable=has_registry(spec.image),
        emulated=emulated,
        holder=next((one for one in containers if one.name == spec.name), None),
        port_holder=next((one for one in containers if same_port(one, spec)), None),
        network=network,
        neighbours=neighbours(containers, spec),
    )


def checked(engine: "ContainerEngine", spec: RunSpec) -> Iterator[Event | Situation]:
    """Look, get the image if need be, and yield warnings, then what was found.

    Raises NotReady with all that is in the way.
    """
    from evdiag.adapters.docker.start import pull
    from evdiag.analyze.preflight import checks, refusal

    situation = look(engine, spec)
    found = checks(spec, situation)
    if error := refusal(found):
        raise error
    if situation.image is None:
        for text in pull(engine, spec.image):
            yield Under(f"pulling {spec.image}", text)
        yield Reached("image", f"pulled {spec.image}")
        situation = look(engine, spec)
        found = checks(spec, situation)
        if error := refusal(found):
            raise error
    yield from (Warned(check.reason) for check in found if check.state == "warn")
    yield situation


class Replaced(msgspec.Struct, frozen=True):
    """The charger that had the name; stopped, and under another one."""

    id: str
    keep: bool
    """Whether it holds cores."""


def make_room(engine: "ContainerEngine", spec: RunSpec) -> Iterator[Event | Replaced]:
    """Stop the charger of the same name and give it another one."""
    from evdiag.adapters.docker.start import cores_in, list_containers, rename
    from evdiag.analyze.run_plan import spare_name
    from evdiag.commands.stop import end

    old = engine.container(spec.name)
    yield from (Reached("replace", text) for text in end(engine, old))
    keep = any(True for _ in cores_in(engine, old))
    taken = frozenset(container.name for container in list_containers(engine))
    kept = spare_name(spec.name, taken)
    rename(engine, old.id, kept)
    yield Replaced(old.id, keep=keep)
    if keep:
        yield Warned(f"it holds cores, so it is kept as {kept}: `evdiag collect --name {kept}`")


class PatternSet(msgspec.Struct, frozen=True):
    """The core pattern is what the kernel needs for this charger."""

    before: str
    """What it was before any charger; empty: nobody knows."""
    changed: bool


def set_pattern(
    engine: "ContainerEngine", spec: RunSpec, now: CorePattern | None
) -> Iterator[Event | PatternSet]:
    """Set the core pattern of the engine's machine. Raises NotReady if that is not allowed."""
    from evdiag.adapters.docker.core_pattern import read_pattern_once, write_pattern
    from evdiag.model.charger import PATTERN_LABEL

    now = now or read_pattern_once(engine, spec.image)
    if now is not None and now.text == OUR_PATTERN:
        others = (charger.labels.get(PATTERN_LABEL, "") for charger in engine.chargers())
        yield PatternSet(next(filter(None, others), ""), changed=False)
        yield Reached("pattern", f"core pattern is {OUR_PATTERN} already")
        return
    before = now.text if now is not None else ""
    write_pattern(engine, spec.image, OUR_PATTERN)
    yield PatternSet(before, changed=True)
    yield Reached("pattern", f"core pattern of the engine's machine: {OUR_PATTERN}")
    yield Warned(f"it was {before!r}, and is again after `evdiag stop`")


# -- start


def start(
    engine: "ContainerEngine", spec: RunSpec, situation: Situation
) -> "Iterator[Event | Replaced | Started]":
    """Make room, network and container, and start it; what fails leaves nothing behind."""
    from evdiag.adapters.docker.core_pattern import write_pattern
    from evdiag.adapters.docker.network import find_network, make_network, remove_network
    from evdiag.adapters.docker.start import rename
    from evdiag.adapters.docker.start import start as start_container
    from evdiag.analyze.preflight import NO_IPV6
    from evdiag.analyze.run_plan import make_plan

    if spec.cores is not None and situation.machine.is_local:
        make_folder(Path(spec.cores))
    before = None
    with contextlib.ExitStack() as undo:
        if situation.holder is not None:
            for happened in make_room(engine, spec):
                yield happened
                if isinstance(happened, Replaced):
                    undo.callback(rename, engine, happened.id, spec.name)
        if spec.set_core_pattern:
            for event in set_pattern(engine, spec, situation.machine.core_pattern):
                if isinstance(event, PatternSet):
                    before = event.before or None
                    if event.changed and before is not None:
                        undo.callback(write_pattern, engine, spec.image, before)
                else:
                    yield event
        plan = make_plan(spec, situation, before)
        if plan.own_network is not None and find_network(engine, plan.own_network) is None:
            made = make_network(engine, plan.own_network, ipv6=situation.machine.ipv6 is not False)
            undo.callback(remove_network, engine, made.name)
            if not made.ipv6 and situation.machine.ipv6 is not False:
                yield Warned("the engine makes no network with IPv6: a CSMS is reached by IPv4")
        started = start_container(engine, plan)
        undo.pop_all()
    if "sysctls" in started.dropped:
        yield Warned(NO_IPV6)
    if "ulimits" in started.dropped:
        yield Warned("the engine allows the kernel no cores (ulimit); the capture layer needs none")
    yield Reached("start", f"started {spec.name} from {spec.image}")
    yield started


def make_folder(folder: Path) -> None:
    """Make the folder of --cores. Raises NotReady."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise NotReady(f"--cores {folder} cannot be made: {error.strerror}") from error


# -- until it is ready


def await_ready(
    engine: "ContainerEngine", spec: RunSpec, situation: Situation, started: "Started",
    timeout: float,
) -> "Iterator[Event | Outcome]":  # fmt: skip
    """Follow the log until the charger is of use, and yield what it gets done.

    Raises NotReady when the time is over, UsageError if the container refuses its environment,
    NoSuchContainer if somebody removes it.
    """
    from evdiag.adapters.ports import page_answers
    from evdiag.analyze.readiness import Readiness, too_slow

    readiness, next_look = Readiness(), float("inf")
    deadline = time.monotonic() + timeout
    log = follow(engine, spec, started)
    try:
        while not readiness.ready:
            now = time.monotonic()
            if now > deadline:
                raise too_slow(spec.name, readiness, timeout)
            if readiness.waits_for_page:
                if not situation.machine.is_local or page_answers(spec.page):
                    yield from readiness.page_answers()
                    continue
                next_look = now + PAGE_PAUSE
            wake = min(deadline, next_look, readiness.next_change or deadline)
            try:
                line = log.next(wake - now)
            except EOFError:
                log.close()
                check_alive(engine, spec, started, readiness)
                log = follow(engine, spec, started)  # somebody has restarted it
                continue
            if line is not None:
                yield from readiness.feed(line, time.monotonic())
            yield from readiness.tick(time.monotonic())
    finally:
        log.close()
    yield _outcome(engine, spec, situation, started, readiness.ocpp)


def _outcome(
    engine: "ContainerEngine", spec: RunSpec, situation: Situation, started: "Started", ocpp: str
) -> Outcome:
    from evdiag.adapters.docker.core_pattern import read_pattern
    from evdiag.adapters.machine import core_pattern
    from evdiag.analyze.ocpp_url import csms_of
    from evdiag.analyze.preflight import capture_words

    pattern = core_pattern(situation.engine) or read_pattern(engine, started.id)
    mqtt = None
    if spec.publishes_mqtt:
        ports = engine.container(started.id).ports
        mqtt = next((port.port for port in ports if port.inside == MQTT_PORT), None)
    limited = "ulimits" in started.dropped
    return Outcome(
        spec=spec,
        seconds=0.0,
        ocpp=ocpp,
        csms=csms_of(spec.ocpp_url).url,
        capture=capture_words(spec, pattern, limited=limited),
        mqtt_port=mqtt,
    )


def follow(engine: "ContainerEngine", spec: RunSpec, started: "Started") -> "Log":
    """The log from its beginning. Raises NoSuchContainer."""
    from evdiag.adapters.docker.start import Log

    try:
        return Log(engine, started.id)
    except NoSuchContainer:
        raise gone(spec) from None


def gone(spec: RunSpec) -> NoSuchContainer:
    """The error for a container that is no longer there."""
    return NoSuchContainer(f"{spec.name} was removed by somebody while it started")


def check_alive(
    engine: "ContainerEngine", spec: RunSpec, started: "Started", readiness: "Readiness"
) -> None:
    """Raise why a container ended before it was ready; one that never ran is removed."""
    from evdiag.analyze.readiness import why_ended
    from evdiag.commands.stop import end, forget

    try:
        facts = engine.container(started.id)
    except NoSuchContainer:
        raise gone(spec) from None
    if facts.state in ("removing", "dead"):
        raise gone(spec)
    if facts.is_running:
        return
    error = why_ended(facts, readiness)
    if isinstance(error, UsageError):
        for _ in (*end(engine, facts), *forget(engine, facts, force=True)):
            pass  # it never was a charger: nobody wants to hear how it went
    raise error
