"""Types of C++ objects from memory: names, bases and where they lie."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.adapters.demangle import Demangler, load_demangler
from evdiag.analyze.rtti import MAX_KNOWN, MAX_PARTS, STRING, Part, Types, readable, short
from tests.support.cxx_memory import CODE_AT, CONSTANTS, HEAP, CxxMemory

GNU = Demangler(load_demangler())
OWN = Demangler(None)


def names_at(types: Types, info: int, address: int) -> list[tuple[str | None, int]]:
    kind = types.read(info)
    assert kind is not None
    parts = types.parts(Part(type=kind, address=address))
    return [(part.type.name, part.address - address) for part in parts]


def test_the_name_and_kind_of_a_type() -> None:
    made = CxxMemory()
    infos = {kind: made.info(kind, f"3{kind[:3]}") for kind in made.meta}
    types = Types(made.space())
    for kind, at in infos.items():
        found = types.read(at)
        assert found is not None
        assert (found.address, found.name, found.kind) == (at, f"3{kind[:3]}", kind)
        assert types.read(at) is found


def test_a_local_type_has_a_star_before_its_name() -> None:
    made = CxxMemory()
    at = made.info("class", "*N12_GLOBAL__N_13BadE")
    found = Types(made.space()).read(at)
    assert found is not None
    assert found.name == "N12_GLOBAL__N_13BadE"


def test_what_is_no_type() -> None:
    made = CxxMemory()
    text = made.string("3Bad")
    wrong = [
        made.constant(made.words(0, text)),
        made.constant(made.words(made.meta["class"], 0)),
        made.constant(made.words(HEAP, text)),
        made.constant(made.words(made.meta["class"], HEAP)),
        made.info("class", ""),
        made.info("class", b"3B\xffd"),
        made.info("class", "a name with spaces"),
        0x1234,
        CONSTANTS + 0xF_FFF8,
    ]
    types = Types(made.space())
    assert [types.read(at) for at in wrong] == [None] * len(wrong)


def test_a_type_whose_name_is_in_a_missing_file() -> None:
    # GIVEN a name in constants that were not dumped
    made = CxxMemory()
    away = CONSTANTS + 0x8_0000
    known = made.constant(made.words(made.meta["class"], away))
    strange = made.constant(made.words(made.constant(made.words(CODE_AT)), away))
    wrong = made.constant(made.words(made.constant(made.words(HEAP)), away))
    types = Types(made.space())
    found = types.read(known)
    assert found is not None
    assert (found.name, found.kind) == (None, "class")
    # a table that begins with a function is enough
    found = types.read(strange)
    assert found is not None
    assert (found.name, found.kind) == (None, None)
    assert types.read(wrong) is None


def test_cores_without_a_list_of_files() -> None:
    made = CxxMemory()
    at = made.plain("3Bad")
    found = Types(made.space(files=False)).read(at)
    assert found is not None
    assert found.name == "3Bad"


def test_single_inheritance() -> None:
    made = CxxMemory()
    base = made.plain("St9exception")
    error = made.single("St13runtime_error", base)
    own = made.single("5Limit", error)
    names = names_at(Types(made.space()), own, 0x1000)
    assert names == [("5Limit", 0), ("St13runtime_error", 0), ("St9exception", 0)]


def test_a_base_that_is_no_type() -> None:
    made = CxxMemory()
    own = made.single("5Limit", 0)
    other = made.single("5Limit", HEAP)
    types = Types(made.space())
    assert names_at(types, own, 0) == [("5Limit", 0)]
    assert names_at(types, other, 0) == [("5Limit", 0)]


def test_multiple_inheritance() -> None:
    made = CxxMemory()
    clone, error = made.plain("5Clone"), made.single("St11logic_error", made.plain("St9exception"))
    own = made.multiple("4Wrap", [(clone, 2), (error, 8 << 8 | 2), (HEAP, 2), (0, 0)])
    names = names_at(Types(made.space()), own, HEAP)
    # nearest first
    assert names == [("4Wrap", 0), ("5Clone", 0), ("St11logic_error", 8), ("St9exception", 8)]


def test_a_virtual_base() -> None:
    made = CxxMemory()
    error = made.plain("St13runtime_error")
    own = made.multiple("4Virt", [(error, -24 << 8 | 3)])
    table = made.table(own, before=[16])
    thing = made.allocate(made.words(table, 0, 0, 0))
    types = Types(made.space())
    assert names_at(types, own, thing) == [("4Virt", 0), ("St13runtime_error", 16)]
    # without the object there is no telling where it is
    assert names_at(types, own, HEAP - 0x1000) == [("4Virt", 0)]
    assert names_at(types, own, thing + 8) == [("4Virt", 0)]


def test_a_class_that_is_its_own_base() -> None:
    made = CxxMemory()
    at = made.info("single", "4Loop", 0)
    made.constants[at - CONSTANTS + 16 : at - CONSTANTS + 24] = made.words(at)
    assert names_at(Types(made.space()), at, 0) == [("4Loop", 0)]


def test_a_class_with_more_and_more_bases() -> None:
    made = CxxMemory()
    at = made.multiple("4Many", [(0, 0)] * 4)
    rows = [value for i in range(4) for value in (at, (i + 1) << 8)]
    made.constants[at - CONSTANTS + 24 : at - CONSTANTS + 88] = made.words(*rows)
    assert len(names_at(Types(made.space()), at, 0)) == MAX_PARTS


def test_the_type_of_an_object() -> None:
    made = CxxMemory()
    own = made.plain("4Wrap")
    inner = made.table(own, top=-16)
    thing = made.allocate(made.words(made.table(own), 0, inner))
    other = made.allocate(made.words(0, made.table(made.info("enum", "4Kind")), made.table(HEAP)))
    types = Types(made.space())
    for at in (thing, thing + 16):
        part = types.dynamic(at)
        assert part is not None
        assert (part.type.name, part.address) == ("4Wrap", thing)
    for at in (other, other + 8, other + 16, 0x1234):
        assert types.dynamic(at) is None


def test_what_a_pointer_points_to() -> None:
    made = CxxMemory()
    own = made.plain("4Wrap")
    pointer = made.info("pointer", "P4Wrap", 0, own)
    nowhere = made.info("pointer", "P4Wrap", 0, 0)
    types = Types(made.space())
    for at, name in ((pointer, "4Wrap"), (nowhere, None), (own, None)):
        kind = types.read(at)
        assert kind is not None
        target = types.pointee(kind)
        assert (target.name if target else None) == name


def test_memory_for_types_is_bounded() -> None:
    types = Types(CxxMemory().space())
    for at in range(MAX_KNOWN + 10):
        assert types.read(at) is None
    assert len(types._known) == MAX_KNOWN


@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_constants(noise: bytes, at: int) -> None:
    made = CxxMemory()
    made.constants += noise
    own = made.multiple("4Many", [(CONSTANTS + at * 8, 8), (CONSTANTS + at, 3)])
    types = Types(made.space())
    assert names_at(types, own, CONSTANTS + at)[0] == ("4Many", 0)
    assert len(names_at(types, own, CONSTANTS)) <= MAX_PARTS


@pytest.mark.parametrize(
    ("mangled", "name"),
    [
        ("N5types5LimitE", "types::Limit"),
        ("i", "int"),
        ("PKc", "char const*"),
        ("Dn", "std::nullptr_t"),
        (STRING, "std::string"),
    ],
)
def test_readable_names(mangled: str, name: str) -> None:
    assert readable(mangled, GNU) == name
    assert readable(mangled, OWN) == name


def test_names_without_what_marks_versions_of_libraries() -> None:
    assert readable("NSt10filesystem7__cxx1116filesystem_errorE", GNU) == (
        "std::filesystem::filesystem_error"
    )
    assert readable("NSt8ios_base7failureB5cxx11E", GNU) == "std::ios_base::failure"
    assert readable("4Wrap<", OWN) == "4Wrap<"
    full = "std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >"
    assert short(full) == "std::string"
