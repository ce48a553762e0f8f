"""What led to the crash, in rows: when, who to whom, what."""

from collections.abc import Sequence

from evdiag.analyze import names
from evdiag.model.logs import KINDS
from evdiag.model.report import Report, TimelineEvent
from evdiag.report.lines import ALARM, ARROW, BOLD, DIM, PLAIN, Line, fixed, heading

MOST_BEFORE, MOST_AFTER = 12, 4
"""Rows before and after the crash on a terminal; JSON has them all."""
MOST_LINES = 3
"""Lines of an event on a terminal."""
MINUTES = 600.0
"""Seconds from which on minutes are shown."""

_WAYS = {"to_csms": "→ CSMS", "from_csms": "← CSMS", "to_car": "→ car", "from_car": "← car"}
_LABELS = {
    **dict.fromkeys(("module-exit", "module-stopped", "manager-start", "manager-exit"), "manager"),
    **dict.fromkeys(("service-start", "service-exit"), "supervisor"),
    **dict.fromkeys(("core-written", "no-core"), "capture"),
    **dict.fromkeys(("kernel-fault", "oom"), "kernel"),
    **{"ocpp": "OCPP", "ocpp-link": "OCPP", "ocpp-security": "OCPP", "everest-up": "manager"},
    **{"v2g": "car", "mqtt": "MQTT", "crash": "crash"},
}
"""What the kinds are called; others by their own word, and what logs tell besides is `log`."""
_PREFIXES = ("manager: ", "container: ", "evdiag capture: ")
"""What the label says already."""


def title(report: Report) -> str:
    """What the section is called, and when the crash was."""
    own = next((event for event in report.timeline if event.current), None)
    if own is None:
        return "The last events"
    return f"What led to the crash at {own.time}" if own.time else "What led to the crash"


def chosen(events: Sequence[TimelineEvent], before: int, after: int) -> list[TimelineEvent]:
    """The last ones before the crash, the crash, and what explains it."""
    own = next((i for i, event in enumerate(events) if event.current), None)
    if own is None:
        return list(events[-before:])
    return list(events[max(0, own - before) : own + after + 1])


def section(report: Report, width: int) -> list[Line]:
    """For the terminal: the times and what happened, wrapped below each other."""
    events = chosen(report.timeline, MOST_BEFORE, MOST_AFTER)
    if not events:
        return []
    clock, label = _sizes(events)
    longest = MOST_LINES * max(20, width - clock - label - 8)
    lines = [heading(title(report))]
    hidden = len(report.timeline) - len(events)
    if hidden:
        lines.append(fixed((f"  … {hidden:,} more are in the JSON report", DIM)))
    for event in events:
        own = event.current
        lines.append(
            Line(
                (
                    (f"{ARROW} " if own else "  ", ALARM),
                    (f"{when(event):>{clock}}  ", DIM),
                    (f"{who(event):<{label}}  ", ALARM if own else DIM),
                ),
                ((names.clip(what(event), longest), BOLD if own else PLAIN),),
            )
        )
    return lines


def rows(report: Report, most: int, width: int) -> list[str]:
    """As plain text, one line an event."""
    events = chosen(report.timeline, most - most // 4, most // 4)
    clock, label = _sizes(events)
    return [
        names.clip(
            f"{ARROW if event.current else ' '} {when(event):>{clock}}  {who(event):<{label}}  "
            f"{what(event)}",
            width,
        )
        for event in events
    ]


def _sizes(events: Sequence[TimelineEvent]) -> tuple[int, int]:
    """The widths of the columns."""
    return (
        max((len(when(event)) for event in events), default=0),
        min(max((len(who(event)) for event in events), default=0), 14),
    )


def when(event: TimelineEvent) -> str:
    """The time before the crash, as exact as it is known; else the time of the day."""
    if event.offset is None:
        return (event.time or "").removesuffix(" UTC").rpartition(" ")[2]
    sign, seconds = "-+"[event.offset > 0] if event.offset else "", abs(event.offset)
    digits = 0 if event.precision else 3
    if seconds >= MINUTES:
        return f"{sign}{seconds / 60:.0f} min"
    return f"{'≈' if event.precision else ''}{sign}{seconds:.{digits}f} s"


def who(event: TimelineEvent) -> str:
    """Who tells it, or which way a message went."""
    kind = event.kind or ""
    way = _WAYS.get(event.direction or "")
    return way or _LABELS.get(kind) or ("log" if kind in KINDS else names.clip(kind, 14))


def what(event: TimelineEvent) -> str:
    """What happened, how often, and how long the answer took."""
    text = event.text
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    if event.kind == "core-written":
        text = "wrote " + (text.partition(" died of signal ")[2].partition(": ")[2] or text)
    count = f" ×{event.count:,}" if event.count > 1 and event.kind != "module-stopped" else ""
    after = event.answered_after
    waited = f" (after {after:.1f} s)" if after is not None and after >= 1 else ""
    return f"{text}{waited}{count}"
