"""`evdiag triage`: from very many cores to few crashes."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._options import (
    ExeOption,
    GdbOption,
    NoRedactOption,
    SourceMapOption,
    SysrootOption,
    file_options,
)
from evdiag.errors import ExitCode, NotABaseline, UsageError

if TYPE_CHECKING:
    from evdiag.model.triage import Triage

WHICH_VALUES = ("crash", "none")


def read_baseline(path: Path | None) -> "tuple[Triage | None, str]":
    """The triage of another day, and its name. Raises NotABaseline."""
    if path is None:
        return None, ""
    from evdiag.parse.triage import LONGEST_TRIAGE, read_triage

    try:
        with path.open("rb") as file:
            content = file.read(LONGEST_TRIAGE + 1)
        return read_triage(content), path.name
    except OSError as error:
        raise NotABaseline(f"--baseline {path} cannot be read: {error.strerror}") from None
    except NotABaseline as error:
        raise NotABaseline(f"--baseline {path}: {error}", advice=error.advice) from None


def wants_values(text: str) -> bool:
    """Whether gdb is to be asked. Raises UsageError."""
    known = "crash" if text in ("", "all") and text == os.environ.get("EVDIAG_VALUES") else text
    if known and known not in WHICH_VALUES:
        raise UsageError(
            f"--values {text!r} is not known here", advice=f"Use one of {', '.join(WHICH_VALUES)}."
        )
    return known != "none"


def code_of(triage: "Triage", *, exit_code: bool) -> ExitCode:
    """How to end: a finding is no failure, unless the user asked for that."""
    from evdiag.model.report import is_crash

    if triage.run.interrupted:
        return ExitCode.INTERRUPTED
    if triage.failures and not triage.groups:
        return ExitCode.CORE
    counted = [group for group in triage.groups if is_crash(group.cls)]
    if triage.baseline is not None:
        counted = [group for group in counted if group.status == "new"]
    return ExitCode.CRASH_FOUND if exit_code and counted else ExitCode.DONE


def write(triage: "Triage", name: str, target: Path | None) -> None:
    """Print it, or write it to a file. Raises OutputNotWritten."""
    from evdiag.adapters.files import write_text
    from evdiag.console import say, terminal_style
    from evdiag.report.triage import TRIAGE_FORMATS

    if name == "terminal":
        from evdiag.report.triage import terminal

        text = terminal.render(triage, *terminal_style(to_file=target is not None))
    else:
        text = TRIAGE_FORMATS[name].load().render(triage)
    if target is None:
        sys.stdout.write(text)
        sys.stdout.flush()
    else:
        write_text(target, text)
        say(f"wrote {target}")


def command(
    path: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH...",
            help="Cores, folders with cores, bundles, archives of bundles.",
            show_default=False,
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes at once; default: as many as the machine has cores and memory for.",
            show_default=False,
        ),
    ] = None,
    baseline: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="An earlier triage in JSON: tells what is new or gone."),
    ] = None,
    exe: ExeOption = None,
    sysroot: SysrootOption = None,
    source_map: SourceMapOption = None,
    values: Annotated[
        str,
        typer.Option(
            metavar="WHICH",
            envvar="EVDIAG_VALUES",
            help="Whose variables gdb reads: crash (of one core in each group) or none; "
            "default: crash.",
            show_default=False,
            show_envvar=False,
        ),
    ] = "",
    gdb: GdbOption = None,
    every: Annotated[
        bool,
        typer.Option(
            "--all", help="A report on each core, not on one in each group: in FILE.reports/."
        ),
    ] = False,
    report_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="terminal, markdown, html, json, sarif or junit; default: terminal.",
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the triage to a file."),
    ] = None,
    no_cache: Annotated[
        bool, typer.Option("--no-cache", help="Look at all cores anew, and keep no results.")
    ] = False,
    no_redact: NoRedactOption = False,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code",
            help="End with 20 if a crash was found; with --baseline, if a new one was.",
        ),
    ] = False,
) -> None:
    """Which crashes a heap of cores is of: groups, how often, since when, what is new.

    What is known of a core is kept: a second run takes a moment, and so does going on with an
    interrupted one.
    """
    if not path:
        raise UsageError(
            "which cores?", advice="Name cores, folders with cores, or bundles: evdiag triage DIR"
        )
    from evdiag.adapters.host import cache_directory
    from evdiag.commands._triage_asked import Asked, Folder, Told
    from evdiag.console import fail, format_named
    from evdiag.report.triage import TRIAGE_FORMATS

    name = format_named(report_format, output, TRIAGE_FORMATS)
    if every and output is None:
        raise UsageError(
            "--all writes a report on each core beside the triage",
            advice="Say where the triage goes: --all -o triage.html",
        )
    known, baseline_name = read_baseline(baseline)
    wanted = wants_values(values)
    options = file_options(exe, sysroot, source_map)
    from evdiag.triage import Settings, Triaging

    folder = Folder(output, name) if every and output is not None else None
    told = Told()
    asked = Asked(told, gdb=gdb, values=wanted, redact=not no_redact, folder=folder)
    triaging = Triaging(
        Settings(
            words=tuple(path),
            options=options,
            jobs=jobs,
            cache=None if no_cache else cache_directory(),
            everything=every,
        ),
        asked,
    )
    try:
        triage = triaging.run(known, baseline_name)
    finally:
        told.live.done()
    write(triage, name, output)
    if folder is not None:
        told.say(f"wrote {folder.count} reports to {folder.path}")
    if triage.run.interrupted and not no_cache:
        told.say("the same command once more goes on from here")
    code = code_of(triage, exit_code=exit_code)
    for error in triaging.errors:
        fail(error)
        code = ExitCode.CORE if code is not ExitCode.INTERRUPTED else code
    raise typer.Exit(int(code))
