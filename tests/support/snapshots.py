"""Whole outputs kept as files that a person can open; UPDATE_SNAPSHOTS=1 writes them anew."""

import os
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "unit" / "snapshots"


def check(name: str, text: str) -> None:
    """Compare the text with the file of that name."""
    path = FOLDER / name
    if os.environ.get("UPDATE_SNAPSHOTS"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert path.exists(), f"{name} is new: run with UPDATE_SNAPSHOTS=1 and read the file"
    assert text == path.read_text(encoding="utf-8")
