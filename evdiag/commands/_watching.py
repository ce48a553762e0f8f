"""The flow of `evdiag watch`: what happens to a container, crash by crash, and their bundles."""

import shutil
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evdiag.analyze.crash_loops import Loops
from evdiag.analyze.watching import Watcher
from evdiag.collection import Request as Wish
from evdiag.collection import collect
from evdiag.commands._crash_report import explained, signature_of
from evdiag.commands._watch_sources import Sources
from evdiag.errors import EngineTimeout, EngineUnreachable, EvdiagError, OutputNotWritten
from evdiag.model.bundle import PARTIAL
from evdiag.model.charger import CORES
from evdiag.model.watch import (
    BackOff,
    Crash,
    Ended,
    EngineAway,
    Listening,
    Loop,
    Quiet,
    Started,
    Told,
)
from evdiag.report import watch as words

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.analyze.crash_loops import Identity
    from evdiag.analyze.watching import News
    from evdiag.collection._job import Progress
    from evdiag.model.charger import ContainerFacts
    from evdiag.model.report import Report

TICK = 0.25
"""Seconds between looks at clocks; what happens is told at once."""
AGAIN = 3.0
"""Seconds in which a container that was told to end comes back, if it is restarted."""
LOOK, PATIENCE = 0.3, 60.0
"""Seconds between looks at an engine that is away, and for how long."""
ENOUGH = 1 << 30
"""Free bytes below which nothing is collected any more."""


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the user asked for."""

    folder: Path
    """Where bundles go."""
    once: bool = False
    to_the_end: bool = False
    """Whether it is over when the container has ended for good."""
    seconds: float | None = None
    cores: bool = True
    max_core_size: int | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A crash, with what was found out about it."""

    told: Told
    report: "Report | None"
    number: int


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """A crash of a loop."""

    told: Told


class Says(msgspec.Struct, frozen=True, kw_only=True):
    """Something that the user should know."""

    text: str
    important: bool = False


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing happens."""

    state: str = ""


class Over(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing more will come."""

    reason: str


Event = Found | Counted | Says | Idle | Over


class Watch:
    """One container that is watched. Raises EngineError, NoSuchContainer."""

    def __init__(
        self,
        engine: "ContainerEngine",
        facts: "ContainerFacts",
        request: Request,
        progress: "Progress",
    ) -> None:
        self.engine, self.facts, self.request, self.progress = engine, facts, request, progress
        self.crashes = 0
        self.loops = Loops()
        self.untold: list[Crash] = []
        """Crashes that are being looked at."""
        self.unfinished: Path | None = None
        """The bundle that is being made."""
        self._sources = Sources(facts)
        self._watcher = Watcher(facts.name, logs=self._sources.has_logs)
        self._news: deque[News] = deque()
        self._last: Crash | None = None
        self._bundle: Path | None = None
        """The last one that was made."""
        self._kept: set[str] = set()
        """Cores that a bundle has: the next one goes without."""
        self._state = ""
        self._ended_at: float | None = None
        self._is_away = False

    def close(self) -> None:
        """Listen no longer."""
        self._sources.close()

    def unfinished_folder(self) -> Path | None:
        """What there is of the bundle that is being made."""
        if self.unfinished is None:
            return None
        partial = self.unfinished.with_name(self.unfinished.name + PARTIAL)
        return partial if partial.is_dir() else None

    def left(self) -> Iterator[Found]:
        """The crashes that were being looked at, or not over, when it was interrupted."""
        self._news += self._rest()
        crashes = [news for news in self._news if isinstance(news, Crash)]
        self.crashes += len(crashes)
        self.untold += crashes
        self._news.clear()
        partial = self.unfinished_folder()
        where = "" if partial is None else f": an unfinished bundle is in {partial}"
        for crash in tuple(self.untold):
            number = self.crashes - len(self.untold) + 1
            yield from (
                event
                for event in self._told(crash, None, None, f"interrupted{where}", number)
                if isinstance(event, Found)
            )

    def _rest(self) -> "Iterator[News]":
        while (seen := self._sources.next(0)) is not None:
            at, item = seen
            if not isinstance(item, EvdiagError | EngineAway | Listening):
                yield from self._watcher.read(item, at)
        yield from self._watcher.finish()

    def events(self) -> Iterator[Event]:
        """What happens, until it is over."""
        until = None if self.request.seconds is None else time.monotonic() + self.request.seconds
        if not self._sources.has_logs:
            yield Says(
                text=f"{self.facts.name} keeps no log: only its own end is seen, not that of a "
                "module",
                important=True,
            )
        if not self.facts.is_running and self.facts.state != "paused":
            yield from self._stopped(Ended(code=self.facts.exit_code))
        while True:
            wait = TICK if until is None else min(TICK, until - time.monotonic())
            yield from self._hear(wait)
            while self._news:
                yield from self._take()
                if self.request.once and self.crashes:
                    yield Over(reason="the first crash")
                    return
            if reason := self._is_over(until):
                yield Over(reason=reason)
                return

    def _hear(self, wait: float) -> Iterator[Event]:
        """Everything that has come, at most so many seconds from now."""
        seen = self._sources.next(wait)
        if seen is None:
            self._news += self._watcher.wait(time.monotonic())
            yield Idle(state=self._state)
        while seen is not None:
            at, item = seen
            if isinstance(item, EvdiagError):
                raise item
            if isinstance(item, EngineAway | Listening):
                yield from self._reach(item)
            else:
                self._news += self._watcher.read(item, at)
            seen = self._sources.next(0)

    def _reach(self, item: EngineAway | Listening) -> Iterator[Event]:
        if isinstance(item, EngineAway):
            self._is_away, self._state = True, "the engine is away"
            yield Says(
                text=f"the container engine is away; waiting {item.patience:.0f} s for it",
                important=True,
            )
        elif self._is_away:
            self._is_away, self._state = False, ""
            yield Says(text="the container engine is back", important=True)

    def _is_over(self, until: float | None) -> str:
        if until is not None and time.monotonic() >= until and not self._watcher.is_open:
            return "the time"
        if self._ended_at is None or not self.request.to_the_end:
            return ""
        if time.monotonic() - self._ended_at < AGAIN:
            return ""
        try:
            now = self.engine.container(self.facts.id)
        except EvdiagError:
            return ""  # the streams tell what that means
        if now.state in ("running", "restarting", "paused"):
            self._ended_at = None
            return ""
        return "the container has ended"

    # -- what it means

    def _take(self) -> Iterator[Event]:
        news = self._news.popleft()
        if isinstance(news, Crash):
            yield from self._crashes(news)
        elif isinstance(news, BackOff):
            loop = self.loops.backs_off(self._last, news.times) if self._last else None
            if loop is not None:
                yield Says(text=words.loop_begins(*loop, waits=news.times), important=True)
        elif isinstance(news, Quiet):
            if text := words.quiet(news.kind):
                yield Says(text=text)
        elif isinstance(news, Started):
            if self._ended_at is not None:
                yield Says(text=f"{self.facts.name} runs again")
            self._ended_at, self._state = None, ""
        else:
            yield from self._stopped(news)

    def _stopped(self, ended: Ended) -> Iterator[Event]:
        if ended.removed:
            yield Over(reason=f"{self.facts.name} was removed")
            return
        self._ended_at, self._state = time.monotonic(), "it does not run"
        code = "" if ended.code is None else f" (exit code {ended.code})"
        more = "" if self.request.to_the_end else "; waiting for its start, Ctrl-C ends this"
        yield Says(text=f"{self.facts.name} has stopped{code}{more}", important=True)

    def _crashes(self, first: Crash) -> Iterator[Event]:
        """Crashes that came one after the other share a bundle."""
        crashes = [first]
        while self._news and isinstance(other := self._news[0], Crash):
            crashes.append(other)
            self._news.popleft()
        new: list[Crash] = []
        for crash in crashes:
            self.crashes += 1
            self._last = crash
            loop = self._loop_of(crash)
            if loop is None:
                new.append(crash)
            else:
                title, times = self.loops.count(loop, _moment(crash))
                told = words.told(self.facts.name, crash, None, times)
                yield Counted(told=msgspec.structs.replace(told, title=title))
        if not new:
            return
        self.untold = list(new)
        for crash in new:
            yield Says(text=f"crash: {crash.what}; collecting")
        bundle, problem = self._collected()
        for place, crash in enumerate(new):
            report = None if bundle is None else self._explained(bundle, crash)
            number = self.crashes - len(new) + place + 1
            yield from self._told(crash, report, bundle, problem, number)
            if report is not None:
                self._kept.update(f"{CORES}/{name}" for name in crash.cores)

    def _loop_of(self, crash: Crash) -> "Identity | None":
        """The loop that a crash belongs to: by its core, which is looked at and not kept."""
        suspects = self.loops.suspects(crash, _moment(crash))
        if not suspects:
            return None
        try:
            signature = signature_of(self.engine, self.facts, crash, self._bundle)
        except EvdiagError:
            signature = None
        if signature is None:
            return suspects[0]
        known = ("signature", signature)
        return known if known in suspects else None

    def _told(
        self,
        crash: Crash,
        report: "Report | None",
        bundle: Path | None,
        problem: str | None,
        number: int,
    ) -> Iterator[Event]:
        told = words.told(
            self.facts.name, crash, report, Loop(count=0, first=0, last=0),
            bundle=None if bundle is None else str(bundle), problem=problem,
        )  # fmt: skip
        identity = words.identity(crash, report)
        loop, since_now = self.loops.add(crash, identity, told.title, _moment(crash))
        self.untold.remove(crash)
        yield Found(told=msgspec.structs.replace(told, loop=loop), report=report, number=number)
        if since_now:
            yield Says(text=words.loop_begins(told.title, loop), important=True)

    # -- bundles

    def _collected(self) -> tuple[Path | None, str | None]:
        """A bundle of the container as it is now, or why there is none."""
        folder = self.request.folder
        try:
            free = shutil.disk_usage(folder).free
        except OSError as error:
            raise OutputNotWritten(f"{folder} cannot be used: {error.strerror}") from None
        if free < ENOUGH:
            return None, f"nothing is collected: {folder} has only {free >> 20} MB left"
        self.unfinished = bundle = _free_name(folder, self.facts.name)
        wish = Wish(output=bundle, cores=self.request.cores, without=frozenset(self._kept))
        if self.request.max_core_size is not None:
            wish = msgspec.structs.replace(wish, max_core_size=self.request.max_core_size)
        path: Path | None = None
        problem: str | None = None
        try:
            path = self._patiently(wish)
        except OutputNotWritten:
            raise
        except EvdiagError as error:
            partial = self.unfinished_folder()
            more = "" if partial is None else f"; what was copied until then is in {partial}"
            problem = f"{error}{more}"
        finally:
            self.progress.done()
        self.unfinished, self._bundle = None, path or self._bundle
        return path, problem

    def _patiently(self, wish: Wish) -> Path:
        """Collect; where the engine goes away meanwhile, go on when it is back."""
        until = time.monotonic() + PATIENCE
        while True:
            try:
                now = self.engine.container(self.facts.id)
                return collect(self.engine, now, wish, self.progress).path
            except (EngineUnreachable, EngineTimeout):
                if time.monotonic() > until:
                    raise
            self.progress.begin("the container engine is away; the bundle goes on when it is back")
            time.sleep(LOOK)

    def _explained(self, bundle: Path, crash: Crash) -> "Report | None":
        try:
            return explained(bundle, crash, self.progress.begin)
        except EvdiagError:
            return None  # the log's own words have to do


def _free_name(folder: Path, container: str) -> Path:
    """A name that no bundle has, finished or not."""
    stem = f"evdiag-{container}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime())}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 1000))]
    for name in names:
        if not any((folder / f"{name}{end}").exists() for end in ("", PARTIAL)):
            return folder / name
    raise OutputNotWritten(f"{folder} is full of bundles of this second")


def _moment(crash: Crash) -> float:
    return time.time() if crash.time is None else crash.time
