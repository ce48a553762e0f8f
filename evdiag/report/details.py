"""The terminal report below its first screen: everything else, most telling first."""

from evdiag.analyze import names
from evdiag.model.report import Module, Report, Thread
from evdiag.report import family, image, threads, timeline, value_lines, values, words
from evdiag.report.lines import (
    ALARM,
    ARROW,
    BOLD,
    DIM,
    PLACE,
    PLAIN,
    WARNING,
    WIDE,
    Line,
    Piece,
    fixed,
    frame_lines,
    heading,
    join,
    prose,
)
from evdiag.report.screen import (
    MOST_ADVICE,
    MOST_EVIDENCE,
    MOST_PROBLEMS,
    SCREEN,
    badge,
    is_deadlock,
    problem_line,
    rows_that_fit,
    top_rows,
    verdict_lines,
)

LONGEST_STACK = 120
"""Rows of the crashed thread; recursion is folded, so only a strange stack is longer."""
LONGEST_OTHER_STACK = 24
LONGEST_GDB_STACK = 48
MOST_LOG_LINES = 20


def details(report: Report, width: int, first: Report) -> list[Line]:
    """The sections below the first screen, and the verdict once more where the eye ends up.

    `first` is what the first screen was made of: this report, or the one before gdb was asked.
    """
    sections = (
        *_news(report, width, first),
        _all_evidence(report),
        _deadlock(report, width),
        timeline.section(report, width),
        _whole_stack(report, width, first),
        _exceptions(report, width),
        _values(report, width),
        _other_threads(report, width),
        value_lines.section("Values of other threads", value_lines.of_other_threads(report, width)),
        *_as_gdb_sees(report, width),
        _family(report, width),
        *_logs(report),
        _registers(report, width),
        _disassembly(report),
        _modules(report, width),
        _notes(report),
        _origin(report),
    )
    lines = join(sections)
    # A terminal shows the end of a long report: the answer has to be there too.
    is_long = sum(line.rows(width) for line in lines) > SCREEN // 2
    return join((lines, _once_more(report, width))) if is_long else lines


def _news(report: Report, width: int, first: Report) -> list[list[Line]]:
    """What the first screen could not have: values of its source line, and what changed."""
    if first is report:
        return []
    verdict = verdict_lines(report, width)
    problems = [error for error in report.soft_errors if error not in first.soft_errors]
    steps = [text for text in report.verdict.advice if text not in first.verdict.advice]
    return [
        value_lines.crash_values(report, width),
        verdict if verdict != verdict_lines(first, width) else [],
        [problem_line(error) for error in problems],
        [prose(text, PLAIN, "next  ", BOLD) for text in steps],
    ]


def _all_evidence(report: Report) -> list[Line]:
    verdict = report.verdict
    lines: list[Line] = []
    if len(verdict.evidence) > MOST_EVIDENCE:
        lines += [heading("All facts"), *(prose(t, PLAIN, "  · ", DIM) for t in verdict.evidence)]
    if len(verdict.advice) > MOST_ADVICE:
        lines += [heading("All next steps")]
        lines += [prose(text, PLAIN, "  · ", DIM) for text in verdict.advice]
    return lines


def _whole_stack(report: Report, width: int, first: Report) -> list[Line]:
    thread = report.crashed
    if thread is None:
        return []
    see = words.frame_to_see(report)
    rows = words.stack_rows(thread)
    shown = [] if is_deadlock(report) else top_rows(rows, see, rows_that_fit(first, width))
    if shown == rows:
        return []
    who = words.crashed_title(report)
    title = heading(f"Whole stack: {who[0].lower()}{who[1:]} {words.thread_name(thread)}")
    return [title, *frame_lines(words.without_middle(rows, LONGEST_STACK), width, see)]


def _exceptions(report: Report, width: int) -> list[Line]:
    title = f"Members of the exception{values.source_of_values(report)}"
    return value_lines.section(title, value_lines.of_exceptions(report, width))


def _values(report: Report, width: int) -> list[Line]:
    title = f"Values of the crashed thread{values.source_of_values(report)}"
    return value_lines.section(title, value_lines.of_crashed_thread(report, width))


def _as_gdb_sees(report: Report, width: int) -> list[list[Line]]:
    return [
        value_lines.section(
            f"The stack of thread {words.thread_name(thread)} as gdb sees it",
            value_lines.as_gdb_sees(thread, width, LONGEST_GDB_STACK),
        )
        for thread in values.with_stacks_of_gdb(report)
    ]


def _deadlock(report: Report, width: int) -> list[Line]:
    """The stacks of the threads that wait for each other, in the order of their waits."""
    if not report.deadlock:
        return []
    lines = [heading("Deadlock")]
    by_lwp = {thread.lwp: thread for thread in report.threads}
    told = threads.deadlock(report)
    for member, text in zip(report.deadlock[: threads.MOST_DEADLOCKED], told, strict=False):
        lines.append(prose(text, BOLD, "  "))
        thread = by_lwp.get(member.lwp)
        lines += _brief_stack(thread, width) if thread is not None else []
    if len(told) > threads.MOST_DEADLOCKED:
        more = words.count(len(told) - threads.MOST_DEADLOCKED, "more thread")
        lines.append(fixed((f"  … {more} in the circle", DIM)))
    return lines


def _other_threads(report: Report, width: int) -> list[Line]:
    groups = threads.others(report)
    if not groups:
        return []
    lines = [heading(threads.others_title(report).capitalize())]
    named = threads.thread_names(report)
    for group in groups:
        lines.append(prose(threads.group_title(group, named), BOLD, "  "))
        if not threads.told_above(report, group):
            lines += _brief_stack(group[0], width)
    return lines


def _brief_stack(thread: Thread, width: int) -> list[Line]:
    rows = words.without_system(words.stack_rows(thread))
    return frame_lines(words.without_middle(rows, LONGEST_OTHER_STACK), width, indent=2)


def _family(report: Report, width: int) -> list[Line]:
    rows = family.rows(report, width - 2)
    return (
        [heading(family.title(report)), *(prose(row, PLAIN, "  ") for row in rows)] if rows else []
    )


def _logs(report: Report) -> list[list[Line]]:
    return [
        [
            heading(f"Log: {excerpt.source}"),
            *(prose(text, PLAIN, "  · ", DIM) for text in excerpt.lines[-MOST_LOG_LINES:]),
        ]
        for excerpt in report.logs
        if excerpt.lines
    ]


def _registers(report: Report, width: int) -> list[Line]:
    if not report.registers:
        return []
    name_width = max(map(len, report.registers))
    cells = [f"{name:>{name_width}} {value!s:<18}" for name, value in words.registers(report)]
    across = max(1, (width - 2) // (name_width + 21))
    rows = [cells[i : i + across] for i in range(0, len(cells), across)]
    return [heading("Registers"), *(fixed(("  " + "  ".join(row).rstrip(), PLAIN)) for row in rows)]


def _disassembly(report: Report) -> list[Line]:
    if not report.disassembly:
        return []
    thread = report.crashed
    pc = thread.frames[0].pc if thread is not None and thread.frames else None
    lines = [heading("Instructions")]
    for instruction in report.disassembly:
        here = instruction.address == pc
        mark = f"{ARROW} " if here else "  "
        lines.append(
            fixed(
                (mark, ALARM),
                (f"{instruction.address}  ", DIM),
                (instruction.text, BOLD if here else PLAIN),
            )
        )
    return lines


def _modules(report: Report, width: int) -> list[Line]:
    if not report.modules:
        return []
    ordered = sorted(report.modules, key=lambda module: words.symbols_are_fine(module.symbols))
    room = width - 2 - 14 - 14
    paths = [names.path(module.path or "?", room) for module in ordered]
    column = max(map(len, paths))
    lines = [
        heading(words.count(len(ordered), "module")),
        fixed((f"  {'path':<{column}}  {'build-id':<12}  symbols", DIM)),
    ]
    for module, path in zip(ordered, paths, strict=True):
        lines.append(fixed((f"  {path:<{column}}  ", PLAIN), *_module_cells(module)))
    return lines


def _module_cells(module: Module) -> tuple[Piece, Piece]:
    build_id = (module.build_id or "")[:12]
    fine = words.symbols_are_fine(module.symbols)
    return (f"{build_id:<12}  ", DIM), (module.symbols or "?", PLAIN if fine else WARNING)


def _notes(report: Report) -> list[Line]:
    if len(report.soft_errors) <= MOST_PROBLEMS:
        return []
    return [heading("Notes"), *map(problem_line, report.soft_errors)]


def _origin(report: Report) -> list[Line]:
    lines: list[Line] = []
    signature = report.signature
    if signature is not None and signature.text:
        lines.append(prose(signature.text, DIM, "signature  ", DIM))
    elif signature is not None and signature.address:
        lines.append(prose(signature.address, DIM, "signature  ", DIM))
    if ran := image.what_ran(report):
        lines.append(prose(" · ".join(ran), DIM, "image      ", DIM))
    lines.append(prose(" · ".join(words.made_by(report)), DIM, "report     ", DIM))
    return lines


def _once_more(report: Report, width: int) -> list[Line]:
    frame = words.frame_to_see(report)
    if frame is None or is_deadlock(report):
        body: tuple[Piece, ...] = ((report.verdict.summary or words.title(report), BOLD),)
    else:
        place = words.place_of(frame, width // 3, directories=width >= WIDE)
        room = width - len(badge(report)[0]) - len(place) - 6
        name = names.function(words.name_of(frame), max(room, 12))
        body = ((name, BOLD), (" at ", DIM), (place, PLACE))
    return [Line((badge(report), ("  ", PLAIN)), body)]
