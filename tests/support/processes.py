"""Processes that a test has started and left behind, grandchildren in other sessions too."""

import contextlib
import ctypes
import os
import select
import signal
import time
from collections.abc import Iterator
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
SECONDS = 5.0
"""For a process that was killed to be gone; it takes milliseconds."""


def ended(pid: int, seconds: float = SECONDS) -> bool:
    """Whether a process ends within some time; waits for just that."""
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([fd], [], [], seconds)[0])
    finally:
        os.close(fd)


class Growth:
    """How much memory this process took at most within a `with` block, in megabytes.

    Its largest size ever says nothing: an earlier test of the same worker may have needed more.
    """

    def __enter__(self) -> "Growth":
        self._before = _memory("VmRSS")
        Path("/proc/self/clear_refs").write_text("5")  # forgets the largest size so far: proc(5)
        return self

    def __exit__(self, *error: object) -> None:
        self.megabytes = _memory("VmHWM") - self._before


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"{name}:")[2].split()[0]) >> 10


def running() -> dict[int, str]:
    """Children of this process, their children and so on: pid and name; no zombies."""
    names, parents = {}, {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdecimal():
            continue
        with contextlib.suppress(OSError):
            # pid (name) state parent; the name may hold anything
            head, _, tail = (entry / "stat").read_text(errors="replace").rpartition(")")
            state, parent = tail.split()[:2]
            if state not in "ZX":
                pid = int(entry.name)
                names[pid], parents[pid] = head.partition("(")[2], int(parent)
    found: set[int] = set()
    family = {os.getpid()}
    while family:
        family = {pid for pid, parent in parents.items() if parent in family} - found
        found |= family
    return {pid: names[pid] for pid in found}


@contextlib.contextmanager
def none_left(seconds: float = SECONDS) -> Iterator[None]:
    """Fail if a process still runs at the end that did not run at the beginning.

    Orphans become children of this process, whatever session they are in: that is how they are
    found among all the processes of the machine.
    """
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = running()
    yield
    deadline = time.monotonic() + seconds
    left = {
        pid: name
        for pid, name in running().items()
        if pid not in before and not ended(pid, max(deadline - time.monotonic(), 0.0))
    }
    for pid in left:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _bury()
    assert not left, f"still running: {left}"


def _bury() -> None:
    """Take away what is left of orphans that have ended."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
