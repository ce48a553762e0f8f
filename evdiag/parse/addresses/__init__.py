"""Addresses in any text: where they are in a line, and what the line says of them.

To add a format, write a file with a `FINDER` and put it into `FINDERS`; the tests follow. Where a
part of a line could be of two formats, the first one has it.
"""

from bisect import bisect_left
from collections.abc import Iterator

from evdiag.model.symbolized import Mention
from evdiag.parse.addresses import (
    backtrace_symbols,
    boost,
    gdb,
    kernel,
    maps,
    module_offset,
    perf,
    python,
    raw,
    rust,
    sanitizer,
    systemd,
)
from evdiag.parse.addresses._finder import Finder, Finding
from evdiag.parse.addresses._mappings import Mappings

FINDERS: tuple[Finder, ...] = (
    maps.FINDER,
    kernel.FINDER,
    sanitizer.FINDER,
    python.FINDER,
    backtrace_symbols.FINDER,
    boost.FINDER,
    systemd.FINDER,
    rust.FINDER,
    gdb.FINDER,
    perf.FINDER,
    module_offset.FINDER,
    raw.FINDER,
)

MARKS: tuple[str, ...] = tuple(dict.fromkeys(mark for f in FINDERS for mark in f.marks))
"""A line without any of them holds nothing."""

_MARKS = tuple(mark.encode() for mark in MARKS)


def candidates(block: bytes) -> Iterator[tuple[int, int]]:
    """The lines of a block that may hold something: where each begins, and ends without its end.

    The block is whole lines. Most logs have next to no such lines, so this is what makes the rest
    quick: everything else may be passed on without looking at it, or decoding it.
    """
    missing = len(block)
    places = [block.find(mark) % (missing + 1) for mark in _MARKS]  # -1 is `missing`
    done = 0
    while (place := min(places)) < missing:
        start = block.rfind(b"\n", done, place) + 1 or done
        done = block.find(b"\n", place) % (missing + 1)
        yield start, done - block.endswith(b"\r", start, done)
        for number, mark in enumerate(_MARKS):
            if places[number] < done:
                places[number] = block.find(mark, done) % (missing + 1)


class Reader:
    """Finds the addresses of a text, line by line; remembers mappings that the text tells."""

    def __init__(self) -> None:
        self._mappings = Mappings()

    def mentions(self, line: str) -> list[Mention]:
        """The addresses of the next line, from left to right and apart from each other."""
        for mark in MARKS:  # most lines end here
            if mark in line:
                break
        else:
            return []
        found: list[Finding] = []
        for finder in FINDERS:
            if any(word in line for word in finder.words):
                for finding in finder.find(line, self._mappings):
                    _add(found, finding)
        return [finding for finding in found if isinstance(finding, Mention)]


def _add(found: list[Finding], new: Finding) -> None:
    """Put a finding to its place, if that is free."""
    place = bisect_left(found, new.start, key=lambda old: old.start)
    if place and found[place - 1].end > new.start:
        return
    if place < len(found) and found[place].start < new.end:
        return
    found.insert(place, new)
