"""The report for an issue: Markdown that fits GitHub's limit and cannot break out of its place.

Text out of the crashed process stands in code, where Markdown, HTML, mentions and links mean
nothing, or is escaped. What does not fit is left out, the least important first.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec

from evdiag.analyze import names
from evdiag.model.report import Report, Signature
from evdiag.report import family, image, threads, timeline, value_lines, values, words
from evdiag.report.lines import frame_lines, plain, source_lines
from evdiag.report.neutral import neutralise

SUFFIX = ".md"
MEDIA = "text/markdown"

LIMIT: Final = 65_536
"""What an issue on GitHub may hold: characters, but bytes are counted to be safe everywhere."""
WIDTH: Final = 130
"""Columns of stacks: what GitHub shows without a scroll bar, and a little more."""

# An underscore inside a word means nothing, and names are full of them.
_SPECIAL = re.compile(r"[\\`*\[~$]|(?<![^\W_])_|_(?![^\W_])")
_AT_START = re.compile(r"^(?=[#+=-])|^(\d+)(?=[.)](?:\s|$))")
_BREAK = "&#8203;"
_LINKS = re.compile(r"@|#(?=\d)|\bGH-(?=\d)|:(?=//)|\bwww(?=\.)", re.IGNORECASE)
_CODE = re.compile(r"(?<!`)`([^`]+)`(?!`)")
_STACK_ROWS = (400, 200, 100, 50, 25, 12)


class Part(msgspec.Struct, frozen=True):
    """A piece of the page that can be written shorter and shorter."""

    name: str
    write: Callable[[int], str]
    """The text after so many steps; with 0 everything there is."""
    ranks: tuple[int, ...] = ()
    """One for each step: the lower, the sooner the page does without."""


def render(report: Report, limit: int = LIMIT) -> str:
    """The report as Markdown of at most 65,536 characters and bytes, or shorter if that can be."""
    return fit(_parts(neutralise(report)), min(limit, LIMIT))


def fit(parts: Sequence[Part], limit: int) -> str:
    """The page, shortened step by step until it fits."""
    full = [part.write(0) for part in parts]
    texts, steps = list(full), [0] * len(parts)
    page = _page(parts, full, texts)
    for _, i in sorted((rank, i) for i, part in enumerate(parts) for rank in part.ranks):
        if len(page.encode()) <= limit:
            break
        steps[i] += 1
        texts[i] = parts[i].write(steps[i])
        page = _page(parts, full, texts)
    return page


def _page(parts: Sequence[Part], full: Sequence[str], texts: Sequence[str]) -> str:
    changed = [
        (part.name, text)
        for part, all_of_it, text in zip(parts, full, texts, strict=True)
        if text != all_of_it
    ]
    left_out = ", ".join(name for name, text in changed if not text)
    shortened = ", ".join(name for name, text in changed if text)
    lost = [
        f"{what}: {which}"
        for what, which in (("Left out", left_out), ("Shortened", shortened))
        if which
    ]
    note = f"*{'. '.join(lost)}. The report was too long; as JSON it has it all.*" if lost else ""
    return "\n\n".join(text for text in (*texts, note) if text) + "\n"


# ---------------------------------------------------------------- text that stays text


def code(text: str) -> str:
    """The text as inline code, whatever is in it."""
    ticks = "`" * (_longest_run(text) + 1)
    pad = " " if text.startswith(("`", " ")) or text.endswith(("`", " ")) else ""
    return f"{ticks}{pad}{text}{pad}{ticks}" if text else ""


def block(lines: Iterable[str], language: str = "") -> str:
    """The lines as a block of code, whatever is in them."""
    text = "\n".join(lines)
    ticks = "`" * max(3, _longest_run(text) + 1)
    return f"{ticks}{language}\n{text}\n{ticks}"


def prose(text: str) -> str:
    """The text as it reads: nothing of it is Markdown, HTML, a link or a mention, but `code`."""
    pieces = _CODE.split(text)
    out = [code(piece) if i % 2 else _escape(piece) for i, piece in enumerate(pieces)]
    safe = _AT_START.sub(r"\1" + "\\\\", "".join(out), count=1)
    # Text that is mostly escapes is no prose, and would grow to many times its length.
    return safe if len(safe) <= 2 * len(text) + 20 else code(text)


def _escape(text: str) -> str:
    text = _SPECIAL.sub(r"\\\g<0>", text)
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return _LINKS.sub(rf"\g<0>{_BREAK}", text)


def _longest_run(text: str) -> int:
    return max(map(len, re.findall("`+", text)), default=0)


def _folded(summary: str, body: str) -> str:
    """A section that opens on a click; its summary must not hold text of the process."""
    return f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>" if body else ""


# ---------------------------------------------------------------- the parts of the page


def _parts(report: Report) -> list[Part]:
    return [
        Part("verdict", lambda step: _verdict(report, *((12, 400), (3, 160))[step]), (70,)),
        Part("source lines", lambda step: "" if step else _crash_line(report), (65,)),
        Part("deadlock", lambda step: _deadlock(report, step), (60, 74)),
        Part("exception", lambda step: "" if step else _exceptions(report), (63,)),
        Part("crashed thread", lambda step: _crashed_thread(report, step), (75, 80, 85, 90, 95)),
        Part("values", lambda step: _values(report, step), (19, 32, 62)),
        Part("stack of gdb", lambda step: _as_gdb_sees(report, step), (16, 33)),
        Part("processes", lambda step: "" if step else _family(report), (52,)),
        Part("timeline", lambda step: _timeline(report, (24, 10, 0)[step]), (45, 55)),
        Part("logs", lambda step: _logs(report, (50, 10, 0)[step]), (40, 50)),
        Part("other threads", lambda step: _other_threads(report, step), (20, 21, 22)),
        Part("registers", lambda step: "" if step else _registers(report), (30,)),
        Part("instructions", lambda step: "" if step else _disassembly(report), (15,)),
        Part("modules", lambda step: _modules(report, step), (10, 35)),
        Part("notes", lambda step: _notes(report, (40, 5)[step]), (60,)),
        Part("origin", lambda _: _origin(report)),
    ]


def _verdict(report: Report, most: int, longest: int) -> str:
    verdict = report.verdict

    def bullets(texts: Iterable[str]) -> list[str]:
        shown = [f"- {prose(names.clip(text, longest))}" for text in texts]
        more = [f"- … {len(shown) - most} more"] if len(shown) > most else []
        return shown[:most] + more

    summary = prose(names.clip(verdict.summary, longest)) or "The cause was not found."
    said = [
        f"- {what}: {code(names.clip(text, longest))}" for what, text in words.last_words(report)
    ]
    sure = verdict.confidence in (None, "high")
    doubt = [] if sure else [f"- confidence: {prose(names.clip(verdict.confidence or '', 40))}"]
    steps = ["", "**Next steps**", "", *bullets(verdict.advice)] if verdict.advice else []
    lines = [
        f"## {prose(names.clip(words.title(report), 200))}",
        "",
        f"**{prose(names.clip(verdict.cls, 40))}**: {summary}",
        "",
        *bullets(verdict.evidence),
        *said,
        *doubt,
        *steps,
        *_process(report),
    ]
    return "\n".join(lines).strip()


def _process(report: Report) -> list[str]:
    process, signature = report.process, report.signature
    known = (
        ("crash", " · ".join(prose(names.clip(text, 120)) for text in words.facts(report))),
        ("processes", "; ".join(prose(names.clip(text, 300)) for text in words.siblings(report))),
        ("executable", code(names.clip(process.executable or "", 300))),
        ("build-id", code(process.build_id or "")),
        ("command line", code(names.clip(_command_line(process.argv), 300))),
        ("signature", code(names.clip(_signature(signature), 300))),
        ("image", code(names.clip(" · ".join(image.what_ran(report)), 400))),
    )
    lines = [f"- {what}: {text}" for what, text in known if text]
    return ["", "**Process**", "", *lines] if lines else []


def _command_line(arguments: Sequence[str]) -> str:
    return " ".join(f'"{argument}"' if " " in argument else argument for argument in arguments)


def _signature(signature: Signature | None) -> str:
    return "" if signature is None else signature.text or signature.address or ""


def _crash_line(report: Report) -> str:
    frame = words.frame_to_see(report)
    if frame is None or not (frame.file or frame.source):
        return ""
    place = code(words.place_of(frame, 200))
    name = code(names.function(words.name_of(frame), 200))
    source = plain(source_lines(frame.source, 6))
    variables = plain(value_lines.at_the_line(frame, WIDTH))
    blocks = [block(source, "cpp")] if source else []
    blocks += [block(variables)] if variables else []
    return "\n\n".join([f"{place} in {name}", *blocks])


def _exceptions(report: Report) -> str:
    lines = value_lines.of_exceptions(report, WIDTH)
    return f"Members of the exception:\n\n{block(plain(lines))}" if lines else ""


def _crashed_thread(report: Report, step: int) -> str:
    thread = report.crashed
    if report.provenance.rung in words.WITHOUT_CORE:
        return ""
    if thread is None:
        return "No thread is known to have crashed."
    rows = words.without_middle(words.stack_rows(thread), _STACK_ROWS[step])
    name = code(names.clip(words.thread_name(thread), 120))
    title = f"### {words.crashed_title(report)} {name}, {words.count(words.depth(thread), 'frame')}"
    if not rows:
        return title
    return f"{title}\n\n{block(plain(frame_lines(rows, WIDTH, words.frame_to_see(report))))}"


def _deadlock(report: Report, step: int) -> str:
    """The stacks of the threads that wait for each other, in the order of their waits."""
    if not report.deadlock or step > 1:
        return ""
    by_lwp = {thread.lwp: thread for thread in report.threads}
    lines: list[str] = []
    told = threads.deadlock(report)
    for member, text in zip(report.deadlock[: threads.MOST_DEADLOCKED], told, strict=False):
        lines += ["", text] if lines else [text]
        thread = by_lwp.get(member.lwp)
        rows = words.without_system(words.stack_rows(thread)) if thread is not None else []
        lines += plain(frame_lines(words.without_middle(rows, (60, 12)[step]), WIDTH))
    if len(told) > threads.MOST_DEADLOCKED:
        lines += [
            "",
            f"… {words.count(len(told) - threads.MOST_DEADLOCKED, 'more thread')} in the circle",
        ]
    return f"### Deadlock\n\n{block(lines)}"


def _other_threads(report: Report, step: int) -> str:
    groups = threads.others(report)
    if not groups or step > 2:
        return ""
    lines: list[str] = []
    named = threads.thread_names(report)
    for group in groups:
        lines += [""] if lines else []
        lines.append(names.clip(threads.group_title(group, named), WIDTH))
        rows = words.without_system(words.stack_rows(group[0]))
        brief = step > 1 or threads.told_above(report, group)
        shown = [] if brief else words.without_middle(rows, (40, 8)[step])
        lines += plain(frame_lines(shown, WIDTH))
    return _folded(threads.others_title(report), block(lines))


def _values(report: Report, step: int) -> str:
    if step > 2:
        return ""
    crashed = value_lines.of_crashed_thread(report, WIDTH, only_frame_to_see=step == 2)
    others = [] if step else value_lines.of_other_threads(report, WIDTH)
    parts = (("Values of the crashed thread", crashed), ("Values of other threads", others))
    folds = [_folded(summary, block(plain(lines))) for summary, lines in parts if lines]
    return "\n\n".join(folds)


def _as_gdb_sees(report: Report, step: int) -> str:
    lines: list[str] = []
    for thread in values.with_stacks_of_gdb(report) if step < 2 else []:
        title = f"The stack of thread {words.thread_name(thread)} as gdb sees it"
        lines += ["", title] if lines else [title]
        lines += plain(value_lines.as_gdb_sees(thread, WIDTH, (100, 25)[step]))
    return _folded("The stack as gdb sees it", block(lines)) if lines else ""


def _family(report: Report) -> str:
    rows = family.rows(report, WIDTH)
    return _folded(family.title(report), block(rows)) if rows else ""


def _timeline(report: Report, most: int) -> str:
    lines = timeline.rows(report, most, WIDTH) if most else []
    title = names.clip(timeline.title(report), 120)
    return f"### {title}\n\n{block(lines)}" if lines else ""


def _logs(report: Report, most: int) -> str:
    lines: list[str] = []
    for excerpt in report.logs if most else ():
        lines += [f"--- {excerpt.source}", *excerpt.lines[-most:]]
    return _folded("What the logs tell", block(lines)) if lines else ""


def _registers(report: Report) -> str:
    width = max(map(len, report.registers), default=0)
    lines = [f"{name:<{width}} {value}" for name, value in words.registers(report)]
    return _folded("Registers", block(lines)) if lines else ""


def _disassembly(report: Report) -> str:
    lines = [f"{line.address}  {line.text}" for line in report.disassembly]
    return _folded("Instructions", block(lines, "asm")) if lines else ""


def _modules(report: Report, step: int) -> str:
    problems = [m for m in report.modules if not words.symbols_are_fine(m.symbols)]
    fine = [m for m in report.modules if words.symbols_are_fine(m.symbols)]
    shown = ([*problems, *fine], problems, [])[step]
    lines = [
        f"{names.clip(module.symbols or '?', 12):<12} {module.build_id or '?'} {module.path or '?'}"
        for module in shown
    ]
    title = words.count(len(report.modules), "module")
    if problems:
        title += f", {len(problems)} without usable symbols"
    return _folded(title, block(lines)) if lines else ""


def _notes(report: Report, most: int) -> str:
    lines = [
        f"- {prose(names.clip(' '.join(words.note(error)).rstrip(), 400))}"
        for error in report.soft_errors[:most]
    ]
    hidden = len(report.soft_errors) - most
    more = [f"- … {hidden} more"] if hidden > 0 else []
    return "\n".join(["**Notes**", "", *lines, *more]) if lines else ""


def _origin(report: Report) -> str:
    made = " · ".join(prose(names.clip(text, 120)) for text in words.made_by(report))
    return f"<sub>{made}</sub>"
