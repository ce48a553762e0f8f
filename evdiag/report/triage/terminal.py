"""A triage for people at a terminal: a table that one reads at a glance, and what to do next."""

import unicodedata
from collections.abc import Sequence

import msgspec

from evdiag.analyze import names
from evdiag.model.triage import Group, Triage
from evdiag.report import words
from evdiag.report.lines import (
    ALARM,
    BOLD,
    DIM,
    NARROWEST,
    PLACE,
    PLAIN,
    WARNING,
    Line,
    Piece,
    fixed,
    heading,
    is_narrow,
    join,
    prose,
)
from evdiag.report.neutral import neutralise
from evdiag.report.screen import problem_line
from evdiag.report.terminal import paint
from evdiag.report.triage import parts

MOST_ROWS = 100
"""Groups in the table: the new ones, and the most frequent of the others."""
WIDE = 130
"""From here on a row has room for everything."""
WIDEST_PROGRAM, WIDEST_PLACE = 20, 30
LEAST = 12
"""Characters of a text that there is no room for."""
GAP = "  "


class Cell(msgspec.Struct, frozen=True):
    """What stands in a column of a row."""

    text: str
    style: str = PLAIN
    right: bool = False


Row = list[Cell]


def render(triage: Triage, width: int = 80, colour: bool = False) -> str:
    """The triage in lines of at most `width` characters, with or without colours."""
    triage = neutralise(parts.without_reports(triage))
    width = max(width, NARROWEST)
    return paint(_lines(triage, width), width, colour)


def _lines(triage: Triage, width: int) -> list[Line]:
    return join(
        (
            _headline(triage),
            _table(triage, width),
            _bullets("Similar groups: perhaps one defect", parts.similar(triage)),
            _bullets(f"Gone since {triage.baseline}", parts.gone(triage)),
            _bullets("Not used", parts.failures(triage)),
            [problem_line(error) for error in triage.soft_errors],
            [prose(" · ".join(parts.made(triage)), DIM)],
            _next(triage, width),
        )
    )


def _headline(triage: Triage) -> list[Line]:
    new, others = parts.news(triage)
    alarming = ALARM if new and not new.startswith("0 ") else PLAIN
    pieces = [(parts.headline(triage), BOLD)]
    if new:
        pieces += [(": ", PLAIN), (new, alarming), (f", {others}", PLAIN)]
    lines = [Line(body=tuple(pieces))]
    if scope := parts.scope(triage):
        lines.append(prose(" · ".join(scope), DIM))
    if triage.run.interrupted:
        text = "Interrupted: cores that were not reached are missing. Start it again to go on."
        lines.append(prose(text, WARNING))
    return lines


def _bullets(title: str, texts: Sequence[str]) -> list[Line]:
    return [heading(title), *(prose(text, PLAIN, "  · ", DIM) for text in texts)] if texts else []


def _next(triage: Triage, width: int) -> list[Line]:
    """Commands for the groups to look at first, where the eye ends up."""
    lines: list[Line] = []
    for number, group in parts.to_look_at(triage.groups):
        lines.append(prose(parts.next_step(group), BOLD, "next  " if not lines else " " * 6, BOLD))
        before = " " * 8 + f"#{number}, {parts.crashes_of(group)}: "
        lines.append(fixed((before + parts.what(group, max(width - len(before), LEAST)), DIM)))
    return lines


# ---------------------------------------------------------------- the table


def _table(triage: Triage, width: int) -> list[Line]:
    shown = _shown(triage.groups)
    if not shown:
        return []
    lines = _wide(triage, shown, width) if width >= WIDE else _narrow(triage, shown, width)
    left_out = len(triage.groups) - len(shown)
    if left_out:
        text = f"{words.count(left_out, 'more group')}: as HTML or JSON they are all there"
        lines.append(fixed((text, DIM)))
    return lines


def _shown(groups: Sequence[Group]) -> list[tuple[int, Group]]:
    """The groups of the table with their numbers."""
    numbered = list(enumerate(groups, 1))
    if len(numbered) <= MOST_ROWS:
        return numbered
    first = sorted(numbered, key=lambda item: item[1].status != "new")[:MOST_ROWS]
    return sorted(first, key=lambda item: item[0])


def _wide(triage: Triage, shown: Sequence[tuple[int, Group]], width: int) -> list[Line]:
    """One row for each group, and a column for everything."""
    times = parts.Times(triage)
    compared = triage.baseline is not None
    before: list[Row] = [_head(compared)]
    after: list[Row] = [
        [
            Cell("CRASH LINE", DIM),
            Cell("PROGRAM", DIM),
            Cell("BUILDS", DIM, right=True),
            Cell("FIRST SEEN", DIM),
            Cell("LAST SEEN", DIM),
        ]
    ]
    for number, group in shown:
        before.append(_numbers(number, group, compared))
        after.append(
            [
                Cell(parts.place(group, WIDEST_PLACE), _style(group, PLACE)),
                Cell(_cut(group.program or "?", WIDEST_PROGRAM), _style(group, PLAIN)),
                Cell(str(parts.builds(group) or "?"), DIM, right=True),
                Cell(times.short(group.first_seen), DIM),
                Cell(times.short(group.last_seen), _style(group, PLAIN)),
            ]
        )
    used = sum(_widths(before)) + sum(_widths(after)) + len(GAP) * (len(before[0]) + len(after[0]))
    room = max(width - used - len(GAP), LEAST)
    whats = [Cell("WHAT", DIM), *(_what(group, room) for _, group in shown)]
    return _grid([[*a, b, *c] for a, b, c in zip(before, whats, after, strict=True)])


def _narrow(triage: Triage, shown: Sequence[tuple[int, Group]], width: int) -> list[Line]:
    """Two rows for each group: what it is, and where and when."""
    times = parts.Times(triage)
    compared = triage.baseline is not None
    rows: list[Row] = [_head(compared)]
    rows += [_numbers(number, group, compared) for number, group in shown]
    margin = sum(_widths(rows)) + len(GAP) * len(rows[0])
    room = max(width - margin, LEAST)
    heads, *lines = _grid(rows)
    out = [fixed(*heads.body, ("WHAT", DIM))]
    for line, (_, group) in zip(lines, shown, strict=True):
        what = _what(group, room)
        out.append(fixed(*line.body, (what.text, what.style)))
        out.append(fixed((" " * margin, PLAIN), *_below(group, times, room)))
    return out


def _below(group: Group, times: parts.Times, room: int) -> list[Piece]:
    """Where, in what and when. Where there is no room for all, the builds go first."""
    program, number = _cut(group.program or "?", WIDEST_PROGRAM), parts.builds(group)
    text = " · ".join(part for part in (program, times.span(group)) if part)
    place = parts.place(group, max(room - len(text) - 3, LEAST))
    if number > 1 and len(place) + len(text) + len(f"{number}") + 12 <= room:
        text += f" · {number} builds"
    return [(place, _style(group, PLACE)), (" · " + text if place else text, DIM)]


def _head(compared: bool) -> Row:
    status = [Cell("STATUS", DIM)] if compared else []
    return [Cell("#", DIM, right=True), Cell("COUNT", DIM, right=True), *status]


def _numbers(number: int, group: Group, compared: bool) -> Row:
    new = group.status == "new"
    status = [Cell(_cut(group.status or "?", LEAST), ALARM if new else DIM)] if compared else []
    count = Cell(f"{group.count:,}", _style(group, BOLD), right=True)
    return [Cell(str(number), DIM, right=True), count, *status]


def _what(group: Group, room: int) -> Cell:
    return Cell(_cut(parts.what(group, room), room), _style(group, PLAIN))


def _style(group: Group, style: str) -> str:
    return DIM if group.unsorted else style


def _grid(rows: Sequence[Row]) -> list[Line]:
    """The rows in columns, each as wide as its widest cell."""
    widths = _widths(rows)
    return [
        fixed(
            *(piece for cell, room in zip(row, widths, strict=True) for piece in _pad(cell, room))
        )
        for row in rows
    ]


def _widths(rows: Sequence[Row]) -> list[int]:
    return [max(_cells(cell.text) for cell in column) for column in zip(*rows, strict=True)]


def _pad(cell: Cell, room: int) -> list[Piece]:
    gap = " " * (room - _cells(cell.text))
    if cell.right:
        return [(gap, PLAIN), (cell.text, cell.style), (GAP, PLAIN)]
    return [(cell.text, cell.style), (gap + GAP, PLAIN)]


def _cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if is_narrow(text):
        return len(text)
    return sum(_cells_of(char) for char in text)


def _cells_of(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def _cut(text: str, room: int) -> str:
    """The text in at most so many cells."""
    text = names.clip(text, room)
    while len(text) > 1 and _cells(text) > room:
        text = text.removesuffix(names.ELLIPSIS)[:-1] + names.ELLIPSIS
    return text
