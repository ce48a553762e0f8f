"""The command line: one Typer application built from the registry of commands."""

import os
import sys
import traceback
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

import typer

from evdiag import __version__, config
from evdiag.commands import COMMANDS
from evdiag.errors import EvdiagError, ExitCode, UsageError


def build_app() -> typer.Typer:
    """The Typer application with every command of the registry, in help order."""
    app = typer.Typer(
        name="evdiag",
        help="Crash diagnostics for EVerest and other C++ stacks in containers.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,  # plain help: importing Rich for it costs 50 ms
    )
    app.callback()(_global_options)
    for name, command in COMMANDS.items():
        app.command(name)(command)
    return app


def _version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"evdiag {__version__}\n")
        raise typer.Exit


def _global_options(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Crash diagnostics for EVerest and other C++ stacks in containers."""


def help_texts() -> dict[str, str]:
    """The help of evdiag and of each command, for the documentation."""
    group = typer.main.get_group(build_app())
    top = typer.Context(group, info_name="evdiag", terminal_width=88)
    found = {"evdiag": group.get_help(top)}
    for name, command in group.commands.items():
        context = typer.Context(command, info_name=name, parent=top, terminal_width=88)
        found[f"evdiag {name}"] = command.get_help(context)
    return found


def _read_config(group: Any, argv: Sequence[str]) -> config.Defaults | None:  # noqa: ANN401
    """What `evdiag.yaml` says for the command; help does not depend on it. Raises UsageError."""
    if not argv or argv[0] not in COMMANDS or "--help" in takewhile(lambda w: w != "--", argv):
        return None
    found = config.defaults(group, argv[0], os.environ)
    if found is not None:
        config.merge(group, argv[0], found)
    return found


def main(argv: Sequence[str]) -> int:
    """Run evdiag with these arguments and return its exit code. The only catch-all there is."""
    from evdiag.console import fail, say

    code: object
    found = None
    try:
        group = typer.main.get_group(build_app())
        found = _read_config(group, argv)
        below = {argv[0]: found.values} if found else None
        code = group(args=list(argv), prog_name="evdiag", default_map=below)
    except SystemExit as stop:
        code = stop.code
    except EvdiagError as error:
        fail(error)
        if isinstance(error, UsageError) and found and found.keys:
            say(f"  -> Options come from {found.path} too: {', '.join(found.keys)}.")
        return int(error.exit_code)
    except KeyboardInterrupt:
        say("evdiag: interrupted")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:  # `evdiag backtrace | head`
        sys.stdout = None  # nothing may flush into the closed pipe
        return int(ExitCode.DONE)
    except Exception:  # noqa: BLE001 - the one place where a bug in evdiag ends
        traceback.print_exc()
        say("evdiag: this is a bug in evdiag. Please report it with the lines above.")
        return int(ExitCode.BUG)
    if code == ExitCode.INTERRUPTED:  # Typer has taken the interrupt for itself
        say("evdiag: interrupted")
    return code if isinstance(code, int) else int(ExitCode.DONE)
