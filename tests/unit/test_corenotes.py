"""Notes of a Linux core, byte by byte."""

import struct

import pytest

from evdiag.model.core import MappedFile, SignalFacts, ThreadState
from evdiag.model.machine import AARCH64, ARM, I386, X86_64, Machine
from evdiag.parse import corenotes
from evdiag.parse.corenotes import NoteReader, text
from tests.support import elfwriter as w


def read(
    *blocks: tuple[int, bytes], machine: Machine = X86_64, owner: bytes = b"CORE"
) -> NoteReader:
    """Feed notes to a reader."""
    reader = NoteReader(machine)
    for kind, contents in blocks:
        reader.read(kind, owner, contents)
    return reader


# -- threads


@pytest.mark.parametrize(
    ("machine", "registers_at", "count", "pc", "sp"),
    [
        (X86_64, 112, 27, 16, 19),  # user_regs_struct: rip, rsp
        (AARCH64, 112, 34, 32, 31),  # user_pt_regs: pc, sp
        (I386, 72, 17, 12, 15),  # user_regs_struct32: eip, esp
        (ARM, 72, 18, 15, 13),  # pt_regs: r15, r13
    ],
    ids=lambda value: value.name if isinstance(value, Machine) else str(value),
)
def test_the_register_block_of_each_machine(
    machine: Machine, registers_at: int, count: int, pc: int, sp: int
) -> None:
    # GIVEN struct elf_prstatus with 1000 + i in the place of register i
    word = machine.bits // 8
    block = bytearray(registers_at + count * word + 8)
    struct.pack_into("<iii", block, 0, 11, 0, 0)
    struct.pack_into("<h", block, 12, 11)
    struct.pack_into("<i", block, 32 if word == 8 else 24, 4242)
    values = range(1000, 1000 + count)
    struct.pack_into(f"<{count}{'Q' if word == 8 else 'I'}", block, registers_at, *values)
    # WHEN it is read
    (thread,) = read((1, bytes(block)), machine=machine).threads
    # THEN every register is where the kernel put it
    assert thread == ThreadState(lwp=4242, signal=11, registers=tuple(values))
    assert thread.registers[machine.pc] == 1000 + pc
    assert thread.registers[machine.dwarf[machine.sp]] == 1000 + sp


def test_registers_have_the_names_of_the_kernel() -> None:
    registers = {"rip": 0x401136, "rsp": 0x7FFC00001000, "rbp": 3, "r15": 4, "gs": 5}
    status = w.prstatus(w.Thread(registers=registers), X86_64)
    (thread,) = read((w.NT_PRSTATUS, status)).threads
    named = dict(zip(X86_64.registers, thread.registers, strict=True))
    assert {name: value for name, value in named.items() if value} == registers


def test_dwarf_numbers_lead_to_the_right_registers() -> None:
    # System V ABI for x86-64 figure 3.36, for i386 table 2.14
    assert [X86_64.registers[i] for i in X86_64.dwarf] == [
        *("rax", "rdx", "rcx", "rbx", "rsi", "rdi", "rbp", "rsp"),
        *("r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "rip"),
    ]
    assert [I386.registers[i] for i in I386.dwarf] == [
        *("eax", "ecx", "edx", "ebx", "esp", "ebp", "esi", "edi", "eip"),
    ]
    assert [AARCH64.registers[i] for i in AARCH64.dwarf] == [*(f"x{i}" for i in range(31)), "sp"]


def test_floating_point_registers_belong_to_the_thread_before() -> None:
    status = w.prstatus(w.Thread(lwp=1), X86_64)
    reader = read((1, status), (2, bytes(512)), (1, status), (1, status), (2, b""))
    assert [t.floating_point for t in reader.threads] == [True, False, False]


def test_floating_point_registers_of_nobody_are_ignored() -> None:
    reader = read((2, bytes(512)))
    assert (reader.threads, reader.damage) == ([], [])


def test_a_cut_status_is_damage() -> None:
    status = w.prstatus(w.Thread(), X86_64)
    reader = read((1, status[:327]))
    assert reader.threads == []
    assert reader.damage == ["note NT_PRSTATUS is damaged"]


def test_the_same_damage_is_told_once() -> None:
    reader = read(*[(1, b"")] * 50, *[(w.NT_FILE, b"")] * 50)
    assert reader.damage == ["note NT_PRSTATUS is damaged", "note NT_FILE is damaged"]


def test_more_threads_than_a_process_can_have_are_damage() -> None:
    status = w.prstatus(w.Thread(), X86_64)
    reader = NoteReader(X86_64)
    reader.read(1, b"CORE", status)
    reader.threads *= corenotes.MAX_THREADS
    reader.read(1, b"CORE", status)
    assert len(reader.threads) == 100_000
    assert reader.damage == ["note NT_PRSTATUS is damaged"]


# -- process


@pytest.mark.parametrize("machine", [X86_64, AARCH64, I386, ARM], ids=lambda m: m.name)
def test_process(machine: Machine) -> None:
    process = w.Process(pid=77, uid=1001, name="evse_manager", arguments="a:B --prefix /opt")
    reader = read((w.NT_PRPSINFO, w.prpsinfo(process, machine.bits)), machine=machine)
    assert (reader.pid, reader.uid) == (77, 1001)
    assert (reader.name, reader.arguments) == ("evse_manager", "a:B --prefix /opt")


def test_name_and_arguments_fill_their_fields_to_the_last_byte() -> None:
    head = w.prpsinfo(w.Process(), 64)[:40]
    reader = read((w.NT_PRPSINFO, head + b"n" * 16 + b"a" * 80 + b"behind"))
    assert (reader.name, reader.arguments) == ("n" * 16, "a" * 80)


def test_a_cut_process_note_is_damage() -> None:
    reader = read((w.NT_PRPSINFO, bytes(20)))
    assert reader.damage == ["note NT_PRPSINFO is damaged"]
    assert (reader.pid, reader.uid, reader.name) == (None, None, "")


# -- auxiliary vector


def test_the_auxiliary_vector() -> None:
    reader = read((w.NT_AUXV, w.words(9, 0x401000, 33, 0x7FFF0000, 0, 0)))
    assert reader.auxv == {9: 0x401000, 33: 0x7FFF0000, 0: 0}
    assert len(reader.auxv_bytes) == 48


def test_the_auxiliary_vector_of_32_bits_loses_half_a_pair() -> None:
    vector = w.words(9, 0x8049000, 0, 0, bits=32)
    reader = read((w.NT_AUXV, vector + b"12345"), machine=I386)
    assert reader.auxv == {9: 0x8049000, 0: 0}
    assert reader.auxv_bytes == vector


# -- mapped files


def test_mapped_files_are_sorted_and_offsets_are_bytes() -> None:
    rows = [
        w.MappedRow(0x9000, 0xA000, 0x3000, "/lib/libc.so.6"),
        w.MappedRow(0x1000, 0x3000, 0, "/opt/module (deleted)"),
    ]
    reader = read((w.NT_FILE, w.nt_file(rows, 64)))
    assert reader.files == [
        MappedFile(start=0x1000, end=0x3000, offset=0, path="/opt/module (deleted)"),
        MappedFile(start=0x9000, end=0xA000, offset=0x3000, path="/lib/libc.so.6"),
    ]


def test_pages_of_64_kilobytes() -> None:
    rows = [w.MappedRow(0x10000, 0x30000, 0x20000, "/opt/module")]
    reader = read((w.NT_FILE, w.nt_file(rows, 64, page=0x10000)), machine=AARCH64)
    assert reader.files[0].offset == 0x20000


def test_mapped_files_of_32_bits() -> None:
    rows = [w.MappedRow(0x8048000, 0x8049000, 0x1000, "/opt/module")]
    reader = read((w.NT_FILE, w.nt_file(rows, 32)), machine=I386)
    assert reader.files == [
        MappedFile(start=0x8048000, end=0x8049000, offset=0x1000, path="/opt/module")
    ]


def test_paths_that_are_no_utf8_and_endless_paths() -> None:
    rows = [
        w.MappedRow(0x1000, 0x2000, 0, "/opt/m\udcffdule"),
        w.MappedRow(0x3000, 0x4000, 0, "/" + "x" * 5000),
    ]
    reader = read((w.NT_FILE, w.nt_file(rows, 64)))
    assert reader.files[0].path == "/opt/m\ufffddule"
    assert reader.files[1].path == "/" + "x" * 4095


@pytest.mark.parametrize("count", [2, 200_001, (1 << 64) - 1])
def test_more_rows_than_the_note_has_are_damage(count: int) -> None:
    contents = w.nt_file([w.MappedRow(0x1000, 0x2000, 0, "/a")], 64)
    reader = read((w.NT_FILE, struct.pack("<Q", count) + contents[8:]))
    assert reader.files == []
    assert reader.damage == ["note NT_FILE is damaged"]


def test_rows_without_names_are_left_out() -> None:
    rows = [w.MappedRow(0x1000, 0x2000, 0, "/a"), w.MappedRow(0x3000, 0x4000, 0, "/b")]
    contents = w.nt_file(rows, 64)
    reader = read((w.NT_FILE, contents[:-4]))
    assert [f.path for f in reader.files] == ["/a"]


def test_mapped_files_in_many_notes_are_bounded_together() -> None:
    contents = w.nt_file([w.MappedRow(0x1000, 0x2000, 0, "/a")] * 1000, 64)
    reader = NoteReader(X86_64)
    for _ in range(2):
        reader.read(w.NT_FILE, b"CORE", contents)
    reader.files *= 100
    reader.read(w.NT_FILE, b"CORE", contents)
    assert len(reader.files) == 200_000
    assert reader.damage == ["note NT_FILE is damaged"]


# -- signal


@pytest.mark.parametrize("machine", [X86_64, I386], ids=lambda m: m.name)
@pytest.mark.parametrize(
    ("signal", "code", "layout", "values", "expected"),
    [
        (11, 1, "P", (0x18,), SignalFacts(number=11, code=1, address=0x18)),
        (11, 128, "P", (0,), SignalFacts(number=11, code=128, address=0)),
        (7, 2, "P", (0xF000,), SignalFacts(number=7, code=2, address=0xF000)),
        (8, 1, "P", (0x401136,), SignalFacts(number=8, code=1, address=0x401136)),
        (4, 2, "P", (0x401136,), SignalFacts(number=4, code=2, address=0x401136)),
        (5, 1, "P", (0x401136,), SignalFacts(number=5, code=1, address=0x401136)),
        (
            31,
            1,
            "Pi",
            (0x401136, 59),
            SignalFacts(number=31, code=1, address=0x401136, syscall=59),
        ),
        (6, -6, "iI", (42, 1000), SignalFacts(number=6, code=-6, sender_pid=42, sender_uid=1000)),
        (11, 0, "iI", (42, 0), SignalFacts(number=11, code=0, sender_pid=42, sender_uid=0)),
        (15, 0, "iI", (1, 0), SignalFacts(number=15, code=0, sender_pid=1, sender_uid=0)),
        (17, 1, "iI", (1, 0), SignalFacts(number=17, code=1)),
    ],
)
def test_signals(
    machine: Machine,
    signal: int,
    code: int,
    layout: str,
    values: tuple[int, ...],
    expected: SignalFacts,
) -> None:
    # P stands for a pointer of the machine
    fields = struct.pack("<" + layout.replace("P", "Q" if machine.bits == 64 else "I"), *values)
    info = w.siginfo_bytes(w.SigInfo(number=signal, code=code, fields=fields), machine.bits)
    assert len(info) == 128
    assert read((w.NT_SIGINFO, info), machine=machine).signal == expected


def test_a_cut_signal_is_damage() -> None:
    reader = read((w.NT_SIGINFO, w.siginfo_bytes(w.fault(0x18), 64)[:20]))
    assert reader.signal is None
    assert reader.damage == ["note NT_SIGINFO is damaged"]


# -- the rest


def test_the_mask_of_pointer_signatures_is_the_one_for_code() -> None:
    masks = struct.pack("<QQ", 0x007F_0000_0000_0000, 0x7F_F000_0000_0000)
    reader = read((w.NT_ARM_PAC_MASK, masks), machine=AARCH64, owner=b"LINUX")
    assert reader.pac_mask == 0x7F_F000_0000_0000
    reader = read((w.NT_ARM_PAC_MASK, masks[:15]), machine=AARCH64, owner=b"LINUX")
    assert (reader.pac_mask, reader.damage) == (0, ["note NT_ARM_PAC_MASK is damaged"])


def test_notes_count_only_from_their_owner() -> None:
    status = w.prstatus(w.Thread(), X86_64)
    reader = read((w.NT_PRSTATUS, status), (0x202, bytes(64)), owner=b"LINUX")
    assert (reader.threads, reader.damage) == ([], [])
    assert reader.owners == {"LINUX"}


def test_owners_that_are_no_text() -> None:
    assert read((1, b""), owner=b"\xff\xfe").owners == {"\ufffd\ufffd"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b"", ""),
        (b"abc\0def", "abc"),
        (b"abc \0", "abc"),
        (b"caf\xc3\xa9", "café"),
        (b"bad\xff", "bad\ufffd"),
    ],
)
def test_text(raw: bytes, expected: str) -> None:
    assert text(raw) == expected
