"""The words that several formats share: names of functions, places, threads, stacks."""

from collections.abc import Iterable, Sequence

import msgspec

from evdiag.analyze.gdb_place import HERE, within
from evdiag.analyze.names import ELLIPSIS, basename, elide, function, path
from evdiag.model.report import (
    Address,
    Fold,
    Frame,
    Process,
    Report,
    Sibling,
    Signal,
    SoftError,
    Thread,
)
from evdiag.report.redaction import replaced

SYSTEM_RUN = 3
"""So many frames outside of the application in a row become one line in other threads."""
MOST_NUMBERS = 16
"""Of threads that share a stack and of processes that fell together, so many are named."""
_FIRST_REGISTERS = (
    "rip", "rsp", "rbp", "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12",
    "r13", "r14", "r15", "eflags", "pc", "sp", "lr",
)  # fmt: skip
_RUNGS = {
    "native+gdb": "stacks by evdiag, values by {gdb}",
    "native": "stacks by evdiag, no values",
    "native+mi": "stacks by evdiag, values by {gdb} without Python",
    "gdb": "stacks and values by {gdb}",
    "mi": "stacks and values by {gdb} without Python",
    "notes": "neither stacks nor values",
    "logs": "from logs alone, there is no core",
    "capture": "from what the core writer noted and from logs, there is no core",
}
"""What the rungs mean to a reader."""
WITHOUT_CORE = ("logs", "capture")
"""Rungs without a core, and so without threads."""
_SYMBOLS_ARE_FINE = {"full", "names"}


def count(number: int, noun: str) -> str:
    """A number with its noun: `1 thread`, `26,180 frames`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


# ---------------------------------------------------------------- frames


def name_of(frame: Frame) -> str:
    """What to call a frame: its function, or that it has none."""
    if frame.kind == "signal":
        return "<signal handler called>"
    return frame.function or "??"


def place_of(frame: Frame, width: int = 10_000, directories: bool = True) -> str:
    """Where a frame is, as exactly as known: file and line, module and offset, program counter."""
    if frame.file:
        line = "" if frame.line is None else f":{frame.line}"
        file = frame.file if directories else basename(frame.file)
        return path(file, width - len(line)) + line
    if frame.module:
        offset = ""
        if frame.function is None and frame.offset is not None:
            offset = f"+{frame.offset}"
        module, room = basename(frame.module), width - len(offset)
        if len(module) > room:
            module = _library(module)
        return elide(module, room) + offset
    return "" if frame.pc is None else str(frame.pc)


def _library(module: str) -> str:
    """The file of a library without its version: `libstdc++.so` for `libstdc++.so.6.0.30`."""
    name, suffix, _ = module.partition(".so.")
    return f"{name}.so" if suffix else module


class Mark(msgspec.Struct, frozen=True):
    """A line between frames that is no frame."""

    text: str


def fold_text(shown: int, rounds: int) -> str:
    """What stands for the rounds of a recursion that are not shown."""
    frames = "this frame" if shown == 1 else f"these {shown:,} frames"
    return f"{ELLIPSIS} {frames} {rounds:,} times"


def stack_rows(thread: Thread) -> list[Frame | Mark]:
    """The frames of a thread with a mark behind every fold, in every gap and at an early end."""
    folds = {fold.level: fold for fold in thread.folds}
    rows: list[Frame | Mark] = []
    fold: Fold | None = None
    left = expected = 0
    for frame in thread.frames:
        if frame.level > expected:
            rows.append(Mark(f"{ELLIPSIS} {count(frame.level - expected, 'frame')} left out"))
        if fold is None and frame.level in folds:
            fold = folds[frame.level]
            left = fold.period
        rows.append(frame)
        expected = frame.level + 1
        if fold is not None and frame.kind != "inline":  # `period` counts physical frames
            left -= 1
            if left <= 0:
                shown = expected - fold.level  # with the calls that were inlined
                rows.append(Mark(fold_text(shown, fold.count)))
                expected = fold.level + shown * fold.count
                fold = None
    if thread.ended:
        rows.append(Mark(f"the stack ends here: {thread.ended}"))
    return rows


def depth(thread: Thread) -> int:
    """How many frames the stack had, folded and left out ones included."""
    return thread.frames[-1].level + 1 if thread.frames else 0


def without_middle(rows: list[Frame | Mark], most: int) -> list[Frame | Mark]:
    """At most so many rows: the innermost and the outermost ones."""
    if len(rows) <= most:
        return rows
    tail = most // 4
    mark = Mark(f"{ELLIPSIS} {count(len(rows) - most + 1, 'line')} left out")
    return [*rows[: most - 1 - tail], mark, *rows[len(rows) - tail :]]


def without_system(rows: Sequence[Frame | Mark]) -> list[Frame | Mark]:
    """The rows with runs of system frames in one line each: threads mostly wait down there."""
    brief: list[Frame | Mark] = []
    run: list[Frame] = []
    for row in [*rows, None]:
        if isinstance(row, Frame) and not row.in_app:
            run.append(row)
            continue
        if len(run) < SYSTEM_RUN:
            brief += run
        else:
            hidden = run[1:]
            where = modules_of(hidden)
            text = count(len(hidden), "frame") + (f" in {where}" if where else "")
            brief += [run[0], Mark(f"{ELLIPSIS} {text}")]
        run = []
        if row is not None:
            brief.append(row)
    return brief


def modules_of(rows: Iterable[Frame | Mark]) -> str:
    """The modules that frames belong to, each once."""
    names = (basename(r.module) for r in rows if isinstance(r, Frame) and r.module)
    return ", ".join(dict.fromkeys(names))


def frame_to_see(report: Report) -> Frame | None:
    """The frame of the crashed thread to look at first."""
    thread = report.crashed
    if thread is None or not thread.frames:
        return None
    if report.verdict.frame is not None:
        for frame in thread.frames:
            if frame.level == report.verdict.frame:
                return frame
    return next((frame for frame in thread.frames if frame.in_app), thread.frames[0])


# ---------------------------------------------------------------- threads


def thread_name(thread: Thread) -> str:
    """How a thread is called: number, role, its own name, and its id in the kernel."""
    role = f" {thread.role}" if thread.role else ""
    if thread.name and thread.name != thread.role:
        role += f" [{thread.name}]"
    lwp = "" if thread.lwp is None else f" (LWP {thread.lwp})"
    return f"#{thread.number}{role}{lwp}"


def crashed_title(report: Report) -> str:
    """What to call the first thread of the core, which is not always one that crashed."""
    if report.verdict.cls == "snapshot":
        return "First thread"
    if report.verdict.cls in ("sent-signal", "deadlock"):
        return "Thread that took the signal,"
    return "Crashed thread"


# ---------------------------------------------------------------- the report as a whole


def title(report: Report) -> str:
    """The title, or one made of what is known."""
    if report.title:
        return report.title
    who = process_name(report) or "A process"
    frame = frame_to_see(report)
    where = "" if frame is None else f" in {function(name_of(frame), 60)}"
    what = report.verdict.cls
    return f"{who}: {'cause unknown' if what == 'unknown' else what}{where}"


def process_name(report: Report) -> str:
    """EVerest's name for the process, or that of its executable."""
    process = report.process
    if process.module_id:
        return process.module_id + (f" ({process.module_type})" if process.module_type else "")
    return basename(process.executable) if process.executable else ""


def signal_text(signal: Signal) -> str:
    """The signal, its code and its address."""
    name = signal.name or (f"signal {signal.number}" if signal.number is not None else "signal")
    code = f" ({signal.code_name})" if signal.code_name else ""
    address = signal.adjusted_address
    if address is None:
        address = signal.fault_address
    return f"{name}{code}" + ("" if address is None else f" at {address}")


def facts(report: Report) -> list[str]:
    """Which process, which signal, when, out of which image: in a few words each."""
    process, container, signal = report.process, report.container, report.signal
    said = " ".join((report.verdict.summary, *report.verdict.evidence))
    signal_is_new = signal is not None and (signal.name or "?") not in said
    return [
        text
        for text in (
            "" if process_name(report) in title(report) else process_name(report),
            "" if process.pid is None else f"pid {process.pid}",
            signal_text(signal) if signal is not None and signal_is_new else "",
            process.crashed_at,
            None if container is None else container.image,
        )
        if text
    ]


def last_words(report: Report) -> list[tuple[str, str]]:
    """What the process said about its own death, where the verdict does not say it already."""
    said = " ".join((report.verdict.summary, *report.verdict.evidence))
    words: list[tuple[str, str]] = []
    broken, message = report.assertion, report.abort_message
    # file, function and expression of an assertion are all that its message holds
    parts = (broken.expression, broken.file, broken.function) if broken is not None else ()
    told = bool(parts) and all(part in said for part in parts if part)
    if message and message not in said and not told:
        words.append(("abort message", message))
        said += f" {message}"
    thrown = report.exception
    if thrown is not None and thrown.type:
        what = f": {thrown.what}" if thrown.what else ""
        if thrown.type not in said or (thrown.what or "") not in said:
            words.append(("exception", thrown.type + what))
    if broken is not None and broken.expression and broken.expression not in said:
        line = "" if broken.line is None else f":{broken.line}"
        words.append(("assertion", broken.expression))
        if broken.file:
            words.append(("asserted at", f"{broken.file}{line}"))
    return words


def siblings(report: Report) -> list[str]:
    """Which process of the tree died first, and which were only taken down with it."""
    first = [sibling for sibling in report.siblings if sibling.role == "first_fault"]
    taken = [sibling for sibling in report.siblings if sibling.role == "taken_down"]
    texts: list[str] = []
    if first and all(is_subject(sibling, report.process) for sibling in first):
        texts.append("this process died first")
    elif first:
        names = ", ".join(_sibling_name(s) + (f" ({s.status})" if s.status else "") for s in first)
        texts.append(f"died first: {names}")
        own = next((s for s in report.siblings if is_subject(s, report.process)), None)
        if own is not None and own.note:
            texts.append(f"this one {own.note}")
    if taken:
        more = f" and {len(taken) - MOST_NUMBERS} more" if len(taken) > MOST_NUMBERS else ""
        named = ", ".join(_sibling_name(sibling) for sibling in taken[:MOST_NUMBERS])
        texts.append(f"taken down with it: {named}{more}")
    return texts


def is_subject(sibling: Sibling, process: Process) -> bool:
    """Whether that is the process of the report."""
    if sibling.pid is not None and process.pid is not None:
        return sibling.pid == process.pid
    return sibling.module_id is not None and sibling.module_id == process.module_id


def _sibling_name(sibling: Sibling) -> str:
    return sibling.module_id or ("?" if sibling.pid is None else f"pid {sibling.pid}")


def note(error: SoftError) -> tuple[str, str]:
    """What went wrong and what that means for the report; and what helps."""
    text = f"{error.message}: {error.effect}" if error.effect else error.message
    return (text.rstrip(".") + ".", error.hint) if error.hint else (text, "")


def registers(report: Report) -> list[tuple[str, Address]]:
    """The registers, those first that are looked at first."""
    first = {name: i for i, name in enumerate(_FIRST_REGISTERS)}
    return sorted(report.registers.items(), key=lambda item: first.get(item[0], len(first)))


def symbols_are_fine(state: str | None) -> bool:
    """Whether a module's functions have the names of the very build that crashed."""
    return state in _SYMBOLS_ARE_FINE


def size(number: int) -> str:
    """A number of bytes for people."""
    amount = float(number)
    for unit in ("bytes", "kB", "MB"):
        if amount < 1000:
            digits = 0 if unit == "bytes" or amount >= 100 else 1
            return f"{amount:.{digits}f} {unit}"
        amount /= 1000
    return f"{amount:.1f} GB"


def gdb_name(report: Report) -> str:
    """The gdb that took part, `gdb 13.1`; empty if none did."""
    gdb = report.provenance.gdb or ""
    return gdb if not gdb or "gdb" in gdb.lower() else f"gdb {gdb}"


def _gdb_with_place(report: Report) -> str:
    """The same, and where it ran unless that was here."""
    name, place = gdb_name(report), report.provenance.gdb_place or HERE
    return name if not name or place == HERE else f"{name} {within(place)}"


def _engines(report: Report) -> list[str]:
    """Where stacks and values come from."""
    gdb, rung = _gdb_with_place(report), report.provenance.rung or ""
    text = _RUNGS.get(rung)
    if text is None:
        return [rung, gdb]
    named = text.format(gdb=gdb or "gdb")
    return [named] if "{gdb}" in text else [named, gdb]


def made_by(report: Report) -> list[str]:
    """Out of which core, by which evdiag, how and how quickly the report was made."""
    core, made = report.core, report.provenance
    version = f" {report.tool.version}" if report.tool.version else ""
    lost = f", {size(core.missing_bytes)} missing" if core.missing_bytes else ""
    return [
        text
        for text in (
            core.path,
            "" if core.bytes is None else f"{size(core.bytes)}{lost}",
            f"{report.tool.name}{version}",
            *_engines(report),
            f"{sum(made.timings.values()):.2f} s of CPU" if made.timings else "",
            replaced(made.redaction),
            report.created,
        )
        if text
    ]
