"""What earlier runs found out about a core, as long as it still holds.

Three layers. Stacks rest on the core, on the note beside it, on the files with symbols that were
found, and on the code that unwinds. Crashes rest on stacks and on the rules: a changed rule costs
no look at any core. Reports rest on all of that, and on the source file that they show.
"""

import contextlib
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from pathlib import Path

import msgspec

from evdiag.adapters.files import load_note, read_head
from evdiag.adapters.images import Images
from evdiag.adapters.signature_lists import signature_lists
from evdiag.adapters.triage_cache import Fingerprints, TriageCache, fingerprints, key_of
from evdiag.analyze.causes.deadlock import hung
from evdiag.analyze.triage.crash import crash_of
from evdiag.engine import Engine, Options
from evdiag.model.incident import NOTE_SUFFIX
from evdiag.model.traced import Traced
from evdiag.model.triage import Crash
from evdiag.parse.capture_note import MAX_NOTE
from evdiag.parse.image import Image
from evdiag.parse.modules import MappedModule
from evdiag.triage.tasks import Reported, from_bytes, to_bytes

MAX_ENGINES = 4
RECYCLED_AFTER = 150
"""Cores after which an engine is made anew: it keeps the files and names of all it has seen."""


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A module, and which file was found for it."""

    module: MappedModule
    is_executable: bool
    found: str


class KeptStacks(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the first layer."""

    asked: tuple[Asked, ...]
    traced: Traced


class KeptCrash(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the second layer."""

    asked: tuple[Asked, ...]
    crash: Crash


class KeptReport(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of the third layer."""

    asked: tuple[Asked, ...]
    sources: tuple[tuple[Path, str], ...]
    """Where a source file was looked for, and what was there."""
    reported: Reported


class Files:
    """The engine for some options, and which files it finds for modules."""

    def __init__(self, options: Options) -> None:
        self.engine = Engine(options)
        self.uses = 0
        self._found: dict[tuple[str, str, bool], str] = {}

    def asked(self, modules: Iterable[tuple[MappedModule, bool]]) -> tuple[Asked, ...]:
        """The modules with what is found for them now."""
        return tuple(
            Asked(_short(module), is_executable, self.found(module, is_executable))
            for module, is_executable in modules
        )

    def are(self, asked: Iterable[Asked]) -> bool:
        """Whether the same files would be found today."""
        return all(self.found(each.module, each.is_executable) == each.found for each in asked)

    def found(self, module: MappedModule, is_executable: bool) -> str:
        """Which file is found for a module, in a word that another file would not have."""
        if module.build_id is None:
            return _found(self.engine.images, module, is_executable)
        key = (module.path, module.build_id, is_executable)
        known = self._found.get(key)
        if known is None:
            known = self._found[key] = _found(self.engine.images, module, is_executable)
        return known


def _short(module: MappedModule) -> MappedModule:
    """Without the first page, where it is not needed to tell builds apart."""
    return msgspec.structs.replace(module, first_bytes=b"") if module.build_id else module


def _found(images: Images, module: MappedModule, is_executable: bool) -> str:
    image, _ = images.open(module, is_executable=is_executable)
    if image is None:
        return ""
    companion = f"{_file(image.companion)}" if image.companion is not None else ""
    return f"{_file(image)} {companion}"


def _file(image: Image) -> str:
    """A build-id and a size, which tells stripped files apart; else which file it is."""
    if image.build_id is not None:
        return f"{image.build_id}:{len(image.data)}"
    return f"{image.path}:{state_of(Path(image.path))}"


def state_of(path: Path) -> str:
    """Size and time of a file; empty where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return ""
    return f"{status.st_size}:{status.st_mtime_ns}"


class Known:
    """Looks into the cache, and fills it."""

    def __init__(self, folder: Path | None, prints: Fingerprints | None = None) -> None:
        """`folder` is where the cache lies; without one nothing is known, and nothing kept."""
        self.cache = TriageCache(folder)
        self.prints = prints or fingerprints()
        self._files: dict[Options, Files] = {}

    def files(self, options: Options) -> Files:
        """The engine for these options: the same one for some time."""
        files = self._files.get(options)
        if files is None or files.uses >= RECYCLED_AFTER:
            while len(self._files) >= MAX_ENGINES:
                del self._files[next(iter(self._files))]
            files = self._files[options] = Files(options)
        return files

    # -- crashes

    def crash(self, path: Path, content: str, options: Options) -> Crash | None:
        """The crash of a core, without a look at the core."""
        base = _base(path, content)
        key = key_of(base, self.prints.stacks, self.prints.rules)
        with _damaged():
            raw = self.cache.read("crashes", key)
            if raw is not None:
                kept: KeptCrash = from_bytes(raw, KeptCrash)
                if self.files(options).are(kept.asked):
                    return kept.crash
        return self._judged_again(base, options)

    def _judged_again(self, base: str, options: Options) -> Crash | None:
        """The crash by today's rules, from the stacks of another day."""
        with _damaged():
            raw = self.cache.read("stacks", key_of(base, self.prints.stacks))
            if raw is None:
                return None
            kept: KeptStacks = from_bytes(raw, KeptStacks)
            traced = kept.traced
            if self.files(options).are(kept.asked) and (traced.whole or not hung(traced.evidence)):
                return self._judged(base, kept)
        return None

    def traced(self, path: Path, content: str, options: Options) -> Crash:
        """The crash of a core, by a look at it. Raises CoreError."""
        files = self.files(options)
        files.uses += 1
        tracing = files.engine.trace(path)
        if not tracing.is_lasting:
            return crash_of(tracing.traced, signature_lists())
        base = _base(path, content)
        kept = KeptStacks(asked=files.asked(tracing.asked()), traced=tracing.traced)
        with _damaged():
            self.cache.write("stacks", key_of(base, self.prints.stacks), to_bytes(kept))
        return self._judged(base, kept)

    def _judged(self, base: str, kept: KeptStacks) -> Crash:
        crash = crash_of(kept.traced, signature_lists())
        key = key_of(base, self.prints.stacks, self.prints.rules)
        with _damaged():
            self.cache.write("crashes", key, to_bytes(KeptCrash(asked=kept.asked, crash=crash)))
        return crash

    # -- reports

    def report(self, path: Path, content: str, options: Options) -> tuple[Reported, bool]:
        """The whole report, and whether it was in the cache. Raises CoreError."""
        words = (self.prints.stacks, self.prints.rules, repr(options), str(path))
        key = key_of(_base(path, content), *words)
        files = self.files(options)
        with _damaged():
            raw = self.cache.read("reports", key)
            if raw is not None:
                kept: KeptReport = from_bytes(raw, KeptReport)
                same = all(state_of(source) == state for source, state in kept.sources)
                if same and files.are(kept.asked):
                    return kept.reported, True
        files.uses += 1
        analysis = files.engine.analyse(path)
        made = Reported(report=analysis.report, scene=analysis.scene())
        if analysis.is_lasting:
            keep = KeptReport(
                asked=files.asked(analysis.asked()),
                sources=tuple((source, state_of(source)) for source in analysis.sources),
                reported=made,
            )
            with _damaged():
                self.cache.write("reports", key, to_bytes(keep))
        return made, False


def _base(path: Path, content: str) -> str:
    """What a core is, with the note beside it."""
    note = Path(f"{path}{NOTE_SUFFIX}")
    if load_note(path) is None:
        return content
    try:
        return f"{content} {blake2b(read_head(note, MAX_NOTE + 1), digest_size=16).hexdigest()}"
    except OSError as error:
        return f"{content} {error.errno}"


@contextlib.contextmanager
def _damaged() -> Iterator[None]:
    """An entry that cannot be read is none; one that cannot be written need not be."""
    with contextlib.suppress(msgspec.DecodeError, ValueError, TypeError, OverflowError):
        yield
