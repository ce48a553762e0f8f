"""Command line, environment and module identity."""

import struct

import pytest

from evdiag.model.core import ModuleIdentity, StartupFacts
from evdiag.model.machine import AARCH64, I386, X86_64, Machine
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from evdiag.parse.startup import executable_path, module_identity, read_startup
from tests.support import elfwriter as w

ENTRY = {9: 0x401000, 3: 0x400040}


def startup_of(dump: bytes) -> StartupFacts:
    facts = read_core(dump)
    return read_startup(facts, Memory(dump, facts))


def dump_of(stack: w.InitialStack, machine: Machine = X86_64) -> bytes:
    """A core with this stack, and the 80 bytes that the kernel keeps."""
    return w.core(
        memory=[stack.piece],
        auxv=stack.auxv,
        process=w.Process(arguments="kept by the kernel"),
        machine=machine,
    )


@pytest.mark.parametrize("machine", [X86_64, AARCH64, I386], ids=lambda m: m.name)
def test_command_line_and_environment_from_the_stack(machine: Machine) -> None:
    stack = w.initial_stack(
        [b"evse_1:EvseManager", b"--prefix", b"/opt/everest"],
        [b"PATH=/bin", b"OPTIONS=a=b", b"EMPTY="],
        auxv=ENTRY,
        bits=machine.bits,
        top=0xFFFFE000 if machine.bits == 32 else 0x7FFF_FFFF_F000,
    )
    assert startup_of(dump_of(stack, machine)) == StartupFacts(
        argv=("evse_1:EvseManager", "--prefix", "/opt/everest"),
        environment={"PATH": "/bin", "OPTIONS": "a=b", "EMPTY": ""},
        complete=True,
    )


@pytest.mark.parametrize(
    ("argv", "environment"),
    [
        ([b"/bin/a"], [b"A=1"]),
        ([b"/bin/a"], []),
        ([b"", b"", b""], [b"A=1"]),
    ],
)
def test_short_and_empty_vectors(argv: list[bytes], environment: list[bytes]) -> None:
    found = startup_of(dump_of(w.initial_stack(argv, environment, auxv=ENTRY)))
    assert found.argv == tuple(a.decode() for a in argv)
    assert found.environment == ({"A": "1"} if environment else {})
    assert found.complete


def test_a_command_line_that_the_program_has_emptied_leaves_what_the_kernel_keeps() -> None:
    kept = StartupFacts(argv=("kept", "by", "the", "kernel"))
    # GIVEN no arguments, or environ[0] = NULL
    assert startup_of(dump_of(w.initial_stack([], [b"A=1"], auxv=ENTRY))) == kept
    stack = w.initial_stack([b"a", b"b"], [b"A=1", b"B=2"], auxv=ENTRY)
    variable = stack.argc_at - stack.piece.start + 8 * 4
    data = stack.piece.data[:variable] + bytes(8) + stack.piece.data[variable + 8 :]
    emptied = stack._replace(piece=w.Piece(start=stack.piece.start, data=data))
    assert startup_of(dump_of(emptied)) == kept


def test_what_is_no_assignment_is_no_variable() -> None:
    stack = w.initial_stack([b"a"], [b"NOTHING", b"A=1"], auxv=ENTRY)
    assert startup_of(dump_of(stack)).environment == {"A": "1"}


def test_one_argument_of_a_megabyte() -> None:
    # kernels with pages of 64 KiB take arguments of up to 2 MiB
    stack = w.initial_stack([b"a", b"x" * (1 << 20), b"last"], [b"A=1"], auxv=ENTRY)
    found = startup_of(dump_of(stack))
    assert [len(a) for a in found.argv] == [1, 1 << 20, 4]
    assert found.environment == {"A": "1"}
    assert found.complete


def test_thousands_of_arguments() -> None:
    argv = [b"program", *(b"/data/file-%d" % i for i in range(9_000))]
    found = startup_of(dump_of(w.initial_stack(argv, [b"A=1"], auxv=ENTRY)))
    assert len(found.argv) == 9_001
    assert found.argv[-1] == "/data/file-8999"
    assert found.environment == {"A": "1"}


@pytest.mark.parametrize(("arguments", "variables"), [(10_001, 0), (1, 10_001)])
def test_more_than_we_look_at_leaves_what_the_kernel_keeps(arguments: int, variables: int) -> None:
    stack = w.initial_stack([b"x"] * arguments, [b"A=1"] * variables, auxv=ENTRY)
    assert startup_of(dump_of(stack)) == StartupFacts(argv=("kept", "by", "the", "kernel"))


def test_more_text_than_we_look_at_leaves_what_the_kernel_keeps() -> None:
    stack = w.initial_stack([b"x" * (1 << 20)] * 6, [b"A=1"], auxv=ENTRY)
    assert startup_of(dump_of(stack)) == StartupFacts(
        argv=("kept", "by", "the", "kernel"), environment={"A": "1"}
    )


def test_arguments_that_are_no_utf8() -> None:
    stack = w.initial_stack([b"caf\xe9"], auxv=ENTRY)
    assert startup_of(dump_of(stack)).argv == ("caf\ufffd",)


def test_the_last_copy_of_the_auxiliary_vector_counts() -> None:
    # GIVEN a program that keeps a copy of it in a buffer on the same stack
    stack = w.initial_stack([b"a", b"b"], [b"A=1"], auxv=ENTRY, below=0x800)
    copy = w.auxv_bytes(stack.auxv, 64)
    data = stack.piece.data[:0x100] + copy + stack.piece.data[0x100 + len(copy) :]
    copied = stack._replace(piece=w.Piece(start=stack.piece.start, data=data))
    assert startup_of(dump_of(copied)).argv == ("a", "b")


@pytest.mark.parametrize("environment", [[b"A=1"], [b"A=1", b"B=2"]], ids=["even", "odd"])
def test_the_random_bytes_alone_lead_there(environment: list[bytes]) -> None:
    # the kernel leaves a gap below them, or none
    stack = w.initial_stack([b"a", b"b"], environment, auxv=ENTRY)
    name = struct.pack("<QQ", 31, stack.auxv[31])
    data = stack.piece.data.replace(name, struct.pack("<QQ", 98, 7))
    auxv = {(98 if tag == 31 else tag): (7 if tag == 31 else v) for tag, v in stack.auxv.items()}
    dump = w.core(memory=[w.Piece(start=stack.piece.start, data=data)], auxv=auxv)
    assert startup_of(dump).argv == ("a", "b")


def test_without_the_random_bytes_the_name_of_the_program_leads_there() -> None:
    stack = w.initial_stack([b"a", b"b"], [b"A=1"], auxv=ENTRY)
    at = stack.auxv[25]
    # GIVEN another tag in the place of AT_RANDOM, in the note as on the stack
    auxv = {(99 if tag == 25 else tag): value for tag, value in stack.auxv.items()}
    data = stack.piece.data.replace(struct.pack("<QQ", 25, at), struct.pack("<QQ", 99, at))
    dump = w.core(memory=[w.Piece(start=stack.piece.start, data=data)], auxv=auxv)
    assert startup_of(dump).argv == ("a", "b")


@pytest.mark.parametrize(
    "auxv",
    [None, {}, {9: 1}, {25: 0x1234, 31: 0x5678}],
    ids=["no note", "empty note", "no pointers", "wild pointers"],
)
def test_without_the_auxiliary_vector_the_kernel_has_80_bytes(auxv: dict[int, int] | None) -> None:
    stack = w.initial_stack([b"a", b"b"], auxv=ENTRY)
    dump = w.core(memory=[stack.piece], auxv=auxv, process=w.Process(arguments="a b  c"))
    assert startup_of(dump) == StartupFacts(argv=("a", "b", "c"), complete=False)


def test_a_stack_that_was_not_dumped_leaves_what_the_kernel_keeps() -> None:
    stack = w.initial_stack([b"a", b"b"], auxv=ENTRY)
    empty = w.Piece(start=stack.piece.start, size=len(stack.piece.data))
    dump = dump_of(stack._replace(piece=empty))
    assert startup_of(dump).argv == ("kept", "by", "the", "kernel")


def test_a_stack_cut_within_the_strings_keeps_what_can_be_read() -> None:
    # GIVEN a core cut behind the first of two arguments
    stack = w.initial_stack([b"first", b"second"], [b"A=1"], auxv=ENTRY)
    dump = dump_of(stack)
    dump = dump[: dump.index(b"second")]
    found = startup_of(dump)
    assert found == StartupFacts(argv=("kept", "by", "the", "kernel"), complete=False)


def test_a_stack_without_a_count_leaves_what_the_kernel_keeps() -> None:
    stack = w.initial_stack([b"a", b"b"], auxv=ENTRY, below=0)
    inside = stack.argc_at - stack.piece.start
    # GIVEN argc overwritten, and nothing mapped below
    data = stack.piece.data[inside:]
    piece = w.Piece(start=stack.argc_at, data=w.words(77) + data[8:])
    assert startup_of(dump_of(stack._replace(piece=piece))).argv == ("kept", "by", "the", "kernel")


def test_searching_a_hostile_stack_takes_no_time() -> None:
    # GIVEN the worst case of a naive search: megabytes of the same byte, and a long pattern
    pointer = 0x7FFF_0000_0000 + (4 << 20)
    auxv = {25: pointer, **{0x4141_4141_4141_0000 + i: 0x4141414141414141 for i in range(5000)}}
    piece = w.Piece(start=0x7FFF_0000_0000, data=b"A" * ((4 << 20) + 16))
    assert startup_of(w.core(memory=[piece], auxv=auxv)).complete is False


# -- executable


def path_of(dump: bytes) -> str | None:
    facts = read_core(dump)
    return executable_path(facts, Memory(dump, facts))


FILES = [
    w.MappedRow(0x400000, 0x402000, 0, "/opt/everest/bin/module"),
    w.MappedRow(0x7F0000000000, 0x7F0000001000, 0, "/lib/libc.so.6"),
]


def test_the_executable_holds_the_entry_point() -> None:
    assert path_of(w.core(files=FILES, auxv={9: 0x401000})) == "/opt/everest/bin/module"


@pytest.mark.parametrize(
    ("entry", "expected"),
    [(0x400000, FILES[0].path), (0x401FFF, FILES[0].path), (0x402000, None), (0x3FFFFF, None)],
)
def test_where_the_executable_begins_and_ends(entry: int, expected: str | None) -> None:
    assert path_of(w.core(files=FILES, auxv={9: entry})) == expected


def test_the_executable_holds_the_program_headers() -> None:
    # the entry point lies in the dynamic linker if that was called as a program
    dump = w.core(files=FILES, auxv={9: 0x9999, 3: 0x400040})
    assert path_of(dump) == "/opt/everest/bin/module"


def test_an_executable_that_was_replaced_while_in_use_has_its_name() -> None:
    # the modules of a core have theirs without the kernel's mark, too
    rows = [FILES[0]._replace(path="/opt/module (deleted)")]
    assert path_of(w.core(files=rows, auxv={9: 0x401000})) == "/opt/module"


def test_the_executable_by_name_where_no_file_holds_it() -> None:
    piece = w.Piece(start=0x7000, data=b"/opt/module\0")
    assert path_of(w.core(files=[], auxv={9: 0x401000, 31: 0x7000}, memory=[piece])) == (
        "/opt/module"
    )


@pytest.mark.parametrize("auxv", [{}, {31: 0x7000}])
def test_the_executable_may_be_unknown(auxv: dict[int, int]) -> None:
    assert path_of(w.core(files=FILES, auxv=auxv)) is None


# -- module identity


@pytest.mark.parametrize(
    ("argv", "environment", "executable", "expected"),
    [
        (("evse_1:EvseManager", "--prefix", "/opt"), {}, None, ("evse_1", "EvseManager")),
        (("ocpp:OCPP201",), {"EV_MODULE": "other"}, None, ("ocpp", "OCPP201")),
        (("a:b:c",), {}, None, ("a", "b:c")),
        (("/opt/a:b",), {}, None, None),
        ((":EvseManager",), {}, None, None),
        (("evse_1:",), {}, None, None),
        (("/opt/bin/manager", "--prefix", "/opt"), {}, "/opt/bin/manager", None),
        ((), {}, None, None),
        (
            ("/usr/bin/python3", "/opt/libexec/everest/modules/PyEvJosev/module.py"),
            {"EV_MODULE": "iso15118_car"},
            "/usr/bin/python3",
            ("iso15118_car", "PyEvJosev"),
        ),
        (
            ("node", "modules/JsCarSimulator/index.js"),
            {"EV_MODULE": "car"},
            None,
            ("car", "JsCarSimulator"),
        ),
        (("node", "index.js"), {"EV_MODULE": "car"}, None, ("car", None)),
        (("python3", "/opt/modules/x.py"), {"EV_MODULE": "car"}, None, ("car", None)),
        (("python3", "modules/x.py"), {"EV_MODULE": "car"}, None, ("car", None)),
        (("python3",), {"EV_MODULE": ""}, None, None),
        (
            ("/opt/modules/EvseManager/EvseManager", "--module", "evse_1"),
            {},
            "/opt/modules/EvseManager/EvseManager",
            ("evse_1", "EvseManager"),
        ),
        (("EvseManager", "--module", "evse_1"), {}, None, ("evse_1", None)),
        (("EvseManager", "--module"), {}, None, None),
    ],
)
def test_which_module_a_process_is(
    argv: tuple[str, ...],
    environment: dict[str, str],
    executable: str | None,
    expected: tuple[str, str | None] | None,
) -> None:
    found = module_identity(argv, environment, executable)
    assert found == (ModuleIdentity(id=expected[0], type=expected[1]) if expected else None)
