"""A breakpoint that no debugger was there for."""

from evdiag.analyze.causes._examples import crash, instruction, sent
from evdiag.analyze.causes._faults import evidence, is_fault
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import (
    SIGSEGV,
    SIGTRAP,
    TRAP_BRANCH,
    TRAP_BRKPT,
    TRAP_HWBKPT,
    TRAP_TRACE,
)

BY_DEBUGGERS = {
    TRAP_TRACE: "a single step",
    TRAP_BRANCH: "a branch step",
    TRAP_HWBKPT: "a hardware breakpoint or watchpoint",
    6: "a performance counter",
}


def check(facts: CrashFacts) -> Cause | None:
    """Recognise SIGTRAP: breakpoint instructions, compiler traps, debug registers."""
    if not is_fault(facts, SIGTRAP) or facts.signal is None:
        return None
    code = facts.signal.code
    by = BY_DEBUGGERS.get(code or 0)
    if by:
        summary = f"the thread ran into {by} while no debugger was attached"
        advice = "Something set it up with ptrace() or perf_event_open() and went away."
    else:
        summary = "the program ran into a breakpoint or a trap that its compiler put there"
        advice = (
            "A failed check (__builtin_trap, -fsanitize-trap, a debug break) is in the first "
            "frame: look at the condition in front of it."
        )
    return Cause(
        cls="trap",
        summary=summary,
        confidence="medium" if code is None else "high",
        evidence=evidence(facts),
        advice=(advice,),
    )


RULE = Rule(
    id="trap",
    title="Breakpoint or trap",
    explanation=(
        "int3 on x86 (SI_KERNEL; the program counter is already behind it) and brk on aarch64 "
        "(TRAP_BRKPT), which is also what __builtin_trap() becomes there. Other codes are debug "
        "registers and single steps."
    ),
    classes=("trap",),
    check=check,
    matches=(
        (crash(SIGTRAP, 0x80, 0), "trap"),
        (crash(SIGTRAP, TRAP_BRKPT, 0x401136, instruction("brk #0x3e8", kind="trap")), "trap"),
        (crash(SIGTRAP, TRAP_HWBKPT, 0x401136), "trap"),
        (crash(SIGTRAP), "trap"),
    ),
    misses=(CrashFacts(), sent(SIGTRAP, 0, 0), sent(SIGTRAP, -6, 4711), crash(SIGSEGV, 1, 0)),
)
