"""The summary of a job of GitHub Actions: a table of the crashes, each report folded below.

`evdiag backtrace ... --format github >> "$GITHUB_STEP_SUMMARY"`
"""

import re
from collections.abc import Sequence
from typing import Final

from evdiag.analyze import names
from evdiag.model.report import Report, is_crash
from evdiag.report import markdown, words
from evdiag.report.findings import frame_of_interest, summary_of
from evdiag.report.neutral import neutralise

SUFFIX = ".summary.md"
MEDIA = "text/markdown"

LIMIT: Final = 1_000_000
"""Bytes; of 1 MiB that a step may write (docs.github.com, "Workflow commands", "Step isolation and
limits") a little is left for what else the step says. Of more GitHub shows nothing at all."""
MOST_ROWS: Final = 500
MOST_REPORTS: Final = 50
"""Reports below the table: each takes some milliseconds, and nobody reads more."""
FEWEST_BYTES: Final = 4_000
"""In less room than this a report tells nothing that its row does not tell."""
MOST_IN_TABLE: Final = 300_000
"""Bytes of the table, so that there is room for reports whatever is in it."""

_LINKS = re.compile(r"@|#(?=\d)|\bGH-(?=\d)|:(?=//)|\bwww(?=\.)", re.IGNORECASE)
_SPECIAL = re.compile("[!\"#$%&'*;<>?@\\[\\]\\\\^`{|}~\u200b]|(?<![^\\W_])_|_(?![^\\W_])")
_HEAD = ("verdict", "where", "process", "died first", "signature")


def render(report: Report) -> str:
    """The report as a summary."""
    return render_many([report])


def render_many(reports: Sequence[Report]) -> str:
    """All reports as one summary, of at most a million bytes."""
    neutral = [neutralise(report) for report in reports[:MOST_ROWS]]
    head = f"## evdiag: {summary_of(reports)}\n"
    if not neutral:
        return head
    table = _table(neutral, len(reports))
    used = len(head.encode()) + len(table.encode())
    return f"{head}\n{table}\n{_reports(neutral, len(reports), LIMIT - used - 500)}"


def escaped(text: str) -> str:
    """Text that stays text in HTML, in a table of Markdown, and in what GitHub makes links of."""
    unlinked = _LINKS.sub("\\g<0>\u200b", text)
    return _SPECIAL.sub(lambda found: f"&#{ord(found[0])};", unlinked)


def _table(reports: Sequence[Report], total: int) -> str:
    lines = [_line(_HEAD), _line(["---"] * len(_HEAD))]
    room = MOST_IN_TABLE
    for report in reports:
        line = _line(_row(report))
        room -= len(line.encode()) + 1
        if room < 0:
            break
        lines.append(line)
    if hidden := total - (len(lines) - 2):
        lines += ["", f"… {words.count(hidden, 'more report')}"]
    return "\n".join(lines) + "\n"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _row(report: Report) -> tuple[str, ...]:
    found, signature = frame_of_interest(report), report.signature
    lines: list[str] = []
    if found is not None:
        lines = [names.function(words.name_of(found[1]), 60), words.place_of(found[1], 60)]
    family = words.siblings(report) if _knows_first(report) else []
    verdict = _cell(report.verdict.cls) or "unknown"
    return (
        f"**{verdict}**" if is_crash(report.verdict.cls) else verdict,
        "<br>".join(_cell(line) for line in lines if line),
        _cell(words.process_name(report)),
        _cell(family[0].removeprefix("died first: ") if family else ""),
        _cell((signature.hash if signature is not None else None) or ""),
    )


def _knows_first(report: Report) -> bool:
    return any(sibling.role == "first_fault" for sibling in report.siblings)


def _cell(text: str) -> str:
    return escaped(names.clip(text, 100))


def _reports(reports: Sequence[Report], total: int, room: int) -> str:
    """The reports one after the other, each with its share of the room that is left."""
    parts: list[str] = []
    shown = reports[:MOST_REPORTS]
    for i, report in enumerate(shown):
        share = room // (len(shown) - i)
        if share < FEWEST_BYTES:
            break
        text = _folded(report, share, is_open=total == 1)
        size = len(text.encode()) + 1
        if size <= share:  # the barest report of hostile texts may need more
            room -= size
            parts.append(text)
    if lost := total - len(parts):
        what = f"{words.count(lost, 'report')} left out: there is no room."
        parts.append(f"*{what} As JSON there is all.*\n")
    return "\n".join(parts)


def _folded(report: Report, room: int, *, is_open: bool) -> str:
    """One report behind its title."""
    title = escaped(names.clip(words.title(report), 200))
    before = f"<details{' open' if is_open else ''}><summary>{title}</summary>\n\n"
    after = "\n</details>\n"
    return before + markdown.render(report, room - len((before + after).encode())) + after
