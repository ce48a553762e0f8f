"""Folders for the moment: for what is unpacked, collected or fetched, and is large."""

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from evdiag.adapters.host import cache_directory
from evdiag.errors import OutputNotWritten

SCRATCH = "unpacked"
"""The folder in the cache directory where they are."""
BEGINS = "evdiag-"
JUST_MADE = 60.0
"""Seconds in which a folder may not be locked yet."""


@contextlib.contextmanager
def scratch(kind: str, failure: str) -> Iterator[Path]:
    """A folder of our own, gone at the end; what killed processes left goes too.

    It is below $TMPDIR, else below the user's cache directory: /tmp is often memory. `failure` says
    what cannot be done without it. Raises OutputNotWritten.
    """
    try:
        folder = _made(f"{BEGINS}{kind}-")
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(fd, fcntl.LOCK_SH)
    except OSError as error:
        raise OutputNotWritten(
            f"{failure}: {error.strerror} ({error.filename})",
            advice="Set TMPDIR to a folder that can be written.",
        ) from None
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(fd)


def _made(prefix: str) -> Path:
    if not os.environ.get("TMPDIR"):
        above = cache_directory() / SCRATCH
        with contextlib.suppress(OSError):  # a user without a place for caches has one for files
            above.mkdir(parents=True, exist_ok=True, mode=0o700)
            _sweep(above)
            return Path(tempfile.mkdtemp(prefix=prefix, dir=above))
    return Path(tempfile.mkdtemp(prefix=prefix))


def _sweep(above: Path) -> None:
    """Remove what nobody has a lock on."""
    for folder in above.glob(f"{BEGINS}*"):
        with contextlib.suppress(OSError):
            if time.time() - folder.stat().st_mtime < JUST_MADE:
                continue
            fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(fd)
