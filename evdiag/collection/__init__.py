"""From a container to a bundle: everything that tells of its crashes, nothing lost on the way.

What can be had is had, each source for itself; what cannot becomes a problem that the bundle
names. Only an engine that is gone, a full disk and an interrupt end it: then the bundle stays as
`NAME.partial`, and the same command goes on with it.
"""

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from evdiag.adapters.bundle.archive import pack
from evdiag.adapters.bundle.reader import is_bundle
from evdiag.adapters.bundle.writer import BundleWriter, find_partial
from evdiag.adapters.docker import collect as ask
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.adapters.docker.image_files import files_of as container_files
from evdiag.adapters.file_source import FileSource, NoFiles
from evdiag.analyze import collect_plan as plan
from evdiag.analyze.bundle_names import default_name
from evdiag.collection._cores import CoreLimits, Cores
from evdiag.collection._facts import Facts, write_changes
from evdiag.collection._files import Folders
from evdiag.collection._job import Job, Progress
from evdiag.collection._redaction import Redactor
from evdiag.collection._sources import ContainerSource, FolderSource, Source
from evdiag.errors import NoSuchContainer, NothingCollected, NotReady, UsageError
from evdiag.model.bundle import MANIFEST, Manifest, Subject
from evdiag.model.charger import CORES, ContainerFacts
from evdiag.parse.bundle import LONGEST_MANIFEST, read_manifest
from evdiag.report.collected import count, readme

CHANGES_SECONDS = 60.0
"""For the list of changed files: an engine needs a second for each gigabyte of the image."""
README = "README.txt"


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What the user wants."""

    output: Path | None = None
    """The bundle's folder; None: a name of its own, in the current folder."""
    archive: Path | None = None
    cores: bool = True
    max_core_size: int = plan.MAX_CORE_SIZE
    """Bytes, holes included; 0: any size."""
    max_total: int = plan.MAX_TOTAL
    redact: bool = True
    symbols: bool = True
    wait: float = plan.WAIT
    """Seconds for cores that are being written."""
    more: tuple[str, ...] = ()
    """Further folders of the container with cores."""
    without: frozenset[str] = frozenset()
    """Paths in the container of cores that an earlier bundle has."""


class Collected(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that is there."""

    path: Path
    """Its folder, or the archive if only that was wanted."""
    manifest: Manifest
    archive: Path | None = None
    disk: int = 0
    """Bytes that its cores take on the disk."""


# -- what can be collected from


def collect(
    engine: ContainerEngine, facts: ContainerFacts, request: Request, progress: Progress
) -> Collected:
    """Make a bundle of a container, in whatever state it is.

    Raises NothingCollected, NoSuchContainer (removed meanwhile), EngineError, DiskFull,
    OutputNotWritten, UsageError.
    """
    if facts.state == "created" and not facts.mounts:
        raise NothingCollected(
            f"{facts.name} has never been started", advice=f"`docker start {facts.name}` does that."
        )
    subject = Subject(
        name=facts.name, id=facts.id, image=facts.image, image_id=facts.image_id,
        state=facts.state, started=facts.started,
    )  # fmt: skip
    with _begun(request, subject, progress) as writer:
        made = _Collection(
            writer, ContainerSource(engine, facts.id, facts.mounts), request, progress
        )
        gathered = Facts(engine, facts, made.job)
        with made.kept(facts.name):
            made.of_container(gathered)
        with container_files(engine, facts) as files:
            made.complete(files)
        # what an engine that is gone did not give, is no problem but unfinished
        made.job.source.ask_engine()
        return made.finish(request)


def collect_volume(
    engine: ContainerEngine, volume: str, request: Request, progress: Progress
) -> Collected:
    """Make a bundle of a volume whose container is gone. Raises what `collect` raises."""
    subject = Subject(kind="volume", name=volume, id=f"volume {volume}")
    with ask.holding(engine, volume, CORES) as holder, _begun(request, subject, progress) as writer:
        made = _Collection(writer, ContainerSource(engine, holder), request, progress)
        with made.kept(volume):
            made.of_folder()
        made.complete(None)
        return made.finish(request)


def collect_folder(folder: Path, request: Request, progress: Progress) -> Collected:
    """Make a bundle of a folder of this machine. Raises what `collect` raises."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is no folder", advice="Name the one with the cores.")
    if not os.access(folder, os.R_OK | os.X_OK):
        raise UsageError(
            f"no permission to read {folder}", advice="Try it as its owner, or as root."
        )
    place = str(folder.resolve())
    subject = Subject(kind="folder", name=folder.resolve().name or "root", id=f"folder {place}")
    with _begun(request, subject, progress) as writer:
        made = _Collection(writer, FolderSource(folder), request, progress)
        with made.kept(str(folder)):
            made.of_folder()
        made.complete(None)
        return made.finish(request)


# -- where the bundle goes


def target_of(request: Request, subject: Subject, now: float) -> Path:
    """Where the bundle goes: where an attempt was interrupted, or somewhere new.

    Raises UsageError for places that are taken.
    """
    archive, output = request.archive, request.output
    if archive is not None and archive.exists():
        raise UsageError(f"{archive} is there already", advice="Name another --archive.")
    if output is not None:
        if is_bundle(output):
            raise UsageError(
                f"{output} is a bundle already", advice="Name another folder, or remove it."
            )
        if not output.is_dir():
            return output
    folder = output or (archive.parent if archive is not None else Path())
    return find_partial(folder, subject) or folder / default_name(subject.name, now)


@contextlib.contextmanager
def _begun(request: Request, subject: Subject, progress: Progress) -> Iterator[BundleWriter]:
    with _begin(request, subject) as writer:
        partial, target = writer.partial, writer.target
        try:
            yield writer
        except (NothingCollected, NoSuchContainer):
            raise
        except BaseException:
            writer.close()
            if partial.is_dir():
                progress.warn(f"what came so far is in {partial}: the same command goes on with it")
            elif target.is_dir():
                progress.warn(f"the bundle itself is whole: {target}")
            raise


def _begin(request: Request, subject: Subject) -> BundleWriter:
    target = target_of(request, subject, time.time())
    try:
        return BundleWriter.begin(target, subject)
    except NotReady as error:
        if type(error) is not NotReady or target == request.output:
            raise
        # another process is at the one that was found: begin a new one
        return BundleWriter.begin(
            target.with_name(default_name(subject.name, time.time())), subject
        )


# -- the work


class _Collection:
    """One bundle from its begin to its end."""

    def __init__(
        self, writer: BundleWriter, source: Source, request: Request, progress: Progress
    ) -> None:
        self.writer, self.request, self.progress = writer, request, progress
        self.redactor = Redactor(enabled=request.redact)
        self.job = Job(writer, source, self.redactor, progress)
        self.cores = Cores(self.job, CoreLimits(
            wanted=request.cores, largest=request.max_core_size,
            total=request.max_total, wait=request.wait, without=request.without,
        ))  # fmt: skip
        self.folders = Folders(self.job, self.cores)
        self.has_all = False
        """Whether all that matters is here: then the container may go."""

    @contextlib.contextmanager
    def kept(self, name: str) -> Iterator[None]:
        """Tell of the part of a bundle that stays when a container is removed meanwhile."""
        try:
            yield
        except NoSuchContainer as error:
            self.writer.problem(f"it was removed meanwhile: {error}")
            if self.has_all:
                return
            if not self.writer.entries:
                raise
            files = count(len(self.writer.entries), "file")
            raise NoSuchContainer(
                f"{name} was removed while it was read",
                advice=f"What came before that is kept ({files}): "
                f"`evdiag backtrace {self.writer.partial}` reads it.",
            ) from None

    def of_container(self, facts: Facts) -> None:
        """Everything of a container, what goes first first."""
        about = facts.facts
        self.progress.begin(f"looking at {about.name}")
        facts.gather(self.request.more)
        configs = facts.write()
        self.progress.done(f"{about.name} ({about.state}): {count(configs, 'configuration file')}")
        inside = facts.inside
        if inside is not None and inside.files is not None:
            self.folders.listed(inside.files, inside.elsewhere)
        else:
            self.folders.whole(plan.CORE_ROOT)
            self._elsewhere(facts)
        self.cores.await_parts()
        self.folders.again(facts.engine, about, self.request.more)
        self.folders.logs()
        self.has_all = True
        self.folders.output(facts.engine, about)
        # only where nothing else tells of a stranger's cores that list is worth its time
        if inside is None and not about.is_charger:
            self.progress.begin("looking for further cores")
            changes = ask.Changes(facts.engine, about.id)
            self.folders.changed(write_changes(self.job, changes, CHANGES_SECONDS))

    def _elsewhere(self, facts: Facts) -> None:
        """Cores outside of the usual folder, where nothing but the engine tells of them."""
        self.folders.guessed(facts.pattern, facts.engine.inspect(facts.facts.id))
        for path in self.request.more:
            self.folders.whole(plan.Root(path=path, use=plan.COREDIR, target="cores"))

    def of_folder(self) -> None:
        """What lies in the place of the folder for cores."""
        self.progress.begin("looking for cores and logs")
        self.folders.whole(plan.CORE_ROOT)

    def complete(self, files: FileSource | None) -> None:
        """Add the files that the cores need."""
        from evdiag.completing import complete  # noqa: PLC0415 - brings the engine for stacks

        cores = [
            self.writer.partial / entry.path for entry in self.writer.entries
            if entry.kind == "core" and entry.bytes
        ]  # fmt: skip
        if not cores or not self.request.symbols:
            return
        self.progress.begin("symbols")
        complete(self.writer, cores, files or NoFiles(), self.progress.at)
        symbols = [entry for entry in self.writer.entries if entry.kind == "symbols"]
        self.progress.done(f"{count(len(symbols), 'file')} with symbols")

    def finish(self, request: Request) -> Collected:
        """The end: all is there, or nothing was."""
        kinds = {entry.kind for entry in self.writer.entries}
        if not kinds & {"core", "note", "log", "everest"}:
            for entry in self.writer.entries:
                self.writer.drop(entry)
            _remove_empty(self.writer.partial)  # the bundle itself goes when it is closed
            name = self.writer.manifest.subject.name
            raise NothingCollected(f"{name} has no cores and no logs")
        has_cores = "core" in kinds
        text = readme(self.writer.manifest, has_cores=has_cores).encode()
        self.writer.add(README, "text", "evdiag", iter([text]))
        disk = self._disk()
        self.progress.begin("checking what was copied")
        path = self.writer.finish(self.redactor.result(with_key=has_cores))
        manifest = read_manifest((path / MANIFEST).read_bytes()[:LONGEST_MANIFEST])
        if request.archive is None:
            return Collected(path=path, manifest=manifest, disk=disk)
        self.progress.begin(f"packing {request.archive.name}")
        pack(path, request.archive)
        if request.output is None:
            shutil.rmtree(path)
            path = request.archive
        return Collected(path=path, manifest=manifest, archive=request.archive, disk=disk)

    def _disk(self) -> int:
        return sum(
            (self.writer.partial / entry.path).stat().st_blocks * 512
            for entry in self.writer.entries if entry.kind == "core"
        )  # fmt: skip


def _remove_empty(folder: Path) -> None:
    """Remove the folders below one in which nothing is."""
    for path, _, _ in os.walk(folder, topdown=False):
        if path != str(folder):
            with contextlib.suppress(OSError):
                os.rmdir(path)  # noqa: PTH106 - os.walk gives texts


__all__ = ["Collected", "Progress", "Request", "collect", "collect_folder", "collect_volume"]
