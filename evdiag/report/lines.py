"""What the terminal report is made of: lines of styled text that know how they bend.

The layout is plain data: it needs no terminal library, and `terminal.py` paints it in one go.
"""

import re
from collections.abc import Iterable, Sequence

import msgspec

from evdiag.analyze import names
from evdiag.model.report import Frame, SourceLine
from evdiag.report import values, words
from evdiag.report.words import Mark

Piece = tuple[str, str]
"""A text and its style. Only the terminal's own colours: they fit light and dark backgrounds."""

PLAIN = ""
BOLD = "bold"
DIM = "dim"
PLACE = "cyan"
ALARM = "bold red"
WARNING = "bold magenta"
BADGE = "bold white on red"
QUIET_BADGE = "bold reverse"

ARROW = "→"
WIDE = 110
"""From here on there is room for directories next to the names of functions."""
NARROWEST = 40
"""A narrower terminal gets lines of this width: nothing useful fits into less."""
_WIDE = re.compile("[^\u0000-\u02ff\u2010-\u2027\u2190-\u21ff]")
"""What may take another number of cells than one; `…`, `·` and `→` are not among it."""


class Line(msgspec.Struct, frozen=True):
    """One line of the report; a long one wraps below the end of its prefix, or is cut."""

    prefix: tuple[Piece, ...] = ()
    body: tuple[Piece, ...] = ()
    wraps: bool = True

    def rows(self, width: int) -> int:
        """About how many rows it takes on a terminal of that width."""
        before = sum(len(text) for text, _ in self.prefix)
        text = sum(len(text) for text, _ in self.body)
        # Words do not fill the rows: a tenth is lost.
        return -(-text * 11 // (10 * max(width - before, 1))) if self.wraps and text else 1


BLANK = Line()


def prose(text: str, style: str = PLAIN, prefix: str = "", prefix_style: str = PLAIN) -> Line:
    """A line that wraps, hanging below the end of its prefix."""
    return Line(((prefix, prefix_style),), ((text, style),))


def fixed(*pieces: Piece) -> Line:
    """A line that is cut where the terminal ends."""
    return Line(body=pieces, wraps=False)


def heading(text: str) -> Line:
    """The title of a section."""
    return fixed((text, BOLD))


def join(sections: Iterable[Sequence[Line]]) -> list[Line]:
    """The sections that have something to say, with a blank line between them."""
    lines: list[Line] = []
    for section in sections:
        if section:
            lines += [BLANK, *section] if lines else section
    return lines


def is_narrow(text: str) -> bool:
    """Whether the text surely takes one cell of a terminal for each character."""
    return text.isascii() or not _WIDE.search(text)


def plain(lines: Iterable[Line]) -> list[str]:
    """The lines without their styles, as long as they are."""
    return ["".join(text for text, _ in line.prefix + line.body).rstrip() for line in lines]


def frame_lines(
    rows: Sequence[Frame | Mark],
    width: int,
    see: Frame | None = None,
    indent: int = 0,
    arguments: bool = True,
) -> list[Line]:
    """Frames in columns: level, function, place; the frame to look at first has an arrow.

    Values of arguments, where there are any, stand for the parameters if asked for.
    """
    frames = [row for row in rows if isinstance(row, Frame)]
    digits = len(str(max((frame.level for frame in frames), default=0)))
    margin = indent + digits + 4  # arrow, space, level, two spaces
    places = [words.place_of(frame, max(16, width // 3), width >= WIDE) for frame in frames]
    widest_place = max(map(len, places), default=0)
    room = width - margin - widest_place - 2
    names = [_name(frame, room, arguments) for frame in frames]
    column = max((len(name) + len(tag) for name, tag in names), default=0)
    texts = iter(zip(names, places, strict=True))
    lines: list[Line] = []
    for row in rows:
        if isinstance(row, Mark):
            lines.append(fixed((" " * margin + row.text, DIM)))
            continue
        (name, tag), place = next(texts)
        lines.append(_frame_line(row, name, tag, place, (indent, digits, column), row is see))
    return lines


def _name(frame: Frame, room: int, arguments: bool) -> tuple[str, str]:
    tag = " inlined" if frame.kind == "inline" else ""
    room -= len(tag)
    called = values.call(frame, room) if arguments else ""
    return called or names.function(words.name_of(frame), room), tag


def _frame_line(
    frame: Frame, name: str, tag: str, place: str, sizes: tuple[int, int, int], seen: bool
) -> Line:
    indent, digits, column = sizes
    system = not frame.in_app and not seen
    name_style = ALARM if seen else DIM if system else PLAIN
    gap = " " * (column - len(name) - len(tag) + 2) if place else ""
    return fixed(
        (" " * indent + (ARROW if seen else " ") + " ", ALARM if seen else PLAIN),
        (f"{frame.level:>{digits}}  ", DIM),
        (name, name_style),
        (tag, DIM),
        (gap + place, DIM if system else PLACE),
    )


def source_lines(source: Sequence[SourceLine], context: int) -> list[Line]:
    """The source around the current line, which has an arrow."""
    current = next((i for i, line in enumerate(source) if line.current), 0)
    shown = source[max(0, current - context) : current + context + 1]
    digits = max((len(str(line.number)) for line in shown), default=0)
    return [
        fixed(
            (f"  {ARROW} ", ALARM) if line.current else ("    ", PLAIN),
            (f"{line.number:>{digits}}  ", DIM),
            (line.text.rstrip(), BOLD if line.current else PLAIN),
        )
        for line in shown
    ]
