"""Read a Linux core dump: notes, segments, completeness. No symbols, no other file.

Works on a mapped file, so that the size of the core does not matter: headers and notes are read,
memory only where somebody asks for it.
"""

from evdiag.errors import CoreError, DamagedCore, ForeignCore, NotACore
from evdiag.model.core import CoreFacts, Region, SignalFacts
from evdiag.model.machine import MACHINES, Machine
from evdiag.parse.corenotes import NoteReader
from evdiag.parse.elf import (
    ET_CORE,
    PT_LOAD,
    PT_NOTE,
    Data,
    ElfError,
    Header,
    Segment,
    machine_name,
    notes,
    read_header,
    read_segments,
)

MAX_NOTES = 1 << 28
"""Bytes of notes that are read: 100,000 threads need 200 MB."""

EM_X86_64 = 62


def read_core(data: Data) -> CoreFacts:
    """Read the headers and notes of a core.

    Raises NotACore, ForeignCore or DamagedCore; anything less than that is told in
    `CoreFacts.damage`.
    """
    header = _header(data)
    machine = _machine(header)
    segments = read_segments(data, header)
    reader = NoteReader(machine)
    cut = _read_notes(data, segments, reader)
    if len(segments) < header.segment_count:
        reader.damage.append(
            f"the file ends in the program headers: {len(segments)} of {header.segment_count} read"
        )
    if not reader.threads:
        raise _no_threads(reader, cut or not segments)
    if cut:
        reader.damage.append("the file ends in the notes: threads and mapped files may be missing")
    return CoreFacts(
        machine=machine,
        threads=tuple(reader.threads),
        signal=reader.signal or _signal_of_thread(reader),
        pid=reader.pid,
        uid=reader.uid,
        name=reader.name,
        arguments=reader.arguments,
        auxv=reader.auxv,
        auxv_bytes=reader.auxv_bytes,
        files=tuple(reader.files),
        regions=_regions(segments, len(data)),
        pac_mask=reader.pac_mask,
        size=len(data),
        damage=tuple(reader.damage),
    )


def _header(data: Data) -> Header:
    if not len(data):
        raise NotACore("the file is empty")
    try:
        header = read_header(data)
    except ElfError as error:
        if data[:4] != b"\x7fELF":
            raise NotACore(f"not a core dump: {_looks_like(bytes(data[:512]))}") from None
        if data[5:6] == b"\2":
            raise ForeignCore(f"not readable here: {error}") from None
        raise NotACore(f"not a core dump: {error}") from None
    if header.type != ET_CORE:
        kind = {1: "an object file", 2: "an executable", 3: "a shared library or executable"}
        raise NotACore(f"not a core dump, but {kind.get(header.type, 'an ELF file')}")
    return header


def _looks_like(start: bytes) -> str:
    """What a file that is no ELF file seems to be."""
    packed = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}
    for magic, name in packed.items():
        if start.startswith(magic):
            return f"it is packed with {name}; unpack it first"
    if start.startswith(b"MDMP"):
        return "it is a Windows minidump"
    if all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in start):
        return "it is text"
    return "it is no ELF file"


def _machine(header: Header) -> Machine:
    if header.machine == EM_X86_64 and header.bits == 32:
        raise ForeignCore("a core of x32 (x86-64 with 32-bit pointers)")
    machine = MACHINES.get(header.machine)
    if machine is None or machine.bits != header.bits:
        raise ForeignCore(f"a core of {machine_name(header.machine)} ({header.bits} bit)")
    return machine


def _read_notes(data: Data, segments: list[Segment], reader: NoteReader) -> bool:
    """Feed all notes to the reader; returns whether the file ends within them."""
    cut = False
    left = min(MAX_NOTES, len(data))  # damaged segments may overlap: no byte is worth two looks
    for segment in segments:
        if segment.type == PT_NOTE:
            cut = cut or segment.offset + segment.file_size > len(data)
            blob = bytes(data[segment.offset : segment.offset + min(segment.file_size, left)])
            left -= len(blob)
            for kind, owner, contents in notes(blob):
                reader.read(kind, owner, contents)
    return cut


def _no_threads(reader: NoteReader, cut: bool) -> CoreError:
    foreign = sorted(o for o in reader.owners if "BSD" in o)
    if foreign:
        return ForeignCore(f"not a Linux core: its notes are from {foreign[0].split('-')[0]}")
    if cut:
        return DamagedCore("the core ends before its notes: no thread can be read")
    return DamagedCore("the core has no note about any thread (NT_PRSTATUS)")


def _signal_of_thread(reader: NoteReader) -> SignalFacts | None:
    """Without NT_SIGINFO (kernels before 3.7, some tools) the number alone is known."""
    number = reader.threads[0].signal
    return SignalFacts(number=number) if number > 0 else None


def _regions(segments: list[Segment], size: int) -> tuple[Region, ...]:
    found = [
        Region(
            start=s.vaddr,
            end=s.vaddr + s.memory_size,
            flags=s.flags & 7,
            offset=s.offset,
            wanted=s.file_size,
            present=max(0, min(s.file_size, size - s.offset)),
        )
        for s in segments
        if s.type == PT_LOAD
    ]
    found.sort(key=lambda r: r.start)
    return tuple(found)
