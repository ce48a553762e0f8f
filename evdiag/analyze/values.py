"""What gdb is asked about a report, and how its answer gets into it.

Values belong to frames by program counter: the stacks are ours, gdb's are only compared with
them. Where both differ, ours stay and gdb's stand beside them.
"""

import re

import msgspec

from evdiag.analyze.frames import crash_frame
from evdiag.analyze.gdbstacks import adopted, differs_at, frames_of, merged
from evdiag.analyze.verdict_values import (
    asserted_paths,
    names_on_line,
    thrown_objects,
    with_values,
)
from evdiag.model.report import Instruction, Report, SoftError, Thread
from evdiag.model.values import Document, Request

MOST_FRAMES = 64
_SYMBOL = re.compile(r"<\S.*>$")
"""What gdb writes behind an address: the symbol there, or before it."""
_MEMORY_ACCESS = ("read", "write")


def request_for(
    report: Report, which: str, *, unwound: bool, missing: tuple[tuple[int, int], ...] = ()
) -> Request | None:
    """What to ask gdb; None if there is nothing to ask about.

    `unwound` tells whether our own engine can unwind the core's machine, `missing` which memory
    nobody has.
    """
    crashed = report.crashed
    if which == "none" or crashed is None or crashed.lwp is None:
        return None
    lwps = None if which == "all" or not unwound else (crashed.lwp,)
    frame = crash_frame(crashed.frames)
    top = crashed.frames[0].pc if crashed.frames else None
    paths, paths_at = asserted_paths(report)
    return Request(
        lwps=lwps,
        crashed=crashed.lwp,
        pc=None if top is None else int(top),
        missing=missing,
        values=None if which == "all" else (crashed.lwp,),
        frames=MOST_FRAMES,
        places=not unwound or _lacks_places(crashed),
        pointees=(int(frame.pc),) if frame is not None and frame.pc is not None else (),
        names=names_on_line(frame),
        instructions=_span(report),
        fault=_fault(report),
        objects=thrown_objects(report),
        paths=paths,
        paths_at=paths_at,
    )


def stacks_request(request: Request, lwps: tuple[int, ...]) -> Request:
    """The same for the whole stacks of some threads, without values."""
    return msgspec.structs.replace(
        request,
        lwps=lwps,
        values=(),
        crashed=lwps[0],
        pc=None,
        places=True,
        fault=None,
        instructions=None,
        objects=(),
        paths=(),
    )


def _lacks_places(thread: Thread) -> bool:
    """Whether a frame of the application has no line: gdb may read what we cannot."""
    return any(f.in_app and not f.line for f in thread.frames)


def _span(report: Report) -> tuple[int, int] | None:
    lines = report.disassembly
    return (int(lines[0].address), int(lines[-1].address)) if lines else None


def _fault(report: Report) -> int | None:
    signal = report.signal
    if signal is None or signal.access not in _MEMORY_ACCESS:
        return None
    address = signal.adjusted_address
    address = signal.fault_address if address is None else address
    return None if address is None else int(address)


# ---------------------------------------------------------------- the answer


class Attached(msgspec.Struct, frozen=True, kw_only=True):
    """The report with gdb's values in it."""

    report: Report
    differing: tuple[int, ...] = ()
    """Threads (LWP) whose stack gdb sees in another way."""
    stacks_from_gdb: bool = False
    """Whether frames of the crashed thread, or their names, are gdb's."""


def attach(report: Report, document: Document, *, unwound: bool) -> Attached:
    """Put values, and what else gdb knows better, into the report."""
    answers = {thread.lwp: thread for thread in document.threads}
    threads: list[Thread] = []
    differing: list[int] = []
    filled = 0
    for thread in report.threads:
        answer = answers.get(thread.lwp or 0)
        if answer is None or not answer.frames:
            threads.append(thread)
            continue
        both = merged(thread, answer) if unwound else adopted(thread, answer, report.modules)
        if not both.agrees and thread.lwp is not None:
            differing.append(thread.lwp)
        filled += both.filled if thread.crashed else 0
        threads.append(both.thread)
    enriched = msgspec.structs.replace(report, threads=tuple(threads))
    if filled:
        enriched = _named_by_gdb(enriched, filled)
    enriched = _with_symbols(enriched, dict(document.instructions))
    return Attached(
        report=with_values(enriched, document, answers),
        differing=tuple(differing),
        stacks_from_gdb=filled > 0,
    )


def _named_by_gdb(report: Report, filled: int) -> Report:
    """Look for the frame of the crash once more, and say whose names these are."""
    crashed = report.crashed
    frame = crash_frame(crashed.frames) if crashed else None
    note = SoftError(
        stage="symbols",
        message=f"functions or lines of {filled} frames are gdb's",
        effect="evdiag could not read them by itself (split DWARF, another machine, no symbolic)",
    )
    return msgspec.structs.replace(
        report,
        verdict=msgspec.structs.replace(report.verdict, frame=frame.level if frame else None),
        soft_errors=(*(e for e in report.soft_errors if e.stage != "unwind"), note),
    )


def _with_symbols(report: Report, lines: dict[int, str]) -> Report:
    """Say behind each instruction what gdb knows of the address in it: `<abort@plt>`."""

    def named(instruction: Instruction) -> Instruction:
        match = _SYMBOL.search(lines.get(int(instruction.address), ""))
        if match is None or match[0] in instruction.text:
            return instruction
        return msgspec.structs.replace(instruction, text=f"{instruction.text}  {match[0]}")

    return msgspec.structs.replace(report, disassembly=tuple(map(named, report.disassembly)))


def with_gdb_stacks(report: Report, document: Document) -> Report:
    """Keep gdb's stacks of threads on which it does not agree, and say so."""
    answers = {thread.lwp: thread for thread in document.threads}
    threads, errors = [], list(report.soft_errors)
    for thread in report.threads:
        answer = answers.get(thread.lwp or 0)
        at = differs_at(thread, answer) if answer and answer.frames else None
        if answer and at is not None:
            frames = frames_of(answer, report.modules)
            thread = msgspec.structs.replace(thread, gdb_frames=frames)
            errors.append(
                SoftError(
                    stage="stacks",
                    message=f"gdb sees another stack of LWP {thread.lwp} from frame {at} on",
                    effect="both are in the report; values belong to the frames above it",
                )
            )
        threads.append(thread)
    return msgspec.structs.replace(report, threads=tuple(threads), soft_errors=tuple(errors))


def value_errors(document: Document, *, python: bool) -> tuple[SoftError, ...]:
    """What was cut or skipped."""
    found: list[SoftError] = []

    def note(message: str, effect: str, hint: str | None = None) -> None:
        found.append(SoftError(stage="values", message=message, effect=effect, hint=hint))

    if document.late:
        note(
            f"the time for values was over: {document.late} were not read",
            "those of outer frames are missing",
            "give it more with --gdb-timeout",
        )
    if document.slow:
        note(
            f"gdb came to no end with {document.slow} of the values",
            "they are left out; such values are often corrupt",
        )
    if document.cut:
        note(f"long values were cut: {document.cut}", "only their beginning is in the report")
    if not python:
        note(
            "this gdb has no Python",
            "containers are shown by their members",
            "install the full gdb, or `pip install 'evdiag[gdb]'`",
        )
    return tuple(found)
