"""A triage for an issue or a comment: Markdown that fits GitHub's limit."""

from collections.abc import Sequence

from evdiag.model.triage import Group, Triage
from evdiag.report import words
from evdiag.report.markdown import LIMIT, Part, code, fit, prose
from evdiag.report.neutral import neutralise
from evdiag.report.triage import parts

MOST_ROWS = (500, 100, 40, 15)
MOST_DETAILED = (30, 10, 0)
WIDEST = 110


def render(triage: Triage) -> str:
    """The triage as Markdown of at most 65,536 characters and bytes."""
    triage = neutralise(parts.without_reports(triage))
    sections = [
        Part("headline", lambda _: _headline(triage)),
        Part("table", lambda step: _table(triage, MOST_ROWS[step]), (30, 50, 60)),
        Part("similar groups", lambda step: "" if step else _similar(triage), (45,)),
        Part("groups that are gone", lambda step: "" if step else _gone(triage), (40,)),
        Part("details", lambda step: _details(triage, MOST_DETAILED[step]), (10, 20)),
        Part("files that were not used", lambda step: "" if step else _failures(triage), (35,)),
        Part("notes", lambda step: "" if step else _notes(triage), (44,)),
        Part("origin", lambda _: f"<sub>{prose(' · '.join(parts.made(triage)))}</sub>"),
    ]
    return fit(sections, LIMIT)


def _headline(triage: Triage) -> str:
    new, others = parts.news(triage)
    title = f"### {prose(parts.headline(triage))}"
    compared = f"**{prose(new)}**, {prose(others)}" if new else ""
    stopped = "**Interrupted**: cores that were not reached are missing."
    scope = prose(" · ".join(parts.scope(triage)))
    about = (title, compared, scope, stopped if triage.run.interrupted else "")
    return "\n\n".join(text for text in about if text)


def _table(triage: Triage, most: int) -> str:
    if not triage.groups:
        return ""
    times = parts.Times(triage)
    compared = triage.baseline is not None
    heads = ["#", "Count", *(["Status"] if compared else [])]
    heads += ["What", "Crash line", "Program", "Builds", "Seen"]
    rows = [heads, ["---"] * len(heads)]
    for number, group in list(enumerate(triage.groups, 1))[:most]:
        status = [f"**{group.status}**" if group.status == "new" else _cell(group.status or "")]
        rows.append(
            [
                str(number),
                f"{group.count:,}",
                *(status if compared else []),
                _cell(parts.what(group, WIDEST)),
                _cell(parts.place(group, WIDEST)),
                _cell(group.program or ""),
                str(parts.builds(group) or ""),
                times.span(group),
            ]
        )
    lines = [f"| {' | '.join(row)} |" for row in rows]
    more = len(triage.groups) - most
    return "\n".join(lines) + (f"\n\n{words.count(more, 'more group')}." if more > 0 else "")


def _cell(text: str) -> str:
    """Code in a table: there a bar ends the cell, in code too."""
    return code(text).replace("|", "\\|")


def _details(triage: Triage, most: int) -> str:
    listed = [
        (number, group)
        for number, group in enumerate(triage.groups, 1)
        if not group.unsorted and parts.next_step(group)
    ]
    return "\n\n".join(_detail(number, group) for number, group in listed[:most])


def _detail(number: int, group: Group) -> str:
    facts = [
        prose(group.summary),
        f"signature: {code(group.signature or '')}" if group.signature else "",
        f"group: {code(group.hash)}" if group.hash else "",
        _listed("modules", group.modules),
        _listed("lines", [parts.place_text(line.place) for line in group.lines]),
        _listed("builds", [build.build_id for build in group.builds if build.build_id]),
        code(parts.next_step(group)),
    ]
    body = "\n".join(f"- {fact}" for fact in facts if fact)
    return f"<details><summary>Group {number}</summary>\n\n{body}\n\n</details>"


def _listed(title: str, texts: Sequence[str], most: int = 8) -> str:
    if not texts:
        return ""
    more = f" and {len(texts) - most:,} more" if len(texts) > most else ""
    return f"{title}: {', '.join(map(code, texts[:most]))}{more}"


def _similar(triage: Triage) -> str:
    return _bullets("Similar groups, perhaps one defect", parts.similar(triage))


def _gone(triage: Triage) -> str:
    return _bullets(f"Gone since {prose(triage.baseline or '')}", parts.gone(triage))


def _failures(triage: Triage) -> str:
    return _bullets("Not used", parts.failures(triage))


def _notes(triage: Triage) -> str:
    texts = [" ".join(words.note(error)).strip() for error in triage.soft_errors]
    return _bullets("Notes", texts)


def _bullets(title: str, texts: Sequence[str]) -> str:
    return "\n".join((f"**{title}**", "", *(f"- {prose(text)}" for text in texts))) if texts else ""
