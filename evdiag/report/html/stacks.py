"""Stacks and variables as the templates set them: what to say is decided here."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from evdiag.analyze import names
from evdiag.model.report import Frame, Report, SourceLine, Thread, Variable
from evdiag.report import threads, values, words
from evdiag.report.screen import is_deadlock
from evdiag.report.words import Mark

LONGEST_NAME: Final = 78
"""Characters of a function: one line of a wide window. The whole name is what unfolds."""
LONGEST_TYPE: Final = 80
LONGEST_VALUE: Final = 240
"""Characters of a value that are seen at once; the rest opens on a click."""
MOST_VALUES: Final = 100
"""Of one frame, or members of one exception."""
MOST_AT_THE_LINE: Final = 6
MOST_ROWS: Final = 20_000
"""Of all stacks together: a page of more is slow."""
LONGEST_STACK: Final = 1000
FEWEST, MOST_OF_OTHERS = 24, 200
"""Rows of a thread that did not crash; how many depends on how many such stacks there are."""
MOST_MEMBERS: Final = 40
"""Threads of one stack whose own values are shown."""
_BEGINNING: Final = 120


class Value(msgspec.Struct, frozen=True, kw_only=True):
    """A variable."""

    name: str
    text: str = ""
    """Its value, or the beginning of a long one."""
    rest: str = ""
    """The whole of a long value."""
    type: str = ""
    wrong: str = ""
    """What looks wrong with it."""
    problem: str = ""


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """The variables of a frame."""

    shown: tuple[Value, ...] = ()
    lost: str = ""
    """Names of those that the compiler kept nowhere."""
    hidden: str = ""
    """How many are left out, in words."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A line of a stack: a frame, or a mark between frames."""

    mark: str = ""
    """Of a mark all that there is to say."""
    level: int = 0
    name: str = ""
    tag: str = ""
    folder: str = ""
    file: str = ""
    """Its place; `folder` is in front of it and may be cut off on a narrow screen."""
    module: str = ""
    in_app: bool = False
    seen: bool = False
    """Whether it is the frame to look at first."""
    facts: tuple[tuple[str, str], ...] = ()
    source: tuple[SourceLine, ...] = ()
    values: Values = Values()

    @property
    def has_more(self) -> bool:
        """Whether there is something to unfold."""
        values = self.values
        return bool(self.facts or self.source or values.shown or values.lost)


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One of the threads that share a stack."""

    anchor: str
    """Empty for the first one: the stack is its own."""
    text: str


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Threads with one stack."""

    anchor: str
    title: str
    about: str = ""
    count: int = 1
    crashed: bool = False
    is_open: bool = False
    rows: tuple[Row, ...] = ()
    as_gdb_sees: tuple[Row, ...] = ()
    members: tuple[Member, ...] = ()
    values: tuple[tuple[str, tuple[Row, ...]], ...] = ()
    """Of the members but the first: who, and the frames that have values."""


# ---------------------------------------------------------------- variables


def values_of(variables: Sequence[Variable], quiet: bool = False) -> Values:
    """All variables but those that are lost; quiet ones without alarms."""
    known = [variable for variable in variables if not values.is_lost(variable)]
    lost = dict.fromkeys(v.name for v in variables if values.is_lost(v))
    chosen = values.most_telling(known, MOST_VALUES)
    hidden = len(known) - len(chosen)
    return Values(
        shown=tuple(_value(variable, quiet) for variable in chosen),
        lost=names.clip(", ".join(lost), 1000),
        hidden=words.count(hidden, "more variable") if hidden else "",
    )


def _value(variable: Variable, quiet: bool) -> Value:
    text = variable.value or ""
    is_long = len(text) > LONGEST_VALUE
    return Value(
        name=names.elide(variable.name, LONGEST_TYPE),
        text=names.clip(text, _BEGINNING) if is_long else text,
        rest=text if is_long else "",
        type=values.type_of(variable, LONGEST_TYPE),
        wrong="" if quiet else values.suspicion(variable),
        problem=variable.problem or "",
    )


def at_the_line(frame: Frame) -> tuple[Values, Values]:
    """The variables that the source line names, and the others of its frame."""
    named = values.at_the_line(frame, MOST_AT_THE_LINE)
    rest = [each for each in values.in_order(frame) if all(each is not one for one in named)]
    return values_of(named), values_of(rest)


# ---------------------------------------------------------------- stacks


def stack(
    rows: Iterable[Frame | Mark], see: Frame | None = None, whole: bool = False
) -> tuple[Row, ...]:
    """The rows of a stack; of a whole one each frame tells its addresses too."""
    told: dict[str, int] = {}
    return tuple(
        Row(mark=row.text) if isinstance(row, Mark) else _frame(row, row is see, whole, told)
        for row in rows
    )


def _frame(frame: Frame, seen: bool, whole: bool, told: dict[str, int]) -> Row:
    line = _line(frame)
    variables = [values.told_once(v, told, frame.level) for v in values.in_order(frame)]
    return msgspec.structs.replace(
        line,
        seen=seen,
        facts=_facts(frame, line.name, whole),
        source=frame.source,
        values=values_of(variables, quiet=not (seen or frame.in_app)),
    )


def _line(frame: Frame) -> Row:
    tag = "inlined" if frame.kind == "inline" else ""
    room = LONGEST_NAME - len(tag)
    folder, file = _place(frame)
    return Row(
        level=frame.level,
        name=values.call(frame, room) or names.function(words.name_of(frame), room),
        tag=tag,
        folder=folder,
        file=file,
        module=names.basename(frame.module) if frame.module and frame.file else "",
        in_app=frame.in_app,
    )


def bare(frames: Iterable[Frame]) -> tuple[Row, ...]:
    """Frames with nothing to unfold: they stand somewhere else too."""
    return tuple(_line(frame) for frame in frames)


def _place(frame: Frame) -> tuple[str, str]:
    place = words.place_of(frame)
    if not frame.file:
        return "", place
    folder, slash, file = place.rpartition("/")
    return folder + slash, file


def _facts(frame: Frame, name: str, whole: bool) -> tuple[tuple[str, str], ...]:
    full = words.name_of(frame)
    module = frame.module or ""
    if module and frame.offset is not None:
        module += f"+{frame.offset}"
    facts = (
        ("function", full if names.ELLIPSIS in name and name != full else ""),
        ("address", str(frame.pc) if whole and frame.pc is not None else ""),
        ("module", module if whole else ""),
        ("build-id", (frame.build_id or "") if whole else ""),
        ("found by", (frame.trust or "").replace("_", " ") if whole else ""),
    )
    return tuple((what, text) for what, text in facts if text)


# ---------------------------------------------------------------- threads


def groups(report: Report, anchor: str) -> list[Group]:
    """The crashed thread, then the others, those with the same stack together."""
    others = threads.others(report)
    named = threads.thread_names(report)
    most = most_rows(len(others))
    crashed = report.crashed
    first = [] if crashed is None else [_crashed(report, crashed, anchor)]
    found = (_group(report, each, most, named, anchor) for each in others)
    return [*first, *found]


def most_rows(stacks: int) -> int:
    """How long each stack may be, where there are so many besides that of the crash."""
    return min(max(MOST_ROWS // max(stacks, 1), FEWEST), MOST_OF_OTHERS)


def thread_anchor(anchor: str, thread: Thread) -> str:
    """Where a thread is on the page."""
    return f"{anchor}thread-{thread.number}"


def _crashed(report: Report, thread: Thread, anchor: str) -> Group:
    rows = words.without_middle(words.stack_rows(thread), LONGEST_STACK)
    see = None if is_deadlock(report) else words.frame_to_see(report)
    return Group(
        anchor=thread_anchor(anchor, thread),
        title=f"{words.crashed_title(report)} {words.thread_name(thread)}",
        about=words.count(words.depth(thread), "frame"),
        crashed=True,
        is_open=True,
        rows=stack(rows, see, whole=True),
        as_gdb_sees=_as_gdb_sees(thread),
    )


def _as_gdb_sees(thread: Thread) -> tuple[Row, ...]:
    return stack(words.without_middle(list(thread.gdb_frames), MOST_OF_OTHERS))


def _group(
    report: Report,
    members: tuple[Thread, ...],
    most: int,
    named: dict[int, str],
    anchor: str,
) -> Group:
    first, *others = members
    if others:
        title, _, about = threads.group_title(members, named).partition(": ")
    else:
        title, about = words.thread_name(first), threads.doing(first, named)
    return Group(
        anchor=thread_anchor(anchor, first),
        title=title,
        about=about,
        count=len(members),
        is_open=bool(report.deadlock) and threads.told_above(report, members),
        rows=stack(words.without_middle(words.stack_rows(first), most)),
        as_gdb_sees=_as_gdb_sees(first),
        members=_members(members, anchor, named) if others else (),
        values=tuple(_own_values(others)),
    )


def _members(members: Sequence[Thread], anchor: str, named: dict[int, str]) -> tuple[Member, ...]:
    found = []
    for i, thread in enumerate(members):
        texts = (words.thread_name(thread), threads.doing(thread, named))
        own = thread_anchor(anchor, thread) if i else ""
        found.append(Member(anchor=own, text=", ".join(text for text in texts if text)))
    return tuple(found)


def _own_values(others: Sequence[Thread]) -> Iterable[tuple[str, tuple[Row, ...]]]:
    """Threads with one stack may have other values in it."""
    left = MOST_MEMBERS
    for thread in others:
        frames = [frame for frame in values.frames_with_values(thread) if frame.in_app]
        if frames and left > 0:
            left -= 1
            yield words.thread_name(thread), stack(frames)
