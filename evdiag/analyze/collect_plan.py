"""What of a container goes into a bundle, under which name, and up to which size.

Names in a container are anybody's: nothing of them becomes a path of this machine as it is. The
name in the bundle depends on the origin alone, so that an interrupted bundle is gone on with.
"""

import re

import msgspec

from evdiag.analyze.bundle_names import safe_path
from evdiag.analyze.secrets import why_not_copied
from evdiag.model import bundle
from evdiag.model.charger import CORES, SERVICE_LOGS
from evdiag.model.incident import NOTE_SUFFIX
from evdiag.parse.elf import ET_CORE, ElfError, read_header, read_segments

MIB, GIB = 1 << 20, 1 << 30
MAX_CORE_SIZE = 8 * GIB
MAX_TOTAL = 64 * GIB
"""Of all cores together, as large as they seem: on the disk they have a tenth of that."""
MAX_LOG = 256 * MIB
"""Of one log its end is kept: a report reads no more of it either."""
MAX_TEXTS = 2 * GIB
"""Of all logs and messages together."""
MAX_READ = 16 * GIB
"""Of a log, to come to its end: ten seconds. A sparse file may seem to have far more."""
MAX_PASSED = 32 * GIB
"""Of files that are not wanted of a folder: the engine sends them all the same."""
MAX_PASSED_CONFIG = 512 * MIB
"""The same for a folder with configuration."""
MAX_CONFIG = 16 * MIB
MAX_NOTE = MIB
MAX_FILES = 5_000
"""In one folder and below: a charger that has run for a year has a few hundred."""
MAX_OUTPUT_LINES = 1_000_000
"""Of what the container printed: the last ones, about 150 MB."""
WAIT = 60.0
"""Seconds for a core that is being written; then the core writer cuts it off itself."""
HEAD_OF_CORE = 4 * MIB
"""Bytes that hold the program headers of a core: 65,535 of them have 3.7 MB."""

CONFIG, STATE, LOGS, COREDIR = "config", "state", "logs", "cores"


class Root(msgspec.Struct, frozen=True, kw_only=True):
    """A folder of the container that is looked at."""

    path: str
    use: str
    """config, state, logs or cores."""
    target: str
    """Folder of the bundle for what is in it."""


CONFIG_ROOTS = (
    Root(path="/run/everest", use=CONFIG, target="config/everest"),
    Root(path="/etc/mosquitto", use=CONFIG, target="config/mosquitto"),
    Root(path="/run/mosquitto/conf.d", use=CONFIG, target="config/mosquitto/run"),
    Root(path="/etc/supervisor", use=CONFIG, target="config/supervisor"),
    Root(path="/var/lib/everest", use=STATE, target="config/state"),
)
LOG_ROOT = Root(path=SERVICE_LOGS, use=LOGS, target=bundle.LOGS)
CORE_ROOT = Root(path=CORES, use=COREDIR, target=bundle.CORES)
FACT_FILES = (
    ("/opt/everest/share/evdiag/build.json", "facts/build.json"),
    ("/opt/everest/share/everest/version_information.txt", "facts/version_information.txt"),
)
OUTPUT = "logs/output.log"

CERTIFICATES = "certificates and keys stay where they are"
PASSWORDS = "it is a file of passwords"
TWIN = "the text file beside it has the same"
NO_TEXT = "it is neither a core nor text"
NO_CONFIG = "it is no configuration"
NO_CORE = "it is called like a core, but it is none"
TOO_MANY = "there are more files than a bundle takes"
NO_FILE = "it is no file, or may not be read"
TOO_LARGE = "no log is that large"
TOO_MUCH = "the logs before it have all the room that a bundle gives them"
KNOWN = "an earlier bundle has it"
NO_CORES = "cores were not asked for (--no-cores)"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where in the bundle a file goes."""

    path: str
    kind: str
    limit: int
    """Bytes that are kept of it at most."""
    is_text: bool = False
    """Whether it is one for sure, zero bytes or not."""


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """A file that stays; without a reason nobody would miss it."""

    reason: str = ""


_PART = re.compile(r"\.(core\..*?)(\.json)?\.part")
"""What the core writer calls a core or a note until it is whole (container/capture/files.c)."""
_CORE = re.compile(r"core(\..*)?|.*\.core", re.DOTALL)
_LOG = re.compile(r"\.log(\.\d{1,4})?$")
_KEPT_STATE = (".json", ".yaml", ".yml", ".conf", ".cfg", ".ini", ".txt")
_OF_DISTRIBUTION = (".example", ".dpkg-dist", ".dpkg-old", "/README")
_SHARED_KEYS = re.compile(r"psk(file)?(\.\w+)?", re.IGNORECASE)
"""Of mosquitto: identities with their keys (mosquitto.conf(5), psk_file)."""
_SIZE = re.compile(r"(\d{1,15})(\.\d{1,6})?\s*([kmgt]?)(i?b)?", re.IGNORECASE | re.ASCII)
_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}


# -- names


def part_of(name: str) -> str | None:
    """What a file that is still being written will be called; None if it is none."""
    match = _PART.fullmatch(name)
    return match[1] + (match[2] or "") if match else None


def is_core_name(name: str) -> bool:
    """Whether a file is called as cores are: by the kernel, or by the core writer."""
    return bool(_CORE.fullmatch(name)) and not is_note_name(name)


def is_note_name(name: str) -> bool:
    """Whether a file is called as the core writer's notes are."""
    return name.startswith("core.") and name.endswith(NOTE_SUFFIX)


# -- places


def place(root: Root, below: str) -> Place | Left:
    """What becomes of a file of a folder; `below` is its path from there on."""
    if root.use == STATE and "certs" in below.split("/")[:-1]:
        return Left(reason=CERTIFICATES)
    if why := why_not_copied(f"{root.path}/{below}"):
        return Left(reason=why)
    if below.endswith((".html", ".htm")):
        return Left(reason=TWIN)
    if root.use == COREDIR:
        return _beside_cores(root, below)
    if root.use == LOGS:
        return _log(root.target, below, is_text=True)
    return _state(root, below) if root.use == STATE else _config(root, below)


def _config(root: Root, below: str) -> Place | Left:
    if f"/{below}".endswith(_OF_DISTRIBUTION):
        return Left()
    if _SHARED_KEYS.fullmatch(below.rpartition("/")[2]):
        return Left(reason=PASSWORDS)
    return Place(path=safe_path(root.target, below), kind="config", limit=MAX_CONFIG)


def _state(root: Root, below: str) -> Place | Left:
    if below.endswith(_KEPT_STATE):
        return _config(root, below)
    return Left(reason=NO_CONFIG)


def _beside_cores(root: Root, below: str) -> Place | Left:
    path = f"{root.path.rstrip('/')}/{below}"
    folder, _, name = path.rpartition("/")
    name = part_of(name) or name
    if is_note_name(name) or is_core_name(name):
        return core_place(f"{folder}/{name}")
    if not path.startswith(f"{CORES}/"):
        return _log(bundle.LOGS, path)
    below = path.removeprefix(f"{CORES}/")
    if "/" in below:
        return Place(path=safe_path(bundle.EVEREST, below), kind="everest", limit=MAX_LOG)
    return _log(bundle.LOGS, below)


def _log(target: str, below: str, *, is_text: bool = False) -> Place:
    sure = is_text or bool(_LOG.search(below))
    return Place(path=safe_path(target, below), kind="log", limit=MAX_LOG, is_text=sure)


def core_place(path: str) -> Place:
    """Where a core goes, or the note beside one; those of the usual folder lie at the top."""
    below = path.removeprefix(f"{CORES}/")
    core = safe_path(bundle.CORES, below.removesuffix(NOTE_SUFFIX))
    if is_note_name(path.rpartition("/")[2]):  # the name of its core, however that was changed
        return Place(path=core + NOTE_SUFFIX, kind="note", limit=MAX_NOTE)
    return Place(path=safe_path(bundle.CORES, below), kind="core", limit=0)


def core_file(pattern: str, working: str) -> str | None:
    """Where the kernel leaves a core of the container's first process, if that can be told."""
    if not pattern or pattern[0] in "|@" or "%" in pattern:
        return None
    folder = "" if pattern.startswith("/") else (working or "/").rstrip("/") + "/"
    path = folder + pattern
    return None if path.startswith(f"{CORES}/") else path


# -- sizes


def read_size(text: str) -> int:
    """Bytes: `500M`, `2G`, `1.5 GiB`, `0`. Raises ValueError."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError(text)
    number = int(match[1]) * _UNITS[match[3].lower()]
    return number + int(float(match[2] or 0) * _UNITS[match[3].lower()])


def expected_size(head: bytes) -> int | None:
    """How large a core has to be, by its program headers; None if they are not all there."""
    try:
        header = read_header(head)
        if header.type != ET_CORE:
            return None
        segments = read_segments(head, header)
    except ElfError:
        return None
    if not segments or len(segments) < header.segment_count:
        return None
    return max(segment.offset + segment.file_size for segment in segments)
