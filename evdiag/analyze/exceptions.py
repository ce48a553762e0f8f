"""C++ exceptions that are alive in the memory of the process, found in two independent ways.

1. Each thread has a list of the exceptions that it handles (`__cxa_eh_globals`, a thread-local
   variable of libstdc++). std::terminate puts the exception that nobody caught there, too.
2. Each exception carries the mark of libstdc++. A search through the heap finds them all, also
   without the file of libstdc++, and also those that other exceptions or std::exception_ptr hold.
"""

from collections.abc import Iterable, Iterator

import msgspec

from evdiag.analyze.exception_text import Text, text_of
from evdiag.analyze.exports import LIBSTDCXX, loaded_address
from evdiag.analyze.rtti import CLASSES, Demangle, Part, TypeInfo, Types, readable
from evdiag.analyze.space import AddressSpace
from evdiag.model.core import WRITE, Region, ThreadState
from evdiag.model.report import Address, CxxException
from evdiag.parse.cxxabi import (
    BEFORE,
    DEPENDENT,
    HEADER,
    MARK,
    OBJECT,
    PRIMARY,
    ExceptionHeader,
    read_header,
)
from evdiag.parse.threadlocal import (
    CODE_BYTES,
    ThreadLocal,
    find_thread_local,
    locate,
    thread_pointer,
)

MAX_CHAIN = 64
"""Handlers inside of handlers that are followed."""
MAX_SHOWN = 16
"""Exceptions that are described."""
MAX_NESTED = 8
"""How deep std::nested_exception is followed."""
MAX_MARKS = 4096
"""Places with the mark that are looked at: a program has a handful."""
MAX_SEARCHED, SHORT_SEARCH = 1 << 28, 1 << 24
"""Bytes of the heap that are searched, at 1.5 GB a second: much while nothing is found, and little
more for what else is alive."""
CHUNK = 1 << 20
STACK_BYTES = 1 << 13
"""Of the stack above the stack pointer: there lies the address of the exception that __cxa_throw
and std::terminate work on."""
MAX_OTHER_THREADS = 2000
MAX_UNCAUGHT = 1 << 16
"""More exceptions in flight than any thread has: then the list was read from a wrong place."""
DEFAULT_OBJECT = 256
"""Bytes of an object whose allocation does not tell them."""
MAX_ALLOCATION = 1 << 24
NESTED = "St16nested_exception"
GET_GLOBALS = "__cxa_get_globals"
MUSL = "/ld-musl"
"""In the path of the C library of Alpine Linux."""

TLS, SEARCH = "the thread's own list of exceptions", "a search of the heap"


class Thrown(msgspec.Struct, frozen=True, kw_only=True):
    """One exception that is alive."""

    header: ExceptionHeader
    """Of the exception itself, never of a dependent one."""
    type: TypeInfo
    handled_by_library: bool
    """Whether the last handler that was found for it is in libstdc++: that of its terminate
    handler, which throws the exception again to print it."""
    on_stack: bool
    """Whether its address is on the stack near where the thread ended."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """The exceptions of a process, from the view of one thread."""

    exceptions: tuple[CxxException, ...] = ()
    """The one that the thread handles, or most likely threw, first."""
    handled: bool | None = None
    """Whether the first one is in the hands of the thread; None: the thread's list is not known."""
    ended: bool = False
    """Whether memory alone shows that the first one was given to libstdc++'s terminate handler."""
    evidence: tuple[str, ...] = ()


class _Globals(msgspec.Struct, frozen=True):
    """`__cxa_eh_globals` of a thread."""

    caught: tuple[ExceptionHeader, ...]
    in_flight: int


def find_exceptions(space: AddressSpace, state: ThreadState, demangle: Demangle) -> Found:
    """The exceptions that are alive, those of the crashed thread first."""
    return _Finder(space, state, demangle).find()


class _Finder:
    def __init__(self, space: AddressSpace, state: ThreadState, demangle: Demangle) -> None:
        self.space, self.memory, self.state = space, space.memory, state
        self.types = Types(space)
        self.demangle = demangle
        self.machine = space.facts.machine
        self.stack = self._stack_words()
        self.skipped = 0

    def find(self) -> Found:
        if self.machine.word != 8:
            return Found()
        place = self._place()
        own = self._globals(self.state, place) if place is not None else None
        listed = self._thrown(own.caught, sure=True) if own is not None else []
        marked = self._thrown(self._search(bool(listed)))
        return self._report(place, own, listed, marked)

    def _report(
        self,
        place: ThreadLocal | None,
        own: _Globals | None,
        listed: list[Thrown],
        marked: list[Thrown],
    ) -> Found:
        known = {thrown.header.at for thrown in listed}
        rest = [thrown for thrown in marked if thrown.header.at not in known]
        rest.sort(key=lambda t: (not t.handled_by_library, not t.on_stack, t.header.at))
        ordered = [*listed, *rest]
        if not ordered:
            return Found(handled=False if own is not None else None)
        elsewhere = self._of_other_threads(place, rest) if rest else set()
        first = ordered[0]
        nested = self._nested(ordered)
        roles = dict.fromkeys(_in_flight(rest, own), "thrown")
        roles |= dict.fromkeys([*known, *elsewhere], "caught") | dict.fromkeys(nested, "nested")
        shown, guesses = self._described(ordered, roles)
        more = len(ordered) - len(shown)
        ways = [TLS] if listed else []
        ways += [SEARCH] if first.header.at in {t.header.at for t in marked} else []
        evidence = [f"the exception was found by {' and by '.join(ways)}"]
        if own is None:
            evidence.append(
                f"{TLS} cannot be read: {GET_GLOBALS} of libstdc++ was not found or understood"
            )
        evidence += guesses[:1]
        if more:
            evidence.append(f"{more} more exceptions are alive")
        if self.skipped:
            evidence.append(f"{self.skipped >> 20} MiB of memory were not searched for others")
        return Found(
            exceptions=shown,
            handled=bool(listed) if own is not None else None,
            ended=first.handled_by_library,
            evidence=tuple(evidence),
        )

    # -- the thread's own list

    def _place(self) -> ThreadLocal | None:
        at = loaded_address(self.space, GET_GLOBALS, LIBSTDCXX)
        code = self.memory.read(at, CODE_BYTES) if at is not None else b""
        if at is None or not code:
            return None
        place = find_thread_local(self.machine, code, at, self.memory.word)
        if place is not None and place.module is not None and self._has_musl():
            return None  # its vector is another one
        return place

    def _has_musl(self) -> bool:
        return any(MUSL in module.path for module in self.space.modules)

    def _globals(self, state: ThreadState, place: ThreadLocal) -> _Globals | None:
        pointer = thread_pointer(self.machine, state)
        at = locate(self.memory, self.machine, pointer, place) if pointer else None
        if at is None:
            return None
        if not at:
            return _Globals((), 0)
        head, count = self.memory.word(at), self.memory.word(at + self.machine.word)
        if head is None or count is None or count & 0xFFFFFFFF > MAX_UNCAUGHT:
            return None
        caught = tuple(self._chain(head + HEADER)) if head else ()
        if head and not caught:
            return None
        return _Globals(caught, count & 0xFFFFFFFF)

    def _chain(self, at: int) -> Iterator[ExceptionHeader]:
        seen: set[int] = set()
        while at and at not in seen and len(seen) < MAX_CHAIN:
            seen.add(at)
            header = read_header(self.memory, at)
            if header is None:
                return
            yield header
            at = header.next

    def _of_other_threads(self, place: ThreadLocal | None, wanted: list[Thrown]) -> set[int]:
        """Which exceptions are in the hands of other threads."""
        looked_for = {thrown.header.at for thrown in wanted}
        if place is None:
            return set()
        found: set[int] = set()
        for state in self.space.facts.threads[:MAX_OTHER_THREADS]:
            theirs = self._globals(state, place) if state is not self.state else None
            if theirs is not None and theirs.caught:
                found |= {thrown.header.at for thrown in self._thrown(theirs.caught)} & looked_for
        return found

    # -- the search

    def _search(self, known: bool) -> Iterator[ExceptionHeader]:
        """What the stack points to, then a search of the heap; a short one if that is enough."""
        for address in self.stack:
            for at in (address, address - OBJECT):
                header = self._marked(at)
                if header is not None:
                    known = True
                    yield header
        budget, marks = SHORT_SEARCH if known else MAX_SEARCHED, 0
        for region in self._heaps():
            size = min(region.present, budget)
            budget -= size
            self.skipped += region.present - size
            for at in self._marks(region, size):
                marks += 1
                if marks > MAX_MARKS:
                    return
                header = read_header(self.memory, at)
                if header is not None:
                    yield header

    def _marked(self, at: int) -> ExceptionHeader | None:
        """The header at an address where one may be."""
        if at % 8 or self.memory.word(at) not in (PRIMARY, DEPENDENT):
            return None
        return read_header(self.memory, at)

    def _heaps(self) -> list[Region]:
        """Writable memory without a file, but no stacks; what the stack points to first."""
        stacks = set()
        sp = self.machine.dwarf[self.machine.sp]
        for state in self.space.facts.threads:
            region = self.memory.region(state.registers[sp])
            stacks.add(region.start if region else 0)
        found = [
            region
            for region in self.space.facts.regions
            if region.flags & WRITE
            and region.present
            and region.start not in stacks
            and self.space.file_at(region.start) is None
        ]
        pointed = {region.start for word in self.stack if (region := self.memory.region(word))}
        found.sort(key=lambda region: (region.start not in pointed, region.present))
        return found

    def _marks(self, region: Region, size: int) -> Iterator[int]:
        """Where the mark stands in the first bytes of a region."""
        for start in range(0, size, CHUNK):
            # a mark across the end of a piece is found in the longer one
            piece = self.memory.in_core(region.start + start, min(CHUNK, size - start) + len(MARK))
            at = piece.find(MARK)
            while at >= 0:
                address = region.start + start + at - 1
                if address % 8 == 0:
                    yield address
                at = piece.find(MARK, at + 1)

    def _stack_words(self) -> list[int]:
        """Addresses of writable memory on the stack, each once, the innermost first."""
        sp = self.state.registers[self.machine.dwarf[self.machine.sp]]
        raw = self.memory.in_core(sp, STACK_BYTES)
        word = self.machine.word
        found = {
            int.from_bytes(raw[i : i + word], "little"): None for i in range(0, len(raw), word)
        }
        return [address for address in found if self._is_writable(address)]

    def _is_writable(self, address: int) -> bool:
        region = self.memory.region(address)
        return region is not None and bool(region.flags & WRITE)

    # -- from headers to what a report says

    def _thrown(self, headers: Iterable[ExceptionHeader], *, sure: bool = False) -> list[Thrown]:
        """Each exception once; dependent ones become those that they stand for.

        What only looks like a header has no type; where it is `sure`, the type may be missing.
        """
        found: dict[int, Thrown] = {}
        pointed = set(self.stack)
        for met in headers:
            header: ExceptionHeader | None = met
            if met.dependent:
                header = read_header(self.memory, met.object - OBJECT)
            if header is None or header.dependent:
                continue
            kind = self.types.read(header.type)
            if kind is None and not sure:
                continue
            before = found.get(header.at)
            library = self._in_library(met.landing) or self._in_library(header.landing)
            found[header.at] = Thrown(
                header=header,
                type=kind or TypeInfo(address=header.type),
                handled_by_library=library or (before is not None and before.handled_by_library),
                on_stack=not pointed.isdisjoint((header.at, met.at, header.object)),
            )
        return list(found.values())

    def _in_library(self, code: int) -> bool:
        module = self.space.module_at(code) if code else None
        return module is not None and module.path.rpartition("/")[2].startswith(LIBSTDCXX)

    def _nested(self, ordered: list[Thrown]) -> set[int]:
        """Adds exceptions that others hold to the list, behind those; returns their addresses."""
        found: set[int] = set()
        known = {thrown.header.at for thrown in ordered}
        level = list(ordered[:MAX_SHOWN])
        for _ in range(MAX_NESTED):
            inner = [header for thrown in level if (header := self._inside(thrown)) is not None]
            found |= {header.at for header in inner}
            level = [t for t in self._thrown(inner) if t.header.at not in known]
            known |= {thrown.header.at for thrown in level}
            ordered.extend(level)
            if not level:
                break
        return found

    def _inside(self, thrown: Thrown) -> ExceptionHeader | None:
        """The exception that the std::nested_exception among an exception's bases holds."""
        for part in self._parts(thrown):
            if part.type.name == NESTED:
                held = self.memory.word(part.address + self.machine.word)
                return read_header(self.memory, held - OBJECT) if held else None
        return None

    def _parts(self, thrown: Thrown) -> tuple[Part, ...]:
        if thrown.type.kind not in CLASSES:
            return ()
        return self.types.parts(Part(type=thrown.type, address=thrown.header.object))

    def _described(
        self, ordered: list[Thrown], roles: dict[int, str]
    ) -> tuple[tuple[CxxException, ...], list[str]]:
        shown, guesses = [], []
        for thrown in ordered[:MAX_SHOWN]:
            header = thrown.header
            text = text_of(self.types, header.object, thrown.type, self._object_size(header))
            shown.append(self._noun(thrown, text, roles.get(header.at, "kept")))
            if text is not None and text.guess and thrown is ordered[0]:
                guesses.append(f"its text {text.guess}: what() may say something else")
        return tuple(shown), guesses

    def _noun(self, thrown: Thrown, text: Text | None, role: str) -> CxxException:
        name = thrown.type.name
        bases = (part.type.name for part in self._parts(thrown)[1:])
        return CxxException(
            type=readable(name, self.demangle) if name else None,
            what=text.text if text else None,
            address=Address(thrown.header.object),
            bases=tuple(dict.fromkeys(readable(b, self.demangle) for b in bases if b)),
            role=role,
        )

    def _object_size(self, header: ExceptionHeader) -> int:
        """Bytes of the object, from what malloc notes in front of an allocation (glibc)."""
        chunk = (self.memory.word(header.at - BEFORE - 8) or 0) & ~7
        size = chunk - 8 - BEFORE - OBJECT
        return size if chunk % 16 == 0 and 0 < size < MAX_ALLOCATION else DEFAULT_OBJECT


def _in_flight(rest: list[Thrown], own: _Globals | None) -> list[int]:
    """The exceptions of the thread that are on their way to a handler, by what it counts."""
    never_caught = [thrown.header.at for thrown in rest if thrown.header.handlers <= 0]
    return never_caught[: own.in_flight if own is not None else 0]
