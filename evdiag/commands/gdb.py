"""`evdiag gdb`: an interactive gdb on a core, with the right files and without risks."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._options import (
    ExeOption,
    GdbOption,
    SourceMapOption,
    SysrootOption,
    file_options,
)
from evdiag.errors import ExitCode

if TYPE_CHECKING:
    from evdiag.model.report import Report


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


def command(
    core: Annotated[Path, typer.Argument(metavar="CORE", help="A core file.")],
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
    from evdiag.console import Progress, fail, say
    from evdiag.engine import Engine, check_executable

    progress = Progress()
    engine = Engine(file_options(exe, sysroot, source_map), progress)
    analysis = engine.analyse(core)
    progress.done()
    for line in briefing(analysis.report):
        say(line)
    if wrong := check_executable(engine, analysis.report):
        fail(wrong)
    status = run_interactively(gdb, analysis.scene(), cache_directory(), arguments or [])
    raise typer.Exit(int(ExitCode.DONE if status == 0 else ExitCode.GDB))
