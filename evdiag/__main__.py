"""`python -m evdiag` and the `evdiag` script."""

import contextlib
import gc
import os
import signal
import sys
from types import FrameType


def collect_rarely() -> None:
    """Look for garbage a hundredth as often: a run makes many objects, and few are garbage."""
    gc.set_threshold(70_000, 10, 10)


def end_in_order() -> None:
    """Let whoever ends evdiag (`timeout`, a closed terminal) end the gdb that it started, too."""

    def leave(received: int, _: FrameType | None) -> None:
        sys.exit(128 + received)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)


def run() -> None:
    """Start evdiag with the process's arguments and exit with its code."""
    collect_rarely()
    end_in_order()
    from evdiag.cli import main  # noqa: PLC0415 - after the line above: imports make most of them

    code = main(sys.argv[1:])
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()
    # Taking the interpreter apart object by object costs 20 ms, and nothing is waiting for it:
    # no thread, no temporary file, no buffer.
    os._exit(code)


if __name__ == "__main__":
    run()
