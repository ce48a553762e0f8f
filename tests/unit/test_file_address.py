"""Where in a file an address of a text lies."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.file_address import (
    MOVES,
    NO_CODE,
    NotThere,
    has_code,
    in_file,
    is_signal_return,
)
from evdiag.model.symbolized import Mention
from evdiag.parse.dynsym import definitions
from evdiag.parse.image import Image
from tests.support import elfwriter as w
from tests.support.elfwriter import symbols as sym

CODE = w.CODE
FIXED = 0x400000
ET_EXEC = 2
LOADED = 0x7F12_3456_7000


def tables(named: list[tuple[str, int]], table: str = ".symtab") -> list[w.Section]:
    """A table of functions."""
    rows, strings = sym.symbol_table([(name, at, 2, 2) for name, at in named])
    names = {".symtab": ".strtab", ".dynsym": ".dynstr"}[table]
    return [w.Section(name=table, type=2, data=rows), w.Section(name=names, type=3, data=strings)]


def shared(*named: tuple[str, int]) -> Image:
    return Image("/lib/libfoo.so", w.image(sections=tables(list(named))))


def fixed() -> Image:
    return Image("/bin/app", w.image(base=FIXED, kind=ET_EXEC))


def mention(**facts: object) -> Mention:
    return Mention(start=0, end=1, **{"kind": "test", **facts})  # type: ignore[arg-type]


def refused(image: Image, **facts: object) -> str:
    with pytest.raises(NotThere) as caught:
        in_file(mention(**facts), image)
    return str(caught.value)


# -- an offset


def test_an_offset_is_an_address_in_a_file_that_moves() -> None:
    assert in_file(mention(offset=CODE + 0x10, is_call=False), shared()) == CODE + 0x10


def test_behind_a_call_the_call_is_looked_up() -> None:
    assert in_file(mention(offset=CODE + 0x10), shared()) == CODE + 0xF
    # a function that never returns may be the last one
    assert in_file(mention(offset=CODE + 0x2000), shared()) == CODE + 0x1FFF
    assert refused(shared(), offset=CODE + 0x2000, is_call=False) == NO_CODE


def test_an_offset_in_a_file_of_a_fixed_address() -> None:
    # glibc and the sanitizers write the address itself, others what is left without the base
    assert in_file(mention(offset=FIXED + CODE + 9, is_call=False), fixed()) == FIXED + CODE + 9
    assert in_file(mention(offset=CODE + 9, is_call=False), fixed()) == FIXED + CODE + 9
    assert refused(fixed(), offset=1 << 40) == NO_CODE


def test_what_is_no_code_is_nothing() -> None:
    assert refused(shared(), offset=0x10) == NO_CODE
    assert refused(shared(), offset=0) == NO_CODE
    assert not has_code(shared(), -1)


# -- a function


def test_an_offset_in_a_function() -> None:
    image = shared(("main", CODE + 0x40), ("other", CODE + 0x80))
    at = mention(symbol="main", offset=0x8, is_call=False)
    assert in_file(at, image) == CODE + 0x48
    assert refused(image, symbol="mai", offset=8) == "it has no function called mai"


def test_the_page_tells_another_build() -> None:
    image = shared(("main", CODE + 0x40))
    loaded = LOADED + CODE + 0x48
    assert in_file(mention(symbol="main", offset=8, address=loaded), image) == CODE + 0x47
    said = refused(image, symbol="main", offset=8, address=loaded + 0x20)
    assert said == "it is another build: main lies elsewhere in it"


def test_of_functions_of_one_name_the_page_chooses() -> None:
    image = shared(("init", CODE + 0x40), ("init", CODE + 0x90), ("init", CODE + 0x1040))
    chosen = mention(symbol="init", offset=4, address=LOADED + 0x94, is_call=False)
    assert in_file(chosen, image) == CODE + 0x94
    assert refused(image, symbol="init", offset=4) == "it has 3 functions called init"
    said = refused(image, symbol="init", offset=4, address=LOADED + 0x44)
    assert said == "it has 2 functions called init"


def test_without_the_function_the_place_in_memory_will_do() -> None:
    at = mention(symbol="gone", offset=4, address=LOADED + CODE + 8, base=LOADED)
    assert in_file(at, shared()) == CODE + 7
    assert refused(shared(), symbol="gone", offset=4, base=LOADED) == MOVES


def test_all_definitions_of_a_name() -> None:
    image = shared(("init", CODE), ("init", CODE + 16), ("x", CODE + 32))
    image.companion = Image(
        "/x.debug", w.image(sections=[*tables([("init", CODE + 48)]), *tables([], ".dynsym")])
    )
    assert definitions(image, "init") == {CODE, CODE + 16, CODE + 48}
    assert definitions(image, "y") == frozenset()
    assert definitions(image, "") == frozenset()
    assert definitions(image, "init\udcff") == frozenset()


# -- an address in memory


def test_from_where_the_file_is_mapped() -> None:
    at = mention(address=LOADED + CODE + 0x20, base=LOADED)
    assert in_file(at, shared()) == CODE + 0x1F
    fixed_at = mention(address=FIXED + CODE + 0x20, base=FIXED)
    assert in_file(fixed_at, fixed()) == FIXED + CODE + 0x1F
    assert refused(shared(), address=LOADED, base=LOADED) == NO_CODE


def test_the_kernel_tells_where_the_code_is_mapped() -> None:
    image = shared()
    at = mention(kind="kernel", address=LOADED + 0x123, base=LOADED, is_call=False)
    assert in_file(at, image) == CODE + 0x123
    at = mention(kind="kernel", address=LOADED + 0x123, base=LOADED, offset=7, is_call=False)
    assert in_file(at, image) == CODE + 0x123
    outside = {"address": LOADED + 0x9000, "base": LOADED}
    assert refused(image, kind="kernel", **outside) == NO_CODE


def test_a_newer_kernel_tells_where_in_the_file() -> None:
    # w.image puts each byte at its address in the file
    of_kernel = {"kind": "kernel", "base": LOADED, "is_call": False}
    assert in_file(mention(file_offset=CODE + 4, **of_kernel), fixed()) == FIXED + CODE + 4
    assert refused(shared(), file_offset=1 << 40, **of_kernel) == NO_CODE
    assert refused(shared(), file_offset=8, **of_kernel) == NO_CODE


def test_an_address_alone_will_do_for_a_fixed_address() -> None:
    at = mention(address=FIXED + CODE + 1)
    assert in_file(at, fixed()) == FIXED + CODE
    assert refused(shared(), address=LOADED) == MOVES
    assert refused(fixed()) == MOVES


numbers = st.none() | st.integers(-(1 << 70), 1 << 70)


@given(
    facts=st.fixed_dictionaries(
        {
            "kind": st.sampled_from(["kernel", "boost"]),
            "offset": numbers,
            "address": numbers,
            "base": numbers,
            "file_offset": numbers,
            "symbol": st.none() | st.sampled_from(["init", "main", ""]) | st.text(max_size=9),
            "is_call": st.booleans(),
        }
    ),
    is_fixed=st.booleans(),
)
def test_it_is_code_or_nothing(facts: dict[str, object], is_fixed: bool) -> None:
    image = fixed() if is_fixed else shared(("init", CODE), ("init", CODE + 7), ("main", CODE + 9))
    try:
        found = in_file(mention(**facts), image)
    except NotThere:
        return
    assert has_code(image, found)


# -- behind a signal handler


def test_where_a_signal_handler_returns_to() -> None:
    image = shared()
    begins = next(s for s in image.loads if s.flags & 1)
    data = bytearray(image.data)
    at = begins.offset + 0x40
    data[at : at + 9] = bytes.fromhex("48c7c00f0000000f05")  # x86-64: mov $15,%rax; syscall
    image = Image("/lib/libfoo.so", bytes(data))
    there = begins.vaddr + 0x40
    assert is_signal_return(image, there)
    assert not is_signal_return(image, there + 1)
    assert not is_signal_return(image, begins.vaddr + begins.memory_size)
