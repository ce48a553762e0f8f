"""What led to a crash, drawn: a lane for each who took part, and the crash as a line through all.

The list of events that a page has besides tells the same in words. A mark can be pointed at or
reached by the keyboard; what it stands for is then written below the lanes.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec
from markupsafe import Markup

from evdiag.model.report import Report, TimelineEvent
from evdiag.report.html import svg
from evdiag.report.html.scale import Scale, bunches
from evdiag.report.timeline import chosen, title, what, when, who
from evdiag.report.words import count

MOST_BEFORE: Final = 400
MOST_AFTER: Final = 100
MOST_MARKS: Final = 90
"""More are drawn together: each is a step of the keyboard."""
MOST_TOLD: Final = 12
"""Events of a mark that are told where it has more."""
APART: Final = 16.0
"""Between marks of a lane."""
FARTHEST: Final = 1e8
"""Seconds from the crash: what is farther away is a mistake."""

_CRASH: Final = "crash"
_OTHER: Final = "other"
_LANES: Final[dict[str, tuple[str, ...]]] = {
    "session": ("session",),
    "car": ("v2g",),
    "OCPP": ("ocpp", "ocpp-link", "ocpp-security"),
    "MQTT": ("mqtt", "broker-lost"),
    "processes": (
        *("module-exit", "module-stopped", "manager-start", "manager-exit", "everest-up"),
        *("service-start", "service-exit", "container", "reset"),
    ),
    "errors": ("error", "warning", "module-error", "lock-timeout", "script"),
    _CRASH: (
        *("crash", "core-written", "no-core", "kernel-fault", "oom"),
        *("terminate", "what", "libc-message", "sanitizer"),
    ),
    _OTHER: (),
}
"""From top to bottom, with the kinds of events that each one has."""
_LANE_OF: Final = {kind: lane for lane, kinds in _LANES.items() for kind in kinds}
_SHAPES: Final = {
    "to_csms": ((0, -7), (6.5, 5), (-6.5, 5)),
    "to_car": ((0, -7), (6.5, 5), (-6.5, 5)),
    "from_csms": ((0, 7), (6.5, -5), (-6.5, -5)),
    "from_car": ((0, 7), (6.5, -5), (-6.5, -5)),
}

_WIDTH: Final = 1000
_LEFT: Final = 92
_RIGHT: Final = 924
_TOP: Final = 34
_LANE: Final = 36
_SIZE: Final = 12
_RADIUS: Final = 5.5
_READ: Final = 5
"""Lines below the lanes for the mark that is pointed at."""
_READ_WIDTH: Final = 380
"""Of these lines: what a phone shows of the drawing."""
_LINE: Final = 16
_HINT: Final = (
    "Point at a mark, or step to it with Tab, to read it. ▲ to and ▼ from the CSMS or the car; a "
    "number stands for so many events. Quiet stretches are shortened."
)
_LABEL: Final = 54
"""Room from which on a mark has words next to it."""


class _Mark(msgspec.Struct, frozen=True):
    """Events that are drawn as one."""

    x: float
    events: tuple[TimelineEvent, ...]

    @property
    def main(self) -> TimelineEvent:
        """The crash, else the first one."""
        return next((event for event in self.events if event.current), self.events[0])

    @property
    def half(self) -> float:
        """Half of its width."""
        if len(self.events) == 1:
            return _RADIUS + 1
        return 5 + 3.5 * len(str(len(self.events)))


def drawing(report: Report) -> Markup:
    """The timeline of a neutral report, or nothing where not two of its events have a time."""
    near = chosen(report.timeline, MOST_BEFORE, MOST_AFTER)
    events = sorted((event for event in near if _is_timed(event)), key=_seconds)
    if len(events) < 2:
        return Markup()
    scale = Scale([0.0, *map(_seconds, events)], _LEFT + 12, _RIGHT - 24)
    lanes = _lanes(events, scale)
    bottom = _TOP + _LANE * len(lanes)
    parts = [_ruler(scale, list(lanes), bottom)]
    parts += [
        _lane(name, marks, _TOP + _LANE * i, bottom)
        for i, (name, marks) in enumerate(lanes.items())
    ]
    most = max(len(_read(mark)) for marks in lanes.values() for mark in marks)
    height = bottom + 20 + _LINE * most
    image = svg.element(
        "svg", *parts, class_="g-drawing", role="group", viewBox=f"0 0 {_WIDTH} {height}"
    )
    box = svg.scrolled(image, f"{title(report)}, drawn", "g-timeline")
    return box + svg.element("p", _HINT, class_="g-hint")


def _is_timed(event: TimelineEvent) -> bool:
    return event.offset is not None and math.isfinite(event.offset) and abs(event.offset) < FARTHEST


def _seconds(event: TimelineEvent) -> float:
    return event.offset or 0.0


def _lanes(events: Sequence[TimelineEvent], scale: Scale) -> dict[str, list[_Mark]]:
    """The marks of each lane that has any, so few that they can be stepped through."""
    by_lane: dict[str, list[TimelineEvent]] = {name: [] for name in _LANES}
    for event in events:
        by_lane[_lane_of(event)].append(event)
    apart = APART
    lanes = _apart(by_lane, scale, apart)
    while sum(map(len, lanes.values())) > MOST_MARKS:
        apart *= 1.4
        lanes = _apart(by_lane, scale, apart)
    return lanes


def _apart(
    by_lane: Mapping[str, list[TimelineEvent]], scale: Scale, apart: float
) -> dict[str, list[_Mark]]:
    def place(event: TimelineEvent) -> float:
        return scale.place(_seconds(event))

    return {
        name: [_marked(x, members, scale) for x, members in bunches(own, place, apart)]
        for name, own in by_lane.items()
        if own
    }


def _marked(x: float, events: list[TimelineEvent], scale: Scale) -> _Mark:
    """The mark of the crash stands on its line, whatever else it stands for."""
    has_crash = any(event.current for event in events)
    return _Mark(scale.place(0.0) if has_crash else x, tuple(events))


def _lane_of(event: TimelineEvent) -> str:
    return _CRASH if event.current else _LANE_OF.get((event.kind or "").lower(), _OTHER)


# ---------------------------------------------------------------- what stands still


def _ruler(scale: Scale, lanes: Sequence[str], bottom: float) -> Markup:
    """The axis, the lanes' names and lines, and the crash."""
    parts = []
    for i, name in enumerate(lanes):
        y = _TOP + _LANE * i
        kind = "g-band g-band-odd" if i % 2 else "g-band"
        parts.append(svg.element("rect", x=0, y=y, width=_WIDTH, height=_LANE, class_=kind))
        words = "g-text g-small g-strong" if name == _CRASH else "g-text g-small"
        parts.append(svg.text(8, y + _LANE / 2 + 4, name, words))
        parts.append(svg.text(_WIDTH - 8, y + _LANE / 2 + 4, name, f"{words} g-far", "end"))
    for moment, x in scale.ticks(apart=54):
        is_crash = moment == 0
        parts.append(svg.path((x, _TOP - 6), (x, bottom), kind="g-crash" if is_crash else "g-tick"))
        kind = "g-text g-small g-alarm" if is_crash else "g-text g-small g-muted"
        parts.append(svg.text(x, _TOP - 13, _tick(moment), kind, "middle"))
    return svg.element("g", *parts, aria_hidden="true")


def _tick(moment: float) -> str:
    if moment == 0:
        return "crash"
    sign, seconds = "+" if moment > 0 else "−", abs(moment)
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= size:
            return f"{sign}{seconds / size:g} {unit}"
    return f"{sign}{seconds:g} s"


# ---------------------------------------------------------------- marks


def _lane(name: str, marks: Sequence[_Mark], top: float, bottom: float) -> Markup:
    """The marks of a lane, with words where there is room."""
    parts = []
    taken = float(_LEFT)
    for i, mark in enumerate(marks):
        ahead = marks[i + 1].x - marks[i + 1].half if i + 1 < len(marks) else _RIGHT
        label, taken = _words(mark, taken, ahead, top + _LANE / 2 + 4)
        parts.append(_mark(mark, label, top + _LANE / 2, bottom))
    kind = f"g-lane g-lane-{name.lower()}"
    return svg.element("g", *parts, class_=kind, role="group", aria_label=name)


def _words(mark: _Mark, taken: float, ahead: float, y: float) -> tuple[Markup, float]:
    """The words next to a mark, and up to where the lane is full then."""
    edge = mark.x + mark.half
    words, size = what(mark.main), _SIZE - 1
    right, left = ahead - edge - 12, mark.x - mark.half - taken - 12
    if max(left, right) < _LABEL:
        return Markup(), edge
    if right >= left or svg.width_of(words, size) <= right:
        short = svg.clipped(words, right, size)
        end = edge + 4 + svg.width_of(short, size)
        return svg.text(edge + 4, y, short, "g-text g-label"), end
    short = svg.clipped(words, left, size)
    return svg.text(mark.x - mark.half - 4, y, short, "g-text g-label", "end"), edge


def _mark(mark: _Mark, label: Markup, y: float, bottom: float) -> Markup:
    told = [_told(event) for event in mark.events[:MOST_TOLD]]
    hidden = len(mark.events) - len(told)
    more = [f"and {count(hidden, 'more event')}"] if hidden else []
    kind = "g-mark g-mark-crash" if mark.main.current else "g-mark"
    return svg.element(
        "g",
        svg.element("title", "\n".join(told + more)),
        *_shape(mark, y),
        label,
        _readout(mark, bottom),
        class_=kind,
        role="img",
        tabindex="0",
    )


def _told(event: TimelineEvent) -> str:
    return " · ".join(text for text in (when(event), who(event), what(event)) if text)


def _shape(mark: _Mark, y: float) -> list[Markup]:
    """A dot, a triangle that tells the way of a message, or how many events there are."""
    number = len(mark.events)
    if number > 1:
        box = svg.element(
            "rect",
            x=mark.x - mark.half,
            y=y - 8.5,
            width=2 * mark.half,
            height=17,
            rx=8.5,
            class_="g-dot",
        )
        return [box, svg.text(mark.x, y + 4, str(number), "g-text g-number", "middle")]
    corners = _SHAPES.get(mark.main.direction or "")
    if corners is not None:
        return [svg.polygon([(mark.x + dx, y + dy) for dx, dy in corners], "g-dot")]
    return [svg.element("circle", cx=mark.x, cy=y, r=_RADIUS, class_="g-dot")]


def _readout(mark: _Mark, bottom: float) -> Markup:
    """What stands below the lanes while the mark is pointed at, near to it."""
    left = min(max(8, mark.x - _READ_WIDTH / 2), _WIDTH - 8 - _READ_WIDTH)
    rows = [
        svg.text(
            left,
            bottom + 22 + _LINE * i,
            svg.clipped(line, _READ_WIDTH, _SIZE - 0.5),
            "g-text g-small",
        )
        for i, line in enumerate(_read(mark))
    ]
    return svg.element("g", *rows, class_="g-read", aria_hidden="true")


def _read(mark: _Mark) -> list[str]:
    """A line for each event, or all of one event."""
    if len(mark.events) == 1:
        return textwrap.wrap(_told(mark.main), svg.room(_READ_WIDTH, _SIZE))[:_READ]
    lines = [_told(event) for event in mark.events[:_READ]]
    hidden = len(mark.events) - _READ
    return [*lines[:-1], f"and {hidden + 1:,} more"] if hidden > 0 else lines
