"""`evdiag backtrace`: from cores to reports."""

import contextlib
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
    NoRedactOption,
    SourceMapOption,
    SysrootOption,
    file_options,
)
from evdiag.errors import EvdiagError, ExitCode, UsageError

if TYPE_CHECKING:
    from evdiag.adapters.gdb.places import Place
    from evdiag.adapters.symbols import Progress
    from evdiag.adapters.value_cache import Asked
    from evdiag.commands._targets import Bundled, Target
    from evdiag.console import Output
    from evdiag.console import Progress as Line
    from evdiag.engine import Analysis, Engine, Options
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
    gdb: "Asked"
    insisted: bool
    """Whether the user asked for them: then their absence is an error."""


class Wish(msgspec.Struct, frozen=True):
    """What the user said about values; the gdb to ask depends on what is looked at."""

    which: str
    command: str | None
    timeout: float
    insisted: bool

    @contextlib.contextmanager
    def values(self, target: "Target", progress: "Progress") -> Iterator[Values | None]:
        """The gdb to ask; who wants no values does not pay for its import."""
        if self.which == "none":
            yield None
            return
        from evdiag.adapters.gdb.debugger import Debugger
        from evdiag.adapters.host import cache_directory

        places = _places(target) if self.command is None else ()
        debugger = Debugger(self.command, cache_directory(), self.timeout, progress, places)
        with debugger.sittings() as gdb:
            yield Values(self.which, gdb, self.insisted)


def _places(target: "Target") -> "tuple[Place, ...]":
    """Where else than on this machine gdb can be started for a target, best first."""
    bundle = target.bundle
    if bundle is None:
        return ()
    from evdiag.commands._places import bundle_places

    return bundle_places(bundle.root, bundle.manifest)


def outcomes(
    target: "Target",
    options: "Options",
    logs: list[Path],
    say: Callable[[str], None],
    progress: "Progress",
) -> Iterator[Analysed]:
    """What became of a target's cores; where its bundle lies is not in it."""
    from evdiag.engine import Engine

    if target.error is not None:
        yield Analysed(target.paths[0], None, target.error)
        return
    bundle = target.bundle
    engine = Engine(bundle.options(options) if bundle else options, progress)
    if logs or target.is_several:
        found = analyse_incident(engine, target.paths, logs, say)
    else:
        found = analyse(engine, target.paths)
    try:
        for outcome in found:
            yield bundled(outcome, bundle) if bundle else outcome
    except EvdiagError as error:
        if bundle is None:
            raise
        yield Analysed(bundle.root, None, bundle.shortened(error))


def bundled(outcome: Analysed, bundle: "Bundled") -> Analysed:
    """An outcome of a bundle as it is wherever that lies."""
    return Analysed(
        bundle.inside(outcome.path),
        bundle.retold(outcome.report) if outcome.report else None,
        bundle.shortened(outcome.error) if outcome.error else None,
        outcome.analysis,
    )


def enrich(analysed: Analysed, wanted: Values) -> Analysed:
    """The same with gdb's values, if there are some."""
    from evdiag.values import add_values

    report, analysis = analysed.report, analysed.analysis
    if report is None or analysis is None:
        return analysed
    report, problem = add_values(report, analysis.scene(), wanted.gdb, wanted.which)
    error = analysed.error or (problem if wanted.insisted else None)
    return Analysed(analysed.path, report, error, analysis)


def explanation(core: Path, analysis: "Analysis", shown: "Report") -> str:
    """How the signature of a core came about, as text for people: of the report as it is shown."""
    from evdiag.report.signature_steps import render

    signature = shown.signature or analysis.signed.signature
    return render(str(core), msgspec.structs.replace(analysis.signed, signature=signature))


def which_values(text: str, *, none: bool) -> str:
    """Whose values are wanted; an option goes before the environment. Raises UsageError."""
    if none and text not in ("", "none", os.environ.get("EVDIAG_VALUES")):
        raise UsageError(f"--no-values and --values {text} contradict each other")
    if text and text not in WHICH_VALUES:
        raise UsageError(
            f"--values {text!r} is not known", advice=f"Use one of {', '.join(WHICH_VALUES)}."
        )
    return "none" if none else text or "crash"


class Told:
    """What the user was told so far."""

    def __init__(self, out: "Output", progress: "Line", explain_signature: bool) -> None:
        self.out, self.progress = out, progress
        self.explain_signature = explain_signature
        self.code = ExitCode.DONE
        self.crash = False

    def begin(self, target: "Target") -> None:
        """What comes is of this target: its bundle's tokens stand for secrets."""
        self.out.use(target.bundle.manifest.redaction if target.bundle else None)

    def tell(self, outcome: Analysed, wanted: Values | None, bundle: "Bundled | None") -> None:
        """Print a report, with values if some are wanted, or why there is none."""
        from evdiag.console import fail
        from evdiag.model.report import is_crash

        self.progress.done()
        if wanted is not None and outcome.report is not None:
            self.out.begin(outcome.report)
            outcome = enrich(outcome, wanted)
            self.progress.done()
        report = outcome.report
        if report is not None:
            self.crash = self.crash or is_crash(report.verdict.cls)
            if not self.explain_signature:
                self.out.add(bundle.without_root(report) if bundle else report)
            elif outcome.analysis is not None:  # who left no core has no signature
                shown = self.out.shown(report)
                sys.stdout.write(explanation(outcome.path, outcome.analysis, shown))
        if outcome.error is not None:
            fail(outcome.error)
            self.code = outcome.error.exit_code


def command(
    target: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TARGET...",
            help="Cores, folders with cores and logs, bundles, archives of bundles, containers; "
            "default: the newest bundle here, else the charger's container.",
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
            "--format",
            metavar="FORMAT",
            help="terminal, markdown, html, json, sarif, junit or github; default: terminal.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the report to a file."),
    ] = None,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="End with 20 if a crash was found.")
    ] = False,
    no_redact: NoRedactOption = False,
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
    from evdiag.commands._targets import default_words, targets
    from evdiag.console import Output, Progress, say

    if explain_signature and (report_format not in (None, "terminal") or output is not None):
        raise UsageError(
            "--explain-signature prints text to the terminal only",
            advice="The JSON report has the same in signature.inputs and signature.proto.",
        )
    out = Output.choose(report_format, output, redact=not no_redact)
    which = "none" if explain_signature else which_values(values, none=no_values)
    insisted = values in ("crash", "all") or gdb is not None
    wish = Wish(which, gdb, gdb_timeout, insisted)
    options = file_options(exe, sysroot, source_map)
    words, logs, progress = target or [], log or [], Progress()
    if not words and not logs:
        words = default_words(say)
    told = Told(out, progress, explain_signature)
    with contextlib.closing(targets(words, say)) as found:
        for each in found:
            told.begin(each)
            with wish.values(each, progress) as wanted:
                for outcome in outcomes(each, options, logs, say, progress):
                    told.tell(outcome, wanted, each.bundle)
    out.finish()
    sys.stdout.flush()
    found_crash = told.code is ExitCode.DONE and exit_code and told.crash
    raise typer.Exit(int(ExitCode.CRASH_FOUND if found_crash else told.code))
