"""Values of variables from gdb: the first gdb that works, by the best way that it knows.

The ways are an extractor inside gdb's Python, and plain commands where it has no Python. Whether
it worked is told by the answer's content: gdb ends with 0 even when it could not read the core.
"""

import base64
import re
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path

import msgspec

from evdiag.adapters.demangle import Demangler, load_demangler
from evdiag.adapters.files import make_room
from evdiag.adapters.gdb.find import candidates
from evdiag.adapters.gdb.places import Here, NotHere, Place
from evdiag.adapters.gdb.plain import read_plainly
from evdiag.adapters.gdb.scene import CORE, PROGRAM, Scene
from evdiag.adapters.gdb.session import Session, quote
from evdiag.analyze.demangled import readable
from evdiag.analyze.gdb_place import HERE
from evdiag.errors import GdbDied, GdbError, GdbMissing, GdbRefused, GdbTimeout, GdbUnusable
from evdiag.model.values import Document, Request
from evdiag.parse.mi import MiError, read_document

TIMEOUT = 120.0
"""Seconds for one gdb, from start to answer."""
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

SAFE = (
    *("-nx", "-nh", "-q"),
    *("-iex", "set auto-load no"),
    *("-iex", "set debuginfod enabled off"),
    *("-iex", "set libthread-db-search-path $sdir"),
)
"""No init files of anybody, no scripts and no helper libraries out of the files that are read, no
network."""

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

Progress = Callable[[str], None]


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


class Debugger:
    """Reads values with whatever gdb there is; one object for all cores of a run.

    `places` are tried before this machine's own gdbs, unless the user has named one.
    """

    def __init__(
        self, named: str | None, cache: Path, timeout: float = TIMEOUT,
        progress: Progress | None = None, places: Sequence[Place] = (),
    ) -> None:  # fmt: skip
        self.named, self.cache, self.timeout = named, cache, timeout
        self._progress = progress
        self._places = list(places) if named is None else []

    def values(self, scene: Scene, request: Request) -> Answer:
        """gdb's answer. Raises GdbError of the last gdb that was tried."""
        notes: list[str] = []
        failed: GdbError | None = None
        died: Place | None = None
        for place in self._all_places(scene, notes):
            try:
                return self._ask(place, scene, request, notes, plain=False)
            except NotHere:
                continue
            except GdbTimeout:
                raise
            except GdbError as error:
                failed = error
                died = died or (place if isinstance(error, GdbDied) else None)
                notes.append(str(error))
                if isinstance(error, GdbUnusable) and place in self._places:
                    self._places.remove(place)  # nor will it be for the next core
        assert failed is not None
        if isinstance(failed, GdbDied) and died is not None:
            # perhaps it was the extractor's way that it died of
            try:
                return self._ask(died, scene, request, notes, plain=True)
            except GdbError as error:
                failed = error
        raise failed

    def _all_places(self, scene: Scene, notes: list[str]) -> Iterator[Place]:
        """Where gdb may be, best first. Raises GdbMissing if that is nowhere."""
        yield from tuple(self._places)
        try:
            gdbs = candidates(self.named, scene.machine)
        except GdbMissing as error:
            raise GdbMissing("; ".join([*notes, str(error)]), advice=error.advice) from None
        yield from map(Here, gdbs)

    def _ask(
        self, place: Place, scene: Scene, request: Request, notes: list[str], *, plain: bool
    ) -> Answer:
        if self._progress:
            self._progress(f"gdb reads variables of {scene.core.name}")
        cache = self.cache if place.keeps_index else None
        with place.opened(scene, (*SAFE, "--interpreter=mi3")) as opened:
            conversation = _Conversation(Session(opened.talk), self.timeout)
            good = False
            try:
                answer = conversation.answer(scene, request, opened.settings, cache, plain=plain)
                good = True
            finally:
                conversation.session.end(died=not good)
        notes = [*notes, *conversation.notes]
        return msgspec.structs.replace(answer, notes=tuple(notes), place=place.title)


class _Conversation:
    """From a started gdb to its answer, within the time that it has."""

    def __init__(self, session: Session, timeout: float) -> None:
        self.session = session
        self.deadline = time.monotonic() + timeout
        self.notes: list[str] = []

    @property
    def _left(self) -> float:
        return max(self.deadline - time.monotonic(), 0.0)

    def answer(
        self,
        scene: Scene,
        request: Request,
        settings: Sequence[str],
        cache: Path | None,
        *,
        plain: bool,
    ) -> Answer:
        python, version = self._greet()
        self._set((*QUIET, *settings, LANGUAGE, MANGLED))
        if version and cache is not None:
            self._set(index_folder(cache, version))
        if scene.program is not None:
            self.session.run(f"-file-exec-and-symbols {PROGRAM}", self._left)
        self.session.run(f"-target-select core {CORE}", self._left)
        self._set((READABLE,))
        # The answer has to come before the time is over, also when values take all of it.
        request = msgspec.structs.replace(request, seconds=min(request.seconds, 0.8 * self._left))
        document = None
        if python and not plain:
            document = self._extract(request)
        used_python = document is not None
        if document is None:
            document = read_plainly(self.session, request, PATIENCE)
        document = readable(document, Demangler(load_demangler()), request.longest)
        if not sees_the_crash(document, request):
            raise GdbRefused(f"gdb {version or ''} does not see the crash: is it of this machine?")
        return Answer(document=document, gdb=version or "gdb", python=used_python)

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
        packed = base64.b64encode(inside(*PRINTERS, *EXTRACTOR)).decode()
        code = f"python import base64;exec(base64.b64decode('{packed}').decode())"
        installed = self.session.ask(f"-interpreter-exec console {quote(code)}", self._left)
        if installed.cls == "error":
            self.notes.append(f"gdb's Python is of no use: {self.session.message(installed)}")
            return None
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
