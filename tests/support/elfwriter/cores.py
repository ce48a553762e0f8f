"""Linux cores, and what maps them."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evdiag.analyze.space import AddressSpace
from evdiag.model.machine import X86_64, Machine
from evdiag.parse.elfcore import read_core
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import mapped_modules
from tests.support.elfwriter.files import (
    CODE,
    ET_CORE,
    EXECUTE,
    NT_ARM_PAC_MASK,
    NT_AUXV,
    NT_FILE,
    NT_FPREGSET,
    NT_PRPSINFO,
    NT_PRSTATUS,
    NT_SIGINFO,
    PAGE,
    PT_NOTE,
    READ,
    WRITE,
    Segment,
    elf,
    note,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Thread:
    """NT_PRSTATUS and NT_FPREGSET of one thread; registers that are not named are 0."""

    lwp: int = 100
    signal: int = 11
    registers: Mapping[str, int] = field(default_factory=dict)
    floating_point: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """One mapped range. `size` may be larger than `data`: the rest was not dumped."""

    start: int
    data: bytes = b""
    flags: int = READ | WRITE
    size: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SigInfo:
    """NT_SIGINFO: `fields` is what follows si_code in the union, at its natural offset."""

    number: int = 11
    code: int = 1
    fields: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """NT_PRPSINFO."""

    pid: int = 100
    uid: int = 1000
    name: str = "module"
    arguments: str = "module --prefix /opt"


class MappedRow(NamedTuple):
    """One row of NT_FILE; `offset` counts bytes."""

    start: int
    end: int
    offset: int
    path: str


def fault(address: int, *, number: int = 11, code: int = 1, bits: int = 64) -> SigInfo:
    """A signal of the processor, with the address it complains about."""
    return SigInfo(number=number, code=code, fields=address.to_bytes(bits // 8, "little"))


def sent(number: int, *, pid: int, uid: int, code: int = 0) -> SigInfo:
    """A signal that a process has sent: kill (0), tgkill (-6)."""
    return SigInfo(number=number, code=code, fields=struct.pack("<iI", pid, uid))


def core(
    *,
    threads: Sequence[Thread] = (Thread(),),
    memory: Iterable[Piece] = (),
    files: Sequence[MappedRow] | None = None,
    auxv: Mapping[int, int] | None = None,
    siginfo: SigInfo | None = None,
    process: Process | None = None,
    pac_mask: int | None = None,
    machine: Machine = X86_64,
    more_notes: bytes = b"",
    many_segments: bool = False,
) -> bytes:
    """Return a core as the kernel writes it: one PT_NOTE, then one PT_LOAD for each mapping."""
    blob = b"".join(_thread_notes(t, machine) for t in threads[:1])
    blob += note(NT_PRPSINFO, b"CORE", prpsinfo(process, machine.bits)) if process else b""
    blob += note(NT_SIGINFO, b"CORE", siginfo_bytes(siginfo, machine.bits)) if siginfo else b""
    blob += note(NT_AUXV, b"CORE", auxv_bytes(auxv, machine.bits)) if auxv is not None else b""
    blob += note(NT_FILE, b"CORE", nt_file(files, machine.bits)) if files is not None else b""
    blob += b"".join(_thread_notes(t, machine) for t in threads[1:])
    if pac_mask is not None:
        blob += note(NT_ARM_PAC_MASK, b"LINUX", struct.pack("<QQ", pac_mask, pac_mask))
    segments = [Segment(type=PT_NOTE, flags=0, data=blob + more_notes)]
    segments += [
        Segment(flags=m.flags, vaddr=m.start, data=m.data, memory_size=m.size) for m in memory
    ]
    return elf(
        segments,
        bits=machine.bits,
        machine=machine.elf_machine,
        kind=ET_CORE,
        many_segments=many_segments,
    )


def _thread_notes(thread: Thread, machine: Machine) -> bytes:
    made = note(NT_PRSTATUS, b"CORE", prstatus(thread, machine))
    return made + (note(NT_FPREGSET, b"CORE", bytes(512)) if thread.floating_point else b"")


def prstatus(thread: Thread, machine: Machine) -> bytes:
    """struct elf_prstatus: cursig at 12; pid at 32 and registers at 112, or at 24 and 72."""
    wide = machine.bits == 64
    values = [thread.registers.get(name, 0) for name in machine.registers]
    assert set(thread.registers) <= set(machine.registers)
    out = bytearray(112 if wide else 72)
    struct.pack_into("<ii", out, 0, thread.signal, 0)
    struct.pack_into("<h", out, 12, thread.signal)
    struct.pack_into("<i", out, 32 if wide else 24, thread.lwp)
    return bytes(out) + struct.pack(f"<{len(values)}{'Q' if wide else 'I'}", *values) + bytes(8)


def prpsinfo(process: Process, bits: int) -> bytes:
    """struct elf_prpsinfo."""
    if bits == 64:
        head = struct.pack("<4B4xQIIiiii", 0, 82, 0, 0, 0, process.uid, 0, process.pid, 1, 1, 1)
    else:
        head = struct.pack("<4BIHHiiii", 0, 82, 0, 0, 0, process.uid, 0, process.pid, 1, 1, 1)
    name, arguments = process.name.encode()[:15], process.arguments.encode()[:79]
    return head + name.ljust(16, b"\0") + arguments.ljust(80, b"\0")


def siginfo_bytes(signal: SigInfo, bits: int) -> bytes:
    """siginfo_t: number, errno, code, and the union at 16 or 12; 128 bytes in all."""
    head = struct.pack("<iii", signal.number, 0, signal.code) + (b"\0" * 4 if bits == 64 else b"")
    return (head + signal.fields).ljust(128, b"\0")


def auxv_bytes(auxv: Mapping[int, int], bits: int) -> bytes:
    """The auxiliary vector with its terminator."""
    layout = "<QQ" if bits == 64 else "<II"
    return b"".join(struct.pack(layout, *pair) for pair in [*auxv.items(), (0, 0)])


def nt_file(files: Sequence[MappedRow], bits: int, *, page: int = PAGE) -> bytes:
    """NT_FILE: count, page size, (start, end, offset in pages) of each row, then the names."""
    word = "Q" if bits == 64 else "I"
    rows = b"".join(
        struct.pack(f"<3{word}", row.start, row.end, row.offset // page) for row in files
    )
    names = b"".join(row.path.encode("utf-8", "surrogateescape") + b"\0" for row in files)
    return struct.pack(f"<2{word}", len(files), page) + rows + names


def mapped(path: str, data: bytes, at: int) -> list[MappedRow]:
    """The rows of NT_FILE for an `image` whose first byte is mapped at an address."""
    end = CODE + (len(data) - CODE + PAGE - 1) // PAGE * PAGE
    return [
        MappedRow(at, at + CODE, 0, path),
        MappedRow(at + CODE, at + end, CODE, path),
    ]


def code_pieces(data: bytes, at: int) -> list[Piece]:
    """The mappings of an `image` as a kernel dumps them: the header page, and no code."""
    rows = mapped("", data, at)
    return [
        Piece(start=at, data=data[:PAGE], flags=READ, size=CODE),
        Piece(start=at + CODE, flags=READ | EXECUTE, size=rows[1].end - rows[1].start),
    ]


def words(*values: int, bits: int = 64) -> bytes:
    """Pointer-sized numbers as they lie in memory."""
    return struct.pack(f"<{len(values)}{'Q' if bits == 64 else 'I'}", *values)


class InitialStack(NamedTuple):
    """What the kernel puts on the stack of a new program."""

    piece: Piece
    auxv: dict[int, int]
    argc_at: int


def initial_stack(
    argv: Sequence[bytes],
    environment: Sequence[bytes] = (),
    *,
    auxv: Mapping[int, int] | None = None,
    top: int = 0x7FFF_FFFF_F000,
    bits: int = 64,
    program: bytes = b"/usr/bin/program",
    below: int = 0x100,
) -> InitialStack:
    """Build the stack as create_elf_tables() in fs/binfmt_elf.c does, `below` bytes in use."""
    word = bits // 8
    at = top - word
    strings = b""
    pointers = []
    for text in (*argv, *environment, program):
        pointers.append(len(strings))
        strings += text + b"\0"
    at -= len(strings)
    first = at
    at = (at - 16) & -16
    random_at = at
    vector = {**(auxv or {}), 25: random_at, 31: first + pointers[-1]}
    table = [len(argv)]
    table += [first + p for p in pointers[: len(argv)]] + [0]
    table += [first + p for p in pointers[len(argv) : -1]] + [0]
    blob = words(*table, bits=bits) + auxv_bytes(vector, bits)
    argc_at = (random_at - len(blob)) & -16
    start = (argc_at - below) & -PAGE
    data = bytearray(top - start)
    data[argc_at - start : argc_at - start + len(blob)] = blob
    data[random_at - start : random_at - start + 16] = b"sixteen bytes..!"
    data[first - start : first - start + len(strings)] = strings
    return InitialStack(Piece(start=start, data=bytes(data)), vector, argc_at)


def address_space(dump: bytes, files: Mapping[str, bytes]) -> AddressSpace:
    """Everything up to the address space of a core; `files` are all that this machine has."""
    facts = read_core(dump)
    memory = Memory(dump, facts)
    modules = mapped_modules(facts.files, memory)

    def found(path: str) -> Image | None:
        return Image(path, files[path]) if path in files else None

    return AddressSpace(facts, memory, facts.files, modules, lambda module: found(module.path))
