"""Values of variables from gdb: the first gdb that works, by the best way that it knows.

A sitting asks one gdb about many cores of the same files: what takes gdb most of its time, the
symbols of the program, is then loaded once.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from evdiag.adapters.gdb.conversation import EXTRACTOR, PRINTERS, Answer, Conversation
from evdiag.adapters.gdb.find import candidates
from evdiag.adapters.gdb.places import Here, NotHere, Place
from evdiag.adapters.gdb.scene import Scene
from evdiag.adapters.gdb.session import Session
from evdiag.adapters.gdb.sets import FileMarks, FileSet, linked
from evdiag.errors import GdbDied, GdbError, GdbMissing, GdbRefused, GdbTimeout, GdbUnusable
from evdiag.model.values import Request

__all__ = ["EXTRACTOR", "PRINTERS", "SAFE", "Answer", "Debugger", "Sitting", "Sittings"]

TIMEOUT = 120.0
"""Seconds for one gdb, from start to answer."""
MOST_CORES = 32
"""For one gdb, one after the other: what it keeps of each adds up."""
SAFE = (
    *("-nx", "-nh", "-q"),
    *("-iex", "set auto-load no"),
    *("-iex", "set debuginfod enabled off"),
    *("-iex", "set libthread-db-search-path $sdir"),
)
"""No init files of anybody, no scripts and no helper libraries out of the files that are read, no
network."""

Progress = Callable[[str], None]


class Debugger:
    """Reads values with whatever gdb there is; one object for all cores of a run.

    `places` are tried before this machine's own gdbs, unless the user has named one.
    """

    def __init__(
        self, named: str | None, cache: Path, timeout: float = TIMEOUT,
        progress: Progress | None = None, places: Sequence[Place] = (),
    ) -> None:  # fmt: skip
        self.named, self.cache, self.timeout = named, cache, timeout
        self.titles = tuple(place.title for place in places) if named is None else ()
        """Of the places, in words."""
        self._progress = progress
        self._places = list(places) if named is None else []

    def values(self, scene: Scene, request: Request) -> Answer:
        """The answer of a gdb of its own. Raises GdbError of the last gdb that was tried."""
        with self.sitting() as sitting:
            return sitting.values(scene, request)

    def sitting(self) -> "Sitting":
        """For several cores of the same files."""
        return Sitting(self)

    def sittings(self) -> "Sittings":
        """For cores of any files, as they come."""
        return Sittings(self)

    def begin(self, scene: Scene) -> None:
        """Tell the user that a core is looked at."""
        if self._progress:
            self._progress(f"gdb reads variables of {scene.core.name}")

    def all_places(self, scene: Scene, notes: list[str]) -> Iterator[Place]:
        """Where gdb may be, best first. Raises GdbMissing if that is nowhere."""
        yield from tuple(self._places)
        try:
            gdbs = candidates(self.named, scene.machine)
        except GdbMissing as error:
            raise GdbMissing("; ".join([*notes, str(error)]), advice=error.advice) from None
        yield from map(Here, gdbs)

    def give_up(self, place: Place) -> None:
        """A place that was of no use will be of none for the next core."""
        if place in self._places:
            self._places.remove(place)


class Sitting:
    """One gdb for cores of the same files, one after the other (`sets.FileMarks.set_of`).

    It is started when it is needed, and ended with the block. A core that it cannot be asked
    about any more, whatever the reason is, gets a new one: so it has what a gdb of its own tells.
    """

    def __init__(self, debugger: Debugger) -> None:
        self._debugger = debugger
        self._gdb: _Running | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._end(died=kind is not None and not issubclass(kind, GeneratorExit))

    def values(self, scene: Scene, request: Request) -> Answer:
        """gdb's answer. Raises GdbError of the last gdb that was tried."""
        self._debugger.begin(scene)
        if self._gdb is not None:
            try:
                return self._ask(self._gdb, scene, request)
            except GdbTimeout:
                raise
            except GdbError:
                pass  # perhaps for what it has seen before
        return self._of_its_own(scene, request)

    def _of_its_own(self, scene: Scene, request: Request) -> Answer:
        """The answer of the first new gdb that works."""
        notes: list[str] = []
        failed: GdbError | None = None
        died: Place | None = None
        for place in self._debugger.all_places(scene, notes):
            try:
                return self.ask_in(place, scene, request, notes)
            except NotHere:
                continue
            except GdbTimeout:
                raise
            except GdbError as error:
                failed = error
                died = died or (place if isinstance(error, GdbDied) else None)
                notes.append(str(error))
                if isinstance(error, GdbUnusable):
                    self._debugger.give_up(place)
        assert failed is not None
        if isinstance(failed, GdbDied) and died is not None:
            # perhaps it was the extractor's way that it died of
            try:
                return self.ask_in(died, scene, request, notes, plain=True)
            except GdbError as error:
                failed = error
        raise failed

    def ask_in(
        self, place: Place, scene: Scene, request: Request, before: Sequence[str] = (), *,
        plain: bool = False,
    ) -> Answer:  # fmt: skip
        """The answer of a new gdb in that place; `before` is what went wrong before it.

        `plain` does without the gdb's Python. Raises NotHere, GdbError.
        """
        self._end()
        self._gdb = _Running(place, scene, self._debugger)
        answer = self._ask(self._gdb, scene, request, plain=plain)
        return msgspec.structs.replace(answer, notes=(*before, *answer.notes))

    def _ask(
        self, gdb: "_Running", scene: Scene, request: Request, *, plain: bool = False
    ) -> Answer:
        """An answer; the gdb is ended, unless it may be asked on. Raises GdbError."""
        died = True
        try:
            answer = gdb.answer(scene, request, plain=plain)
            died = False
        finally:
            if died or plain or not gdb.goes_on:
                self._end(died=died)
        return msgspec.structs.replace(answer, place=gdb.place.title)

    def _end(self, *, died: bool = False) -> None:
        gdb, self._gdb = self._gdb, None
        if gdb is not None:
            gdb.end(died=died)


class Sittings:
    """Cores of the same files that follow each other have one gdb; it is ended with the block."""

    def __init__(self, debugger: Debugger) -> None:
        self._debugger, self._files = debugger, FileMarks()
        self._set: FileSet | None = None
        self._sitting: Sitting | None = None
        self._held = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:  # fmt: skip
        self._held.__exit__(kind, error, trace)

    def values(self, scene: Scene, request: Request) -> Answer:
        """gdb's answer. Raises GdbError of the last gdb that was tried."""
        files = self._files.set_of(scene)
        if self._sitting is None or files != self._set:
            self._held.close()
            self._set = files
            self._sitting = self._held.enter_context(self._debugger.sitting())
        return self._sitting.values(scene, request)


class _Running:
    """A gdb in some place, from its start to its end. Raises NotHere, GdbUnusable."""

    def __init__(self, place: Place, scene: Scene, debugger: Debugger) -> None:
        self.place = place
        self._cache = debugger.cache if place.keeps_index else None
        self._held = contextlib.ExitStack()
        arguments = (*SAFE, "--interpreter=mi3")
        self._opened = self._held.enter_context(place.opened(scene, arguments))
        self._conversation = Conversation(Session(self._opened.talk), debugger.timeout)
        self._shown: Scene | None = None
        self._checked: Scene | None = None
        self._cores = 0

    @property
    def goes_on(self) -> bool:
        """Whether it may be asked about another core.

        One that was interrupted may get that too late: what it then gives up is the next command.
        """
        interrupted = self._conversation.session.interrupts > 0
        return self._opened.turn is not None and not interrupted and self._cores < MOST_CORES

    def answer(self, scene: Scene, request: Request, *, plain: bool) -> Answer:
        """What it says of a core, within the time for one. Raises GdbError."""
        talk = self._conversation
        talk.begin()
        if self._shown is None:
            talk.load(scene, self._opened.settings, self._cache)
            talk.show()
        elif scene is not self._shown and self._opened.turn is not None:
            self._check(self._shown)
            talk.change(self._opened.turn(scene))
            talk.show()
            self._check(scene)
        self._cores += scene is not self._shown
        self._shown = scene
        return talk.answer(request, plain=plain)

    def _check(self, scene: Scene) -> None:
        """Make sure that gdb has understood a core, and that nothing of it stays for the next one.

        Raises GdbError.
        """
        if scene is self._checked:
            return
        libraries = linked(scene)
        if libraries is None or not self._conversation.has_read(libraries):
            raise GdbRefused(f"{scene.core.name} needs a gdb of its own")
        self._checked = scene

    def end(self, *, died: bool) -> None:
        """End it, politely unless it has misbehaved, and remove what it was given."""
        with self._held:
            self._conversation.session.end(died=died)
