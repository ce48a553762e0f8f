"""What the words of a command line are: cores, folders, bundles, archives, containers.

Nothing that speaks with an engine or unpacks archives is loaded before a word asks for it.
"""

import os
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from evdiag.errors import CoreNotFound, EvdiagError, NoSuchContainer, UsageError
from evdiag.model.bundle import ARCHIVE_SUFFIX, CORES, MANIFEST, PARTIAL, SOURCES, SYMBOLS
from evdiag.model.incident import NOTE_SUFFIX

if TYPE_CHECKING:
    from evdiag.adapters.docker.engine import ContainerEngine
    from evdiag.engine import Options
    from evdiag.model.bundle import Manifest
    from evdiag.model.charger import ContainerFacts
    from evdiag.model.report import Report

Say = Callable[[str], None]

BEGINS = "evdiag-"
"""What the names begin with that evdiag gives to bundles."""
_ZSTANDARD = b"\x28\xb5\x2f\xfd"
"""RFC 8878, 3.1.1: the first bytes of a frame."""
_TAR, _TAR_AT = b"ustar", 257
"""POSIX.1-2017, pax: ustar interchange format."""
_IN_CONTAINER = re.compile(rf"([A-Za-z0-9][A-Za-z0-9_.-]*)(?:/({CORES}/[^/]+))?")
"""A container, or a core of it as reports call it."""


class Bundled(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that is open."""

    root: Path
    called: str
    """What `evdiag gdb` finds it by, from where it lies."""
    manifest: "Manifest"
    problems: tuple[str, ...] = ()
    """Files that are not as the manifest says."""

    def options(self, options: "Options") -> "Options":
        """The options with the bundle's own symbols and sources."""
        return msgspec.structs.replace(
            options,
            stores=(*options.stores, self.root / SYMBOLS),
            source_roots=(*options.source_roots, self.root / SOURCES),
        )

    def inside(self, path: Path) -> Path:
        """A path as it is below the bundle's folder."""
        return path.relative_to(self.root) if path.is_relative_to(self.root) else path

    def retold(self, report: "Report") -> "Report":
        """A report on one of its cores, as it is wherever the bundle lies."""
        from evdiag.analyze.bundled import retold

        return retold(report, str(self.root), self.called, self.manifest, self.problems)

    def without_root(self, report: "Report") -> "Report":
        """The same once more, for what was added to a report since then."""
        from evdiag.analyze.bundled import without_root

        return without_root(report, str(self.root))

    def shorten(self, text: str) -> str:
        """A text without the place where the bundle lies."""
        from evdiag.analyze.bundled import shortened

        return shortened(text, str(self.root))

    def shortened(self, error: EvdiagError) -> EvdiagError:
        """An error without the place where the bundle lies."""
        return type(error)(self.shorten(str(error)), advice=error.advice)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at together: cores and folders that were named, or one bundle."""

    paths: list[Path]
    """Cores and folders."""
    bundle: Bundled | None = None
    error: EvdiagError | None = None
    """Why there is nothing to look at."""

    @property
    def is_several(self) -> bool:
        """Whether logs and the order of crashes count."""
        return any(path.is_dir() for path in self.paths)


def targets(words: Sequence[str], say: Say) -> Generator[Target, None, None]:
    """What is named, one after the other; what is unpacked or collected is there until the next.

    Plain cores and folders are one target. What cannot be used is a target with an error. Close
    the iterator.
    """
    plain: list[Path] = []
    others: list[tuple[str, Path | None, str]] = []
    named = set(words)
    for word in words:
        if word.endswith(NOTE_SUFFIX) and word.removesuffix(NOTE_SUFFIX) in named:
            continue  # `core*` names a core's note too, which is read with the core
        found, container = _bundle_of(Path(word)), _IN_CONTAINER.fullmatch(word)
        if found is not None:
            others.append((word, *found))
        elif os.path.lexists(word) or container is None:
            plain.append(Path(word))
        else:
            others.append((container[1], None, container[2] or ""))
    if plain or not words:
        yield Target(paths=plain)
    for word, bundle, core in others:
        with ExitStack() as stack:
            try:
                if bundle is None:
                    target = stack.enter_context(_of_container(word, core, say))
                else:
                    target = stack.enter_context(_opened(bundle, core, say))
            except EvdiagError as error:
                target = Target(paths=[Path(word)], error=error)
            yield target


def default_words(say: Say) -> list[str]:
    """The newest bundle here, else the charger's container. Raises UsageError."""
    bundle = newest_bundle(Path())
    if bundle is not None:
        say(f"the newest bundle here: {bundle}")
        return [str(bundle)]
    advice = "Name a core, a folder with cores and logs, a bundle, a container, or a log by --log."
    from evdiag.adapters.docker.engine import connect
    from evdiag.commands._charger import find_charger

    try:
        engine = connect()
        try:
            name = find_charger(engine, os.environ.get("EVDIAG_NAME") or None).name
        finally:
            engine.close()
    except EvdiagError:
        raise UsageError(
            "which crash? Neither a core nor a log was named, and there is neither a bundle here "
            "nor a charger",
            advice=advice,
        ) from None
    say(f"no bundle here: looking at the container {name}")
    return [name]


def newest_bundle(folder: Path) -> Path | None:
    """The newest bundle in a folder: a folder with a manifest, or an archive."""
    found = []
    try:
        for entry in os.scandir(folder):
            path = folder / entry.name
            if entry.name.startswith(BEGINS) and _is_bundle(path):
                found.append((_when(path), entry.name, path))
    except OSError:
        return None
    return max(found)[2] if found else None


def _is_bundle(path: Path) -> bool:
    if path.name.endswith(ARCHIVE_SUFFIX):
        return path.is_file()
    return (path / MANIFEST).is_file()


def _when(path: Path) -> str:
    """When a bundle was begun, as its name has it: by its manifest if that can be read."""
    from datetime import UTC, datetime

    from evdiag.adapters.files import read_head
    from evdiag.analyze.bundled import stamp
    from evdiag.parse.bundle import LONGEST_MANIFEST, read_manifest

    try:
        begun = read_manifest(read_head(path / MANIFEST, LONGEST_MANIFEST + 1)).begun
        when = datetime.fromtimestamp(begun, UTC)
    except (OSError, EvdiagError, ValueError, OverflowError):
        named = stamp(path.name)
        if named is not None:
            return named
        when = datetime.fromtimestamp(path.lstat().st_mtime, UTC)
    return f"{when:%Y%m%d-%H%M%S}"


def _bundle_of(path: Path) -> tuple[Path, str] | None:
    """(bundle, core in it) of a path; the core is empty where the whole bundle is named."""
    if path.is_dir():
        return (path, "") if (path / MANIFEST).is_file() else None
    if _may_be_archive(path):
        return path, ""
    if path.is_file():
        above = path.absolute().parent
        if above.name == CORES and (above.parent / MANIFEST).is_file():
            return above.parent, f"{CORES}/{path.name}"
        return None
    # a core in an archive, or in a bundle that is called as reports call it
    for folder in (path, *path.parents):
        for suffix in (ARCHIVE_SUFFIX, PARTIAL, ""):
            bundle = folder.with_name(folder.name + suffix) if folder.name else folder
            if _is_bundle(bundle) or (not suffix and _may_be_archive(bundle)):
                return bundle, "" if folder == path else str(path.relative_to(folder))
    return None


def _may_be_archive(path: Path) -> bool:
    """Whether a file begins as archives do; cores are told apart without further imports."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            head = file.read(_TAR_AT + len(_TAR))
    except OSError:
        return False
    if not head.startswith(_ZSTANDARD) and head[_TAR_AT:] != _TAR:
        return False
    from evdiag.adapters.bundle.reader import is_bundle

    return is_bundle(path) or path.name.endswith(ARCHIVE_SUFFIX)


@contextmanager
def _opened(path: Path, core: str, say: Say, called: str = "") -> Iterator[Target]:
    """A bundle, unpacked if need be. Raises DamagedBundle, CoreNotFound."""
    from evdiag.adapters.bundle.reader import open_bundle
    from evdiag.analyze import bundled

    with open_bundle(path) as bundle:
        root = bundle.root.absolute()
        if not bundle.manifest.complete:
            say(f"note: {path} is only a part of a bundle: `evdiag collect` was interrupted")
        if core and not (root / core).is_file():
            raise CoreNotFound(f"{path} holds no {core}")
        yield Target(
            paths=[root / core if core else root],
            bundle=Bundled(
                root=root,
                called=called or bundled.called(path.absolute().name),
                manifest=bundle.manifest,
                problems=bundle.problems,
            ),
        )


@contextmanager
def _of_container(word: str, core: str, say: Say) -> Iterator[Target]:
    """A container, collected into a bundle that is there for the moment. Raises EvdiagError."""
    from evdiag.adapters.docker.engine import connect
    from evdiag.adapters.scratch import scratch

    try:
        engine = connect()
    except EvdiagError as error:
        raise CoreNotFound(
            f"there is no {word} here, and no container of that name can be looked for: {error}",
            advice=error.advice,
        ) from None
    try:
        facts = _container(engine.container, word)
        with scratch("container", f"{word} cannot be collected") as folder:
            say(f"collecting from the container {word} for the moment; `evdiag collect` keeps it")
            bundle = _collected(engine, facts, folder)
            with _opened(bundle, core, say, called=word) as target:
                yield target
    finally:
        engine.close()


def _collected(engine: "ContainerEngine", facts: "ContainerFacts", folder: Path) -> Path:
    from evdiag.collection import Request, collect
    from evdiag.console import Steps

    return collect(engine, facts, Request(output=folder / f"{BEGINS}{facts.name}"), Steps()).path


def _container(look: "Callable[[str], ContainerFacts]", word: str) -> "ContainerFacts":
    try:
        return look(word)
    except NoSuchContainer:
        raise CoreNotFound(
            f"{word} is neither a file or folder here nor a container",
            advice="Name a core, a folder, a bundle, or a container of `docker ps -a`.",
        ) from None
