"""One report as a part of a page: its sections, the most telling first."""

from typing import Final

import msgspec
from markupsafe import Markup

from evdiag.analyze import names
from evdiag.model.report import Report
from evdiag.report import words
from evdiag.report.html import base
from evdiag.report.html.sections import SECTIONS

LONGEST_TITLE: Final = 300


class Section(msgspec.Struct, frozen=True):
    """A part of a report with a heading."""

    kind: str
    """The name of its template, and the end of its anchor."""
    title: str
    body: Markup


class Part(msgspec.Struct, frozen=True):
    """A report as a part of a page."""

    body: Markup
    contents: tuple[tuple[str, str], ...]
    """The anchors and headings of its sections."""


def article(report: Report, anchor: str = "", level: int = 1) -> Markup:
    """A neutral report as markup. All its ids begin with `anchor`.

    Its own heading is of that level, those of its sections of the next one. Its download button
    wants its JSON in the page's `data` by the name `{anchor}json`, as `evdiag.report.json` has it.
    """
    return part(report, anchor, level).body


def part(report: Report, anchor: str = "", level: int = 1) -> Part:
    """The same with its table of contents."""
    found = list(_sections(report, anchor, level))
    body = base.render(
        "report.html.j2",
        anchor=anchor,
        level=level,
        title=names.clip(words.title(report), LONGEST_TITLE),
        facts=words.facts(report),
        siblings=words.siblings(report),
        sections=found,
        file=file_name(report),
    )
    contents = tuple((f"{anchor}{section.kind}", section.title) for section in found)
    return Part(body, contents)


def file_name(report: Report) -> str:
    """What its JSON is called when it is taken out of the page."""
    subject = report.process.module_id or names.basename(report.process.executable or "")
    known = "".join(char for char in subject if char.isascii() and (char.isalnum() or char in "_-"))
    return "-".join(part for part in ("report", known[:60]) if part) + ".json"


def _sections(report: Report, anchor: str, level: int) -> list[Section]:
    """Those parts of the report that have something to say."""
    found = []
    for kind, title, write in SECTIONS:
        context = write(report, anchor)
        if context is not None:
            body = base.render(f"{kind}.html.j2", level=level + 2, anchor=anchor, **context)
            found.append(Section(kind, title(report), body))
    return found
