"""The report on one crash out of a bundle that may hold many."""

from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from evdiag.adapters.bundle.sparse import SparseWriter
from evdiag.adapters.docker.copy import copied_file
from evdiag.adapters.docker.engine import ContainerEngine
from evdiag.analyze.incarnations import same_name
from evdiag.commands._targets import Bundled, targets
from evdiag.console import redaction_by
from evdiag.engine import Engine, Options
from evdiag.incident import Incident
from evdiag.model.bundle import LOGS, SOURCES, SYMBOLS, Manifest
from evdiag.model.charger import CORES, ContainerFacts
from evdiag.model.report import Report
from evdiag.model.watch import Crash
from evdiag.parse.tar import TarCut

LARGEST = 8 << 30
"""Bytes of a core that is copied to know its signature, holes included."""


def explained(bundle: Path, crash: Crash, progress: Callable[[str], None]) -> Report | None:
    """The report on who died first of a crash; None if the bundle does not tell.

    Raises CoreError, UsageError.
    """
    with closing(targets([str(bundle)], lambda _: None)) as found:
        for target in found:
            if target.bundle is not None:
                opened = msgspec.structs.replace(target.bundle, called=str(bundle))  # from here
                return _of(opened, crash, Engine(opened.options(Options()), progress))
    return None


def _of(bundle: Bundled, crash: Crash, engine: Engine) -> Report | None:
    cores = _cores(bundle.manifest, bundle.root, crash)
    logs = bundle.root / LOGS
    if cores:
        incident = Incident(engine, cores, [logs] if logs.is_dir() else [])
    else:
        incident = Incident(engine, [bundle.root], [])
    reports = [o.report for o in incident.outcomes() if o.report is not None]
    report = chosen(reports, crash)
    if report is None:
        return None
    redacted = redaction_by(bundle.manifest.redaction)
    return bundle.without_root(redacted(bundle.retold(report)))


def _cores(manifest: Manifest, root: Path, crash: Crash) -> list[Path]:
    """The cores that a crash left, without those of earlier ones."""
    return [
        root / entry.path
        for entry in manifest.files
        if entry.kind == CORE and entry.origin.rpartition("/")[2] in crash.cores
    ]


CORE = "core"


def signature_of(
    engine: ContainerEngine, facts: ContainerFacts, crash: Crash, bundle: Path | None
) -> str | None:
    """The signature of a crash by its core, which is copied for the moment; None: not known.

    `bundle` is one of the same container, for its symbols. Raises EvdiagError.
    """
    own = [name for name in crash.cores if f".{crash.pid}." in name]
    name = next(iter(own or crash.cores), None)
    if name is None or bundle is None:
        return None
    with TemporaryDirectory(prefix=".evdiag-", dir=bundle.parent) as folder:
        copy = Path(folder) / "core"
        try:
            with copy.open("xb") as file:
                content = SparseWriter(file.fileno())
                size = 0
                for piece in copied_file(engine, facts.id, f"{CORES}/{name}"):
                    size += len(piece)
                    if size > LARGEST:
                        return None
                    content.add(piece)
                content.finish()
        except (OSError, TarCut):
            return None
        options = Options(stores=(bundle / SYMBOLS,), source_roots=(bundle / SOURCES,))
        signature = Engine(options).report(copy).signature
    return None if signature is None else signature.hash


def chosen(reports: Sequence[Report], crash: Crash) -> Report | None:
    """Of several reports the one on the process that died first; of equal ones the last."""
    named = [r for r in reports if crash.pid is not None and r.process.pid == crash.pid]
    named = [r for r in named if same_name(r.process.module_id, crash.module)] or named
    if not named:
        named = [r for r in reports if same_name(r.process.module_id, crash.module)]
    return named[-1] if named else None
