"""The manifest of a bundle, and the journal that takes its place until the bundle is complete.

A bundle may come from anybody: nothing of it is believed that could lead out of its folder.
"""

from collections.abc import Iterable
from typing import Literal

import msgspec

from evdiag.errors import DamagedBundle
from evdiag.model.bundle import SCHEMA, FileEntry, Manifest, Skipped

JOURNAL = ".journal"
"""In the folder of a bundle that is being made."""
LONGEST_MANIFEST = 64 << 20
MOST_FILES = 50_000
LARGEST_FILE = 1 << 50
LONGEST_PATH, LONGEST_NAME, MOST_PARTS = 4000, 255, 100
_FAMILY = SCHEMA.partition("/")[0] + "/"


class Note(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One line of the journal: what has just happened."""

    does: Literal["begin", "file", "drop", "skip", "problem"]
    path: str = ""
    """Of a file that is begun or dropped."""
    file: FileEntry | None = None
    written: int = 0
    """When the file was last changed, by the file system, in nanoseconds."""
    boot: str = ""
    """Of the machine when it was written: what was written in another one may be lost."""
    skipped: Skipped | None = None
    text: str = ""


class Journal(msgspec.Struct, kw_only=True):
    """What an interrupted bundle has."""

    files: dict[str, Note] = {}
    """By path: those that are whole."""
    begun: set[str] = set()
    """Paths of files that were begun and perhaps not finished."""
    skipped: list[Skipped] = []
    problems: list[str] = []


def read_manifest(data: bytes) -> Manifest:
    """The manifest of a bundle. Raises DamagedBundle."""
    if len(data) > LONGEST_MANIFEST:
        raise DamagedBundle(f"its manifest has {len(data):,} bytes")
    try:
        found = msgspec.json.decode(data, type=_Schema)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise DamagedBundle("its manifest is cut or damaged") from None
    if found.schema != SCHEMA:
        if found.schema.startswith(_FAMILY):
            raise DamagedBundle(
                "it was made by another version of evdiag, with another format",
                advice="Update evdiag: `pip install --upgrade evdiag`.",
            )
        raise DamagedBundle("its manifest is not one of evdiag's")
    try:
        manifest = msgspec.json.decode(data, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedBundle(f"its manifest is damaged: {str(error)[:200]}") from None
    if len(manifest.files) > MOST_FILES:
        raise DamagedBundle(f"its manifest names {len(manifest.files):,} files")
    seen = set()
    for entry in manifest.files:
        _check(entry)
        if entry.path in seen:
            raise DamagedBundle("its manifest names a file twice")
        seen.add(entry.path)
    if conflict := next((path for path in seen if _parents(path) & seen), None):
        raise DamagedBundle(f"its manifest has {conflict[:200]!r} in a file")
    return manifest


def write_manifest(manifest: Manifest) -> bytes:
    """The manifest as it is stored."""
    return msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n"


def is_path(path: str) -> bool:
    """Whether a path stays below the folder that it is joined to."""
    parts = path.split("/")
    return (
        0 < len(path) <= LONGEST_PATH
        and path.isprintable()
        and "\\" not in path
        and len(parts) <= MOST_PARTS
        and all(part.strip(".") and len(part.encode()) <= LONGEST_NAME for part in parts)
    )


def read_journal(lines: Iterable[bytes]) -> Journal:
    """What a journal says; lines that are cut or damaged are left out. Raises nothing."""
    journal = Journal()
    decoder = msgspec.json.Decoder(Note)
    for line in lines:
        try:
            note = decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            continue
        _apply(note, journal)
    return journal


def write_note(note: Note) -> bytes:
    """A line of the journal."""
    return msgspec.json.encode(note) + b"\n"


def is_unchanged(entry: FileEntry, modified: float | None, size: int | None) -> bool:
    """Whether a file has not changed since it was copied as a whole."""
    if entry.truncated is not None:
        return False
    if modified is not None:
        # some ways to ask give whole seconds only
        if entry.modified is None or abs(modified - entry.modified) >= 1:
            return False
        if modified % 1 and entry.modified % 1 and abs(modified - entry.modified) > 1e-3:
            return False
    had = entry.bytes if entry.original_bytes is None else entry.original_bytes
    return size is None or size == had


class _Schema(msgspec.Struct):
    schema: str


def _apply(note: Note, journal: Journal) -> None:
    if note.does == "file" and note.file is not None:
        if is_path(note.file.path) and note.file.bytes >= 0:
            journal.files[note.file.path] = note
    elif note.does == "begin":
        journal.files.pop(note.path, None)
        if is_path(note.path):
            journal.begun.add(note.path)
    elif note.does == "drop":
        journal.files.pop(note.path, None)
    elif note.does == "skip" and note.skipped is not None:
        journal.skipped.append(note.skipped)
    elif note.does == "problem":
        journal.problems.append(note.text)


def _check(entry: FileEntry) -> None:
    if not is_path(entry.path):
        raise DamagedBundle(f"its manifest names a file {entry.path[:200]!r}")
    if not 0 <= entry.bytes < LARGEST_FILE:
        raise DamagedBundle(f"its manifest gives {entry.path[:200]!r} a size that is none")
    if len(entry.sha256) != 64 or set(entry.sha256) - set("0123456789abcdef"):
        raise DamagedBundle(f"its manifest gives {entry.path[:200]!r} no hash")


def _parents(path: str) -> set[str]:
    parts = path.split("/")
    return {"/".join(parts[:count]) for count in range(1, len(parts))}
