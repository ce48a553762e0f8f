"""What gdb is asked about a report, and how its answer gets into it.

Values belong to frames by program counter: the stacks are ours, gdb's are only compared with
them. Where both differ, ours stay and gdb's stand beside them.
"""

import re
from collections.abc import Sequence

import msgspec

from evdiag.analyze.frames import crash_frame, is_in_app
from evdiag.analyze.redact import redacted
from evdiag.analyze.spelling import same_spelling, same_text
from evdiag.model.report import Address, Frame, Report, SoftError, Thread, Variable
from evdiag.model.values import BadPointer, Document, ReadFrame, ReadThread, ReadVariable, Request

WHICH = ("crash", "all", "none")
"""Whose values are wanted: of the crashed thread, of all threads, of none."""
MOST_FRAMES = 64
MOST_NAMES = 24
MOST_TAIL_CALLS = 8
_IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_MEMORY_ACCESS = ("read", "write")


def request_for(report: Report, which: str, *, unwound: bool) -> Request | None:
    """What to ask gdb; None if there is nothing to ask about.

    `unwound` tells whether our own engine can unwind the core's machine.
    """
    crashed = report.crashed
    if which == "none" or crashed is None or crashed.lwp is None:
        return None
    lwps = None if which == "all" or not unwound else (crashed.lwp,)
    frame = crash_frame(crashed.frames)
    return Request(
        lwps=lwps,
        values=None if which == "all" else (crashed.lwp,),
        frames=MOST_FRAMES,
        places=not unwound or _lacks_places(crashed),
        pointees=(int(frame.pc),) if frame is not None and frame.pc is not None else (),
        names=names_on_line(frame),
        fault=_fault(report),
    )


def stacks_request(request: Request, lwps: tuple[int, ...]) -> Request:
    """The same for the whole stacks of some threads, without values."""
    return msgspec.structs.replace(request, lwps=lwps, values=(), places=True, fault=None)


def names_on_line(frame: Frame | None) -> tuple[str, ...]:
    """Identifiers of the source line of the crash, and `this`."""
    text = next((line.text for line in frame.source if line.current), "") if frame else ""
    found = dict.fromkeys(("this", *_IDENTIFIER.findall(text.partition("//")[0])))
    return tuple(found)[:MOST_NAMES]


def _lacks_places(thread: Thread) -> bool:
    """Whether a frame of the application has no line: gdb may read what we cannot."""
    return any(f.in_app and not f.line for f in thread.frames)


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
    """Whether the crashed thread's stack, or its names, are gdb's."""


def attach(report: Report, document: Document, *, unwound: bool) -> Attached:
    """Put values, and what else gdb knows better, into the report."""
    answers = {thread.lwp: thread for thread in document.threads}
    threads: list[Thread] = []
    differing: list[int] = []
    from_gdb = False
    for thread in report.threads:
        answer = answers.get(thread.lwp or 0)
        if answer is None or not answer.frames:
            threads.append(thread)
            continue
        if not unwound and len(_physical(answer.frames)) > len(_physical(thread.frames)):
            merged, agrees, filled = _adopted(thread, answer), True, True
        else:
            merged, agrees, filled = _merged(thread, answer)
        if not agrees and thread.lwp is not None:
            differing.append(thread.lwp)
        from_gdb = from_gdb or (filled and thread.crashed)
        threads.append(merged)
    enriched = msgspec.structs.replace(report, threads=tuple(threads))
    return Attached(
        report=_with_evidence(enriched, answers),
        differing=tuple(differing),
        stacks_from_gdb=from_gdb,
    )


def with_gdb_stacks(report: Report, document: Document) -> Report:
    """Keep gdb's stacks of threads on which it does not agree, and say so."""
    answers = {thread.lwp: thread for thread in document.threads}
    threads, errors = [], list(report.soft_errors)
    for thread in report.threads:
        answer = answers.get(thread.lwp or 0)
        at = _differs_at(thread, answer) if answer and answer.frames else None
        if answer and at is not None:
            thread = msgspec.structs.replace(thread, gdb_frames=_frames_of(answer, report))
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


# ---------------------------------------------------------------- frame by frame


def _physical(frames: Sequence[ReadFrame | Frame]) -> list[list[int]]:
    """Indices of frames that belong together: inlined calls and the function around them."""
    groups: list[list[int]] = []
    inner: list[int] = []
    for i, frame in enumerate(frames):
        inner.append(i)
        if frame.kind not in ("inline", "tailcall"):
            groups.append(inner)
            inner = []
    return [*groups, inner] if inner else groups


class _Compared(msgspec.Struct, frozen=True):
    """Our stack of a thread beside gdb's, as far as they have the same program counters."""

    pairs: tuple[tuple[list[int], list[int]], ...]
    """Indices of our frames, and of gdb's, of the same function."""
    differs_at: int | None = None
    """Level of our first frame that gdb sees in another way."""


def _compare(thread: Thread, theirs: Sequence[ReadFrame], *, more: bool) -> _Compared:
    pairs: list[tuple[list[int], list[int]]] = []
    ours, others = _physical(thread.frames), _physical(theirs)
    i = j = 0
    while i < len(ours) and j < len(others):
        if thread.frames[ours[i][-1]].pc == theirs[others[j][-1]].pc:
            pairs.append((ours[i], others[j]))
            i += 1
        elif not _is_tail_call(theirs, others, j, thread.frames[ours[i][-1]].pc):
            break
        j += 1
    ended_together = i == len(ours) and (j == len(others) or more)
    cut_short = more and j == len(others)
    # Behind a recursion that was folded there is nothing to compare.
    if ended_together or cut_short or thread.folds or thread.omitted or not thread.frames:
        return _Compared(tuple(pairs))
    level = thread.frames[ours[i][0]].level if i < len(ours) else thread.frames[-1].level + 1
    return _Compared(tuple(pairs), level)


def _differs_at(thread: Thread, answer: ReadThread) -> int | None:
    return _compare(thread, _without_tail_calls(answer), more=answer.more).differs_at


def _is_tail_call(
    theirs: Sequence[ReadFrame], groups: list[list[int]], at: int, pc: int | None
) -> bool:
    """Whether gdb shows a call that left no frame behind, without saying so (plain commands)."""
    ahead = groups[at + 1 : at + 1 + MOST_TAIL_CALLS]
    return theirs[groups[at][-1]].kind == "unknown" and any(
        theirs[group[-1]].pc == pc for group in ahead
    )


def _without_tail_calls(answer: ReadThread) -> list[ReadFrame]:
    """gdb also shows calls that left no frame behind."""
    return [frame for frame in answer.frames if frame.kind != "tailcall"]


def _merged(thread: Thread, answer: ReadThread) -> tuple[Thread, bool, bool]:
    """(thread with values, whether gdb agrees, whether it filled in names)."""
    frames, theirs = list(thread.frames), _without_tail_calls(answer)
    compared = _compare(thread, theirs, more=answer.more)
    filled = False
    for own, other in compared.pairs:
        # Both see the function itself; of inlined calls one of them may know more.
        for i, j in zip(reversed(own), reversed(other), strict=False):
            frames[i], named = _with_values(frames[i], theirs[j])
            filled = filled or named
    merged = msgspec.structs.replace(thread, frames=tuple(frames))
    return merged, compared.differs_at is None, filled


def _with_values(frame: Frame, read: ReadFrame) -> tuple[Frame, bool]:
    args, variables = _variables(read.args), _variables(read.locals)
    frame = msgspec.structs.replace(frame, args=args, locals=variables)
    if read.function is None or (frame.function and frame.line):
        return frame, False
    if frame.function is not None and read.line is None:
        return frame, False
    named = msgspec.structs.replace(
        frame,
        function=frame.function or read.function,
        file=frame.file or read.file,
        line=frame.line or read.line,
    )
    in_app = is_in_app(named.module, named.file)
    return msgspec.structs.replace(named, in_app=in_app), named != frame


def _variables(read: Sequence[ReadVariable]) -> tuple[Variable, ...]:
    return tuple(
        redacted(
            Variable(
                name=variable.name,
                type=same_spelling(variable.type) if variable.type else None,
                value=same_text(variable.value) if variable.value else variable.value,
                problem=variable.problem,
            )
        )
        for variable in read
    )


def _adopted(thread: Thread, answer: ReadThread) -> Thread:
    """gdb's stack in place of ours, where ours cannot be unwound."""
    known = {frame.pc: frame for frame in thread.frames if frame.kind != "inline"}
    frames = [
        _as_frame(read, level, known.get(Address(read.pc)) if read.kind != "inline" else None)
        for level, read in enumerate(_without_tail_calls(answer))
    ]
    return msgspec.structs.replace(
        thread, frames=tuple(frames), ended=answer.ended, folds=(), omitted=0
    )


def _frames_of(answer: ReadThread, report: Report) -> tuple[Frame, ...]:
    frames = (_as_frame(read, level, None) for level, read in enumerate(answer.frames))
    return tuple(_placed(frame, report) for frame in frames)


def _as_frame(read: ReadFrame, level: int, known: Frame | None) -> Frame:
    base = known or Frame(level=level)
    made = msgspec.structs.replace(
        base,
        level=level,
        kind=read.kind,
        pc=Address(read.pc),
        function=read.function or base.function,
        file=read.file or base.file,
        line=read.line or base.line,
        args=_variables(read.args),
        locals=_variables(read.locals),
        trust="gdb",
    )
    return msgspec.structs.replace(made, in_app=is_in_app(made.module, made.file))


def _placed(frame: Frame, report: Report) -> Frame:
    """The frame with the module that its address lies in."""
    pc = frame.pc or 0
    for module in report.modules:
        if module.base is not None and module.end is not None and module.base <= pc < module.end:
            placed = msgspec.structs.replace(frame, module=module.path, build_id=module.build_id)
            return msgspec.structs.replace(placed, in_app=is_in_app(placed.module, placed.file))
    return frame


# ---------------------------------------------------------------- the pointer that was bad


def _with_evidence(report: Report, answers: dict[int, ReadThread]) -> Report:
    """Name the null pointer and the member behind the fault, if gdb found them."""
    crashed = report.crashed
    answer = answers.get(crashed.lwp or 0) if crashed else None
    if crashed is None or answer is None:
        return report
    found = [pointer for frame in answer.frames for pointer in frame.members]
    frame = next(iter(crashed.frames), None)
    best = best_pointer(found, names_on_line(frame if frame and frame.source else None))
    if best is None:
        return report
    verdict = report.verdict
    evidence = (*verdict.evidence, _sentence(best))
    return msgspec.structs.replace(
        report, verdict=msgspec.structs.replace(verdict, evidence=evidence)
    )


def best_pointer(found: Sequence[BadPointer], names: Sequence[str]) -> BadPointer | None:
    """The one that a person would name: null, on the source line, with few steps to it."""
    wanted = set(names) - {"this"}

    def rank(pointer: BadPointer) -> tuple[bool, int, int]:
        words = _IDENTIFIER.findall(f"{pointer.expression} {pointer.member}")
        return pointer.address != 0, -len(wanted.intersection(words)), len(words)

    return min(found, key=rank, default=None)


def _sentence(pointer: BadPointer) -> str:
    kind = same_spelling(pointer.type)
    value = "null" if pointer.address == 0 else hex(pointer.address)
    return (
        f"`{pointer.expression}` is {value} (`{kind}`): the fault is at offset "
        f"{pointer.offset:#x} behind it, its member `{pointer.member}`"
    )
