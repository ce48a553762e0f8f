"""The cores in a charger: each with what the core writer noted of the crash."""

import re

from evdiag.model.incident import CaptureNote
from evdiag.model.signals import signal_name
from evdiag.model.status import Core
from evdiag.parse.capture_note import read_note
from evdiag.parse.startup import module_identity
from evdiag.parse.status import Cores, File

WRITING_SECONDS = 60.0
"""After that the core writer cuts a core off (EVDIAG_CAPTURE_SECONDS)."""
_PART = re.compile(r"\.(core\..*?)(?:\.json)?\.part")


def cores_of(found: Cores, now: float | None) -> tuple[tuple[Core, ...], bool]:
    """The cores, the newest first, and whether these are all.

    Without a time the container has ended: nothing is being written any more.
    """
    notes: dict[str, CaptureNote] = {}
    for note in found.notes:
        read = read_note(note.text.encode("utf-8", "replace")) if note.text else None
        if isinstance(read, CaptureNote):
            notes[note.name.removesuffix(".json")] = read
    cores = []
    for file in found.files:
        if file.name.endswith(".json.part"):
            continue
        cores.append(_core(file, notes.pop(file.name, None), now))
    cores += [_without_core(name, note) for name, note in notes.items() if not note.core]
    cores.sort(key=lambda core: (core.time or 0.0, core.name), reverse=True)
    return tuple(cores), not found.left_out and len(found.notes) >= found.note_count


def _core(file: File, note: CaptureNote | None, now: float | None) -> Core:
    part = _PART.fullmatch(file.name)
    if part is not None:
        young = now is not None and now - (file.time or 0.0) < WRITING_SECONDS
        error = "" if young else "its writer was ended before it was done"
        state = "writing" if young else "truncated"
        return Core(name=file.name, size=file.size, disk=file.disk, time=file.time, state=state,
                    error=error, process=_process_of(part[1]))  # fmt: skip
    state = "empty" if file.size == 0 else "complete"
    if note is None:
        return Core(name=file.name, size=file.size, disk=file.disk, time=file.time, state=state,
                    process=_process_of(file.name))  # fmt: skip
    return Core(
        name=file.name,
        size=file.size,
        disk=file.disk,
        time=note.crashed_at or file.time,
        state="truncated" if note.truncated and file.size else state,
        signal=signal_name(note.signal),
        process=_process(note) or _process_of(file.name),
        error=note.error or "",
    )


def _without_core(name: str, note: CaptureNote) -> Core:
    return Core(
        name=f"{name}.json",
        time=note.crashed_at,
        state="none",
        signal=signal_name(note.signal),
        process=_process(note) or _process_of(name),
        error=note.error or "no core was written",
    )


def _process(note: CaptureNote) -> str:
    named = module_identity(note.argv, {}, note.executable)
    if named is not None:
        return f"{named.id}:{named.type}" if named.type else named.id
    return (note.comm or "") if note.argv == () else note.argv[0].rpartition("/")[2]


def _process_of(name: str) -> str:
    """The name in `core.NAME.PID.TIME`."""
    match = re.fullmatch(r"core\.(.+)\.\d+\.\d+", name)
    return match[1] if match else ""
