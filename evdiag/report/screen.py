"""The first screen of the terminal report: what died, why, where, and what to do about it."""

from collections.abc import Sequence

from evdiag.analyze import names
from evdiag.model.report import Frame, Report, SoftError
from evdiag.report import threads, value_lines, words
from evdiag.report.lines import (
    BADGE,
    BOLD,
    DIM,
    PLACE,
    PLAIN,
    QUIET_BADGE,
    WARNING,
    Line,
    Piece,
    fixed,
    frame_lines,
    join,
    prose,
    source_lines,
)
from evdiag.report.words import Mark

SCREEN = 40
FEWEST_FRAMES, MOST_FRAMES = 6, 24
MOST_EVIDENCE = 5
MOST_PROBLEMS = 2
MOST_ADVICE = 3
MOST_WAITING, FEWEST_WAITING_FRAMES = 3, 4
_NO_ALARM = {"snapshot", "sent-signal", "unknown"}


def first_screen(report: Report, width: int) -> list[Line]:
    """What somebody needs who has no time, in forty lines of eighty columns."""
    above, below = _around_the_stack(report, width)
    return join((*above, _top_frames(report, width, rows_that_fit(report, width)), *below))


def rows_that_fit(report: Report, width: int) -> int:
    """How many rows of the stack the other parts of the first screen leave room for."""
    above, below = _around_the_stack(report, width)
    used = sum(line.rows(width) for line in join((*above, *below)))
    # Two blank lines, the title of the stack, the line about what is left out, the prompt.
    return min(max(SCREEN - used - 5, FEWEST_FRAMES), MOST_FRAMES)


def _around_the_stack(report: Report, width: int) -> tuple[list[list[Line]], list[list[Line]]]:
    above = [_headline(report), verdict_lines(report, width), _crash_line(report, width)]
    return above, [_problems(report), _next_steps(report)]


def badge(report: Report) -> Piece:
    """The class of the crash, coloured by how alarming it is."""
    return f" {report.verdict.cls} ", QUIET_BADGE if report.verdict.cls in _NO_ALARM else BADGE


def _headline(report: Report) -> list[Line]:
    facts = " · ".join(words.facts(report))
    family = "; ".join(words.siblings(report))
    return [
        prose(words.title(report), BOLD),
        *([prose(facts, DIM)] if facts else []),
        *([prose(family)] if family else []),
    ]


def verdict_lines(report: Report, width: int) -> list[Line]:
    """What happened, and the facts that say so."""
    verdict = report.verdict
    summary = verdict.summary or "The cause was not found."
    lines = [Line((badge(report), ("  ", PLAIN)), ((summary, BOLD),))]
    two_lines = 2 * (width - 8)  # an endless exception text must not push the stack away
    bullets = verdict.evidence[:MOST_EVIDENCE]
    lines += [prose(names.clip(text, two_lines), PLAIN, "  · ", DIM) for text in bullets]
    if len(verdict.evidence) > MOST_EVIDENCE:
        more = len(verdict.evidence) - MOST_EVIDENCE
        lines.append(fixed((f"  … {words.count(more, 'more fact')} below", DIM)))
    for label, text in words.last_words(report):
        lines.append(prose(names.clip(text, two_lines), PLAIN, f"  · {label}: ", DIM))
    if verdict.confidence and verdict.confidence != "high":
        lines.append(prose(verdict.confidence, WARNING, "  · confidence: ", DIM))
    return lines


def _crash_line(report: Report, width: int) -> list[Line]:
    frame = words.frame_to_see(report)
    if frame is None or not (frame.file or frame.source):
        return []
    if is_deadlock(report):
        return []
    place = words.place_of(frame, width * 2 // 3)
    name = names.function(words.name_of(frame), max(16, width - len(place) - 4))
    title = fixed((place, PLACE), (" in ", DIM), (name, BOLD))
    return [
        title,
        *source_lines(frame.source, context=2),
        *value_lines.at_the_line(frame, width),
    ]


def _top_frames(report: Report, width: int, most: int) -> list[Line]:
    thread = report.crashed
    if report.provenance.rung in words.WITHOUT_CORE:
        return []
    if is_deadlock(report):
        return _waiting(report, width, most)
    if thread is None:
        return [prose("No thread of this core is known to have crashed.", DIM)]
    name = names.clip(words.thread_name(thread), width // 2)
    rows = words.stack_rows(thread)
    if not rows:
        return [prose(f"{words.crashed_title(report)} {name} has no stack.", DIM)]
    see = words.frame_to_see(report)
    head = fixed(
        (f"{words.crashed_title(report)} ", BOLD),
        (name, BOLD),
        (f", {words.count(words.depth(thread), 'frame')}", DIM),
    )
    return [head, *frame_lines(top_rows(rows, see, most), width, see)]


def is_deadlock(report: Report) -> bool:
    """Whether threads that wait are to blame, and not the one that took the signal."""
    return report.verdict.cls == "deadlock" and bool(report.deadlock)


def _waiting(report: Report, width: int, most: int) -> list[Line]:
    """Where the first threads of a deadlock wait."""
    by_lwp = {thread.lwp: thread for thread in report.threads}
    members = report.deadlock[:MOST_WAITING]
    room = max(FEWEST_WAITING_FRAMES, most // len(members) - 2)
    lines: list[Line] = []
    for member, text in zip(members, threads.deadlock(report), strict=False):
        thread = by_lwp.get(member.lwp)
        own = [frame for frame in thread.frames if frame.in_app] if thread is not None else []
        lines.append(prose(text, BOLD))
        lines += frame_lines(own[:room], width)
    return lines


def _depth(rows: Sequence[Frame | Mark]) -> int:
    return sum(isinstance(row, Frame) for row in rows)


def top_rows(rows: Sequence[Frame | Mark], see: Frame | None, most: int) -> list[Frame | Mark]:
    """The rows to show first: the top of the stack and the frame that matters, wherever it is."""
    if len(rows) <= most + 1:
        return list(rows)
    target = next((i for i, row in enumerate(rows) if row is see), 0)
    first = 0
    shown: list[Frame | Mark] = []
    if target > max(2, most // 3):  # deep below abort() or an allocator
        first = target - 1
        skipped = rows[1:first]
        shown = [rows[0], Mark(f"… {_skipped(skipped)}")]
    end = first + most - len(shown)
    shown += rows[first:end]
    if rest := _depth(rows[end:]):
        shown.append(Mark(f"… {words.count(rest, 'more frame')} below"))
    return shown


def _skipped(rows: Sequence[Frame | Mark]) -> str:
    modules = words.modules_of(rows)
    return words.count(_depth(rows), "frame") + (f" in {modules}" if modules else "")


def _problems(report: Report) -> list[Line]:
    errors = sorted(report.soft_errors, key=lambda error: not error.hint)
    lines = [problem_line(error) for error in errors[:MOST_PROBLEMS]]
    if len(errors) > MOST_PROBLEMS:
        more = words.count(len(errors) - MOST_PROBLEMS, "more note")
        lines.append(fixed((f"  … {more} below", DIM)))
    return lines


def problem_line(error: SoftError) -> Line:
    """What went wrong, what that means for the report, and what helps."""
    text, hint = words.note(error)
    return Line((("! ", WARNING),), ((f"{text} ", PLAIN), (hint, BOLD)))


def _next_steps(report: Report) -> list[Line]:
    steps = report.verdict.advice
    lines = [
        prose(text, PLAIN, "next  " if i == 0 else "      ", BOLD)
        for i, text in enumerate(steps[:MOST_ADVICE])
    ]
    if len(steps) > MOST_ADVICE:
        lines.append(fixed((f"      … {len(steps) - MOST_ADVICE} more below", DIM)))
    return lines
