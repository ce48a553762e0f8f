"""Living exceptions of a process: found by the thread's list, by a search, and told apart."""

import pytest

from evdiag.adapters.demangle import Demangler
from evdiag.analyze.exceptions import (
    CHUNK,
    MAX_CHAIN,
    MAX_MARKS,
    MAX_NESTED,
    MAX_SHOWN,
    SHORT_SEARCH,
    Found,
    find_exceptions,
)
from evdiag.analyze.space import AddressSpace
from evdiag.model.machine import AARCH64, I386
from evdiag.parse.cxxabi import MARK
from tests.support import elfwriter as w
from tests.support.cxx_memory import (
    CODE_AT,
    CONSTANTS,
    HEAP,
    PID,
    TCB,
    CxxMemory,
)

DEMANGLE = Demangler(None)
DYNAMIC = bytes.fromhex("488d3d") + (CONSTANTS + 0x40 - CODE_AT - 7).to_bytes(4, "little")
"""`lea rdi, [rip + ...]`: the index is at 0x40 of the constants."""
ELSEWHERE = 0x5600_0000_0000


def found_in(space: AddressSpace) -> Found:
    return find_exceptions(space, space.facts.threads[0], DEMANGLE)


def shown(found: Found) -> list[tuple[str | None, str | None, str | None]]:
    return [(e.type, e.what, e.role) for e in found.exceptions]


def error(made: CxxMemory) -> int:
    return made.single("St13runtime_error", made.plain("St9exception"))


def throw(made: CxxMemory, text: str, **more: int) -> int:
    """A std::runtime_error."""
    kind = error(made)
    return made.throw(kind, made.words(made.table(kind), made.cow(text)), **more)


def test_an_exception_by_both_ways() -> None:
    made = CxxMemory()
    at = throw(made, "no route")
    made.handled(at)
    found = found_in(made.space())
    assert shown(found) == [("std::runtime_error", "no route", "caught")]
    assert found.exceptions[0].bases == ("std::exception",)
    assert found.exceptions[0].address == at + 32
    assert found.handled is True
    assert found.evidence == (
        "the exception was found by the thread's own list of exceptions "
        "and by a search of the heap",
    )


def test_an_exception_by_the_list_alone() -> None:
    # GIVEN one in a mapping that the search does not visit
    made = CxxMemory()
    at = throw(made, "no route")
    made.handled(at)
    heap = bytes(made.heap)
    made.heap = bytearray(16)
    piece = w.Piece(start=HEAP + 0x10_0000, data=b"", flags=w.READ)
    space = made.space(pieces=[piece])
    assert found_in(space).handled is None  # the list leads nowhere
    made.heap = bytearray(heap)
    other = made.thread(PID + 1, stack=HEAP)  # a stack, as it seems
    found = found_in(made.space(threads=[made.thread(), other]))
    assert shown(found) == [("std::runtime_error", "no route", "caught")]
    assert found.evidence == ("the exception was found by the thread's own list of exceptions",)


def test_an_exception_by_the_search_alone() -> None:
    made = CxxMemory()
    throw(made, "no route")
    found = found_in(made.space(with_library=False))
    assert shown(found) == [("std::runtime_error", "no route", "kept")]
    assert found.handled is None
    assert "cannot be read" in found.evidence[1]


def test_a_type_that_cannot_be_read() -> None:
    # GIVEN what the list has is an exception, whatever its type is
    made = CxxMemory()
    made.handled(made.throw(0x1000, made.words(0, made.cow("no route"))))
    assert shown(found_in(made.space())) == [(None, "no route", "caught")]


def test_a_number_that_was_thrown() -> None:
    made = CxxMemory()
    made.handled(made.throw(made.info("fundamental", "i"), b"\x11\0\0\0"))
    assert shown(found_in(made.space())) == [("int", "17", "caught")]


def test_no_exception() -> None:
    made = CxxMemory()
    assert found_in(made.space()) == Found(handled=False)
    assert found_in(made.space(with_library=False)) == Found()


def test_code_that_cannot_be_understood() -> None:
    assert found_in(CxxMemory().space(code=b"\xc3")) == Found()


def test_the_vector_of_musl_is_not_read() -> None:
    made = CxxMemory()
    made.handled(throw(made, "no route"))
    musl = w.MappedRow(ELSEWHERE, ELSEWHERE + 0x1000, 0, "/lib/ld-musl-x86_64.so.1")
    piece = w.Piece(start=ELSEWHERE, data=b"\x7fELF", flags=w.READ)
    space = made.space(pieces=[piece], more_files=[musl])
    assert found_in(space).handled is True  # beside the thread pointer
    made.constants[0x40:0x50] = made.words(1, 0)
    assert found_in(made.space(code=DYNAMIC, pieces=[piece], more_files=[musl])).handled is None


def test_code_that_was_not_dumped() -> None:
    made = CxxMemory()
    space = made.space()
    space.memory.fallback = None
    regions = [r for r in space.facts.regions if r.start != CODE_AT]
    space.memory.regions = tuple(regions)
    space.memory._starts = [r.start for r in regions]
    assert found_in(space) == Found()


def test_a_thread_that_never_threw() -> None:
    # GIVEN the variable of a library that the thread has not used: module 1, not allocated
    made = CxxMemory()
    made.constants[0x40:0x50] = made.words(1, 0)
    made.tcb[8:16] = made.words(TCB + 0x80)
    made.tcb[0x90:0x98] = made.words(-1)
    assert found_in(made.space(code=DYNAMIC)) == Found(handled=False)


def test_exceptions_that_are_handled_inside_of_each_other() -> None:
    made = CxxMemory()
    outer = throw(made, "first")
    inner = throw(made, "second", following=outer - 80)
    made.handled(inner, in_flight=1)
    found = found_in(made.space())
    assert [(e.what, e.role) for e in found.exceptions] == [
        ("second", "caught"),
        ("first", "caught"),
    ]


def test_an_exception_on_its_way_to_a_handler() -> None:
    made = CxxMemory()
    throw(made, "first", handlers=0)
    throw(made, "kept")
    made.handled(throw(made, "second"), in_flight=1)
    found = found_in(made.space())
    assert [(e.what, e.role) for e in found.exceptions] == [
        ("second", "caught"),
        ("first", "thrown"),
        ("kept", "kept"),
    ]


def test_a_list_that_never_ends() -> None:
    made = CxxMemory()
    first = throw(made, "first")
    second = throw(made, "second", following=first - 80)
    made.heap[first - HEAP - 48 : first - HEAP - 40] = made.words(second - 80)
    made.handled(first)
    assert len(found_in(made.space()).exceptions) == 2
    made = CxxMemory()
    at = 0
    for _ in range(MAX_CHAIN + 5):
        at = throw(made, "deep", following=at - 80 if at else 0)
    made.handled(at)
    assert len(found_in(made.space()).exceptions) == MAX_SHOWN


@pytest.mark.parametrize(("head", "in_flight"), [(HEAP + 8, 0), (0, 1 << 20), (0x1000, 0)])
def test_a_list_that_is_none(head: int, in_flight: int) -> None:
    made = CxxMemory()
    made.tcb[0x40:0x50] = made.words(head, in_flight)
    assert found_in(made.space()).handled is None


def test_a_thread_without_a_thread_pointer() -> None:
    made = CxxMemory()
    space = made.space(threads=[made.thread(pointer=0)])
    assert found_in(space).handled is None
    space = made.space(threads=[made.thread(pointer=0x1000)])
    assert found_in(space).handled is None


def test_exceptions_of_other_threads() -> None:
    made = CxxMemory()
    own, other, kept = (throw(made, text) for text in ("own", "other", "kept"))
    made.handled(own)
    made.handled(other, offset=0xC0)
    threads = [made.thread(), made.thread(PID + 1, pointer=TCB + 0x80)]
    threads.append(made.thread(PID + 2, pointer=TCB + 0x100))
    found = found_in(made.space(threads=threads))
    assert [(e.what, e.role) for e in found.exceptions] == [
        ("own", "caught"),
        ("other", "caught"),
        ("kept", "kept"),
    ]
    assert kept > other


def test_a_dependent_exception() -> None:
    made = CxxMemory()
    at = throw(made, "through a pointer", references=2)
    made.handled(made.rethrow(at))
    found = found_in(made.space())
    assert shown(found) == [("std::runtime_error", "through a pointer", "caught")]


def test_a_dependent_exception_of_a_dependent_one() -> None:
    made = CxxMemory()
    at = throw(made, "through a pointer")
    made.handled(made.rethrow(made.rethrow(at)))
    assert [e.role for e in found_in(made.space()).exceptions] == ["kept"]


def test_a_freed_exception_is_none() -> None:
    made = CxxMemory()
    throw(made, "gone", references=0)
    assert found_in(made.space()).exceptions == ()


def test_a_header_whose_type_is_none() -> None:
    made = CxxMemory()
    made.throw(HEAP, b"")
    assert found_in(made.space()).exceptions == ()


def nested(made: CxxMemory, text: str, held: int) -> int:
    """What std::throw_with_nested throws: an error, and a pointer to the one before."""
    own = made.multiple(
        "St17_Nested_exceptionISt13runtime_errorE",
        [(error(made), 2), (made.plain("St16nested_exception"), 16 << 8 | 2)],
    )
    table = made.table(own)
    return made.throw(own, made.words(table, made.cow(text), table, held))


def test_nested_exceptions() -> None:
    made = CxxMemory()
    inner = throw(made, "inner")
    middle = nested(made, "middle", inner + 32)
    made.handled(nested(made, "outer", middle + 32))
    found = found_in(made.space())
    assert [(e.what, e.role) for e in found.exceptions] == [
        ("outer", "caught"),
        ("inner", "nested"),
        ("middle", "nested"),
    ]


def test_nested_exceptions_out_of_reach_of_the_search() -> None:
    made = CxxMemory()
    inner = throw(made, "inner")
    made.handled(nested(made, "outer", inner + 32))
    other = made.thread(PID + 1, stack=HEAP)
    found = found_in(made.space(threads=[made.thread(), other]))
    assert [(e.what, e.role) for e in found.exceptions] == [
        ("outer", "caught"),
        ("inner", "nested"),
    ]


@pytest.mark.parametrize("held", [0, 0x1000])
def test_a_nested_exception_that_holds_none(held: int) -> None:
    made = CxxMemory()
    made.handled(nested(made, "outer", held))
    assert [e.what for e in found_in(made.space()).exceptions] == ["outer"]


def test_an_exception_that_is_nested_in_itself() -> None:
    made = CxxMemory()
    at = nested(made, "outer", 0)
    made.heap[at - HEAP + 56 : at - HEAP + 64] = made.words(at + 32)
    made.handled(at)
    assert [(e.what, e.role) for e in found_in(made.space()).exceptions] == [("outer", "nested")]


def test_very_deep_nesting() -> None:
    made = CxxMemory()
    at = throw(made, "innermost")
    for _ in range(20):
        at = nested(made, "outer", at + 32)
    made.handled(at)
    other = made.thread(PID + 1, stack=HEAP)
    found = found_in(made.space(threads=[made.thread(), other]))
    assert len(found.exceptions) == MAX_NESTED + 1


def test_a_guessed_text_is_called_one() -> None:
    made = CxxMemory()
    own = made.plain("6OwnErr")
    thing = made.words(made.table(own)) + made.std_string("no route to the meter")
    made.handled(made.throw(own, thing))
    found = found_in(made.space())
    assert found.exceptions[0].what == "no route to the meter"
    assert found.evidence[1].startswith("its text is the first std::string inside of the object")


def test_the_size_of_an_object_of_another_allocator() -> None:
    made = CxxMemory()
    own = made.plain("6OwnErr")
    at = made.throw(own, made.words(made.table(own)) + made.std_string("no route to the meter"))
    made.heap[at - HEAP - 104 : at - HEAP - 96] = made.words(0)
    assert found_in(made.space()).exceptions[0].what == "no route to the meter"


def test_more_exceptions_than_are_shown() -> None:
    made = CxxMemory()
    for i in range(MAX_SHOWN + 3):
        throw(made, str(i))
    found = found_in(made.space())
    assert len(found.exceptions) == MAX_SHOWN
    assert "3 more exceptions are alive" in found.evidence


# -- the search


def test_marks_across_the_pieces_of_a_search() -> None:
    for shift in range(-128, 16, 8):
        made = CxxMemory()
        kind = error(made)
        table, text = made.table(kind), made.cow("no route")
        made.heap += bytes(CHUNK + shift - len(made.heap))
        made.throw(kind, made.words(table, text))
        assert [e.what for e in found_in(made.space()).exceptions] == ["no route"]


def test_a_mark_that_is_not_aligned() -> None:
    made = CxxMemory()
    made.heap += b"abc\0" + MARK + b"abcd"
    assert found_in(made.space()).exceptions == ()


def test_memory_full_of_marks() -> None:
    made = CxxMemory()
    made.heap += (b"\0" + MARK) * (MAX_MARKS + 10)
    throw(made, "behind all of them")
    assert found_in(made.space()).exceptions == ()


def test_a_heap_that_is_too_large() -> None:
    made = CxxMemory()
    at = throw(made, "no route")
    made.handled(at)
    made.heap += bytes(SHORT_SEARCH + (3 << 20))
    throw(made, "far away")
    found = found_in(made.space())
    assert [e.what for e in found.exceptions] == ["no route"]
    assert found.evidence[-1] == "3 MiB of memory were not searched for others"


def test_the_stack_leads_to_the_exception() -> None:
    # GIVEN a large heap that ends with the exception
    made = CxxMemory()
    throw(made, "an older one")
    made.heap += bytes(SHORT_SEARCH)
    at = throw(made, "the last one")
    made.stack[64:80] = made.words(0x1234, at + 32)
    found = found_in(made.space(with_library=False))
    assert [e.what for e in found.exceptions] == ["the last one", "an older one"]


def test_regions_that_the_stack_points_to_come_first() -> None:
    made = CxxMemory()
    throw(made, "kept")
    made.handled(throw(made, "no route"))
    made.heap += bytes(SHORT_SEARCH)
    other = w.Piece(start=ELSEWHERE, data=bytes(SHORT_SEARCH))
    assert len(found_in(made.space(pieces=[other])).exceptions) == 1
    made.stack[64:72] = made.words(HEAP)
    assert len(found_in(made.space(pieces=[other])).exceptions) == 2


def test_what_libstdcxx_has_printed_comes_first() -> None:
    made = CxxMemory()
    throw(made, "kept", landing=0)
    throw(made, "printed", landing=CODE_AT + 0x20)
    found = found_in(made.space(with_library=False))
    assert [e.what for e in found.exceptions] == ["printed", "kept"]
    assert found.ended


def test_a_dependent_one_that_was_printed() -> None:
    made = CxxMemory()
    again = made.rethrow(throw(made, "printed"))
    made.heap[again - HEAP - 16 : again - HEAP - 8] = made.words(CODE_AT + 0x20)
    assert found_in(made.space(with_library=False)).ended


def test_programs_of_32_bits() -> None:
    dump = w.core(machine=I386, memory=[w.Piece(start=0x1000, data=b"\0" + MARK + bytes(64))])
    assert found_in(w.address_space(dump, {})) == Found()


def test_a_thread_of_aarch64() -> None:
    # GIVEN `mrs x0, tpidr_el0; add x0, x0, #0x40; ret`, and the thread pointer in its own note
    made = CxxMemory(AARCH64)
    made.handled(throw(made, "no route"))
    code = bytes.fromhex("40d03bd5 00000191 c0035fd6".replace(" ", ""))
    space = made.space(code=code)
    assert found_in(space).handled is True
    assert space.facts.threads[0].tls == TCB
