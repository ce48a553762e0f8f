"""The commands, in the order of `evdiag --help`. One file and one line here for each."""

from collections.abc import Callable
from typing import Final

from evdiag.commands import (
    backtrace,
    build,
    demo,
    doctor,
    gdb,
    logs,
    run,
    stop,
)

COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "doctor": doctor.command,
    "build": build.command,
    "run": run.command,
    "stop": stop.command,
    "logs": logs.command,
    "backtrace": backtrace.command,
    "gdb": gdb.command,
    "demo": demo.command,
}
