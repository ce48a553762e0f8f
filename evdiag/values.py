"""Stage 2: values of variables, from gdb, into a finished report.

Every failure of gdb is a note in the report, which stays what it was before.
"""

import time
from collections.abc import Iterator, Sequence

import msgspec

from evdiag.adapters.gdb.debugger import Answer, Debugger, Sitting
from evdiag.adapters.gdb.scene import Scene
from evdiag.adapters.gdb.sets import FileMarks, FileSet
from evdiag.adapters.value_cache import Asked, Remembered, ValueCache
from evdiag.analyze import values
from evdiag.errors import GdbError
from evdiag.model.report import Provenance, Report, SoftError
from evdiag.model.values import Request


def add_values(
    report: Report, scene: Scene, debugger: Asked, which: str
) -> tuple[Report, GdbError | None]:
    """The report with values of the crashed thread's variables, of all threads', or none.

    The second part is what went wrong, for those who insist on values.
    """
    unwound = scene.machine.unwinds
    request = values.request_for(report, which, unwound=unwound, missing=scene.missing)
    if request is None:
        return report, None
    clock, wall = time.process_time(), time.monotonic()
    try:
        answer = debugger.values(scene, request)
    except GdbError as error:
        return _without(report, error), error
    attached = values.attach(report, answer.document, unwound=unwound)
    enriched = attached.report
    if attached.differing:
        enriched = _with_both_stacks(enriched, scene, debugger, request, attached.differing)
    errors = values.value_errors(answer.document, python=answer.python)
    timings = {
        **report.provenance.timings,
        "values": round(time.process_time() - clock, 6),
        "gdb (waited)": round(time.monotonic() - wall, 6),
    }
    return msgspec.structs.replace(
        enriched,
        soft_errors=(*enriched.soft_errors, *_notes(answer), *errors),
        provenance=_provenance(report.provenance, answer, timings, attached.stacks_from_gdb),
    ), None


Enriched = tuple[Report, GdbError | None]


def add_values_to_many(
    items: Sequence[tuple[Report, Scene]],
    debugger: Debugger,
    which: str,
    *,
    contents: Sequence[str | None] | None = None,
    cache: ValueCache | None = None,
) -> Iterator[Enriched]:
    """`add_values` for many cores, in the order given: one gdb for all cores of the same files.

    A core that its gdb does not survive, or not in time, loses its own values and no others. The
    gdb of a set is there until the last of its cores was yielded, or the iterator is closed.
    `contents` are digests of the cores: what the cache knows of a core is not asked again.
    """
    files = FileMarks()
    digests = contents if contents is not None else [None] * len(items)
    sets: dict[FileSet, list[int]] = {}
    for i, (_, scene) in enumerate(items):
        sets.setdefault(files.set_of(scene), []).append(i)
    done: dict[int, Enriched] = {}
    following = 0
    for numbers in sets.values():
        with debugger.sitting() as sitting:
            for i in numbers:
                asked: Sitting | Remembered = sitting
                if cache is not None and (digest := digests[i]) is not None:
                    asked = Remembered(cache, files, digest, debugger, sitting)
                done[i] = add_values(*items[i], asked, which)
                while following in done:
                    yield done.pop(following)
                    following += 1


def _with_both_stacks(
    report: Report,
    scene: Scene,
    debugger: Asked,
    request: Request,
    lwps: tuple[int, ...],
) -> Report:
    """Ask for functions and lines of the stacks on which gdb does not agree, and keep them."""
    try:
        answer = debugger.values(scene, values.stacks_request(request, lwps))
    except GdbError as error:
        return _without(report, error, "gdb sees other stacks, which are not in the report")
    return values.with_gdb_stacks(report, answer.document)


def _without(
    report: Report, error: GdbError, effect: str = "the report has no values of variables"
) -> Report:
    note = SoftError(stage="values", message=str(error), effect=effect, hint=error.advice or None)
    return msgspec.structs.replace(report, soft_errors=(*report.soft_errors, note))


def _notes(answer: Answer) -> tuple[SoftError, ...]:
    return tuple(
        SoftError(stage="values", message=text, effect="another way was taken")
        for text in answer.notes
    )


def _provenance(
    known: Provenance, answer: Answer, timings: dict[str, float], stacks_from_gdb: bool
) -> Provenance:
    way = "gdb" if answer.python else "mi"
    rung = f"native+{way}" if known.rung == "native" else known.rung
    return msgspec.structs.replace(
        known,
        gdb=answer.gdb,
        gdb_place=answer.place,
        rung=way if stacks_from_gdb else rung,
        timings=timings,
    )
