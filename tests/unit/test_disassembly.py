"""The instructions around the one that failed."""

from collections.abc import Sequence

import pytest

from evdiag.analyze.disassembly import AFTER, BEFORE, MAX_FUNCTION, around
from evdiag.model.crash import CrashFacts, InstructionFacts
from evdiag.model.machine import X86_64
from tests.support import elfwriter as w

AT = 0x7F00_0000_0000
MODULE = "/opt/module"
CODE = AT + w.CODE
FUNCTION = (w.Cie(), w.Fde(start=w.CODE, size=0x1000))

NOPS = bytes.fromhex("90" * 8)
STORE = bytes.fromhex("c740182a000000")  # mov dword ptr [rax + 0x18], 0x2a


def texts(
    code: bytes,
    offset: int,
    *,
    entries: Sequence[w.Cie | w.Fde] = FUNCTION,
    files: bool = True,
    damage: bool = False,
) -> list[tuple[int, str]]:
    """The lines around an offset in the code: (offset, text)."""
    module = bytearray(w.image(code=code.ljust(0x3000, b"\xcc"), entries=entries))
    if damage:
        module[w.FRAMES_AT : w.FRAMES_AT + 0x40] = b"\xff" * 0x40
    dump = w.core(
        threads=[w.Thread(signal=11, registers={"rip": CODE + offset})],
        siginfo=w.fault(0x18),
        files=w.mapped(MODULE, bytes(module), AT),
        memory=w.code_pieces(bytes(module), AT),
    )
    space = w.address_space(dump, {MODULE: bytes(module)} if files else {})
    crash = CrashFacts(machine=X86_64, pc=CODE + offset, instruction=InstructionFacts(text="?"))
    return [(int(line.address) - CODE, line.text) for line in around(space, crash)]


def test_six_before_and_four_behind() -> None:
    found = texts(NOPS + STORE + NOPS, 8)

    assert found[BEFORE] == (8, "mov dword ptr [rax + 0x18], 0x2a")
    assert found[:BEFORE] == [(2 + i, "nop") for i in range(BEFORE)]
    assert found[BEFORE + 1 :] == [(15 + i, "nop") for i in range(AFTER)]


def test_at_the_start_of_the_function() -> None:
    assert texts(STORE + NOPS, 0)[0] == (0, "mov dword ptr [rax + 0x18], 0x2a")


def test_a_start_that_does_not_lead_to_the_instruction() -> None:
    # a jump into the middle of what looks like one instruction
    found = texts(bytes.fromhex("48b8") + STORE + NOPS, 2)
    assert found[0] == (2, "mov dword ptr [rax + 0x18], 0x2a")


@pytest.mark.parametrize(
    ("entries", "files", "damage"),
    [
        ((), True, False),  # no unwind information
        (FUNCTION, True, True),
        ((w.Cie(), w.Fde(start=w.CODE + 0x2000)), True, False),  # that of another function
    ],
)
def test_without_a_known_start_it_begins_at_the_instruction(
    entries: Sequence[w.Cie | w.Fde], files: bool, damage: bool
) -> None:
    found = texts(NOPS + STORE + NOPS, 8, entries=entries, files=files, damage=damage)
    assert found[0] == (8, "mov dword ptr [rax + 0x18], 0x2a")
    assert len(found) == 1 + AFTER


def test_a_huge_function_is_not_read_from_its_start() -> None:
    entries = (w.Cie(), w.Fde(start=w.CODE, size=0x3000))
    found = texts(b"\x90" * (MAX_FUNCTION + 1) + STORE, MAX_FUNCTION + 1, entries=entries)
    assert found[0] == (MAX_FUNCTION + 1, "mov dword ptr [rax + 0x18], 0x2a")


def test_code_that_is_nowhere() -> None:
    assert texts(STORE, 0, files=False) == []


@pytest.mark.parametrize("crash", [CrashFacts(), CrashFacts(pc=CODE)])
def test_an_unknown_instruction_has_no_surroundings(crash: CrashFacts) -> None:
    space = w.address_space(w.core(threads=[w.Thread(registers={"rip": CODE})]), {})
    assert around(space, crash) == ()
