"""`evdiag backtrace`: from cores to reports."""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from evdiag.commands._options import (
    ExeOption,
    GdbOption,
    SourceMapOption,
    SysrootOption,
    file_options,
)
from evdiag.errors import EvdiagError, ExitCode, UsageError

if TYPE_CHECKING:
    from evdiag.adapters.gdb.debugger import Debugger
    from evdiag.engine import Analysis, Engine
    from evdiag.model.report import Report

WHICH_VALUES = ("crash", "all", "none")
"""Whose values are wanted: of the crashed thread, of all threads, of none."""


class Analysed(msgspec.Struct, frozen=True):
    """What became of one core: a report, an error, or a report with an error to end with."""

    path: Path
    report: "Report | None"
    error: EvdiagError | None
    analysis: "Analysis | None" = None
    """Knows the files that gdb needs."""


def analyse(engine: "Engine", cores: list[Path]) -> Iterator[Analysed]:
    """Yield the outcome for each core; one that cannot be used does not stop the others."""
    from evdiag.engine import check_executable

    for core in cores:
        try:
            analysis = engine.analyse(core)
        except EvdiagError as error:
            yield Analysed(core, None, error)
        else:
            report = analysis.report
            yield Analysed(core, report, check_executable(engine, report), analysis)


class Values(msgspec.Struct, frozen=True):
    """Which values are wanted, and of whom."""

    which: str
    debugger: "Debugger"
    insisted: bool
    """Whether the user asked for them: then their absence is an error."""


def enrich(analysed: Analysed, wanted: Values) -> Analysed:
    """The same with gdb's values, if there are some."""
    from evdiag.values import add_values

    report, analysis = analysed.report, analysed.analysis
    if report is None or analysis is None:
        return analysed
    report, problem = add_values(report, analysis.scene(), wanted.debugger, wanted.which)
    error = analysed.error or (problem if wanted.insisted else None)
    return Analysed(analysed.path, report, error, analysis)


def is_crash(report: "Report") -> bool:
    """Whether the core is of a crash, and not a snapshot of a running process."""
    return report.verdict.cls != "snapshot"


def which_values(text: str, *, none: bool) -> str:
    """Whose values are wanted; an option goes before the environment. Raises UsageError."""
    if none and text not in ("", "none", os.environ.get("EVDIAG_VALUES")):
        raise UsageError(f"--no-values and --values {text} contradict each other")
    if text and text not in WHICH_VALUES:
        raise UsageError(
            f"--values {text!r} is not known", advice=f"Use one of {', '.join(WHICH_VALUES)}."
        )
    return "none" if none else text or "crash"


def command(
    cores: Annotated[list[Path], typer.Argument(metavar="CORE...", help="Core files.")],
    exe: ExeOption = None,
    sysroot: SysrootOption = None,
    source_map: SourceMapOption = None,
    values: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            envvar="EVDIAG_VALUES",
            help="Whose variables gdb reads: of the crash, all threads, or none; default: crash.",
            show_default=False,
            show_envvar=False,
        ),
    ] = "",
    no_values: Annotated[
        bool, typer.Option("--no-values", help="Same as --values none: gdb is not started.")
    ] = False,
    gdb: GdbOption = None,
    gdb_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="Time for gdb with one core.", min=1.0)
    ] = 120.0,
    report_format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help="terminal, markdown or json; default: terminal."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the report to a file."),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 20 if a crash was found.")
    ] = False,
) -> None:
    """Why a process died: verdict, stacks of all threads, source lines, values of variables.

    Values come from gdb; everything else needs no debugger.
    """
    from evdiag.adapters.gdb.debugger import Debugger
    from evdiag.adapters.host import cache_directory
    from evdiag.console import Output, Progress, fail
    from evdiag.engine import Engine

    out = Output.choose(report_format, output)
    which = which_values(values, none=no_values)
    options = file_options(exe, sysroot, source_map)
    progress = Progress()
    wanted = Values(
        which,
        Debugger(gdb, cache_directory(), gdb_timeout, progress),
        insisted=values in ("crash", "all") or gdb is not None,
    )
    code, reports = ExitCode.DONE, []
    for outcome in analyse(Engine(options, progress), cores):
        progress.done()
        if which != "none" and outcome.report is not None:
            out.begin(outcome.report)
            outcome = enrich(outcome, wanted)
            progress.done()
        if outcome.report is not None:
            reports.append(outcome.report)
            out.add(outcome.report)
        if outcome.error is not None:
            fail(outcome.error)
            code = outcome.error.exit_code
    out.finish()
    if code is ExitCode.DONE and exit_code and any(is_crash(r) for r in reports):
        code = ExitCode.CRASH_FOUND
    sys.stdout.flush()
    raise typer.Exit(int(code))
