"""`evdiag status`: what a charger is doing."""

import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._charger import NameOption, find_charger

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.model.charger import ContainerFacts
    from evdiag.model.status import ChargerStatus


def look(engine: "ContainerEngine", facts: "ContainerFacts") -> "ChargerStatus":
    """The status of one charger, running or not. Raises NoSuchContainer, EngineError."""
    from evdiag.adapters.docker.status import cores_of_ended, probe
    from evdiag.analyze.status import running, stopped, unanswered
    from evdiag.errors import ContainerStopped, EngineRefused
    from evdiag.parse.status import UnreadableProbe

    if facts.is_running:
        try:
            return running(facts, probe(engine, facts))
        except (UnreadableProbe, ContainerStopped, EngineRefused) as error:
            facts = engine.container(facts.id)  # it may have ended meanwhile
            if facts.is_running:
                return unanswered(facts, str(error), time.time())
    found, gaps = cores_of_ended(engine, facts)
    return stopped(facts, found, time.time(), gaps)


def look_at_all(engine: "ContainerEngine") -> "Iterator[ChargerStatus]":
    """The status of every charger. Raises EngineError."""
    from evdiag.errors import NoSuchContainer

    for facts in engine.chargers():
        try:
            yield look(engine, facts)
        except NoSuchContainer:  # removed meanwhile
            continue


def command(
    name: NameOption = None,
    all_chargers: Annotated[
        bool, typer.Option("--all", help="Every charger of this engine, in a table.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, for scripts.")] = False,
) -> None:
    """What a charger is doing: services, EVerest's modules, OCPP, charging, crashes and cores."""
    from evdiag.adapters.docker.engine import connect
    from evdiag.console import Progress, terminal_style
    from evdiag.report import status as report

    engine = connect()
    progress = Progress()
    try:
        if all_chargers:
            progress("looking at the chargers")
            statuses = list(look_at_all(engine))
        else:
            facts = find_charger(engine, name)
            progress(f"looking at {facts.name}")
            statuses = [look(engine, facts)]
    finally:
        progress.done()
        engine.close()
    if as_json:
        text = report.render_json(statuses, many=all_chargers)
    elif all_chargers:
        text = report.render_table(statuses, *terminal_style())
    else:
        text = report.render(statuses[0], *terminal_style())
    sys.stdout.write(text)
    sys.stdout.flush()
