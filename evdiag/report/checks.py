"""What doctor found: a list for people, and JSON for scripts."""

import unicodedata
from collections.abc import Iterator, Sequence

import msgspec

from evdiag import __version__
from evdiag.model.charger import Check
from evdiag.model.doctor import CrashResult, Diagnosis
from evdiag.report.neutral import clean

SCHEMA = "evdiag.doctor/1"
NARROWEST = 40
_MARKS = {"ok": "ok", "info": "info", "warn": "warn", "fail": "FAIL", "skip": "skip"}
_COLOURS = {"ok": "32", "info": "36", "warn": "1;35", "fail": "1;31", "skip": "2"}
"""The terminal's own colours: they fit light and dark backgrounds."""
_BOLD = "1"
_INDENT, _MARK, _TITLE = 2, 5, 16
_ARROW = "-> "


def render(diagnosis: Diagnosis, width: int = 80, colour: bool = False) -> str:
    """The checks in lines of at most `width` characters, the verdict last."""
    width = max(width, NARROWEST)
    paint = _colour if colour else _plain
    lines: list[str] = []
    for group in diagnosis.groups:
        seen = [check for check in group.checks if check.state != "skip"]
        if seen:
            lines += [paint(group.title, _BOLD)]
            for before, check in zip([None, *seen], seen, strict=False):
                same = before is not None and before.fix == check.fix
                lines += _check(check, "as above" if same else check.fix, width, colour)
            lines.append("")
    if unseen := ", ".join(_unseen(diagnosis)):
        lines += [*_wrapped(f"not looked at: {unseen}", width, 0), ""]
    about = f" ({diagnosis.subject})" if diagnosis.subject else ""
    verdict = _wrapped(clean(diagnosis.verdict + about), width, 0)
    lines += [paint(row, _COLOURS[diagnosis.state]) for row in verdict]
    return "\n".join(lines) + "\n"


def _unseen(diagnosis: Diagnosis) -> Iterator[str]:
    """What could not be looked at: groups as a whole, else checks."""
    for group in diagnosis.groups:
        skipped = [check.title for check in group.checks if check.state == "skip"]
        if len(skipped) == len(group.checks) > 1:
            yield group.title
        else:
            yield from skipped


def _plain(text: str, _: str) -> str:
    return text


def _colour(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m"


def _check(check: Check, fix: str, width: int, colour: bool) -> Iterator[str]:
    paint = _colour if colour else _plain
    # a narrow terminal has no room for a column of titles
    column = _TITLE if width >= 70 else 0
    left = _INDENT + _MARK + column
    mark = paint(_MARKS[check.state], _COLOURS[check.state])
    mark += " " * (_MARK - len(_MARKS[check.state]))
    reason = check.reason if column else f"{check.title}: {check.reason}"
    first, *rest = _wrapped(clean(reason), width, left)
    title = check.title.ljust(column) if column else ""
    yield " " * _INDENT + mark + title + first
    yield from (" " * left + row for row in rest)
    if check.fix:
        first, *rest = _wrapped(clean(fix), width, left + len(_ARROW))
        yield " " * left + paint(_ARROW, _BOLD) + first
        yield from (" " * (left + len(_ARROW)) + row for row in rest)


def _wrapped(text: str, width: int, left: int) -> list[str]:
    """The text in rows that fit beside a margin; there is always one."""
    room = width - left
    rows, row, used = [], "", 0
    for word in text.split():
        for piece in _pieces(word, room):
            cells = _cells(piece)
            if row and used + 1 + cells > room:
                rows.append(row)
                row, used = "", 0
            row, used = (f"{row} {piece}", used + 1 + cells) if row else (piece, cells)
    return [*rows, row]


def _pieces(word: str, room: int) -> list[str]:
    """A word that is longer than a row, in pieces."""
    if _cells(word) <= room:
        return [word]
    size = room if word.isascii() else room // 2
    return [word[at : at + size] for at in range(0, len(word), size)]


def _cells(text: str) -> int:
    """How many cells of a terminal a text takes."""
    if text.isascii():
        return len(text)
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


class _Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A check in the JSON."""

    group: str
    id: str
    title: str
    state: str
    reason: str
    fix: str


def render_json(diagnosis: Diagnosis, created: str, exit_code: int) -> str:
    """One document; all checks are always in it, those that were not looked at as `skip`."""
    facts = diagnosis.facts
    engine, image, container = facts.engine, facts.image, facts.container
    document = {
        "schema": SCHEMA,
        "tool": {"name": "evdiag", "version": __version__},
        "created": created,
        "state": diagnosis.state,
        "verdict": clean(diagnosis.verdict),
        "exit_code": exit_code,
        "error": facts.problem,
        "engine": None if engine is None else msgspec.structs.asdict(engine),
        "image": None if image is None else {"name": image.name, "id": image.id},
        # no more of the container: its environment has passwords
        "container": None
        if container is None
        else {"name": container.name, "id": container.id, "throw_away": facts.throw_away},
        "checks": _listed(diagnosis),
        "crashes": None if facts.crashes is None else [_crash(one) for one in facts.crashes],
    }
    return msgspec.json.format(msgspec.json.encode(document)).decode() + "\n"


def _listed(diagnosis: Diagnosis) -> Sequence[_Listed]:
    return [
        _Listed(
            group=group.id,
            id=check.id,
            title=check.title,
            state=check.state,
            reason=clean(check.reason),
            fix=clean(check.fix),
        )
        for group in diagnosis.groups
        for check in group.checks
    ]


def _crash(result: CrashResult) -> CrashResult:
    return msgspec.structs.replace(
        result,
        path=clean(result.path),
        error=clean(result.error),
        said=tuple(clean(line) for line in result.said),
    )
