"""Where an address lies, in words, and what a strange value of a pointer gives away."""

from bisect import bisect_right
from collections.abc import Sequence

from evdiag.model.core import EXECUTE, READ, WRITE, MappedFile, Region
from evdiag.model.crash import CrashFacts
from evdiag.model.machine import Machine

FIRST_PAGE = 0x1000
NEAR_NULL = 0x10000
"""Below this an address is a null pointer plus an offset: CASR, apport and Linux's default
vm.mmap_min_addr draw the line at 64 KiB too."""

NEIGHBOUR = 1 << 20
"""How near a mapping has to be to be worth a word: the gap that Linux keeps free below a stack
is 256 pages (stack_guard_gap)."""

OVERSHOT = 0x10000
"""How far below its stack a stack pointer may be that has overflown it by one frame."""

KERNEL_HALF = {"x86-64": 0xFFFF_8000_0000_0000, "aarch64": 0xFFFF_0000_0000_0000}
"""First address of the kernel (Documentation/arch/x86/x86_64/mm.rst, arch/arm64/memory.rst).
32-bit programs get up to 4 GiB on 64-bit kernels, so there is no such line for them."""

_MUST_NOT = "a marker for memory that must not be used"
PATTERNS: dict[int, str] = {
    0xDEADBEEF: _MUST_NOT,
    0xDEADC0DE: _MUST_NOT,
    0xDEADDEAD: _MUST_NOT,
    0x8BADF00D: _MUST_NOT,
    0xABADCAFE: _MUST_NOT,
    0xBAADF00D: "a marker for memory that was never filled in",
    0xFEEEFEEE: "a marker for memory that was freed",
    0xCAFEBABE: "a marker value",
    0xCAFED00D: "a marker value",
    0xFEEDFACE: "a marker value",
    0x5A5A5A5A: "how jemalloc fills freed memory",
    0xA5A5A5A5: "how jemalloc fills new memory",
    0xE5E5E5E5: "how mozjemalloc fills freed memory",
    0xABABABAB: "a fill pattern (of new memory, with Scudo and gperftools)",
    0xCDCDCDCD: "how gperftools fills freed memory, and Python's debugging allocator new memory",
    0xDDDDDDDD: "how Python's debugging allocator fills freed memory",
    0xFDFDFDFD: "what Python's debugging allocator puts around blocks",
    0xBEBEBEBE: "how AddressSanitizer fills new memory",
    0xAAAAAAAA: "how clang fills variables with -ftrivial-auto-var-init=pattern",
    0xFEFEFEFE: "how gcc fills variables with -ftrivial-auto-var-init=pattern",
}
"""32-bit words that debugging aids on Linux leave in memory, by their lower half. From jemalloc's
JEMALLOC_ALLOC_JUNK and JEMALLOC_FREE_JUNK, Scudo's PatternFillByte, gperftools' debugallocation.cc,
CPython's pycore_pymem.h, AddressSanitizer's malloc_fill_byte and the manuals of gcc and clang."""

LARGEST_ERROR = 4095
"""Up to this number Linux and its libraries return errors as negative numbers (MAX_ERRNO)."""

LINK_SHIFT, LINK_ALIGNMENT = 12, 16
"""glibc mixes the address of a freed block, shifted by this, into its link to the next one
(PROTECT_PTR in malloc.c, since 2.32); blocks are aligned to this on 64-bit machines."""
LEAST_PAGE = 1 << 24
"""Page numbers below this are those of addresses below 2^36, which only programs without address
space randomization use: mixed with such a small number, a link is hardly disguised at all."""

MIN_TEXT = 4
"""Shorter runs of printable bytes are too often numbers by chance."""


def region_at(regions: Sequence[Region], address: int) -> Region | None:
    """Find the mapped range that holds an address; `regions` are sorted."""
    i = bisect_right(regions, address, key=lambda r: r.start) - 1
    return regions[i] if i >= 0 and address < regions[i].end else None


def region_above(regions: Sequence[Region], address: int) -> Region | None:
    """Find the first mapped range that begins above an address."""
    i = bisect_right(regions, address, key=lambda r: r.start)
    return regions[i] if i < len(regions) else None


def file_at(files: Sequence[MappedFile], address: int) -> MappedFile | None:
    """Find the file mapping that holds an address; `files` are sorted."""
    i = bisect_right(files, address, key=lambda f: f.start) - 1
    return files[i] if i >= 0 and address < files[i].end else None


def permissions(flags: int) -> str:
    """Write permissions like /proc/PID/maps does."""
    pairs = ((READ, "r"), (WRITE, "w"), (EXECUTE, "x"))
    return "".join(letter if flags & bit else "-" for bit, letter in pairs)


def is_near_null(address: int) -> bool:
    """Whether an address is that of a null pointer, perhaps plus the offset of a member."""
    return 0 <= address < NEAR_NULL


def is_kernel_half(machine: Machine, address: int) -> bool:
    """Whether an address belongs to the kernel, whatever is mapped there."""
    first = KERNEL_HALF.get(machine.name)
    return first is not None and first <= address <= machine.mask


def is_canonical(machine: Machine, address: int) -> bool:
    """Whether the processor can use an address at all."""
    top = machine.address_top
    return top is None or address < top or is_kernel_half(machine, address)


def is_mapped(facts: CrashFacts, address: int) -> bool:
    """Whether something is mapped at an address, be it without any permission."""
    return bool(region_at(facts.regions, address) or file_at(facts.files, address))


def is_accessible(facts: CrashFacts, address: int) -> bool:
    """Whether something with at least one permission is mapped at an address."""
    region = region_at(facts.regions, address)
    if region is not None:
        return region.flags != 0
    return file_at(facts.files, address) is not None


def is_executable(facts: CrashFacts, address: int) -> bool | None:
    """Whether code may run at an address; None if the core does not tell."""
    region = region_at(facts.regions, address)
    if region is not None:
        return bool(region.flags & EXECUTE)
    # A core without any mappings, or one that leaves mapped files out, does not tell.
    return None if not facts.regions or file_at(facts.files, address) else False


def describe(facts: CrashFacts, address: int) -> str:
    """Say where an address lies: "in the stack ...", "not mapped; 0x10 below ..."."""
    region = region_at(facts.regions, address)
    if region is not None:
        return f"in {name_of(facts, region, address)}"
    file = file_at(facts.files, address)
    if file is not None:
        return f"in {file.path}"
    if is_near_null(address):
        limit = "page" if address < FIRST_PAGE else "64 KiB"
        return f"in the first {limit} (null pointer + {address:#x})"
    if not is_canonical(facts.machine, address):
        return f"no address that {facts.machine.name} can use (non-canonical)"
    if is_kernel_half(facts.machine, address):
        return "in the kernel's half of the address space"
    if not facts.regions:
        return "somewhere: the core has no list of mappings"
    return f"not mapped; {_neighbour(facts, address)}"


def name_of(facts: CrashFacts, region: Region, address: int) -> str:
    """Name a mapped range: by its file, as the stack, as a guard page, else by its kind."""
    flags = permissions(region.flags)
    file = file_at(facts.files, address)
    if file is not None:
        return f"{file.path} ({flags})"
    if _is_stack(facts, region):
        kind = "the stack"
    elif region.flags == 0:
        kind = "a guard page" if _is_guard(facts, region) else "memory without any permission"
    elif region.flags & (READ | WRITE | EXECUTE) == READ | WRITE:
        kind = "the heap-like region"
    else:
        kind = "the anonymous region"
    return f"{kind} {region.start:#x}-{region.end:#x} ({flags})"


def _is_stack(facts: CrashFacts, region: Region) -> bool:
    """Whether the stack pointer is in a region, or has just left it at the lower end."""
    sp = facts.sp
    if sp is None or not region.flags & WRITE:
        return False
    left = region.start - OVERSHOT <= sp < region.start and not is_accessible(facts, sp)
    return left or region.start <= sp < region.end


def _is_guard(facts: CrashFacts, region: Region) -> bool:
    """Whether memory without permissions protects the end of the writable memory above it."""
    above = region_above(facts.regions, region.start)
    return above is not None and above.start == region.end and bool(above.flags & WRITE)


def _neighbour(facts: CrashFacts, address: int) -> str:
    """The nearest mapping of an unmapped address, if there is one close by."""
    regions = facts.regions
    i = bisect_right(regions, address, key=lambda r: r.start)
    near: list[tuple[int, str, Region, int]] = []
    if i > 0:
        below = regions[i - 1]
        near.append((address - below.end, "behind", below, below.end - 1))
    if i < len(regions):
        near.append((regions[i].start - address, "below", regions[i], regions[i].start))
    distance, side, region, inside = min(near, key=lambda n: n[0])
    if distance > NEIGHBOUR:
        return "nothing is mapped within 1 MiB of it"
    if side == "behind" and distance == 0:
        return f"right behind {name_of(facts, region, inside)}"
    return f"{distance:#x} {side} {name_of(facts, region, inside)}"


# -- values that give something away


def gives_away(facts: CrashFacts, value: int) -> str | None:
    """Say what a pointer looks like that is none, also by what is mapped."""
    if is_mapped(facts, value):
        return None
    return suspicion(facts.machine, value) or _freed_link(facts, value)


def suspicion(machine: Machine, value: int) -> str | None:
    """Say what a pointer looks like that is none: text, a fill pattern, minus one."""
    if value in (machine.mask, 0xFFFFFFFF):
        return "is -1, the value of a failed call and not a pointer"
    if machine.mask - LARGEST_ERROR < value <= machine.mask:
        return f"is {value - machine.mask - 1}, a negative number and not a pointer"
    return _pattern(machine, value) or _text(machine, value)


def _freed_link(facts: CrashFacts, value: int) -> str | None:
    """Recognise the first word of a freed block of glibc's: a disguised link to the next one.

    The last block of a list links to nothing: what is left is the block's own page number. Other
    links become plain with the address of their block: in the same page, or in a register. By
    chance, the result would hardly ever be an aligned address in memory for data.
    """
    if facts.machine.bits != 64 or value < LEAST_PAGE:
        return None
    plain = value
    for _ in range(facts.machine.bits // LINK_SHIFT):
        plain = value ^ plain >> LINK_SHIFT
    found = _holds_data(facts, value << LINK_SHIFT) is not None or _is_block(facts, plain)
    for held in () if found else facts.registers.values():
        following = value ^ held >> LINK_SHIFT
        region = _holds_data(facts, held) if following % LINK_ALIGNMENT == 0 else None
        found |= region is not None and region.start <= following < region.end
    if not found:
        return None
    return "is what glibc leaves in a freed block (the link of its tcache): used after it was freed"


def _is_block(facts: CrashFacts, address: int) -> bool:
    return address % LINK_ALIGNMENT == 0 and _holds_data(facts, address) is not None


def _holds_data(facts: CrashFacts, address: int) -> Region | None:
    """The anonymous memory that an address lies in, if it may be written and is not the stack."""
    region = region_at(facts.regions, address)
    if region is None or not region.flags & WRITE or _is_stack(facts, region):
        return None
    return None if file_at(facts.files, address) else region


def _pattern(machine: Machine, value: int) -> str | None:
    if value >= 1 << machine.bits:
        return None
    low, high = value & 0xFFFFFFFF, value >> 32
    pattern = max((known for known in PATTERNS if known <= low), default=0)
    behind = low - pattern
    # The pattern may be in both halves, in one, or lack the two bytes that an address has not.
    if pattern and high in (0, pattern, pattern & 0xFFFF) and behind < _reach(pattern):
        words = PATTERNS[pattern]
        return f"is {behind:#x} behind {pattern:#x}, {words}" if behind else f"is {words}"
    first = low & 0xFF
    if first in (0, 0xFF) or low != first * 0x01010101 or 0x20 <= first < 0x7F:
        return None
    if high in (0, low, low & 0xFFFF):
        return (
            f"is the byte {first:#04x} again and again, a fill pattern (MALLOC_PERTURB_ makes "
            "such) or overwritten memory"
        )
    return None


def _reach(pattern: int) -> int:
    """How far behind a pattern a member may be; one byte again and again begins real addresses."""
    return 1 if pattern == (pattern & 0xFF) * 0x01010101 else FIRST_PAGE


def _text(machine: Machine, value: int) -> str | None:
    if not 0 <= value <= machine.mask:
        return None
    raw = value.to_bytes(machine.word, "little").rstrip(b"\0")
    if len(raw) < MIN_TEXT or not all(0x20 <= byte < 0x7F or byte in b"\t\n\r" for byte in raw):
        return None
    shown = "".join(_CONTROLS.get(character, character) for character in raw.decode("ascii"))
    return f"looks like the text «{shown}»"


_CONTROLS = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
