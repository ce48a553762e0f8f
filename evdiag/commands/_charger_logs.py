"""The logs of one container: its files and its output as one, what there is and what comes."""

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence

import msgspec

from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.logs import LogFiles, LogText, NoOutput, gathered, log_files, output
from evdiag.analyze.logalert import Alerts
from evdiag.analyze.logfilter import LineFilter, Wanted, is_service_shown
from evdiag.analyze.logmerge import Ends, Overlap, in_order, merge
from evdiag.console import say
from evdiag.errors import EngineTimeout, EngineUnreachable, NoSuchContainer, NotReady, UsageError
from evdiag.model.charger import ContainerFacts
from evdiag.model.loglines import EVEREST, LOG_SERVICES, LogLine
from evdiag.parse.engine import time_text
from evdiag.parse.loglines import seek
from evdiag.parse.loglines.frames import Entry, Frames
from evdiag.parse.loglines.output import OutputReader, plain_lines
from evdiag.parse.loglines.position import Position, seconds_of_stamp
from evdiag.parse.loglines.records import read_all
from evdiag.parse.loglines.times import Clock, read_since, seconds_of

ENGINE_PATIENCE = 60.0
"""Seconds that an engine may be away: a restart of dockerd takes a few."""
LOOK = 0.3
"""Seconds between looks at a container that has stopped, or at an engine that is away."""
BEFORE_CRASH = 10.0
"""Seconds before a crash that `--since crash` begins at."""
LINES_OF_RECORD = 40
"""Lines that a record may have, to guess how far back in the output the last records reach."""
_GONE = (EngineUnreachable, EngineTimeout)

Batch = Sequence[LogLine]


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants to see of the logs."""

    services: frozenset[str] = frozenset()
    level: str = ""
    module: str = ""
    pattern: str = ""
    since: str = ""
    """As it was typed."""
    tail: int | None = None

    def wanted(self, since: str) -> Wanted:
        """The same with the time as the logs write it."""
        return Wanted(
            services=self.services,
            level=self.level,
            module=self.module,
            pattern=self.pattern,
            since=since,
        )


class ChargerLogs:
    """The logs of a container. Raises UsageError and NotReady for a time that is none.

    Lines come in batches. First take all of `history`, then as much of `live` as is wanted.
    """

    def __init__(self, engine: ContainerEngine, facts: ContainerFacts, request: Request) -> None:
        self.engine, self.facts, self.request = engine, facts, request
        self.clock = Clock(facts.environment.get("TZ", ""))
        self.files = _copied(engine, facts, self.clock)
        self.texts = self.files.texts if self.files else {}
        self.since = _since(request.since, facts, self.clock, self.texts)
        self.wanted = request.wanted(self.since)
        if facts.is_running:
            for text in self.texts.values():  # the end of the last line is still to come
                text.size = seek.whole_lines(text)
        ends = {service: _ends(text, self.clock) for service, text in self.texts.items()}
        self._overlap = Overlap(ends)
        self._filter, self._alerts = LineFilter(self.wanted), Alerts(facts.name)
        self._output = _Output(engine, facts, self.clock, plain=not (self.texts or _is_ours(facts)))

    @property
    def can_follow(self) -> bool:
        """Whether the container's output can be read; known after `history`."""
        return self._output.readable

    def close(self) -> None:
        """Give up the copy of the files."""
        if self.files is not None:
            self.files.close()

    def history(self) -> Iterator[Batch]:
        """All wanted lines so far, in the order of time."""
        merged = merge([self._older_output(), *map(self._of_file, self._shown_texts())])
        batches = (self._shown(self._overlap.without_torn(batch)) for batch in merged)
        if self.request.tail is None:
            yield from batches
        else:
            last: deque[LogLine] = deque(maxlen=self.request.tail)
            for batch in batches:
                last.extend(batch)
            yield list(last)
        self.close()

    def live(self, again: Callable[[], None] | None = None) -> Iterator[Batch]:
        """What comes after that; only an error ends it. Raises NoSuchContainer, NotReady.

        `again` waits until the container runs that has stopped; see `await_running`.
        """
        while self._output.readable:
            try:
                for batch in self._output.live():
                    yield self._shown(in_order(self._overlap.news(batch)))
            except _GONE:
                pass  # it may be back soon: see there
            time.sleep(LOOK / 2)  # an engine that ends the stream at once shall not keep us busy
            if again is None:
                await_running(self.engine, self.facts)
            else:
                again()
        raise NotReady(
            f"{self.facts.name} cannot be followed: its log driver {self.facts.log_driver!r} "
            "keeps nothing to read",
            advice="Start it with --log-driver json-file or local.",
        )

    def _shown(self, batch: Batch) -> Batch:
        return self._filter.wants(self._alerts.add(batch))

    def _shown_texts(self) -> list[LogText]:
        """The files that can have wanted lines; everest's tells of crashes, too."""
        return [
            self.texts[name]
            for name in LOG_SERVICES
            if name in self.texts and (name == EVEREST or is_service_shown(self.wanted, name))
        ]

    def _of_file(self, text: LogText) -> Iterator[list[LogLine]]:
        start = 0
        if self.since:
            start = seek.place_of_time(text, self.clock, self.since)
        elif self.request.tail is not None and self.wanted.everything:
            start = seek.place_of_last(text, self.clock, self.request.tail)
        return read_all(text.service, self.clock, text.latest, seek.blocks(text, start))

    def _older_output(self) -> Iterator[list[LogLine]]:
        since, tail = "", None
        if self.since:
            seconds = seconds_of(self.since, self.clock)
            since = "" if seconds is None else seconds_of_stamp(time_text(seconds - seek.NEAR))
        elif self.request.tail is not None and self.wanted.everything:
            tail = (self.request.tail + 1) * LINES_OF_RECORD
        for batch in self._output.history(since, tail):
            if news := self._overlap.news(batch):
                yield in_order(news)


class _Output:
    """What the container prints, from where the last call stopped."""

    def __init__(
        self, engine: ContainerEngine, facts: ContainerFacts, clock: Clock, *, plain: bool
    ) -> None:
        self.engine, self.facts, self.clock, self.plain = engine, facts, clock, plain
        self.readable = True
        self._position = Position()
        self._reader = OutputReader(clock, from_start=True)

    def history(self, since: str, tail: int | None) -> Iterator[list[LogLine]]:
        """Its lines so far."""
        if since or tail is not None:
            self._reader = OutputReader(self.clock, from_start=False)
        pieces = output(self.engine, self.facts.id, since=since, tail=tail)
        try:
            yield from self._batches(pieces)
        except NoOutput as error:
            self.readable = False
            say(f"evdiag: {error}: only what the services' files hold is shown")

    def live(self) -> Iterator[list[LogLine]]:
        """Its further lines; it ends when the container does."""
        since = self._position.reopened()
        pieces = output(self.engine, self.facts.id, since=since, follow=True)
        return self._batches(gathered(pieces))

    def _batches(self, pieces: Iterator[bytes]) -> Iterator[list[LogLine]]:
        frames = Frames()
        for data in pieces:
            yield self._read(frames.feed(data))
        yield self._read(frames.end())

    def _read(self, entries: list[Entry]) -> list[LogLine]:
        fresh = self._position.fresh(entries)
        return plain_lines(fresh, self.clock) if self.plain else self._reader.feed(fresh)


def await_running(engine: ContainerEngine, facts: ContainerFacts) -> None:
    """Wait until a container runs that ran before, and tell why that takes time.

    Raises NoSuchContainer once it is removed, and EngineUnreachable if the engine stays away.
    """
    told_stopped = False
    away_since: float | None = None
    while True:
        try:
            now = engine.container(facts.id)
        except NoSuchContainer:
            raise NoSuchContainer(
                f"{facts.name} was removed: its log ends here", advice="`evdiag run` starts anew."
            ) from None
        except _GONE as error:
            if away_since is None:
                away_since = time.monotonic()
                say(f"evdiag: the container engine is away; waiting {ENGINE_PATIENCE:.0f} s for it")
            if time.monotonic() - away_since > ENGINE_PATIENCE:
                raise error
            time.sleep(LOOK)
            continue
        if away_since is not None:
            say("evdiag: the container engine is back")
            away_since = None
        if now.state in ("running", "paused"):
            if told_stopped:
                say(f"evdiag: {facts.name} runs again")
            return
        if not told_stopped and now.state != "restarting":
            told_stopped = True
            code = "" if now.exit_code is None else f" (exit code {now.exit_code})"
            say(f"evdiag: {facts.name} has stopped{code}; waiting for its start, Ctrl-C ends this")
        time.sleep(LOOK)


def _is_ours(facts: ContainerFacts) -> bool:
    return facts.is_charger


def _copied(engine: ContainerEngine, facts: ContainerFacts, clock: Clock) -> LogFiles | None:
    if not clock.known:
        zone = facts.environment.get("TZ", "")
        say(f"evdiag: {facts.name} has the time zone {zone!r}, which is not known here: using UTC")
    files = log_files(engine, facts.id, clock)
    if files is not None and files.cut:
        say("evdiag: the log files have more than 2 GiB: the rest is left out")
    return files


def _since(asked: str, facts: ContainerFacts, clock: Clock, texts: dict[str, LogText]) -> str:
    """The time of `--since` as the logs write it."""
    if asked == "start":
        return clock.text(facts.started) if facts.started else ""
    if asked == "crash":
        crash = seek.last_crash(texts[EVEREST], clock) if EVEREST in texts else ""
        seconds = seconds_of(crash, clock)
        if seconds is None:
            raise NotReady(
                f"the logs of {facts.name} tell of no crash",
                advice="`evdiag logs --level warning` shows what else went wrong.",
            )
        return clock.text(seconds - BEFORE_CRASH)
    try:
        return read_since(asked, clock, time.time()) if asked else ""
    except (ValueError, OverflowError):
        raise UsageError(
            f"--since {asked!r} is no time",
            advice="Examples: 10m, 2h, 14:05, 2026-11-23T14:05:00Z, start (of the container), "
            "crash (the last one).",
        ) from None


def _ends(text: LogText, clock: Clock) -> Ends:
    head, head_until = seek.head(text, clock)
    tail, tail_from = seek.tail(text, clock)
    return Ends(head=head, head_until=head_until, tail=tail, tail_from=tail_from)
