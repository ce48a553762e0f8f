"""What `evdiag watch` tells of each crash: a screen, a few lines, or a line of JSON."""

import re
import shlex
from collections.abc import Sequence

import msgspec

from evdiag.analyze.times import utc_words
from evdiag.model.loglines import EVEREST
from evdiag.model.report import Report
from evdiag.model.watch import OUT_OF_MEMORY, Crash, Loop, Told
from evdiag.report import words
from evdiag.report.lines import ALARM, BOLD, DIM, WARNING, Line, fixed, prose
from evdiag.report.neutral import clean, neutralise

MOST_NAMES = 6
"""Modules that were taken down and are named in a line."""
_LONGEST_NAME, _LONGEST_TITLE = 200, 300
_FRACTION = re.compile(r"\.\d+")


def identity(crash: Crash, report: Report | None) -> tuple[str, ...]:
    """What tells a crash from others: its signature, else module and verdict."""
    if report is None:
        return "log", *crash.key
    signature = report.signature.hash if report.signature is not None else None
    if signature:
        return "signature", signature
    return "verdict", crash.module, report.verdict.cls, report.verdict.detail or crash.how


def told(
    container: str,
    crash: Crash,
    report: Report | None,
    loop: Loop,
    *,
    bundle: str | None = None,
    problem: str | None = None,
) -> Told:
    """All that is to be told of a crash; its report is not there if its core was not looked at."""
    known = Told(
        container=clean(container, _LONGEST_NAME),
        time=crash.time,
        cls="oom-killed" if crash.how == OUT_OF_MEMORY else "unknown",
        title=clean(crash.what, _LONGEST_TITLE),
        module=clean(crash.module, _LONGEST_NAME) or None,
        pid=crash.pid,
        signal=crash.how if crash.how.startswith("SIG") else None,
        taken_down=tuple(clean(name, _LONGEST_NAME) for name in crash.taken_down),
        bundle=bundle,
        problem=None if problem is None else clean(problem),
        loop=loop,
    )
    if report is None:
        return known
    report = neutralise(report)
    signal = report.signal.name if report.signal is not None else None
    taken = tuple(
        s.module_id or "?"
        for s in report.siblings
        if s.role == "taken_down" and s.module_id != EVEREST  # that is the manager
    )
    return msgspec.structs.replace(
        known,
        cls=report.verdict.cls,
        title=words.title(report),
        summary=report.verdict.summary,
        signature=report.signature.hash if report.signature is not None else None,
        signal=signal or known.signal,
        taken_down=taken or known.taken_down,
    )


def json_line(crash: Told) -> str:
    """One line for scripts."""
    return msgspec.json.encode(crash).decode() + "\n"


def plain(crash: Told, report: Report | None) -> str:
    """A few lines that each stand for themselves: for a pipe or a log of CI."""
    rows = [f"{moment(crash.time)} CRASH {crash.title}"]
    for title, text in _facts(crash, report):
        rows.append(f"    {title}: {text}")
    return "\n".join(rows) + "\n"


def _facts(crash: Told, report: Report | None) -> list[tuple[str, str]]:
    found = []
    if crash.summary:
        found.append(("why", crash.summary))
    if report is not None:
        report = neutralise(report)
        frame = words.frame_to_see(report)
        if frame is not None:
            found.append(("where", f"{words.place_of(frame)} in {words.name_of(frame)}"))
    if crash.taken_down:
        found.append(("taken down", _named(crash.taken_down)))
    return found + _end(crash)


def _end(crash: Told) -> list[tuple[str, str]]:
    found = []
    if crash.problem:
        found.append(("problem", crash.problem))
    if crash.bundle is not None:
        found.append(("bundle", clean(crash.bundle)))
    found.append(("next", next_command(crash)))
    return found


def _named(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    text = ", ".join(names[:MOST_NAMES])
    return f"{text} and {more} more" if more > 0 else text


def next_command(crash: Told) -> str:
    """What shows everything."""
    place = crash.container if crash.bundle is None else crash.bundle
    return f"evdiag backtrace {shlex.quote(clean(place))}"


def head(crash: Told, number: int, width: int) -> list[Line]:
    """What stands above the first screen of a report."""
    text = f"── crash {number} of {crash.container} at {moment(crash.time)} "
    return [fixed((text + "─" * max(width - len(text), 0), ALARM))]


def without_report(crash: Told) -> list[Line]:
    """What stands in place of the first screen where there is no report."""
    lines = [prose(crash.title, BOLD)]
    if crash.taken_down:
        lines.append(prose(f"taken down with it: {_named(crash.taken_down)}"))
    return lines


def foot(crash: Told) -> list[Line]:
    """What stands below: where the bundle is, and what comes next."""
    styles = {"problem": WARNING, "next": BOLD}
    return [prose(text, styles.get(title, ""), f"{title:<8}", DIM) for title, text in _end(crash)]


def moment(time: float | None) -> str:
    """A time to whole seconds."""
    return _FRACTION.sub("", utc_words(time) or "at an unknown time")


def loop_begins(title: str, loop: Loop, waits: int = 0) -> str:
    """That a crash comes again and again; said once. `waits`: what EVerest's start script says."""
    why = f"EVerest ended {waits} times soon after its start; " if waits else ""
    return (
        f"crash loop: {why}{clean(title, _LONGEST_TITLE)}: {loop.count} times from "
        f"{moment(loop.first)} to {moment(loop.last)}; further ones are counted, not collected"
    )


def loop_ends(title: str, loop: Loop) -> str:
    """What was only counted."""
    return (
        f"{loop.uncollected} more of the same, the last at {moment(loop.last)}: "
        f"{clean(title, _LONGEST_TITLE)}"
    )


def _crashes(number: int) -> str:
    return "no crash" if number == 0 else f"{number:,} crash{'es' if number > 1 else ''}"


_QUIET = {
    "reset": "EVerest was restarted because a reset was asked for: no crash",
    "broker-lost": "EVerest ended because its MQTT broker was gone: no crash",
}


def quiet(kind: str) -> str:
    """What to say of an end without a crash; nothing of one that somebody here asked for."""
    return _QUIET.get(kind, "")


def at_the_end(container: str, crashes: int, span: str) -> str:
    """The last line."""
    seen = _crashes(crashes)
    return f"watched {clean(container, _LONGEST_NAME)} for {span}: {seen}"


def status_line(container: str, crashes: int, span: str, *, state: str = "") -> str:
    """What is shown while nothing happens."""
    seen = _crashes(crashes)
    more = f", {state}" if state else ""
    return f"watching {clean(container, _LONGEST_NAME)} for {span}: {seen} so far{more}"
