"""gdb's stack of a thread beside ours: values by program counter, and names where we have none."""

from collections.abc import Sequence

import msgspec

from evdiag.analyze.frames import is_in_app
from evdiag.analyze.spelling import same_spelling, same_text
from evdiag.model.report import Address, Frame, Module, Thread, Variable
from evdiag.model.values import ReadFrame, ReadThread, ReadVariable

MOST_TAIL_CALLS = 8
"""Calls without a frame of their own between two frames."""


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


class Merged(msgspec.Struct, frozen=True, kw_only=True):
    """One thread, ours and gdb's."""

    thread: Thread
    agrees: bool = True
    """Whether gdb sees the same stack."""
    filled: int = 0
    """Frames whose function or line are gdb's."""


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


def differs_at(thread: Thread, answer: ReadThread) -> int | None:
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
    """gdb also shows calls that left no frame behind, and at the end a caller of nothing."""
    frames = [frame for frame in answer.frames if frame.kind != "tailcall"]
    while frames and frames[-1].pc == 0 and len(frames) > 1:
        frames.pop()
    return frames


def merged(thread: Thread, answer: ReadThread) -> Merged:
    """Our stack with gdb's values, and with the names that only gdb knows."""
    theirs = _without_tail_calls(answer)
    compared = _compare(thread, theirs, more=answer.more)
    new: dict[int, list[Frame]] = {}
    """By index of our frames: what stands in their place."""
    filled = 0
    for own, other in compared.pairs:
        # Both see the function itself; of inlined calls one of them may know more.
        for i, j in zip(reversed(own), reversed(other), strict=False):
            frame, named = _with_values(thread.frames[i], theirs[j])
            new[i] = [frame]
            filled += named
        if named_by_gdb_alone(thread, own):
            around = thread.frames[own[0]]
            inlined = [_as_frame(theirs[j], 0, around) for j in other[:-1] if theirs[j].function]
            new[own[0]] = inlined + new[own[0]]
    frames = [f for i, known in enumerate(thread.frames) for f in new.get(i, [known])]
    if len(frames) > len(thread.frames):
        frames = [msgspec.structs.replace(f, level=level) for level, f in enumerate(frames)]
    return Merged(
        thread=msgspec.structs.replace(thread, frames=tuple(frames)),
        agrees=compared.differs_at is None,
        filled=filled,
    )


def named_by_gdb_alone(thread: Thread, own: Sequence[int]) -> bool:
    """Whether we know neither line nor inlined calls of a frame (split DWARF)."""
    whole = not (thread.folds or thread.omitted)  # else levels are not counted from 0
    return whole and len(own) == 1 and not thread.frames[own[0]].line


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
    return tuple(map(as_variable, read))


def as_variable(read: ReadVariable) -> Variable:
    """gdb's answer as the report has it: spelled in one way."""
    return Variable(
        name=read.name,
        type=same_spelling(read.type) if read.type else None,
        value=same_text(read.value) if read.value else read.value,
        problem=read.problem,
    )


def adopted(thread: Thread, answer: ReadThread, modules: Sequence[Module]) -> Merged:
    """gdb's stack in place of ours, where ours cannot be unwound."""
    known = {frame.pc: frame for frame in thread.frames if frame.kind != "inline"}
    theirs = _without_tail_calls(answer)
    if len(_physical(theirs)) <= len(_physical(thread.frames)):
        return msgspec.structs.replace(merged(thread, answer), agrees=True)
    frames = [
        _placed(_as_frame(read, level, known.get(Address(read.pc))), modules)
        for level, read in enumerate(theirs)
    ]
    return Merged(
        thread=msgspec.structs.replace(
            thread, frames=tuple(frames), ended=answer.ended, folds=(), omitted=0
        ),
        filled=len(frames),
    )


def frames_of(answer: ReadThread, modules: Sequence[Module]) -> tuple[Frame, ...]:
    """gdb's stack as it is."""
    frames = (_as_frame(read, level, None) for level, read in enumerate(answer.frames))
    return tuple(_placed(frame, modules) for frame in frames)


def _as_frame(read: ReadFrame, level: int, known: Frame | None) -> Frame:
    base = known or Frame(level=level)
    same = base if read.kind != "inline" else Frame(level=level)
    """What is known of an address is known of the function itself, not of what is inlined."""
    made = msgspec.structs.replace(
        base,
        level=level,
        kind=read.kind if read.kind != "unknown" else "normal",
        pc=Address(read.pc),
        function=read.function or same.function,
        file=read.file or same.file,
        line=read.line or same.line,
        source=(),
        args=_variables(read.args),
        locals=_variables(read.locals),
        trust="gdb",
    )
    return msgspec.structs.replace(made, in_app=is_in_app(made.module, made.file))


def _placed(frame: Frame, modules: Sequence[Module]) -> Frame:
    """The frame with the module that its address lies in."""
    pc = frame.pc or 0
    for module in () if frame.module else modules:
        if module.base is not None and module.end is not None and module.base <= pc < module.end:
            placed = msgspec.structs.replace(frame, module=module.path, build_id=module.build_id)
            return msgspec.structs.replace(placed, in_app=is_in_app(placed.module, placed.file))
    return frame
