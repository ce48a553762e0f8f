"""The processor refused an instruction."""

from evdiag.analyze.causes._examples import PID, crash, instruction, load, sent
from evdiag.analyze.causes._faults import evidence, is_fault
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.machine import AARCH64
from evdiag.model.signals import SI_KERNEL, SI_TKILL, SIGILL, SIGSEGV

PRIVILEGED = frozenset(
    {
        *("cli", "clts", "hlt", "in", "insb", "insd", "insw", "int", "invd", "invlpg", "lgdt"),
        *("lidt", "lldt", "lmsw", "ltr", "out", "outsb", "outsd", "outsw", "rdmsr", "sti"),
        *("swapgs", "wbinvd", "wrmsr", "xsetbv"),
    }
)
"""x86 instructions that only the kernel may use (Intel SDM volume 3, 5.9): the processor answers
with a general protection fault, which Linux reports as SIGSEGV with SI_KERNEL."""


def check(facts: CrashFacts) -> Cause | None:
    """Recognise SIGILL, and SIGSEGV for an instruction that only the kernel may use."""
    if facts.signal is None:
        return None
    if is_fault(facts, SIGSEGV):
        return _privileged(facts) if facts.signal.code == SI_KERNEL else None
    if not is_fault(facts, SIGILL):
        return None
    summary, advice = _words(facts)
    return Cause(
        cls="illegal-instruction",
        summary=summary,
        confidence="high" if facts.instruction else "medium",
        evidence=evidence(facts),
        advice=(advice,),
    )


def _privileged(facts: CrashFacts) -> Cause | None:
    words = facts.instruction.text.split() if facts.instruction else []
    name = next((word for word in words if not word.startswith("rep")), "")
    if name not in PRIVILEGED:
        return None
    return Cause(
        cls="illegal-instruction",
        summary=f"the program ran `{name}`, an instruction that only the kernel may use",
        evidence=evidence(facts),
        advice=("Execution probably left the code of the program: look at the frames above.",),
    )


def _words(facts: CrashFacts) -> tuple[str, str]:
    found = facts.instruction
    # aarch64 compilers trap with brk; udf is what zeros and small numbers look like
    if found is None or (facts.machine.name == AARCH64.name and found.text.startswith("udf")):
        return (
            "the processor met bytes that are no instruction",
            "A damaged program file, or a jump to a wrong address: look at the caller.",
        )
    if found.kind == "trap":
        return (
            f"the program ran into `{found.text}`, a trap that its compiler put there",
            "A failed check (__builtin_trap, -fsanitize-trap), code that the compiler took for "
            "unreachable, or a function without a return statement.",
        )
    return (
        f"the processor does not know the instruction `{found.text}`",
        "The program was built for a newer processor (-march), or was started under emulation.",
    )


RULE = Rule(
    id="illegal-instruction",
    title="Illegal instruction",
    explanation=(
        "SIGILL: ud2 on x86 and udf on 32-bit Arm are what compilers emit for __builtin_trap() and "
        "unreachable code; any other valid instruction is one that this processor lacks; bytes "
        "that are no instruction mean that execution went astray. Instructions reserved to the "
        "kernel give SIGSEGV with SI_KERNEL on x86."
    ),
    classes=("illegal-instruction",),
    check=check,
    matches=(
        (crash(SIGILL, 2, 0x401136, instruction("ud2", kind="trap")), "illegal-instruction"),
        (crash(SIGILL, 1, 0x401136, instruction("vpaddd zmm0, zmm1")), "illegal-instruction"),
        (crash(SIGILL, 1, 0x401136), "illegal-instruction"),
        (
            crash(SIGILL, 1, 0x401136, instruction("udf #0", kind="trap"), machine=AARCH64),
            "illegal-instruction",
        ),
        # a handler passed the signal on
        (sent(SIGILL, SI_TKILL, PID, instruction("ud2", kind="trap")), "illegal-instruction"),
        (crash(SIGSEGV, SI_KERNEL, 0, instruction("hlt")), "illegal-instruction"),
        (
            crash(SIGSEGV, SI_KERNEL, 0, instruction("rep insb", load(0x404000))),
            "illegal-instruction",
        ),
    ),
    misses=(
        CrashFacts(),
        sent(SIGILL, SI_TKILL, PID),
        crash(SIGSEGV, 1, 0),
        crash(SIGSEGV, SI_KERNEL, 0),
        crash(SIGSEGV, SI_KERNEL, 0, instruction("mov rax, [rbx]")),
    ),
)
