"""`evdiag backtrace`: from cores to reports."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from evdiag.errors import EvdiagError, ExitCode, UsageError

if TYPE_CHECKING:
    from evdiag.engine import Engine
    from evdiag.model.report import Report


class Analysed(msgspec.Struct, frozen=True):
    """What became of one core: a report, an error, or a report with an error to end with."""

    path: Path
    report: "Report | None"
    error: EvdiagError | None


def analyse(engine: "Engine", cores: list[Path]) -> Iterator[Analysed]:
    """Yield the outcome for each core; one that cannot be used does not stop the others."""
    from evdiag.engine import check_executable

    for core in cores:
        try:
            report = engine.report(core)
        except EvdiagError as error:
            yield Analysed(core, None, error)
        else:
            yield Analysed(core, report, check_executable(engine, report))


def is_crash(report: "Report") -> bool:
    """Whether the core is of a crash, and not a snapshot of a running process."""
    return report.verdict.cls != "snapshot"


def parse_source_map(text: str) -> tuple[str, str]:
    """Split `FROM=TO`. Raises UsageError."""
    old, separator, new = text.partition("=")
    if not separator or not old:
        raise UsageError(
            f"--source-map {text!r} is not FROM=TO",
            advice="For example: --source-map /workspace=/home/me/everest",
        )
    return old, new


def existing(path: Path | None, option: str, *, folder: bool) -> Path | None:
    """The path of an option, if it names what it should. Raises UsageError."""
    if path is None:
        return None
    if folder and not path.is_dir():
        raise UsageError(f"{option} {path} is not a directory")
    if not folder and not path.is_file():
        raise UsageError(f"{option} {path} is not a file")
    return path


def command(
    cores: Annotated[list[Path], typer.Argument(metavar="CORE...", help="Core files.")],
    exe: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The program that crashed, if it lies elsewhere now."),
    ] = None,
    sysroot: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="A copy of the files of the system that crashed."),
    ] = None,
    source_map: Annotated[
        list[str] | None,
        typer.Option(metavar="FROM=TO", help="Where source files of FROM lie here; repeatable."),
    ] = None,
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
    """Why a process died: verdict, stacks of all threads, source lines. Needs no debugger."""
    from evdiag.console import Output, Progress, fail
    from evdiag.engine import Engine, Options

    out = Output.choose(report_format, output)
    options = Options(
        executable=existing(exe, "--exe", folder=False),
        sysroot=existing(sysroot, "--sysroot", folder=True),
        source_maps=tuple(parse_source_map(text) for text in source_map or ()),
    )
    progress = Progress()
    code, reports = ExitCode.DONE, []
    for outcome in analyse(Engine(options, progress), cores):
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
