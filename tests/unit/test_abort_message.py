"""glibc's last words: how they lie in memory, and what they mean."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze import abort_message as finder
from evdiag.analyze.abort_message import abort_message
from evdiag.analyze.space import AddressSpace
from evdiag.model.machine import AARCH64, I386, X86_64, Machine
from evdiag.model.report import Assertion
from evdiag.parse import abort_message as texts
from evdiag.parse.abort_message import (
    BY_FORM,
    BY_POINTER,
    AbortMessage,
    heap_flavour,
    is_known,
    message_text,
    parse_assertion,
    plain,
    without_numbers,
)
from tests.support import elfwriter as w
from tests.support.elfwriter import symbols as sym

AT, BUFFER, LIBC = 0x7F00_0000_0000, 0x7E00_0000_0000, "/lib/libc.so.6"
POINTER = 0x9008
LIBRARY = sym.library(sym.symbols_of({"__abort_msg": POINTER}))
FREE = "free(): invalid pointer"


def buffer(text: str, page: int = 4096, extra: int = 1) -> bytes:
    """glibc's buffer for a text, as it asks the kernel for it."""
    raw = text.encode() + b"\n"
    size = -(-(len(raw) + extra) // page) * page
    return (struct.pack("<I", size) + raw).ljust(size, b"\0")


def anonymous(data: bytes, at: int = BUFFER, flags: int = w.READ | w.WRITE) -> w.Piece:
    return w.Piece(start=at, data=data, flags=flags)


def process(
    *pieces: w.Piece,
    pointer: int | None = None,
    signal: int = 6,
    here: bool = False,
    auxv: dict[int, int] | None = None,
    rows: tuple[w.MappedRow, ...] = (),
) -> AddressSpace:
    """A process with libc, whose file is `here` or not."""
    data = [] if pointer is None else [anonymous(w.words(pointer), AT + POINTER)]
    dump = w.core(
        files=[
            w.MappedRow(AT, AT + 0x4000, 0, LIBC),
            w.MappedRow(AT + 0x4000, AT + 0x6000, 0x4000, LIBC),
            *rows,
        ],
        memory=[*pieces, *w.code_pieces(LIBRARY[:0x6000], AT), *data],
        auxv=auxv,
        siginfo=w.sent(signal, pid=100, uid=0, code=-6),
        process=w.Process(),
    )
    return w.address_space(dump, {LIBC: LIBRARY} if here else {})


def searched(*pieces: w.Piece, auxv: dict[int, int] | None = None) -> str | None:
    found = abort_message(process(*pieces, auxv=auxv))
    assert found is None or found.found_by == BY_FORM
    return found.text if found else None


# -- by the pointer


def test_glibc_points_to_its_message() -> None:
    space = process(anonymous(buffer(FREE)), pointer=BUFFER, here=True)
    assert abort_message(space) == AbortMessage(text=FREE, found_by=BY_POINTER)


def test_with_the_pointer_any_text_counts_after_any_signal() -> None:
    space = process(anonymous(buffer("Adiós\x01")), pointer=BUFFER, here=True, signal=11)
    assert abort_message(space) == AbortMessage(text="Adiós\x01", found_by=BY_POINTER)


@pytest.mark.parametrize(
    ("pointer", "data"),
    [
        (0, buffer(FREE)),
        (BUFFER + 0x100000, buffer(FREE)),
        (BUFFER, struct.pack("<I", 4097) + b"text"),
        (BUFFER, struct.pack("<I", 0) + b"text"),
        (BUFFER, struct.pack("<I", 4096) + bytes(8)),
    ],
)
def test_a_pointer_to_nothing(pointer: int, data: bytes) -> None:
    # GIVEN a pointer that is null or astray; THEN nothing else is searched
    assert abort_message(process(anonymous(data), pointer=pointer, here=True)) is None


def test_a_pointer_that_was_not_dumped() -> None:
    space = process(anonymous(buffer(FREE)), here=True)
    assert abort_message(space) == AbortMessage(text=FREE, found_by=BY_FORM)


def test_a_long_message_is_cut() -> None:
    text = "a" * (texts.MAX_TEXT + 5000)
    found = abort_message(process(anonymous(buffer(text)), pointer=BUFFER, here=True))
    assert found is not None
    assert found.text == "a" * texts.MAX_TEXT
    assert message_text(b"\xff\n\n\0more") == "\ufffd"


# -- by the form


def test_without_libc_the_buffer_is_searched() -> None:
    assert searched(anonymous(buffer(FREE))) == FREE


def test_only_after_abort() -> None:
    assert abort_message(process(anonymous(buffer(FREE)), signal=11)) is None
    dump = w.core(memory=[anonymous(buffer(FREE))], threads=[w.Thread(signal=0)])
    assert abort_message(w.address_space(dump, {})) is None


@pytest.mark.parametrize("page", [4096, 16384, 65536])
def test_pages_of_all_sizes(page: int) -> None:
    auxv = {6: page}
    assert searched(anonymous(buffer(FREE, page)), auxv=auxv) == FREE
    if page > 4096:
        assert searched(anonymous(buffer(FREE, 4096)), auxv=auxv) is None
    assert searched(anonymous(buffer(FREE)), auxv={6: 7}) == FREE


@pytest.mark.parametrize("machine", [X86_64, AARCH64, I386])
def test_all_machines(machine: Machine) -> None:
    dump = w.core(
        memory=[anonymous(buffer(FREE), 0x7000_0000)],
        machine=machine,
        siginfo=w.sent(6, pid=100, uid=0, code=-6),
    )
    found = abort_message(w.address_space(dump, {}))
    assert found is not None
    assert found.text == FREE


def test_a_buffer_that_the_kernel_joined_to_its_neighbours() -> None:
    noise = b"\x01\x02\x03" * 4096
    noise = noise[:8192]
    assert searched(anonymous(noise + buffer(FREE) + noise)) == FREE
    large = bytes((2 * finder.EDGE + 10) * 4096)
    assert searched(anonymous(buffer(FREE) + large)) == FREE
    assert searched(anonymous(large + buffer(FREE))) == FREE


@pytest.mark.parametrize(("letters", "extra"), [(4092, 5), (4200, 5), (4200, 1)])
def test_a_text_that_fills_its_pages(letters: int, extra: int) -> None:
    # GIVEN an assertion that needs two pages, with the field before it or without
    text = "a: b.c:1: f: Assertion `' failed."
    text = text.replace("`", "`" + "x" * (letters - len(text)))
    data = buffer(text, extra=extra)
    assert len(data) == 8192
    assert searched(anonymous(data)) == text[: texts.MAX_TEXT]


@pytest.mark.parametrize(
    "data",
    [
        buffer("any other text"),
        buffer(FREE)[:-1] + b"x",
        struct.pack("<I", 8192) + buffer(FREE)[4:] + bytes(4096),
        struct.pack("<I", 1 << 30) + buffer(FREE)[4:],
        struct.pack("<I", 4096) + b"a" * 4092,
        struct.pack("<I", 4096) + b"\n" * 20 + bytes(4072),
        bytes(8) + buffer(FREE)[:-8],
        b"",
    ],
    ids=["unknown", "tail", "pages", "huge", "endless", "empty", "within", "nothing"],
)
def test_what_only_looks_like_the_buffer(data: bytes) -> None:
    assert searched(anonymous(data)) is None


def test_places_where_the_buffer_cannot_be() -> None:
    good = buffer(FREE)
    assert searched(anonymous(good, flags=w.READ)) is None
    assert searched(anonymous(good), auxv={25: BUFFER + 8}) is None
    row = w.MappedRow(BUFFER, BUFFER + 0x1000, 0, "/dev/shm/data")
    assert abort_message(process(anonymous(good), rows=(row,))) is None


def test_the_search_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN more candidates, or more pages, than any process has in front of the buffer
    bait = (struct.pack("<I", 4096) + b"bait" * 9).ljust(4096, b"\0")
    pieces = [anonymous(bait), anonymous(buffer(FREE), BUFFER + 0x10000)]
    assert searched(*pieces) == FREE
    monkeypatch.setattr(finder, "MAX_READ", 4096)
    assert searched(*pieces) is None
    monkeypatch.setattr(finder, "MAX_READ", 1 << 20)
    monkeypatch.setattr(finder, "MAX_PAGES", 1)
    assert searched(*pieces) is None


@given(
    st.binary(max_size=300),
    st.integers(0, 1 << 32).map(lambda n: n & 0xFFFFF000 if n & 1 else n),
    st.integers(0, (1 << 64) - 1) | st.just(BUFFER),
    st.booleans(),
)
def test_any_memory_gives_a_message_or_none(
    raw: bytes, size: int, pointer: int, here: bool
) -> None:
    data = (struct.pack("<I", size & 0xFFFFFFFF) + raw).ljust(4096, b"\0")
    found = abort_message(process(anonymous(data), pointer=pointer, here=here))
    assert found is None or 0 < len(found.text) <= texts.MAX_TEXT


# -- assertions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            'app: src/a.cpp:26: double f(const M&): Assertion `x <= 1 && "too much"\' failed.',
            ('x <= 1 && "too much"', "src/a.cpp", 26, "double f(const M&)"),
        ),
        (
            "evse_manager:EvseManager: /w/a.cpp:1: int n::{anonymous}::f(): Assertion `ok' failed.",
            ("ok", "/w/a.cpp", 1, "int n::{anonymous}::f()"),
        ),
        ("a.c:7: Assertion `p' failed.", ("p", "a.c", 7, None)),
        ("a.c:7: main: Assertion `p' failed.", ("p", "a.c", 7, "main")),
        (
            "t: t.cpp:16: bool M::operator()(int) const: Assertion `s[0] == ':' ? x : y' failed.",
            ("s[0] == ':' ? x : y", "t.cpp", 16, "bool M::operator()(int) const"),
        ),
        (
            "t: t.cpp:15: f: Assertion `i && \"it's: Assertion `b:12: c' failed.\"' failed.",
            ("i && \"it's: Assertion `b:12: c' failed.\"", "t.cpp", 15, "f"),
        ),
        (
            "/usr/include/c++/12/bits/stl_vector.h:1123: reference std::vector<_Tp>::operator[]("
            "size_type) [with _Tp = int; size_type = long unsigned int]: "
            "Assertion '__n < this->size()' failed.",
            (
                "__n < this->size()",
                "/usr/include/c++/12/bits/stl_vector.h",
                1123,
                "reference std::vector<_Tp>::operator[](size_type) [with _Tp = int; size_type = "
                "long unsigned int]",
            ),
        ),
        (
            "Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: a || (b && c)",
            ("a || (b && c)", "malloc.c", 2599, "sysmalloc"),
        ),
        (
            "app: a.c:3: main: Unexpected error: No such file or directory.",
            ("Unexpected error: No such file or directory.", "a.c", 3, "main"),
        ),
        ("app: a.c:3: main: Assertion `cut of", ("cut of", "a.c", 3, "main")),
    ],
)
def test_the_parts_of_an_assertion(text: str, expected: tuple[str, str, int, str | None]) -> None:
    expression, file, line, function = expected
    assert parse_assertion(text) == Assertion(
        expression=expression, file=file, line=line, function=function
    )


@pytest.mark.parametrize(
    "text",
    [
        "",
        FREE,
        "app: Assertion `x' failed.",
        "app: a.c:x: f: Assertion `x' failed.",
        ":3: f: Assertion `x' failed.",
        "a.c:3: f: Assertion `' failed.",
        "a.c:3: all is well",
    ],
)
def test_what_is_no_assertion(text: str) -> None:
    assert parse_assertion(text) is None


@given(st.text(max_size=80) | st.text("Assertion `':19 a.", max_size=60))
def test_any_text_is_understood_or_not(text: str) -> None:
    broken = parse_assertion(text)
    assert broken is None or (broken.expression and broken.file and broken.line is not None)
    assert len(without_numbers(text)) <= len(text)
    assert heap_flavour(text) is None or is_known(text) or not text.isprintable()


# -- texts of malloc and others


@pytest.mark.parametrize(
    ("text", "flavour"),
    [
        ("double free or corruption (!prev)", "double free"),
        ("free(): double free detected in tcache 2", "double free"),
        (FREE, "bad free"),
        ("munmap_chunk(): invalid pointer", "bad free"),
        ("realloc(): invalid pointer", "bad free"),
        ("free(): invalid size", "overflow"),
        ("free(): invalid next size (normal)", "overflow"),
        ("realloc(): invalid old size", "overflow"),
        ("malloc(): corrupted top size", "overflow or use after free"),
        ("corrupted size vs. prev_size while consolidating", "overflow or use after free"),
        ("corrupted double-linked list (not small)", "overflow or use after free"),
        ("malloc_consolidate(): unaligned fastbin chunk detected", "corruption"),
        ("free(): corrupted unsorted chunks", "corruption"),
        ("tcache_thread_shutdown(): unaligned tcache chunk detected", "corruption"),
        ("app: malloc.c:2617: sysmalloc: Assertion `old_top' failed.", "corruption"),
        ("Fatal glibc error: malloc.c:2599 (sysmalloc): assertion failed: old", "corruption"),
        ("Fatal glibc error: malloc assertion failure in sysmalloc: old", "corruption"),
        ("*** Error in `./a': free(): invalid pointer: 0x00007ffd8d2a1c60 ***", "bad free"),
        ("*** glibc detected *** ./a: free(): invalid pointer: 0x0804a008 ***", "bad free"),
        ("app: malloc.c:26: allocate: Assertion `size' failed.", None),
        ("app: malloc.c:26: Assertion `size' failed.", None),
        ("app: a.c:26: sysmalloc: Assertion `size' failed.", None),
        ("*** stack smashing detected ***: terminated", None),
        ("the call of free(): invalid pointer", None),
    ],
)
def test_the_flavour_of_heap_damage(text: str, flavour: str | None) -> None:
    assert heap_flavour(text) == flavour


@pytest.mark.parametrize(
    ("text", "stable"),
    [
        ("free(): double free detected in tcache 2", "free(): double free detected in tcache 2"),
        ("malloc(): corrupted unsorted chunks 3", "malloc(): corrupted unsorted chunks 3"),
        ("double free or corruption (!prev)", "double free or corruption (!prev)"),
        (
            "*** Error in `./a': double free or corruption (out): 0x00007ffd8d2a1c60 ***",
            "double free or corruption (out)",
        ),
        (
            "Fatal glibc error: lock.c:450 (lock): assertion failed: e != 3 at 0x7f12",
            "lock.c (lock): assertion failed: e != 3 at",
        ),
    ],
)
def test_numbers_are_left_out(text: str, stable: str) -> None:
    assert without_numbers(text) == stable


def test_words_around_a_message() -> None:
    assert plain("Fatal glibc error: x") == "x"
    assert plain("*** Error in `a': x ***") == "x"
    assert plain("*** stack smashing detected ***") == "*** stack smashing detected ***"


@pytest.mark.parametrize(
    "text",
    [
        FREE,
        "*** buffer overflow detected ***: terminated",
        "Fatal glibc error: cannot get entropy for arc4random",
        "The futex facility returned an unexpected error code.",
        "app: a.c:7: main: Assertion `p' failed.",
        "app: a.c:3: main: Unexpected error: No such file or directory.",
    ],
)
def test_texts_that_glibc_writes(text: str) -> None:
    assert is_known(text)
    assert not is_known(text + "\x1b[m")


def test_texts_that_others_write() -> None:
    assert not is_known("")
    assert not is_known("hello")
    assert not is_known("a.c:3: it went well.")
