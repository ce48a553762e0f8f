"""The processes that ended together with the one of a report, in rows."""

from evdiag.analyze import names
from evdiag.model.report import Report, Sibling

MOST_ROWS = 64
"""EVerest has some twenty modules."""
ROLES = {
    "first_fault": "died first",
    "taken_down": "taken down",
    "unrelated": "unrelated",
}
"""What the roles of processes are called; others by their own word."""


def title(report: Report) -> str:
    """How many there are."""
    number = len(report.siblings)
    return "1 process ended" if number == 1 else f"{number:,} processes ended"


def rows(report: Report, width: int) -> list[str]:
    """One row a process: role, name, process id, how it ended; then what is remarkable."""
    if len(report.siblings) < 2:
        return []
    shown = report.siblings[:MOST_ROWS]
    cells = [
        (
            ROLES.get(sibling.role or "", sibling.role or "?"),
            sibling.module_id or "?",
            "" if sibling.pid is None else str(sibling.pid),
            ending(sibling),
        )
        for sibling in shown
    ]
    sizes = [min(max(len(row[i]) for row in cells), 40) for i in range(3)]
    lines = [
        f"{role:<{sizes[0]}}  {name:<{sizes[1]}}  {pid:>{sizes[2]}}  {ending}".rstrip()
        for role, name, pid, ending in cells
    ]
    hidden = len(report.siblings) - MOST_ROWS
    if hidden > 0:
        lines.append(f"… {hidden:,} more")
    return [names.clip(line, width) for line in lines]


def ending(sibling: Sibling) -> str:
    """How a process ended, what is remarkable about it, and its own verdict."""
    verdict = sibling.cls if sibling.cls and sibling.cls != "unknown" else None
    return ", ".join(text for text in (sibling.status, sibling.note, verdict) if text)
