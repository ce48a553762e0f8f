"""Addresses in memory: the kernel's faults, raw ones, and mappings that the text tells."""

import pytest

from evdiag.parse.addresses._mappings import MOST, Mapping, Mappings
from tests.support.address_lines import one, told

# -- the kernel


def test_the_kernel_before_and_after_linux_6_9() -> None:
    text = "prog[42]: segfault at 18 ip 000055773fcbc222 sp 00007fa848a2f480 error 6 in my prog"
    old = one(f"{text}[55773fca9000+25000]")
    new = one(f"{text}[1c222,55773fca9000+25000] likely on CPU 1 (core 1, socket 0)")
    for found in (old, new):
        assert (found["kind"], found["module"]) == ("kernel", "my prog")
        assert (found["address"], found["base"]) == (0x55773FCBC222, 0x55773FCA9000)
        assert found["is_call"] is False
        assert str(found["text"]).endswith("+25000]")
    assert "file_offset" not in old
    assert new["file_offset"] == 0x1C222


@pytest.mark.parametrize(
    "text",
    [
        "traps: p[4] general protection fault ip:7f2c0f8f7560 sp:7f2c0 error:0 in libfoo.so",
        "traps: p[4] trap invalid opcode ip:7f2c0f8f7560 sp:7f2c0 error:0 in libfoo.so",
        "p[4] control protection ip:7f2c0f8f7560 sp:1 ssp:2 error:3(near ret) in libfoo.so",
    ],
)
def test_traps(text: str) -> None:
    found = one(f"{text}[7f2c0f8f0000+156000]")
    assert (found["kind"], found["module"]) == ("kernel", "libfoo.so")
    assert (found["address"], found["base"]) == (0x7F2C0F8F7560, 0x7F2C0F8F0000)
    assert one(text.partition(" in ")[0])["kind"] == "raw"


def test_a_fault_that_says_nothing_of_a_place() -> None:
    text = "p[4]: segfault at 0 ip 0000000000000000 sp 00007ffe2e3d56f0 error 14"
    assert told(text) == []
    assert told(f"{text} in p[55773fca9000+25000]") == []


def test_a_fault_on_aarch64() -> None:
    text = "p[4]: unhandled exception: DABT (lower EL), ESR 0x92000046, translation fault in p"
    registers = ("pc : 0000aaaab0b60754", "lr : 0000aaaab0b60760", "sp : 0000ffffc0b60760")

    found = [one(f"{text}[aaaab0b60000+1000]", line) for line in registers[:2]]
    assert [(f["kind"], f["module"], f["base"]) for f in found] == [
        ("kernel", "p", 0xAAAAB0B60000)
    ] * 2
    assert [(f["address"], f["is_call"]) for f in found] == [
        (0xAAAAB0B60754, False),
        (0xAAAAB0B60760, True),
    ]
    new = one(f"{text}[b60754,aaaab0b60000+1000]")
    assert (new["module"], new["file_offset"], new["base"]) == ("p", 0xB60754, 0xAAAAB0B60000)
    assert "address" not in new


def test_registers_without_a_mapping() -> None:
    assert told("pc : [<0001048c>]    lr : [<b6e8a1c4>]    psr: 60000010") == [
        {"text": "pc : [<0001048c>]", "kind": "raw", "address": 0x1048C, "is_call": False},
        {"text": "lr : [<b6e8a1c4>]", "kind": "raw", "address": 0xB6E8A1C4, "is_call": True},
    ]
    assert told("pc : ffff800010081234") == []


@pytest.mark.parametrize(
    "line",
    [
        "p[4]: unhandled exception: translation fault",
        "p[4]: unhandled exception: p[aaaab0b60000+1000]",
        "p[4]: unhandled exception: fault in p[aaaab0b60000+0]",
    ],
)
def test_an_exception_without_a_mapping(line: str) -> None:
    assert told(line) == []


# -- raw addresses and mappings


@pytest.mark.parametrize(
    ("line", "address", "is_call"),
    [
        ("[0x55ae999031c4]", 0x55AE999031C4, True),
        ("at [0x55ae999031c4] now", 0x55AE999031C4, False),
        ("    @     0x55ae999031c4 (unknown)", 0x55AE999031C4, True),
        ("#0  0x000055ae999031c4 in ?? ()", 0x55AE999031C4, False),
        ("#1  0x000055ae999031c4 in ?? ()", 0x55AE999031C4, True),
        ("   4:     0x55ae999031c4 - <unknown>", 0x55AE999031C4, True),
        (" 0# 0x000055AE999031C4", 0x55AE999031C4, False),
        ("#2 [0x401136]", 0x401136, True),
        ("signal SIGSEGV: code=0x1 addr=0x0 pc=0x45fd2c", 0x45FD2C, False),
        ("[<000055ae999031c4>] ", 0x55AE999031C4, False),
    ],
)
def test_raw_addresses(line: str, address: int, is_call: bool) -> None:
    found = one(line)
    assert (found["kind"], found["address"], found["is_call"]) == ("raw", address, is_call)


@pytest.mark.parametrize(
    "line",
    [
        *("0x1234", "0x00000000", "0x00001234", "0xffffffff81000000", "0x55ae999031c4g"),
        *("a0x55ae999031c4", "+0x55ae999031c4", "_0x55ae999031c4", "0x55ae999031c4f00d1", "[<12>]"),
    ],
)
def test_numbers_that_are_no_addresses(line: str) -> None:
    assert told(line) == []


MAPS = (
    "55ae99902000-55ae99903000 r--p 00000000 fe:01 524301                     /opt/my prog",
    "55ae99903000-55ae99904000 r-xp 00001000 fe:01 524301                     /opt/my prog",
    "55ae99904000-55ae99905000 r--p 00002000 fe:01 524301                     /opt/my prog",
    "7f4086dc6000-7f4086f20000 r-xp 00026000 fe:01 524302     /lib/libfoo.so.6 (deleted)",
    "7fff7a110000-7fff7a131000 rw-p 00000000 00:00 0                          [stack]",
    "7fff7a1b0000-7fff7a1b2000 r-xp 00000000 00:00 0                          [vdso]",
    "7f4086fff000-7f4086ffe000 r-xp 00000000 fe:01 524302     /lib/libbar.so",
)


def test_mappings_that_the_text_tells() -> None:
    prog = one(*MAPS, "[0x55ae999031c4]")
    library = one(*MAPS, "pc=0x7f4086ded24a")
    assert (prog["kind"], prog["module"], prog["base"]) == (
        "mapped",
        "/opt/my prog",
        0x55AE99902000,
    )
    assert (library["module"], library["base"]) == ("/lib/libfoo.so.6", 0x7F4086DA0000)
    for address in ("0x55ae99904010", "0x55ae99902010", "0x7fff7a1b0100", "0x7fff7a110100"):
        assert one(*MAPS, address)["kind"] == "raw"
    assert told(MAPS[0]) == told(MAPS[1]) == []


def test_modules_with_an_address_have_the_base_that_the_text_tells() -> None:
    boost = one(*MAPS, " 1# 0x000055AE999031C4 in ./my prog")
    gdb = one(*MAPS, "#1  0x00007f4086ded24a in ?? () from /lib/libfoo.so.6")
    assert (boost["kind"], boost["base"]) == ("boost", 0x55AE99902000)
    assert (gdb["kind"], gdb["base"]) == ("gdb", 0x7F4086DA0000)


def test_the_newest_mapping_wins() -> None:
    other = "55ae99903800-55ae99903900 rwxp 00000000 fe:01 1 /opt/other"
    assert one(*MAPS, other, "0x55ae99903810")["module"] == "/opt/other"
    assert one(*MAPS, other, "0x55ae999031c4")["kind"] == "raw"
    assert one(*MAPS, other, MAPS[1], "0x55ae99903810")["module"] == "/opt/my prog"
    again = "44ae99902000-44ae99903000 r-xp 00002000 fe:01 1 /opt/my prog"
    assert one(*MAPS, again, "0x44ae99902810")["base"] == 0x44AE99900000


def test_mappings_are_bounded() -> None:
    mappings = Mappings()
    start = 0
    for number in range(MOST + 1):
        start = 0x10000 + number * 0x1000
        mappings.begin(f"/lib/{number}", start)
        mappings.add(Mapping(start=start, end=start + 16, module="m", base=start, kind="mapped"))
    assert mappings.at(0x10000) is None
    assert mappings.base("/lib/0") is None
    assert mappings.base(f"/lib/{MOST}") == start
    assert mappings.at(start + 15) is not None
    assert mappings.at(start + 16) is None
