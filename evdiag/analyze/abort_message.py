"""Find glibc's abort message in the memory of a process, with libc's file and without it."""

from collections.abc import Iterator
from itertools import islice

from evdiag.analyze.exports import loaded_address
from evdiag.analyze.space import AddressSpace
from evdiag.model.core import READ, WRITE, Region
from evdiag.model.signals import SIGABRT
from evdiag.parse.abort_message import (
    BY_FORM,
    BY_POINTER,
    MAX_BUFFER,
    MAX_TEXT,
    SIZE,
    AbortMessage,
    buffer_text,
    message_text,
)

AT_PAGESZ, AT_RANDOM = 6, 25
PAGE_SIZES = (4096, 16384, 65536)
EDGE = 2048
"""Pages looked at from each end of a mapping. glibc maps the buffer as the last thing it does,
and the kernel joins it to a neighbour: it is the first or the last page of what comes out. Only
where it fills a gap exactly it lies in the middle, which is of interest in small mappings."""
MAX_PAGES = 1 << 16
"""Pages looked at in all: reading a word of each reads the page from the disk, 256 MiB at most
with pages of 4 KiB."""
MAX_READ = 1 << 26
"""Bytes read of what might be the buffer: real processes have hardly any page that looks so."""
FIRST = 16
"""Bytes that must be letters, before more are read."""


def abort_message(space: AddressSpace) -> AbortMessage | None:
    """glibc's last words, if it has any.

    glibc keeps a pointer to them for debuggers. Where its file is not at hand, so that nobody
    knows where the pointer is, memory is searched for the buffer; only after SIGABRT, so that
    nothing else is taken for it.
    """
    at = loaded_address(space, "__abort_msg")
    # Not from the file: there the pointer is always null.
    size = space.memory.size
    raw = space.memory.in_core(at, size) if at is not None else b""
    if len(raw) == size:
        text = _at_pointer(space, int.from_bytes(raw, "little"))
        return AbortMessage(text=text, found_by=BY_POINTER) if text else None
    signal = space.facts.signal
    if signal is None or signal.number != SIGABRT:
        return None
    text = _searched(space)
    return AbortMessage(text=text, found_by=BY_FORM) if text else None


def _at_pointer(space: AddressSpace, at: int) -> str | None:
    size = int.from_bytes(space.memory.in_core(at, SIZE), "little") if at else 0
    if not size or size % PAGE_SIZES[0]:
        return None
    return message_text(space.memory.in_core(at + SIZE, min(size - SIZE, 4 * MAX_TEXT))) or None


def _searched(space: AddressSpace) -> str | None:
    """The text in what looks like glibc's buffer."""
    page = space.facts.auxv.get(AT_PAGESZ, PAGE_SIZES[0])
    if page not in PAGE_SIZES:
        page = PAGE_SIZES[0]
    memory, left = space.memory, MAX_READ
    for at, end in islice(_pages(space, page), MAX_PAGES):
        size = (memory.word(at) or 0) & 0xFFFFFFFF
        if not size or size % page or size > min(MAX_BUFFER, end - at, left):
            continue
        if min(memory.in_core(at + SIZE, FIRST), default=0) < ord(" "):
            continue
        left -= size
        text = buffer_text(memory.in_core(at + SIZE, size - SIZE), size, page)
        if text is not None:
            return text
    return None


def _pages(space: AddressSpace, page: int) -> Iterator[tuple[int, int]]:
    """(address, end of its mapping) of the pages where the buffer may begin, likely ones first."""
    for region in sorted(_anonymous(space), key=lambda region: region.end - region.start):
        first = -(-region.start // page) * page
        known = range(first, region.start + region.present, page)
        if len(known) > 2 * EDGE:
            yield from ((at, region.end) for at in known[:EDGE])
            known = known[-EDGE:]
        yield from ((at, region.end) for at in known)


def _anonymous(space: AddressSpace) -> Iterator[Region]:
    """The mappings that can be written to and belong to no file, without the first stack."""
    stack = space.facts.auxv.get(AT_RANDOM, 0)  # 16 bytes that the kernel put there
    for region in space.memory.regions:
        if region.flags != READ | WRITE or region.start <= stack < region.end:
            continue
        if space.file_at(region.start) is None:
            yield region
