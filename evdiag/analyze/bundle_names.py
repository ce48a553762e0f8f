"""Names of files in a bundle: evdiag's own, whatever a container or debug information says.

The paths of a container's files are hostile: they may climb out of the folder, hold terminal
sequences, differ in case only, or be longer than any file system allows.
"""

import hashlib
import re
from collections.abc import Callable, Collection, Container
from datetime import UTC, datetime

LONGEST_PART = 120
"""Characters of one name; with what `unique` adds it is still far below the 255 of Linux, and of
file systems that count UTF-16."""
LONGEST = 700
"""Of a whole path; PATH_MAX counts the folder too that the bundle lies in."""
MOST_PARTS = 40
FEW = 9
"""Numbers that are tried one after the other."""

_HARMLESS = re.compile(r"[^A-Za-z0-9._+:@=,~%-]+")
_SUFFIX = re.compile(r"(?:\.[A-Za-z0-9]{1,8}){1,2}$")


def safe_part(name: str) -> str:
    """One name without anything that a shell, a terminal or a file system would obey."""
    safe = _HARMLESS.sub("_", name)
    if safe.startswith("-"):
        safe = f"_{safe[1:]}"
    if not safe.strip("."):  # empty, the folder itself, or the one above it
        safe = "_" * max(len(safe), 1)
    return safe if len(safe) <= LONGEST_PART else _shortened(safe, name)


def safe_path(*parts: str) -> str:
    """A path below the bundle's folder, of paths as they come: `safe_path("logs", "/var/x.log")`.

    The same always gives the same; different ones may too: see `unique`.
    """
    names = [safe_part(name) for path in parts for name in path.split("/") if name not in ("", ".")]
    if len(names) > MOST_PARTS or sum(map(len, names)) + len(names) > LONGEST:
        # the folder it goes to and the name itself say more than what lies between
        between = "/".join(names[1:-1]).encode()
        names = [names[0], hashlib.sha256(between).hexdigest()[:16], names[-1]]
    return "/".join(names) or "_"


def key(path: str) -> str:
    """The same for paths that some file system takes for the same."""
    return path.casefold()


def unique(path: str, files: Collection[str], folders: Container[str]) -> str:
    """The path, with numbers in its names where one is in the way. `files` and `folders` are keys.

    A file may be there as a file or as a folder already, and each folder as a file.
    """
    done = ""
    *above, last = path.split("/")
    for name in above:
        done = _numbered(done, name, len(files), lambda tried: tried in files) + "/"
    return _numbered(done, last, len(files), lambda tried: tried in files or tried in folders)


def _numbered(folder: str, name: str, count: int, is_taken: Callable[[str], bool]) -> str:
    """The name in its folder, with a number with which it is free.

    Somebody may have thousands of names that differ in case only: counting from the number of all
    files finds a free one at once.
    """
    tried = folder + name
    suffix = match[0] if (match := _SUFFIX.search(name)) else ""
    number = 1
    while is_taken(key(tried)):
        number = number + 1 if number < FEW else max(number + 1, count)
        tried = f"{folder}{name.removesuffix(suffix)}~{number}{suffix}"
    return tried


def default_name(container: str, begun: float) -> str:
    """`evdiag-everest-20261123-040506`, in UTC."""
    when = datetime.fromtimestamp(begun, UTC)
    return f"evdiag-{safe_part(container)[:64]}-{when:%Y%m%d-%H%M%S}"


def _shortened(safe: str, name: str) -> str:
    digest = hashlib.sha256(name.encode("utf-8", "backslashreplace")).hexdigest()[:12]
    suffix = match[0] if (match := _SUFFIX.search(safe)) else ""
    return f"{safe[: LONGEST_PART - len(suffix) - 13]}-{digest}{suffix}"
