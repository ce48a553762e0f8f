"""Whatever the bytes are: parsers answer or raise their own errors, and they end.

pytest-timeout and Hypothesis' deadline turn a hang into a failure.
"""

import struct
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evdiag.analyze.space import AddressSpace
from evdiag.analyze.stacks import FrameNamer, group_threads
from evdiag.analyze.unwind import Unwinder
from evdiag.errors import CoreError
from evdiag.model.core import CoreFacts, Place
from evdiag.model.machine import AARCH64, I386, MACHINES, X86_64, Machine
from evdiag.parse.corenotes import NoteReader
from evdiag.parse.dwarf import tables
from evdiag.parse.dwarf.expression import Expression
from evdiag.parse.dwarf.rows import row_at
from evdiag.parse.dwarf.tables import FrameTable, debug_frame_table
from evdiag.parse.elf import (
    DAMAGED,
    PT_LOAD,
    ElfError,
    notes,
    read_header,
    read_sections,
    read_segments,
    section_bytes,
)
from evdiag.parse.elfcore import read_core
from evdiag.parse.image import Image
from evdiag.parse.memory import Memory
from evdiag.parse.modules import MappedModule, link_map, mapped_modules, memory_build_id
from evdiag.parse.startup import executable_path, module_identity, read_startup
from tests.support import elfwriter as w

FRAMES = 500


def examples(count: int) -> settings:
    """So many examples, or as many as the profile says (`--hypothesis-profile soak`)."""
    return settings(max_examples=max(count, settings().max_examples))


# -- what to feed

EXTREMES = [0, 1, 7, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFF0, 0xFFFFFFFF]
EXTREMES += [1 << 40, 1 << 63, (1 << 64) - 8, (1 << 64) - 1]

PATCH = st.one_of(
    st.binary(min_size=1, max_size=12),
    st.sampled_from(EXTREMES).map(lambda n: struct.pack("<Q", n)),
    st.sampled_from(EXTREMES).map(lambda n: struct.pack("<I", n & 0xFFFFFFFF)),
    st.sampled_from([b"\x80" * 16, b"\xff" * 16, b"\x2f\xfd\xff", b"\x0a" * 16, bytes(16)]),
)


def damaged(data: bytes, places: Sequence[range] = ()) -> st.SearchStrategy[bytes]:
    """The bytes with some of them overwritten, mostly in `places`, and maybe with the end cut."""
    ranges = [r for r in (*places, *places, range(len(data))) if len(r)]
    where = st.one_of(*(st.integers(r.start, r.stop - 1) for r in ranges))

    def apply(patches: list[tuple[int, bytes]], size: int) -> bytes:
        out = bytearray(data)
        for at, patch in patches:
            out[at : at + len(patch)] = patch
        return bytes(out[:size])

    whole = st.just(len(data) + 16)
    return st.builds(
        apply,
        st.lists(st.tuples(where, PATCH), min_size=1, max_size=8),
        st.one_of(whole, whole, whole, st.integers(0, len(data))),
    )


AT, STACK, VDSO_AT = 0x7F00_0000_0000, 0x7FFC_0000_0000, 0x7FFD_0000_0000


def program_of(machine: Machine) -> bytes:
    """A library with several functions, a signal trampoline and a dynamic section."""
    arm = machine is AARCH64
    sp, fp, back = (31, 29, 30) if arm else (7, 6, 16)
    first = w.def_cfa(sp, 0) if arm else w.def_cfa(sp, 8) + w.saved(back, 1)
    cie = w.Cie(program=first, return_register=back)
    signal = w.Cie(program=first, return_register=back, augmentation="zRS")
    framed = w.def_cfa(sp, 16) + w.saved(fp, 2) + w.saved(back, 1)
    expression = w.def_cfa_expression(bytes([0x70 + sp, 8, 0x23, 8]))
    remembered = b"\x0a" + framed + w.advance(63) * 3 + b"\x0b"
    functions = [framed, remembered, expression, w.undefined(back)]
    entries: list[w.Cie | w.Fde] = [cie]
    entries += [
        w.Fde(start=w.CODE + 0x100 * i, size=0x100, program=p) for i, p in enumerate(functions)
    ]
    entries += [signal, w.Fde(start=w.CODE + 0x500, size=0x10, program=framed, cie=5)]
    return w.image(
        machine=machine,
        entries=entries,
        debug_entries=[w.Cie(version=4), w.Fde(start=w.CODE + 0x600, size=0x100, program=framed)],
        segments=[w.Segment(type=w.PT_DYNAMIC, vaddr=0x3000, offset=0x3000)],
    )


def core_of(machine: Machine, program: bytes) -> bytes:
    """A core with two threads, a command line, a vDSO, a stack with frames and a link map."""
    code = AT + w.CODE
    back = [code + o for o in (0x10, 0x120, 0x220, 0x500, 0x640, 0x310)]
    body = w.words(*(n for i, pc in enumerate(back * 3) for n in (STACK + 16 * i + 16, pc)))
    names = ("pc", "sp", "x29", "x30") if machine is AARCH64 else ("rip", "rsp", "rbp", "rax")
    registers = dict(zip(names, (code + 8, STACK, STACK, code + 0x110), strict=True))
    start = w.initial_stack(
        [b"evse_1:EvseManager", b"--prefix", b"/opt"], [b"EV_MODULE=evse_1"], auxv={9: code}
    )
    dynamic = w.words(21, STACK + 0x800, 0, 0)
    linked = w.words(1, STACK + 0x810, AT, STACK + 0x900, 0, STACK + 0x810)
    return w.core(
        machine=machine,
        threads=[w.Thread(registers=registers), w.Thread(lwp=101, registers={**registers})],
        siginfo=w.fault(0x18),
        process=w.Process(arguments="evse_1:EvseManager --prefix /opt"),
        auxv={**start.auxv, 33: VDSO_AT},
        files=w.mapped("/lib/liba.so", program, AT),
        pac_mask=0x7F << 48 if machine is AARCH64 else None,
        memory=[
            *w.code_pieces(program, AT),
            w.Piece(start=AT + 0x10_0000 + 0x3000, data=dynamic),
            w.Piece(start=STACK, data=body.ljust(0x800, b"\0") + linked.ljust(0x200, b"/")),
            w.Piece(start=VDSO_AT, data=program[: w.CODE + 0x100], flags=5),
            start.piece,
        ],
    )


PROGRAMS = {m.name: program_of(m) for m in (X86_64, AARCH64)}
CORES = {m.name: core_of(m, PROGRAMS[m.name]) for m in (X86_64, AARCH64)}
BOTH = st.sampled_from(["x86-64", "aarch64"])


def tables_in(name: str) -> list[range]:
    """Where headers and unwind tables of a program are."""
    data = PROGRAMS[name]
    frames = data.rindex(b".eh_frame") - 0x200
    return [range(0x200), range(0x400, 0x430), range(0x800, 0x850), range(0x1000, 0x1100),
            range(frames, len(data))]  # fmt: skip


def notes_in(data: bytes) -> list[range]:
    """Where the headers, the notes and the stack of a core are."""
    header = read_header(data)
    segments = read_segments(data, header)
    interesting = [s for s in segments if s.type != PT_LOAD or s.vaddr in (STACK, VDSO_AT)]
    ends = [(s.offset, s.offset + min(s.file_size, 0xA00)) for s in (*interesting, segments[-1])]
    return [range(64 + 56 * len(segments)), *(range(*end) for end in ends)]


damaged_programs = BOTH.flatmap(lambda name: damaged(PROGRAMS[name], tables_in(name)))
damaged_cores = BOTH.flatmap(lambda name: damaged(CORES[name], notes_in(CORES[name])))


def facts_of(data: bytes) -> CoreFacts | None:
    """What a core says; None if it is refused as it should be."""
    try:
        return read_core(data)
    except CoreError:
        return None


# -- one parser at a time


@examples(300)
@given(st.one_of(st.binary(max_size=200).map(lambda raw: b"\x7fELF" + raw), damaged_programs))
@example(b"\x7fELF")
@example(b"\x7fELF\x02\x01" + b"\xff" * 58)  # PN_XNUM, sections behind the end of everything
@example(b"\x7fELF\x01\x01" + b"\xff" * 46)
def test_elf_tables(data: bytes) -> None:
    try:
        header = read_header(data)
    except ElfError:
        return
    assert header.segment_count <= 1 << 20
    segments = read_segments(data, header)
    assert len(segments) <= min(header.segment_count, len(data) // 32)
    sections = read_sections(data, header)
    assert len(sections) in (0, header.section_count)
    for section in sections:
        try:
            contents = section_bytes(data, section, header.bits)
        except DAMAGED:
            continue
        assert section.flags & 0x800 or len(contents) <= len(data)


@examples(300)
@given(st.one_of(st.binary(max_size=400), damaged(w.note(1, b"CORE", bytes(100)) * 3)))
@example(struct.pack("<III", 0xFFFFFFFF, 0xFFFFFFFF, 1))
@example(struct.pack("<III", 0xFFFFFFF0, 0x20, 1) + bytes(64))
@example(struct.pack("<III", 0, 0, 1) * 300)
def test_notes(blob: bytes) -> None:
    found = list(notes(blob))
    assert sum(12 + len(owner) + len(contents) for _, owner, contents in found) <= len(blob)


@examples(300)
@given(
    st.sampled_from(sorted(MACHINES)),
    st.sampled_from([1, 2, 3, 6, 0x406, 0x46494C45, 0x53494749]),
    st.sampled_from([b"CORE", b"LINUX", b"\xff"]),
    st.one_of(st.binary(max_size=500), damaged(w.nt_file(w.mapped("/a", bytes(0x5000), AT), 64))),
)
def test_the_notes_of_a_core(machine: int, kind: int, owner: bytes, contents: bytes) -> None:
    reader = NoteReader(MACHINES[machine])
    reader.read(kind, owner, contents)
    reader.read(kind, owner, contents)
    assert len(reader.damage) <= 1
    assert all(len(t.registers) == len(reader.machine.registers) for t in reader.threads)
    assert len(reader.files) <= 2 * len(contents) // 12


@examples(300)
@given(damaged_cores)
def test_cores(data: bytes) -> None:
    facts = facts_of(data)
    if facts is None:
        return
    assert facts.threads
    assert facts.size == len(data)
    starts = [r.start for r in facts.regions]
    assert starts == sorted(starts)
    for region in facts.regions:
        assert 0 <= region.present <= region.wanted
        assert region.offset + region.present <= len(data) or not region.present


@examples(300)
@given(damaged_programs, st.lists(st.integers(0, 0x7000), max_size=6))
def test_images_and_their_tables(data: bytes, addresses: list[int]) -> None:
    try:
        image = Image("/a", data)
    except ElfError:
        return
    assert image.build_id is None or int(image.build_id, 16) >= 0
    for table in (*image.tables, *image.fallback_tables):
        for vaddr in (*addresses, w.CODE + 8, w.CODE + 0x120, w.CODE + 0x640):
            try:
                fde = table.find(vaddr)
                row = row_at(table, fde, vaddr) if fde is not None else None
            except DAMAGED:
                continue
            assert fde is None or fde.start <= vaddr
            assert row is None or len(row.cfa) == 3


@examples(300)
@given(st.binary(max_size=300), st.sampled_from([32, 64]))
def test_sections_of_call_frame_information(section: bytes, bits: int) -> None:
    table = debug_frame_table(section, bits)
    if table is None:
        return
    for start, place in table.entries:
        assert 0 <= place < len(section)
        try:
            fde = table.fde(place, start)
        except DAMAGED:
            continue
        assert fde is None or fde.start == start


@examples(300)
@given(st.binary(max_size=200), st.binary(max_size=60), st.integers(0, 0xFFF))
@example(b"\x0a" * 150 + b"\x0b" * 50, b"", 0)
@example(b"\x0c" + b"\x80" * 199, b"", 0)
@example(b"\x04\xff\xff\xff\xff" * 40, b"", 0xFFF)
def test_call_frame_instructions(program: bytes, common: bytes, offset: int) -> None:
    cie = w.Cie(program=common, version=3)
    section = w.debug_frame([cie, w.Fde(start=0x1000, size=0x1000, program=program)])
    table = FrameTable(section.data, 64, debug=True)
    fde = table.fde(section.places[1], 0x1000 + offset)
    assert fde is not None
    try:
        row = row_at(table, fde, 0x1000 + offset)
    except DAMAGED:
        return
    assert all(len(rule) == 3 for rule in row.rules.values())
    assert table.steps <= len(section.data) * 70


@examples(300)
@given(st.binary(max_size=60), st.sampled_from([32, 64]), st.one_of(st.none(), st.integers(0, 99)))
@example(b"\x2f\xfd\xff", 64, None)
@example(b"\x31\x28\xfc\xff", 64, None)
@example(b"\x31\x12\x2f\xfc\xff", 64, None)
@example(b"\x31" + b"\x12\x1e" * 29, 64, None)
@example(b"\x2f\x00\x80", 64, 5)
def test_expressions(code: bytes, bits: int, initial: int | None) -> None:
    registers = [*range(0, 800, 8), None]
    expression = Expression(
        code, bits, registers, lambda a: a ^ 0x55 if a & 1 else None, lambda a, n: bytes(min(n, 8))
    )
    try:
        value = expression.evaluate(0, len(code), initial)
    except DAMAGED:
        pass
    else:
        assert 0 <= value < 1 << bits
    assert expression.steps <= 10_001


@examples(300)
@given(damaged_cores)
def test_command_line_and_modules(data: bytes) -> None:
    facts = facts_of(data)
    if facts is None:
        return
    memory = Memory(data, facts)
    startup = read_startup(facts, memory)
    assert len(startup.argv) <= 10_000
    executable = executable_path(facts, memory)
    identity = module_identity(startup.argv, startup.environment, executable)
    assert identity is None or identity.id
    for module in mapped_modules(facts.files, memory):
        assert module.path in {f.path.removesuffix(" (deleted)") for f in facts.files}
        assert memory_build_id(memory, module.start) is None or module.start >= 0


@examples(300)
@given(damaged_cores, damaged_programs, st.sampled_from([0, AT, AT + 0x10_0000]))
def test_the_list_of_the_dynamic_linker(data: bytes, program: bytes, bias: int) -> None:
    facts = facts_of(data)
    try:
        image = Image("/opt/program", program)
    except ElfError:
        return
    if facts is None:
        return
    memory = Memory(data, facts)
    asked = {"/opt/program"}

    def open_library(name: str) -> Image:
        asked.add(name)
        return image

    rows = link_map(memory, image, bias, open_library)
    assert [r.start for r in rows] == sorted(r.start for r in rows)
    assert {r.path for r in rows} <= asked


# -- from the core to named stacks


def stacks_of(data: bytes, program: bytes, limit: int = FRAMES) -> list[int]:
    """Everything that a report does up to its threads; the number of frames of each."""
    facts = facts_of(data)
    if facts is None:
        return []
    memory = Memory(data, facts)
    modules = mapped_modules(facts.files, memory)

    def found(module: MappedModule) -> Image | None:
        try:
            return Image(module.path, program)
        except ElfError:
            return None

    space = AddressSpace(facts, memory, facts.files, modules, found)
    unwinder = Unwinder(space)
    namer = FrameNamer(space, lambda image, vaddr: [Place(hex(vaddr), None, None)])
    threads, depths = [], []
    for i, state in enumerate(facts.threads):
        stack = unwinder.unwind(state, limit)
        assert 1 <= len(stack.frames) <= limit
        thread = namer.thread(i + 1, state.lwp, stack, crashed=i == 0)
        levels = [f.level for f in thread.frames]
        assert levels == sorted(set(levels))
        threads.append(thread)
        depths.append(len(stack.frames))
    assert len(group_threads(threads)) == len(facts.threads)
    return depths


@examples(600)
@given(
    BOTH.flatmap(
        lambda name: st.tuples(
            st.one_of(st.just(CORES[name]), damaged(CORES[name], notes_in(CORES[name]))),
            st.one_of(st.just(PROGRAMS[name]), damaged(PROGRAMS[name], tables_in(name))),
        )
    )
)
def test_stacks_of_damaged_cores_with_damaged_programs(pair: tuple[bytes, bytes]) -> None:
    data, program = pair
    depths = stacks_of(data, program)
    assert len(depths) in (0, 1, 2)
    assert depths or data not in CORES.values()


@pytest.mark.parametrize("name", ["x86-64", "aarch64"])
def test_the_undamaged_core_has_stacks(name: str) -> None:
    # else the tests above would look at nothing
    assert all(depth >= 4 for depth in stacks_of(CORES[name], PROGRAMS[name]))


@pytest.mark.parametrize("name", ["x86-64", "aarch64"])
def test_every_place_to_cut(name: str) -> None:
    data = CORES[name]
    sizes = range(0, len(data), len(data) // 150)
    reached = [len(stacks_of(data[:size], PROGRAMS[name])) for size in sizes]
    assert reached == sorted(reached)
    assert reached.count(2) > 100


@pytest.mark.parametrize("name", ["x86-64", "aarch64"])
@pytest.mark.parametrize("pattern", [b"\0", b"\xff", b"\x80", b"A"])
def test_every_part_overwritten(name: str, pattern: bytes) -> None:
    data, program = CORES[name], PROGRAMS[name]
    for place in notes_in(data):
        for at in range(place.start, place.stop, 97):
            torn = data[:at] + pattern * 64 + data[at + 64 :]
            assert len(stacks_of(torn, program)) <= 2
    for place in tables_in(name):
        for at in range(place.start, place.stop, 13):
            assert stacks_of(data, program[:at] + pattern * 16 + program[at + 16 :])


# -- made to take long


def hostile(program: bytes, threads: int, words: int, *, distinct: bool) -> AddressSpace:
    """A core that brings its own code along: a vDSO of one function with these instructions."""
    entries = (w.Cie(), w.Fde(start=w.CODE, size=1 << 30, program=program))
    vdso = w.image(debug_entries=entries)
    code = VDSO_AT + w.CODE
    stack = w.words(*(code + 16 + (4 * i if distinct else 0) for i in range(words)))
    dump = w.core(
        threads=[w.Thread(lwp=i, registers={"rip": code, "rsp": STACK}) for i in range(threads)],
        memory=[
            w.Piece(start=VDSO_AT, data=vdso, flags=5, size=1 << 30),
            w.Piece(start=STACK, data=stack),
        ],
        auxv={33: VDSO_AT},
    )
    return w.address_space(dump, {})


LOOP = b"\x77\x08" + b"\x0a\xe8\x03" + b"\x31\x1c\x12\x28\xfa\xff" + b"\x13"
"""An expression: sp + 8, after counting from 1,000 down to 0."""


@pytest.mark.parametrize(
    ("program", "threads", "words", "distinct"),
    [
        (w.def_cfa(7, 8) + b"\0" * 90_000, 1, 20_000, True),
        (w.def_cfa(7, 8) + b"\0" * 90_000, 500, 500, False),
        (w.def_cfa_expression(LOOP), 500, 500, False),
        (
            w.def_cfa(7, 8)
            + b"".join(b"\x05" + w.uleb(i) + b"\x01" for i in range(17, 1000))
            + b"\x0a" * 90,
            *(20, 1000, True),
        ),
    ],
    ids=["instructions", "frames", "expressions", "rules"],
)
def test_the_work_for_a_hostile_core_is_bounded(
    program: bytes, threads: int, words: int, distinct: bool
) -> None:
    space = hostile(program, threads, words, distinct=distinct)
    assert space.vdso is not None
    (table,) = space.vdso[2].fallback_tables
    # GIVEN most of what a table may cost is spent already
    table.steps = spent = tables.MAX_STEPS - 300_000
    unwinder = Unwinder(space, total=20_000)
    stacks = [unwinder.unwind(state) for state in space.facts.threads]
    assert sum(len(s.frames) for s in stacks) <= 20_000 + threads
    assert spent < table.steps <= tables.MAX_STEPS + 100_000


def test_a_program_with_thousands_of_segments_is_looked_up_quickly() -> None:
    segments = [w.Segment(vaddr=0x1000 * i, offset=0, file_size=1) for i in range(60_000)]
    image = Image("/a", w.elf(segments, machine=I386.elf_machine, bits=32))
    assert len(image.loads) == 128
    assert image.vaddr(5) is None
