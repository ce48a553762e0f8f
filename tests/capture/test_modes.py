"""Every way to crash of the process tree: our core tells what the kernel's core tells."""

import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from signal import SIGSYS

import pytest

from evdiag.adapters.files import load_core
from evdiag.engine import Analysis, Engine, Options
from evdiag.model.report import Frame, Report, Thread
from tests.conftest import need
from tests.native.conftest import Crash
from tests.support.capture import Capture, Run, Start, end_of, start_under
from tests.support.compare import compare
from tests.support.core_files import await_waiting
from tests.support.crashers import CrashedProcess, GdbFailed, Mode, Opt, gdb_oracle, modes_here

OPTIMISED = (
    *("null-member-write", "throw-main", "recursion-thread", "stack-smash", "deadlock"),
    *("noncanonical-read", "double-free", "bus-error", "return-unmapped", "seccomp-trap"),
)
WITH_GDB = (
    *("null-member-write", "throw-thread", "recursion-small", "call-null", "crash-in-handler"),
    *("bus-error", "sent-quit", "heap-overflow", "breakpoint", "int-div-zero"),
)
WITHOUT_HANDLER = {"seccomp-kill"}
"""The kernel kills at once: no handler of a process is asked."""

SAYS = "evdiag capture: "
"""How the line begins that the layer writes to stderr."""

CRASHES = tuple(mode for mode in modes_here() if not mode.snapshot)
CAUGHT = tuple(mode for mode in CRASHES if mode.name not in WITHOUT_HANDLER)
CASES = [
    *(pytest.param(mode, "O0", id=f"{mode.name}-O0") for mode in CAUGHT),
    *(pytest.param(m, "O2", id=f"{m.name}-O2") for m in CAUGHT if m.name in OPTIMISED),
]
GDB_CASES = [pytest.param(mode, id=mode.name) for mode in CAUGHT if mode.name in WITH_GDB]


def crash_under(capture: Capture, kernels: CrashedProcess, mode: Mode, folder: Path) -> Run:
    """Run the program of a core of the kernel again, under the layer and without the kernel."""
    start = Start(
        argv=kernels.argv,
        program=kernels.executable,
        environment={"CRASH_MODE": mode.name},
    )
    since = time.monotonic()
    process = start_under(capture, start, folder)
    if mode.sent is not None:
        await_waiting(process)
        process.send_signal(mode.sent)
    return end_of(process, folder, since)


@pytest.mark.native
@pytest.mark.parametrize(("mode", "opt"), CASES)
def test_a_core_like_the_kernels(
    mode: Mode, opt: Opt, crash: Crash, capture: Capture, folder: Path
) -> None:
    kernels = crash(mode, opt)

    run = crash_under(capture, kernels, mode, folder)

    assert run.status == -mode.signal, run.stderr
    said, ours_said = run.stderr.split(SAYS)
    assert said == kernels.stderr
    assert ours_said.count("\n") == 1
    engine = Engine(Options())
    theirs, ours = engine.analyse(kernels.core), engine.analyse(run.core)
    check_facts(theirs, ours, kernels.pid, run.pid)
    check_report(theirs, ours)
    check_sidecar(run, ours, mode)


def check_facts(theirs: Analysis, ours: Analysis, their_pid: int, our_pid: int) -> None:
    """The notes: signal, registers, threads, mapped files."""
    one, other = theirs.facts, ours.facts
    assert other.damage == ()
    assert other.missing == 0
    assert other.pid == our_pid
    assert (other.machine, other.uid, other.name) == (one.machine, one.uid, one.name)
    assert other.arguments == one.arguments
    assert len(other.threads) == len(one.threads)
    assert [t.signal for t in other.threads] == [t.signal for t in one.threads]
    assert [t.floating_point for t in other.threads] == [t.floating_point for t in one.threads]
    assert one.signal is not None
    assert other.signal is not None
    assert (other.signal.number, other.signal.code) == (one.signal.number, one.signal.code)
    assert other.signal.sender_uid == one.signal.sender_uid
    assert other.signal.syscall == one.signal.syscall
    if one.signal.sender_pid == their_pid:
        assert other.signal.sender_pid == our_pid
    assert (other.signal.address is None) == (one.signal.address is None)
    if one.signal.address is not None and other.signal.address is not None:
        assert place(other.signal.address, ours) == place(one.signal.address, theirs)
    assert set(one.auxv) == set(other.auxv)
    known = {Path(f.path).name for f in other.files}
    assert {Path(f.path).name for f in one.files} <= known


def place(address: int, analysis: Analysis) -> tuple[str, int]:
    """Where an address is, in words that hold in every run of a program."""
    facts = analysis.facts
    for file in facts.files:
        if file.start <= address < file.end:
            return Path(file.path).name, address - file.start + file.offset
    stack_pointer = facts.machine.registers.index("rsp")
    if abs(address - facts.threads[0].registers[stack_pointer]) < 1 << 16:
        return "near the stack pointer", 0
    for region in facts.regions:
        if region.start <= address < region.end:
            return "in memory", 0
    if 1 << 32 < address < 1 << 47 and address >> 32 != address & 0xFFFFFFFF:
        return "somewhere", 0  # made of addresses that differ in every run
    return "nowhere", address


def check_report(theirs: Analysis, ours: Analysis) -> None:
    """What a user reads: the same, word for word."""
    one, other = theirs.report, ours.report
    assert other.soft_errors == one.soft_errors == ()
    assert (other.verdict.cls, other.verdict.rule) == (one.verdict.cls, one.verdict.rule)
    assert (other.verdict.detail, other.verdict.frame) == (one.verdict.detail, one.verdict.frame)
    assert identity(other) == identity(one)
    assert (one.abort_message, one.assertion) == (other.abort_message, other.assertion)
    assert without_addresses(repr(one.exception)) == without_addresses(repr(other.exception))
    assert other.process.argv == one.process.argv
    assert other.process.executable == one.process.executable
    assert other.process.build_id == one.process.build_id
    assert other.process.module_id == one.process.module_id
    assert rows(other.threads[0]) == rows(one.threads[0])
    assert folds(other.threads[0]) == folds(one.threads[0])
    assert idle(other.threads[1:]) == idle(one.threads[1:])
    known = {(m.path, m.build_id) for m in one.modules}
    more = {m.path for m in other.modules if (m.path, m.build_id) not in known}
    assert {Path(path or "").name for path in more} <= {"capture.so"}
    assert len(known) <= len(other.modules)
    assert [(i.text.split()[:1], i.function) for i in other.disassembly] == [
        (i.text.split()[:1], i.function) for i in one.disassembly
    ]


def identity(report: Report) -> tuple[object, ...]:
    """Title and signature, without what is chance: which thread of a deadlock stands first."""
    signature = report.signature
    assert signature is not None
    if report.verdict.cls == "deadlock":
        return report.title.partition(" in ")[0], signature.text, signature.hash
    return report.title, signature


def without_addresses(text: str) -> str:
    """A text without the hexadecimal numbers that differ in every run."""
    return re.sub(r"address=\d+|0x[0-9a-f]+", "", text)


Row = tuple[object, ...]


def row(frame: Frame) -> Row:
    """All that a frame says but for addresses of this run."""
    return (
        *(frame.level, frame.kind, frame.function, frame.file, frame.line, frame.module),
        *(frame.offset, frame.build_id, frame.in_app, frame.trust),
    )


def rows(thread: Thread) -> list[Row]:
    """The frames of a thread; those of a recursion's end are as many levels down as it is deep."""
    if thread.folds or thread.omitted:
        return [row(frame)[1:] for frame in thread.frames]
    return [row(frame) for frame in thread.frames]


def folds(thread: Thread) -> list[tuple[int, int, int]]:
    """Recursions: how deep one gets depends on what else is on the stack."""
    return [(fold.level, fold.period, round(fold.count, -2) // 500) for fold in thread.folds]


def idle(threads: Sequence[Thread]) -> Counter[Row]:
    """What the other threads do, in any order."""
    return Counter(
        (t.role, t.state, t.waits_for and t.waits_for.kind, tuple(f.function for f in t.frames))
        for t in threads
    )


def check_sidecar(run: Run, ours: Analysis, mode: Mode) -> None:
    """The document tells the same as the core beside it."""
    told, facts, signal = run.sidecar, ours.facts, ours.facts.signal
    assert signal is not None
    assert (told.core, told.error, told.truncated) == (run.core.name, None, False)
    assert (told.pid, told.tid) == (run.pid, facts.threads[0].lwp)
    assert (told.signal, told.si_code) == (mode.signal, signal.code)
    # SI_KERNEL, 128: the kernel does not know the address, and the 0 in its core is none
    known = signal.address is not None and signal.code != 128 and mode.signal != SIGSYS
    assert told.fault_address == (hex(signal.address or 0) if known else None)
    assert (told.sender_pid, told.sender_uid) == (signal.sender_pid, signal.sender_uid)
    assert told.threads == len(facts.threads)
    assert told.executable == ours.report.process.executable
    assert told.argv == list(ours.report.process.argv)
    assert told.removed == []
    assert run.core.stat().st_mode & 0o777 == 0o600


@pytest.mark.native
def test_what_the_kernel_kills_at_once(crash: Crash, capture: Capture, folder: Path) -> None:
    mode = next(m for m in CRASHES if m.name == "seccomp-kill")

    run = crash_under(capture, crash(mode, "O0"), mode, folder)

    assert run.status == -mode.signal
    assert run.left == []


@pytest.mark.gdb
@pytest.mark.parametrize("mode", GDB_CASES)
def test_gdb_agrees(
    mode: Mode, crash: Crash, capture: Capture, folder: Path, request: pytest.FixtureRequest
) -> None:
    kernels = crash(mode, "O0")
    run = crash_under(capture, kernels, mode, folder)

    try:
        theirs = gdb_oracle(kernels.core, kernels.executable)
        ours = gdb_oracle(run.core, kernels.executable)
    except GdbFailed as reason:
        need(request, "gdb", str(reason))

    assert len(ours) == len(theirs)
    assert ours[0].lwp == load_core(run.core)[1].threads[0].lwp
    seen, wanted = (
        [(f.function, f.file, f.line, f.kind, f.pc & 0xFFF) for f in threads[0].frames]
        for threads in (ours, theirs)
    )
    deep = mode.verdict_class == "stack-overflow"
    assert seen[:200] == wanted[:200] if deep else seen == wanted
    result = compare(Engine(Options()).report(run.core), ours)
    assert result.unexplained == []
