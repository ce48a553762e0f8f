"""Memory of the crashed process."""

import pytest

from evdiag.model.machine import I386, X86_64, Machine
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from tests.support import elfwriter as w


def memory_of(*pieces: w.Piece, machine: Machine = X86_64, cut: int = 0) -> Memory:
    """The memory of a core with these mappings, whose last bytes are cut off."""
    dump = w.core(memory=pieces, machine=machine)
    dump = dump[: len(dump) - cut]
    return Memory(dump, read_core(dump))


CODE = w.Piece(start=0x1000, data=b"\x90" * 0x10, flags=w.READ | w.EXECUTE)
DATA = w.Piece(start=0x3000, data=w.words(0x1122334455667788, 2, 3, 4), size=0x100)
GUARD = w.Piece(start=0x5000, flags=0, size=0x1000)


def test_regions() -> None:
    memory = memory_of(CODE, DATA, GUARD)
    found = memory.region(0x1000)
    assert found is not None
    assert (found.start, found.end) == (0x1000, 0x1010)
    assert memory.region(0x0FFF) is None
    assert memory.region(0x1010) is None
    guard = memory.region(0x5FFF)
    assert guard is not None
    assert guard.flags == 0
    assert memory.region(-8) is None
    assert memory.region(1 << 70) is None


def test_executable() -> None:
    memory = memory_of(CODE, DATA)
    assert memory.executable(0x100F)
    assert not memory.executable(0x3000)
    assert not memory.executable(0)


def test_words_of_64_bits() -> None:
    memory = memory_of(CODE, DATA)
    assert memory.word(0x3000) == 0x1122334455667788
    assert memory.word(0x3008) == 2  # the second time from the region that is known already
    assert memory.word(0x3004) == 0x0000000211223344  # not aligned
    assert memory.word(0x1000) == 0x9090909090909090


def test_words_of_32_bits() -> None:
    memory = memory_of(w.Piece(start=0x3000, data=w.words(5, 6, bits=32)), machine=I386)
    assert [memory.word(a) for a in (0x3000, 0x3004, 0x3008)] == [5, 6, None]


def test_a_word_that_is_not_whole_is_none() -> None:
    memory = memory_of(DATA)
    assert memory.word(0x3018) == 4
    assert memory.word(0x3019) is None  # seven bytes of it were dumped
    assert memory.word(0x3050) is None  # mapped, not dumped
    assert memory.word(0x9000) is None  # not mapped
    assert memory.word(-8) is None
    assert memory.word(0x3018) == 4


def test_reading_ends_with_what_was_dumped() -> None:
    # GIVEN another mapping, whose bytes come next in the file
    memory = memory_of(DATA, w.Piece(start=0x7000, data=b"next" * 100))
    assert memory.read(0x3000, 8) == w.words(0x1122334455667788)
    assert memory.read(0x3018, 100) == w.words(4)
    assert memory.read(0x3020, 100) == b""
    assert memory.read(0x9000, 100) == b""


def test_a_truncated_core_has_the_bytes_that_are_there() -> None:
    memory = memory_of(w.Piece(start=0x3000, data=w.words(1, 2, 3)), cut=5)
    assert memory.word(0x3008) == 2
    assert memory.word(0x3010) is None
    assert memory.read(0x3000, 100) == w.words(1, 2, 3)[:-5]


def test_what_was_not_dumped_comes_from_the_fallback() -> None:
    # GIVEN a file that has the address modulo 256 in every byte
    memory = memory_of(CODE, DATA)
    asked = []

    def fallback(address: int, size: int) -> bytes:
        asked.append((address, size))
        return bytes((address + i) & 0xFF for i in range(size)) if address < 0x4000 else b""

    memory.fallback = fallback
    # THEN it is asked only for what the core does not have
    assert memory.word(0x3000) == 0x1122334455667788
    assert memory.read(0x1004, 2) == b"\x90\x90"
    assert asked == []
    assert memory.word(0x3080) == 0x8786858483828180
    assert memory.read(0x3081, 2) == b"\x81\x82"
    assert memory.word(0x8000) is None
    assert asked == [(0x3080, 8), (0x3081, 2), (0x8000, 8)]


def test_the_core_alone_is_read_without_the_fallback() -> None:
    memory = memory_of(DATA)
    memory.fallback = lambda address, size: b"x" * size
    assert memory.in_core(0x3080, 4) == b""
    assert memory.in_core(0x9000, 4) == b""
    assert memory.in_core(0x3008, 4) == b"\2\0\0\0"


@pytest.mark.parametrize("size", [0, 5, 255, 256, 257, 4095])
def test_strings(size: int) -> None:
    memory = memory_of(w.Piece(start=0x3000, data=b"x" * size + b"\0behind"))
    assert memory.string(0x3000) == "x" * size


def test_strings_are_cut_at_the_limit() -> None:
    memory = memory_of(w.Piece(start=0x3000, data=b"x" * 10_000))
    assert memory.string(0x3000) == "x" * 4096
    assert memory.string(0x3000, 10) == "x" * 10
    assert memory.string(0x3000, 1 << 20) == "x" * 10_000


def test_strings_without_end_or_memory() -> None:
    memory = memory_of(w.Piece(start=0x3000, data=b"caf\xc3\xa9 \xff"))
    assert memory.string(0x3000) == "café \ufffd"
    assert memory.string(0x9000) is None
