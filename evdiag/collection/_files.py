"""The folders of a container with cores, messages, sessions and logs."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from evdiag.adapters.docker import collect as ask
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.logs import NoOutput, output
from evdiag.analyze import collect_plan as plan
from evdiag.collection._cores import Cores
from evdiag.collection._job import Job, Noticed, files_of
from evdiag.errors import (
    ContainerStopped,
    EngineRefused,
    EngineTimeout,
    EngineUnreachable,
)
from evdiag.model.charger import CORES, ContainerFacts
from evdiag.parse.collect_inside import Found, UnreadableInside
from evdiag.parse.output_frames import Splitter
from evdiag.parse.tar import TarError
from evdiag.report.collected import count
from evdiag.report.words import size as size_words

TRIES = 2
MOST_GUESSED = 100


class Folders:
    """Takes files out of folders, each to its place."""

    def __init__(self, job: Job, cores: Cores) -> None:
        self.job, self.cores = job, cores

    # -- a folder as one stream

    def whole(self, root: plan.Root) -> None:
        """A folder and all below it, in the order in which the engine sends it."""
        self.job.part(root.path, lambda: self._whole(root))

    def _whole(self, root: plan.Root) -> None:
        for attempt in range(1, TRIES + 1):
            last = attempt == TRIES
            try:
                self._stream(root, keep=last)
                return
            except (TarError, EngineUnreachable, EngineTimeout) as error:
                if not last:
                    continue
                if not isinstance(error, TarError):
                    raise
                self.job.writer.problem(f"{root.path}: {error}")

    def _stream(self, root: plan.Root, *, keep: bool) -> None:
        running = self.job.source.is_running()
        links = 0
        items = Noticed(self.job.source.members(root.path))
        files = files_of(iter(items), root.path, plan.MAX_PASSED, self.job.copied)
        for number, (below, found, member, pieces) in enumerate(files):
            if number > plan.MAX_FILES:
                self.job.writer.problem(f"{root.path}: {plan.TOO_MANY}")
                return
            if found.path in self.job.done:
                continue
            if member.kind != "file":
                links += member.kind == "link"
                if member.kind == "other":
                    self.job.leave(found, plan.NO_FILE)
                continue
            self._member(root, below or member.name, found, pieces, keep=keep, running=running)
        if items.broken is not None:  # in a file whose begin was kept
            raise items.broken
        if links:
            self.job.writer.skip(f"{root.path} ({count(links, 'link')})", "links are not followed")

    def _member(
        self, root: plan.Root, below: str, found: Found, pieces: Iterator[bytes],
        *, keep: bool, running: bool,
    ) -> None:  # fmt: skip
        name = below.rpartition("/")[2]
        if root.use == plan.COREDIR:
            final = plan.part_of(name)
            if final is not None and running:
                if not plan.is_note_name(final):
                    self.cores.unfinished.append(found)
                return
            if plan.is_note_name(final or name):
                self.cores.note(found, pieces, keep=keep)
                return
            if plan.is_core_name(final or name):
                self.cores.core(found, pieces, keep=keep)
                return
        self._text(root, below, found, pieces, keep=keep)

    def _text(
        self, root: plan.Root, below: str, found: Found, pieces: Iterator[bytes], *, keep: bool
    ) -> None:
        placed = plan.place(root, below)
        if isinstance(placed, plan.Left):
            self.job.leave(found, placed.reason)
        else:
            self.job.text(placed, found, pieces, keep=keep)

    # -- the folder for cores, by what a program in the container listed

    def listed(self, files: Sequence[Found], elsewhere: Sequence[Found]) -> None:
        """Cores and notes one by one, the newest first, and what lies around them."""
        here = [each for each in files if each.path.startswith(f"{CORES}/")]
        ready = self._sorted_out([*here, *elsewhere])
        below = {each.path.removeprefix(f"{CORES}/").partition("/")[0] for each in here
                 if "/" in each.path.removeprefix(f"{CORES}/")}  # fmt: skip
        for name in sorted(below):
            self.whole(plan.Root(path=f"{CORES}/{name}", use=plan.COREDIR, target="cores"))
        for each in ready:
            if each.path not in self.job.done and each.path.startswith(f"{CORES}/"):
                self.job.part(each.path, partial(self._alone, each))

    def _sorted_out(self, files: Sequence[Found]) -> list[Found]:
        """Copy the cores and notes that are whole, and note those that are being written."""
        ready = []
        for each in files:
            final = plan.part_of(each.path.rpartition("/")[2])
            if final is None:
                ready.append(each)
            elif not plan.is_note_name(final):
                self.cores.unfinished.append(each)
        self.cores.fetch_all(ready)
        return ready

    def _alone(self, found: Found) -> None:
        """A file of the folder for cores that is none."""
        if plan.is_core_name(found.path.rpartition("/")[2]):
            return
        pieces = self.job.source.content(found.path)
        self._text(plan.CORE_ROOT, found.path.removeprefix(f"{CORES}/"), found, pieces, keep=True)

    def again(self, engine: ContainerEngine, facts: ContainerFacts, more: tuple[str, ...]) -> None:
        """Look once more: further processes may have crashed while cores were copied."""
        try:
            if not engine.container(facts.id).is_running:
                return
            inside = ask.look_inside(engine, facts.id, more)
        except (UnreadableInside, ContainerStopped, EngineRefused):
            return
        self._sorted_out([each for each in inside.files or () if each.path not in self.job.done])
        self.cores.await_parts()

    # -- places where a core may be

    def guessed(self, pattern: str, inspected: Any) -> None:  # noqa: ANN401
        """Cores of the kernel where it would write them, if the engine knows such files."""
        config = inspected.get("Config") if isinstance(inspected, dict) else None
        working = config.get("WorkingDir") if isinstance(config, dict) else None
        path = plan.core_file(pattern or "core", str(working or "/"))
        if path is not None:
            self.job.part(path, partial(self._maybe, path))

    def changed(self, paths: Sequence[str]) -> None:
        """Cores among the files that are not in the image."""
        names = [
            path for path in paths
            if plan.is_core_name(path.rpartition("/")[2]) and path not in self.job.done
            and not path.startswith(f"{CORES}/")
        ]  # fmt: skip
        for path in names[:MOST_GUESSED]:
            self.job.part(path, partial(self._maybe, path))

    def _maybe(self, path: str) -> None:
        found = self.job.source.stat(path)
        if found is not None:
            self.cores.fetch_all([found])

    # -- logs

    def logs(self) -> None:
        """The services' files."""
        self.job.progress.begin("copying logs")
        self.whole(plan.LOG_ROOT)

    def output(self, engine: ContainerEngine, facts: ContainerFacts) -> None:
        """What the container printed."""
        self.job.progress.begin("copying what it printed")
        self.job.part("the container's output", lambda: self._output(engine, facts))
        logs = [entry for entry in self.job.writer.entries if entry.kind in ("log", "everest")]
        amount = size_words(sum(entry.bytes for entry in logs))
        self.job.progress.done(f"{count(len(logs), 'log')}: {amount}")

    def _output(self, engine: ContainerEngine, facts: ContainerFacts) -> None:
        job = self.job
        for attempt in range(1, TRIES + 1):
            job.redactor.begin(plan.OUTPUT)
            pieces = plain(output(engine, facts.id, tail=plan.MAX_OUTPUT_LINES))
            try:
                entry = job.writer.add(
                    plan.OUTPUT, "log", "engine: logs",
                    job.redactor.lines(job.counted(pieces, None)),
                    limit=plan.MAX_LOG, keep_part=attempt == TRIES,
                )  # fmt: skip
            except NoOutput as error:
                job.writer.problem(f"the container's output: {error}")
                return
            except (EngineUnreachable, EngineTimeout):
                if attempt == TRIES:
                    raise
                continue
            if entry.bytes:
                job.said(entry, redacted=job.redactor.count())
            else:
                job.writer.drop(entry)
            return


def plain(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The container's output without the engine's frames, if it has them."""
    splitter: Splitter | None = None
    first = True
    for piece in pieces:
        if first:
            first = False
            framed = piece[:1] in (b"\0", b"\1", b"\2") and piece[1:4] == b"\0\0\0"
            splitter = Splitter() if framed else None
        if splitter is None:
            yield piece
        else:
            yield from (text for _, text in splitter.feed(piece))
