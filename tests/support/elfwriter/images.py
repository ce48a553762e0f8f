"""Executables and libraries with code and unwind information."""

from collections.abc import Sequence

from evdiag.model.machine import X86_64, Machine
from tests.support.elfwriter.files import (
    CODE,
    ET_DYN,
    EXECUTE,
    PT_GNU_EH_FRAME,
    PT_NOTE,
    READ,
    Section,
    Segment,
    build_id_note,
    elf,
)
from tests.support.elfwriter.frames import Cie, Fde, debug_frame, eh_frame, eh_frame_hdr

BUILD_ID = bytes(range(0xA0, 0xB4))
NOTE_AT, HEADER_AT, FRAMES_AT = 0x400, 0x800, 0x1000


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
