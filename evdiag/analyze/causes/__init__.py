"""Why the process died: the rules, in the order in which they are asked.

The first rule that matches gives the verdict. To add one, write a file with a `RULE` and put it
into `RULES`; the tests and the documentation follow. What decides its place:

1. What only looks like a death comes first.
2. Signals that were sent come before faults: what the core says about an address or an
   instruction means nothing then. Rules that know why `abort()` was called (assertion, heap
   corruption, uncaught exception) belong before `abort`, deadlocks before `snapshot`.
3. Among faults, the more telling rule comes before the more general one that would match too.
"""

from evdiag.analyze.causes import (
    abort,
    assertion,
    bad_call,
    bad_pc,
    bad_return,
    bus_error,
    deadlock,
    fortify,
    fpe,
    heap_corruption,
    illegal_instruction,
    int_div_zero,
    libc_fatal,
    noncanonical,
    null_pointer,
    pure_virtual,
    raised_signal,
    sanitizer,
    seccomp,
    sent_signal,
    snapshot,
    stack_overflow,
    stack_smash,
    terminate,
    trap,
    uncaught_exception,
    unknown,
    wild_pointer,
    write_readonly,
)
from evdiag.model.crash import Cause, CrashFacts, Rule

RULES: tuple[Rule, ...] = (
    deadlock.RULE,  # a process that hung is ended by a signal, or looked at as a snapshot
    snapshot.RULE,
    sanitizer.RULE,  # its abort() is only the messenger
    heap_corruption.RULE,  # malloc has assertions too
    stack_smash.RULE,
    fortify.RULE,
    assertion.RULE,
    pure_virtual.RULE,
    uncaught_exception.RULE,
    terminate.RULE,  # what is left of std::terminate
    libc_fatal.RULE,  # any message that no rule before knows
    abort.RULE,
    sent_signal.RULE,
    raised_signal.RULE,
    seccomp.RULE,
    int_div_zero.RULE,  # fpe takes every SIGFPE that is left
    fpe.RULE,
    trap.RULE,
    stack_overflow.RULE,  # a call that finds no room on the stack is not a bad call
    bad_pc.RULE,  # where nothing can be executed, the "instruction" there means nothing
    bad_return.RULE,  # a signature that does not fit gives SIGILL
    illegal_instruction.RULE,  # in/out are privileged, whatever their operands are
    bad_call.RULE,  # a virtual call on a null object says more than "null pointer"
    noncanonical.RULE,  # comes with address 0, which is not null
    null_pointer.RULE,
    write_readonly.RULE,
    bus_error.RULE,
    wild_pointer.RULE,
    unknown.RULE,
)


def explain(facts: CrashFacts) -> tuple[str, Cause]:
    """Ask the rules in their order; the answer is the id of the first that matches, and its cause.

    There is always one: the last rule matches everything.
    """
    for rule in RULES[:-1]:
        cause = rule.check(facts)
        if cause is not None:
            return rule.id, cause
    return unknown.RULE.id, unknown.check(facts)
