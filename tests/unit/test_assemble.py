"""Putting the report together."""

import msgspec
import pytest

from evdiag.analyze import assemble
from evdiag.analyze.assemble import Found, soft_errors
from evdiag.model.core import CoreFacts, ModuleIdentity, Region, SignalFacts, StartupFacts
from evdiag.model.crash import Cause, CrashFacts, InstructionFacts
from evdiag.model.machine import AARCH64, ARM, X86_64
from evdiag.model.report import Address, Frame, Report, Signal, Signature, SoftError, Thread
from evdiag.model.signature import Signed
from evdiag.parse.modules import MappedModule

EXECUTABLE = "/opt/everest/libexec/everest/modules/EvseManager/EvseManager"


FACTS = CoreFacts(machine=X86_64, threads=(), pid=42, size=4096)
FOUND = Found(
    facts=FACTS,
    path="/cores/core.42",
    version="1.2.3",
    created="2026-11-22T12:00:00Z",
    startup=StartupFacts(),
    identity=None,
    executable=EXECUTABLE,
    program=None,
    sysroot=None,
    threads=(),
    crash=CrashFacts(),
    cause=("null-pointer", Cause(cls="null-read", summary="It read from null.")),
    modules=(),
    symbols={},
    soft_errors=(),
    timings={"notes": 0.001},
)


def facts(**fields: object) -> CoreFacts:
    return msgspec.structs.replace(FACTS, **fields)


def module(path: str, start: int = 0x1000, build_id: str | None = None) -> MappedModule:
    return MappedModule(
        path=path, start=start, end=start + 0x1000, head=start, build_id=build_id, first_bytes=b""
    )


def report_of(*frames: Frame, **fields: object) -> Report:
    """The report on a crash with these frames."""
    threads = (Thread(number=1, lwp=42, crashed=True, frames=frames),)
    return assemble.report(msgspec.structs.replace(FOUND, threads=threads, **fields))


OWN = Frame(
    level=3,
    function="module::EvseManager::ready(int)",
    file="/src/EvseManager.cpp",
    line=42,
    module=EXECUTABLE,
    in_app=True,
)


# -- the parts


def test_the_report_says_how_it_was_made() -> None:
    error = SoftError(stage="core", message="cut")
    report = report_of(Frame(level=0), OWN, soft_errors=(error,))
    assert (report.schema, report.tool.name, report.tool.version) == (
        *("evdiag.report/1", "evdiag"),
        "1.2.3",
    )
    assert report.created == "2026-11-22T12:00:00Z"
    assert report.provenance.timings == {"notes": 0.001}
    assert report.provenance.rung == "native"
    assert report.soft_errors == (error,)
    # a single frame is what the registers say: nothing was unwound
    assert report_of(OWN).provenance.rung == "notes"


def test_the_verdict_is_the_cause_that_was_found() -> None:
    cause = Cause(
        cls="null-write",
        summary="It wrote to null.",
        confidence="medium",
        evidence=("rax is 0",),
        advice=("Look at the caller.",),
        access="write",
    )
    verdict = report_of(Frame(level=0), OWN, cause=("null-pointer", cause)).verdict
    assert (verdict.cls, verdict.rule, verdict.confidence) == (
        *("null-write", "null-pointer"),
        "medium",
    )
    assert (verdict.summary, verdict.evidence) == ("It wrote to null.", ("rax is 0",))
    assert verdict.advice == ("Look at the caller.",)
    assert verdict.frame == 3


def test_without_frames_there_is_none_to_look_at() -> None:
    report = report_of()
    assert report.verdict.frame is None
    assert report.signature is not None
    assert report.signature.address is None


def test_the_last_advice_opens_the_core_in_gdb() -> None:
    assert report_of(OWN).verdict.advice == ()
    report = report_of(OWN, program="/copy of/EvseManager", sysroot="/root fs")
    assert report.verdict.advice == (
        "To look around in the crashed process yourself: "
        "evdiag gdb /cores/core.42 --sysroot '/root fs'",
    )
    report = report_of(OWN, program="/bin/a")
    assert report.verdict.advice == (
        "To look around in the crashed process yourself: evdiag gdb /cores/core.42",
    )


@pytest.mark.parametrize(
    ("fields", "frame", "title"),
    [
        (
            {"identity": ModuleIdentity(id="evse_1", type="EvseManager")},
            OWN,
            "evse_1 (EvseManager): null-read in module::EvseManager::ready at EvseManager.cpp:42",
        ),
        (
            {"identity": ModuleIdentity(id="evse_1")},
            Frame(level=0, function="main", module="/bin/a"),
            "evse_1: null-read in main",
        ),
        ({}, Frame(level=0, module="/lib/libc.so.6"), "EvseManager: null-read in libc.so.6"),
        ({}, Frame(level=0), "EvseManager: null-read"),
        ({}, None, "EvseManager: null-read"),
        ({"executable": None, "facts": facts(name="manager")}, None, "manager: null-read"),
        ({"executable": None}, None, "process: null-read"),
        (
            {},
            Frame(level=0, function="(anonymous namespace)::f(int)", module="/bin/a"),
            "EvseManager: null-read in (anonymous namespace)::f",
        ),
    ],
)
def test_titles(fields: dict[str, object], frame: Frame | None, title: str) -> None:
    assert report_of(*([frame] if frame else []), **fields).title == title


@pytest.mark.parametrize(
    ("detail", "title"),
    [
        (None, "EvseManager: assert in main"),
        ("a <\n  b", "EvseManager: assert a < b in main"),
        ("x" * 100, f"EvseManager: assert {'x' * 59}… in main"),
    ],
)
def test_a_title_has_the_detail_on_one_line_and_not_endless(detail: str | None, title: str) -> None:
    cause = Cause(cls="assert", summary="", detail=detail)
    frame = Frame(level=0, function="main", module="/bin/a", in_app=True)
    assert report_of(frame, cause=("assert", cause)).title == title


def test_title_and_verdict_name_the_frame_of_the_signature() -> None:
    handler = msgspec.structs.replace(OWN, level=0, function="on_fault(int)")
    signature = Signature(text="sig:v1: EvseManager | abort | ready", address="abcd+0x10")
    report = report_of(handler, OWN, signed=Signed(signature=signature, frame=OWN.level))

    assert report.signature == signature
    assert report.verdict.frame == OWN.level
    assert "in module::EvseManager::ready at" in report.title


def test_a_signal_with_everything_known() -> None:
    crash = CrashFacts(
        signal=SignalFacts(number=11, code=1, address=0x18),
        instruction=InstructionFacts(text="mov rax, qword ptr [rax + 0x18]"),
    )
    cause = Cause(cls="null-read", summary="", access="read", adjusted_address=0x20)
    report = report_of(OWN, crash=crash, cause=("null-pointer", cause))
    assert report.signal == Signal(
        number=11,
        name="SIGSEGV",
        code=1,
        code_name="SEGV_MAPERR",
        fault_address=Address(0x18),
        adjusted_address=Address(0x20),
        access="read",
        instruction="mov rax, qword ptr [rax + 0x18]",
    )


def test_a_signal_of_which_little_is_known() -> None:
    crash = CrashFacts(signal=SignalFacts(number=6, sender_pid=7, sender_uid=8))
    assert report_of(OWN, crash=crash).signal == Signal(
        number=6, name="SIGABRT", sender_pid=7, sender_uid=8
    )
    assert report_of(OWN).signal is None


def test_the_process() -> None:
    process = report_of(
        OWN,
        startup=StartupFacts(argv=("evse_1:EvseManager", "--prefix", "/opt")),
        identity=ModuleIdentity(id="evse_1", type="EvseManager"),
        modules=(module("/lib/libc.so.6", build_id="00"), module(EXECUTABLE, build_id="abcd")),
    ).process
    assert (process.executable, process.build_id, process.pid) == (EXECUTABLE, "abcd", 42)
    assert process.argv == ("evse_1:EvseManager", "--prefix", "/opt")
    assert (process.module_id, process.module_type) == ("evse_1", "EvseManager")


def test_a_process_that_is_no_module() -> None:
    process = report_of(OWN).process
    assert (process.module_id, process.module_type, process.build_id) == (None, None, None)


def test_modules_and_registers() -> None:
    report = report_of(
        OWN,
        crash=CrashFacts(registers={"rax": 0x18, "rip": 0x401136}),
        modules=(module("/a", 0x1000, "abcd"), module("/b", 0x9000)),
        symbols={"/a": "full"},
    )
    assert report.registers == {"rax": Address(0x18), "rip": Address(0x401136)}
    assert str(report.registers["rip"]) == "0x401136"
    assert [(m.path, m.base, m.end, m.build_id, m.symbols) for m in report.modules] == [
        ("/a", 0x1000, 0x2000, "abcd", "full"),
        ("/b", 0x9000, 0xA000, None, None),
    ]


def cut_region(start: int, missing: int) -> Region:
    return Region(
        start=start, end=start + 0x1000, flags=6, offset=0, wanted=0x1000, present=0x1000 - missing
    )


@pytest.mark.parametrize(
    ("fields", "truncated", "missing"),
    [
        ({}, False, 0),
        ({"regions": (cut_region(0x1000, 0),)}, False, 0),
        ({"regions": (cut_region(0x1000, 0x10), cut_region(0x2000, 0x1000))}, True, 0x1010),
        ({"damage": ("note NT_FILE is damaged",)}, True, 0),
    ],
)
def test_the_core_file(fields: dict[str, object], truncated: bool, missing: int) -> None:
    core = report_of(OWN, facts=facts(**fields)).core
    assert (core.path, core.bytes) == ("/cores/core.42", 4096)
    assert (core.truncated, core.missing_bytes) == (truncated, missing)


# -- what went wrong


def problem(text: str) -> SoftError:
    return SoftError(stage="modules", message=text)


def messages(
    core: CoreFacts,
    problems: dict[str, SoftError] | None = None,
    on_stacks: set[str | None] | None = None,
    symbols: tuple[SoftError, ...] = (),
) -> list[str]:
    found = soft_errors(core, problems or {}, symbols, on_stacks or set(), EXECUTABLE)
    return [e.message for e in found]


def test_nothing_went_wrong() -> None:
    assert messages(facts()) == []
    assert messages(facts(machine=AARCH64)) == []


def test_damage_comes_first_and_symbols_last() -> None:
    core = facts(damage=("note NT_FILE is damaged",), regions=(cut_region(0x1000, 0x10),))
    found = messages(
        core,
        {EXECUTABLE: problem("not here")},
        symbols=(SoftError(stage="symbols", message="no line table"),),
    )
    assert found == [
        "note NT_FILE is damaged",
        "the core is truncated: 16 bytes of memory are missing, at 0x1000 (16 bytes)",
        "not here",
        "no line table",
    ]


def test_the_bytes_that_are_missing_are_named_for_each_segment() -> None:
    regions = tuple(cut_region(0x1000 * i, 0x10 * i) for i in range(7))
    (message,) = messages(facts(regions=regions[:5]))
    assert message == (
        "the core is truncated: 160 bytes of memory are missing, at "
        "0x1000 (16 bytes), 0x2000 (32 bytes), 0x3000 (48 bytes), 0x4000 (64 bytes)"
    )
    (message,) = messages(facts(regions=regions))
    assert message.startswith("the core is truncated: 336 bytes")
    assert message.endswith("0x4000 (64 bytes) and 2 more")


def test_modules_on_stacks_are_named_and_others_are_counted() -> None:
    problems = {f"/{name}": problem(f"{name} is missing") for name in "abc"}
    assert messages(facts(), problems, {"/b", None}) == [
        "b is missing",
        "mapped files that are missing here or of another build, besides: 2",
    ]
    assert messages(facts(), {EXECUTABLE: problem("another build")}) == ["another build"]


def test_at_most_five_modules_are_named() -> None:
    problems = {f"/{i}": problem(f"{i} is missing") for i in range(8)}
    found = messages(facts(), problems, set(problems))
    assert found == [
        *(f"{i} is missing" for i in range(5)),
        "mapped files that are missing here or of another build, besides: 3",
    ]


def test_a_machine_whose_stacks_are_not_unwound() -> None:
    (error,) = soft_errors(facts(machine=ARM), {}, (), set(), None)
    assert (error.stage, error.message) == ("unwind", "stacks of arm are not unwound")
    assert error.hint == "gdb-multiarch can unwind them"


def test_a_program_whose_lines_lie_elsewhere_is_named() -> None:
    error = assemble.split_debug_info("/opt/EvseManager")
    assert error.stage == "symbols"
    assert error.message.startswith("/opt/EvseManager: its debug information lies in .dwo files")
    assert error.hint
