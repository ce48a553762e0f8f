"""What is known of a way to crash before it has crashed: one row of the table of crash modes."""

from dataclasses import dataclass
from signal import SIGABRT
from typing import Literal

ThreadName = Literal["main", "worker"]


@dataclass(frozen=True, slots=True)
class Mode:
    """One way to crash, with the facts that every tool has to agree on.

    `verdict_class` is the word of the verdict, `also_classes` are other words that are right as
    well.

    `top_frame` is the unqualified name of the first frame whose code is the crasher's own: no
    libc, no libstdc++, no inlined function of a library header. `also_top_frames` may stand
    there instead where the place is a matter of stack layout or debug information; None means
    that the stack is destroyed and no frame can be relied on.

    `detail` is what tells crashes of one class apart and is the same in every run: the type of
    the exception, the expression of the assertion, the heap's own words. `message` is the abort
    message or what() as the report has it. Both are None where there is none, or where it
    depends on paths or on the version of a library.
    """

    name: str
    verdict_class: str
    thread: ThreadName
    top_frame: str | None
    signal: int
    note: str
    also_classes: tuple[str, ...] = ()
    also_top_frames: tuple[str, ...] = ()
    detail: str | None = None
    message: str | None = None
    sent: int | None = None  # the helper sends this signal once the process waits for it
    snapshot: bool = False  # gdb's gcore writes the core; nothing crashes
    machine: str | None = None  # the only machine that has the mode


def heap(
    name: str,
    thread: ThreadName,
    top_frame: str,
    text: str | None,
    note: str,
    *,
    message: str | None = None,
) -> Mode:
    """A row for damage that glibc's heap has found: what it says is all that is known of it."""
    return Mode(
        name, "heap-corruption", thread, top_frame, SIGABRT, note,
        detail=text, message=message or text,
    )  # fmt: skip


def thrown(
    name: str,
    thread: ThreadName,
    top_frame: str,
    what: tuple[str, str | None],
    note: str,
    *,
    also_top_frames: tuple[str, ...] = (),
) -> Mode:
    """A row for an exception that nobody caught: its type, and its text if it has one."""
    detail, message = what
    return Mode(
        name, "uncaught-exception", thread, top_frame, SIGABRT, note,
        also_top_frames=also_top_frames, detail=detail, message=message,
    )  # fmt: skip
