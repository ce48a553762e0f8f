"""The two streams of a watched container, each read by a thread, as one queue."""

import contextlib
import queue
import threading
import time
from collections.abc import Callable

from evdiag.adapters.docker import events
from evdiag.adapters.docker.engine import connect
from evdiag.analyze.logalert import CrashReader
from evdiag.analyze.watching import Item, back_off
from evdiag.commands._charger_logs import ENGINE_PATIENCE, LOOK, ChargerLogs, Request
from evdiag.errors import EngineTimeout, EngineUnreachable, EvdiagError, NoSuchContainer
from evdiag.model.charger import ContainerFacts
from evdiag.model.loglines import ALERT
from evdiag.model.watch import EngineAway, Listening, LogsEnded
from evdiag.parse.loglines.times import seconds_of

READY_SECONDS = 60.0

Seen = Item | EngineAway | Listening | EvdiagError
"""What comes; an error is the end of a stream."""


class Sources:
    """What is heard of a container, since it was opened; nothing is lost while nobody asks.

    Raises EngineError, NoSuchContainer.
    """

    def __init__(self, facts: ContainerFacts) -> None:
        self.facts = facts
        self._queue: queue.SimpleQueue[tuple[float, Seen]] = queue.SimpleQueue()
        self._closed = threading.Event()
        self._engines = [connect(), connect()]
        self._logs = ChargerLogs(self._engines[1], facts, Request(tail=0))
        for _ in self._logs.history():  # what there is already is no news
            pass
        self.has_logs = self._logs.can_follow
        self._start(self._read_events)
        self._await_ready()
        if self.has_logs:
            self._start(self._read_logs)

    def next(self, seconds: float) -> tuple[float, Seen] | None:
        """What came next, and when by time.monotonic(); None if nothing came for so long."""
        try:
            if seconds <= 0:
                return self._queue.get_nowait()
            return self._queue.get(timeout=seconds)
        except queue.Empty:
            return None

    def close(self) -> None:
        """Listen no longer. Threads that wait for an answer end with the process."""
        self._closed.set()
        self._logs.close()
        for engine in self._engines:
            engine.close()

    # -- the threads

    def _start(self, read: Callable[[], None]) -> None:
        def run() -> None:
            try:
                read()
            except EvdiagError as error:
                self._put(error)
            except Exception:
                if not self._closed.is_set():  # else the connection was closed under it
                    raise

        threading.Thread(target=run, name="evdiag-watch", daemon=True).start()

    def _put(self, item: Seen) -> None:
        self._queue.put((time.monotonic(), item))

    def _await_ready(self) -> None:
        """Until the engine tells what happens: a crash right after that must not be missed."""
        first = self.next(READY_SECONDS)
        if first is None:
            raise EngineTimeout("could not listen to the engine's events: it did not answer")
        if isinstance(first[1], EvdiagError):
            raise first[1]
        self._queue.put(first)

    def _read_events(self) -> None:
        for item in events.followed(self._engines[0], self.facts):
            self._put(item)

    def _read_logs(self) -> None:
        reader, clock = CrashReader(), self._logs.clock
        with contextlib.suppress(NoSuchContainer):  # the engine's events tell that, too
            for batch in self._logs.live(self._await_next):
                for line in batch:
                    if line.form == ALERT:
                        continue
                    if waits := back_off(line):
                        self._put(waits)
                    for event in reader.events(line, seconds_of(line.time, clock)):
                        self._put(event)
        self._put(LogsEnded())

    def _await_next(self) -> None:
        """Wait until the container runs again, and say once that its log has been read.

        Raises NoSuchContainer, and EngineUnreachable if the engine stays away.
        """
        told, away = False, None
        while not self._closed.is_set():
            try:
                now = self._engines[1].container(self.facts.id)
            except (EngineUnreachable, EngineTimeout):
                away = away or time.monotonic()
                if time.monotonic() - away > ENGINE_PATIENCE:
                    raise
            else:
                away = None
                if now.state in ("running", "paused"):
                    return
                if not told:
                    told = True
                    self._put(LogsEnded())
            self._closed.wait(LOOK)
        raise NoSuchContainer("nobody listens any more")
