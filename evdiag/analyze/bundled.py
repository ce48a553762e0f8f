"""Reports on cores of a bundle: the same wherever the bundle lies, and with what it lacks.

Where it lies is no part of a report: paths are those below the bundle's folder.
"""

import re
import shlex
from collections.abc import Iterator, Sequence

import msgspec

from evdiag.model.bundle import ARCHIVE_SUFFIX, PARTIAL, FileEntry, Manifest
from evdiag.model.report import Report, SoftError

MAX_PROBLEMS = 10
_CORE_NAME = re.compile(r"core(\..*)?$|.*\.core$")
_STAMP = re.compile(r"-(\d{8}-\d{6})(?:$|\.)")


def called(name: str) -> str:
    """The name of a bundle without what tells a folder from an archive."""
    return name.removesuffix(ARCHIVE_SUFFIX).removesuffix(PARTIAL)


def stamp(name: str) -> str | None:
    """The time in the name that evdiag gives to bundles, as text that sorts."""
    found = _STAMP.search(called(name))
    return found[1] if found else None


def retold(
    report: Report, root: str, name: str, manifest: Manifest, broken: Sequence[str] = ()
) -> Report:
    """A report on a core of the bundle whose folder is `root`; `name` is for `evdiag gdb`.

    `broken` tells of files that are not as the manifest says.
    """
    core, path = report.core, report.core.path
    inside = _below(root, path or "")
    entry = next((e for e in manifest.files if e.path == inside), None)
    if path and inside:
        word = f"{name}/{inside}"
        verdict = msgspec.structs.replace(
            report.verdict,
            advice=tuple(
                line.replace(shlex.quote(path), shlex.quote(word)) for line in report.verdict.advice
            ),
        )
        known = entry is not None and entry.bytes == core.bytes
        core = msgspec.structs.replace(core, sha256=entry.sha256 if entry and known else None)
        report = msgspec.structs.replace(report, verdict=verdict, core=core)
    notes = (*_of_core(entry), *_of_bundle(manifest, broken))
    told = msgspec.structs.replace(report, soft_errors=(*report.soft_errors, *notes))
    return without_root(told, root)


def without_root(report: Report, root: str) -> Report:
    """The same with paths as they are below the bundle's folder."""
    core = report.core
    if core.path:
        core = msgspec.structs.replace(core, path=_below(root, core.path) or core.path)
    return msgspec.structs.replace(
        report,
        core=core,
        siblings=tuple(
            msgspec.structs.replace(s, core=_below(root, s.core) or s.core) if s.core else s
            for s in report.siblings
        ),
        soft_errors=tuple(
            SoftError(
                stage=error.stage,
                message=shortened(error.message, root),
                effect=error.effect and shortened(error.effect, root),
                hint=error.hint and shortened(error.hint, root),
            )
            for error in report.soft_errors
        ),
    )


def shortened(text: str, root: str) -> str:
    """A text of evdiag's own with paths as they are below the bundle's folder."""
    return text.replace(f"{root.rstrip('/')}/", "")


def _below(root: str, path: str) -> str | None:
    folder = f"{root.rstrip('/')}/"
    return path.removeprefix(folder) if path.startswith(folder) else None


def _of_core(entry: FileEntry | None) -> Iterator[SoftError]:
    if entry is not None and entry.truncated is not None:
        whole = f" of {entry.original_bytes}" if entry.original_bytes else ""
        yield SoftError(
            stage="bundle",
            message=f"the bundle has {entry.bytes}{whole} bytes of the core: {entry.truncated}",
            effect="stacks may be short or absent",
        )


def _of_bundle(manifest: Manifest, broken: Sequence[str]) -> Iterator[SoftError]:
    if not manifest.complete:
        yield SoftError(
            stage="bundle",
            message="the bundle is only a part: `evdiag collect` was interrupted",
            effect="cores, logs and symbols may be missing",
            hint="run `evdiag collect` in the same place again: it goes on where it was",
        )
    skipped = [
        f"{left.origin} is not in the bundle: {left.reason}"
        for left in manifest.skipped
        if _CORE_NAME.match(left.origin.rpartition("/")[2])
    ]
    for texts in (broken, skipped, manifest.problems):
        yield from _bounded(texts)


def _bounded(texts: Sequence[str]) -> Iterator[SoftError]:
    for text in texts[:MAX_PROBLEMS]:
        yield SoftError(stage="bundle", message=text)
    if len(texts) > MAX_PROBLEMS:
        more = len(texts) - MAX_PROBLEMS
        yield SoftError(stage="bundle", message=f"{more} more in the manifest of the bundle")
