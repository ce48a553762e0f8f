"""The text of thrown objects: what what() would say."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.exception_text import (
    FILESYSTEM,
    LITERALS,
    MAX_OBJECT,
    MAX_TEXT,
    Text,
    text_of,
)
from evdiag.analyze.rtti import STRING, Types
from tests.support.cxx_memory import CODE_AT, CONSTANTS, HANDLER, HEAP, CxxMemory

AWAY = CONSTANTS + 0x8_0000


def said(made: CxxMemory, info: int, thing: bytes | int, size: int | None = None) -> Text | None:
    """The text of an object, given by its bytes or its address."""
    at = thing if isinstance(thing, int) else made.allocate(thing)
    length = size if size is not None else len(thing) if isinstance(thing, bytes) else 64
    types = Types(made.space())
    kind = types.read(info)
    assert kind is not None
    return text_of(types, at, kind, length)


def text(made: CxxMemory, info: int, thing: bytes | int, size: int | None = None) -> str | None:
    found = said(made, info, thing, size)
    assert found is None or found.guess is None
    return found.text if found else None


def runtime_error(made: CxxMemory) -> int:
    return made.single("St13runtime_error", made.plain("St9exception"))


@pytest.mark.parametrize(
    ("name", "raw", "shown"),
    [
        ("b", b"\1", "true"),
        ("b", b"\0", "false"),
        ("c", b"x", "'x'"),
        ("c", b"\n", "'\\n'"),
        ("a", b"\xff", "-1"),
        ("h", b"\xff", "255"),
        ("s", struct.pack("<h", -2), "-2"),
        ("t", b"\xff\xff", "65535"),
        ("i", struct.pack("<i", 17), "17"),
        ("j", b"\xff" * 4, "4294967295"),
        ("l", struct.pack("<q", -5), "-5"),
        ("y", b"\xff" * 8, "18446744073709551615"),
        ("f", struct.pack("<f", 1.25), "1.25"),
        ("d", struct.pack("<d", float("nan")), "nan"),
        ("Dn", bytes(8), "nullptr"),
        ("e", bytes(16), None),
    ],
)
def test_built_in_types(name: str, raw: bytes, shown: str | None) -> None:
    made = CxxMemory()
    assert text(made, made.info("fundamental", name), raw) == shown


def test_enumerations() -> None:
    made = CxxMemory()
    kind = made.info("enum", "5Color")
    assert text(made, kind, struct.pack("<i", -7)) == "-7"
    assert text(made, kind, 0x1000) is None


def test_strings_of_c() -> None:
    made = CxxMemory()
    pointer = made.info("pointer", "PKc", 1, made.info("fundamental", "c"))
    assert text(made, pointer, made.words(made.string("a literal"))) == "a literal"
    assert text(made, pointer, made.words(0)) == "nullptr"
    assert text(made, pointer, made.words(made.string(b"A" * 9999))) == "A" * MAX_TEXT


def test_a_standard_string() -> None:
    made = CxxMemory()
    kind = made.plain(STRING)
    assert text(made, kind, made.std_string("long enough for the heap")) == (
        "long enough for the heap"
    )
    at = made.allocate(bytes(32))
    made.heap[at - HEAP : at - HEAP + 32] = made.std_string("short", at)
    assert text(made, kind, at) == "short"
    made.heap[at - HEAP + 8] = 0
    made.heap[at - HEAP + 16] = 0
    assert text(made, kind, at) == ""
    made.heap[at - HEAP + 8] = 16  # more than there is room for
    assert text(made, kind, at) is None


def test_a_standard_string_of_old_programs() -> None:
    made = CxxMemory()
    assert text(made, made.plain("Ss"), made.words(made.cow("no route"))) == "no route"


def test_the_text_of_a_runtime_error() -> None:
    made = CxxMemory()
    error = runtime_error(made)
    own = made.single("5types5Limit", error)
    thing = made.words(made.table(own), made.cow("no route"), 7)
    assert text(made, own, thing) == "no route"


def test_a_text_that_is_not_text() -> None:
    made = CxxMemory()
    error = runtime_error(made)
    thing = made.words(made.table(error), made.cow(b"\x1b[31m\n\xff end"))
    assert text(made, error, thing) == "\x1b[31m\n\ufffd end"


def test_a_long_text_is_cut() -> None:
    made = CxxMemory()
    error = runtime_error(made)
    assert text(made, error, made.words(0, made.cow("A" * 9999))) == "A" * MAX_TEXT


@pytest.mark.parametrize(
    "head",
    [
        (9, 8, 0),  # longer than there is room for
        (1 << 33, 1 << 33, 0),
        (8, 8, -2),
        (8, 8, 1 << 24),
        (7, 8, 0),  # no zero behind it
        (1 << 20, 1 << 20, 0),  # beyond memory
    ],
)
def test_a_damaged_text(head: tuple[int, int, int]) -> None:
    made = CxxMemory()
    error = runtime_error(made)
    at = made.allocate(struct.pack("<QQii", *head, 0) + b"no route\0") + 24
    assert text(made, error, made.words(0, at)) is None
    assert text(made, error, made.words(0, 8)) is None
    assert text(made, error, made.words(0, 0x1000)) is None


CODE = bytes.fromhex("488d4708c3").ljust(16, b"\xcc") + bytes.fromhex("488b4710c3")
"""Two functions: `lea rax, [rdi + 8]; ret` and `mov rax, [rdi + 0x10]; ret`."""


@pytest.mark.parametrize(("at", "shown"), [(CODE_AT, "inside"), (CODE_AT + 16, "elsewhere")])
def test_what_a_class_says_itself(at: int, shown: str) -> None:
    made = CxxMemory()
    own = made.single("6OwnErr", runtime_error(made))
    thing = made.allocate(made.words(made.table(own, what=at)) + b"inside\0\0")
    made.heap += made.words(made.string("elsewhere"))
    types = Types(made.space(code=CODE))
    kind = types.read(own)
    assert kind is not None
    assert text_of(types, thing, kind, 24) == Text(text=shown)


def test_a_function_that_cannot_be_followed() -> None:
    made = CxxMemory()
    own = made.single("6OwnErr", runtime_error(made))
    for what, guess in ((HANDLER, None), (HEAP, "is what its base class says"), (0, None)):
        thing = made.words(made.table(own, what=what), made.cow("no route"))
        assert said(made, own, thing) == Text(text="no route", guess=guess)


def test_several_bases() -> None:
    made = CxxMemory()
    error = made.single("St12out_of_range", made.single("St11logic_error", made.plain("St9exc")))
    own = made.multiple("4Wrap", [(made.plain("5Clone"), 2), (error, 8 << 8 | 2)])
    assert text(made, own, made.words(1, 2, made.cow("too far"))) == "too far"


def test_errors_of_file_systems() -> None:
    made = CxxMemory()
    kind = made.single(FILESYSTEM, runtime_error(made))
    said_at_length = "filesystem error: no such folder [/a]"
    impl = made.allocate(bytes(80) + made.std_string(said_at_length))
    base = made.cow("no such folder")
    assert text(made, kind, made.words(0, base, 2, 0, impl)) == said_at_length
    assert text(made, kind, made.words(0, base, 2, 0, 0)) == "no such folder"
    assert text(made, kind, made.words(0, base, 2, 0, 0x1000)) == "no such folder"


def test_a_variant() -> None:
    made = CxxMemory()
    kind = made.single("St18bad_variant_access", made.plain("St9exception"))
    assert text(made, kind, made.words(0, made.string("wrong index"))) == "wrong index"
    assert text(made, kind, made.words(0, 0)) is None
    assert text(made, kind, made.words(0, 0x1000)) is None


def test_types_that_always_say_the_same() -> None:
    made = CxxMemory()
    infos = {name: made.plain(name) for name in LITERALS}
    for name, info in infos.items():
        assert text(made, info, bytes(8)) == LITERALS[name]


def test_what_a_base_class_says_is_a_guess() -> None:
    made = CxxMemory()
    bad = made.single("St8bad_cast", made.plain("St9exception"))
    assert said(made, made.single("7BadCast", bad), bytes(8)) == Text(
        text="std::bad_cast", guess="is what its base class says"
    )
    # "std::exception" tells nothing
    assert said(made, made.single("6NoText", made.plain("St9exception")), bytes(8)) is None


def test_an_exception_inside_of_an_exception() -> None:
    # nlohmann::detail::exception { const int id; std::runtime_error m; }
    made = CxxMemory()
    inner = made.table(runtime_error(made))
    own = made.single("6Nlohma", made.plain("St9exception"))
    thing = made.words(made.table(own), 302, inner, made.cow("type must be string"), 0)
    found = said(made, own, thing)
    assert found is not None
    assert found.text == "type must be string"
    assert found.guess == "is that of an exception inside of the object"


def test_an_inner_exception_without_a_text() -> None:
    made = CxxMemory()
    own = made.single("6Nlohma", made.plain("St9exception"))
    broken, other = made.table(runtime_error(made)), made.table(own, top=-8)
    thing = made.words(made.table(own), broken, 0, other, made.table(made.plain("5Clone")), 0)
    assert said(made, own, thing) is None


def test_a_string_inside_of_an_exception() -> None:
    made = CxxMemory()
    own = made.single("6OwnErr", made.plain("St9exception"))
    thing = made.words(made.table(own), 4) + made.std_string("no route to the meter")
    found = said(made, own, thing)
    assert found == Text(
        text="no route to the meter", guess="is the first std::string inside of the object"
    )


def test_a_string_at_the_begin_of_an_object() -> None:
    made = CxxMemory()
    own = made.plain("5Plain")
    found = said(made, own, made.std_string("no route to the meter"))
    assert found is not None
    assert found.text == "no route to the meter"


def test_what_is_no_string() -> None:
    made = CxxMemory()
    own = made.plain("5Plain")
    constant = made.string("a text of the program, not of the heap")
    heap = made.allocate(b"0123456789abcdef0123456789\0")
    for thing in (
        made.words(constant, 38, 40, 0),
        made.words(heap, 26, 8, 0),
        made.words(heap, 26, 20, 0),
        made.words(heap, 25, 1 << 40, 0),
        made.words(heap, 25, 30, 0),
        made.words(heap, 0, 30, 0),
        made.words(0x1000, 25, 30, 0),
    ):
        assert said(made, own, thing) is None


def test_members_are_looked_for_in_a_bounded_part_of_large_objects() -> None:
    made = CxxMemory()
    own = made.plain("5Large")
    thing = bytes(MAX_OBJECT) + made.std_string("no route to the meter")
    assert said(made, own, thing) is None
    assert said(made, own, thing[MAX_OBJECT - 64 :]) is not None


def test_an_exception_thrown_by_its_address() -> None:
    made = CxxMemory()
    error = runtime_error(made)
    pointer = made.info("pointer", "PSt13runtime_error", 0, error)
    target = made.allocate(made.words(made.table(error), made.cow("by pointer")))
    assert text(made, pointer, made.words(target)) == "by pointer"
    # of a class without virtual functions nothing is known
    assert text(made, pointer, made.words(target + 8)) == hex(target + 8)
    numbers = made.info("pointer", "Pi", 0, made.info("fundamental", "i"))
    assert text(made, numbers, made.words(target)) == hex(target)


def test_other_types_say_nothing() -> None:
    made = CxxMemory()
    infos = [made.info("fundamental", "e")]
    assert [said(made, info, bytes(16)) for info in infos] == [None]


# -- without the file of libstdc++ nothing is known of the bases


def nameless(made: CxxMemory, name: int = AWAY) -> int:
    table = made.constant(made.words(CONSTANTS - 0x10_0000 + 0x4000))
    return made.constant(made.words(table, name))


def test_a_text_by_its_form() -> None:
    made = CxxMemory()
    found = said(made, nameless(made), made.words(0, 302, 0, made.cow("type must be string"), 0))
    assert found is not None
    assert found.text == "type must be string"
    assert found.guess == "has the form that std::runtime_error keeps it in"


def test_a_string_by_its_form() -> None:
    made = CxxMemory()
    own = nameless(made, made.string("6OwnErr"))
    found = said(made, own, made.words(0, made.cow("")) + made.std_string("no route to the meter"))
    assert found is not None
    assert found.text == "no route to the meter"
    assert said(made, own, bytes(64)) is None


@given(st.binary(max_size=256), st.sampled_from(["St13runtime_error", FILESYSTEM, "3Bad", STRING]))
def test_any_object(noise: bytes, name: str) -> None:
    made = CxxMemory()
    own = made.single(name, runtime_error(made))
    found = said(made, own, noise, len(noise))
    assert found is None or len(found.text) <= MAX_TEXT
