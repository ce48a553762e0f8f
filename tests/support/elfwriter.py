"""ELF files, Linux cores and call frame information, made in memory byte by byte.

For what real programs and kernels do not produce at will: the exact byte that is wrong. Layouts
are written down here a second time, from the same specifications and not from evdiag's readers,
so that a mistake in one of the two shows.

    code = image(entries=[Cie(program=def_cfa(7, 8)), Fde(start=CODE, size=0x100)])
    dump = core(threads=[Thread(registers={"rip": 0x7F0000004010})], files=mapped("/a", code, at))
    space = address_space(dump, {"/a": code})
"""

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

PAGE = 0x1000
READ, WRITE, EXECUTE = 4, 2, 1
ET_REL, ET_EXEC, ET_DYN, ET_CORE = 1, 2, 3, 4
PT_LOAD, PT_DYNAMIC, PT_NOTE, PT_GNU_EH_FRAME = 1, 2, 4, 0x6474E550
SHT_PROGBITS, SHT_NOTE, SHT_NOBITS = 1, 7, 8
NT_PRSTATUS, NT_FPREGSET, NT_PRPSINFO, NT_AUXV = 1, 2, 3, 6
NT_ARM_PAC_MASK, NT_FILE, NT_SIGINFO = 0x406, 0x46494C45, 0x53494749
NT_GNU_BUILD_ID = 3


# -- ELF files


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A program header, and the bytes it stands for."""

    type: int = PT_LOAD
    flags: int = READ
    vaddr: int = 0
    data: bytes = b""
    offset: int | None = None
    """None: behind everything that was placed before."""
    file_size: int | None = None
    """What the header claims, where that is not the size of `data`."""
    memory_size: int | None = None
    """None: as many as in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section header, and the bytes it stands for."""

    name: str
    type: int = SHT_PROGBITS
    flags: int = 0
    vaddr: int = 0
    data: bytes = b""
    offset: int | None = None
    size: int | None = None


def elf(
    segments: Sequence[Segment] = (),
    sections: Sequence[Section] = (),
    *,
    bits: int = 64,
    machine: int = 62,
    kind: int = ET_DYN,
    entry: int = 0,
    order: str = "<",
    many_segments: bool = False,
) -> bytes:
    """Return an ELF file. `many_segments` counts the segments where PN_XNUM says they are."""
    wide = bits == 64
    head, ph_size, sh_size = (64, 56, 64) if wide else (52, 32, 40)
    out = bytearray(head + ph_size * len(segments))
    placed = [_place(out, s.data, s.offset) for s in segments]
    rows = b"".join(
        _segment_row(s, at, wide, order) for s, at in zip(segments, placed, strict=True)
    )
    out[head : head + len(rows)] = rows
    table_at = count = names_index = 0
    if sections or many_segments:
        info = len(segments) if many_segments else 0
        table, count = _sections(out, sections, wide, order, info)
        names_index = count - 1
        table_at = _place(out, table, None)
    shown = 0xFFFF if many_segments else len(segments)
    out[:head] = (
        b"\x7fELF"
        + bytes([bits // 32, 1 if order == "<" else 2, 1])
        + bytes(9)
        + struct.pack(
            order + ("HHIQQQIHHHHHH" if wide else "HHIIIIIHHHHHH"),
            *(kind, machine, 1, entry, head if segments else 0, table_at, 0, head),
            *(ph_size, shown, sh_size, count, names_index),
        )
    )
    return bytes(out)


def _place(out: bytearray, data: bytes, offset: int | None) -> int:
    """Put bytes at an offset, or behind the last one, and return where they are."""
    at = -(-len(out) // 8) * 8 if offset is None else offset
    if data:
        out.extend(bytes(max(0, at + len(data) - len(out))))
        out[at : at + len(data)] = data
    return at


def _segment_row(s: Segment, at: int, wide: bool, order: str) -> bytes:
    size = len(s.data) if s.file_size is None else s.file_size
    memory = size if s.memory_size is None else s.memory_size
    if wide:
        return struct.pack(
            order + "IIQQQQQQ", s.type, s.flags, at, s.vaddr, s.vaddr, size, memory, 8
        )
    return struct.pack(order + "8I", s.type, at, s.vaddr, s.vaddr, size, memory, s.flags, 4)


def _sections(
    out: bytearray, sections: Sequence[Section], wide: bool, order: str, info: int
) -> tuple[bytes, int]:
    """The section headers, with the empty one in front and the names behind."""
    names = bytearray(b"\0")
    rows = []
    for s in (*sections, Section(name=".shstrtab", type=3)):
        name_at = len(names)
        names += s.name.encode() + b"\0"
        data = s.data if s.name != ".shstrtab" else bytes(names)
        at = _place(out, data, s.offset)
        rows.append(
            (name_at, s.type, s.flags, s.vaddr, at, len(data) if s.size is None else s.size)
        )
    layout = order + ("IIQQQQIIQQ" if wide else "10I")
    zero = struct.pack(layout, 0, 0, 0, 0, 0, 0, 0, info, 0, 0)
    return zero + b"".join(struct.pack(layout, *row, 0, 0, 1, 0) for row in rows), len(rows) + 1


def note(kind: int, owner: bytes, contents: bytes) -> bytes:
    """One note, padded as the System V ABI wants it."""
    name = owner + b"\0"
    return (
        struct.pack("<III", len(name), len(contents), kind)
        + name.ljust(-(-len(name) // 4) * 4, b"\0")
        + contents.ljust(-(-len(contents) // 4) * 4, b"\0")
    )


def build_id_note(build_id: bytes) -> bytes:
    """The note that a linker makes for --build-id."""
    return note(NT_GNU_BUILD_ID, b"GNU", build_id)


# -- executables and libraries

BUILD_ID = bytes(range(0xA0, 0xB4))
NOTE_AT, HEADER_AT, FRAMES_AT = 0x400, 0x800, 0x1000
CODE = 0x4000
"""Where the code of an `image` begins, in the file and (from its base on) in memory."""


def image(
    *,
    entries: "Sequence[Cie | Fde]" = (),
    debug_entries: "Sequence[Cie | Fde]" = (),
    code: bytes = b"\x90" * 0x2000,
    base: int = 0,
    build_id: bytes | None = BUILD_ID,
    header: bool = True,
    sections: Sequence[Section] = (),
    segments: Sequence[Segment] = (),
    machine: Machine = X86_64,
    kind: int = ET_DYN,
    entry: int = CODE,
) -> bytes:
    """Return a linked file: read-only part at offset 0, code at CODE, offset = address - base.

    `entries` become .eh_frame, with a sorted .eh_frame_hdr if `header`; `debug_entries` become
    .debug_frame. Starts of functions are addresses, that is: they include `base`.
    """
    bits = machine.bits
    frames = eh_frame(entries, vaddr=base + FRAMES_AT, bits=bits)
    assert len(frames.data) <= CODE - FRAMES_AT
    parts = [
        Segment(vaddr=base, offset=0, file_size=CODE),
        Segment(flags=READ | EXECUTE, vaddr=base + CODE, offset=CODE, data=code),
        *segments,
    ]
    tables = list(sections)
    if build_id is not None:
        blob = build_id_note(build_id)
        parts.append(Segment(type=PT_NOTE, vaddr=base + NOTE_AT, offset=NOTE_AT, data=blob))
    if entries:
        at = base + FRAMES_AT
        tables.append(Section(name=".eh_frame", vaddr=at, offset=FRAMES_AT, data=frames.data))
        if header:
            at = base + HEADER_AT
            rows = eh_frame_hdr(entries, frames, vaddr=at, frames_at=base + FRAMES_AT)
            assert len(rows) <= FRAMES_AT - HEADER_AT
            parts.append(Segment(type=PT_GNU_EH_FRAME, vaddr=at, offset=HEADER_AT, data=rows))
    if debug_entries:
        data = debug_frame(debug_entries, bits=bits).data
        tables.append(Section(name=".debug_frame", data=data))
    return elf(parts, tables, bits=bits, machine=machine.elf_machine, kind=kind, entry=base + entry)


# -- call frame information

PC_RELATIVE_4 = 0x1B
"""DW_EH_PE_pcrel | sdata4: what compilers write."""
ABSOLUTE = 0x00


def uleb(value: int) -> bytes:
    """An unsigned LEB128 number."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def sleb(value: int) -> bytes:
    """A signed LEB128 number."""
    out = bytearray()
    while not -0x40 <= value < 0x40:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value & 0x7F])


def def_cfa(register: int, offset: int) -> bytes:
    """DW_CFA_def_cfa."""
    return b"\x0c" + uleb(register) + uleb(offset)


def def_cfa_offset(offset: int) -> bytes:
    """DW_CFA_def_cfa_offset."""
    return b"\x0e" + uleb(offset)


def def_cfa_expression(expression: bytes) -> bytes:
    """DW_CFA_def_cfa_expression."""
    return b"\x0f" + uleb(len(expression)) + expression


def saved(register: int, factor: int) -> bytes:
    """DW_CFA_offset: the register lies `factor` times the data alignment from the CFA."""
    return bytes([0x80 | register]) + uleb(factor)


def advance(units: int) -> bytes:
    """DW_CFA_advance_loc."""
    return bytes([0x40 | units])


def undefined(register: int) -> bytes:
    """DW_CFA_undefined."""
    return b"\x07" + uleb(register)


def by_expression(register: int, expression: bytes, *, value: bool = False) -> bytes:
    """DW_CFA_expression, or DW_CFA_val_expression."""
    return (b"\x16" if value else b"\x10") + uleb(register) + uleb(len(expression)) + expression


@dataclass(frozen=True, slots=True, kw_only=True)
class Cie:
    """A Common Information Entry; the defaults are those of gcc for x86-64."""

    program: bytes = def_cfa(7, 8) + saved(16, 1)
    version: int = 1
    augmentation: str = "zR"
    code_align: int = 1
    data_align: int = -8
    return_register: int = 16
    encoding: int = PC_RELATIVE_4
    augmentation_data: bytes | None = None
    """None: what "zR" wants, the encoding."""
    wide: bool = False
    """In the 64-bit DWARF format."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fde:
    """A Frame Description Entry for `size` bytes of code from `start` on."""

    start: int = CODE
    size: int = 0x100
    program: bytes = b""
    cie: int = 0
    """Index of its CIE among the entries."""
    augmentation_data: bytes = b""


class FrameSection(NamedTuple):
    """A section of call frame information, and where in it each entry begins."""

    data: bytes
    places: tuple[int, ...]


def eh_frame(entries: "Sequence[Cie | Fde]", *, vaddr: int = 0, bits: int = 64) -> FrameSection:
    """.eh_frame for the given address, with the terminator that linkers put behind it."""
    made = _frame_section(entries, vaddr, bits, debug=False)
    return made._replace(data=made.data + bytes(4))


def debug_frame(entries: "Sequence[Cie | Fde]", *, bits: int = 64) -> FrameSection:
    """.debug_frame: absolute addresses, and CIE pointers that are offsets in the section."""
    return _frame_section(entries, 0, bits, debug=True)


def _frame_section(
    entries: "Sequence[Cie | Fde]", vaddr: int, bits: int, *, debug: bool
) -> FrameSection:
    out = bytearray()
    places: list[int] = []
    cies: dict[int, Cie] = {}
    for i, entry in enumerate(entries):
        places.append(len(out))
        wide = entry.wide if isinstance(entry, Cie) else cies[entry.cie].wide
        identity_at = len(out) + (12 if wide else 4)
        long_identity = wide and debug
        body_at = identity_at + (8 if long_identity else 4)
        if isinstance(entry, Cie):
            cies[i] = entry
            identity = (1 << (64 if long_identity else 32)) - 1 if debug else 0
            body = _cie_body(entry, bits, debug=debug)
        else:
            cie = cies[entry.cie]
            identity = places[entry.cie] if debug else identity_at - places[entry.cie]
            body = _fde_body(entry, cie, vaddr + body_at, bits, debug=debug)
        body += b"\0" * (-(body_at + len(body)) % 4)
        size = body_at - identity_at + len(body)
        out += struct.pack("<IQ", 0xFFFFFFFF, size) if wide else struct.pack("<I", size)
        out += identity.to_bytes(body_at - identity_at, "little") + body
    return FrameSection(bytes(out), tuple(places))


def _cie_body(cie: Cie, bits: int, *, debug: bool) -> bytes:
    letters = "" if debug and cie.augmentation == "zR" else cie.augmentation
    out = bytes([cie.version]) + letters.encode("latin-1") + b"\0"
    if cie.version >= 4:
        out += bytes([bits // 8, 0])
    out += uleb(cie.code_align) + sleb(cie.data_align)
    out += bytes([cie.return_register]) if cie.version == 1 else uleb(cie.return_register)
    if letters.startswith("z"):
        extra = bytes([cie.encoding]) if cie.augmentation_data is None else cie.augmentation_data
        out += uleb(len(extra)) + extra
    return out + cie.program


def _fde_body(fde: Fde, cie: Cie, at: int, bits: int, *, debug: bool) -> bytes:
    encoding = ABSOLUTE if debug else cie.encoding
    start = fde.start - (at if encoding & 0x70 == 0x10 else 0)
    out = _pointer(start, encoding & 0x0F, bits) + _pointer(fde.size, encoding & 0x0F, bits)
    if cie.augmentation.startswith("z") and not debug:
        out += uleb(len(fde.augmentation_data)) + fde.augmentation_data
    return out + fde.program


def _pointer(value: int, kind: int, bits: int) -> bytes:
    """A number in one of the DW_EH_PE formats of fixed size."""
    size = {0x00: bits // 8, 0x02: 2, 0x03: 4, 0x04: 8, 0x0A: 2, 0x0B: 4, 0x0C: 8}[kind]
    return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def eh_frame_hdr(
    entries: "Sequence[Cie | Fde]", frames: FrameSection, *, vaddr: int, frames_at: int
) -> bytes:
    """.eh_frame_hdr with its sorted table: version 1, pcrel|sdata4, udata4, datarel|sdata4."""
    rows = sorted(
        (entry.start - vaddr, frames_at + place - vaddr)
        for entry, place in zip(entries, frames.places, strict=True)
        if isinstance(entry, Fde)
    )
    head = struct.pack("<4BiI", 1, PC_RELATIVE_4, 0x03, 0x3B, frames_at - vaddr - 4, len(rows))
    return head + b"".join(struct.pack("<ii", *row) for row in rows)


# -- cores


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
