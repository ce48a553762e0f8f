"""LEB128 numbers and encoded pointers."""

import mmap

import pytest

from evdiag.parse.dwarf.numbers import encoded, sleb, uleb
from tests.support import elfwriter as w


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        # the examples of DWARF 5, figure C.1
        ("02", 2),
        ("7f", 127),
        ("8001", 128),
        ("8101", 129),
        ("b964", 12857),
        ("ffffffffffffffffff01", (1 << 64) - 1),
        ("8000", 0),  # padded, as assemblers do to keep room
    ],
)
def test_unsigned_numbers(raw: str, value: int) -> None:
    data = b"\xff" + bytes.fromhex(raw) + b"\xff"
    assert uleb(data, 1) == (value, 1 + len(raw) // 2)


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        # the examples of DWARF 5, figure C.2
        ("02", 2),
        ("7e", -2),
        ("ff00", 127),
        ("817f", -127),
        ("8001", 128),
        ("807f", -128),
        ("8101", 129),
        ("ff7e", -129),
        ("8080808080808080807f", -(1 << 63)),
    ],
)
def test_signed_numbers(raw: str, value: int) -> None:
    assert sleb(bytes.fromhex(raw), 0) == (value, len(raw) // 2)


@pytest.mark.parametrize("value", [0, 1, 63, 64, 127, 128, 1 << 40, (1 << 63) - 1])
def test_what_the_writer_writes_is_read(value: int) -> None:
    assert uleb(w.uleb(value), 0)[0] == value
    assert sleb(w.sleb(value), 0)[0] == value
    assert sleb(w.sleb(-value), 0)[0] == -value


def test_numbers_without_end() -> None:
    with pytest.raises(ValueError, match="a LEB128 number has no end"):
        uleb(b"\x80" * 1_000_000, 0)
    with pytest.raises(ValueError, match="a LEB128 number has no end"):
        sleb(b"\xff" * 12, 0)
    with pytest.raises(IndexError):
        uleb(b"\x80\x80", 0)


def test_numbers_in_a_mapped_file() -> None:
    with mmap.mmap(-1, 4096) as data:
        data[0:3] = bytes.fromhex("b96400")
        assert uleb(data, 0) == (12857, 2)
        assert encoded(data, 0, 0x02, 64, lambda application, at: 0) == (0x64B9, 2)


def read(raw: bytes, encoding: int, bits: int = 64) -> tuple[int, int]:
    """Read at place 3; the base of an application is a hundred times its number, plus the place."""
    return encoded(b"..." + raw, 3, encoding, bits, lambda application, at: application * 100 + at)


@pytest.mark.parametrize(
    ("encoding", "raw", "value"),
    [
        (0x00, bytes.fromhex("8877665544332211"), 0x1122334455667788),  # absptr
        (0x01, bytes.fromhex("b964"), 12857),  # uleb128
        (0x02, b"\xff\xff", 0xFFFF),  # udata2
        (0x03, b"\xff\xff\xff\xff", 0xFFFFFFFF),  # udata4
        (0x04, b"\xff" * 8, (1 << 64) - 1),  # udata8
        (0x09, b"\x05", 5),  # sleb128
        (0x0A, b"\x00\x01", 256),  # sdata2
        (0x0B, b"\x00\x01\x00\x00", 256),  # sdata4
        (0x0C, b"\x01" + bytes(7), 1),  # sdata8
        (0x1B, b"\x10\x00\x00\x00", 0x10 + 0x10 * 100 + 3),  # pcrel | sdata4
        (0x3B, b"\x10\x00\x00\x00", 0x10 + 0x30 * 100 + 3),  # datarel | sdata4
    ],
)
def test_formats(encoding: int, raw: bytes, value: int) -> None:
    assert read(raw, encoding) == (value, 3 + len(raw))


def test_absolute_pointers_of_32_bits() -> None:
    assert read(bytes.fromhex("78563412ffffffff"), 0x00, bits=32) == (0x12345678, 7)


@pytest.mark.parametrize(
    ("encoding", "raw"),
    [
        (0x09, b"\x7e"),
        (0x0A, b"\xfe\xff"),
        (0x0B, b"\xfe\xff\xff\xff"),
        (0x0C, b"\xfe" + b"\xff" * 7),
    ],
)
def test_negative_numbers_wrap_at_the_size_of_an_address(encoding: int, raw: bytes) -> None:
    assert read(raw, encoding)[0] == (1 << 64) - 2
    assert read(raw, encoding, bits=32)[0] == (1 << 32) - 2


def test_a_number_relative_to_its_place_may_go_back() -> None:
    assert read((-0x500).to_bytes(4, "little", signed=True), 0x1B)[0] == 1603 - 0x500


def test_null_stays_null_whatever_it_is_relative_to() -> None:
    assert read(bytes(4), 0x1B) == (0, 7)


def test_an_omitted_pointer_takes_no_room() -> None:
    assert read(b"\x01\x02", 0xFF) == (0, 3)


@pytest.mark.parametrize("encoding", [0x05, 0x08, 0x0D, 0x0F, 0x5F])
def test_unknown_formats_are_damage(encoding: int) -> None:
    with pytest.raises(LookupError):
        read(bytes(16), encoding)
