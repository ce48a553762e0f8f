"""`evdiag demo`: the main job end to end on a real crash that ships with evdiag."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

if TYPE_CHECKING:
    from evdiag.model.report import Report

DEFAULT_FOLDER = Path("evdiag-demo")


class Written(msgspec.Struct, frozen=True):
    """A file that the demo wrote."""

    path: Path
    what: str


def run(folder: Path, machine: str) -> "Iterator[Report | Written]":
    """Unpack the demo's core, analyse it, and write the report beside it.

    Yields the report, then the files. Raises OutputNotWritten, UsageError.
    """
    from evdiag.adapters.demo_data import unpack_demo
    from evdiag.adapters.files import write_text
    from evdiag.engine import Engine, Options
    from evdiag.report import html, json, markdown

    core = unpack_demo(machine, folder)
    report = Engine(Options(sysroot=folder / "root")).report(core)
    yield report
    for name, text, what in (
        ("report.html", html.render(report), "the report to open in a browser"),
        ("report.md", markdown.render(report), "the report for an issue"),
        ("report.json", json.render(report), "the report for scripts"),
    ):
        write_text(folder / name, text)
        yield Written(folder / name, what)


def command(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="DIR", help="Where the files go.")
    ] = DEFAULT_FOLDER,
    machine: Annotated[
        str, typer.Option(metavar="NAME", help="Whose core: x86-64 or aarch64.")
    ] = "x86-64",
) -> None:
    """Analyse a real crash that ships with evdiag. Needs neither Docker nor gdb."""
    from evdiag.console import Output, say

    out = Output("terminal", None)
    for event in run(output, machine):
        if isinstance(event, Written):
            say(f"wrote {event.path}: {event.what}")
        else:
            out.add(event)
            sys.stdout.flush()
    say(f"next: evdiag backtrace {output}/core --sysroot {output}/root")
