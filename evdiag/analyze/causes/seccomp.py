"""A system call was forbidden."""

from evdiag.analyze.causes._examples import crash, sent
from evdiag.analyze.causes._faults import is_fault
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SIGSEGV, SIGSYS, SYS_SECCOMP, describe


def check(facts: CrashFacts) -> Cause | None:
    """Recognise SIGSYS, which the kernel sends for a system call that a filter forbids."""
    if not is_fault(facts, SIGSYS) or facts.signal is None:
        return None
    call = facts.signal.syscall
    which = "a system call" if call is None else f"system call {call} of {facts.machine.name}"
    certain = facts.signal.code == SYS_SECCOMP
    return Cause(
        cls="seccomp",
        summary=f"the process made {which}, which its seccomp filter forbids",
        confidence="high" if certain else "medium",
        evidence=(describe(facts.signal),),
        advice=(
            "`ausyscall NUMBER` (package auditd) tells the name of the call. In a container, try "
            "--security-opt seccomp=unconfined; then add the call to the profile.",
        ),
    )


RULE = Rule(
    id="seccomp",
    title="Forbidden system call",
    explanation=(
        "SIGSYS with the code SYS_SECCOMP comes from a seccomp filter: that of the container "
        "engine, of systemd, or of the program itself. The core tells the number of the call."
    ),
    classes=("seccomp",),
    check=check,
    matches=(
        (crash(SIGSYS, SYS_SECCOMP, 0x401136, syscall=165), "seccomp"),
        (crash(SIGSYS), "seccomp"),
    ),
    misses=(CrashFacts(), sent(SIGSYS, 0, 99), crash(SIGSEGV, 1, 0)),
)
