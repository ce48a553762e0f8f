"""The report as a web page: one file for a browser, with everything in it.

It works from a disk and out of a CI's artifact: nothing in it is fetched from anywhere.
"""

from collections.abc import Sequence

import msgspec

from evdiag.analyze import names
from evdiag.model.report import Report
from evdiag.report import json, words
from evdiag.report.html import base, page
from evdiag.report.neutral import neutralise

SUFFIX = ".html"
MEDIA = "text/html"


def render(report: Report) -> str:
    """The report as a page."""
    return render_many([report])


def render_many(reports: Sequence[Report]) -> str:
    """The page of one report, or of several with an index: first who died first."""
    neutral = [neutralise(report) for report in reports]
    if len(neutral) == 1:
        return _one(neutral[0])
    return _several(sorted(neutral, key=_was_taken_down))


def _one(report: Report) -> str:
    part = page.part(report)
    return base.document(
        names.clip(words.title(report), page.LONGEST_TITLE),
        part.body,
        data={"json": json.to_text(report)},
        contents=part.contents,
    )


class _Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the index."""

    anchor: str
    report: Report
    name: str
    cls: str
    role: str
    """Whether it died first, in words."""


def _several(reports: Sequence[Report]) -> str:
    entries = [
        _Entry(
            anchor=f"r{number}-",
            report=report,
            name=names.clip(words.title(report), page.LONGEST_TITLE),
            cls=names.clip(report.verdict.cls, 40),
            role=next(iter(words.siblings(report)), ""),
        )
        for number, report in enumerate(reports, 1)
    ]
    title = words.count(len(entries), "crash report") if entries else "No crash"
    body = base.render(
        "index.html.j2",
        title=title,
        entries=entries,
        articles=[page.article(entry.report, entry.anchor, level=2) for entry in entries],
    )
    return base.document(
        title,
        body,
        data={f"{entry.anchor}json": json.to_text(entry.report) for entry in entries},
        contents=[(f"{entry.anchor}report", names.clip(entry.name, 90)) for entry in entries],
    )


def _was_taken_down(report: Report) -> bool:
    """Whether its process died of another one's crash, as far as that is known."""
    own = (each for each in report.siblings if words.is_subject(each, report.process))
    return any(each.role == "taken_down" for each in own)
