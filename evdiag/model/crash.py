"""What the rules about the cause of a crash look at, and what they answer."""

from collections.abc import Callable

import msgspec

from evdiag.model.core import MappedFile, Region, SignalFacts
from evdiag.model.logs import LogFacts
from evdiag.model.machine import X86_64, Machine
from evdiag.model.report import Assertion, CxxException, DeadlockMember, Frame, Thread


class Operand(msgspec.Struct, frozen=True, kw_only=True):
    """A memory operand of the faulting instruction, its address computed from the registers."""

    text: str
    """As in the disassembly: `[rax + 0x18]`."""
    address: int
    size: int
    reads: bool
    writes: bool
    registers: tuple[tuple[str, int], ...] = ()
    """The registers that the address was computed from, base first, with their values."""
    displacement: int = 0


class InstructionFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The instruction at the program counter, decoded."""

    text: str
    kind: str = "other"
    """call, return, jump, divide, trap, push or other."""
    operands: tuple[Operand, ...] = ()
    target: int | None = None
    """Where an indirect call or jump through a register or a readable memory operand goes to."""
    divisor: int | None = None
    """Value of the divisor of an integer division."""


class LastWords(msgspec.Struct, frozen=True, kw_only=True):
    """What the memory of the process still says about why it ended itself."""

    message: str | None = None
    """glibc's abort message, verbatim, without the line feed at its end."""
    message_from: str | None = None
    """How it was found, in words."""
    uncaught: bool | None = None
    """True: the first of `exceptions` ended the process. False: none did, whatever is alive.
    None: that could not be found out."""
    exceptions: tuple[CxxException, ...] = ()
    """C++ exceptions alive in memory, the one of the crashed thread first."""
    evidence: tuple[str, ...] = ()
    """How the exceptions were found, and what does not fit together."""


class CrashFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One crash without symbols: signal, registers, faulting instruction, memory map; and stack."""

    machine: Machine = X86_64
    signal: SignalFacts | None = None
    pid: int | None = None
    registers: dict[str, int] = {}
    pc: int | None = None
    sp: int | None = None
    instruction: InstructionFacts | None = None
    """None when its bytes are neither in the core nor in a file of the right build."""
    stack_word: int | None = None
    """x86: the word just below the stack pointer, where a `ret` took its address from."""
    regions: tuple[Region, ...] = ()
    """Sorted by address."""
    files: tuple[MappedFile, ...] = ()
    """Sorted by address."""
    frames: tuple[Frame, ...] = ()
    """Of the crashed thread, innermost first; level 0 is where it died."""
    depth: int = 0
    """Physical frames of the crashed thread, before recursion was folded."""
    words: LastWords = LastWords()
    threads: tuple[Thread, ...] = ()
    """All threads, with what they wait for; the crashed one first."""
    deadlock: tuple[DeadlockMember, ...] = ()
    """Threads that wait for each other in a circle."""
    log: LogFacts | None = None
    """What the logs say about this process, where there are logs."""


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule concludes."""

    cls: str
    """One of the words of `verdict.class`."""
    summary: str
    """One sentence for a person."""
    confidence: str = "high"
    evidence: tuple[str, ...] = ()
    advice: tuple[str, ...] = ()
    access: str | None = None
    """read, write or execute."""
    adjusted_address: int | None = None
    detail: str | None = None
    """What tells crashes of one class apart, and is the same in every run: type of an exception,
    expression of an assertion, text of libc's message. Part of title and signature."""
    assertion: Assertion | None = None


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One way to die: how it is recognised, explained, and what must and must not match it."""

    id: str
    title: str
    explanation: str
    """For the documentation: what the rule looks at, and the source of its constants."""
    classes: tuple[str, ...]
    """The values of `verdict.class` that it gives."""
    check: Callable[[CrashFacts], Cause | None]
    matches: tuple[tuple[CrashFacts, str], ...]
    """Examples with the class that must come out."""
    misses: tuple[CrashFacts, ...]
