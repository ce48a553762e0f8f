"""Cores: awaited while they are written, copied with their holes, and looked at for gaps."""

import time
from collections.abc import Iterator
from functools import partial

from evdiag.analyze import collect_plan as plan
from evdiag.collection._job import Job, looks_like_core, peeked
from evdiag.errors import EngineTimeout, EngineUnreachable
from evdiag.model.bundle import FileEntry
from evdiag.model.incident import NOTE_SUFFIX
from evdiag.parse.collect_inside import Found
from evdiag.parse.tar import TarError
from evdiag.report.collected import core_words
from evdiag.report.words import size as size_words

LOOK = 0.2
"""Seconds between two looks at a core that is being written."""
STILL = 3.0
"""Seconds after which one that does not grow any more is taken for all there will be."""
TRIES = 2
CUT = "its writer was ended before it was whole"


class CoreLimits:
    """What the user allows."""

    def __init__(
        self, *, wanted: bool, largest: int, total: int, wait: float, without: frozenset[str]
    ) -> None:
        self.wanted, self.largest, self.total, self.wait = wanted, largest, total, wait
        self.without = without


class Cores:
    """Copies cores and their notes."""

    def __init__(self, job: Job, limits: CoreLimits) -> None:
        self.job, self.limits = job, limits
        self.unfinished: list[Found] = []
        """Cores that seemed to be written still when they were seen."""
        self._tried: set[str] = set()
        """Cores that lacked something when they were copied first."""
        self._deadline = 0.0

    # -- one file

    def note(self, found: Found, pieces: Iterator[bytes], *, keep: bool) -> None:
        """Copy a note. Its secrets are the command line's: replaced as everywhere."""
        if found.path.removesuffix(NOTE_SUFFIX) in self.limits.without:
            self.job.leave(found, plan.KNOWN)
            return
        place = plan.core_place(_final(found.path))
        self.job.text(place, found, pieces, keep=keep)

    def core(self, found: Found, pieces: Iterator[bytes], *, keep: bool) -> None:
        """Copy a core, unless it is too large, or here already. Raises what `pieces` raises.

        One that lacks something goes to the unfinished ones.
        """
        job, place = self.job, plan.core_place(_final(found.path))
        if not self.limits.wanted:
            job.leave(found, plan.NO_CORES)
            return
        if found.path in self.limits.without:
            job.leave(found, plan.KNOWN)
            return
        if self.limits.largest and found.size > self.limits.largest:
            allowed = size_words(self.limits.largest)
            job.leave(found, f"it is larger than {allowed} (--max-core-size)")
            return
        if job.writer.has(found.path, modified=found.time, size=found.size) is not None:
            job.done.add(found.path)
            job.copied.add(found.path)
            job.progress.done(f"{place.path.removeprefix('cores/')}: here already")
            return
        if found.size > self.limits.total - self._copied():
            job.leave(found, "the cores before it have all the room that a bundle gives them")
            return
        head, pieces = peeked(pieces)
        if not looks_like_core(head):
            job.leave(found, plan.NO_CORE)
            return
        self._copy(place, found, pieces, keep=keep)

    def _copy(
        self, place: plan.Place, found: Found, pieces: Iterator[bytes], *, keep: bool
    ) -> None:
        job, seen = self.job, _Head()
        job.progress.begin(f"copying {place.path.removeprefix('cores/')}")
        entry = job.writer.add(
            *(place.path, "core", found.path, job.counted(seen.passed(pieces), found.size)),
            modified=found.time, original_bytes=found.size, limit=self.limits.largest or None,
            keep_part=keep,
        )  # fmt: skip
        why = entry.truncated
        if why is None and found.path != _final(found.path):
            why = CUT
        if why is None and (expected := seen.expected()) is not None and entry.bytes < expected:
            why = f"{expected - entry.bytes:,} of {expected:,} bytes are missing"
            if found.path not in self._tried:
                self._tried.add(found.path)
                self.unfinished.append(found)
        entry = job.said(entry, truncated=why)
        job.done.add(found.path)
        job.copied.add(found.path)
        job.progress.done(core_words(entry, _disk(job, entry)))

    def _copied(self) -> int:
        return sum(entry.bytes for entry in self.job.writer.entries if entry.kind == "core")

    # -- by name

    def fetch(self, found: Found) -> None:
        """Copy a core or note by its path; once more if the stream is cut."""
        job = self.job
        name = found.path.rpartition("/")[2]
        take = self.note if plan.is_note_name(plan.part_of(name) or name) else self.core
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES
            try:
                take(found, job.source.content(found.path), keep=last)
                return
            except FileNotFoundError:
                job.writer.problem(f"{found.path} was removed before it could be copied")
                return
            except (TarError, EngineUnreachable, EngineTimeout):
                if last:
                    raise
                found = job.source.stat(found.path) or found

    def fetch_all(self, listed: list[Found]) -> None:
        """Copy cores and notes: the notes first, then the newest core first."""
        notes = [each for each in listed if plan.is_note_name(_name(each))]
        cores = [each for each in listed if plan.is_core_name(_name(each))]
        cores.sort(key=lambda each: each.time, reverse=True)
        for each in notes:
            self.job.part(each.path, partial(self.fetch, each))
        for each in cores:
            if each.path not in self.job.done:
                self.job.part(each.path, partial(self.await_and_fetch, each))

    # -- what is being written

    def await_and_fetch(self, found: Found) -> None:
        """Copy a core that the kernel may be writing still."""
        if self.limits.wanted and self._may_grow(found):
            found = self._await_whole(found)
        self.fetch(found)

    def _may_grow(self, found: Found) -> bool:
        """Whether something is missing in a core that was changed a moment ago."""
        now = time.time()
        if now - found.time > STILL + 2 or not self.job.source.is_running():
            return False
        return self._missing(found) != 0

    def _missing(self, found: Found) -> int:
        """Bytes that a core still lacks, by its own headers; all but nothing if it has none."""
        head = b""
        pieces = self.job.source.content(found.path)
        try:
            for piece in pieces:
                head += piece
                expected = plan.expected_size(head)
                if expected is not None:
                    return max(expected - found.size, 0)
                if len(head) >= plan.HEAD_OF_CORE or not looks_like_core(head):
                    return 0
        finally:
            close = getattr(pieces, "close", None)
            if close is not None:
                close()
        return 1

    def _await_whole(self, found: Found) -> Found:
        self.job.progress.begin(f"waiting for {_name(found)}, which is being written")
        last_change = time.monotonic()
        while self._time_left() > 0 and time.monotonic() - last_change < STILL:
            self.job.progress.at(f"{size_words(found.size)} so far")
            time.sleep(LOOK)
            now = self.job.source.stat(found.path)
            if now is None:
                break
            if (now.size, now.time) != (found.size, found.time):
                found, last_change = now, time.monotonic()
            if not self._missing(found) or not self.job.source.is_running():
                break
        return found

    def _time_left(self) -> float:
        """Of what all cores together are waited for."""
        now = time.monotonic()
        if not self._deadline:
            self._deadline = now + self.limits.wait
        return self._deadline - now

    def await_parts(self) -> None:
        """Wait for the cores that are being written, then copy them."""
        waiting, self.unfinished = self.unfinished, []
        for part in waiting:
            take = self._again if _final(part.path) == part.path else self._await_part
            self.job.part(part.path, partial(take, part))

    def _again(self, found: Found) -> None:
        """Copy once more what lacked something, if it has grown since then."""
        if not self.job.source.is_running():
            return
        now = self.job.source.stat(found.path)
        if now is not None and (now.size, int(now.time)) != (found.size, int(found.time)):
            self.fetch(self._await_whole(now))

    def _await_part(self, part: Found) -> None:
        whole = _final(part.path)
        told = False
        while True:
            found = self.job.source.stat(whole)
            if found is not None:
                self.fetch(found)
                self._note_of(whole)
                return
            now = self.job.source.stat(part.path)
            if now is None:
                if self.job.source.stat(whole) is None:
                    self.job.writer.problem(f"{part.path} was being written, and is gone")
                    return
                continue
            forgotten = time.time() - now.time > plan.WAIT
            if forgotten or not self.job.source.is_running() or self._time_left() <= 0:
                self.fetch(now)
                self._note_of(whole)
                return
            if not told:
                self.job.progress.begin(f"waiting for {_name(part)}, which is being written")
                told = True
            self.job.progress.at(f"{size_words(now.size)} so far")
            time.sleep(LOOK)

    def _note_of(self, core: str) -> None:
        found = self.job.source.stat(core + NOTE_SUFFIX)
        if found is not None and found.path not in self.job.done:
            self.fetch(found)


class _Head:
    """The begin of a core that passes by."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def passed(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The same pieces."""
        for piece in pieces:
            if self._size < plan.HEAD_OF_CORE:
                self._parts.append(piece)
                self._size += len(piece)
            yield piece

    def expected(self) -> int | None:
        """How large the core should be."""
        return plan.expected_size(b"".join(self._parts))


def _final(path: str) -> str:
    """What a file will be called once it is whole."""
    folder, slash, name = path.rpartition("/")
    return f"{folder}{slash}{plan.part_of(name) or name}"


def _name(found: Found) -> str:
    return found.path.rpartition("/")[2]


def _disk(job: Job, entry: FileEntry) -> int | None:
    try:
        return (job.writer.partial / entry.path).stat().st_blocks * 512
    except OSError:
        return None
