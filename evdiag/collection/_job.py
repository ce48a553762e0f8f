"""What all parts of a collection share: the bundle, what is told, and one file put into it."""

import time
from collections.abc import Callable, Collection, Iterator
from typing import Protocol

import msgspec

from evdiag.adapters.bundle.writer import BundleWriter
from evdiag.adapters.incident import is_core
from evdiag.analyze import collect_plan as plan
from evdiag.collection._redaction import Redactor
from evdiag.collection._sources import Source
from evdiag.errors import (
    DamagedBundle,
    DiskFull,
    EngineRefused,
    EngineTimeout,
    EngineUnreachable,
    EvdiagError,
    NoSuchContainer,
    OutputNotWritten,
)
from evdiag.model.bundle import FileEntry
from evdiag.parse.collect_inside import Found
from evdiag.parse.tar import TarError, TarMember
from evdiag.report.collected import transfer

OFTEN = 0.1
"""Seconds between two looks at what is told live."""
HEAD = 1 << 14
"""Bytes that tell what a file is."""
THE_END = (EngineUnreachable, NoSuchContainer, DiskFull, OutputNotWritten, DamagedBundle)
"""After these nothing more can be had from the container, or nothing more written."""


class Progress(Protocol):
    """Who is told what goes on: console.Steps, and whatever has the same methods."""

    def begin(self, text: str) -> None:
        """A step starts."""

    def at(self, detail: str) -> None:
        """What it is at."""

    def done(self, text: str = "") -> None:
        """The step is over."""

    def warn(self, text: str) -> None:
        """Something that the user should know."""


class Job:
    """One bundle that is being made."""

    def __init__(
        self, writer: BundleWriter, source: Source, redactor: Redactor, progress: Progress
    ) -> None:
        self.writer, self.source, self.redactor = writer, source, redactor
        self.progress = progress
        self.texts_left = plan.MAX_TEXTS
        self.done: set[str] = set()
        """Origins of this attempt's files, taken or left out."""
        self.copied: set[str] = set()
        """Origins of the cores among them that are in the bundle."""

    # -- what may fail alone

    def part(self, what: str, get: Callable[[], None]) -> None:
        """Get something that the bundle can do without. Raises only where the engine is gone."""
        try:
            get()
        except THE_END:
            raise
        except EngineTimeout as error:
            self.source.ask_engine()  # one that answers nothing at all is gone
            self.writer.problem(f"{what}: {error}")
        except (EvdiagError, TarError) as error:
            self.writer.problem(f"{what}: {error}")
        except (FileNotFoundError, NotADirectoryError):
            return  # not every container has everything

    # -- bytes

    def counted(self, pieces: Iterator[bytes], size: int | None) -> Iterator[bytes]:
        """The same pieces, while the user sees how they come."""
        begun = told = time.monotonic()
        done = 0
        for piece in pieces:
            done += len(piece)
            now = time.monotonic()
            if now - told > OFTEN:
                told = now
                self.progress.at(transfer(done, size, now - begun))
            yield piece

    def text(self, place: plan.Place, found: Found, pieces: Iterator[bytes], *, keep: bool) -> None:
        """Put a text into the bundle, without its secrets. Raises what `pieces` raises."""
        head, pieces = peeked(pieces)
        if b"\0" in head and not place.is_text:
            self.leave(found, plan.NO_TEXT)
            return
        if found.size > plan.MAX_READ:
            self.leave(found, plan.TOO_LARGE)
            return
        kept = min(found.size, place.limit)
        if kept > self.texts_left:
            self.leave(found, plan.TOO_MUCH)
            return
        self.texts_left -= kept
        cut = found.size - place.limit
        if cut > 0:
            pieces = without_begin(pieces, cut)
        self.redactor.begin(place.path)
        entry = self.writer.add(
            *(place.path, place.kind, found.path, self.redactor.lines(pieces)),
            modified=found.time, original_bytes=found.size, keep_part=keep,
        )  # fmt: skip
        count = self.redactor.count()
        end_only = f"only its last {place.limit:,} bytes" if cut > 0 else entry.truncated
        self.said(entry, truncated=end_only, redacted=count)
        self.done.add(found.path)

    def said(self, entry: FileEntry, **changes: object) -> FileEntry:
        """Say more of a file that is in the bundle."""
        new = msgspec.structs.replace(entry, **changes)
        return entry if new == entry else self.writer.change(entry, new)

    def leave(self, found: Found, reason: str) -> None:
        """Say of a file why it is not in the bundle; once."""
        if found.path not in self.done:
            self.done.add(found.path)
            if reason:
                self.writer.skip(found.path, reason, found.size)


# -- pieces


def peeked(pieces: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, and all of them; that they were cut off is told after those that came."""
    held: list[bytes] = []
    size = 0
    cut: TarError | None = None
    try:
        for piece in pieces:
            held.append(piece)
            size += len(piece)
            if size >= HEAD:
                break
    except TarError as error:
        cut = error
    head = b"".join(held)

    def whole() -> Iterator[bytes]:
        if head:
            yield head
        if cut is not None:
            raise cut
        yield from pieces

    return head[:HEAD], whole()


def without_begin(pieces: Iterator[bytes], count: int) -> Iterator[bytes]:
    """The pieces after so many bytes, from the begin of a line on if one is near."""
    waiting = True
    for piece in pieces:
        if count >= len(piece):
            count -= len(piece)
            continue
        rest = piece[count:]
        count = 0
        if waiting:
            waiting = False
            rest = rest[rest.find(b"\n") + 1 :]
        yield rest


class Noticed:
    """What comes from a folder, and what broke it off, which a bundle's writer keeps to itself."""

    def __init__(self, items: Iterator[TarMember | bytes]) -> None:
        self._items = items
        self.broken: TarError | EvdiagError | None = None

    def __iter__(self) -> Iterator[TarMember | bytes]:
        try:
            yield from self._items
        except (TarError, EvdiagError) as error:
            self.broken = error
            raise


def files_of(
    items: Iterator[TarMember | bytes], root: str, most: int, copied: Collection[str] = ()
) -> Iterator[tuple[str, Found, TarMember, Iterator[bytes]]]:
    """(path below the root, the file, its member, its content) of a folder, one after the other.

    What is not read of a file is passed over. Raises what `items` raises, and EngineRefused where
    that is more than `most` bytes: a sparse file may seem to be larger than anybody can read. What
    is `copied` already does not count.
    """
    passed = 0
    member: TarMember | None = None
    waiting: list[TarMember] = []

    def content() -> Iterator[bytes]:
        for item in items:
            if isinstance(item, TarMember):
                waiting.append(item)
                return
            yield item

    while True:
        member = waiting.pop() if waiting else next(_members(items), None)
        if member is None:
            return
        below = member.name.partition("/")[2].rstrip("/")
        pieces = content()
        path = f"{root.rstrip('/')}/{below}" if below else root
        if below or member.kind == "file":
            found = Found(path=path[:5000], size=member.size, time=member.modified)
            yield below, found, member, pieces
        for piece in pieces:
            passed += 0 if path in copied else len(piece)
            if passed > most:
                raise EngineRefused(
                    f"the files after {member.name[:500]!r} were not looked at: too much would "
                    "have to be read before them"
                )


def _members(items: Iterator[TarMember | bytes]) -> Iterator[TarMember]:
    return (item for item in items if isinstance(item, TarMember))


def looks_like_core(head: bytes) -> bool:
    """Whether a file that begins like this may be a core; an empty one was to become one."""
    return not head or is_core(head)
