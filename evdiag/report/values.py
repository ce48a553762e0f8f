"""Values of variables in words: which ones to show, what is wrong with one, a call with them.

A value is the text that gdb prints. It is only read here to find what a reader looks for first:
a pointer that is null or points nowhere, memory that is not there, a value that was optimized out.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from evdiag.analyze import names
from evdiag.analyze.names import ELLIPSIS
from evdiag.model.report import Frame, Report, SourceLine, Thread, Variable
from evdiag.report import words

LOST = "<optimized out>"
STRUCTURE = "{…}"
LONGEST_BRIEF = 24
"""Characters of a value among the arguments of a call."""
MOST_ARGUMENTS = 8
MOST_STACKS_OF_GDB = 4
_TYPICAL = 200
"""Longer values are structures: what is asked of a pointer or a length is at the beginning."""
_FIRST_PAGE = 0x1000
_ADDRESSES = 1 << 48
"""No address of a process on x86-64 or aarch64 is that big; text and noise often are."""
_MOST_ELEMENTS = 1 << 40
_OF_THE_CALL = {"this", "__closure"}
"""Arguments that the compiler adds: their address tells nothing, unless it is wrong."""

_POINTER = re.compile(r"(?:\(.*\) )?@?(0x[0-9a-f]+)\b")
_SMART_POINTER = re.compile(r"std::(?:unique|shared|weak)_ptr<.*\{get\(\) = (0x[0-9a-f]+)\}")
_LENGTH = re.compile(r"(?:@0x[0-9a-f]+: )?std::.*?(?: of length| with) (-?\d+)")
_ODD_NUMBER = re.compile(r"(?<![\w.])(?!1\.797|2\.225)\d(?:\.\d+)?e[-+]\d{3}\b")
"""A float as random bits are: mostly tiny or huge. The limits of `double` are no accident."""
_REFERENCE = re.compile(r"^@0x[0-9a-f]+: ")
_ONLY_REFERENCE = re.compile(r"@0x[0-9a-f]+$")
_CAST = re.compile(r"^\(.*\) (?=0x)")
_TEXT_AT = re.compile(r"^0x[0-9a-f]+ (?=[uUL]?\")")
_LITERAL = re.compile(r'"(?:\\.|[^"\\])*"?' + r"|'(?:\\.|[^'\\])*'?|//.*")
_IDENTIFIER = re.compile(r"(?<![\w.])(?<!->)[A-Za-z_]\w*")
_POINTED = re.compile(r"(?: ?[*&]| const| volatile)*$")


# ---------------------------------------------------------------- single variables


def is_lost(variable: Variable) -> bool:
    """Whether the compiler kept the variable nowhere: nothing can be done about it."""
    return variable.value == LOST


def suspicion(variable: Variable) -> str:
    """What looks wrong with a value, in a few words; empty if nothing does."""
    head = (variable.value or "")[:_TYPICAL]
    pointer = _POINTER.match(head) or _SMART_POINTER.match(head)
    if pointer:
        address = int(pointer[1], 16)
        if address < _FIRST_PAGE:
            return "almost null" if address else "null"
        if address >= _ADDRESSES:
            return "not an address"
    length = _LENGTH.match(head)
    if length and not 0 <= int(length[1]) < _MOST_ELEMENTS:
        return "impossible length"
    code = _LITERAL.sub("", head)
    if "<error" in code:
        return "not readable"
    return "unlikely number" if _ODD_NUMBER.search(code) else ""


def type_of(variable: Variable, room: int) -> str:
    """The type as people write it, in at most `room` characters; empty if it is not known."""
    text = variable.type or ""
    pointed = _POINTED.search(text)
    suffix = pointed[0] if pointed else ""
    prefix = "const " if text.startswith("const ") else ""
    core = text[len(prefix) : len(text) - len(suffix)]
    left = room - len(prefix) - len(suffix)
    if not core or left < 4:
        return names.clip(text, room)
    return prefix + names.function(core, left) + suffix


def in_order(frame: Frame) -> list[Variable]:
    """Arguments, then locals; what a pointer points to (`*name`) stands behind the pointer."""
    everything = (*frame.args, *frame.locals)
    targets: dict[str, list[Variable]] = {}
    for variable in everything:
        if variable.name.startswith("*"):
            targets.setdefault(variable.name[1:], []).append(variable)
    ordered: list[Variable] = []
    for variable in everything:
        if not variable.name.startswith("*"):
            ordered += [variable, *targets.pop(variable.name, ())]
    return ordered + [target for left in targets.values() for target in left]


def most_telling(variables: Sequence[Variable], most: int) -> list[Variable]:
    """At most so many of them in their order: what looks wrong stays, what is lost goes first."""

    def rank(index: int) -> tuple[int, int]:
        variable = variables[index]
        missing = variable.value is None and variable.problem
        return (0 if missing or suspicion(variable) else 2 if is_lost(variable) else 1), index

    kept = sorted(range(len(variables)), key=rank)[:most]
    return [variables[index] for index in sorted(kept)]


# ---------------------------------------------------------------- the line of the crash


def told_once(variable: Variable, told: dict[str, int], level: int) -> Variable:
    """The variable; short, if what it refers to was shown already, in the frame of `told`."""
    match = _REFERENCE.match(variable.value or "")
    if match is None or "{" not in (variable.value or ""):
        return variable
    first = told.setdefault(variable.value or "", level)
    if first == level:
        return variable
    return msgspec.structs.replace(variable, value=f"{match[0]}as in frame {first}")


def at_the_line(frame: Frame, most: int) -> list[Variable]:
    """The variables that the current source line names, and `this`, whose members it may name.

    Without a source line, or where it names none, the arguments.
    """
    named = {*_IDENTIFIER.findall(_LITERAL.sub(" ", current_line(frame.source)))}
    first: dict[str, Variable] = {}
    for variable in in_order(frame):  # of the same name the innermost one is the first
        first.setdefault(variable.name, variable)
    if not named & first.keys():
        named = {argument.name for argument in frame.args}
    named.add("this")
    found = [variable for name, variable in first.items() if name.lstrip("*") in named]
    return most_telling(found, most)


def current_line(source: Iterable[SourceLine]) -> str:
    """The text of the current source line, empty if there is none."""
    return next((line.text.strip() for line in source if line.current), "")


# ---------------------------------------------------------------- calls


def call(frame: Frame, room: int) -> str:
    """The function with values for its parameters: `book_energy(session=0x0, kwh=12.5)`.

    Empty where that tells no more than the name alone, or where nothing useful fits.
    """
    if not frame.in_app or not frame.function or frame.kind == "signal":
        return ""
    shown = [a for a in frame.args if a.name not in _OF_THE_CALL or suspicion(a)]
    pairs = [(names.clip(a.name, LONGEST_BRIEF), brief(a)) for a in shown[:MOST_ARGUMENTS]]
    base = names.qualified(frame.function)
    if base.endswith("operator"):  # its own parentheses went with those of its parameters
        base += "()"
    own = base.rpartition("::")[2]
    for kept in range(len(pairs), 0, -1):
        if not any(map(_tells_something, shown[:kept])):
            return ""
        texts = [f"{name}={value}" for name, value in pairs[:kept]]
        more = [ELLIPSIS] if kept < len(shown) else []
        arguments = f"({', '.join([*texts, *more])})"
        spelling = names.function(base, max(room - len(arguments), 1))
        if spelling.endswith(own):
            return spelling + arguments
    return ""


def _tells_something(variable: Variable) -> bool:
    """Whether a value in a call says more than its type: an address that looks fine does not."""
    text = brief(variable)
    fine_pointer = _POINTER.fullmatch(text) and not suspicion(variable)
    return not fine_pointer and text not in (ELLIPSIS, STRUCTURE)


def brief(variable: Variable) -> str:
    """A value in a few characters: no addresses of what can be shown, no insides of structures."""
    value = variable.value
    if value is None or value == LOST:
        return ELLIPSIS
    value = _REFERENCE.sub("", value[:_TYPICAL])
    if _ONLY_REFERENCE.match(value):
        return STRUCTURE
    pointer = _SMART_POINTER.match(value)
    if pointer:
        return pointer[1]
    value = _TEXT_AT.sub("", _CAST.sub("", value))
    if value.startswith("<error"):
        return "<error>"
    value = value.partition(" <error")[0]
    if "{" in _LITERAL.sub("", value):
        return STRUCTURE
    return names.clip(value, LONGEST_BRIEF)


# ---------------------------------------------------------------- frames, threads, reports


def frames_with_values(thread: Thread) -> list[Frame]:
    """The frames that have any; those of gdb's own stack where ours have none."""
    own = [frame for frame in thread.frames if frame.args or frame.locals]
    return own or [frame for frame in thread.gdb_frames if frame.args or frame.locals]


def without_values(report: Report) -> Report:
    """The report as it is before gdb has said anything about variables."""

    def bare(frame: Frame) -> Frame:
        empty = not (frame.args or frame.locals)
        return frame if empty else msgspec.structs.replace(frame, args=(), locals=())

    threads = tuple(
        msgspec.structs.replace(thread, frames=tuple(map(bare, thread.frames)))
        for thread in report.threads
    )
    return msgspec.structs.replace(report, threads=threads)


def with_stacks_of_gdb(report: Report) -> list[Thread]:
    """The threads whose stack is another one for gdb, the crashed one first, and not too many."""
    found = [thread for thread in report.threads if thread.gdb_frames]
    return sorted(found, key=lambda thread: not thread.crashed)[:MOST_STACKS_OF_GDB]


def source_of_values(report: Report) -> str:
    """Which gdb the values are from, in brackets behind a title."""
    gdb = words.gdb_name(report)
    return f" ({gdb})" if gdb else ""
