"""gdb's answer with readable names: gdb loads programs without making their names readable."""

import re
from collections.abc import Callable

import msgspec

from evdiag.model.values import Document, ReadFrame, ReadObject, ReadThread, ReadVariable

_MANGLED = re.compile(r"(?<![\w$.])_Z[\w$.]{2,}")

Demangle = Callable[[str], str]


def readable(document: Document, demangle: Demangle, longest: int) -> Document:
    """The document with every mangled name replaced, and no value longer than `longest`.

    gdb answers with twice as much of a value, because readable names are longer.
    """
    cut = 0

    def text(value: str | None) -> str | None:
        if value is None or "_Z" not in value:
            return value
        return _MANGLED.sub(lambda match: demangle(match[0]), value)

    def variable(read: ReadVariable) -> ReadVariable:
        nonlocal cut
        value, problem = text(read.value), read.problem
        if value is not None and len(value) > longest:
            cut += 1
            value, problem = value[:longest], f"cut after {longest} characters"
        return ReadVariable(read.name, text(read.type), value, problem)

    def frame(read: ReadFrame) -> ReadFrame:
        return msgspec.structs.replace(
            read,
            function=text(read.function),
            args=tuple(map(variable, read.args)),
            locals=tuple(map(variable, read.locals)),
            paths=tuple(map(variable, read.paths)),
        )

    def thread(read: ReadThread) -> ReadThread:
        return msgspec.structs.replace(read, frames=tuple(map(frame, read.frames)))

    def thrown(read: ReadObject) -> ReadObject:
        return msgspec.structs.replace(read, fields=tuple(map(variable, read.fields)))

    return msgspec.structs.replace(
        document,
        threads=tuple(map(thread, document.threads)),
        objects=tuple(map(thrown, document.objects)),
        instructions=tuple((at, text(line) or "") for at, line in document.instructions),
        cut=cut,
    )
