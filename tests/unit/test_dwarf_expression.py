"""DWARF expressions: operations, missing values, damage."""

import struct

import pytest

from evdiag.parse.dwarf.expression import Expression, MissingValue
from evdiag.parse.elf import DAMAGED
from tests.support import elfwriter as w

MINUS_1 = (1 << 64) - 1
MEMORY = {0x1000: 0x1122334455667788, 0x2000: 0x3000, 0x3000: 77}
REGISTERS = [10, 20, None, 0x1000, *[None] * 60]


def word(address: int) -> int | None:
    return MEMORY.get(address)


def read(address: int, size: int) -> bytes:
    return MEMORY[address].to_bytes(8, "little")[:size] if address in MEMORY else b""


def value(code: str | bytes, initial: int | None = None, *, bits: int = 64) -> int:
    """Evaluate an expression that lies in the middle of other bytes."""
    raw = bytes.fromhex(code) if isinstance(code, str) else code
    data = b"\xff\xff" + raw + b"\xff\xff"
    return Expression(data, bits, REGISTERS, word, read).evaluate(2, 2 + len(raw), initial)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("30", 0),  # lit0
        ("4f", 31),  # lit31
        ("08ff", 255),  # const1u
        ("09ff", MINUS_1),  # const1s
        ("0a0080", 0x8000),
        ("0b0080", MINUS_1 - 0x7FFF),
        ("0c00000080", 0x80000000),
        ("0d00000080", MINUS_1 - 0x7FFFFFFF),
        ("0e0000000000000080", 1 << 63),
        ("0f0000000000000080", 1 << 63),
        ("10b964", 12857),  # constu
        ("11807f", MINUS_1 - 127),  # consts
        ("038877665544332211", 0x1122334455667788),  # addr
    ],
)
def test_constants(code: str, expected: int) -> None:
    assert value(code) == expected


def test_addresses_of_32_bits() -> None:
    assert value("0378563412", bits=32) == 0x12345678
    assert value("0f0000000001000000", bits=32) == 0
    assert value("09ff", bits=32) == 0xFFFFFFFF


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("7000", 10),  # breg0 + 0
        ("717c", 16),  # breg1 - 4
        ("730d", 0x100D),  # breg3 + 13
        ("920108", 28),  # bregx 1 + 8
        ("70807f", MINUS_1 - 117),  # 10 - 128
    ],
)
def test_registers(code: str, expected: int) -> None:
    assert value(code) == expected


def test_registers_that_are_not_known() -> None:
    with pytest.raises(MissingValue, match="register 2 is not known"):
        value("7200")
    with pytest.raises(MissingValue, match="register 2 is not known"):
        value("920200")
    with pytest.raises(MissingValue, match="register 31 is not known"):
        value("8f00")
    with pytest.raises(IndexError):
        value("92ff0100")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("730006", 0x1122334455667788),  # deref
        ("73009404", 0x55667788),  # deref_size
        ("73009401", 0x88),
        ("0a00200606", 77),
    ],
)
def test_memory(code: str, expected: int) -> None:
    assert value(code) == expected


@pytest.mark.parametrize("code", ["0a004006", "0a00409408", "0a00109409"])
def test_memory_that_is_not_there(code: str) -> None:
    with pytest.raises(MissingValue, match=r"memory at 0x\d000 is not in the core"):
        value(code)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        # 1, 2 and 3 are on the stack, 3 on top; 10 a + b tells which are where
        ("313233" "12" "1c", 0),  # dup
        ("313233" "13", 2),  # drop
        ("313233" "14", 2),  # over
        ("313233" "1500", 3),  # pick
        ("313233" "1502", 1),
        ("313233" "16", 2),  # swap
        ("313233" "1613", 3),
        ("313233" "17", 2),  # rot: the top becomes the third
        ("313233" "1713", 1),
        ("313233" "171313", 3),
    ],
)  # fmt: skip
def test_the_stack(code: str, expected: int) -> None:
    assert value(code) == expected


@pytest.mark.parametrize(
    ("operation", "a", "b", "expected"),
    [
        ("1a", 0b1100, 0b1010, 0b1000),  # and
        ("1b", 7, 2, 3),  # div, signed, towards zero
        ("1b", -7, 2, -3),
        ("1b", 7, -2, -3),
        ("1b", -7, -2, 3),
        ("1c", 5, 7, -2),  # minus
        ("1d", 17, 5, 2),  # mod, unsigned
        ("1d", -1, 10, 5),
        ("1e", 1 << 40, 1 << 24, 0),  # mul
        ("21", 0b1100, 0b1010, 0b1110),  # or
        ("22", -1, 2, 1),  # plus
        ("24", 1, 63, 1 << 63),  # shl
        ("24", 1, 64, 0),
        ("25", -1, 60, 15),  # shr
        ("25", -1, 64, 0),
        ("26", -16, 2, -4),  # shra
        ("26", -16, 0, -16),
        ("26", -16, 64, -1),
        ("26", -16, 256, -1),
        ("26", 16, -1, 0),
        ("27", 0b1100, 0b1010, 0b0110),  # xor
        ("29", 1, 1, 1),  # eq
        ("29", 1, 2, 0),
        ("2a", -1, 1, 0),  # ge
        ("2a", 1, 1, 1),
        ("2b", 1, -1, 1),  # gt
        ("2b", 1, 1, 0),
        ("2c", -1, 1, 1),  # le
        ("2c", 2, 1, 0),
        ("2d", -1, 1, 1),  # lt
        ("2d", 1, 1, 0),
        ("2e", 1, 2, 1),  # ne
        ("2e", 1, 1, 0),
    ],
)
def test_operations_on_two_values(operation: str, a: int, b: int, expected: int) -> None:
    code = b"\x0f" + struct.pack("<q", a) + b"\x0f" + struct.pack("<q", b)
    assert value(code + bytes.fromhex(operation)) == expected & MINUS_1


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("09fb19", 5),  # abs
        ("3519", 5),
        ("351f", MINUS_1 - 4),  # neg
        ("3020", MINUS_1),  # not
        ("35230a", 15),  # plus_uconst
        ("3596", 5),  # nop
    ],
)
def test_operations_on_one_value(code: str, expected: int) -> None:
    assert value(code) == expected


def test_jumps() -> None:
    assert value("31" "2f0100" "32" "33") == 3  # skip passes over lit2  # fmt: skip
    assert value("31" "31" "280100" "32") == 1  # bra jumps if the top is not 0  # fmt: skip
    assert value("31" "30" "280100" "32") == 2  # fmt: skip


def test_a_loop_that_ends() -> None:
    # 10; do { top = top - 1 } while (top)
    assert value("3a" "31" "1c" "12" "28faff") == 0  # fmt: skip


def test_the_initial_value_is_the_frame_address() -> None:
    assert value("2308", 0x7000) == 0x7008
    assert value("", 0x7000) == 0x7000


def test_the_expression_of_a_procedure_linkage_table() -> None:
    # gcc's .plt: rsp + 8 + ((rip & 15) >= 11) * 8; here with registers 0 and 1
    code = "7008" "7100" "3f1a" "3b2a" "33" "24" "22"  # fmt: skip
    assert value(code) == 18  # 20 & 15 = 4 < 11
    assert value("7008" "711c" "3f1a" "3b2a" "33" "24" "22") == 18  # fmt: skip
    assert value("7008" "7107" "3f1a" "3b2a" "33" "24" "22") == 26  # fmt: skip


@pytest.mark.parametrize(
    "code",
    [
        "",  # nothing on the stack at the end
        "3013",
        "06",  # nothing to look up
        "22",
        "3122",
        "3116",
        "313217",
        "3114",
        "1505",
        "31301b",  # division by zero
        "31301d",
        "ff",  # unknown operations
        "9000",
        "31323398",
        "0e01",  # cut operands: the bytes behind are not enough
        "10ffffffffffffffffffffffff",
    ],
)
def test_damaged_expressions_raise_what_callers_expect(code: str) -> None:
    with pytest.raises(DAMAGED):
        value(code)


@pytest.mark.parametrize("code", ["2ffdff", "31" "28fcff"])  # fmt: skip
def test_loops_without_end_are_cut(code: str) -> None:
    with pytest.raises(ValueError, match="an expression does not end"):
        value(code)


def test_a_stack_without_end_is_cut() -> None:
    with pytest.raises(ValueError, match="an expression does not end"):
        value("31" "12" "2ffcff")  # fmt: skip
    assert value("31" * 1000) == 1


def test_jumps_out_of_the_expression_are_damage() -> None:
    with pytest.raises(ValueError, match="jumps out of itself"):
        value("2ffcff")
    with pytest.raises(ValueError, match="jumps out of itself"):
        value("2f0080")
    assert value("352fff7f") == 5  # behind the end is the end


def test_steps_are_counted() -> None:
    expression = Expression(w.uleb(0), 64, REGISTERS, word, read)
    assert expression.evaluate(0, 0, 5) == 5
    assert expression.steps == 0
    expression = Expression(b"\x31\x32\x22", 64, REGISTERS, word, read)
    assert expression.evaluate(0, 3) == 3
    assert expression.steps == 3
