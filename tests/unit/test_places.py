"""Where addresses lie, in words, and what strange pointers give away."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze import places
from evdiag.model.core import EXECUTE, READ, WRITE, MappedFile, Region
from evdiag.model.crash import CrashFacts
from evdiag.model.machine import AARCH64, ARM, MACHINES, X86_64, Machine


def region(start: int, end: int, flags: int) -> Region:
    return Region(start=start, end=end, flags=flags, offset=0, wanted=0, present=0)


CODE = region(0x401000, 0x402000, READ | EXECUTE)
HEAP = region(0x600000, 0x700000, READ | WRITE)
JIT = region(0x800000, 0x801000, READ | WRITE | EXECUTE)
GUARD = region(0x7F0000000000, 0x7F0000001000, 0)
STACK = region(0x7F0000001000, 0x7F0000100000, READ | WRITE)
RESERVED = region(0x7F0000200000, 0x7F0000300000, 0)
REGIONS = (CODE, HEAP, JIT, GUARD, STACK, RESERVED)
FACTS = CrashFacts(
    regions=REGIONS,
    files=(
        MappedFile(start=0x401000, end=0x402000, offset=0, path="/bin/app"),
        MappedFile(start=0x500000, end=0x501000, offset=0, path="/lib/left-out.so"),
    ),
    sp=0x7F0000050000,
)
NO_MAP = CrashFacts()


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (0x400FFF, None),
        (0x401000, CODE),
        (0x401FFF, CODE),
        (0x402000, None),
        (0x7F0000000FFF, GUARD),
        (0x7F0000001000, STACK),
        (1 << 63, None),
    ],
)
def test_the_region_of_an_address(address: int, expected: Region | None) -> None:
    assert places.region_at(REGIONS, address) == expected


@pytest.mark.parametrize(
    ("address", "expected"),
    [(0, CODE), (0x401000, HEAP), (0x7F0000000000, STACK), (0x7F0000200000, None)],
)
def test_the_region_above_an_address(address: int, expected: Region | None) -> None:
    assert places.region_above(REGIONS, address) == expected


@pytest.mark.parametrize(
    ("address", "path"),
    [(0x3FFFFF, None), (0x401800, "/bin/app"), (0x402000, None), (0x500000, "/lib/left-out.so")],
)
def test_the_file_of_an_address(address: int, path: str | None) -> None:
    found = places.file_at(FACTS.files, address)
    assert (found.path if found else None) == path


@pytest.mark.parametrize(
    ("flags", "text"), [(0, "---"), (READ, "r--"), (READ | WRITE, "rw-"), (7, "rwx")]
)
def test_permissions(flags: int, text: str) -> None:
    assert places.permissions(flags) == text


@pytest.mark.parametrize(
    ("machine", "address", "canonical", "kernel"),
    [
        (X86_64, 0x7FFF_FFFF_FFFF, True, False),
        (X86_64, 0x8000_0000_0000, False, False),
        (X86_64, 0x4141414141414141, False, False),
        (X86_64, 0xFFFF_8000_0000_0000, True, True),
        (X86_64, (1 << 64) - 1, True, True),
        (AARCH64, 0x4141414141414141, True, False),
        (AARCH64, 0xFFFF_0000_0000_0000, True, True),
        (ARM, 0xFFFFFFFF, True, False),
    ],
)
def test_addresses_of_a_machine(
    machine: Machine, address: int, canonical: bool, kernel: bool
) -> None:
    assert places.is_canonical(machine, address) is canonical
    assert places.is_kernel_half(machine, address) is kernel


@pytest.mark.parametrize(
    ("address", "mapped", "accessible", "executable"),
    [
        (0x401000, True, True, True),
        (0x600000, True, True, False),
        (0x7F0000000000, True, False, False),
        (0x500000, True, True, None),
        (0x12345, False, False, False),
    ],
)
def test_what_is_possible_at_an_address(
    address: int, mapped: bool, accessible: bool, executable: bool | None
) -> None:
    assert places.is_mapped(FACTS, address) is mapped
    assert places.is_accessible(FACTS, address) is accessible
    assert places.is_executable(FACTS, address) is executable


def test_a_core_without_mappings_tells_nothing() -> None:
    assert places.is_executable(NO_MAP, 0x401000) is None
    assert places.describe(NO_MAP, 0x401000) == "somewhere: the core has no list of mappings"


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (0, "in the first page (null pointer + 0x0)"),
        (0x18, "in the first page (null pointer + 0x18)"),
        (0x2000, "in the first 64 KiB (null pointer + 0x2000)"),
        (0x401234, "in /bin/app (r-x)"),
        (0x500010, "in /lib/left-out.so"),
        (0x600010, "in the heap-like region 0x600000-0x700000 (rw-)"),
        (0x800010, "in the anonymous region 0x800000-0x801000 (rwx)"),
        (0x7F0000000010, "in a guard page 0x7f0000000000-0x7f0000001000 (---)"),
        (0x7F0000050000, "in the stack 0x7f0000001000-0x7f0000100000 (rw-)"),
        (0x7F0000250000, "in memory without any permission 0x7f0000200000-0x7f0000300000 (---)"),
        (
            0x7F0000100000,
            "not mapped; right behind the stack 0x7f0000001000-0x7f0000100000 (rw-)",
        ),
        (0x700020, "not mapped; 0x20 behind the heap-like region 0x600000-0x700000 (rw-)"),
        (0x5FF000, "not mapped; 0x1000 below the heap-like region 0x600000-0x700000 (rw-)"),
        (0x7F0000300010, "not mapped; 0x10 behind memory without any permission "
                         "0x7f0000200000-0x7f0000300000 (---)"),
        (0x3FFFF0, "not mapped; 0x1010 below /bin/app (r-x)"),
        (0x414141414141, "not mapped; nothing is mapped within 1 MiB of it"),
        (0x4141414141414141, "no address that x86-64 can use (non-canonical)"),
        (0xFFFFFFFF81000000, "in the kernel's half of the address space"),
    ],
)  # fmt: skip
def test_places_in_words(address: int, text: str) -> None:
    assert places.describe(FACTS, address) == text


@pytest.mark.parametrize(
    ("sp", "name"),
    [
        (0x7F0000001000, "the stack"),
        (0x7F0000000F00, "the stack"),  # an overflow has just left it
        (0x7EFFFFFF0000, "the heap-like region"),
        (0x7F0000100000, "the heap-like region"),
        (None, "the heap-like region"),
    ],
)
def test_which_region_is_the_stack(sp: int | None, name: str) -> None:
    facts = msgspec.structs.replace(FACTS, sp=sp)
    assert places.describe(facts, STACK.start).startswith(f"in {name} ")


def test_a_stack_pointer_in_other_memory_makes_nothing_a_stack() -> None:
    below = region(STACK.start - 0x1000, STACK.start, READ | WRITE)
    facts = CrashFacts(regions=(below, STACK), sp=below.start + 8)
    assert places.describe(facts, STACK.start).startswith("in the heap-like region ")


# -- what a pointer looks like


@pytest.mark.parametrize(
    ("machine", "value", "text"),
    [
        (X86_64, 0x4141414141414141, "looks like the text «AAAAAAAA»"),
        (X86_64, 0x414141414141, "looks like the text «AAAAAA»"),
        (X86_64, 0x6F6C6C6568, "looks like the text «hello»"),
        (ARM, 0x64636261, "looks like the text «abcd»"),
        (X86_64, 0x636261, None),  # too short
        (X86_64, 0x0041414141414100, None),  # not from its beginning on
        (X86_64, 0x7F1234567890, None),
        (X86_64, 0, None),
        (X86_64, 0xDEADBEEF, "is a marker for memory that must not be used"),
        (X86_64, 0xDEADBEEFDEADBEEF, "is a marker for memory that must not be used"),
        (X86_64, 0xBAADF00D, "is a marker for memory that was never filled in"),
        (X86_64, 0xFEEEFEEEFEEEFEEE, "is a marker for memory that was freed"),
        (X86_64, 0x5A5A5A5A5A5A5A5A, "is how jemalloc fills freed memory"),
        (X86_64, 0xABABABABABAB, "is a fill pattern (of new memory, with Scudo and gperftools)"),
        (ARM, 0xDDDDDDDD, "is how Python's debugging allocator fills freed memory"),
        (X86_64, 0xDEADC0DE, "is a marker for memory that must not be used"),
        (
            X86_64,
            0xDEADBEEFDEADBF07,
            "is 0x18 behind 0xdeadbeef, a marker for memory that must not be used",
        ),
        (X86_64, 0xDEADD0DE, None),  # too far behind
        (AARCH64, 0xAAAAAAAAAAB8, None),  # where programs are loaded
        (
            X86_64,
            0x0000AAAAAAAAAAAA,
            "is how clang fills variables with -ftrivial-auto-var-init=pattern",
        ),
        (X86_64, 0x0A0D4B4F, "looks like the text «OK\\r\\n»"),
        (X86_64, (1 << 64) - 22, "is -22, a negative number and not a pointer"),
        (X86_64, (1 << 64) - 4096, None),
        (
            X86_64,
            0x9191919191919191,
            "is the byte 0x91 again and again, a fill pattern (MALLOC_PERTURB_ makes such) or "
            "overwritten memory",
        ),
        (X86_64, 0x12345678DEADBEEF, None),
        (X86_64, 0x1234567891919191, None),
        (X86_64, (1 << 64) - 1, "is -1, the value of a failed call and not a pointer"),
        (X86_64, 0xFFFFFFFF, "is -1, the value of a failed call and not a pointer"),
        (ARM, 0xFFFFFFFF, "is -1, the value of a failed call and not a pointer"),
        (X86_64, 1 << 64, None),
        (X86_64, -5, None),
    ],
)
def test_suspicious_values(machine: Machine, value: int, text: str | None) -> None:
    assert places.suspicion(machine, value) == text


@given(st.sampled_from(list(MACHINES.values())), st.integers(-(1 << 65), 1 << 65))
def test_any_number_can_be_described(machine: Machine, address: int) -> None:
    facts = msgspec.structs.replace(FACTS, machine=machine)
    assert places.describe(facts, address)
    assert places.suspicion(machine, address) != ""


# -- what glibc leaves in freed blocks

ARENA = region(0x7F1000000000, 0x7F1000021000, READ | WRITE)
DATA = region(0x7F1000021000, 0x7F1000022000, READ | WRITE)
CODE_ABOVE = region(0x7F1000022000, 0x7F1000023000, READ | EXECUTE)
THREAD = region(0x7F2000000000, 0x7F2000100000, READ | WRITE)
FREED = CrashFacts(
    regions=(ARENA, DATA, CODE_ABOVE, THREAD),
    files=(MappedFile(start=DATA.start, end=DATA.end, offset=0, path="/lib/a.so"),),
    registers={"rbx": 0x7F1000012340, "rcx": 0x55, "rsp": 0x7F2000000800},
    sp=0x7F2000000800,
)


def link(block: int, following: int) -> int:
    """As glibc writes it: PROTECT_PTR in malloc.c."""
    return block >> 12 ^ following


@pytest.mark.parametrize(
    "value",
    [
        link(0x7F1000000010, 0),  # the last block of its list
        link(0x7F1000020FF0, 0),
        link(0x7F1000000F00, 0x7F1000000010),  # two in the same page
        link(0x7F1000012340, 0x7F1000000010),  # in two pages, and the first one is in rbx
    ],
)
def test_the_link_in_a_freed_block(value: int) -> None:
    assert places.gives_away(FREED, value) == (
        "is what glibc leaves in a freed block (the link of its tcache): used after it was freed"
    )


@pytest.mark.parametrize(
    "value",
    [
        0,
        0x7F1000000010 >> 12 << 4,
        link(0x7F1000012340, 0x7F1000000011),  # not aligned
        link(0x7F1000003000, 0x7F1000000010),  # in two pages, and the first one is nowhere
        link(0x7F1000022000, 0),  # code
        link(0x7F1000021000, 0),  # data of a library
        link(0x7F2000000000, 0),  # the stack
        link(0x7F3000000000, 0),  # nothing
        link(0x7F1000012340, 0x7F2000000010),  # in another arena
        0x1C00,  # of a program without address space randomization: or a near null pointer
    ],
)
def test_what_is_no_link_in_a_freed_block(value: int) -> None:
    assert places.gives_away(FREED, value) is None
    small = msgspec.structs.replace(FREED, machine=ARM)
    assert places.gives_away(small, link(0x7F1000000010, 0)) is None


def test_what_is_mapped_gives_nothing_away() -> None:
    text = region(0x414141410000, 0x414141420000, READ | WRITE)
    assert places.gives_away(CrashFacts(regions=(text,)), 0x414141414141) is None
    assert places.gives_away(CrashFacts(), 0x414141414141) == "looks like the text «AAAAAA»"


@given(st.integers(-(1 << 65), 1 << 65), st.lists(st.integers(0, (1 << 64) - 1), max_size=4))
def test_any_number_gives_away_something_or_nothing(value: int, held: list[int]) -> None:
    registers = {f"r{i}": number for i, number in enumerate(held)}
    facts = msgspec.structs.replace(FREED, registers=registers)
    assert places.gives_away(facts, value) != ""
