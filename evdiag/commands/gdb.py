"""`evdiag gdb`: an interactive gdb on a core, with the right files and without risks."""

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._options import (
    ExeOption,
    GdbOption,
    SourceMapOption,
    SysrootOption,
    file_options,
)
from evdiag.errors import CoreNotFound, ExitCode

if TYPE_CHECKING:
    from evdiag.commands.backtrace import Analysed
    from evdiag.engine import Analysis
    from evdiag.model.report import Report

MAX_OTHERS = 9
"""Further cores that are named one by one."""


def briefing(report: "Report") -> list[str]:
    """What somebody should know who looks around in that core."""
    lines = [report.title]
    frame = report.verdict.frame
    if frame:
        lines.append(f"the frame to look at first is about number {frame}: `frame {frame}`")
    if report.process.build_id is None or any(
        error.stage == "modules" for error in report.soft_errors
    ):
        lines += [f"note: {e.message}" for e in report.soft_errors if e.stage == "modules"][:3]
    return lines


def chosen(found: "Iterator[Analysed]", say: Callable[[str], None]) -> "Analysis":
    """The core of the first fault, while the others are told of. Raises EvdiagError."""
    outcomes = list(found)
    first = next((each.analysis for each in outcomes if each.analysis is not None), None)
    if first is None:
        error = next((each.error for each in outcomes if each.error is not None), None)
        raise error or CoreNotFound("there is no core to look at: a crash left only words in logs")
    others = [each for each in outcomes if each.analysis not in (None, first)]
    if others:
        say(f"the first fault of {len(others) + 1}; the others:")
        for each in others[:MAX_OTHERS]:
            say(f"  {each.path}: {each.report.title if each.report else ''}")
        if len(others) > MAX_OTHERS:
            say(f"  and {len(others) - MAX_OTHERS} more")
    return first


def command(
    core: Annotated[
        str,
        typer.Argument(
            metavar="TARGET",
            help="A core; or a bundle, an archive, a folder, a container: their first fault.",
        ),
    ],
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="[-- ARG...]", help="More arguments for gdb, for example -ex bt."),
    ] = None,
    exe: ExeOption = None,
    sysroot: SysrootOption = None,
    source_map: SourceMapOption = None,
    gdb: GdbOption = None,
) -> None:
    """Open a core in gdb: the right executable, libraries and symbols, nothing run unasked."""
    from evdiag.adapters.gdb.interactive import run_interactively
    from evdiag.adapters.host import cache_directory
    from evdiag.commands._targets import targets
    from evdiag.commands.backtrace import outcomes
    from evdiag.console import Progress, fail, say
    from evdiag.engine import check_executable

    progress = Progress()
    options = file_options(exe, sysroot, source_map)
    with contextlib.closing(targets([core], say)) as found:
        target = next(found)
        analysis = chosen(outcomes(target, options, [], lambda _: None, progress), say)
        progress.done()
        for line in briefing(analysis.report):
            say(target.bundle.shorten(line) if target.bundle else line)
        if wrong := check_executable(analysis.engine, analysis.report):
            fail(wrong)
        status = run_interactively(gdb, analysis.scene(), cache_directory(), arguments or [])
    raise typer.Exit(int(ExitCode.DONE if status == 0 else ExitCode.GDB))
