"""What gdb's values add to a verdict: the null pointer, the assertion, the thrown object.

The questions are made from the finished report, and the answers change nothing but what is said
about the verdict: its class, the title and the signature are the same without a gdb.
"""

import re
from collections.abc import Iterator, Sequence

import msgspec

from evdiag.analyze.frames import crash_frame
from evdiag.analyze.gdbstacks import as_variable
from evdiag.analyze.names import clip, qualified
from evdiag.analyze.spelling import same_spelling
from evdiag.model.report import (
    CxxException,
    Frame,
    Report,
    Thread,
    Variable,
)
from evdiag.model.values import (
    BadPointer,
    Document,
    Path,
    ReadObject,
    ReadThread,
    Thrown,
)

MOST_NAMES = 24
MOST_PATHS = 8
"""Of one assertion: more than a person would compare."""
MOST_STEPS = 6
MOST_OBJECTS = 8
"""Exceptions whose members are asked for, the one that ended the process first."""
LONGEST_TYPE = 500
LONGEST_EXPRESSION = 1000
LONGEST_VALUE = 60
"""Characters of a value in a sentence."""
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*+"?' + r"|'(?:\\.[^']{0,8}|[^'\\])'", re.DOTALL)
_TOKEN = re.compile(r"[A-Za-z_]\w*|\d[\w.']*|->|::|\S")
_NO_VARIABLES = frozenset({
    "this", "nullptr", "true", "false", "NULL", "sizeof", "alignof", "decltype", "typeid",
    "noexcept", "new", "delete", "throw", "operator", "static_cast", "dynamic_cast",
    "const_cast", "reinterpret_cast", "not", "and", "or", "xor", "const", "volatile", "auto",
    "bool", "char", "short", "int", "long", "float", "double", "signed", "unsigned", "void",
    "struct", "class", "enum",
})  # fmt: skip
_LOST = "<optimized out>"
_REFERENCE = re.compile(r"@0x[0-9a-f]+: ")
_ONLY_TEXT = frozenset({
    "std::exception", "std::bad_exception", "std::bad_alloc", "std::bad_array_new_length",
    "std::bad_cast", "std::bad_typeid", "std::bad_function_call", "std::bad_weak_ptr",
    "std::bad_optional_access", "std::bad_any_access", "std::bad_variant_access",
    "std::logic_error", "std::domain_error", "std::invalid_argument", "std::length_error",
    "std::out_of_range", "std::runtime_error", "std::range_error", "std::overflow_error",
    "std::underflow_error",
})  # fmt: skip
"""Exceptions of the C++ library that hold nothing but their text: not worth a search for their
type."""


# ---------------------------------------------------------------- what is asked


def thrown_objects(report: Report) -> tuple[Thrown, ...]:
    """Exceptions whose members are worth asking for."""
    return tuple(
        Thrown(int(thrown.address), thrown.type)
        for thrown in _exceptions(report)
        if thrown.address and thrown.type
        if thrown.type not in _ONLY_TEXT and len(thrown.type) <= LONGEST_TYPE
    )[:MOST_OBJECTS]


def _exceptions(report: Report) -> tuple[CxxException, ...]:
    first = () if report.exception is None else (report.exception,)
    return (*first, *report.other_exceptions)


def asserted_paths(report: Report) -> tuple[tuple[Path, ...], int | None]:
    """What an assertion compared, and the program counter of the frame that has it."""
    broken = report.assertion
    frame = asserting_frame(report)
    if broken is None or not broken.expression or frame is None or frame.pc is None:
        return (), None
    return tuple(paths_in(broken.expression)), int(frame.pc)


def asserting_frame(report: Report) -> Frame | None:
    """The frame of the function that the assertion names, else the one to look at first."""
    crashed = report.crashed
    if crashed is None:
        return None
    said = report.assertion.function if report.assertion else None
    own = _own_name(said) if said else ""
    for frame in crashed.frames if own else ():
        if frame.function and _own_name(frame.function) == own:
            return frame
    return crash_frame(crashed.frames)


def _own_name(function: str) -> str:
    """Without scopes and parameters, and without the underscores that tell libc's aliases apart."""
    return qualified(function).rpartition("::")[2].lstrip("_")


def paths_in(expression: str) -> list[Path]:
    """Variables, and members of them, that an expression names: no calls, no operators.

    Of a call, the object that is asked: `sessions` of `sessions.empty()`.
    """
    tokens = _TOKEN.findall(_LITERAL.sub(" ", expression[:LONGEST_EXPRESSION]))
    found: dict[str, Path] = {}
    for text, steps in _chains(tokens):
        told = steps[0] not in _NO_VARIABLES if steps else False
        if (told or (len(steps) > 1 and steps[0] == "this")) and len(steps) <= MOST_STEPS:
            found.setdefault(text, Path(text, steps))
    return list(found.values())[:MOST_PATHS]


def _chains(tokens: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """(text, names) of each chain of members."""
    at = 0
    while at < len(tokens):
        start = at
        at += 1
        if not IDENTIFIER.fullmatch(tokens[start]):
            continue
        while at + 1 < len(tokens) and tokens[at] in (".", "->"):
            if not IDENTIFIER.fullmatch(tokens[at + 1]):
                break
            at += 2
        before = tokens[start - 1] if start else ""
        behind = tokens[at] if at < len(tokens) else ""
        # A member of what a call or an index gives, or a name in a namespace or a class.
        if before in (".", "->", "::") or behind == "::":
            continue
        end = max(at - 2, start) if behind == "(" else at
        yield "".join(tokens[start:end]), tuple(tokens[start:end:2])


# ---------------------------------------------------------------- what is answered


def with_values(report: Report, document: Document, answers: dict[int, ReadThread]) -> Report:
    """The report with all that the answer tells about the verdict."""
    crashed = report.crashed
    answer = answers.get(crashed.lwp or 0) if crashed else None
    if crashed is not None and answer is not None:
        report = _with_pointer(report, crashed, answer)
        report = _with_assertion(report, crashed, answer)
    return _with_objects(report, document.objects)


def names_on_line(frame: Frame | None) -> tuple[str, ...]:
    """Identifiers of the source line of the crash, and `this`."""
    text = next((line.text for line in frame.source if line.current), "") if frame else ""
    found = dict.fromkeys(("this", *IDENTIFIER.findall(text.partition("//")[0])))
    return tuple(found)[:MOST_NAMES]


def _with_pointer(report: Report, crashed: Thread, answer: ReadThread) -> Report:
    """Name the null pointer and the member behind the fault, if gdb found them."""
    found = [pointer for frame in answer.frames for pointer in frame.members]
    frame = next(iter(crashed.frames), None)
    names = names_on_line(frame if frame and frame.source else None)
    best = best_pointer(found, names)
    if best is None:
        return report
    verdict = report.verdict
    verdict = msgspec.structs.replace(verdict, evidence=(*verdict.evidence, _sentence(best)))
    if verdict.cls in _USED and is_certain(best, found, names):
        summary = f"{_USED[verdict.cls]} a null pointer: `{_member(best)}`, offset {best.offset:#x}"
        verdict = msgspec.structs.replace(verdict, summary=summary)
    return msgspec.structs.replace(report, verdict=verdict)


_USED = {"null-read": "read from", "null-write": "wrote to", "null-access": "touched"}


def best_pointer(found: Sequence[BadPointer], names: Sequence[str]) -> BadPointer | None:
    """The one that a person would name: null, on the source line, with few steps to it."""

    def rank(pointer: BadPointer) -> tuple[bool, int, int]:
        words = _words(pointer)
        return pointer.address != 0, -len(_on_line(pointer, names)), len(words)

    return min(found, key=rank, default=None)


def is_certain(best: BadPointer, found: Sequence[BadPointer], names: Sequence[str]) -> bool:
    """Whether no other null pointer of the frame can have been meant.

    Where the source line is known, it has to name the pointer or the member.
    """
    null = [pointer for pointer in found if pointer.address == 0]
    if set(names) - {"this"}:
        null = [pointer for pointer in null if _on_line(pointer, names)]
    return null == [best]


def _words(pointer: BadPointer) -> list[str]:
    return IDENTIFIER.findall(f"{pointer.expression} {pointer.member}")


def _on_line(pointer: BadPointer, names: Sequence[str]) -> set[str]:
    return (set(names) - {"this"}).intersection(_words(pointer))


def _member(pointer: BadPointer) -> str:
    through = "." if pointer.type.endswith("&") else "->"
    return f"{pointer.expression}{through}{pointer.member}"


def _sentence(pointer: BadPointer) -> str:
    kind = same_spelling(pointer.type)
    value = "null" if pointer.address == 0 else hex(pointer.address)
    return (
        f"`{pointer.expression}` is {value} (`{kind}`): the fault is at offset "
        f"{pointer.offset:#x} behind it, its member `{pointer.member}`"
    )


def _with_assertion(report: Report, crashed: Thread, answer: ReadThread) -> Report:
    """Say what the values were that an assertion compared."""
    paths, pc = asserted_paths(report)
    if pc is None:
        return report
    read = [variable for frame in answer.frames for variable in frame.paths]
    known = [as_variable(variable) for variable in read]
    for frame in crashed.frames:  # a gdb without Python answers with variables only
        if frame.pc == pc:
            known += [*frame.args, *frame.locals]
    texts = [text for path in paths if (text := _assigned(path, known))]
    if not texts:
        return report
    verdict = report.verdict
    line = f"values of the assertion: {', '.join(texts)}"
    return msgspec.structs.replace(
        report, verdict=msgspec.structs.replace(verdict, evidence=(*verdict.evidence, line))
    )


def _assigned(path: Path, known: Sequence[Variable]) -> str:
    """`limit_w = 11000`, or nothing."""
    for variable in known:
        if variable.name == path.text and variable.value and variable.value != _LOST:
            text = _REFERENCE.sub("", " ".join(variable.value.split()), count=1)
            return f"{path.text} = {clip(text, LONGEST_VALUE)}"
    return ""


def _with_objects(report: Report, objects: Sequence[ReadObject]) -> Report:
    """Put the members of thrown objects where the exceptions are."""
    by_address = {read.address: read for read in objects}

    def told(thrown: CxxException) -> CxxException:
        read = None if thrown.address is None else by_address.get(int(thrown.address))
        if read is None or (read.whole and _is_told(thrown, read)):
            return thrown
        return msgspec.structs.replace(thrown, fields=tuple(map(as_variable, read.fields)))

    return msgspec.structs.replace(
        report,
        exception=None if report.exception is None else told(report.exception),
        other_exceptions=tuple(map(told, report.other_exceptions)),
    )


def _is_told(thrown: CxxException, read: ReadObject) -> bool:
    """Whether the text of an exception says the value already; of an enumeration it does not."""
    what = thrown.what or ""
    return what != "" and all(what in (field.value or "") for field in read.fields)
