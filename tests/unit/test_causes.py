"""The rules: each one's examples through the whole list, and what holds for any crash."""

from pathlib import Path

import pytest

from evdiag.analyze import causes
from evdiag.analyze.causes import RULES, _examples, _faults, explain
from evdiag.analyze.causes._examples import (
    CONSTANTS,
    HEAP,
    PC,
    PID,
    SP,
    STACK,
    TEXT,
    WILD,
    crash,
    instruction,
    load,
    sent,
    store,
)
from evdiag.model.core import MappedFile, SignalFacts
from evdiag.model.crash import CrashFacts, InstructionFacts, Rule
from evdiag.model.machine import AARCH64
from evdiag.model.report import Address, Frame

FOLDER = Path(causes.__file__).parent
MATCHES = [(rule, facts, cls) for rule in RULES for facts, cls in rule.matches]
MISSES = [(rule, facts) for rule in RULES for facts in rule.misses]
CLASSES = {
    *("null-read", "null-write", "null-access", "wild-read", "wild-write", "wild-access"),
    *("noncanonical-read", "noncanonical-write", "noncanonical-access", "write-readonly"),
    *("bad-pc", "bad-call", "bad-return", "stack-overflow", "bus-error", "int-div-zero", "fpe"),
    *("illegal-instruction", "trap", "seccomp", "abort", "sent-signal", "raised-signal"),
    *("assert", "fortify", "stack-smash", "heap-corruption"),
    *("uncaught-exception", "terminate", "pure-virtual"),
    *("snapshot", "unknown", "deadlock", "sanitizer"),
}


# -- the list of rules


def test_every_rule_file_is_listed_once() -> None:
    # helpers of the rules begin with an underscore
    files = {path.stem for path in FOLDER.glob("*.py") if not path.stem.startswith("_")}
    assert sorted(rule.id.replace("-", "_") for rule in RULES) == sorted(files)


def test_ids_are_unique() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)


def test_the_last_rule_takes_everything() -> None:
    assert RULES[-1].id == "unknown"
    assert not RULES[-1].misses


def test_all_classes_have_a_rule() -> None:
    assert {cls for rule in RULES for cls in rule.classes} == CLASSES


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_a_rule_explains_itself(rule: Rule) -> None:
    assert rule.title
    assert rule.explanation.endswith(".")
    shown = {cls for _, cls in rule.matches}
    assert shown <= set(rule.classes)


@pytest.mark.parametrize(
    ("rule", "facts", "cls"), MATCHES, ids=[f"{rule.id}-{cls}" for rule, _, cls in MATCHES]
)
def test_examples_come_out_of_the_whole_list(rule: Rule, facts: CrashFacts, cls: str) -> None:
    found, cause = explain(facts)
    assert (found, cause.cls) == (rule.id, cls)
    assert cause.confidence in ("high", "medium", "low")
    assert cause.summary
    assert not cause.summary.endswith(".")
    assert cause.evidence
    assert 1 <= len(cause.advice) <= 3


@pytest.mark.parametrize(("rule", "facts"), MISSES, ids=[rule.id for rule, _ in MISSES])
def test_a_rule_leaves_the_others_alone(rule: Rule, facts: CrashFacts) -> None:
    assert rule.check(facts) is None


# -- what is said


def summary(facts: CrashFacts) -> str:
    return explain(facts)[1].summary


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (
            crash(11, 1, 0x18, instruction("mov", store(0x18, ("rax", 0)))),
            "wrote to address 0x18: a null pointer plus an offset of 0x18 (rax is 0)",
        ),
        (
            crash(11, 1, (1 << 64) - 8, instruction("mov", load(-8, ("rax", 0), displacement=-8))),
            "read from address 0xfffffffffffffff8: a null pointer minus 0x8 (rax is 0)",
        ),
        (
            crash(11, 0x80, 0, instruction("mov", store(TEXT + 8, ("rbx", TEXT)))),
            "wrote to 0x4141414141414149, which is no address (rbx is 0x4141414141414141); "
            "rbx looks like the text «AAAAAAAA»",
        ),
        (
            crash(11, 1, 0xFFFFFFFF81000000),
            "touched address 0xffffffff81000000 in the kernel's half of the address space",
        ),
        (
            crash(11, 2, CONSTANTS, instruction("mov", store(CONSTANTS))),
            "wrote to 0x403000 in /opt/app/bin/app (r--), which is read-only",
        ),
        (
            crash(11, 1, STACK - 8, sp=STACK, depth=7939),
            "the thread used up its stack of 8.0 MiB, 7939 frames deep",
        ),
        (
            crash(11, 1, STACK - 0x500000, sp=STACK - 0x500000),
            "the thread used up its stack of 8.0 MiB: one frame reaches 5.0 MiB beyond its end",
        ),
        (crash(11, 1, 0, pc=0), "called a null function pointer"),
        (
            crash(11, 1, 0xFFFF800012345000, pc=0xFFFF800012345000),
            "jumped to 0xffff800012345000, in the kernel's half of the address space",
        ),
        (
            crash(11, 2, HEAP, pc=HEAP),
            f"jumped to {HEAP:#x}, in the heap-like region 0x1c00000-0x1c21000 (rw-), which holds "
            "data and no code",
        ),
        (
            crash(11, 0x80, 0, pc=TEXT),
            "jumped to 0x4141414141414141, which is no address; it looks like the text «AAAAAAAA»",
        ),
        (
            crash(11, 2, 0x403000, pc=0x402FFC),
            "execution ran over the end of the code at 0x403000",
        ),
        (
            crash(7, 1, PC + 1, pc=PC + 1, machine=AARCH64),
            "jumped to 0x401137, which is in the middle of an instruction",
        ),
        (
            crash(11, 1, 0x10, instruction("call", load(0x10, ("rax", 0)), kind="call")),
            "called a function through a pointer at 0x10, a null pointer plus an offset, which "
            "cannot be read (rax is 0)",
        ),
        (
            crash(11, 0x80, 0, InstructionFacts(text="jmp rax", kind="jump", target=TEXT)),
            "jumped to 0x4141414141414141, which is no address; it looks like the text «AAAAAAAA»",
        ),
        (
            crash(31, 1, 0, syscall=165),
            "the process made system call 165 of x86-64, which its seccomp filter forbids",
        ),
        (
            sent(11, 0, 0),
            "the process was ended by SIGSEGV: it was sent from outside of its container (PID "
            "namespace); it did not crash by itself",
        ),
        (
            crash(24, 0x80),
            "the process was ended by SIGXCPU: it used up the processor time that its limit "
            "allows (ulimit -t); it did not crash by itself",
        ),
        (
            sent(11, -6, PID, frames=(Frame(level=3, kind="signal"),)),
            "the process sent itself SIGSEGV: a signal handler was running, which probably "
            "passed on what it was called for",
        ),
        (crash(8, 3, PC), "an arithmetic operation failed: FPE_FLTDIV"),
        (CrashFacts(signal=SignalFacts(number=11)),
         "the process was ended by SIGSEGV; what led to it is not known"),
    ],
)  # fmt: skip
def test_summaries(facts: CrashFacts, text: str) -> None:
    assert summary(facts) == text


@pytest.mark.parametrize(
    ("facts", "line"),
    [
        (crash(11, 1, 0x18), "SIGSEGV, address not mapped (SEGV_MAPERR) at 0x18"),
        (crash(11, 1, 0x18), "0x18 is in the first page (null pointer + 0x18)"),
        (
            crash(11, 1, 0x18),
            "the instruction at 0x401136 is not known: its bytes are neither in the core nor at "
            "hand",
        ),
        (
            crash(11, 1, 0x18, instruction("inc", load(0x18, ("rax", 0), size=1))),
            "[...] is 0x18, 1 byte, read (rax is 0)",
        ),
        (
            crash(11, 1, WILD, instruction("mov", load(0x404000))),
            "no operand of this instruction has that address: the registers do not fit",
        ),
        (
            crash(11, 1, 0x80000, instruction("mov", load(0x80000, ("rax", 0), ("rcx", 8)))),
            "rax is 0: a null pointer plus a large index",
        ),
        (
            crash(11, 1, WILD, pc=WILD, stack_word=WILD),
            "the word below the stack pointer is the same: a return address was overwritten",
        ),
        (
            crash(11, 1, 0, pc=0, frames=(Frame(level=0, pc=Address(0)),
                                          Frame(level=1, function="main", pc=Address(PC)))),
            "called from main",
        ),
        (
            crash(11, 1, 0, pc=0, frames=(Frame(level=1, module="/a", offset=Address(16)),)),
            "called from /a+0x10",
        ),
        (crash(11, 1, 0, pc=0, frames=(Frame(level=1, pc=Address(5)),)), "called from 0x5"),
        (crash(11, 1, 0, pc=0, frames=(Frame(level=1),)), "called from an unknown function"),
        (
            crash(11, 1, 0, frames=(Frame(level=2, kind="signal"),)),
            "a signal handler was running: the first signal hit the frame below #2",
        ),
        (
            sent(11, -6, PID, instruction("mov", load(8, ("rax", 0)))),
            "the process sent itself the signal after the fault, as handlers for crashes do",
        ),
        (
            crash(11, 0x80, 0, instruction("push", store(STACK - 8, ("rsp", STACK))), sp=STACK),
            "a handler for the signal could not run either: it needs the same stack",
        ),
        (
            CrashFacts(
                signal=SignalFacts(number=11, code=0x80, address=0), registers={"rax": TEXT}
            ),
            "rax is 0x4141414141414141; it looks like the text «AAAAAAAA»",
        ),
    ],
)  # fmt: skip
def test_evidence(facts: CrashFacts, line: str) -> None:
    assert line in explain(facts)[1].evidence


@pytest.mark.parametrize(
    ("facts", "access", "adjusted"),
    [
        (crash(11, 1, 0x18, instruction("mov", store(0x18))), "write", None),
        (crash(11, 1, 0x18), None, None),
        (crash(11, None, None, instruction("mov", load(0x18))), "read", 0x18),
        (crash(11, 0x80, 0, instruction("mov", load(TEXT))), "read", TEXT),
        (crash(11, 1, 0, pc=0), "execute", None),
        (crash(11, 0x80, 0, pc=TEXT), "execute", TEXT),
        (
            crash(11, 0x80, 0, instruction("ret", load(TEXT), kind="return"), sp=TEXT),
            "read",
            TEXT,
        ),
        (crash(7, 1, 0, instruction("mov", store(HEAP + 1))), "write", HEAP + 1),
        (crash(7, 2, HEAP), None, None),
    ],
)
def test_access_and_adjusted_address(
    facts: CrashFacts, access: str | None, adjusted: int | None
) -> None:
    cause = explain(facts)[1]
    assert (cause.access, cause.adjusted_address) == (access, adjusted)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/var/lib/data.db", "was truncated"),
        ("/dev/shm/queue", "made smaller, or its file system is full"),
        ("/memfd:buffer (deleted)", "made smaller, or its file system is full"),
    ],
)
def test_files_that_lost_their_pages(path: str, words: str) -> None:
    facts = CrashFacts(
        signal=SignalFacts(number=7, code=2, address=0x9000),
        files=(MappedFile(start=0x9000, end=0xA000, offset=0, path=path),),
    )
    found = summary(facts)
    assert path in found
    assert words in found


def test_the_tag_of_a_pointer_does_not_hide_its_operand() -> None:
    # GIVEN a pointer whose top byte Linux leaves out of si_addr
    facts = crash(
        11,
        1,
        0x0041414141414141,
        instruction("str x1, [x0]", store(TEXT, ("x0", TEXT))),
        machine=AARCH64,
    )
    assert explain(facts)[1].cls == "wild-write"
    assert explain(facts)[1].confidence == "high"


def test_a_register_that_looks_like_nothing_leaves_the_address_to_say_it() -> None:
    facts = crash(11, 1, WILD, instruction("mov", load(WILD, ("rax", 5), ("rcx", 6))))
    assert summary(facts).endswith("; it looks like the text «AAAAAA»")


def test_a_core_without_mappings() -> None:
    facts = CrashFacts(signal=SignalFacts(number=11), instruction=instruction("mov", load(WILD)))
    assert explain(facts)[1].cls == "unknown"
    near = CrashFacts(signal=SignalFacts(number=11), instruction=instruction("mov", load(8)))
    assert explain(near)[1].cls == "null-read"


def test_an_operand_in_a_file_that_the_core_leaves_out_is_fine() -> None:
    facts = CrashFacts(
        signal=SignalFacts(number=11),
        regions=_examples.REGIONS,
        files=(MappedFile(start=0x900000, end=0x901000, offset=0, path="/lib/a.so"),),
        instruction=instruction("mov", load(0x900010)),
        sp=SP,
    )
    assert explain(facts)[1].cls == "unknown"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (CrashFacts(), False),
        (crash(11, 1, 0), False),
        (sent(11, -6, 99, instruction("mov", load(8))), False),
        (sent(11, -6, PID, instruction("mov", load(8))), True),
        (sent(11, -6, PID, instruction("mov", load(HEAP))), False),
        (sent(11, -6, PID), False),
        (sent(11, -6, PID, pc=0), True),
        (
            sent(11, -6, PID, InstructionFacts(text="call rax", kind="call", target=TEXT)),
            True,
        ),
        (sent(8, -6, PID), False),
        (sent(8, -6, PID, InstructionFacts(text="idiv", kind="divide", divisor=0)), True),
        (sent(4, -6, PID), False),
        (sent(4, -6, PID, instruction("ud2", kind="trap")), True),
        (sent(5, -6, PID, instruction("int3", kind="trap")), False),
    ],
)
def test_faults_that_a_handler_passed_on(facts: CrashFacts, expected: bool) -> None:
    assert _faults.passed_on(facts) is expected
