"""Where words go: the product to stdout or a file, messages and progress to stderr."""

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol

from evdiag.adapters.files import write_text
from evdiag.errors import EvdiagError, UsageError
from evdiag.model.bundle import Redaction
from evdiag.model.report import Report
from evdiag.report import FORMATS
from evdiag.report.neutral import clean

PIPED_WIDTH = 100
"""Columns of a terminal report that goes into a file or a pipe."""


def say(text: str) -> None:
    """Print lines on stderr, neutralised."""
    for line in text.split("\n"):
        sys.stderr.write(clean(line) + "\n")
    sys.stderr.flush()


def fail(error: EvdiagError) -> None:
    """Print an error and its advice on stderr."""
    say(f"evdiag: {error}")
    if error.advice:
        say(f"  -> {error.advice}")


class Progress:
    """A line that tells what takes long; only on a terminal, gone once it is over."""

    def __init__(self) -> None:
        self._shown = 0

    def __call__(self, text: str) -> None:
        """Show what is being done now."""
        if sys.stderr.isatty():
            line = clean(text)[:76] + " …"
            sys.stderr.write("\r" + line.ljust(self._shown))
            sys.stderr.flush()
            self._shown = len(line)

    def done(self) -> None:
        """Wipe the line."""
        if self._shown:
            sys.stderr.write("\r" + " " * self._shown + "\r")
            sys.stderr.flush()
            self._shown = 0


class Steps:
    """What a command does step by step, on stderr: one line for each that is over.

    On a terminal the current one is shown too, with what it is at and since when.
    """

    def __init__(self) -> None:
        self._live = Progress()
        self._text = ""
        self._begun = time.monotonic()
        plain = not (sys.stderr.encoding or "").lower().startswith("utf")
        self._done_mark, self._warn_mark = ("ok", "!!") if plain else ("✓", "!")

    def begin(self, text: str) -> None:
        """A step starts."""
        self._text, self._begun = text, time.monotonic()
        self._live(text)

    def at(self, detail: str) -> None:
        """What the current step is at: `12 of 23 modules`."""
        seconds = time.monotonic() - self._begun
        self._live(f"{self._text}: {detail} ({seconds:.0f} s)")

    def done(self, text: str = "") -> None:
        """The current step is over; the text says what came out."""
        self._live.done()
        seconds = time.monotonic() - self._begun
        took = f"  ({seconds:.1f} s)" if seconds >= 0.1 else ""
        say(f"{self._done_mark} {text or self._text}{took}")

    def warn(self, text: str) -> None:
        """Something that the user should know; the step goes on."""
        self._live.done()
        say(f"{self._warn_mark} {text}")

    def stop(self) -> None:
        """Wipe what is live: an error message follows."""
        self._live.done()


def terminal_style(*, to_file: bool = False) -> tuple[int, bool]:
    """(width, whether in colour): as stdout is (https://no-color.org)."""
    if to_file or not sys.stdout.isatty():
        columns = os.environ.get("COLUMNS", "")
        usable = columns.isascii() and columns.isdecimal() and len(columns) < 5
        return int(columns) if usable else PIPED_WIDTH, False
    plain = bool(os.environ.get("NO_COLOR")) or os.environ.get("TERM") == "dumb"
    return shutil.get_terminal_size().columns, not plain


Redact = Callable[[Report], Report]


def redaction_by(redaction: Redaction | None = None) -> Redact:
    """What takes secrets out of reports: with the tokens of a bundle, else with the user's own."""
    made: list[Redact] = []

    def redact(report: Report) -> Report:
        if not made:  # the import takes 2 ms, the patterns some more
            from evdiag.adapters.redaction_key import secrets_of  # noqa: PLC0415
            from evdiag.analyze.secrets.report import redacted_report  # noqa: PLC0415

            secrets = secrets_of(redaction)
            made.append(lambda report: redacted_report(report, secrets))
        return made[0](report)

    return redact


class Suffixed(Protocol):
    """A format, as lists of formats have it."""

    @property
    def suffix(self) -> str:
        """Of the files it is written to, with the dot."""


def format_named(name: str | None, target: Path | None, formats: Mapping[str, Suffixed]) -> str:
    """A format by its name, else by the suffix of the file to write. Raises UsageError."""
    if name is not None and name not in formats:
        known = ", ".join(formats)
        raise UsageError(f"there is no format {name!r}", advice=f"The formats are {known}.")
    if target is not None and target.is_dir():
        raise UsageError(f"-o {target} is a directory", advice="Name a file in it.")
    if name is None and target is not None:
        suffixes = {listed.suffix: known for known, listed in formats.items()}
        # the longest one: a job summary is Markdown too
        fitting = [suffix for suffix in suffixes if target.name.endswith(suffix)]
        name = suffixes[max(fitting, key=len)] if fitting else None
        if name is None:
            raise UsageError(
                f"no format has the suffix of {target}",
                advice=f"Add --format, or use one of {', '.join(suffixes)}.",
            )
    return name or "terminal"


class Output:
    """Where the reports of one run go: to stdout one after the other, or into one file.

    Where several reports are one document, an array in JSON, they are held back until the last one.
    All of them lose their secrets here, whatever the format.
    """

    def __init__(self, name: str, target: Path | None, *, redact: bool = True) -> None:
        """Without `redact` secrets stay in."""
        self.name, self.target = name, target
        self._redact: Redact | None = redaction_by() if redact else None
        self._reports: list[Report] = []
        self._begun: Report | None = None
        """What the first screen was printed of."""

    def use(self, redaction: Redaction | None) -> None:
        """What comes is of a bundle, which has tokens of its own, or of none."""
        if self._redact is not None:
            self._redact = redaction_by(redaction)

    @classmethod
    def choose(cls, name: str | None, target: Path | None, *, redact: bool = True) -> "Output":
        """Take the format by its name, else by the suffix of the file. Raises UsageError."""
        return cls(format_named(name, target, FORMATS), target, redact=redact)

    def shown(self, report: Report) -> Report:
        """The report as it may be printed."""
        return report if self._redact is None else self._redact(report)

    def begin(self, report: Report) -> None:
        """Print the first screen of a report that is still to get its values, on a terminal."""
        if self.target is None and self.name == "terminal" and sys.stdout.isatty():
            from evdiag.report import terminal  # noqa: PLC0415 - brings Rich, 25 ms

            report = self.shown(report)
            width, colour = terminal_style(to_file=False)
            self._write(terminal.render_first(report, width, colour))
            self._begun = report

    def add(self, report: Report) -> None:
        """Print a report, or what is left of it, or keep it for the end."""
        report = self.shown(report)
        if self.target is None and FORMATS[self.name].load_document is None:
            self._write(self._render(report))
            self._begun = None
        else:
            self._reports.append(report)

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def _render(self, report: Report) -> str:
        if self.name == "terminal":
            from evdiag.report import terminal  # noqa: PLC0415

            width, colour = terminal_style(to_file=self.target is not None)
            if self._begun is not None:
                return terminal.render_rest(report, width, colour, first=self._begun)
            return terminal.render(report, width, colour)
        return FORMATS[self.name].load().render(report)

    def finish(self) -> None:
        """Write what was kept. Raises OutputNotWritten."""
        if not self._reports:
            return
        load = FORMATS[self.name].load_document
        if load is not None:
            text = load().render_many(self._reports)
        else:
            text = "\n".join(self._render(report) for report in self._reports)
        if self.target is None:
            sys.stdout.write(text)
        else:
            write_text(self.target, text)
            say(f"wrote {self.target}")
