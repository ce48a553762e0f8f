"""Variables as lines: below the line of the crash, and frame by frame."""

import textwrap
from collections.abc import Sequence

import msgspec

from evdiag.analyze import names
from evdiag.model.report import Frame, Report, Thread, Variable
from evdiag.report import values, words
from evdiag.report.lines import (
    ALARM,
    BOLD,
    DIM,
    PLACE,
    PLAIN,
    WARNING,
    WIDE,
    Line,
    Piece,
    fixed,
    frame_lines,
    heading,
    is_narrow,
)

MOST_AT_THE_LINE = 6
MOST_IN_FRAME_TO_SEE, MOST_IN_FRAME = 24, 8
MOST_FRAMES = 40
MOST_FIELDS = 12
"""Members of an exception."""
MOST_OTHER_THREADS, MOST_FRAMES_OF_OTHERS = 8, 12
MOST_ROWS = 4
"""Of one value: the beginning of a structure says what it is."""
_LABEL = "  with  "
_FEWEST_TYPE = 16
"""A type in less room than this is no help."""


class Look(msgspec.Struct, frozen=True):
    """How variables are set."""

    indent: int = 0
    label: str = ""
    """In front of the first one, inside of the indent."""
    rows: int = 1
    quiet: bool = False
    """Without alarms: of frames that are not the application's, nulls mean nothing."""


# ---------------------------------------------------------------- variables in columns


def variable_lines(variables: Sequence[Variable], width: int, look: Look) -> list[Line]:
    """`name = value` below each other, with what is wrong, and with types in a wide window."""
    shortened = [names.elide(v.name, max(12, width // 4)) for v in variables]
    column = max(map(len, shortened), default=0)
    room = max(width - look.indent - column - 3, 12)
    cells = [_cells(variable, room, look) for variable in variables]
    alone = [_length(rows[0]) for rows in cells if len(rows) == 1]
    type_column = max((length for length in alone if length <= room // 2), default=0)
    lines: list[Line] = []
    for variable, name, rows in zip(variables, shortened, cells, strict=True):
        label = look.label if not lines else ""
        first = (
            (f"{label:<{look.indent}}", DIM),
            (f"{name:<{column}}", DIM if look.quiet else PLAIN),
            (" = ", DIM),
        )
        kind: tuple[Piece, ...] = ()
        if width >= WIDE and len(rows) == 1:
            kind = _type(variable, room, _length(rows[0]), type_column)
        lines.append(fixed(*first, *rows[0], *kind))
        hang = " " * (look.indent + column + 3)
        lines += [fixed((hang, PLAIN), *row) for row in rows[1:]]
    return lines


def _length(pieces: Sequence[Piece]) -> int:
    return sum(len(text) for text, _ in pieces)


def _cells(variable: Variable, room: int, look: Look) -> list[list[Piece]]:
    """The rows of a value, and what is to say about it behind the last one."""
    wrong = "" if look.quiet else values.suspicion(variable)
    style = ALARM if wrong else DIM if look.quiet or values.is_lost(variable) else PLAIN
    rows = [[(text, style)] for text in _wrapped(variable.value or "", room, look.rows)]
    remark: list[Piece] = [(f"  ← {wrong}", WARNING)] if wrong else []
    if variable.problem:
        gap = "  " if rows else ""
        remark.append((names.clip(f"{gap}({variable.problem})", room), WARNING))
    if not rows:
        rows.append([])
    if _length(rows[-1]) + _length(remark) <= room:
        rows[-1] += remark
    elif len(rows) < look.rows:
        rows.append([(remark[0][0].lstrip(), remark[0][1]), *remark[1:]])
    else:  # what is wrong is more than the end of the value
        text = names.clip(rows[-1][0][0], max(room - _length(remark), 1))
        rows[-1] = [(text, style), *remark]
    return rows


def _wrapped(text: str, room: int, most: int) -> list[str]:
    """The text in rows, counted in characters; where one may take two cells, in half of the room.

    Line by line like this it is the same in a terminal and in a block of Markdown.
    """
    if not is_narrow(text):
        room //= 2
    if len(text) <= room:
        return [text] if text else []
    if most == 1:
        return [names.clip(text, room)]
    enough = text[: room * (most + 1)]
    rows = textwrap.wrap(enough, room, break_on_hyphens=False) or [enough]
    if len(rows) > most or len(enough) < len(text):
        rows = rows[:most]
        rows[-1] = f"{rows[-1][: room - 2].rstrip()} {names.ELLIPSIS}"
    return rows


def _type(variable: Variable, room: int, used: int, column: int) -> tuple[Piece, ...]:
    start = max(used, column) + 3
    if room - start < _FEWEST_TYPE:
        return ()
    text = values.type_of(variable, room - start)
    return ((" " * (start - used) + text, DIM),) if text else ()


# ---------------------------------------------------------------- the line of the crash


def at_the_line(frame: Frame, width: int) -> list[Line]:
    """The variables of the current source line, one row each."""
    variables = values.at_the_line(frame, MOST_AT_THE_LINE)
    return variable_lines(variables, width, Look(indent=len(_LABEL), label=_LABEL))


def crash_values(report: Report, width: int) -> list[Line]:
    """The same with the source line once more: for below a first screen that had no values."""
    frame = words.frame_to_see(report)
    lines = [] if frame is None else at_the_line(frame, width)
    if frame is None or not lines:
        return []
    place = words.place_of(frame, width // 3, directories=False)
    code = values.current_line(frame.source) or words.name_of(frame)
    return [fixed((place, PLACE), ("  ", PLAIN), (code, BOLD)), *lines]


# ---------------------------------------------------------------- frame by frame


def of_crashed_thread(report: Report, width: int, only_frame_to_see: bool = False) -> list[Line]:
    """The values of the crashed thread, frame by frame, without a title."""
    thread = report.crashed
    if thread is None:
        return []
    see = words.frame_to_see(report)
    frames = values.frames_with_values(thread)
    if only_frame_to_see:
        frames = [frame for frame in frames if frame is see]
    # What libraries keep in their variables hardly ever tells anything.
    own = frames
    if any(frame.in_app for frame in frames):
        own = [frame for frame in frames if frame.in_app or frame is see]
    lines = _frames(own, width, see, MOST_FRAMES)
    if len(own) < len(frames):
        lines.append(_more(len(frames) - len(own), "library frame", 2))
    return lines


def of_other_threads(report: Report, width: int) -> list[Line]:
    """The same for the threads that did not crash: frames of the application."""
    lines: list[Line] = []
    found = [
        (thread, frames)
        for thread in report.threads
        if not thread.crashed
        if (frames := [f for f in values.frames_with_values(thread) if f.in_app])
    ]
    for thread, frames in found[:MOST_OTHER_THREADS]:
        lines.append(fixed((f"  {words.thread_name(thread)}", BOLD)))
        lines += _frames(frames, width, None, MOST_FRAMES_OF_OTHERS, indent=2)
    if len(found) > MOST_OTHER_THREADS:
        lines.append(_more(len(found) - MOST_OTHER_THREADS, "more thread", 2))
    return lines


def of_exceptions(report: Report, width: int) -> list[Line]:
    """The members of the exceptions that were alive, that of the crash first."""
    first = () if report.exception is None else (report.exception,)
    lines: list[Line] = []
    for thrown in (*first, *report.other_exceptions):
        if thrown.fields:
            name = names.elide(thrown.type or "?", width - 4)
            lines.append(fixed((f"  {name}", BOLD)))
            fields = thrown.fields[:MOST_FIELDS]
            lines += variable_lines(fields, width, Look(indent=4, rows=MOST_ROWS))
            if len(thrown.fields) > len(fields):
                lines.append(_more(len(thrown.fields) - len(fields), "more member", 4))
    return lines


def section(title: str, lines: Sequence[Line]) -> list[Line]:
    """The lines with a title; nothing if there are none."""
    return [heading(title), *lines] if lines else []


def _frames(
    frames: list[Frame], width: int, see: Frame | None, most: int, indent: int = 0
) -> list[Line]:
    shown = frames[:most]
    if see is not None and any(frame is see for frame in frames[most:]):
        shown = [*shown[:-1], see]
    heads = frame_lines(shown, width, see, indent, arguments=False)
    margin = indent + len(str(max((frame.level for frame in shown), default=0))) + 4
    lines: list[Line] = []
    lost: list[Frame] = []
    told: dict[str, int] = {}
    for frame, head in zip(shown, heads, strict=True):
        if all(map(values.is_lost, values.in_order(frame))):
            lost.append(frame)
            continue
        lines += _all_lost(lost, margin)
        lost = []
        lines += [head, *_frame(frame, width, frame is see, margin, told)]
    lines += _all_lost(lost, margin)
    if len(frames) > len(shown):
        lines.append(_more(len(frames) - len(shown), "more frame", margin))
    return lines


def _all_lost(frames: Sequence[Frame], margin: int) -> list[Line]:
    if not frames:
        return []
    first, last = frames[0].level, frames[-1].level
    which = f"frame {first}" if first == last else f"frames {first} to {last}"
    return [fixed((f"{' ' * margin}… {which}: optimized out", DIM))]


def _frame(frame: Frame, width: int, seen: bool, margin: int, told: dict[str, int]) -> list[Line]:
    everything = values.in_order(frame)
    most = MOST_IN_FRAME_TO_SEE if seen else MOST_IN_FRAME
    known = [variable for variable in everything if not values.is_lost(variable)]
    lost = [variable.name for variable in everything if values.is_lost(variable)]
    # A line about one that is left out would take the room of that one.
    shown = known if len(known) == most + 1 else values.most_telling(known, most)
    shown = [values.told_once(variable, told, frame.level) for variable in shown]
    quiet = not (seen or frame.in_app)
    lines = variable_lines(shown, width, Look(indent=margin, rows=MOST_ROWS, quiet=quiet))
    if len(known) > len(shown):
        lines.append(_more(len(known) - len(shown), "more variable", margin))
    if lost and not quiet:
        text = f"optimized out: {', '.join(dict.fromkeys(lost))}"
        lines.append(fixed((" " * margin + names.clip(text, width - margin), DIM)))
    return lines


def _more(number: int, noun: str, margin: int) -> Line:
    text = f"… {words.count(number, noun)} (all of them are in --format json)"
    return fixed((" " * margin + text, DIM))


def as_gdb_sees(thread: Thread, width: int, most: int) -> list[Line]:
    """The stack of gdb, where it is another one than ours."""
    rows = words.without_middle(list(thread.gdb_frames), most)
    return frame_lines(rows, width)
