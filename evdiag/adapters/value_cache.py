"""What gdb said about cores in earlier runs: who asks the same again starts no gdb.

One file for each answer, below the user's cache directory: written in one step, so that runs at
the same time do not disturb each other, and checked when it is read. Every file there may be
deleted or damaged at any time. Values are what a core's memory held: for their owner's eyes only.
"""

import contextlib
import os
import zlib
from functools import cache
from hashlib import blake2b
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Protocol

import msgspec

from evdiag import __version__
from evdiag.adapters.files import make_room, read_head, replacing
from evdiag.adapters.gdb.conversation import Answer
from evdiag.adapters.gdb.debugger import Debugger
from evdiag.adapters.gdb.find import marks
from evdiag.adapters.gdb.scene import Scene
from evdiag.adapters.gdb.sets import FileMarks
from evdiag.errors import GdbMissing
from evdiag.model.values import Request

MAX_BYTES = 512 << 20
"""Of all answers together; those used least recently go first."""
MAX_ENTRY = 64 << 20
"""Bytes of one answer; a core with 400 threads has 2 MB of values."""
CHECK = 16
CODE = ("adapters/gdb", "adapters/demangle.py", "analyze/demangled.py", "model/values.py",
        "parse/mi.py")  # fmt: skip
"""What decides how gdb is asked, and what becomes of its answer."""


class Asked(Protocol):
    """Who knows values: a gdb, or somebody who remembers what it said."""

    def values(self, scene: Scene, request: Request) -> Answer:
        """The answer about a core. Raises GdbError."""


class ValueCache:
    """Answers by what was asked of which gdb about which core with which files."""

    def __init__(self, folder: Path, limit: int = MAX_BYTES) -> None:
        """`folder` is evdiag's cache directory."""
        self.folder, self.limit = folder / "values", limit
        self._new = limit
        """Bytes that were written since room was made."""

    def find(self, key: str) -> Answer | None:
        """What was kept under a key; None if there is nothing, or nothing whole."""
        path = self._path(key)
        try:
            raw = read_head(path, MAX_ENTRY + 1)
            check, packed = raw[:CHECK], raw[CHECK:]
            if check != _check(key, packed):
                return None
            unpacked = zlib.decompressobj().decompress(packed, MAX_ENTRY)
            answer = msgspec.json.decode(unpacked, type=Answer)
        except (OSError, zlib.error, msgspec.DecodeError):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # it was used
        return answer

    def keep(self, key: str, answer: Answer) -> None:
        """Keep an answer, if there is room for it. Never raises."""
        try:
            raw = msgspec.json.encode(answer)
        except UnicodeEncodeError:  # notes name files, and these may have any bytes in their names
            return
        if len(raw) >= MAX_ENTRY:
            return
        packed = zlib.compress(raw, 1)
        with contextlib.suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with replacing(self._path(key)) as file:
                file.write(_check(key, packed) + packed)
            self._new += len(packed)
            if self._new > self.limit // 16:
                make_room(self.folder, self.limit, self._path(key))
                self._new = 0

    def _path(self, key: str) -> Path:
        return self.folder / key


class Remembered:
    """Answers about one core: those that were kept, else those of a gdb, which then are kept."""

    def __init__(
        self, known: ValueCache, files: FileMarks, content: str, debugger: Debugger, gdb: Asked
    ) -> None:
        """`content` is the digest of the core; `gdb` is asked in the name of `debugger`."""
        self._known, self._files, self._content = known, files, content
        self._debugger, self._gdb = debugger, gdb

    def values(self, scene: Scene, request: Request) -> Answer:
        """The answer about the core. Raises GdbError."""
        key = self._key(scene, request)
        answer = self._known.find(key)
        if answer is None:
            answer = self._gdb.values(scene, request)
            if is_final(answer):
                self._known.keep(key, answer)
        return answer

    def _key(self, scene: Scene, request: Request) -> str:
        """What the answer depends on. A gdb is told by its file: asking would mean to start it."""
        debugger = self._debugger
        try:
            gdbs = marks(debugger.named, scene.machine)
        except GdbMissing:
            gdbs = ()
        # only names of source files depend on where these lie
        maps = scene.source_maps if request.places else ()
        found = (
            (__version__, _code(), self._content, request, debugger.titles, gdbs),
            (self._files.set_of(scene), maps),
        )
        # not JSON: names of files may have any bytes
        return blake2b(repr(found).encode(), digest_size=20).hexdigest()


def is_final(answer: Answer) -> bool:
    """Whether gdb would say the same again: not where time or gdb's life was too short.

    A value that was given up is mostly one that never ends, as that of a damaged container.
    """
    second_best = bool(answer.notes) and not answer.python
    return answer.document.late == 0 and not second_best


def _check(key: str, packed: bytes) -> bytes:
    return blake2b(packed, digest_size=CHECK, key=key.encode()).digest()


@cache
def _code() -> str:
    """The state of evdiag's own part of the answers."""
    found = blake2b(digest_size=20)
    for name in CODE:
        _add(found, resources.files("evdiag").joinpath(name))
    return found.hexdigest()


def _add(found: blake2b, place: Traversable) -> None:
    if place.is_dir():
        for inner in sorted(place.iterdir(), key=lambda each: each.name):
            _add(found, inner)
    elif place.name.endswith(".py"):
        found.update(place.read_bytes())
