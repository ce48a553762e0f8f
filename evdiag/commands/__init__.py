"""The commands, in the order of `evdiag --help`. One file and one line here for each."""

from collections.abc import Callable
from typing import Final

from evdiag.commands import (
    backtrace,
    build,
    collect,
    demo,
    doctor,
    gdb,
    logs,
    mqtt,
    run,
    shell,
    status,
    stop,
    symbolize,
    triage,
    watch,
)

COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "doctor": doctor.command,
    "build": build.command,
    "run": run.command,
    "stop": stop.command,
    "status": status.command,
    "logs": logs.command,
    "mqtt": mqtt.command,
    "shell": shell.command,
    "watch": watch.command,
    "collect": collect.command,
    "backtrace": backtrace.command,
    "triage": triage.command,
    "symbolize": symbolize.command,
    "gdb": gdb.command,
    "demo": demo.command,
}
