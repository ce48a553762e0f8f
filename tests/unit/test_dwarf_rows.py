"""Call frame instructions, one by one and together."""

import pytest

from evdiag.parse.dwarf import rows, tables
from evdiag.parse.dwarf.rows import (
    EXPRESSION,
    EXPRESSION_CFA,
    OFFSET,
    REGISTER,
    SAME,
    UNDEFINED,
    VALUE_EXPRESSION,
    VALUE_OFFSET,
    Row,
    row_at,
)
from evdiag.parse.dwarf.tables import Fde, FrameTable, debug_frame_table
from evdiag.parse.elf import DAMAGED
from tests.support import elfwriter as w

START = 0x1000


def table_for(
    program: bytes, common: bytes = b"", *, code_align: int = 1, data_align: int = -8
) -> FrameTable:
    """A table with one function at START."""
    cie = w.Cie(program=common, version=3, code_align=code_align, data_align=data_align)
    section = w.debug_frame([cie, w.Fde(start=START, size=0x1000, program=program)])
    table = debug_frame_table(section.data, 64)
    assert table is not None
    return table


def row(
    program: bytes,
    at: int = 0xFFF,
    common: bytes = b"",
    *,
    code_align: int = 1,
    data_align: int = -8,
) -> Row:
    """The row for an address, `at` bytes into the function."""
    table = table_for(program, common, code_align=code_align, data_align=data_align)
    fde = table.find(START + at)
    assert fde is not None
    return row_at(table, fde, START + at)


def test_a_function_of_gcc() -> None:
    # push %rbp; mov %rsp,%rbp; push %r12; ...; pop; pop; ret
    common = w.def_cfa(7, 8) + w.saved(16, 1)
    program = (
        *(w.advance(1), w.def_cfa_offset(16), w.saved(6, 2)),
        *(w.advance(3), b"\x0d\x06"),  # def_cfa_register rbp
        *(w.advance(2), w.saved(12, 3)),
        *(w.advance(32), w.def_cfa(7, 8)),
    )

    def at(place: int) -> tuple[object, object]:
        found = row(b"".join(program), place, common)
        return found.cfa, found.rules

    ra, rbp, r12 = {16: (OFFSET, -8, 0)}, {6: (OFFSET, -16, 0)}, {12: (OFFSET, -24, 0)}
    assert at(0) == ((7, 8, 0), ra)
    assert at(1) == ((7, 16, 0), ra | rbp)
    assert at(3) == ((7, 16, 0), ra | rbp)
    assert at(4) == ((6, 16, 0), ra | rbp)
    assert at(6) == ((6, 16, 0), ra | rbp | r12)
    assert at(37) == ((6, 16, 0), ra | rbp | r12)
    assert at(38) == ((7, 8, 0), ra | rbp | r12)


def test_what_holds_for_all_rows_of_a_function() -> None:
    cie = w.Cie(return_register=30, augmentation="zRS", augmentation_data=b"\x00", encoding=0)
    section = w.eh_frame([cie, w.Fde(start=START)])
    table = FrameTable(section.data, 64)
    fde = table.fde(section.places[1], START)
    assert fde is not None
    found = row_at(table, fde, START)
    assert (found.return_register, found.signal_frame, found.table) == (30, True, table)


# -- where a row begins


@pytest.mark.parametrize(
    ("advance", "distance"),
    [
        (b"\x41", 1),
        (b"\x7f", 63),
        (b"\x02\xff", 255),  # advance_loc1
        (b"\x03\x00\x01", 256),  # advance_loc2
        (b"\x04\x01\x02\x00\x00", 513),  # advance_loc4
        (b"\x01" + (START + 0x123).to_bytes(8, "little"), 0x123),  # set_loc
    ],
)
def test_ways_to_advance(advance: bytes, distance: int) -> None:
    program = advance + w.def_cfa(6, 16)
    assert row(program, distance - 1, w.def_cfa(7, 8)).cfa == (7, 8, 0)
    assert row(program, distance, w.def_cfa(7, 8)).cfa == (6, 16, 0)


def test_distances_count_in_units_of_instructions() -> None:
    program = w.advance(2) + w.def_cfa(6, 16)
    assert row(program, 7, w.def_cfa(7, 8), code_align=4).cfa == (7, 8, 0)
    assert row(program, 8, w.def_cfa(7, 8), code_align=4).cfa == (6, 16, 0)


def test_the_common_instructions_never_end_early() -> None:
    assert row(b"", 0, b"\x7f" + w.def_cfa(7, 8)).cfa == (7, 8, 0)


def test_nops_do_nothing() -> None:
    assert row(b"\0\0" + w.def_cfa(7, 8) + b"\0").cfa == (7, 8, 0)


# -- the canonical frame address


@pytest.mark.parametrize(
    ("program", "cfa"),
    [
        (b"\x0c\x07\x10", (7, 16, 0)),  # def_cfa
        (b"\x0c\x07\x80\x01", (7, 128, 0)),
        (b"\x12\x07\x7e", (7, 16, 0)),  # def_cfa_sf: -2 * -8
        (b"\x0c\x07\x10\x0d\x06", (6, 16, 0)),  # def_cfa_register
        (b"\x0c\x07\x10\x0e\x20", (7, 32, 0)),  # def_cfa_offset
        (b"\x0c\x07\x10\x13\x7d", (7, 24, 0)),  # def_cfa_offset_sf: -3 * -8
    ],
)
def test_ways_to_define_the_frame_address(program: bytes, cfa: tuple[int, int, int]) -> None:
    assert row(program).cfa == cfa


def test_the_frame_address_by_an_expression() -> None:
    found = row(w.def_cfa_expression(b"\x77\x08\x06") + w.saved(16, 1))
    register, start, end = found.cfa
    assert register == EXPRESSION_CFA
    assert found.table.data[start:end] == b"\x77\x08\x06"
    assert found.rules == {16: (OFFSET, -8, 0)}


# -- registers


@pytest.mark.parametrize(
    ("instruction", "register", "rule"),
    [
        (b"\x83\x02", 3, (OFFSET, -16, 0)),  # offset
        (b"\x05\x10\x01", 16, (OFFSET, -8, 0)),  # offset_extended
        (b"\x11\x06\x7e", 6, (OFFSET, 16, 0)),  # offset_extended_sf: -2 * -8
        (b"\x2f\x06\x02", 6, (OFFSET, 16, 0)),  # GNU_negative_offset_extended
        (b"\x14\x06\x02", 6, (VALUE_OFFSET, -16, 0)),  # val_offset
        (b"\x15\x06\x7e", 6, (VALUE_OFFSET, 16, 0)),  # val_offset_sf
        (b"\x07\x10", 16, (UNDEFINED, 0, 0)),  # undefined
        (b"\x08\x06", 6, (SAME, 0, 0)),  # same_value
        (b"\x09\x06\x03", 6, (REGISTER, 3, 0)),  # register
    ],
)
def test_ways_to_find_a_register(
    instruction: bytes, register: int, rule: tuple[int, int, int]
) -> None:
    assert row(instruction).rules == {register: rule}


@pytest.mark.parametrize(("op", "kind"), [(0x10, EXPRESSION), (0x16, VALUE_EXPRESSION)])
def test_registers_by_an_expression(op: int, kind: int) -> None:
    found = row(bytes([op, 16, 3]) + b"\x77\x08\x06" + w.def_cfa(7, 8))
    (rule,) = found.rules.values()
    assert rule[0] == kind
    assert found.table.data[rule[1] : rule[2]] == b"\x77\x08\x06"
    assert found.cfa == (7, 8, 0)


@pytest.mark.parametrize("restore", [b"\xc6", b"\x06\x06"], ids=["restore", "restore_extended"])
def test_restoring_what_the_common_instructions_say(restore: bytes) -> None:
    assert row(w.saved(6, 2) + restore, common=w.saved(6, 9)).rules == {6: (OFFSET, -72, 0)}
    assert row(w.saved(6, 2) + restore).rules == {}
    assert row(restore).rules == {}


def test_remembering_and_restoring_all() -> None:
    program = (
        *(w.def_cfa(7, 16), w.saved(6, 2)),
        *(b"\x0a", w.def_cfa(6, 99), w.saved(6, 5), w.saved(3, 1)),  # remember_state
        b"\x0b",  # restore_state
    )
    found = row(b"".join(program))
    assert found.cfa == (7, 16, 0)
    assert found.rules == {6: (OFFSET, -16, 0)}
    # rules that come behind still go where the state was restored
    found = row(b"".join(program) + w.saved(3, 4))
    assert found.rules == {6: (OFFSET, -16, 0), 3: (OFFSET, -32, 0)}


@pytest.mark.parametrize(
    "instruction",
    [b"\x2d", b"\x2c", b"\x2e\x80\x01"],
    ids=["negate_ra_state", "negate_ra_state_with_pc", "GNU_args_size"],
)
def test_instructions_that_change_no_row(instruction: bytes) -> None:
    found = row(w.def_cfa(7, 8) + instruction + w.saved(16, 1))
    assert (found.cfa, found.rules) == ((7, 8, 0), {16: (OFFSET, -8, 0)})


# -- damage


@pytest.mark.parametrize("op", [0x17, 0x1D, 0x3F])
def test_unknown_instructions_are_damage(op: int) -> None:
    with pytest.raises(ValueError, match=f"unknown call frame instruction 0x{op:x}"):
        row(bytes([op, 1, 1]))


@pytest.mark.parametrize(
    "program",
    [
        b"\x0b",  # restores what was never remembered
        b"\x0c" + b"\x80" * 20,  # a number without end
        b"\x05" + b"\xff" * 20,
    ],
)
def test_damaged_programs_raise_what_callers_expect(program: bytes) -> None:
    with pytest.raises(DAMAGED):
        row(program)


def test_a_program_that_ends_within_an_instruction() -> None:
    # the bytes behind it belong to somebody else, but they are there
    table = table_for(b"")
    fde = table.find(START)
    assert fde is not None
    table.data = bytes(table.data) + b"\x0c"
    with pytest.raises(IndexError):
        row_at(table, Fde(fde.cie, START, len(table.data) - 1, len(table.data)), START)


def test_a_register_that_no_machine_has_is_damage() -> None:
    assert row(b"\x05" + w.uleb(1000) + b"\x01").rules == {1000: (OFFSET, -8, 0)}
    with pytest.raises(ValueError, match="no machine has a register 1001"):
        row(b"\x05" + w.uleb(1001) + b"\x01")


def test_endless_programs_are_cut() -> None:
    with pytest.raises(ValueError, match="too many call frame instructions"):
        row(b"\0" * 200_000)


def test_states_without_number_are_cut() -> None:
    assert row(b"\x0a" * 1000 + w.def_cfa(7, 8)).cfa == (7, 8, 0)
    with pytest.raises(ValueError, match="too many remembered states"):
        row(b"\x0a" * 1001)


def test_the_work_for_all_rows_of_a_table_is_bounded() -> None:
    # GIVEN a table whose every row costs 90,000 instructions
    table = table_for(b"\0" * 90_000)
    fde = table.find(START)
    assert fde is not None
    row_at(table, fde, START)
    assert 90_000 <= table.steps < 90_100
    # WHEN it has cost more than any real one
    table.steps = tables.MAX_STEPS + 1
    # THEN it is not asked any more
    with pytest.raises(ValueError, match="takes too long"):
        row_at(table, fde, START)


def test_the_work_for_damaged_rows_counts_as_well() -> None:
    table = table_for(b"\0" * 200_000)
    fde = table.find(START)
    assert fde is not None
    with pytest.raises(ValueError, match="too many"):
        row_at(table, fde, START)
    assert table.steps > rows.MAX_INSTRUCTIONS
