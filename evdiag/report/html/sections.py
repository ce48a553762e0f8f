"""What each section of a report's page says; templates of the same names set it."""

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from evdiag.analyze import names
from evdiag.model.report import (
    CxxException,
    DeadlockMember,
    Frame,
    Report,
    Sibling,
    TimelineEvent,
)
from evdiag.report import family, threads, values, words
from evdiag.report import timeline as happened
from evdiag.report.html import facts, stacks, timeline, waits
from evdiag.report.html.facts import LONG, Context, told
from evdiag.report.screen import is_deadlock

MOST_EVENTS: Final = 400
MOST_PROCESSES: Final = 400
MOST_EXCEPTIONS: Final = 20
MOST_IN_CIRCLE: Final = 100
MOST_WAITING_FRAMES: Final = 6
"""Of the application's frames of each thread of a circle of waits."""
_QUIET: Final = ("snapshot", "sent-signal", "unknown")
_TAKE_PART: Final = {"first_fault": "alarm", "taken_down": "warning"}


# ---------------------------------------------------------------- what happened


def _verdict(report: Report, _: str) -> Context:
    verdict, signature = report.verdict, report.signature
    text = None if signature is None else signature.text or signature.address
    return {
        "cls": names.clip(verdict.cls, 40),
        "quiet": verdict.cls in _QUIET,
        "confidence": names.clip(verdict.confidence or "", 40),
        "summary": verdict.summary or "The cause was not found.",
        "evidence": verdict.evidence,
        "said": words.last_words(report),
        "advice": verdict.advice,
        "signature": text,
        "hash": None if signature is None else signature.hash,
        "notes": len(report.soft_errors),
    }


def _crash(report: Report, _: str) -> Context | None:
    frame = words.frame_to_see(report)
    if frame is None or is_deadlock(report):
        return None
    named, others = stacks.at_the_line(frame)
    if not (frame.file or frame.source or named.shown or others.shown):
        return None
    return {
        "name": names.function(words.name_of(frame), 400),
        "place": words.place_of(frame),
        "tag": frame.kind == "inline",
        "source": frame.source,
        "named": named,
        "others": others,
        "gdb": words.gdb_name(report),
    }


def _said(report: Report, _: str) -> Context | None:
    first = () if report.exception is None else (report.exception,)
    thrown = (*first, *report.other_exceptions)
    broken = report.assertion
    if not (thrown or report.abort_message or broken):
        return None
    line = "" if broken is None or broken.line is None else f":{broken.line}"
    assertion = broken and told(
        (
            ("expression", broken.expression),
            ("at", f"{broken.file}{line}" if broken.file else ""),
            ("in", names.function(broken.function or "", 200)),
        )
    )
    hidden = len(thrown) - MOST_EXCEPTIONS
    return {
        "message": report.abort_message,
        "assertion": assertion or [],
        "exceptions": [_exception(each) for each in thrown[:MOST_EXCEPTIONS]],
        "hidden": words.count(hidden, "more exception") if hidden > 0 else "",
    }


def _exception(thrown: CxxException) -> Context:
    return {
        "type": names.function(thrown.type or "unknown type", 300),
        "what": thrown.what,
        "role": thrown.role,
        "facts": told(
            (
                ("bases", ", ".join(names.function(base, 200) for base in thrown.bases)),
                ("address", None if thrown.address is None else str(thrown.address)),
            )
        ),
        "members": stacks.values_of(thrown.fields),
    }


class _Process(msgspec.Struct, frozen=True, kw_only=True):
    role: str
    kind: str
    name: str
    pid: str
    ending: str
    summary: str
    core: str
    own: bool


def _processes(report: Report, _: str) -> Context | None:
    if len(report.siblings) < 2:
        return None
    rows = [_process(sibling, report) for sibling in report.siblings[:MOST_PROCESSES]]
    hidden = len(report.siblings) - len(rows)
    return {"rows": rows, "long": len(rows) > LONG, "hidden": f"{hidden:,} more" if hidden else ""}


def _process(sibling: Sibling, report: Report) -> _Process:
    return _Process(
        role=family.ROLES.get(sibling.role or "", sibling.role or ""),
        kind=_TAKE_PART.get(sibling.role or "", "plain"),
        name=sibling.module_id or "?",
        pid="" if sibling.pid is None else str(sibling.pid),
        ending=family.ending(sibling),
        summary=sibling.summary or "",
        core=sibling.core or "",
        own=words.is_subject(sibling, report.process),
    )


def _waits(report: Report, anchor: str) -> Context | None:
    if not report.deadlock:
        return None
    leaders = _anchors(report, anchor)
    circle = report.deadlock[:MOST_IN_CIRCLE]
    members = [
        _waiting(report, member, text, leaders)
        for member, text in zip(circle, threads.deadlock(report), strict=False)
    ]
    hidden = len(report.deadlock) - len(members)
    return {
        "drawing": waits.drawing(report),
        "members": members,
        "hidden": f"{words.count(hidden, 'more thread')} in the circle" if hidden else "",
    }


def _anchors(report: Report, anchor: str) -> dict[int | None, str]:
    return {t.lwp: stacks.thread_anchor(anchor, t) for t in report.threads}


def _waiting(
    report: Report, member: DeadlockMember, text: str, anchors: dict[int | None, str]
) -> Context:
    thread = next((t for t in report.threads if t.lwp == member.lwp), None)
    own: list[Frame] = []
    if thread is not None:
        own = [frame for frame in thread.frames if frame.in_app][:MOST_WAITING_FRAMES]
    return {"text": text, "anchor": anchors.get(member.lwp, ""), "rows": stacks.bare(own)}


def _threads(report: Report, anchor: str) -> Context | None:
    if report.provenance.rung in words.WITHOUT_CORE and not report.threads:
        return None
    groups = stacks.groups(report, anchor)
    about = ""
    if report.crashed is None:
        about = "No thread is known to have crashed."
    elif len(groups) > 1:
        about = f"The crashed one first, then {threads.others_title(report)}."
    return {"groups": groups, "about": about, "gdb": values.source_of_values(report)}


# ---------------------------------------------------------------- what led to it


class _Event(msgspec.Struct, frozen=True, kw_only=True):
    when: str
    clock: str
    who: str
    what: str
    source: str
    current: bool


def _timeline(report: Report, _: str) -> Context | None:
    if not report.timeline:
        return None
    shown = happened.chosen(report.timeline, MOST_EVENTS * 3 // 4, MOST_EVENTS // 4)
    hidden = len(report.timeline) - len(shown)
    return {
        "drawing": timeline.drawing(report),
        "events": [_event(event) for event in shown],
        "long": len(shown) > LONG,
        "hidden": f"{hidden:,} more are in the JSON report" if hidden else "",
    }


def _event(event: TimelineEvent) -> _Event:
    return _Event(
        when=happened.when(event),
        # the time of the day, which stands in front where there is nothing better
        clock="" if event.offset is None else happened.when(_without_offset(event)),
        who=happened.who(event),
        what=happened.what(event),
        source=" · ".join(text for text in (event.module, event.source) if text),
        current=event.current,
    )


def _without_offset(event: TimelineEvent) -> TimelineEvent:
    return msgspec.structs.replace(event, offset=None)


def _logs(report: Report, _: str) -> Context | None:
    excerpts = [excerpt for excerpt in report.logs if excerpt.lines]
    return {"excerpts": excerpts} if excerpts else None


# ---------------------------------------------------------------- the order


Write = Callable[[Report, str], Context | None]
Title = Callable[[Report], str]


def _always(title: str) -> Title:
    return lambda _: title


def _threads_title(report: Report) -> str:
    return words.count(len(report.threads), "thread") if report.threads else "Threads"


def _modules_title(report: Report) -> str:
    return words.count(len(report.modules), "module")


SECTIONS: Final[Sequence[tuple[str, Title, Write]]] = (
    ("verdict", _always("Verdict"), _verdict),
    ("crash", _always("Where it happened"), _crash),
    ("said", _always("Last words"), _said),
    ("processes", family.title, _processes),
    ("waits", _always("Deadlock"), _waits),
    ("threads", _threads_title, _threads),
    ("timeline", happened.title, _timeline),
    ("logs", _always("Logs"), _logs),
    ("modules", _modules_title, facts.modules),
    ("machine", _always("Registers and instructions"), facts.machine),
    ("notes", _always("What is missing, and why"), facts.notes),
    ("origin", _always("Origin of this report"), facts.origin),
)
"""The name of a section and its template, its heading, and what makes its context, or None."""
