"""The full output of one build, in a file that stays."""

import contextlib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from evdiag.adapters.host import cache_directory
from evdiag.errors import OutputNotWritten

KEPT = 20
"""Logs that stay; one of a whole build has some hundred kilobytes."""


def open_build_log() -> tuple[Path, TextIO]:
    """A new log for its owner's eyes only; the oldest ones go. Raises OutputNotWritten."""
    folder = cache_directory() / "build"
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H-%M-%S.%fZ")
    path = folder / f"{stamp}.log"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o600), "w", buffering=1, errors="replace")
    except OSError as error:
        raise OutputNotWritten(
            f"the build's log {path} cannot be written: {error.strerror}",
            advice="Name another folder for it with EVDIAG_CACHE.",
        ) from None
    for old in sorted(folder.glob("*.log"))[:-KEPT]:
        with contextlib.suppress(OSError):
            old.unlink()
    return path, file
