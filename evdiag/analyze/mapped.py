"""Which files make a core readable elsewhere, and where they lie in a bundle.

All names here come out of cores and debug information that may be hostile: a file gets its place
by its build-id or by a name that cannot leave its folder.
"""

import posixpath
import re
from collections.abc import Container, Iterable, Iterator

from evdiag.model.bundle import SOURCES, SYMBOLS
from evdiag.model.report import Frame, Report
from evdiag.parse.elf import DAMAGED, section_bytes
from evdiag.parse.image import Image
from evdiag.parse.modules import MappedModule

DEBUG, PACKAGE = ".debug", ".dwp"
"""Suffixes of separate debug information: of a file, and of the .dwo files of a program."""
DEBUG_ROOT = "/usr/lib/debug"
MAX_PATH = 1024
MAX_SOURCES = 40
MAX_LINK = 2048
"""Bytes of a link to another file: a path and a build-id."""

_BUILD_ID = re.compile(r"[0-9a-f]{4,128}")
_NO_FILE = re.compile(r"/(memfd:|dev/|proc/|sys/|SYSV|anon_|\[)")
"""What the kernel calls memory that is mapped without a file that others could open."""


def in_store(build_id: str, suffix: str = "") -> str | None:
    """Where a file lies below a folder of symbols; None if that is no build-id."""
    if not _BUILD_ID.fullmatch(build_id):
        return None
    return f".build-id/{build_id[:2]}/{build_id[2:]}{suffix}"


def by_first_page(module: MappedModule) -> str | None:
    """Where a file without a build-id lies below a folder of symbols; None if nothing is known."""
    if module.build_id is not None or not module.first_bytes:
        return None
    # nearly every file has a build-id, and need not pay for the import
    import hashlib  # noqa: PLC0415

    digest = hashlib.sha256(module.first_bytes).hexdigest()
    return f".first-page/{digest[:2]}/{digest[2:]}"


def symbols_place(module: MappedModule) -> str | None:
    """Where a module's file lies below a folder of symbols; None if no file can be told to be it.

    Without build-id and without the first page in the core any file of that name would do.
    """
    if not is_file(module.path):
        return None
    return in_store(module.build_id) if module.build_id else by_first_page(module)


def is_file(path: str) -> bool:
    """Whether a mapped path can be asked for: absolute, of a sane size, and no special file."""
    return (
        path.startswith("/")
        and path.isprintable()
        and len(path.encode("utf-8", "surrogateescape")) <= MAX_PATH
        and not _NO_FILE.match(path)
        and ".." not in path.split("/")
    )


def debug_places(module: str, image: Image) -> tuple[str, ...]:
    """Where the separate debug file of an image may lie, in gdb's order (Separate Debug Files)."""
    found = []
    name = in_store(image.build_id, DEBUG) if image.build_id else None
    if name:
        found.append(f"{DEBUG_ROOT}/{name}")
    link = image.debug_link
    if link is not None and link.name.isprintable():
        folder = posixpath.dirname(module)
        found += [
            posixpath.join(folder, link.name),
            posixpath.join(folder, DEBUG, link.name),
            posixpath.join(DEBUG_ROOT, folder.lstrip("/"), link.name),
        ]
    return tuple(path for path in found if is_file(path) and path != module)


def shared_debug_places(image: Image) -> tuple[str, tuple[str, ...]] | None:
    """Build-id and places of the file that debug files share (.gnu_debugaltlink, made by dwz)."""
    section = image.sections.get(".gnu_debugaltlink")
    if section is None:
        return None
    try:
        raw = section_bytes(image.data, section, image.header.bits)
    except DAMAGED:
        return None
    name, _, build_id = raw[:MAX_LINK].partition(b"\0")
    place = in_store(build_id.hex(), DEBUG)
    if place is None:
        return None
    path = name.decode("utf-8", "replace")
    return build_id.hex(), (f"{DEBUG_ROOT}/{place}", *([path] if is_file(path) else []))


# -- sources


def source_place(file: str) -> str | None:
    """Where a source file lies below a folder of sources; None if it cannot lie there.

    `file` is its path as the debug information has it, absolute or not.
    """
    if not file.strip("/.") or len(file) > MAX_PATH:
        return None
    # only bundles need it
    from evdiag.analyze.bundle_names import safe_path  # noqa: PLC0415

    path = posixpath.normpath(file)
    return None if path.startswith("..") else safe_path(path)


def wanted_sources(reports: Iterable[Report], suffixes: Container[str]) -> tuple[str, ...]:
    """The source files that the crashed threads name, the program's own first, innermost first."""
    own: dict[str, None] = {}
    others: dict[str, None] = {}
    for report in reports:
        for frame in _crash_frames(report):
            file = frame.file or ""
            if posixpath.splitext(file)[1].lower() in suffixes and source_place(file):
                (own if frame.in_app else others).setdefault(file)
    return tuple(dict.fromkeys((*own, *others)))[:MAX_SOURCES]


def _crash_frames(report: Report) -> Iterator[Frame]:
    """The frames to look at first of each report, then the others of its crashed threads."""
    crashed = report.crashed.frames if report.crashed else ()
    yield from (frame for frame in crashed if frame.level == report.verdict.frame)
    yield from crashed


def below_symbols(place: str) -> str:
    """A place below the symbols of a bundle, from the bundle's folder on."""
    return f"{SYMBOLS}/{place}"


def below_sources(place: str) -> str:
    """A place below the sources of a bundle, from the bundle's folder on."""
    return f"{SOURCES}/{place}"
