"""What is done with one core, in whatever process."""

import traceback
from pathlib import Path

from evdiag.adapters.content import digest
from evdiag.adapters.files import core_errors
from evdiag.adapters.noted_core import open_noted
from evdiag.analyze.triage.hints import hint_of
from evdiag.errors import EvdiagError
from evdiag.parse.modules import mapped_modules
from evdiag.triage.known import Known
from evdiag.triage.tasks import Answer, Task

NO_MEMORY = "there is not enough memory to look at it"


def perform(task: Task, known: Known) -> Answer:
    """The answer to a task. Whatever is wrong with a core costs that core, and no other."""
    try:
        return _KINDS[task.kind](task, known)
    except EvdiagError as error:
        return Answer(number=task.number, message=str(error), advice=error.advice or None)
    except MemoryError:
        return Answer(number=task.number, message=NO_MEMORY)
    except Exception as error:  # noqa: BLE001 - of a thousand cores each may be damaged in a new way
        where = traceback.extract_tb(error.__traceback__)[-1]
        return Answer(
            number=task.number,
            message=f"evdiag has a bug: {type(error).__name__}: {error}",
            bug=f"{Path(where.filename).name}:{where.lineno}",
        )


def _look(task: Task, _: Known) -> Answer:
    core = open_noted(task.path)
    modules = mapped_modules(core.facts.files, core.memory)
    hint = hint_of(core.facts, core.memory, modules, core.executable)
    return Answer(number=task.number, hint=hint)


def _trace(task: Task, known: Known) -> Answer:
    """By what is known of the content, or by a look at the stack."""
    content = task.content
    if content is None:
        with core_errors(task.path):
            content, identity = digest(task.path)
        if identity is not None:
            known.cache.remember(identity, content)
    crash = known.crash(task.path, content, task.options)
    was_known = crash is not None
    if crash is None:
        crash = known.traced(task.path, content, task.options)
    return Answer(number=task.number, content=content, crash=crash, known=was_known)


def _report(task: Task, known: Known) -> Answer:
    reported, was_known = known.report(task.path, task.content or "", task.options)
    return Answer(number=task.number, reported=reported, known=was_known)


_KINDS = {"look": _look, "trace": _trace, "report": _report}
