"""`evdiag collect`: everything about the crashes of a charger, in one folder or archive."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._charger import NameOption
from evdiag.commands._options import NoRedactOption
from evdiag.errors import DamagedBundle, EvdiagError, UsageError

if TYPE_CHECKING:
    from evdiag.collection import Collected, Request
    from evdiag.console import Steps


def read_max_core_size(text: str) -> int:
    """Bytes, as the user wrote them. Raises UsageError."""
    from evdiag.analyze.collect_plan import MAX_CORE_SIZE, read_size

    if not text:
        return MAX_CORE_SIZE
    try:
        return read_size(text)
    except ValueError:
        raise UsageError(
            f"--max-core-size {text!r} is no size", advice="Examples: 500M, 2G; 0 takes any."
        ) from None


def make(
    request: "Request",
    steps: "Steps",
    *,
    name: str | None,
    volume: str | None,
    folder: Path | None,
) -> "Collected":
    """Collect from what the user named. Raises what `collection.collect` raises."""
    from evdiag.adapters.docker.engine import connect
    from evdiag.collection import collect, collect_folder, collect_volume
    from evdiag.commands._charger import find_charger

    if folder is not None:
        return collect_folder(folder, request, steps)
    engine = connect()
    try:
        if volume is not None:
            return collect_volume(engine, volume, request, steps)
        return collect(engine, find_charger(engine, name), request, steps)
    finally:
        engine.close()


def verify_bundle(path: Path) -> None:
    """Look at every byte of a bundle. Raises DamagedBundle."""
    from evdiag.adapters.bundle.reader import open_bundle, verify
    from evdiag.console import say

    with open_bundle(path) as bundle:
        wrong = verify(bundle.root, contents=True)
        if not bundle.manifest.complete:
            wrong.append("it was interrupted: the command that made it goes on with it")
        files = len(bundle.manifest.files)
    for text in wrong:
        say(f"! {text}")
    if wrong:
        raise DamagedBundle(f"{path} is not whole")
    say(f"{path} is whole: {files} files, each as it was collected")


def command(
    name: NameOption = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", show_default=False,
                                  help="The bundle's folder; default: evdiag-NAME-TIME here.")
    ] = None,
    archive: Annotated[
        Path | None, typer.Option(metavar="FILE", show_default=False,
                                  help="Pack it into one file (.tar.zst); without -o no folder "
                                  "stays.")
    ] = None,
    no_cores: Annotated[bool, typer.Option("--no-cores", help="Leave the cores out.")] = False,
    max_core_size: Annotated[
        str, typer.Option(metavar="SIZE", show_default=False,
                          help="Leave larger cores out: 500M, 2G; default 8G; 0 takes any.")
    ] = "",
    no_symbols: Annotated[
        bool, typer.Option("--no-symbols", help="Leave out the programs and libraries that the "
                           "cores need.")
    ] = False,
    no_redact: NoRedactOption = False,
    more: Annotated[
        list[str] | None, typer.Option("--from", metavar="PATH", show_default=False,
                                       help="A further folder of the container with cores; "
                                       "repeatable.")
    ] = None,
    volume: Annotated[
        str | None, typer.Option(metavar="NAME", show_default=False,
                                 help="A volume with cores, whose container is gone.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", show_default=False,
                                  help="A folder of this machine with cores, from `run --cores`.")
    ] = None,
    verify: Annotated[
        Path | None, typer.Option(metavar="BUNDLE", show_default=False,
                                  help="Collect nothing: look whether a bundle is whole.")
    ] = None,
) -> None:  # fmt: skip
    """Put all about a charger's crashes into one folder: cores, logs, configuration, facts."""
    from evdiag.collection import Request
    from evdiag.console import Steps

    if verify is not None:
        verify_bundle(verify)
        return
    if volume is not None and folder is not None:
        raise UsageError("--volume and --folder exclude each other", advice="Name one of them.")
    request = Request(
        output=output, archive=archive, cores=not no_cores,
        max_core_size=read_max_core_size(max_core_size), redact=not no_redact,
        symbols=not no_symbols, more=tuple(more or ()),
    )  # fmt: skip
    steps, begun = Steps(), time.monotonic()
    try:
        collected = make(request, steps, name=name, volume=volume, folder=folder)
    except (EvdiagError, KeyboardInterrupt):
        steps.stop()
        raise
    steps.stop()
    _tell(collected, time.monotonic() - begun)
    sys.stdout.write(f"{collected.path}\n")
    sys.stdout.flush()


def _tell(collected: "Collected", seconds: float) -> None:
    from evdiag.console import say
    from evdiag.report.collected import summary

    for line in summary(collected.manifest, disk=collected.disk, seconds=seconds):
        say(line)
    say(f"Next: evdiag backtrace {collected.path}")
