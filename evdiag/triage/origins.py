"""Where cores come from: plain files, the folder of a bundle, or an archive of one."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from evdiag.adapters.core_search import BundleFound, CoreFile, bundle_cores, shown
from evdiag.analyze import bundled
from evdiag.engine import Options
from evdiag.model.bundle import ARCHIVE_SUFFIX, SOURCES, SYMBOLS, Manifest
from evdiag.model.report import Report


class Origin(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What several cores have in common; open as long as it is used."""

    options: Options
    given: Options
    """Those that the user gave; `options` has the files of the bundle as well."""
    bundle: BundleFound | None = None
    root: Path | None = None
    """The folder of the bundle, for the moment where it is an archive."""
    called: str = ""
    """The bundle as the user named it, without what tells a folder from an archive."""
    manifest: Manifest | None = None
    problems: tuple[str, ...] = ()

    @property
    def is_archive(self) -> bool:
        """Whether its files are gone once it is closed."""
        return self.bundle is not None and self.bundle.path.is_file()

    @property
    def image(self) -> str | None:
        """Of the container that the cores are from."""
        return self.manifest.subject.image or None if self.manifest else None

    def retold(self, report: Report) -> Report:
        """A report as it is wherever the bundle lies."""
        if self.root is None or self.manifest is None:
            return report
        name = bundled.called(self.called.rpartition("/")[2])
        return bundled.retold(report, str(self.root), name, self.manifest, self.problems)

    def without_root(self, report: Report) -> Report:
        """The same for what was added to a report since."""
        return bundled.without_root(report, str(self.root)) if self.root else report

    def shortened(self, text: str) -> str:
        """A message without the place where the bundle lies."""
        return bundled.shortened(text, str(self.root)) if self.root else text


class Case(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One core, and where it comes from."""

    core: CoreFile
    origin: Origin


@contextmanager
def opened(found: BundleFound, options: Options) -> Iterator[tuple[Origin, list[Case]]]:
    """A bundle and its cores; an archive is unpacked for as long as the block lasts.

    Raises DamagedBundle, DiskFull, OutputNotWritten.
    """
    # most runs have no bundle
    from evdiag.adapters.bundle.reader import open_bundle  # noqa: PLC0415

    with open_bundle(found.path) as bundle:
        root = bundle.root.absolute()
        name = shown(found.path)
        origin = Origin(
            given=options,
            options=msgspec.structs.replace(
                options,
                stores=(*options.stores, root / SYMBOLS),
                source_roots=(*options.source_roots, root / SOURCES),
            ),
            bundle=found,
            root=root,
            called=bundled.called(name) if name.endswith(ARCHIVE_SUFFIX) else name,
            manifest=bundle.manifest,
            problems=bundle.problems,
        )
        paths = (root / path.relative_to(bundle.root) for path in bundle.paths("core"))
        cores = bundle_cores(root, origin.called, paths, found.only)
        yield origin, [Case(core=core, origin=origin) for core in cores]
