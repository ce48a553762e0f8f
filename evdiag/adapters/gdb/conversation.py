"""What a gdb that was started is told and asked, and what it answers.

The ways are an extractor inside gdb's Python, and plain commands where it has no Python. Whether
it worked is told by the answer's content: gdb ends with 0 even when it could not read the core.
"""

import base64
import posixpath
import re
import time
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

import msgspec

from evdiag.adapters.demangle import Demangler, load_demangler
from evdiag.adapters.files import make_room
from evdiag.adapters.gdb.plain import read_plainly
from evdiag.adapters.gdb.scene import CORE, PROGRAM, Scene
from evdiag.adapters.gdb.session import Session, quote
from evdiag.analyze.demangled import readable
from evdiag.analyze.gdb_place import HERE
from evdiag.errors import GdbDied, GdbRefused, GdbTimeout, GdbUnusable
from evdiag.model.values import Document, Request
from evdiag.parse.mi import MiError, read_document

STARTING = 20.0
"""Seconds for the first answer."""
PATIENCE = 4.0
"""Seconds for one value; the slowest good one that was seen took 1.7 on a large program."""
MAX_INDEXES = 2 << 30
LAST_WITH_INDEX = 13
"""The last version of gdb for which an index is worth its while."""
PRINTERS = ("values.py", "containers.py", "objects.py", "load.py")
EXTRACTOR = ("asked.py", "extractor.py")
"""Files in the folder `inside`."""

QUIET = (
    "set confirm off",
    "set pagination off",
    "set width 0",
    "set height 0",
    "set style enabled off",
    "set history save off",
    "set python print-stack none",
    "set backtrace past-main on",
    "set print frame-arguments none",
    "set print entry-values no",
    "set host-charset UTF-8",
    "set target-charset UTF-8",
    "set print frame-info short-location",
    "set disassembly-flavor intel",
    "maintenance set internal-error quit yes",
    "maintenance set internal-error corefile no",
    "maintenance set internal-warning quit no",
    "maintenance set internal-warning corefile no",
)
LANGUAGE = "set language c++"
"""gdb takes C when the innermost frame is libc's, and then knows no containers. It is quicker."""
MANGLED, READABLE = "set demangle-style none", "set demangle-style auto"
"""Two thirds of the time that gdb takes to load a program go into making the names of all of its
functions readable. It does without; the few that stand in values are made readable here."""
SOURCES, FORGET_SOURCES = "set substitute-path ", ("unset substitute-path",)
"""Where its sources lie, of one core; gdb adds each to those that it knows."""


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """gdb's answer, and how it came about."""

    document: Document
    gdb: str
    """Its version."""
    python: bool
    """False: plain commands."""
    place: str = HERE
    """Where it ran, in words."""
    notes: tuple[str, ...] = ()
    """What went wrong before it went right."""


class Conversation:
    """What a started gdb is told and asked, each time within the time that it has."""

    def __init__(self, session: Session, timeout: float) -> None:
        self.session, self.timeout = session, timeout
        self._deadline = 0.0
        self._python = False
        self._version: str | None = None
        self._settings: Sequence[str] = ()
        self._installed = False
        self._useless: str | None = None
        """What its Python said to the extractor, if it does not know enough."""

    def begin(self) -> None:
        """The time for the next answer begins."""
        self._deadline = time.monotonic() + self.timeout

    @property
    def _left(self) -> float:
        return max(self._deadline - time.monotonic(), 0.0)

    def load(self, scene: Scene, settings: Sequence[str], cache: Path | None) -> None:
        """Make it ready, and let it read the program. Raises GdbError."""
        self._python, self._version = self._greet()
        self._set((*QUIET, *settings, LANGUAGE, MANGLED))
        self._settings = settings
        if self._version and cache is not None:
            self._set(index_folder(cache, self._version))
        if scene.program is not None:
            self.session.run(f"-file-exec-and-symbols {PROGRAM}", self._left)

    def change(self, settings: Sequence[str]) -> None:
        """Make it ready for another core. Raises GdbError.

        What stays as it was is not said again: gdb would read all libraries of the core before.
        """
        if settings != self._settings:
            stale = FORGET_SOURCES if any(s.startswith(SOURCES) for s in self._settings) else ()
            known = self._settings
            self._set((*stale, *(s for s in settings if s not in known or s.startswith(SOURCES))))
            self._settings = settings
        self._set((MANGLED,))

    def show(self) -> None:
        """Let it read the core that lies before it. Raises GdbError."""
        self.session.run(f"-target-select core {CORE}", self._left)
        self._set((READABLE,))

    def has_read(self, libraries: frozenset[str]) -> bool:
        """Whether it knows these libraries of the core, and has read their symbols."""
        result = self.session.ask("-file-list-shared-libraries", self._left)
        listed = self.session.results(result).get("shared-libraries") or []
        loaded = {
            posixpath.normpath(str(entry.get("target-name")))
            for entry in listed
            if isinstance(entry, dict) and entry.get("symbols-loaded") == "1"
        }
        return libraries <= loaded

    def answer(self, request: Request, *, plain: bool) -> Answer:
        """What it says of the core that it was shown. Raises GdbError."""
        # The answer has to come before the time is over, also when values take all of it.
        request = msgspec.structs.replace(request, seconds=min(request.seconds, 0.8 * self._left))
        document = None
        if self._python and not plain:
            document = self._extract(request)
        used_python = document is not None
        if document is None:
            document = read_plainly(self.session, request, PATIENCE)
        document = readable(document, Demangler(load_demangler()), request.longest)
        gdb = self._version or "gdb"
        if not sees_the_crash(document, request):
            said = f"gdb {self._version or ''} does not see the crash: is it of this machine?"
            raise GdbRefused(said)
        notes = (self._useless,) if self._useless is not None else ()
        return Answer(document=document, gdb=gdb, python=used_python, notes=notes)

    def _greet(self) -> tuple[bool, str | None]:
        """(whether it has Python, version). Raises GdbUnusable if it is no gdb."""
        try:
            features = self.session.results(
                self.session.run("-list-features", min(STARTING, self._left))
            ).get("features", [])
            self.session.run("-gdb-version", self._left)
        except (GdbDied, GdbTimeout, GdbRefused) as error:
            raise GdbUnusable(str(error)) from None
        first = self.session.said[0].splitlines()[0].split() if self.session.said else []
        return "python" in features, first[-1] if first else None

    def _set(self, commands: tuple[str, ...]) -> None:
        """Settings; a gdb that does not know one does without."""
        for command in commands:
            self.session.ask(f"-interpreter-exec console {quote(command)}", self._left)

    def _extract(self, request: Request) -> Document | None:
        """The document of the extractor; None where this gdb is too old for it."""
        if not self._installed:
            packed = base64.b64encode(inside(*PRINTERS, *EXTRACTOR)).decode()
            code = f"python import base64;exec(base64.b64decode('{packed}').decode())"
            installed = self.session.ask(f"-interpreter-exec console {quote(code)}", self._left)
            if installed.cls == "error":
                said = self.session.message(installed)
                self._useless, self._python = f"gdb's Python is of no use: {said}", False
                return None
            self._installed = True
        words = msgspec.json.encode(request).hex()
        result = self.session.run(f"-evdiag-values {words}", self._left, PATIENCE)
        try:
            return read_document(result)
        except MiError as error:
            raise GdbRefused(str(error)) from None


def sees_the_crash(document: Document, request: Request) -> bool:
    """Whether gdb's crashed thread is where it died: it is not, on a machine unknown to gdb."""
    crashed = next((t for t in document.threads if t.lwp == request.crashed), None)
    if crashed is None or not crashed.frames:
        return False
    return request.pc is None or crashed.frames[0].pc == request.pc


def index_folder(cache: Path, version: str) -> tuple[str, ...]:
    """Settings that let gdb keep the index that it makes of each file, by build-id.

    Measured: gdb 13 then takes a quarter less time, gdb 18 a quarter more.
    """
    major = version.partition(".")[0]
    if not major.isdecimal() or int(major) > LAST_WITH_INDEX:
        return ()
    folder = cache / "gdb-index" / re.sub(r"[^\w.-]", "_", version)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        make_room(folder, MAX_INDEXES)
    except OSError:
        return ()
    return f"set index-cache directory {folder}", "set index-cache enabled on"


def inside(*names: str) -> bytes:
    """The text of files that run inside gdb's Python, one after the other."""
    folder = resources.files("evdiag.adapters.gdb").joinpath("inside")
    return b"\n".join(folder.joinpath(name).read_bytes() for name in names)
