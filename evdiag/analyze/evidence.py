"""Bring together what the cause rules look at: signal, registers, instruction, mappings, stack."""

from collections.abc import Sequence

from evdiag.analyze.space import AddressSpace
from evdiag.model.core import ThreadState
from evdiag.model.crash import CrashFacts, LastWords
from evdiag.model.logs import LogFacts
from evdiag.model.report import DeadlockMember, Thread
from evdiag.model.signals import SIGABRT, SIGSYS
from evdiag.parse.instruction import LONGEST, decode

WITHOUT_INSTRUCTION = (SIGABRT, SIGSYS)
"""Their instruction is the system call in libc, and tells nothing."""


NO_WORDS = LastWords()


def crash_facts(
    space: AddressSpace,
    state: ThreadState,
    threads: Sequence[Thread],
    words: LastWords = NO_WORDS,
    deadlock: tuple[DeadlockMember, ...] = (),
    log: LogFacts | None = None,
) -> CrashFacts:
    """The facts about the crashed thread, for `causes.explain`."""
    crashed = threads[0]
    facts, memory = space.facts, space.memory
    machine = facts.machine
    registers = dict(zip(machine.registers, state.registers, strict=True))
    pc = state.registers[machine.pc]
    sp = state.registers[machine.dwarf[machine.sp]]
    signal = facts.signal
    instruction = None
    if signal is not None and signal.number not in WITHOUT_INSTRUCTION:
        code = memory.read(pc, LONGEST) if memory.executable(pc) else b""
        if code:
            instruction = decode(machine, code, pc, registers, memory.word)
    return CrashFacts(
        machine=machine,
        signal=signal,
        pid=facts.pid,
        registers=registers,
        pc=pc,
        sp=sp,
        instruction=instruction,
        stack_word=memory.word(sp - machine.word) if machine.lr is None else None,
        regions=facts.regions,
        files=space.files,
        frames=crashed.frames,
        depth=depth(crashed),
        words=words,
        threads=tuple(threads),
        deadlock=deadlock,
        log=log,
    )


def depth(thread: Thread) -> int:
    """Physical frames of a thread, with all rounds of its recursions."""
    physical = sum(1 for frame in thread.frames if frame.kind != "inline")
    folded = sum(fold.period * (fold.count - 1) for fold in thread.folds)
    return physical + folded + thread.omitted
