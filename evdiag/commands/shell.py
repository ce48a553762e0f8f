"""`evdiag shell`: a shell in a charger, or one command."""

import contextlib
import os
import sys
import uuid
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._charger import NameOption, find_running
from evdiag.errors import ContainerStopped, EvdiagError, ExitCode, UsageError
from evdiag.model.charger import CORES, SERVICE_LOGS, USER

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.model.charger import ContainerFacts

USERS = (USER, "root")
SHELL = ("/bin/bash",)
RUN = ("/bin/bash", "-c", 'exec "$@"', "evdiag")
"""A shell says better than the engine what is wrong with a command."""
TERMINALS = ("xterm", "screen", "tmux", "linux", "vt", "rxvt", "dumb", "ansi")
"""Kinds of terminals that the image knows."""
MARK = "EVDIAG_SHELL"
"""A variable by which the processes of one call are found again."""
HANG_UP = 'grep -lsz "^$1\\$" /proc/[0-9]*/environ | cut -d / -f 3 | xargs -r kill -HUP 2>/dev/null'


def converse(
    engine: "ContainerEngine",
    facts: "ContainerFacts",
    command: Sequence[str],
    *,
    user: str,
    terminal: bool,
) -> int:
    """Run a command in a charger with this process's terminal, or its files; its exit code.

    Raises ContainerStopped, EngineError.
    """
    from evdiag.adapters.docker import terminal as here
    from evdiag.adapters.docker.streams import attach, container_ended

    environment = {MARK: uuid.uuid4().hex, **({"TERM": _terminal_name()} if terminal else {})}
    words = [*RUN, *command] if command else list(SHELL)
    attached = attach(
        engine, facts.id, words, user=user, terminal=terminal, environment=environment
    )
    try:
        code = here.converse(attached) if terminal else here.pipe(attached)
    except here.Ended as ended:
        _hang_up(engine, facts, environment[MARK], user)
        return ended.code
    except (KeyboardInterrupt, BrokenPipeError):
        _hang_up(engine, facts, environment[MARK], user)
        raise
    finally:
        attached.close()
    if container_ended(engine, facts.id, code):
        raise ContainerStopped(f"{facts.name} has ended, and the shell with it")
    return int(ExitCode.BUG) if code is None else code


def _hang_up(engine: "ContainerEngine", facts: "ContainerFacts", mark: str, user: str) -> None:
    """End what was started: the engine leaves it running when nobody listens any more."""
    with contextlib.suppress(EvdiagError):
        engine.run_in(facts.id, ("/bin/sh", "-c", HANG_UP, "sh", f"{MARK}={mark}"), user=user)


def _terminal_name() -> str:
    name = os.environ.get("TERM", "")
    return name if name.startswith(TERMINALS) and name.isprintable() else "xterm-256color"


def welcome(facts: "ContainerFacts", user: str) -> str:
    """Where things are, in one line."""
    return (
        f"{facts.name} as {user}: cores {CORES}, logs {SERVICE_LOGS}, EVerest /opt/everest, "
        f"sources /usr/src/everest; gdb -p PID needs --user {USER}; leave with Ctrl-D"
    )


def command(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- CMD...]", help="What to run; default: a shell.", show_default=False
        ),
    ] = None,
    name: NameOption = None,
    user: Annotated[
        str, typer.Option("--user", "-u", metavar="everest|root", help="Who runs it.")
    ] = "root",
) -> None:
    """A shell in a charger, or a command; its exit code is passed on."""
    from evdiag.adapters.docker.engine import connect
    from evdiag.console import say

    if user not in USERS:
        raise UsageError(f"--user {user!r}: it is everest or root")
    for word in words or ():
        if "\0" in word or not _is_text(word):
            raise UsageError(f"{word!r} is no valid text, and the engine takes no other")
    terminal = sys.stdin is not None and sys.stdin.isatty() and sys.stdout.isatty()
    engine = connect()
    try:
        facts = find_running(engine, name)
        if terminal and not words:
            say(welcome(facts, user))
        code = converse(engine, facts, words or [], user=user, terminal=terminal)
    finally:
        engine.close()
    raise typer.Exit(code)


def _is_text(word: str) -> bool:
    try:
        word.encode()
    except UnicodeEncodeError:
        return False
    return True
