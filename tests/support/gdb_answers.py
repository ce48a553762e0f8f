"""Stacks of ours and answers of gdb, for the tests of what becomes of them."""

import msgspec

from evdiag.model.report import (
    Address,
    Frame,
    Report,
    SourceLine,
    Thread,
)
from evdiag.model.values import (
    Document,
    ReadFrame,
    ReadThread,
    ReadVariable,
)

LWP, OTHER = 4127, 4128
MODULE = "/opt/module"


def own(level: int, pc: int, **more: object) -> Frame:
    """A frame of ours with function, file and line."""
    frame = Frame(
        level=level,
        pc=Address(pc),
        function=f"f{level}()",
        file=f"/src/{level}.cpp",
        line=10 + level,
        module=MODULE,
        in_app=True,
        trust="cfi",
    )
    return msgspec.structs.replace(frame, **more)


def read(pc: int, *names: str, **more: object) -> ReadFrame:
    """A frame of gdb's with locals of these names."""
    variables = tuple(ReadVariable(name, "int", "1") for name in names)
    return msgspec.structs.replace(ReadFrame(pc=pc, locals=variables), **more)


def thread(*frames: Frame, **more: object) -> Thread:
    return msgspec.structs.replace(Thread(number=1, lwp=LWP, crashed=True, frames=frames), **more)


def report_of(*frames: Frame, **more: object) -> Report:
    return msgspec.structs.replace(Report(threads=(thread(*frames),)), **more)


def answer(*frames: ReadFrame, **more: object) -> Document:
    return Document(threads=(msgspec.structs.replace(ReadThread(lwp=LWP, frames=frames), **more),))


def locals_of(report: Report, number: int = 0) -> list[str]:
    """Names of the locals of each frame of a thread, joined."""
    return [" ".join(v.name for v in f.locals) for f in report.threads[number].frames]


def source(text: str) -> tuple[SourceLine, ...]:
    return (
        SourceLine(number=1, text="before = other;"),
        SourceLine(number=2, text=text, current=True),
    )
