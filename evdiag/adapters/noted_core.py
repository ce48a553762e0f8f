"""A core, and the note that the core writer left beside it."""

from pathlib import Path

import msgspec

from evdiag.adapters.files import load_core, load_note
from evdiag.analyze.captured import Agreed, agreed, unusable, with_arguments
from evdiag.model.core import CoreFacts, StartupFacts
from evdiag.model.incident import NOTE_SUFFIX, CaptureNote
from evdiag.model.report import SoftError
from evdiag.parse.memory import Memory
from evdiag.parse.startup import executable_path, read_startup


class NotedCore(msgspec.Struct, frozen=True, kw_only=True):
    """A core with the note beside it, and what both say of the process."""

    facts: CoreFacts
    memory: Memory
    note: CaptureNote | None
    problems: tuple[SoftError, ...]
    startup: StartupFacts
    executable: str | None


def open_noted(path: Path) -> NotedCore:
    """Open a core, and use of its note what it does not contradict. Raises CoreError."""
    data, facts = load_core(path)
    noted = _noted_beside(path, facts)
    facts, note = noted.facts, noted.note
    memory = Memory(data, facts)
    startup = read_startup(facts, memory)
    executable = executable_path(facts, memory)
    if note is not None:
        startup = with_arguments(startup, note)
        executable = executable or note.executable
    return NotedCore(
        facts=facts,
        memory=memory,
        note=note,
        problems=noted.problems,
        startup=startup,
        executable=executable,
    )


def _noted_beside(path: Path, facts: CoreFacts) -> Agreed:
    """What the core writer noted of a core, as far as the core does not contradict it."""
    note = load_note(path)
    source = f"{path.name}{NOTE_SUFFIX}"
    if isinstance(note, CaptureNote):
        return agreed(note, source, facts)
    # Another program's file of that name need not be mentioned.
    broken = note is not None and not note.is_foreign
    problems = (unusable(source, note.reason),) if note is not None and broken else ()
    return Agreed(note=None, facts=facts, problems=problems)
