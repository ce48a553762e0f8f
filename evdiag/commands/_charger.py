"""Which charger a command is about, and the engine that has it."""

from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.errors import ContainerStopped, NoSuchContainer
from evdiag.model.charger import NAME, ContainerFacts

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine

NameOption = Annotated[
    str | None,
    typer.Option(
        "--name",
        "-n",
        metavar="NAME",
        envvar="EVDIAG_NAME",
        show_envvar=False,
        help=f"The charger's container; default: {NAME}, or the only one there is.",
        show_default=False,
    ),
]


def find_charger(engine: "ContainerEngine", name: str | None) -> ContainerFacts:
    """The container of that name; without one `everest`, or the only charger there is.

    Raises NoSuchContainer, which names the chargers that there are.
    """
    try:
        return engine.container(name or NAME)
    except NoSuchContainer:
        chargers = engine.chargers()
        if name is None and len(chargers) == 1:
            return chargers[0]
        if not chargers:
            raise
        names = ", ".join(charger.name for charger in chargers)
        raise NoSuchContainer(
            f"there is no container called {name or NAME}",
            advice=f"Chargers here: {names}. Name one with --name.",
        ) from None


def find_running(engine: "ContainerEngine", name: str | None) -> ContainerFacts:
    """The same, if it runs. Raises NoSuchContainer, ContainerStopped."""
    found = find_charger(engine, name)
    if not found.is_running:
        code = "" if found.exit_code is None else f" with code {found.exit_code}"
        words = {
            "exited": f"has ended{code}",
            "created": "has never been started",
            "removing": "is being removed",
        }
        advice = None
        if found.state == "paused":
            advice = f"`docker unpause {found.name}` lets it go on."
        state = words.get(found.state, f"is {found.state}")
        raise ContainerStopped(f"{found.name} {state}", advice=advice)
    return found
