"""Log text for the tests: lines as EVerest writes them, and real output of run-time libraries.

The texts in `log_texts` were written by gcc 12.2, clang 14, CPython 3.11 and Node.js 20; only the
paths in them were changed, and the memory that AddressSanitizer shows was left out.
"""

from collections.abc import Iterable
from pathlib import Path

from evdiag.model.logs import LogEvent
from evdiag.parse.logs import read_events

TEXTS = Path(__file__).parent / "log_texts"
COLOURS = {"INFO": "1;37", "WARN": "1;33", "ERRO": "1;31", "CRIT": "1;35", "DEBG": "1;30"}
FUNCTION = "void Manager::handle_initiate_graceful_shutdown(const std::string&)"


def line(
    message: str,
    severity: str = "INFO",
    process: str = "manager",
    *,
    second: float = 0.0,
    colours: bool = True,
) -> str:
    """One record of EVerest, with the colours that it always writes."""

    def coloured(code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if colours else text

    function = FUNCTION if severity in ("WARN", "ERRO", "CRIT") else ""
    return (
        f"2026-11-22 07:01:{54 + second:09.6f} [{coloured(COLOURS[severity], severity)}] "
        f"{coloured('1;32', process[:15].ljust(15))} {coloured('1;36', function)} "
        f"{coloured('1;30', ':')}{coloured('1;32', '')}: {message}\n"
    )


def events_of(*texts: str | bytes) -> list[LogEvent]:
    """All events of a log file with these texts."""
    return list(read_events("everest.log", texts))


def kinds(events: Iterable[LogEvent]) -> list[str]:
    """Only what happened."""
    return [event.kind for event in events]


def text_files(folder: str) -> list[Path]:
    """The real texts of one kind."""
    return sorted((TEXTS / folder).glob("*.txt"))


def text_of(name: str) -> str:
    """One real text, by folder and name: `python/chained`."""
    return (TEXTS / f"{name}.txt").read_text()
