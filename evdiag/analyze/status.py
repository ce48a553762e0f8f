"""What a charger is doing, from what the engine and the program in the container tell."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from evdiag.analyze.status_api import configured_link, connectors_of, link_of
from evdiag.analyze.status_cores import cores_of
from evdiag.model.charger import SERVICES, USER, ContainerFacts
from evdiag.model.status import (
    ChargerStatus,
    Everest,
    Gap,
    Module,
    Service,
    Url,
)
from evdiag.parse.startup import module_identity
from evdiag.parse.status import (
    Cores,
    Probe,
    Process,
    Program,
    Told,
    read_errors,
)

MANAGER = "/opt/everest/bin/manager"
ERRORS_TOPIC = "everest_api/errors/var/active_errors"
START_PATIENCE = 60.0
"""Seconds in which EVerest may start before that is a reason to worry; eight connectors take 30."""
MOST_NAMED = 4
RUNS = ("running", "starting")
"""States of a service that are no reason to worry."""
_CRASHED = re.compile(r"Module (\S{1,80}) (?:exited unexpectedly|\(pid: \d{1,9}\) exited)")
_STATES = {"T": "stopped", "t": "stopped by a debugger", "Z": "zombie", "D": "waiting for a disk"}
"""proc(5); the others are usual."""
_STOPPED = {
    "paused": "`docker unpause {name}` lets it go on",
    "created": "it was never started: `docker start {name}`",
    "restarting": "the engine starts it again and again: `evdiag logs` shows why it ends",
}
_PARTS = {
    "processes": "processes",
    "services": "services",
    "everest_log": "EVerest's log",
    "supervisor_log": "supervisord's log",
    "cores": "cores",
    "configured": "EVerest's configuration",
    "mqtt": "MQTT",
    "client": "MQTT",
}
"""Parts of the probe that a reader knows."""
PORTS = {1880: ("dashboard", "http", "/ui/"), 1884: ("MQTT", "mqtt", "")}


# -- a container that runs


def running(facts: ContainerFacts, probe: Probe) -> ChargerStatus:
    """All of a charger that runs."""
    everest = _everest(probe)
    modules, orphans = _modules(probe, everest.pid)
    everest = _with_missing(everest, probe, modules)
    services = _services(probe.services or ())
    gaps = tuple(
        Gap(part=_PARTS.get(part, part), reason=reason) for part, reason in probe.errors.items()
    )
    connectors = connectors_of(probe, modules)
    errors = read_errors((probe.mqtt or {}).get(ERRORS_TOPIC, ""))
    faulty = any(connector.faulty for connector in connectors)
    reasons = [
        *_service_reasons(services, probe),
        *_everest_reasons(everest, services, probe),
        *_orphan_reasons(orphans),
        *(f"EVerest has raised an error: {error}" for error in errors[:MOST_NAMED]),
        *(["a connector has a permanent fault"] if faulty and not errors else []),
        *(["the container's health check fails"] if facts.health == "unhealthy" else []),
    ]
    cores, whole = cores_of(probe.cores or Cores(), probe.now)
    return ChargerStatus(
        name=facts.name,
        image=facts.image,
        state=facts.state,
        verdict=_verdict(reasons, everest, probe, facts.started),
        reasons=tuple(reasons),
        taken=probe.now,
        started=facts.started,
        engine_restarts=facts.restarts,
        everest=everest,
        ocpp=link_of(facts.environment, probe, everest),
        connectors=connectors,
        errors=errors,
        services=services,
        modules=modules,
        orphans=orphans,
        cores=cores,
        cores_disk=probe.cores.disk if probe.cores else None,
        cores_complete=whole and probe.cores is not None,
        urls=_urls(facts),
        gaps=gaps,
    )


def unanswered(facts: ContainerFacts, reason: str, now: float) -> ChargerStatus:
    """A charger that runs, but in which the program did not do its work."""
    return ChargerStatus(
        name=facts.name,
        image=facts.image,
        state=facts.state,
        verdict="degraded",
        reasons=(f"nothing can be seen inside of it: {reason}",),
        taken=now,
        started=facts.started,
        engine_restarts=facts.restarts,
        ocpp=configured_link(facts.environment),
        cores_complete=False,
        urls=_urls(facts),
        gaps=(Gap(part="container", reason=reason),),
    )


def stopped(
    facts: ContainerFacts, found: Cores | None, now: float, gaps: Sequence[Gap] = ()
) -> ChargerStatus:
    """A charger that does not run: what the engine knows, and the cores."""
    cores, whole = cores_of(found or Cores(), None)
    return ChargerStatus(
        name=facts.name,
        image=facts.image,
        state=facts.state,
        verdict="stopped" if facts.state == "exited" else facts.state,
        reasons=tuple(_end_reasons(facts)),
        taken=now,
        started=facts.started,
        finished=facts.finished,
        exit_code=facts.exit_code,
        oom_killed=facts.oom_killed,
        engine_restarts=facts.restarts,
        ocpp=configured_link(facts.environment),
        cores=cores,
        cores_disk=found.disk if found else None,
        cores_complete=whole and found is not None,
        gaps=tuple(gaps),
    )


def _end_reasons(facts: ContainerFacts) -> list[str]:
    reasons = [_STOPPED[facts.state].format(name=facts.name)] if facts.state in _STOPPED else []
    if facts.oom_killed:
        reasons.append("the kernel killed it: out of memory")
    if facts.error:
        reasons.append(f"the engine says: {facts.error}")
    if facts.exit_code == 2:
        reasons.append("its environment was refused: `evdiag logs` names each mistake")
    elif facts.exit_code == 137 and not facts.oom_killed:
        reasons.append("it was killed (SIGKILL)")
    return reasons


# -- services


def _services(programs: Sequence[Program]) -> tuple[Service, ...]:
    known = {name: at for at, name in enumerate(SERVICES)}
    ordered = sorted(programs, key=lambda each: (known.get(each.name, len(known)), each.name))
    return tuple(_service(program) for program in ordered)


def _service(program: Program) -> Service:
    runs = program.statename in ("RUNNING", "STARTING")
    detail = program.spawnerr
    if not runs and not detail and program.stop:
        detail = _exit_words(program.exitstatus)
    return Service(
        name=program.name,
        state=program.statename.lower(),
        pid=program.pid or None,
        since=(program.start if runs else program.stop) or None,
        detail=detail,
    )


def _exit_words(status: int) -> str:
    # -1 is supervisord's word for a signal: only its log has which one
    return "ended by a signal" if status < 0 else f"exit code {status}"


def _service_reasons(services: Sequence[Service], probe: Probe) -> list[str]:
    reasons = []
    if "services" in probe.errors:
        reasons.append(f"supervisord does not answer: {probe.errors['services']}")
    for service in services:
        if service.state not in RUNS:
            because = f" ({service.detail})" if service.detail else ""
            reasons.append(f"{service.name} is {service.state or 'in an unknown state'}{because}")
    if "mqtt" in probe.errors and not any(reason.startswith("mosquitto") for reason in reasons):
        reasons.append(f"the MQTT broker does not answer: {probe.errors['mqtt']}")
    return reasons


# -- EVerest


def _everest(probe: Probe) -> Everest:
    """The manager: supervisord starts a script that becomes it."""
    events = _since_boot(probe.supervisor_log or ())
    starts = [event for event in events if event.kind == "start"]
    started = starts[-1].time if starts else None
    log = probe.everest_log
    crash = log.crashes[-1] if log and log.crashes else None
    named = _CRASHED.search(crash.text) if crash else None
    manager = next((each for each in probe.processes or () if each.argv0 == MANAGER), None)
    state = "unknown"
    if probe.processes is not None:
        state = "down" if manager is None else "starting"
        if manager is not None and _is_up(probe, started):
            state = "up"
    return Everest(
        state=state,
        pid=manager.pid if manager else None,
        since=manager.started if manager else started,
        expected=None if probe.configured is None else len(probe.configured),
        restarts=max(len(starts) - 1, 0),
        crashes=log.counts.get("crash", 0) if log else 0,
        last_crash=crash.time if crash else None,
        last_crashed=named[1] if named else "",
    )


def _since_boot(events: Sequence[Told]) -> Sequence[Told]:
    """What happened since supervisord was started last: logs survive a restart of the container."""
    boots = [at for at, event in enumerate(events) if event.kind == "boot"]
    return events[boots[-1] + 1 :] if boots else events


def _is_up(probe: Probe, started: float | None) -> bool:
    """Whether EVerest has said so since it was started; the log's clock has no fractions lost."""
    last = probe.everest_log.last.get("up") if probe.everest_log else None
    return last is not None and (started is None or last.time is None or last.time >= started)


def _modules(probe: Probe, manager: int | None) -> tuple[tuple[Module, ...], tuple[Module, ...]]:
    """The processes of EVerest that the running manager started, and those that it did not.

    Orphans are what everest-start.sh ends before a start: processes of EVerest's user in
    supervisord's session. A program that somebody started in the container has another session.
    """
    processes = {process.pid: process for process in probe.processes or ()}
    session = processes[1].session if 1 in processes else 0
    root = manager or next(
        (service.pid for service in probe.services or () if service.name == "everest"), 0
    )
    modules, orphans = [], []
    for process in processes.values():
        if process.user != USER or process.state == "Z" or process.pid == root:
            continue
        if process.parent == manager:
            modules.append(_module(process))
        elif process.session == session and not _below(process, root, processes):
            orphans.append(_module(process))
    order = {name: at for at, (name, _) in enumerate(probe.configured or ())}
    modules.sort(key=lambda module: order.get(module.id, len(order)))
    return tuple(modules), tuple(orphans)


def _below(process: Process, root: int, processes: Mapping[int, Process]) -> bool:
    seen: set[int] = set()
    at: Process | None = process
    while at is not None and at.pid not in seen:
        if at.pid == root:
            return True
        seen.add(at.pid)
        at = processes.get(at.parent)
    return False


def _module(process: Process) -> Module:
    variables = {"EV_MODULE": process.module} if process.module else {}
    named = module_identity((process.argv0, process.script), variables, None)
    return Module(
        id=named.id if named else process.comm or process.argv0,
        type=(named.type if named else None) or "",
        pid=process.pid,
        threads=process.threads,
        memory=process.memory,
        started=process.started,
        user=process.user,
        state=_STATES.get(process.state, ""),
    )


def _with_missing(everest: Everest, probe: Probe, modules: Sequence[Module]) -> Everest:
    if everest.state != "up":
        return everest
    there = {module.id for module in modules}
    gone = tuple(name for name, _ in probe.configured or () if name not in there)
    return msgspec.structs.replace(everest, missing=gone)


def _everest_reasons(everest: Everest, services: Sequence[Service], probe: Probe) -> list[str]:
    if everest.state in ("down", "starting"):
        told = any(each.name == "everest" and each.state not in RUNS for each in services)
        crash = _crash_words(everest, probe.now)
        verb = "does not run" if everest.state == "down" else "is starting"
        return [] if told else [f"EVerest {verb}{crash}"]
    reasons = []
    if everest.missing:
        names = _some(everest.missing)
        reasons.append(f"{names} {'does' if len(everest.missing) == 1 else 'do'} not run")
    if everest.state == "up" and probe.mqtt is not None and not probe.mqtt:
        reasons.append("EVerest's API says nothing on MQTT")
    return reasons


def _crash_words(everest: Everest, now: float) -> str:
    if everest.last_crash is None or now - everest.last_crash > START_PATIENCE:
        return ""
    who = everest.last_crashed or "a module"
    return f": {who} crashed {max(now - everest.last_crash, 0):.0f} s ago"


def _orphan_reasons(orphans: Sequence[Module]) -> list[str]:
    if not orphans:
        return []
    names = _some([module.id for module in orphans])
    return [f"left over from a manager that ended: {names}"]


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _verdict(reasons: Sequence[str], everest: Everest, probe: Probe, started: float | None) -> str:
    """A container that has just started may be what a charger in use must not be."""
    if not reasons:
        return "healthy"
    young = started is not None and probe.now - started < START_PATIENCE
    crashed = everest.last_crash is not None and everest.last_crash >= (started or 0.0)
    starting = everest.state in ("down", "starting") and not everest.restarts and not crashed
    return "starting" if young and starting else "degraded"


# -- doors


def _urls(facts: ContainerFacts) -> tuple[Url, ...]:
    found = []
    for port in facts.ports:
        if port.inside in PORTS and port.address != "::":  # the same again, for IPv6
            what, scheme, path = PORTS[port.inside]
            host = port.address if port.address not in ("", "0.0.0.0") else "127.0.0.1"  # noqa: S104
            host = f"[{host}]" if ":" in host else host
            found.append(Url(what=what, url=f"{scheme}://{host}:{port.port}{path}"))
    return tuple(found)
