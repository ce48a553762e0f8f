"""What the last sections of a report's page say: files, registers, and where it is from."""

import shlex
from collections.abc import Iterable
from typing import Final

from evdiag.model.report import Module, Report, Signal
from evdiag.report import image, words

MOST_MODULES: Final = 1000
MOST_NOTES: Final = 200
MOST_INSTRUCTIONS: Final = 200
LONG: Final = 24
"""A table of more rows scrolls in a box of its own."""

Context = dict[str, object]
Facts = list[tuple[str, str]]


def told(facts: Iterable[tuple[str, str | None]]) -> Facts:
    """Those facts that are known."""
    return [(what, text) for what, text in facts if text]


# ---------------------------------------------------------------- the process


def modules(report: Report, _: str) -> Context | None:
    """The files of the process, those without usable symbols first."""
    if not report.modules:
        return None
    ordered = sorted(report.modules, key=lambda module: words.symbols_are_fine(module.symbols))
    rows = [_module(module) for module in ordered[:MOST_MODULES]]
    hidden = len(ordered) - len(rows)
    return {
        "rows": rows,
        "long": len(rows) > LONG,
        "bad": sum(not words.symbols_are_fine(module.symbols) for module in ordered),
        "hidden": words.count(hidden, "more module") if hidden else "",
    }


def _module(module: Module) -> Context:
    folder, slash, file = (module.path or "?").rpartition("/")
    ends = [str(end) for end in (module.base, module.end) if end is not None]
    return {
        "folder": folder + slash,
        "file": file,
        "build_id": module.build_id or "",
        "range": " – ".join(ends),
        "symbols": module.symbols or "?",
        "fine": words.symbols_are_fine(module.symbols),
    }


def machine(report: Report, _: str) -> Context | None:
    """The signal, the registers and the instructions around it."""
    if not (report.registers or report.disassembly or report.signal):
        return None
    thread = report.crashed
    pc = thread.frames[0].pc if thread is not None and thread.frames else None
    instructions = report.disassembly[:MOST_INSTRUCTIONS]
    return {
        "signal": _signal(report.signal) if report.signal else [],
        "registers": [(name, str(value)) for name, value in words.registers(report)],
        "instructions": [(str(i.address), i.text, i.address == pc) for i in instructions],
    }


def _signal(signal: Signal) -> Facts:
    sender = "" if signal.sender_pid is None else f"process {signal.sender_pid}"
    if sender and signal.sender_uid is not None:
        sender += f" of user {signal.sender_uid}"
    number = "" if signal.number is None else f", number {signal.number}"
    return told(
        (
            ("signal", words.signal_text(signal) + number),
            ("access", signal.access),
            ("instruction", signal.instruction),
            ("sent by", sender),
        )
    )


# ---------------------------------------------------------------- where the report is from


def notes(report: Report, _: str) -> Context | None:
    """What went wrong while the report was made."""
    if not report.soft_errors:
        return None
    shown = report.soft_errors[:MOST_NOTES]
    hidden = len(report.soft_errors) - len(shown)
    return {"errors": shown, "hidden": words.count(hidden, "more note") if hidden else ""}


def origin(report: Report, _: str) -> Context:
    """Which process, which container, which core, and how the report was made."""
    groups = (
        ("Process", _process_facts(report)),
        ("Container", _container_facts(report)),
        ("Report", _report_facts(report)),
    )
    return {"groups": [(title, facts) for title, facts in groups if facts]}


def _process_facts(report: Report) -> Facts:
    process = report.process
    return told(
        (
            ("name", words.process_name(report)),
            ("executable", process.executable),
            ("command line", shlex.join(process.argv)),
            ("process id", None if process.pid is None else str(process.pid)),
            ("build-id", process.build_id),
            ("started", process.started),
            ("crashed", process.crashed_at),
        )
    )


def _container_facts(report: Report) -> Facts:
    container = report.container
    if container is None:
        return []
    built = container.build
    kills = container.oom_kills
    return told(
        (
            ("runs", " · ".join(image.what_ran(report))),
            ("image", container.image),
            ("digest", container.digest),
            ("state", container.state),
            ("exit code", None if container.exit_code is None else str(container.exit_code)),
            ("out of memory", _out_of_memory(container.oom_killed, kills)),
            ("variables", _pairs(container.environment)),
            ("labels", _pairs(container.labels)),
            ("built from", None if built is None else built.source or built.commit),
            ("modules built", None if built is None else ", ".join(built.modules)),
        )
    )


def _out_of_memory(killed: bool | None, kills: int | None) -> str:
    if kills:
        return f"{words.count(kills, 'kill')} by the kernel"
    return "says the engine" if killed else ""


def _pairs(pairs: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in pairs.items())


def _report_facts(report: Report) -> Facts:
    core, made = report.core, report.provenance
    timings = ", ".join(f"{stage} {seconds:.3f} s" for stage, seconds in made.timings.items())
    return told(
        (
            ("made", " · ".join(words.made_by(report))),
            ("SHA-256", core.sha256),
            ("truncated", "yes" if core.truncated else ""),
            ("CPU time", timings),
        )
    )
