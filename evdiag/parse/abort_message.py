"""What glibc says before it ends a program: how the text lies in memory, and what it means.

Sources: glibc's include/stdlib.h (`struct abort_msg_s`), sysdeps/posix/libc_fatal.c,
assert/assert.c, malloc/malloc.c, debug/; libstdc++'s src/c++11/assert_fail.cc. The wording
differs between versions, so texts are recognised by how they begin.
"""

import re

import msgspec

from evdiag.model.report import Assertion

MAX_TEXT = 4096
"""Letters that are kept of a message: only the expression of an assertion can be as long."""
MAX_BUFFER = 1 << 20
"""Bytes of the largest buffer that is believed."""
MAX_PACKED = 512
"""Letters of a message of malloc, which hold the name of the program."""
SIZE = 4
"""Bytes of the field `size`, which stands before the text."""
ROUNDED_WITH = (1, SIZE + 1)
"""glibc asks for whole pages for the text and so many bytes: the zero at its end, and from
2.41 on the field `size` too."""

DOUBLE_FREE, BAD_FREE, OVERFLOW = "double free", "bad free", "overflow"
OVERFLOW_OR_USE, CORRUPTION = "overflow or use after free", "corruption"
HEAP_TEXTS = (
    ("double free or corruption", DOUBLE_FREE),
    ("free(): double free detected", DOUBLE_FREE),
    ("invalid fastbin entry (free)", CORRUPTION),
    ("free(): invalid pointer", BAD_FREE),
    ("munmap_chunk(): invalid pointer", BAD_FREE),
    ("mremap_chunk(): invalid pointer", BAD_FREE),
    ("realloc(): invalid pointer", BAD_FREE),
    ("free(): invalid", OVERFLOW),
    ("realloc(): invalid", OVERFLOW),
    ("malloc_consolidate()", CORRUPTION),
    ("malloc(): ", OVERFLOW_OR_USE),
    ("calloc(): ", OVERFLOW_OR_USE),
    ("corrupted size vs. prev_size", OVERFLOW_OR_USE),
    ("corrupted double-linked list", OVERFLOW_OR_USE),
    ("free(): ", CORRUPTION),
    ("realloc(): ", CORRUPTION),
    ("tcache_", CORRUPTION),
    ("malloc: top chunk is corrupt", OVERFLOW),
    ("malloc_check_get_size: ", CORRUPTION),
    ("malloc assertion failure in ", CORRUPTION),
    ("break adjusted to free malloc space", CORRUPTION),
)
"""How the messages of malloc begin, and what they mean; the first that fits counts."""
MALLOC_FILES = ("malloc.c", "arena.c", "hooks.c")
MALLOC_FUNCTIONS = (
    "sysmalloc", "systrim", "_int_", "__libc_", "_mid_memalign", "munmap_chunk", "mremap_chunk",
    "tcache_", "malloc_consolidate", "heap_trim", "new_heap", "arena_get",
)  # fmt: skip
"""How the functions of these files begin that hold assertions about the heap."""

STACK_SMASH = "*** stack smashing detected ***"
FORTIFY_TEXTS = (
    "*** buffer overflow detected ***",
    "*** %n in writable segment detected ***",
    "*** invalid %N$ use detected ***",
    "*** longjmp causes uninitialized stack frame ***",
    "*** bit out of range 0 - FD_SETSIZE on fd_set ***",
)
"""What the checks of _FORTIFY_SOURCE say (glibc's debug/)."""
FATAL = "Fatal glibc error: "
OTHER_TEXTS = (
    FATAL, "*** ", "The futex facility returned an unexpected error code",
    "libgcc_s.so.1 must be installed for ", "Fatal error: glibc detected ",
)  # fmt: skip

_OLD_FRAME = re.compile(
    r"\*\*\* (?:Error in|glibc detected \*\*\*) `?.*?'?: (.*?)(?:: 0x[0-9a-f]+)? \*\*\*"
)
"""How glibc before 2.26 packed the messages of malloc: with program and address."""
_ANCHOR = re.compile(r":(\d{1,9}): ")
_ASSERTION = re.compile(r"Assertion [`']|(?=Unexpected error: )")
"""What stands before the expression; assert_perror() has the text of an error in its place."""
_FATAL_ASSERTION = re.compile(
    r"Fatal glibc error: (?P<file>[^ ]+):(?P<line>\d{1,9}) \((?P<function>[^)]*)\): "
    r"assertion failed: (?P<expression>.*)",
    re.DOTALL,
)
_NUMBERS = re.compile(r":\d+\b|\b0x[0-9a-fA-F]+\b|\b\d{3,}\b")


BY_POINTER = "by glibc's pointer __abort_msg"
BY_FORM = "by its form, because libc's file is not at hand"


class AbortMessage(msgspec.Struct, frozen=True, kw_only=True):
    """glibc's last words."""

    text: str
    """Verbatim, without the line feed at its end."""
    found_by: str
    """How it was found, in words: `BY_POINTER` or `BY_FORM`."""


def message_text(raw: bytes) -> str:
    """The text that begins at some bytes: up to the zero, without line feeds at its end."""
    return _whole(raw)[:MAX_TEXT]


def _whole(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "replace").rstrip("\n")


def buffer_text(raw: bytes, size: int, page: int) -> str | None:
    """The message in what may be one of glibc's buffers, by its text; None if it is none.

    A buffer has just as many pages as its text needs, ends with zeros, and holds a text that
    glibc is known to write.
    """
    end = raw.find(b"\0")
    if end <= 0 or raw[end:].strip(b"\0"):
        return None
    if not any(size == -(-(end + more) // page) * page for more in ROUNDED_WITH):
        return None
    return message_text(raw) if is_known(_whole(raw)) else None


def is_known(text: str) -> bool:
    """Whether a text is one that glibc writes before it aborts."""
    if not text or not all(letter.isprintable() or letter in "\t\n" for letter in text):
        return False
    if text.startswith(OTHER_TEXTS) or heap_flavour(text) is not None:
        return True
    return text.endswith(".") and parse_assertion(text) is not None


def heap_flavour(text: str) -> str | None:
    """What kind of damage to the heap a message tells; None where it is about something else."""
    inner = plain(text)
    for beginning, flavour in HEAP_TEXTS:
        if inner.startswith(beginning):
            return flavour
    broken = parse_assertion(text)
    if broken is None or broken.file not in MALLOC_FILES:
        return None
    # a program may have a malloc.c of its own, but hardly a function of glibc's in it
    return CORRUPTION if (broken.function or "").startswith(MALLOC_FUNCTIONS) else None


def plain(text: str) -> str:
    """A message without the words that older and newer versions put around it."""
    packed = _OLD_FRAME.match(text[:MAX_PACKED])
    return packed.group(1) if packed else text.removeprefix(FATAL)


def without_numbers(text: str) -> str:
    """A message without what differs from run to run and from build to build."""
    return " ".join(_NUMBERS.sub("", plain(text)).split())


def parse_assertion(text: str) -> Assertion | None:
    """The parts of `program: file:line: function: Assertion `expression' failed.`

    Program and function may be missing. libstdc++ writes no program, and ' for `. A function of
    C++ may contain ": ", an expression anything, so the first `:line: ` is what everything else
    is counted from.
    """
    fatal = _FATAL_ASSERTION.match(text)
    if fatal is not None:
        return Assertion(
            expression=fatal["expression"],
            file=fatal["file"],
            line=int(fatal["line"]),
            function=fatal["function"] or None,
        )
    anchor = _ANCHOR.search(text)
    said = _ASSERTION.search(text, anchor.end()) if anchor is not None else None
    if anchor is None or said is None:
        return None
    file = text[: anchor.start()].rpartition(": ")[2]
    function = text[anchor.end() : said.start()].removesuffix(": ")
    expression = text[said.end() :].removesuffix("' failed.")
    if not file or not expression:
        return None
    return Assertion(
        expression=expression, file=file, line=int(anchor[1]), function=function or None
    )
