"""Bundles as `evdiag collect` makes them, of cores and files that are on this machine."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evdiag.adapters.bundle.writer import BundleWriter
from evdiag.adapters.file_source import FileSource
from evdiag.completing import complete
from evdiag.engine import Engine, Options
from evdiag.model.bundle import CORES, SOURCES, SYMBOLS, Subject
from evdiag.model.incident import NOTE_SUFFIX
from evdiag.model.report import Report
from evdiag.report.json import render

ELSEWHERE = ("created", "core", "provenance")
"""What a report says of where and when it was made."""


def bundle_of(
    target: Path, cores: Sequence[Path], files: FileSource, *, finished: bool = True
) -> Path:
    """A bundle with cores and all that they need; one that is not finished is `NAME.partial`."""
    with BundleWriter.begin(target, Subject(name="charger", id="1" * 64)) as writer:
        for core in cores:
            if writer.has(str(core)) is None:
                writer.take(f"{CORES}/{core.name}", "core", str(core), core)
            note = core.with_name(core.name + NOTE_SUFFIX)
            if note.exists() and writer.has(str(note)) is None:
                writer.take(f"{CORES}/{note.name}", "note", str(note), note)
        inside = [writer.partial / CORES / core.name for core in cores]
        complete(writer, inside, files, lambda _: None)
        return writer.finish() if finished else writer.partial


def options(bundle: Path) -> Options:
    """Options with the files of a bundle alone."""
    return Options(stores=(bundle / SYMBOLS,), source_roots=(bundle / SOURCES,))


def from_bundle(bundle: Path, core: str = "core") -> Report:
    """The report on a core of a bundle."""
    return Engine(options(bundle)).report(bundle / CORES / core)


def facts(report: Report) -> dict[str, Any]:
    """A report without where and when it was made."""
    document: dict[str, Any] = json.loads(render(report))
    document["verdict"]["advice"] = [
        line for line in document["verdict"]["advice"] if "evdiag gdb" not in line
    ]
    return {name: part for name, part in document.items() if name not in ELSEWHERE}


def manifest(bundle: Path) -> Any:  # noqa: ANN401 # JSON
    """The manifest of a bundle."""
    return json.loads((bundle / "manifest.json").read_text())


def entries(bundle: Path, kind: str) -> dict[str, Any]:
    """The files of a kind by their paths."""
    return {entry["path"]: entry for entry in manifest(bundle)["files"] if entry["kind"] == kind}
