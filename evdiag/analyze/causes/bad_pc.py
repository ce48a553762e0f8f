"""Execution went to an address where there is no code."""

from evdiag.analyze.causes._examples import (
    HEAP,
    PC,
    PID,
    TEXT,
    WILD,
    crash,
    instruction,
    sent,
    store,
)
from evdiag.analyze.causes._faults import (
    SANITIZER,
    covers,
    frame_name,
    handler_lines,
    is_fault,
    looks,
    reported,
)
from evdiag.analyze.places import (
    describe,
    is_canonical,
    is_executable,
    is_kernel_half,
    is_mapped,
    is_near_null,
)
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.machine import AARCH64
from evdiag.model.report import Frame
from evdiag.model.signals import (
    BUS_ADRALN,
    SEGV_ACCERR,
    SEGV_MAPERR,
    SI_KERNEL,
    SI_TKILL,
    SIGBUS,
    SIGILL,
    SIGSEGV,
)
from evdiag.model.signals import describe as describe_signal
from evdiag.parse.instruction import LONGEST


def check(facts: CrashFacts) -> Cause | None:
    """Recognise a program counter that points to data, to nothing, or between instructions."""
    pc = facts.pc
    if pc is None or facts.signal is None or not _is_bad(facts, pc):
        return None
    returned = facts.stack_word == pc and not is_near_null(pc)
    lines = [describe_signal(facts.signal), f"the program counter {pc:#x} is {describe(facts, pc)}"]
    caller = _caller(facts)
    if returned:
        lines.append(
            "the word below the stack pointer is the same: a return address was overwritten"
        )
    elif caller is not None:
        lines.append(f"called from {frame_name(caller)}")
    told = reported(facts) is not None
    return Cause(
        cls="bad-pc",
        summary=_summary(facts, pc, returned),
        confidence="high" if is_executable(facts, pc) is False else "medium",
        evidence=(*lines, *handler_lines(facts)),
        advice=_advice(pc, returned),
        access="execute",
        adjusted_address=None if told else pc,
    )


def _is_bad(facts: CrashFacts, pc: int) -> bool:
    executable = is_executable(facts, pc)
    if is_fault(facts, SIGILL):  # a processor that cannot forbid to execute data
        return executable is False
    address = reported(facts)
    if is_fault(facts, SIGBUS):
        code = facts.signal.code if facts.signal else None
        return code == BUS_ADRALN and address == pc and facts.machine.name == AARCH64.name
    if not is_fault(facts, SIGSEGV):
        return False
    if executable is False:
        return True
    operands = facts.instruction.operands if facts.instruction else ()
    if address is None or any(covers(facts.machine, op, address) for op in operands):
        return False
    ran_out = 0 < address - pc < LONGEST and is_executable(facts, address) is False
    return address == pc or ran_out


def _summary(facts: CrashFacts, pc: int, returned: bool) -> str:
    if is_near_null(pc) and not is_mapped(facts, pc):
        if pc == 0:
            return "called a null function pointer"
        return f"jumped to address {pc:#x}: a null pointer plus an offset of {pc:#x}"
    if returned:
        return (
            f"returned to {pc:#x}, where there is no code{looks(facts, pc)}: the return address "
            "on the stack was overwritten"
        )
    if is_executable(facts, pc):
        return _in_code(facts, pc)
    if is_mapped(facts, pc):
        return f"jumped to {pc:#x}, {describe(facts, pc)}, which holds data and no code"
    if is_kernel_half(facts.machine, pc):
        return f"jumped to {pc:#x}, {describe(facts, pc)}{looks(facts, pc)}"
    what = "where nothing is mapped" if is_canonical(facts.machine, pc) else "which is no address"
    return f"jumped to {pc:#x}, {what}{looks(facts, pc)}"


def _in_code(facts: CrashFacts, pc: int) -> str:
    if is_fault(facts, SIGBUS):
        return f"jumped to {pc:#x}, which is in the middle of an instruction"
    end = reported(facts)
    if end != pc and end is not None:
        return f"execution ran over the end of the code at {end:#x}"
    return f"execution went to {pc:#x} and could not go on there"


def _advice(pc: int, returned: bool) -> tuple[str, ...]:
    if returned:
        return (
            "Something wrote beyond the end of a local array. Build with -fstack-protector-strong "
            "or -fsanitize=address and run again.",
        )
    if is_near_null(pc):
        return (
            "Look at the caller: a function pointer, or an entry of the virtual table of an "
            "object that is gone, was null.",
        )
    return (
        "Look at the caller: a function pointer, or the virtual table of an object that is gone, "
        "held something else.",
        SANITIZER,
    )


def _caller(facts: CrashFacts) -> Frame | None:
    """The first frame that is not where it died."""
    return next((f for f in facts.frames if f.level > 0 and f.pc != facts.pc), None)


RULE = Rule(
    id="bad-pc",
    title="Jump to a bad address",
    explanation=(
        "The program counter is the fault address, or lies where no code may run. Below 64 KiB "
        "it was a null function pointer; in data (heap, stack) the processor refused to execute "
        "it; on x86, where the word below the stack pointer is the same, it came from a return."
    ),
    classes=("bad-pc",),
    check=check,
    matches=(
        (crash(SIGSEGV, SEGV_MAPERR, 0, pc=0, stack_word=0), "bad-pc"),
        (crash(SIGSEGV, SEGV_MAPERR, 0x18, pc=0x18), "bad-pc"),
        (crash(SIGSEGV, SEGV_MAPERR, WILD, pc=WILD, stack_word=WILD), "bad-pc"),
        (crash(SIGSEGV, SEGV_ACCERR, HEAP, pc=HEAP), "bad-pc"),
        (crash(SIGSEGV, SI_KERNEL, 0, pc=TEXT), "bad-pc"),
        (crash(SIGSEGV, None, None, pc=WILD), "bad-pc"),
        (crash(SIGILL, 2, HEAP, pc=HEAP), "bad-pc"),
        (crash(SIGSEGV, SEGV_ACCERR, PC, pc=PC), "bad-pc"),
        (crash(SIGSEGV, SEGV_ACCERR, 0x403000, pc=0x402FFC), "bad-pc"),
        (crash(SIGBUS, BUS_ADRALN, PC + 1, pc=PC + 1, machine=AARCH64), "bad-pc"),
        (
            crash(SIGSEGV, SEGV_MAPERR, 0, pc=0, frames=(Frame(level=1, function="main"),)),
            "bad-pc",
        ),
        (sent(SIGSEGV, SI_TKILL, PID, pc=0), "bad-pc"),  # a handler passed the signal on
    ),
    misses=(
        CrashFacts(),
        CrashFacts(pc=PC),
        crash(SIGSEGV, SEGV_MAPERR, 0x18),
        crash(SIGSEGV, SI_KERNEL, 0),
        crash(SIGILL, 2, PC),
        crash(SIGBUS, BUS_ADRALN, HEAP + 1),
        sent(SIGSEGV, 0, 99),
        # code that writes into itself
        crash(SIGSEGV, SEGV_ACCERR, PC, instruction("mov byte ptr [rip - 6], 1", store(PC))),
    ),
)
