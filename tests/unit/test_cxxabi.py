"""Headers of thrown objects in memory, living ones and what looks like them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.machine import I386
from evdiag.parse.cxxabi import MARK, PRIMARY, read_header
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from tests.support import elfwriter as w
from tests.support.cxx_memory import HANDLER, HEAP, CxxMemory


def test_the_header_of_a_thrown_object() -> None:
    made = CxxMemory()
    kind = made.plain("3Bad")
    at = made.throw(kind, b"\x11", handlers=2, references=3, following=HEAP, landing=HANDLER)
    header = read_header(made.space().memory, at)
    assert header is not None
    assert (header.at, header.dependent, header.type, header.object) == (at, False, kind, at + 32)
    assert (header.handlers, header.references) == (2, 3)
    assert (header.next, header.landing) == (HEAP + 80, HANDLER)


def test_an_exception_that_is_thrown_again_counts_its_handlers_below_zero() -> None:
    made = CxxMemory()
    at = made.throw(made.plain("3Bad"), b"", handlers=-1)
    header = read_header(made.space().memory, at)
    assert header is not None
    assert (header.handlers, header.next) == (-1, 0)


def test_a_dependent_header_leads_to_the_exception_itself() -> None:
    made = CxxMemory()
    at = made.throw(made.plain("3Bad"), b"")
    again = made.rethrow(at)
    header = read_header(made.space().memory, again)
    assert header is not None
    assert (header.dependent, header.object, header.type) == (True, at + 32, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"references": 0},  # freed; nobody clears the rest
        {"references": 0x55D3C1A2B3C4},  # malloc's list of free blocks
        {"references": -1},
        {"handler": 0},
        {"handler": HEAP},
        {"destructor": HEAP},
        {"mark": PRIMARY ^ 1 << 8},
    ],
)
def test_what_is_no_living_exception(wrong: dict[str, int]) -> None:
    made = CxxMemory()
    at = made.throw(made.plain("3Bad"), b"", **wrong)
    assert read_header(made.space().memory, at) is None


def test_the_padding_behind_the_count_is_overwritten_when_a_block_is_freed() -> None:
    made = CxxMemory()
    at = made.throw(made.plain("3Bad"), b"")
    made.heap[at - HEAP - 88 : at - HEAP - 80] = b"tcachkey"
    assert read_header(made.space().memory, at) is None


def test_a_wrong_handler_of_unexpected_exceptions() -> None:
    made = CxxMemory()
    at = made.throw(made.plain("3Bad"), b"")
    place = at - HEAP - 64
    made.heap[place : place + 8] = bytes(8)
    assert read_header(made.space().memory, at) is not None
    made.heap[place : place + 8] = struct.pack("<Q", HEAP)
    assert read_header(made.space().memory, at) is None


def test_a_dependent_header_that_leads_nowhere() -> None:
    made = CxxMemory()
    again = made.rethrow(-30)
    assert read_header(made.space().memory, again) is None


def test_headers_at_the_edges_of_memory() -> None:
    memory = CxxMemory().space().memory
    assert read_header(memory, 8) is None
    assert read_header(memory, HEAP) is None
    assert read_header(memory, 2**64 - 8) is None


def test_programs_of_32_bits_are_not_read() -> None:
    dump = w.core(machine=I386, memory=[w.Piece(start=0x1000, data=bytes(256))])
    assert read_header(Memory(dump, read_core(dump)), 0x1080) is None


@given(st.binary(min_size=96, max_size=96), st.integers(0, 200))
def test_any_bytes_before_the_mark(before: bytes, extra: int) -> None:
    made = CxxMemory()
    made.heap += before + b"\0" + MARK + bytes(extra)
    at = HEAP + len(made.heap) - extra - 8
    header = read_header(made.space().memory, at)
    assert header is None or header.at == at
