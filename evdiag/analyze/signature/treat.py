"""What becomes of each frame of a stack: kept for the signature, or left out and why."""

from collections.abc import Sequence

import msgspec

from evdiag.analyze.frames import is_own
from evdiag.analyze.signature.places import libc_name, library_name, place, text_of, unnamed
from evdiag.analyze.signature.spelling import LAMBDA, lambda_among_arguments, normal, spelled
from evdiag.model.report import Frame
from evdiag.model.signature import Entry, Lists, Treatment

MOST_KEPT = 3
"""Frames of the application in a signature. More make two signatures of one defect that is reached
in two ways; fewer make one of two defects in functions that everybody calls."""

MOST_TREATED, DEEPEST = 200, 2000
"""Frames that are looked at once the signature is complete, as many as a report has texts; and
until it is: below a deep recursion stands who began it. A thread has hardly more frames."""

MOST_NESTED = 8
"""Inlined lambdas one within the other that are followed to where their names stand."""

NOT_CHOSEN = "; only the last one before the application's own code counts"

LIBC_SOURCES = ("./", "../")
"""How the paths of glibc's sources begin in the debug information of distributions."""


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """One thread's frames, as far as they matter."""

    thread: int
    frames: tuple[Frame, ...]
    """All frames."""
    start: int = 0
    """Index of the first frame that counts, and of the one behind the last that does."""
    end: int
    static: bool = False
    """Whether libc was linked into the program, so that its functions lie among the program's."""


def treat(stack: Stack, lists: Lists) -> list[Treatment]:
    """What becomes of the frames of a stack, innermost first."""
    found = [_handler(stack, frame) for frame in stack.frames[: stack.start][:MOST_TREATED]]
    own: list[str] = []
    ended = ""
    for i in range(stack.start, min(len(stack.frames), stack.start + DEEPEST)):
        if len(found) >= MOST_TREATED and (ended or len(own) >= MOST_KEPT):
            break
        if i >= stack.end and not ended:
            ended = "what a signal has interrupted: another thing each time"
        treatment = _treat(stack, i, lists, own, ended)
        if treatment.role == "base" and not ended:
            ended = f"below {treatment.normal}"
        if treatment.role == "kept" and treatment.text is not None:
            own.append(treatment.text)
        found.append(treatment)
    return _with_prefix(found)


def _handler(stack: Stack, frame: Frame) -> Treatment:
    return _said(stack, frame, "handler", "ran because of the fault below")


def _treat(stack: Stack, i: int, lists: Lists, own: list[str], ended: str) -> Treatment:
    """One frame; `own` are the texts that are in the signature already."""
    frame = stack.frames[i]
    where = place(frame)
    if ended:
        return _said(stack, frame, "base", ended)
    entry = _entry(frame, where, lists, static=stack.static)
    if entry is not None and entry.role != "prefix" and not _is_users_start(stack, i, entry):
        return _said(stack, frame, entry.role, _because(entry))
    if where == "program":
        return _own(stack, i, own)
    if where == "nowhere":
        return _said(stack, frame, "nameless", "lies in no module")
    if where == "library":
        name = library_name(frame.module or "")
        return _said(stack, frame, "library", f"{name} is not the application's")
    if frame.function is None:
        return _said(stack, frame, "noise", f"{where}: its name is not known everywhere")
    if where == "libc":
        return _said(stack, frame, "noise", "libc: compilers choose what they call of it")
    because = _because(entry) if entry else f"{where}: code of a library, compiled in or not"
    return _said(stack, frame, "prefix", because, text_of(frame))


def _own(stack: Stack, i: int, own: list[str]) -> Treatment:
    frame = stack.frames[i]
    text = _text(stack.frames, i)
    if text in own:
        return _said(stack, frame, "again", "is in the signature already", text)
    if len(own) >= MOST_KEPT:
        return _said(stack, frame, "beyond", f"beyond the first {MOST_KEPT}", text)
    return _said(stack, frame, "kept", "code of the application", text)


def _said(stack: Stack, frame: Frame, role: str, why: str, text: str | None = None) -> Treatment:
    raw = frame.function or unnamed(frame)
    if frame.function is None:
        shown = raw
    else:
        shown = libc_name(raw) if place(frame) == "libc" else normal(raw)
    return Treatment(
        thread=stack.thread,
        level=frame.level,
        raw=raw,
        normal=shown,
        role=role,
        why=why,
        text=text,
    )


def _because(entry: Entry) -> str:
    return f"{entry.where}, {entry.pattern!r}: {entry.why}"


def _entry(frame: Frame, where: str, lists: Lists, *, static: bool) -> Entry | None:
    """What the lists say about a frame of this place."""
    if frame.function is None:
        return None
    if where == "libc":
        return lists.find(where, libc_name(frame.function))
    found = lists.find(where, spelled(frame.function).text)
    if where == "program":
        if found is not None and found.role == "prefix":
            return None  # told to be the user's own, by its source file
        if found is None and static and _may_be_libc(frame.function, frame.file):
            return lists.exact.get(("libc", libc_name(frame.function)))
    return found


def _is_users_start(stack: Stack, i: int, entry: Entry) -> bool:
    """Whether a program brings its own `_start` along, or died in it."""
    if entry.where != "program":
        return False
    file = stack.frames[i].file
    return i == stack.start or not (file is None or file.startswith(LIBC_SOURCES))


def _may_be_libc(function: str, file: str | None) -> bool:
    """Whether a function of a static program can be libc's: C, and from no source of the user."""
    return "(" not in function and (file is None or file.startswith(LIBC_SOURCES))


def _text(frames: Sequence[Frame], i: int) -> str:
    """What stands in the signature for a frame of the application.

    The body of an inlined lambda is no more than `operator()` in GCC's debug information. Where
    it was written down stands in the template that it was given to, or it is what calls it.
    """
    if not _is_bare_call(frames[i]):
        return text_of(frames[i])
    last = min(len(frames), i + MOST_NESTED)
    giver = next((j for j in range(i + 1, last) if not _is_bare_call(frames[j])), None)
    if giver is None or (name := frames[giver].function) is None:
        return LAMBDA
    given = lambda_among_arguments(name, giver - i)
    if given is not None:
        return given.portable
    if not is_own(frames[giver]):
        return LAMBDA
    around = text_of(frames[giver])
    return around if around.endswith(LAMBDA) else f"{around}::{LAMBDA}"


def _is_bare_call(frame: Frame) -> bool:
    return frame.kind == "inline" and frame.function == "operator()"


def _with_prefix(found: list[Treatment]) -> list[Treatment]:
    """Only the last prefix frame before the first one of the application counts."""
    first = next((i for i, treated in enumerate(found) if treated.role == "kept"), 0)
    chosen = next((i for i in range(first - 1, -1, -1) if found[i].role == "prefix"), None)
    return [
        msgspec.structs.replace(treated, text=None, why=treated.why + NOT_CHOSEN)
        if treated.role == "prefix" and i != chosen
        else treated
        for i, treated in enumerate(found)
    ]
