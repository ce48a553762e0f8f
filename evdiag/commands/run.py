"""`evdiag run`: start a charger and wait until it is of use."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from evdiag.errors import EvdiagError, ExitCode
from evdiag.model.charger import IMAGE, NAME
from evdiag.model.run import (
    CAPTURES,
    DASHBOARD_PORT,
    OCPP_ID,
    OCPP_URL,
    OCPP_VERSIONS,
    Event,
    Outcome,
    Reached,
    RunSpec,
    Warned,
)

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.console import Steps

TIMEOUT = 120.0
"""Seconds: EVerest needs 8 here; 16 connectors on two busy cores need a minute."""


def face(steps: "Steps", event: Event) -> None:
    """Show what happens."""
    if isinstance(event, Reached):
        steps.done(event.text)
    elif isinstance(event, Warned):
        steps.warn(event.text)
    else:
        steps.at(f"{event.text}: {event.detail}")


def command(
    ocpp_version: Annotated[
        str, typer.Option(metavar="VERSION", envvar="EVDIAG_OCPP_VERSION", show_envvar=False,
                          help=f"{', '.join(OCPP_VERSIONS)}.")
    ] = "",
    ocpp_url: Annotated[
        str, typer.Option(metavar="URL", envvar="EVDIAG_OCPP_URL", show_envvar=False,
                          help=f"The CSMS, default {OCPP_URL}; localhost is this machine.")
    ] = "",
    ocpp_id: Annotated[
        str, typer.Option(metavar="ID", envvar="EVDIAG_OCPP_ID", show_envvar=False,
                          help=f"The charger's identity, default {OCPP_ID}.")
    ] = "",
    name: Annotated[
        str, typer.Option("--name", "-n", metavar="NAME", envvar="EVDIAG_NAME", show_envvar=False,
                          help="The container.")
    ] = NAME,
    image: Annotated[
        str, typer.Option(metavar="IMAGE", envvar="EVDIAG_IMAGE", show_envvar=False,
                          help="What to start; `evdiag build` makes it.")
    ] = IMAGE,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=1, max=65535, envvar="EVDIAG_PORT",
                          show_envvar=False, help="Where the dashboard is published.")
    ] = DASHBOARD_PORT,
    bind: Annotated[
        str, typer.Option(metavar="ADDRESS", help="The address of this machine for it; the "
                          "dashboard asks for its password where that is not loopback.")
    ] = "127.0.0.1",
    network: Annotated[
        str | None, typer.Option(metavar="NAME", help="Default: one of its own, with IPv6.",
                                 show_default=False)
    ] = None,
    cores: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False,
                                  help="A folder of this machine for cores; default: they stay "
                                  "in the container.")
    ] = None,
    capture: Annotated[
        str, typer.Option(metavar="WHO", envvar="EVDIAG_CAPTURE", show_envvar=False,
                          help=f"Who writes cores: {', '.join(CAPTURES)}.")
    ] = "auto",
    set_core_pattern: Annotated[
        bool, typer.Option("--set-core-pattern",
                           help="Let the kernel write cores into the container too: changes the "
                           "engine's machine until `evdiag stop`.")
    ] = False,
    env: Annotated[
        list[str] | None, typer.Option("--env", "-e", metavar="NAME=VALUE",
                                       help="Another setting of the image; repeatable. NAME alone "
                                       "takes the value of the environment.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the charger of the same name.")
    ] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Show the log afterwards.")] = False,
    timeout: Annotated[
        float, typer.Option(metavar="SECONDS", min=1, help="How long to wait until it is ready.")
    ] = TIMEOUT,
) -> None:  # fmt: skip
    """Start a charger, with its crashes kept, and wait until it is ready."""
    from evdiag.adapters.docker.engine import connect
    from evdiag.analyze.run_spec import Asked, make_spec

    begun = time.monotonic()
    asked = Asked(
        ocpp_version=ocpp_version,
        ocpp_url=ocpp_url,
        ocpp_id=ocpp_id,
        name=name,
        image=image,
        port=port,
        bind=bind,
        network=network,
        cores=None if cores is None else str(cores.expanduser().absolute()),
        capture=capture,
        set_core_pattern=set_core_pattern,
        environment=tuple(env or ()),
        replace=replace,
    )
    spec = make_spec(asked, os.environ)
    engine = connect()
    try:
        launch(engine, spec, timeout, begun)
        if follow:
            show_log(engine, spec)
    finally:
        engine.close()


def launch(engine: "ContainerEngine", spec: RunSpec, timeout: float, begun: float) -> None:
    """Start a charger and show how it goes; an interrupt leaves it as far as it is."""
    from evdiag.commands._start import run
    from evdiag.console import Steps
    from evdiag.report.started import last_words

    steps, started = Steps(), False
    steps.begin("looking around")
    try:
        for event in run(engine, spec, timeout):
            if isinstance(event, Outcome):
                steps.stop()
                seconds = time.monotonic() - begun
                sys.stdout.write(last_words(msgspec.structs.replace(event, seconds=seconds)))
                sys.stdout.flush()
                continue
            begins = isinstance(event, Reached) and event.step == "start"
            started = started or begins  # before anything is printed: an interrupt may follow
            face(steps, event)
            if begins:
                steps.begin("starting")
    except KeyboardInterrupt:
        steps.stop()
        leave(spec, started=started)
    except EvdiagError:
        steps.stop()
        raise


def show_log(engine: "ContainerEngine", spec: RunSpec) -> None:
    """Follow the log until somebody interrupts it."""
    from evdiag.commands.logs import follow

    try:
        for text in follow(engine, spec.name, tail=0):
            sys.stdout.write(text)
            sys.stdout.flush()
    except KeyboardInterrupt:
        leave(spec, started=True)


def leave(spec: RunSpec, *, started: bool) -> None:
    """Say what becomes of the charger, and end."""
    from evdiag.console import say

    if started:
        suffix = "" if spec.name == NAME else f" --name {spec.name}"
        say(f"{spec.name} is left running; `evdiag stop{suffix}` stops it")
    raise typer.Exit(int(ExitCode.INTERRUPTED)) from None
