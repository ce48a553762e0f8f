"""The report for people at a terminal: the answer on the first screen, the details below."""

from __future__ import annotations

import re
from collections.abc import Sequence
from io import StringIO
from typing import TYPE_CHECKING

from evdiag.model.report import Report
from evdiag.report.details import details
from evdiag.report.lines import BLANK, NARROWEST, Line, is_narrow, join
from evdiag.report.neutral import neutralise
from evdiag.report.screen import first_screen
from evdiag.report.values import without_values

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

_TRAILING_SPACE = re.compile(" +\n")

SUFFIX = ".txt"
MEDIA = "text/plain"


def render(report: Report, width: int = 80, colour: bool = False) -> str:
    """The report in lines of at most `width` characters, with or without colours."""
    report = neutralise(report)
    width = max(width, NARROWEST)
    lines = join((first_screen(report, width), details(report, width, report)))
    return paint(lines, width, colour)


def render_first(report: Report, width: int = 80, colour: bool = False) -> str:
    """The first screen alone, for a reader who waits: values of variables come later."""
    width = max(width, NARROWEST)
    return paint(first_screen(without_values(neutralise(report)), width), width, colour)


def render_rest(
    report: Report, width: int = 80, colour: bool = False, first: Report | None = None
) -> str:
    """What stands below `render_first`, with the values that came since then.

    `first` is the report that the first screen was made of, where it was another one.
    """
    width = max(width, NARROWEST)
    seen = without_values(neutralise(first or report))
    return paint([BLANK, *details(neutralise(report), width, seen)], width, colour)


def paint(lines: Sequence[Line], width: int, colour: bool) -> str:
    """The lines as text, with the terminal's own sequences where colours are wanted."""
    # Importing Rich takes longer than analysing a core: only who paints pays for it.
    from rich.console import Console  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    out = StringIO()
    console = Console(
        file=out,
        width=width,
        color_system="standard" if colour else None,
        force_terminal=colour,
        no_color=not colour,
        highlight=False,
        emoji=False,
        markup=False,
        legacy_windows=False,
        _environ={},  # the same report on every machine
    )
    page = Text()
    for line in lines:
        if _surely_fits(line, width):
            page.append_tokens((*line.prefix, *line.body, ("\n", "")))
        else:
            page.append_text(_bent(line, width, console))
    console.print(page, soft_wrap=True, end="")
    return _TRAILING_SPACE.sub("\n", out.getvalue())


def _surely_fits(line: Line, width: int) -> bool:
    """Whether it fits, told without counting the terminal cells of every character."""
    texts = [text for text, _ in line.prefix + line.body]
    return sum(map(len, texts)) <= width and all(map(is_narrow, texts))


def _bent(line: Line, width: int, console: Console) -> Text:
    """The line in as many rows as it takes, or cut: counted in cells, which are not characters."""
    from rich.text import Text  # noqa: PLC0415

    prefix, body = Text.assemble(*line.prefix), Text.assemble(*line.body)
    prefix.truncate(width // 2, overflow="ellipsis")
    room = width - prefix.cell_len
    if not line.wraps:
        body.truncate(room, overflow="ellipsis")
    first, *rest = body.wrap(console, room, overflow="fold") if body.cell_len > room else [body]
    hang = " " * prefix.cell_len
    return Text.assemble(prefix, first, "\n", *(Text.assemble(hang, row, "\n") for row in rest))
