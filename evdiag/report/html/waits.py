"""The wait graph of a deadlock, drawn: a circle of threads, each with what it waits for.

The circle goes along two columns of boxes, down the right one and up the left one, so that twelve
threads are as legible as two.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec
from markupsafe import Markup

from evdiag.analyze.names import function
from evdiag.model.report import DeadlockMember, Frame, Report, Thread, WaitsFor
from evdiag.report import threads
from evdiag.report.html import svg
from evdiag.report.words import count, name_of, place_of

MOST_DRAWN: Final = 12
"""More threads are a list."""
MOST_LISTED: Final = 100

_PAD: Final = 10
_BOX: Final = 224
_HIGH: Final = 84
_ACROSS: Final = 136
"""Between the columns."""
_DOWN: Final = 54
"""Between the boxes of a column."""
_LEFT: Final = _PAD
_RIGHT: Final = _PAD + _BOX + _ACROSS
_WIDTH: Final = _RIGHT + _BOX + _PAD
_SIZE: Final = 13
_SMALL: Final = 11.5
_INSIDE: Final = _BOX - 20
_APART: Final = 14
"""Half of what is between two arrows between the same boxes."""
_LOCKS: Final = {"rwlock": "read-write lock", "join": "its end (join)"}


class _Node(msgspec.Struct, frozen=True):
    """A thread of the circle, and the corner of its box."""

    member: DeadlockMember
    x: float
    y: float

    @property
    def centre(self) -> float:
        return self.x + _BOX / 2

    @property
    def level(self) -> float:
        return self.y + _HIGH / 2


def drawing(report: Report) -> Markup:
    """The circle of a neutral report, or nothing where there is none."""
    if not report.deadlock:
        return Markup()
    lines = threads.deadlock(report)
    return _circle(report, lines) if len(lines) <= MOST_DRAWN else _list(lines)


def _list(lines: Sequence[str]) -> Markup:
    shown = [svg.element("li", line) for line in lines[:MOST_LISTED]]
    hidden = len(lines) - len(shown)
    if hidden:
        shown.append(svg.element("li", f"… and {count(hidden, 'more thread')}", class_="g-muted"))
    return svg.element("ol", *shown, class_="g-list")


def _circle(report: Report, lines: Sequence[str]) -> Markup:
    nodes = _placed(report.deadlock)
    known = {thread.lwp: thread for thread in report.threads if thread.lwp is not None}
    besides = _waiting_besides(report)
    parts = [
        svg.element("title", _title(len(nodes))),
        svg.element("desc", "; ".join(lines)),
    ]
    for i, (node, line) in enumerate(zip(nodes, lines, strict=True)):
        after = nodes[(i + 1) % len(nodes)]
        parts.append(svg.element("g", svg.element("title", line), *_arrow(node, after, len(nodes))))
    for node, line in zip(nodes, lines, strict=True):
        lwp = node.member.lwp
        thread = None if lwp is None else known.get(lwp)
        parts.append(_box(node, thread, besides[lwp], line))
    height = max(node.y for node in nodes) + _HIGH + _PAD
    image = svg.element(
        "svg", *parts, class_="g-drawing", role="img", viewBox=f"0 0 {_WIDTH} {height:.0f}"
    )
    return svg.scrolled(image, "Wait graph of the deadlock", "g-waits")


def _title(members: int) -> str:
    if members == 1:
        return "A thread that waits for itself"
    return f"{members} threads that wait for each other"


def _waiting_besides(report: Report) -> Counter[int | None]:
    """How many threads outside of the circle wait for each one of it."""
    circle = {member.lwp for member in report.deadlock}
    return Counter(
        thread.waits_for.owner_lwp
        for thread in report.threads
        if thread.waits_for is not None
        and thread.waits_for.owner_lwp is not None
        and thread.lwp not in circle
    )


def _placed(circle: Sequence[DeadlockMember]) -> list[_Node]:
    """Clockwise from the top left; of an odd number the left column has one more."""
    on_the_right = len(circle) // 2
    nodes = []
    for i, member in enumerate(circle):
        is_right = 0 < i <= on_the_right
        row = i - 1 if is_right else (len(circle) - i) % len(circle)
        nodes.append(_Node(member, x=_RIGHT if is_right else _LEFT, y=_PAD + row * (_HIGH + _DOWN)))
    return nodes


# ---------------------------------------------------------------- threads


def _box(node: _Node, thread: Thread | None, besides: int, line: str) -> Markup:
    """A thread: what it is called, which function waits, and how many wait for it besides."""
    member = node.member
    frame = _frame(thread, member.frame) if thread is not None else None
    waiting = f"and {besides:,} more wait" + ("s" if besides == 1 else "")
    told = [line]
    rows = [("g-muted", "" if member.lwp is None else f"LWP {member.lwp}")]
    if frame is not None:
        told.append(f"in {name_of(frame)} {place_of(frame)}".rstrip())
        letters = svg.room(_INSIDE, _SMALL, svg.MONO)
        rows.append(("g-mono", function(name_of(frame), letters)))
        rows.append(("g-mono g-muted", place_of(frame, letters, directories=False)))
    if besides:
        told.append(f"{waiting} for it")
        rows[0] = ("g-muted", ", ".join(text for text in (rows[0][1], waiting) if text))
    kind = "g-node g-node-crash" if thread is not None and thread.crashed else "g-node"
    name = svg.fitted(_name(member), _INSIDE, _SIZE, svg.BOLD)
    parts = [
        svg.element("title", "; ".join(told)),
        svg.element("rect", x=node.x, y=node.y, width=_BOX, height=_HIGH, rx=6, class_=kind),
        svg.text(node.x + 10, node.y + 21, name, "g-text g-strong"),
    ]
    for i, (kind, words) in enumerate(rows):
        letter = svg.MONO if "mono" in kind else svg.PLAIN
        short = svg.fitted(words, _INSIDE, _SMALL, letter)
        parts.append(svg.text(node.x + 10, node.y + 39 + i * 17, short, f"g-text g-small {kind}"))
    return svg.element("g", *parts)


def _name(member: DeadlockMember) -> str:
    if member.thread is None:
        return "a thread"
    number = f"#{member.thread} "
    letters = svg.room(_INSIDE, _SIZE, svg.BOLD) - len(number)
    return number + function(member.role or "", max(letters, 2))


def _frame(thread: Thread, level: int | None) -> Frame | None:
    return next((frame for frame in thread.frames if frame.level == level), None)


# ---------------------------------------------------------------- arrows


def _arrow(here: _Node, after: _Node, members: int) -> list[Markup]:
    """From a thread to the next one, with what is between them."""
    label = _label(here.member.waits_for)
    if members == 1:
        return _loop(here, label)
    if here.x == after.x:
        return _upright(here, after, label)
    if here.x < after.x:
        return _across(here, after, label, members)
    if here.y == after.y:
        return _back(here, after, label, members)
    return _around(here, after, label)


def _label(wait: WaitsFor | None) -> list[str]:
    kind = (wait.kind if wait is not None else None) or "lock"
    words = [_LOCKS.get(kind, kind)]
    if wait is not None and wait.address is not None:
        words.append(str(wait.address))
    return words


def _loop(node: _Node, label: list[str]) -> list[Markup]:
    edge, out = node.x + _BOX, node.x + _BOX + 44
    up, down = node.level - _APART, node.level + _APART
    return [
        svg.path((edge, up), (out, up), (out, down), (edge + 8, down), kind="g-edge"),
        svg.head(edge + 1, down, "left", "g-head"),
        *_words(label, out + 10, node.level + 4, "start"),
    ]


def _upright(here: _Node, after: _Node, label: list[str]) -> list[Markup]:
    """Between two boxes of one column."""
    x, down = here.centre, after.y > here.y
    begin = here.y + _HIGH if down else here.y
    end, step, way = (after.y - 1, -8, "down") if down else (after.y + _HIGH + 1, 8, "up")
    return [
        svg.path((x, begin), (x, end + step), kind="g-edge"),
        svg.head(x, end, way, "g-head"),
        *_words(label, x + 10, (begin + end) / 2 + 4, "start"),
    ]


def _across(here: _Node, after: _Node, label: list[str], members: int) -> list[Markup]:
    y = here.level - (_APART if members == 2 else 0)
    begin, end = here.x + _BOX, after.x - 1
    return [
        svg.path((begin, y), (end - 8, y), kind="g-edge"),
        svg.head(end, y, "right", "g-head"),
        *_words(label, (begin + end) / 2, y - _above(label), "middle"),
    ]


def _back(here: _Node, after: _Node, label: list[str], members: int) -> list[Markup]:
    is_pair = members == 2
    y = here.level + (_APART if is_pair else 0)
    begin, end = here.x, after.x + _BOX + 1
    middle = y + _above(label) + 7 if is_pair else y - _above(label)
    return [
        svg.path((begin, y), (end + 8, y), kind="g-edge"),
        svg.head(end, y, "left", "g-head"),
        *_words(label, (begin + end) / 2, middle, "middle"),
    ]


def _around(here: _Node, after: _Node, label: list[str]) -> list[Markup]:
    """From the last box on the right down and left to the one below on the other side."""
    end = after.x + _BOX + 1
    return [
        svg.path(
            (here.centre, here.y + _HIGH),
            (here.centre, after.level),
            (end + 8, after.level),
            kind="g-edge",
        ),
        svg.head(end, after.level, "left", "g-head"),
        *_words(label, (here.centre + end) / 2, after.level - _above(label), "middle"),
    ]


def _above(label: list[str]) -> float:
    """How far the middle of a label is from its line."""
    return 3 + 7 * len(label)


def _words(label: list[str], x: float, middle: float, anchor: str) -> list[Markup]:
    """The lines of a label around a height."""
    first = middle - 7 * (len(label) - 1)
    return [
        svg.text(x, first + 14 * i, svg.fitted(words, _ACROSS - 14, _SMALL), kind, anchor)
        for i, (words, kind) in enumerate(
            zip(label, ("g-text g-small", "g-text g-small g-mono g-muted"), strict=False)
        )
    ]
