"""`evdiag stop`: end a charger, and remove it on request, without losing what it holds."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._charger import NameOption
from evdiag.errors import EvdiagError, NotReady, UsageError

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.model.charger import ContainerFacts


def end(engine: "ContainerEngine", charger: "ContainerFacts") -> Iterator[str]:
    """Stop a charger, and put back the core pattern that it replaced; yields what was done."""
    from evdiag.adapters.docker.start import stop

    if not charger.is_charger:
        raise UsageError(
            f"{charger.name} is no charger",
            advice=f"`docker stop {charger.name}` stops any container.",
        )
    if charger.state in ("exited", "created", "dead"):
        yield f"{charger.name} was not running"
    else:
        stop(engine, charger)
        yield f"stopped {charger.name}"
    yield from _restore_pattern(engine, charger)


def _restore_pattern(engine: "ContainerEngine", charger: "ContainerFacts") -> Iterator[str]:
    from evdiag.adapters.docker.core_pattern import read_pattern_once, write_pattern
    from evdiag.adapters.machine import core_pattern
    from evdiag.analyze.run_plan import may_restore_pattern
    from evdiag.model.charger import PATTERN_LABEL

    before = charger.labels.get(PATTERN_LABEL)
    if before is None:
        return
    now = core_pattern(engine.facts()) or read_pattern_once(engine, charger.image_id)
    if now is not None and may_restore_pattern(charger, engine.chargers(), now.text):
        write_pattern(engine, charger.image_id, before)
        yield f"core pattern of the engine's machine: {before} again"


def forget(engine: "ContainerEngine", charger: "ContainerFacts", *, force: bool) -> Iterator[str]:
    """Remove a charger that has ended, and the network that it alone had.

    Raises NotReady if it holds cores and `force` does not say that they may go.
    """
    from evdiag.adapters.docker.network import remove_network
    from evdiag.adapters.docker.start import cores_in, list_containers, remove
    from evdiag.model.charger import NETWORK_LABEL

    cores = [] if force else list(cores_in(engine, charger))
    if cores:
        what = "a core" if len(cores) == 1 else f"{len(cores)} cores"
        raise NotReady(
            f"{charger.name} holds {what}, so it is not removed",
            advice=f"Keep what is in it: `evdiag collect --name {charger.name}`. "
            "Then remove it with --remove --force.",
        )
    remove(engine, charger.id)
    yield f"removed {charger.name}"
    network = charger.labels.get(NETWORK_LABEL)
    if network is None or any(
        other.labels.get(NETWORK_LABEL) == network for other in list_containers(engine)
    ):
        return
    if remove_network(engine, network):
        yield f"removed the network {network}"


def command(
    name: NameOption = None,
    remove: Annotated[
        bool, typer.Option("--remove", help="Remove the container and its network, too.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="With --remove: even if cores are in it.")
    ] = False,
) -> None:
    """Stop the charger. Its cores and logs stay until it is removed."""
    from evdiag.adapters.docker.engine import connect
    from evdiag.commands._charger import find_charger
    from evdiag.console import Steps

    if force and not remove:
        raise UsageError("--force is for --remove", advice="Add --remove, or leave --force out.")
    steps = Steps()
    engine = connect()
    try:
        charger = find_charger(engine, name)
        steps.begin(f"stopping {charger.name}")
        for text in end(engine, charger):
            steps.done(text)
            steps.begin(f"taking leave of {charger.name}")
        if remove:
            for text in forget(engine, charger, force=force):
                steps.done(text)
    except EvdiagError:
        steps.stop()
        raise
    finally:
        engine.close()
