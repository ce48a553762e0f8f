"""This machine: its clock and its environment."""

import os
from datetime import UTC, datetime
from pathlib import Path


def now() -> str:
    """The current time in UTC, as in the report."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def cache_directory() -> Path:
    """Where symbol caches are kept: $EVDIAG_CACHE, else evdiag in the user's cache directory."""
    own = os.environ.get("EVDIAG_CACHE")
    if own:
        return Path(own)
    base = os.environ.get("XDG_CACHE_HOME")
    root = Path(base) if base and Path(base).is_absolute() else Path.home() / ".cache"
    return root / "evdiag"
