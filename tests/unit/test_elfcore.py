"""Core files: what is one, which are read, and what is missing from a damaged one."""

import random
import struct

import pytest

from evdiag.errors import CoreError, DamagedCore, ExitCode, ForeignCore, NotACore
from evdiag.model.core import MappedFile, Region, SignalFacts
from evdiag.model.machine import AARCH64, ARM, I386, X86_64, Machine
from evdiag.parse.elfcore import read_core
from tests.support import elfwriter as w

STACK = 0x7FFC_0000_0000


def small_core(machine: Machine = X86_64) -> bytes:
    """Two threads, three mappings of 0x1000 bytes."""
    return w.core(
        machine=machine,
        threads=[w.Thread(lwp=7), w.Thread(lwp=8, signal=0)],
        siginfo=w.fault(0x18, bits=machine.bits),
        process=w.Process(pid=7, uid=33, name="EvseManager", arguments="evse_1:EvseManager -x"),
        auxv={9: 0x401000},
        files=[w.MappedRow(0x400000, 0x401000, 0, "/opt/module")],
        memory=[
            w.Piece(start=0x400000, data=b"t" * 0x1000, flags=5),
            w.Piece(start=0x600000, data=b"d" * 0x1000, size=0x3000),
            w.Piece(start=0x700000, data=b"s" * 0x1000),
        ],
    )


@pytest.mark.parametrize("machine", [X86_64, AARCH64, I386, ARM], ids=lambda m: m.name)
def test_a_whole_core(machine: Machine) -> None:
    data = small_core(machine)
    facts = read_core(data)
    assert facts.machine is machine
    assert [t.lwp for t in facts.threads] == [7, 8]
    assert facts.signal == SignalFacts(number=11, code=1, address=0x18)
    assert (facts.pid, facts.uid, facts.name) == (7, 33, "EvseManager")
    assert facts.arguments == "evse_1:EvseManager -x"
    assert facts.auxv == {9: 0x401000, 0: 0}
    assert facts.files == (MappedFile(start=0x400000, end=0x401000, offset=0, path="/opt/module"),)
    assert (facts.size, facts.missing, facts.damage) == (len(data), 0, ())


def test_regions_are_sorted_and_say_what_was_not_dumped() -> None:
    dump = w.core(
        memory=[
            w.Piece(start=0x7000, data=b"b" * 16, flags=6),
            w.Piece(start=0x1000, flags=5, size=0x2000),
        ]
    )
    first, second = read_core(dump).regions
    assert (first.start, first.end, first.flags) == (0x1000, 0x3000, 5)
    assert (first.wanted, first.present) == (0, 0)
    assert (second.start, second.end, second.flags) == (0x7000, 0x7010, 6)
    assert (second.wanted, second.present) == (16, 16)
    assert dump[second.offset : second.offset + 16] == b"b" * 16


def test_permissions_are_the_lowest_three_bits() -> None:
    dump = w.core(memory=[w.Piece(start=0x1000, data=b"x", flags=0x100005)])
    assert read_core(dump).regions[0].flags == 5


# -- no core


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "the file is empty"),
        (b"Segmentation fault (core dumped)\n", "not a core dump: it is text"),
        ("Ladestation: Überspannung\n".encode(), "not a core dump: it is text"),
        (
            b"\x1f\x8b\x08" + bytes(40),
            "not a core dump: it is packed with gzip; unpack it first",
        ),
        (
            b"\x28\xb5\x2f\xfd" + bytes(40),
            "not a core dump: it is packed with zstd; unpack it first",
        ),
        (b"\xfd7zXZ\0" + bytes(40), "not a core dump: it is packed with xz; unpack it first"),
        (b"BZh91AY&SY", "not a core dump: it is packed with bzip2; unpack it first"),
        (b"MDMP\x93\xa7" + bytes(40), "not a core dump: it is a Windows minidump"),
        (bytes(4096), "not a core dump: it is no ELF file"),
        (random.Random(1).randbytes(4096), "not a core dump: it is no ELF file"),
        (b"\x7fELF", "not a core dump: the ELF header is cut off"),
        (b"\x7fELF\x02", "not a core dump: the ELF header is cut off"),
        (b"\x7fELF\x02\x01" + bytes(40), "not a core dump: the ELF header is cut off"),
        (
            b"\x7fELF\x09\x01" + bytes(80),
            "not a core dump: ELF class 9 is neither 32 nor 64 bit",
        ),
        (w.elf(kind=w.ET_REL), "not a core dump, but an object file"),
        (w.elf(kind=w.ET_EXEC), "not a core dump, but an executable"),
        (w.elf(kind=w.ET_DYN), "not a core dump, but a shared library or executable"),
        (w.elf(kind=0xFE00), "not a core dump, but an ELF file"),
    ],
)
def test_what_is_no_core_is_named(data: bytes, message: str) -> None:
    with pytest.raises(NotACore) as caught:
        read_core(data)
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.CORE
    assert "disk was full" in caught.value.advice


@pytest.mark.parametrize(
    ("machine", "bits", "message"),
    [
        (62, 32, "a core of x32 (x86-64 with 32-bit pointers)"),
        (20, 32, "a core of ppc (32 bit)"),
        (21, 64, "a core of ppc64 (64 bit)"),
        (243, 64, "a core of riscv (64 bit)"),
        (258, 64, "a core of loongarch (64 bit)"),
        (3, 64, "a core of i386 (64 bit)"),
        (183, 32, "a core of aarch64 (32 bit)"),
        (4711, 64, "a core of machine 4711 (64 bit)"),
    ],
)
def test_a_core_of_another_machine_is_refused(machine: int, bits: int, message: str) -> None:
    with pytest.raises(ForeignCore) as caught:
        read_core(w.elf(kind=w.ET_CORE, machine=machine, bits=bits))
    assert str(caught.value) == message
    assert caught.value.exit_code == ExitCode.CORE
    assert caught.value.advice == (
        "evdiag reads cores of Linux on x86-64, aarch64, i386 and 32-bit ARM."
    )


@pytest.mark.parametrize(
    ("machine", "bits", "message"),
    [
        (20, 32, "not readable here: big-endian ELF (ppc)"),
        (8, 32, "not readable here: big-endian ELF (mips)"),
        (22, 64, "not readable here: big-endian ELF (s390)"),
    ],
)
def test_a_big_endian_core_is_refused(machine: int, bits: int, message: str) -> None:
    with pytest.raises(ForeignCore) as caught:
        read_core(w.elf(kind=w.ET_CORE, machine=machine, bits=bits, order=">"))
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("owner", "system"),
    [(b"NetBSD-CORE", "NetBSD"), (b"OpenBSD", "OpenBSD"), (b"FreeBSD", "FreeBSD")],
)
def test_a_core_of_another_system_is_refused(owner: bytes, system: str) -> None:
    dump = w.core(threads=[], more_notes=w.note(1, owner, bytes(400)))
    with pytest.raises(ForeignCore) as caught:
        read_core(dump)
    assert str(caught.value) == f"not a Linux core: its notes are from {system}"


def test_a_core_without_threads_is_damaged() -> None:
    with pytest.raises(DamagedCore) as caught:
        read_core(w.core(threads=[], process=w.Process()))
    assert str(caught.value) == "the core has no note about any thread (NT_PRSTATUS)"
    assert caught.value.exit_code == ExitCode.CORE
    assert "fetch it once more" in caught.value.advice


def test_a_core_without_segments_is_damaged() -> None:
    with pytest.raises(DamagedCore) as caught:
        read_core(w.elf(kind=w.ET_CORE))
    assert str(caught.value) == "the core ends before its notes: no thread can be read"


# -- cut off


def test_a_core_cut_in_its_headers() -> None:
    # GIVEN a core of which only the header of the notes is left
    with pytest.raises(DamagedCore) as caught:
        read_core(small_core()[: 64 + 56 + 10])
    assert str(caught.value) == "the core ends before its notes: no thread can be read"


def test_segments_behind_the_notes_that_are_cut_are_told() -> None:
    # GIVEN notes that lie in front of a table of which the last two rows are missing
    dump = bytearray(w.core(memory=[w.Piece(start=0x1000 * i) for i in range(1, 5)]))
    table = bytes(dump[64 : 64 + 5 * 56])
    struct.pack_into("<Q", dump, 32, len(dump))
    dump += table[: 3 * 56 + 20]
    facts = read_core(bytes(dump))
    assert facts.damage == ("the file ends in the program headers: 3 of 5 read",)
    assert [r.start for r in facts.regions] == [0x1000, 0x2000]


def test_a_core_cut_in_its_notes_keeps_the_threads_before() -> None:
    threads = [w.Thread(lwp=100 + i) for i in range(10)]
    dump = w.core(threads=threads, memory=[w.Piece(start=0x1000, data=b"x" * 64)])
    notes_at = 64 + 2 * 56
    whole = 356 + 532  # NT_PRSTATUS and NT_FPREGSET with their heads
    facts = read_core(dump[: notes_at + 4 * whole + 100])
    assert [t.lwp for t in facts.threads] == [100, 101, 102, 103]
    assert facts.damage == ("the file ends in the notes: threads and mapped files may be missing",)
    assert facts.missing == 64


def test_a_core_cut_in_its_memory_names_the_bytes_of_each_segment() -> None:
    data = small_core()
    whole = read_core(data)
    cut = read_core(data[: whole.regions[1].offset + 0x300])
    assert [(r.start, r.wanted - r.present) for r in cut.regions] == [
        (0x400000, 0),
        (0x600000, 0xD00),
        (0x700000, 0x1000),
    ]
    assert cut.missing == 0x1D00
    assert cut.damage == ()


def test_every_place_to_cut_gives_facts_or_one_of_our_errors() -> None:
    data = small_core()
    seen = set()
    for size in [*range(0, 0x1400, 7), *range(0x1400, len(data), 251)]:
        try:
            facts = read_core(data[:size])
        except CoreError as error:
            seen.add(type(error).__name__)
        else:
            seen.add("facts")
            assert facts.missing > 0 or facts.damage
    assert seen == {"NotACore", "DamagedCore", "facts"}


# -- less usual cores


def test_a_core_with_more_than_65535_mappings() -> None:
    pieces = [w.Piece(start=0x10000 + 0x2000 * i, size=0x1000) for i in range(66_000)]
    facts = read_core(w.core(memory=pieces, many_segments=True))
    assert len(facts.regions) == 66_000
    assert facts.regions[-1].start == 0x10000 + 0x2000 * 65_999
    assert facts.damage == ()


def test_a_core_with_its_notes_in_two_segments() -> None:
    first = w.note(w.NT_PRSTATUS, b"CORE", w.prstatus(w.Thread(lwp=1), X86_64))
    second = w.note(w.NT_PRSTATUS, b"CORE", w.prstatus(w.Thread(lwp=2), X86_64))
    segments = [w.Segment(type=w.PT_NOTE, data=blob) for blob in (first, second)]
    facts = read_core(w.elf(segments, kind=w.ET_CORE))
    assert [t.lwp for t in facts.threads] == [1, 2]


def test_segments_that_claim_the_same_notes_are_not_read_forever() -> None:
    # GIVEN two thousand segments of notes, all of them the same half of the file
    thread = w.note(w.NT_PRSTATUS, b"CORE", w.prstatus(w.Thread(lwp=1), X86_64))
    at = 64 + 56 * 2001
    blob = w.Segment(type=w.PT_NOTE, offset=at, data=thread * 500)
    same = w.Segment(type=w.PT_NOTE, offset=at, file_size=len(blob.data))
    data = w.elf([blob, *[same] * 2000], kind=w.ET_CORE)
    # THEN no more is read than the file has bytes
    facts = read_core(data)
    assert 500 <= len(facts.threads) <= len(data) // len(thread)


def test_without_siginfo_the_number_comes_from_the_thread() -> None:
    facts = read_core(w.core(threads=[w.Thread(signal=6)]))
    assert facts.signal == SignalFacts(number=6)
    assert facts.signal is not None
    assert facts.signal.code is None


def test_a_snapshot_has_no_signal() -> None:
    assert read_core(w.core(threads=[w.Thread(signal=0)])).signal is None


def test_a_region_that_begins_behind_the_end_of_the_file_is_absent() -> None:
    segments = [
        w.Segment(
            type=w.PT_NOTE,
            data=w.note(w.NT_PRSTATUS, b"CORE", w.prstatus(w.Thread(), X86_64)),
        ),
        w.Segment(vaddr=0x5000, offset=1 << 40, file_size=0x1000),
    ]
    facts = read_core(w.elf(segments, kind=w.ET_CORE))
    assert facts.regions == (
        Region(start=0x5000, end=0x6000, flags=4, offset=1 << 40, wanted=0x1000, present=0),
    )
    assert facts.missing == 0x1000
