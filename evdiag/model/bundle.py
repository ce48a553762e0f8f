"""A bundle: everything about the crashes of one container, in one folder or archive.

The manifest is written last and names every other file. A bundle that says `complete` has all of
them; one that was interrupted says so, and what is there can be taken over by the next attempt.
"""

import msgspec

SCHEMA = "evdiag.bundle/1"
MANIFEST = "manifest.json"
PARTIAL = ".partial"
"""What the name of a folder ends with until its bundle is complete."""
ARCHIVE_SUFFIX = ".tar.zst"

CORES, LOGS, CONFIG, EVEREST, FACTS = "cores", "logs", "config", "everest", "facts"
SYMBOLS, SOURCES = "symbols", "sources"
"""Folders of a bundle. `symbols` has files by build-id (`.build-id/xx/yyyy`), `sources` by the
path that the debug information has for them; `everest` has messages of OCPP and sessions."""
CONTAINER = "container.json"
"""What the engine says of the container, without secrets."""


class FileEntry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of a bundle."""

    path: str
    """From the bundle's folder on; made by evdiag, never taken from a container as it is."""
    kind: str
    """core, note, log, config, everest, fact, symbols, source or text."""
    origin: str
    """Where it came from: a path in the container, or `engine: inspect`."""
    bytes: int
    sha256: str
    modified: float | None = None
    """Seconds since 1970, as all times here; of the file it was copied from."""
    original_bytes: int | None = None
    """Of the file it was copied from, where that had another size."""
    truncated: str | None = None
    """Why it is only a part, in words."""
    build_id: str | None = None
    """Of a file with symbols."""
    redacted: int = 0
    """How many secrets were replaced in it."""


class Skipped(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something that was found and left out."""

    origin: str
    reason: str
    bytes: int | None = None


class Token(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A secret that was replaced; the same secret has the same token everywhere in a bundle."""

    token: str
    kind: str
    """password, key, account, id-token, vehicle, contract, url or word (it has no name)."""
    count: int = 0
    files: tuple[str, ...] = ()


class Redaction(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was replaced in a bundle, and how to recognise it."""

    enabled: bool = True
    key: str | None = None
    """What tokens are made with, in hexadecimal: only in a bundle with cores, which hold the
    secrets themselves. So reports on those cores have the tokens of the logs."""
    tokens: tuple[Token, ...] = ()


class Subject(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bundle was made of."""

    kind: str = "container"
    """container, volume or folder."""
    name: str
    id: str = ""
    image: str = ""
    image_id: str = ""
    state: str = ""
    """Of the container when the bundle was begun."""
    started: float | None = None


class Manifest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a bundle holds, and what it does not."""

    schema: str
    evdiag: str
    """Version of evdiag."""
    begun: float
    finished: float | None = None
    complete: bool
    subject: Subject
    files: tuple[FileEntry, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    problems: tuple[str, ...] = ()
    """What could not be had, and why, in words."""
    redaction: Redaction = Redaction()
