"""Many crashes as a web page: a table of their groups, and the report of one core of each.

It is one file for a browser, as the page of a report is.
"""

from collections.abc import Sequence
from typing import Final

import msgspec
from markupsafe import Markup

from evdiag.analyze import names
from evdiag.analyze.triage.groups import moment
from evdiag.model.triage import Crash, Group, Triage
from evdiag.report import json, words
from evdiag.report.html import base, page
from evdiag.report.neutral import neutralise
from evdiag.report.triage import parts

SUFFIX: Final = ".html"
MEDIA: Final = "text/html"

MOST_REPORTS: Final = 100
"""Reports on the page: those of new groups first, then of the most frequent ones."""
MOST_CORES: Final = 200
MOST_FACTS: Final = 20
"""Builds, modules and lines of a group."""
MOST_GONE: Final = 200
MOST_LISTED: Final = 60
"""Groups in the table of contents."""
WIDEST: Final = 160
WIDEST_CELL: Final = 40
_TO_MINUTE: Final = 16


class Like(msgspec.Struct, frozen=True):
    """A link to a group that may be the same defect."""

    number: int
    percent: str


class Fact(msgspec.Struct, frozen=True):
    """Values of one kind, the most frequent first, and how often there was each."""

    name: str
    values: tuple[tuple[str, str], ...]
    more: str


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A group as the page shows it."""

    number: int
    group: Group
    title: str
    what: str
    """The same in few words."""
    sure: str
    """How sure the verdict is, where it is not."""
    place: str
    program: str
    first: str
    last: str
    builds: str
    like: tuple[Like, ...]
    facts: tuple[Fact, ...]
    cores: tuple[Crash, ...]
    more_cores: str
    next_step: str
    article: Markup
    """Empty where there is no report, or where there are too many."""
    is_left_out: bool

    @property
    def anchor(self) -> str:
        return f"g{self.number}"


def render(triage: Triage) -> str:
    """The triage as a page."""
    neutral = neutralise(triage)
    shown = _with_report(neutral.groups)
    places = {group.hash: i for i, group in enumerate(neutral.groups, 1) if group.hash}
    entries = [
        _entry(number, group, places, number in shown)
        for number, group in enumerate(neutral.groups, 1)
    ]
    title = parts.headline(neutral)
    new, others = parts.news(neutral)
    body = base.render(
        "overview.html.j2",
        title=title,
        triage=neutral,
        entries=entries,
        new=new,
        others=others,
        about=parts.scope(neutral),
        made=parts.made(neutral),
        most_reports=MOST_REPORTS,
        failed=parts.failures(neutral),
        gone=[(old, _minute(old.last_seen)) for old in neutral.gone[:MOST_GONE]],
        more_gone=_more(len(neutral.gone) - MOST_GONE, "group"),
        notes=[words.note(error) for error in neutral.soft_errors],
    )
    return base.document(title, body, data=_data(neutral, shown), contents=_contents(entries))


def _with_report(groups: Sequence[Group]) -> set[int]:
    """The numbers of the groups whose reports are on the page."""
    numbered = [(n, group) for n, group in enumerate(groups, 1) if group.report is not None]
    numbered.sort(key=lambda item: item[1].status != "new")
    return {number for number, _ in numbered[:MOST_REPORTS]}


def _data(triage: Triage, shown: set[int]) -> dict[str, str]:
    """The triage without the reports that are shown, and these: together they are the whole."""
    data = {}
    groups = []
    for number, group in enumerate(triage.groups, 1):
        if number in shown:
            data[f"g{number}-json"] = json.to_text(group.report)
            group = msgspec.structs.replace(group, report=None)
        groups.append(group)
    return {"json": json.to_text(msgspec.structs.replace(triage, groups=tuple(groups))), **data}


def _contents(entries: Sequence[Entry]) -> list[tuple[str, str]]:
    listed = [
        (entry.anchor, f"#{entry.number} {names.clip(entry.what, 80)}")
        for entry in entries[:MOST_LISTED]
    ]
    return [("groups", "All groups"), *listed] if listed else []


# ---------------------------------------------------------------- one group


def _entry(number: int, group: Group, places: dict[str, int], has_report: bool) -> Entry:
    report = group.report if has_report else None
    return Entry(
        number=number,
        group=group,
        title=group.title or parts.what(group),
        what=parts.what(group, WIDEST),
        sure=""
        if group.confidence in (None, "high")
        else names.clip(group.confidence, WIDEST_CELL),
        place=parts.place(group, WIDEST_CELL),
        program=names.clip(group.program or "", WIDEST_CELL),
        first=_minute(group.first_seen),
        last=_minute(group.last_seen),
        builds=_builds(group),
        like=tuple(
            Like(places[other.hash], f"{100 * (1 - other.distance):.0f} %")
            for other in group.similar
            if other.hash in places
        ),
        facts=_facts(group),
        cores=group.cores[:MOST_CORES],
        more_cores=_more(len(group.cores) - MOST_CORES, "core"),
        next_step=parts.next_step(group),
        article=Markup() if report is None else page.article(report, f"g{number}-", level=3),
        is_left_out=report is None and group.report is not None,
    )


def _minute(text: str | None) -> str:
    return moment(text)[:_TO_MINUTE]


def _builds(group: Group) -> str:
    """The image or the build, or how many there are."""
    images = dict.fromkeys(build.image for build in group.builds if build.image)
    known = dict.fromkeys(build.build_id for build in group.builds if build.build_id)
    if len(images) == 1 and len(known) <= 1:
        return names.elide(next(iter(images)), WIDEST_CELL)
    if len(known) == 1:
        return next(iter(known))[:12]
    return words.count(max(len(images), len(known)), "build") if known or images else ""


def _facts(group: Group) -> tuple[Fact, ...]:
    builds = [
        (" · ".join(text for text in (build.image, build.build_id) if text), build.count)
        for build in group.builds
    ]
    lines = [(parts.place_text(line.place), line.count) for line in group.lines]
    return tuple(
        fact
        for fact in (
            _fact("crash line", lines),
            _fact("module", [(name, 0) for name in group.modules]),
            _fact("build", builds),
        )
        if fact.values
    )


def _fact(name: str, counted: Sequence[tuple[str, int]]) -> Fact:
    known = [(text, f"×{number:,}" if number else "") for text, number in counted if text]
    values = tuple(known[:MOST_FACTS])
    plural = name if len(values) == 1 else f"{name}s"
    return Fact(plural, values, _more(len(known) - MOST_FACTS, name))


def _more(number: int, noun: str) -> str:
    """How many of a kind are not shown; empty if all are."""
    return f"{words.count(number, f'more {noun}')} in the JSON" if number > 0 else ""
