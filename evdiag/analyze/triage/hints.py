"""Which cores are probably alike, before anything was unwound.

A hint decides over the order in which cores are looked at, and over nothing else: cores with
different hints may be of one crash, and cores with the same hint of two.
"""

from bisect import bisect_right
from collections.abc import Sequence

import msgspec

from evdiag.analyze.signature.digest import sha256
from evdiag.model.core import CoreFacts
from evdiag.parse.memory import Memory
from evdiag.parse.modules import MappedModule

MOST_WORDS = 64
"""Words of the crashed stack that are looked at: most crashes differ in the first ones."""
DIGITS = 16


class Hint(msgspec.Struct, frozen=True):
    """What the notes of a core, and some words of its memory, say."""

    program: str
    """Which program it is: cores of one need the same symbols."""
    kind: str = ""
    """Signal, builds, and code addresses relative to their modules."""


def hint_of(
    facts: CoreFacts, memory: Memory, modules: Sequence[MappedModule], executable: str | None
) -> Hint:
    """The hint of one core."""
    build = next((module.build_id for module in modules if module.path == executable), None)
    places = sorted((module.start, module.end, module.build_id or "") for module in modules)
    starts = [start for start, _, _ in places]
    signal = facts.signal.number if facts.signal else None
    parts = [str(signal), *(build for _, _, build in places)]
    for address in _addresses(facts, memory):
        i = bisect_right(starts, address) - 1
        if i >= 0 and address < places[i][1]:
            parts.append(f"{i}+{address - starts[i]:x}")
    return Hint(build or executable or facts.name, sha256("|".join(parts))[:DIGITS])


def _addresses(facts: CoreFacts, memory: Memory) -> list[int]:
    """The program counter, and what on the stack may be a code address."""
    machine, registers = facts.machine, facts.threads[0].registers
    top = registers[machine.dwarf[machine.sp]]
    words = (memory.word(top + i * machine.word) for i in range(MOST_WORDS))
    found = [word for word in words if word and memory.executable(word)]
    return [registers[machine.pc], *found]
