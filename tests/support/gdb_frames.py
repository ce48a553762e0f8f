"""Runs inside gdb: writes the frames of all threads of the loaded core as JSON.

Standard library only: this is the Python that gdb was built with. Parameters come from the
environment: ORACLE_OUT is the file to write, ORACLE_FRAMES the number of frames per thread
after which a stack is cut.
"""

from __future__ import annotations

import importlib
import json
import os
from pathlib import Path
from types import ModuleType
from typing import Any

gdb: ModuleType = importlib.import_module("gdb")

KINDS = {
    gdb.NORMAL_FRAME: "normal",
    gdb.INLINE_FRAME: "inline",
    gdb.SIGTRAMP_FRAME: "sigtramp",
    gdb.TAILCALL_FRAME: "tailcall",
}


def describe(frame: Any) -> dict[str, Any]:  # noqa: ANN401 (gdb has no types)
    """Return what gdb knows of one frame."""
    place = frame.find_sal()
    source = place.symtab.filename if place.symtab else None
    return {
        "pc": frame.pc(),
        "function": frame.name(),
        "file": Path(source).name if source else None,
        "line": place.line if source else 0,
        "kind": KINDS.get(frame.type(), "other"),
    }


def walk(limit: int) -> dict[str, Any]:
    """Return the frames of the selected thread, innermost first, and why they end."""
    frames: list[dict[str, Any]] = []
    stop = ""
    try:
        frame = gdb.newest_frame()
        while frame is not None and len(frames) < limit:
            frames.append(describe(frame))
            stop = gdb.frame_stop_reason_string(frame.unwind_stop_reason())
            frame = frame.older()
    except gdb.error as error:
        stop = str(error)
    return {"frames": frames, "stop": stop}


def main() -> None:
    """Walk all threads, the one that crashed first, and write them to the file."""
    crashed = gdb.selected_thread()
    limit = int(os.environ["ORACLE_FRAMES"])
    threads = []
    for thread in sorted(gdb.selected_inferior().threads(), key=lambda one: one.num):
        thread.switch()
        facts = {"lwp": thread.ptid[1], "crashed": thread.num == crashed.num}
        threads.append({**facts, **walk(limit)})
    threads.sort(key=lambda one: not one["crashed"])
    Path(os.environ["ORACLE_OUT"]).write_text(json.dumps(threads))


main()
