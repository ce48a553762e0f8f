"""`evdiag watch`: tells of each crash of a charger as it happens, with a bundle of it."""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evdiag.commands._charger import NameOption, find_charger, find_running
from evdiag.errors import ExitCode, OutputNotWritten, UsageError

if TYPE_CHECKING:
    from evdiag.commands._watching import Event, Found, Watch
    from evdiag.model.report import Report
    from evdiag.model.watch import Told


class Screen:
    """What is told where: crashes on stdout, words and the line of what goes on on stderr."""

    def __init__(self, name: str, *, as_json: bool, quiet: bool) -> None:
        from evdiag.console import Progress, terminal_style

        self.name, self.as_json, self.quiet = name, as_json, quiet
        self.begun = time.monotonic()
        self.crashes = 0
        self._live = Progress()
        self._second, self._step = -1, ""
        self._width, self._colour = terminal_style()
        self._is_terminal = sys.stdout.isatty()

    def show(self, event: "Event") -> None:
        """Tell of one event."""
        from evdiag.commands import _watching as flow

        if isinstance(event, flow.Found):
            self.crashes += 1
            self._found(event)
        elif isinstance(event, flow.Counted):
            self.crashes += 1
            self._json(event.told)
        elif isinstance(event, flow.Says):
            if event.important or not self.quiet:
                self.say(event.text)
        elif isinstance(event, flow.Idle):
            self._idle(event.state)

    def say(self, text: str) -> None:
        """A line on stderr."""
        from evdiag.console import say

        self._live.done()
        self._second = -1
        say(f"evdiag: {text}")

    # -- what collecting tells: only what it is at, as its outcome is told with the crash

    def begin(self, text: str) -> None:
        """Something that takes long."""
        self._step = text
        if not self.quiet:
            self._live(text)

    def at(self, detail: str) -> None:
        """What it is at."""
        self.begin(self._step.partition(": ")[0] + f": {detail}")

    def done(self, _: str = "") -> None:
        """It is over."""
        self._live.done()

    def warn(self, _: str) -> None:
        """What an interrupt leaves; `end` tells that."""

    def span(self) -> str:
        """Since when it is watched, in words."""
        from evdiag.report.status import span

        return span(time.monotonic() - self.begun)

    def _idle(self, state: str) -> None:
        from evdiag.report.watch import status_line

        second = int(time.monotonic() - self.begun)
        if self.quiet or second == self._second or not sys.stderr.isatty():
            return
        self._second = second
        self._live(status_line(self.name, self.crashes, self.span(), state=state))

    def _found(self, event: "Found") -> None:
        self._live.done()
        if self.as_json:
            self._json(event.told)
        elif self._is_terminal and not self.quiet:
            self._write(_screen(event.told, event.report, event.number, self._width, self._colour))
        else:
            from evdiag.report.watch import plain

            self._write(plain(event.told, event.report))

    def _json(self, told: "Told") -> None:
        from evdiag.report.watch import json_line

        if self.as_json:
            self._live.done()
            self._write(json_line(told))

    def _write(self, text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    def end(self, watch: "Watch", *, over: bool) -> None:
        """The last words; it was interrupted if it is not over."""
        from evdiag.report import watch as words

        self._live.done()
        for found in () if over else watch.left():
            self._found(found)
        for title, loop in watch.loops.rest():
            self.say(words.loop_ends(title, loop))
        partial = watch.unfinished_folder()
        if partial is not None:
            self.say(
                f"an unfinished bundle is in {partial}; it goes on with "
                f"`evdiag collect -o {watch.unfinished} --name {self.name}`"
            )
        if not self.quiet:
            self.say(words.at_the_end(self.name, watch.crashes, self.span()))


def _screen(told: "Told", report: "Report | None", number: int, width: int, colour: bool) -> str:
    """A crash for people at a terminal."""
    from evdiag.report import terminal, watch
    from evdiag.report.lines import NARROWEST

    width = max(width, NARROWEST)
    text = terminal.paint(watch.head(told, number, width), width, colour)
    if report is not None:
        text += terminal.render_first(report, width, colour)
    else:
        text += terminal.paint(watch.without_report(told), width, colour)
    return text + "\n" + terminal.paint(watch.foot(told), width, colour) + "\n"


@contextlib.contextmanager
def _ends_by_signals() -> Iterator[None]:
    """SIGTERM ends it as Ctrl-C does, and SIGINT does also in the background of a script."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    both = (signal.SIGINT, signal.SIGTERM)
    before = [(number, signal.signal(number, interrupt)) for number in both]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)


def command(
    name: NameOption = None,
    once: Annotated[bool, typer.Option("--once", help="End after the first crash.")] = False,
    exit_code: Annotated[
        bool,
        typer.Option(
            "--exit-code",
            help="End with 20 if there was a crash; ends with the container, too.",
        ),
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where bundles go; default: here.",
            show_default=False,
        ),
    ] = None,
    no_cores: Annotated[
        bool, typer.Option("--no-cores", help="Leave cores out of bundles.")
    ] = False,
    max_core_size: Annotated[
        str,
        typer.Option(
            "--max-core-size",
            metavar="S",
            help="Leave larger cores out: 500M, 2G.",
            show_default=False,
        ),
    ] = "",
    seconds: Annotated[
        float | None,
        typer.Option(
            "--for", metavar="SECONDS", min=0.0, help="End after this time.", show_default=False
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="A line of JSON for each crash, for scripts.")
    ] = False,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Only crashes, a few lines each.")
    ] = False,
) -> None:
    """Follow a charger; on each crash make a bundle and tell why, where and who was taken down."""
    from evdiag.adapters.docker.engine import connect
    from evdiag.commands import _watching as flow

    folder = _folder(output)
    request = flow.Request(
        folder=folder, once=once, to_the_end=exit_code, seconds=seconds,
        cores=not no_cores, max_core_size=size_of(max_core_size),
    )  # fmt: skip
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")  # a terminal without UTF-8
    engine = connect()
    interrupted = over = False
    with contextlib.closing(engine), _ends_by_signals():
        facts = (find_running if exit_code else find_charger)(engine, name)
        screen = Screen(facts.name, as_json=as_json, quiet=quiet)
        screen.begin(f"listening to {facts.name}")
        with contextlib.closing(flow.Watch(engine, facts, request, screen)) as watch:
            if not quiet:
                screen.say(f"watching {facts.name}; bundles go to {folder}; Ctrl-C ends this")
            try:
                for event in watch.events():
                    screen.show(event)
                    if over := isinstance(event, flow.Over):
                        break
            except KeyboardInterrupt:
                interrupted = True
            except BrokenPipeError:  # whoever read the output has gone
                sys.stdout, over = None, True
            finally:
                screen.end(watch, over=over)
    if exit_code and watch.crashes:
        raise typer.Exit(int(ExitCode.CRASH_FOUND))
    if interrupted and not exit_code:
        raise KeyboardInterrupt


def _folder(output: Path | None) -> Path:
    """Where bundles go; it is made. Raises OutputNotWritten."""
    folder = Path() if output is None else output
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputNotWritten(f"-o {folder}: {error.strerror}") from None
    return folder


def size_of(text: str) -> int | None:
    """What `--max-core-size` says. Raises UsageError."""
    from evdiag.analyze.collect_plan import read_size

    try:
        return read_size(text) if text else None
    except ValueError:
        raise UsageError(
            f"--max-core-size {text!r} is no size", advice="Examples: 500M, 2G, 100000000 (bytes)."
        ) from None
