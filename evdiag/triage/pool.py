"""Several processes that look at cores: who gets which, and what becomes of one that dies.

A worker that is killed costs the core that it was at, and a new worker. Workers that do not even
start cost nothing but time: then this process does the work.
"""

import contextlib
import os
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

import evdiag
from evdiag.analyze.triage.hints import Hint
from evdiag.analyze.triage.schedule import Schedule
from evdiag.triage.known import Known
from evdiag.triage.steps import perform
from evdiag.triage.tasks import LENGTH, Answer, Task, Work, from_bytes, send, to_bytes

MEMORY_OF_ONE = 300 << 20
"""Bytes that a worker may need."""
WORTH_A_WORKER = 4
"""Cores that are looked at in the time in which a worker starts."""
TICK = 1.0
PIECE = 1 << 20
SO_OFTEN = 3
"""Workers that may end before they are ready; then none of them will be."""
LONGEST = 900.0
"""Seconds for one core; one of 100 GB is read in two minutes."""
PATIENCE = 5.0
"""Seconds for a worker to end whose answers have ended."""

_PROGRAM = """import sys
sys.path.append(sys.argv[1])
from evdiag.triage.worker import main
main()
"""
"""Not by -m, which would look for modules in the current folder: cores of strangers lie there."""


def useful_jobs(wanted: int | None) -> int:
    """How many processes this machine can bear."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    jobs = wanted or cores or 1
    free = _free_memory()
    return jobs if free is None else max(1, min(jobs, free // MEMORY_OF_ONE))


def _free_memory() -> int | None:
    """MemAvailable of proc_meminfo(5), in bytes."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text("ascii", "replace").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    return None


class Worker:
    """One process, and what it is at."""

    def __init__(self, cache: Path | None) -> None:
        self.process = subprocess.Popen(  # noqa: S603 - this Python, and a program of our own
            [sys.executable, "-P", "-c", _PROGRAM, str(Path(evdiag.__file__).parent.parent)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for who asks, not for who answers
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.questions, self.answers = self.process.stdin, self.process.stdout
        self.at: deque[Task] = deque()
        self.is_up = False
        """Whether it has said that it is ready."""
        self.since = time.monotonic()
        """When something came from it, or when it was asked."""
        self._begun = bytearray()
        with contextlib.suppress(OSError):
            send(self.questions, to_bytes(Work(cache=cache)))

    def ask(self, tasks: Sequence[Task]) -> None:
        """Give it a portion. A worker that has died is found out when its answers end."""
        self.at.extend(tasks)
        self.since = time.monotonic()
        with contextlib.suppress(OSError):
            send(self.questions, to_bytes(Work(cache=None, tasks=tuple(tasks))))

    def heard(self) -> list[Answer] | None:
        """The answers that have come; None if no more will come."""
        raw = os.read(self.answers.fileno(), PIECE)
        if not raw:
            return None
        self._begun += raw
        found = []
        while len(self._begun) >= LENGTH:
            size = int.from_bytes(self._begun[:LENGTH], "little")
            if len(self._begun) < LENGTH + size:
                break
            answer: Answer = from_bytes(bytes(self._begun[LENGTH : LENGTH + size]), Answer)
            del self._begun[: LENGTH + size]
            self.since = time.monotonic()
            if not self.is_up:
                self.is_up = True  # the first answer is to no question
                continue
            self.at.popleft()
            found.append(answer)
        return found

    def end(self, patience: float = 0.0) -> str:
        """End it, at once or when it has not ended by itself; how it ended, in words."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            self.process.kill()
            code = self.process.wait()
        for stream in (self.questions, self.answers):
            with contextlib.suppress(OSError):
                stream.close()
        if code >= 0:
            return f"with exit code {code}"
        try:
            return f"by {signal.Signals(-code).name}"
        except ValueError:
            return f"by signal {-code}"


class Pool:
    """Processes for one run; the first tasks start them."""

    def __init__(self, jobs: int, known: Known, cache: Path | None) -> None:
        """`known` is for the work that this process does itself."""
        self.jobs, self.known, self.cache = jobs, known, cache
        self.pids: list[int] = []
        """Of all workers that were started."""
        self.workers: list[Worker] = []
        """Those that live."""
        self._unused = 0
        """How many workers have ended before they were ready."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        workers, self.workers = self.workers, []
        for worker in workers:
            worker.end()

    def answers(
        self, tasks: Sequence[Task], hints: Sequence[Hint | None] | None = None
    ) -> Iterator[tuple[Task, Answer]]:
        """The answers to all tasks, as they come."""
        places = {task.number: i for i, task in enumerate(tasks)}
        jobs = min(self.jobs, -(-len(tasks) // WORTH_A_WORKER))
        schedule = Schedule(hints or [None] * len(tasks), max(1, jobs))
        if jobs < 2:
            yield from self._here(tasks, schedule)
            return
        with selectors.DefaultSelector() as selector:
            for worker in self.workers:
                selector.register(worker.answers, selectors.EVENT_READ, worker)
            done = 0
            while done < len(tasks):
                if self._unused >= SO_OFTEN:
                    self._give_up(schedule, places)
                    yield from self._here(tasks, schedule)
                    return
                self._feed(tasks, schedule, selector, jobs)
                heard = [key.data for key, _ in selector.select(TICK)]
                late = time.monotonic() - LONGEST
                heard += [w for w in self.workers if w.at and w.since < late and w not in heard]
                for worker in heard:
                    for answer in self._hear(worker, selector, schedule, places):
                        i = places[answer.number]
                        schedule.done(i)
                        done += 1
                        yield tasks[i], answer

    def _here(self, tasks: Sequence[Task], schedule: Schedule) -> Iterator[tuple[Task, Answer]]:
        """Do what is left in this process."""
        while taken := schedule.take(0):
            for i in taken:
                answer = perform(tasks[i], self.known)
                schedule.done(i)
                yield tasks[i], answer

    def _feed(
        self,
        tasks: Sequence[Task],
        schedule: Schedule,
        selector: selectors.BaseSelector,
        jobs: int,
    ) -> None:
        """Give portions to workers that have nothing to do, and start some if there are too few."""
        for worker in self.workers:
            if not worker.at and (taken := schedule.take(worker.process.pid)):
                worker.ask([tasks[i] for i in taken])
        while len(self.workers) < jobs and schedule.left:
            worker = Worker(self.cache)
            self.pids.append(worker.process.pid)
            self.workers.append(worker)
            selector.register(worker.answers, selectors.EVENT_READ, worker)
            taken = schedule.take(worker.process.pid)
            if not taken:
                break  # all that is left waits for symbols that another one is making
            worker.ask([tasks[i] for i in taken])

    def _hear(
        self,
        worker: Worker,
        selector: selectors.BaseSelector,
        schedule: Schedule,
        places: dict[int, int],
    ) -> list[Answer]:
        """What a worker says; of one that has ended, or that is stuck, that it has."""
        stuck = worker.at and worker.since < time.monotonic() - LONGEST
        try:
            answers = None if stuck else worker.heard()
        except (msgspec.DecodeError, ValueError, TypeError, OSError):
            answers = None  # it does not speak our language
        if answers is not None:
            return answers
        selector.unregister(worker.answers)
        self.workers.remove(worker)
        how = worker.end(0.0 if stuck else PATIENCE)
        lost = [places[task.number] for task in worker.at]
        if not worker.is_up:
            self._unused += 1
            schedule.again(lost)
            return []
        schedule.again(lost[1:])
        if not lost:
            return []
        why = f"after {LONGEST:.0f} s" if stuck else how
        return [
            Answer(
                number=worker.at[0].number,
                message=f"the process that looked at it was ended {why}",
                advice="Look at it alone with `evdiag backtrace`; see whether memory is short.",
            )
        ]

    def _give_up(self, schedule: Schedule, places: dict[int, int]) -> None:
        """End the workers that are left; what they were at is to be done here."""
        for worker in self.workers:
            schedule.again([places[task.number] for task in worker.at])
            worker.end()
        self.workers.clear()
        self.jobs = 1
