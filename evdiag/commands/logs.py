"""`evdiag logs`: what a charger's services log, in one stream, running or dead, followed or not."""

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._charger import NameOption, find_charger
from evdiag.errors import UsageError
from evdiag.model.loglines import LOG_SERVICES

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.commands._charger_logs import Request
    from evdiag.model.charger import ContainerFacts
    from evdiag.report.loglines import LineWriter


def follow(
    engine: "ContainerEngine", container: str, *, since: str = "", tail: int | None = None
) -> Iterator[str]:
    """The log of a container from a time on (as `--since`) and on and on, as text for stdout.

    Only an error ends it: NoSuchContainer when the container is removed, EngineUnreachable when
    the engine stays away, NotReady when its output cannot be read.
    """
    from evdiag.commands._charger_logs import Request

    facts = engine.container(container)
    return shown(engine, facts, Request(since=since, tail=tail), follow=True)


def shown(
    engine: "ContainerEngine", facts: "ContainerFacts", request: "Request", *, follow: bool
) -> Iterator[str]:
    """The wanted lines of a container's logs as text for stdout, some at a time."""
    from evdiag.commands._charger_logs import ChargerLogs

    writer = _writer()
    logs = ChargerLogs(engine, facts, request)
    try:
        for batch in logs.history():
            if batch:
                yield writer.text(batch)
        if follow:
            for batch in logs.live():
                if batch:
                    yield writer.text(batch)
    finally:
        logs.close()


def _writer() -> "LineWriter":
    """Writes as standard output is: columns and colours for a terminal (https://no-color.org)."""
    from evdiag.console import terminal_style
    from evdiag.report.loglines import LineWriter

    width, colour = terminal_style()
    return LineWriter(terminal=sys.stdout.isatty(), colour=colour, width=width)


def read_request(
    services: list[str], level: str, module: str, grep: str, since: str, tail: int | None
) -> "Request":
    """The options as the flow takes them. Raises UsageError."""
    from evdiag.analyze.logfilter import read_level
    from evdiag.commands._charger_logs import Request

    for service in services:
        if service not in LOG_SERVICES:
            raise UsageError(
                f"there is no service {service!r}",
                advice=f"The services are {', '.join(LOG_SERVICES)}. "
                "A container is named with --name, a module with --module.",
            )
    try:
        severity = read_level(level) if level else ""
    except ValueError:
        raise UsageError(
            f"there is no level {level!r}",
            advice="The levels are debug, info, warning, error "
            "and critical; lines of that level and worse ones are shown.",
        ) from None
    try:
        re.compile(grep)
    except (re.error, RecursionError, OverflowError) as error:
        raise UsageError(
            f"--grep {grep!r} is no regular expression: {error}",
            advice=f"To look for this very text: --grep {re.escape(grep)!r}",
        ) from None
    return Request(
        services=frozenset(services),
        level=severity,
        module=module,
        pattern=grep,
        since=since.strip(),
        tail=tail,
    )


def command(
    services: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[SERVICE...]",
            help=f"Only these: {', '.join(LOG_SERVICES)} (what the container itself says).",
            show_default=False,
        ),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, also after restarts.")
    ] = False,
    tail: Annotated[
        int | None,
        typer.Option("--tail", metavar="N", min=0, help="Only the last N of the wanted lines."),
    ] = None,
    since: Annotated[
        str,
        typer.Option(
            "--since",
            metavar="T",
            help="10m, 2h, 14:05 (by the container's clock), a date and time, start (of the "
            "container) or crash (10 seconds before the last one).",
        ),
    ] = "",
    level: Annotated[
        str,
        typer.Option("--level", metavar="L", help="debug, info, warning, error or critical."),
    ] = "",
    module: Annotated[
        str,
        typer.Option("--module", metavar="ID", help="Only EVerest modules that begin like this."),
    ] = "",
    grep: Annotated[
        str, typer.Option("--grep", metavar="RE", help="Only lines with this expression.")
    ] = "",
    name: NameOption = None,
) -> None:
    """Show what the charger's services log, in order of time; also of one that has ended."""
    from evdiag.adapters.docker.engine import connect

    request = read_request(services or [], level, module, grep, since, tail)
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8
    engine = connect()
    with contextlib.closing(engine):
        facts = find_charger(engine, name)
        try:
            for text in shown(engine, facts, request, follow=follow):
                sys.stdout.write(text)
                sys.stdout.flush()
        except BrokenPipeError:  # `evdiag logs | head`; Typer would make an error of it
            sys.stdout = None
