"""The commands, in the order of `evdiag --help`. One file and one line here for each."""

from collections.abc import Callable
from typing import Final

from evdiag.commands import backtrace, demo

COMMANDS: Final[dict[str, Callable[..., None]]] = {
    "backtrace": backtrace.command,
    "demo": demo.command,
}
