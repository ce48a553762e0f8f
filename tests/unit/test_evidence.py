"""What the cause rules get to see of a crash."""

import pytest

from evdiag.analyze.evidence import crash_facts, depth
from evdiag.model.core import SignalFacts
from evdiag.model.crash import CrashFacts
from evdiag.model.machine import AARCH64, X86_64, Machine
from evdiag.model.report import Fold, Frame, Thread
from tests.support import elfwriter as w

AT, STACK = 0x7F00_0000_0000, 0x7FFC_0000_0000
MODULE = "/opt/module"
THREAD = Thread(number=1, frames=(Frame(level=0, function="read_energy"),))

READ_AT_0X18 = bytes.fromhex("488b4018")  # mov rax, qword ptr [rax + 0x18]


def facts_of(
    *,
    code: bytes = READ_AT_0X18,
    rip: int = AT + w.CODE,
    siginfo: w.SigInfo | None = None,
    files: bool = True,
    signal: int = 0,
    thread: Thread = THREAD,
) -> CrashFacts:
    """The facts of a core with one module whose code begins with some instructions."""
    module = w.image(code=code.ljust(0x1000, b"\xcc"))
    dump = w.core(
        threads=[
            w.Thread(
                signal=signal, registers={"rip": rip, "rsp": STACK + 0x10, "rax": 0x1000, "r15": 7}
            )
        ],
        siginfo=siginfo,
        process=w.Process(pid=4711),
        files=w.mapped(MODULE, module, AT),
        memory=[*w.code_pieces(module, AT), w.Piece(start=STACK, data=w.words(1, 2, 3, 4))],
    )
    space = w.address_space(dump, {MODULE: module} if files else {})
    return crash_facts(space, space.facts.threads[0], [thread])


def test_signal_registers_and_mappings() -> None:
    facts = facts_of(siginfo=w.fault(0x1018))
    assert facts.machine is X86_64
    assert facts.signal == SignalFacts(number=11, code=1, address=0x1018)
    assert (facts.pid, facts.pc, facts.sp) == (4711, AT + w.CODE, STACK + 0x10)
    assert facts.registers["rip"] == AT + w.CODE
    assert (facts.registers["rax"], facts.registers["r15"]) == (0x1000, 7)
    assert len(facts.registers) == 27
    assert [r.start for r in facts.regions] == [AT, AT + w.CODE, STACK]
    assert [(f.start, f.path) for f in facts.files] == [(AT, MODULE), (AT + w.CODE, MODULE)]
    assert facts.frames == THREAD.frames
    assert facts.depth == 1


def test_the_instruction_comes_from_the_file_where_the_core_has_no_code() -> None:
    instruction = facts_of(siginfo=w.fault(0x1018)).instruction
    assert instruction is not None
    assert instruction.text == "mov rax, qword ptr [rax + 0x18]"
    (operand,) = instruction.operands
    assert (operand.address, operand.size) == (0x1018, 8)
    assert (operand.reads, operand.writes) == (True, False)


def test_the_target_of_a_call_is_read_from_memory() -> None:
    # call qword ptr [rsp]: the word there is 3
    instruction = facts_of(code=bytes.fromhex("ff1424"), siginfo=w.fault(3)).instruction
    assert instruction is not None
    assert (instruction.kind, instruction.target) == ("call", 3)


@pytest.mark.parametrize(
    ("siginfo", "rip", "files"),
    [
        (None, AT + w.CODE, True),  # a snapshot: no signal
        (w.sent(6, pid=4711, uid=1000, code=-6), AT + w.CODE, True),  # abort: a system call
        (w.fault(AT, number=31), AT + w.CODE, True),  # seccomp: a system call
        (w.fault(0x1018), AT + w.CODE, False),  # the module's file is not here
        (w.fault(0), 0, True),  # nothing is mapped there
        (w.fault(STACK), STACK, True),  # mapped, but no code
    ],
)
def test_no_instruction(siginfo: w.SigInfo | None, rip: int, files: bool) -> None:
    assert facts_of(siginfo=siginfo, rip=rip, files=files).instruction is None


def test_bytes_that_are_no_instruction() -> None:
    assert facts_of(code=b"\x06", siginfo=w.fault(0)).instruction is None


def test_a_signal_of_which_only_the_number_is_known() -> None:
    facts = facts_of(signal=11)
    assert facts.signal == SignalFacts(number=11)
    assert facts.instruction is not None


@pytest.mark.parametrize(("machine", "word"), [(X86_64, 2), (AARCH64, None)], ids=["x86", "arm"])
def test_the_word_below_the_stack_pointer(machine: Machine, word: int | None) -> None:
    # GIVEN a `ret`, which has just taken its address from there
    sp = "rsp" if machine is X86_64 else "sp"
    dump = w.core(
        machine=machine,
        threads=[w.Thread(registers={sp: STACK + 0x10})],
        memory=[w.Piece(start=STACK, data=w.words(1, 2, 3, 4))],
    )
    space = w.address_space(dump, {})
    assert crash_facts(space, space.facts.threads[0], [THREAD]).stack_word == word


def test_a_stack_pointer_to_nowhere() -> None:
    space = w.address_space(w.core(), {})
    facts = crash_facts(space, space.facts.threads[0], [THREAD])
    assert (facts.sp, facts.stack_word) == (0, None)


@pytest.mark.parametrize(
    ("kinds", "folds", "omitted", "expected"),
    [
        ([], (), 0, 0),
        (["normal"], (), 0, 1),
        (["inline", "inline", "normal", "signal", "normal"], (), 0, 3),
        # a recursion of two physical frames, 500 times, of which one round is shown
        (["normal", "inline", "normal", "normal"], (Fold(level=1, period=2, count=500),), 0, 1001),
        (["normal"] * 10, (), 400, 410),
        (
            ["normal"] * 4,
            (Fold(level=0, period=1, count=3), Fold(level=5, period=2, count=10)),
            7,
            *(4 + 2 + 18 + 7,),
        ),
    ],
)
def test_depth_counts_physical_frames(
    kinds: list[str], folds: tuple[Fold, ...], omitted: int, expected: int
) -> None:
    frames = tuple(Frame(level=i, kind=kind) for i, kind in enumerate(kinds))
    assert depth(Thread(number=1, frames=frames, folds=folds, omitted=omitted)) == expected
