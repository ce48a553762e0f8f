"""`evdiag backtrace`: from cores to reports."""

import os
import sys
from collections.abc import Callable, Iterator
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
    from evdiag.adapters.symbols import Progress
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


def analyse_incident(
    engine: "Engine", targets: list[Path], logs: list[Path], say: Callable[[str], None]
) -> Iterator[Analysed]:
    """Yield the outcomes for folders and logs: who died first before who was taken down."""
    from evdiag.engine import check_executable
    from evdiag.incident import Incident

    incident = Incident(engine, targets, logs)
    if incident.headline:
        say(incident.headline)
    for outcome in incident.outcomes():
        report = outcome.report
        wrong = check_executable(engine, report) if report is not None else None
        yield Analysed(outcome.path, report, outcome.error or wrong, outcome.analysis)


class Values(msgspec.Struct, frozen=True):
    """Which values are wanted, and of whom."""

    which: str
    debugger: "Debugger"
    insisted: bool
    """Whether the user asked for them: then their absence is an error."""


def debugger(command: str | None, timeout: float, progress: "Progress") -> "Debugger":
    """The gdb to ask; who wants no values does not pay for its import."""
    from evdiag.adapters.gdb.debugger import Debugger
    from evdiag.adapters.host import cache_directory

    return Debugger(command, cache_directory(), timeout, progress)


def enrich(analysed: Analysed, wanted: Values) -> Analysed:
    """The same with gdb's values, if there are some."""
    from evdiag.values import add_values

    report, analysis = analysed.report, analysed.analysis
    if report is None or analysis is None:
        return analysed
    report, problem = add_values(report, analysis.scene(), wanted.debugger, wanted.which)
    error = analysed.error or (problem if wanted.insisted else None)
    return Analysed(analysed.path, report, error, analysis)


def explanation(core: Path, analysis: "Analysis") -> str:
    """How the signature of a core came about, as text for people."""
    from evdiag.report.signature_steps import render

    return render(str(core), analysis.signed)


def is_crash(report: "Report") -> bool:
    """Whether the report is about a crash: not a snapshot, not an end that was asked for."""
    return report.verdict.cls not in ("snapshot", "no-crash")


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
    cores: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="CORE...",
            help="Core files, or folders with cores and logs.",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE|DIR", help="Logs of the time of the crash; repeatable."),
    ] = None,
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
    explain_signature: Annotated[
        bool,
        typer.Option(
            "--explain-signature",
            help="Print how the signature came about, frame by frame, in place of the report.",
        ),
    ] = False,
) -> None:
    """Why a process died: verdict, stacks of all threads, source lines, values of variables.

    Logs tell which of several processes died first, and why one died that left no core.

    Values come from gdb; everything else needs no debugger.
    """
    from evdiag.console import Output, Progress, fail, say
    from evdiag.engine import Engine

    targets = cores or []
    if not targets and not log:
        raise UsageError(
            "which crash? Neither a core nor a log was named",
            advice="Name a core, a folder with cores and logs, or a log by --log.",
        )
    if explain_signature and (report_format not in (None, "terminal") or output is not None):
        raise UsageError(
            "--explain-signature prints text to the terminal only",
            advice="The JSON report has the same in signature.inputs and signature.proto.",
        )
    out = Output.choose(report_format, output)
    which = "none" if explain_signature else which_values(values, none=no_values)
    options = file_options(exe, sysroot, source_map)
    progress = Progress()
    wanted = None
    if which != "none":
        insisted = values in ("crash", "all") or gdb is not None
        wanted = Values(which, debugger(gdb, gdb_timeout, progress), insisted)
    engine = Engine(options, progress)
    if log or any(path.is_dir() for path in targets):
        outcomes = analyse_incident(engine, targets, log or [], say)
    else:
        outcomes = analyse(engine, targets)
    code, found = ExitCode.DONE, False
    for outcome in outcomes:
        progress.done()
        if wanted is not None and outcome.report is not None:
            out.begin(outcome.report)
            outcome = enrich(outcome, wanted)
            progress.done()
        if outcome.report is not None:
            found = found or is_crash(outcome.report)
            if not explain_signature:
                out.add(outcome.report)
            elif outcome.analysis is not None:  # who left no core has no signature
                sys.stdout.write(explanation(outcome.path, outcome.analysis))
        if outcome.error is not None:
            fail(outcome.error)
            code = outcome.error.exit_code
    out.finish()
    if code is ExitCode.DONE and exit_code and found:
        code = ExitCode.CRASH_FOUND
    sys.stdout.flush()
    raise typer.Exit(int(code))
