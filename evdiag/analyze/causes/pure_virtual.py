"""A virtual function was called that the object does not have: it is pure, or deleted."""

from evdiag.analyze.causes._aborts import by
from evdiag.analyze.causes._examples import aborting, sent
from evdiag.analyze.causes._thrown import (
    ABORT,
    CALLER,
    HIDDEN,
    LIBSTDCXX,
    PURE,
    TERMINATE,
    ended_itself,
    reached,
    signal_lines,
    terminated,
    virtual_call,
)
from evdiag.model.crash import Cause, CrashFacts, Rule
from evdiag.model.signals import SI_TKILL, SIGSEGV

DELETED = "deleted"


def check(facts: CrashFacts) -> Cause | None:
    """Recognise the functions that fill the places of missing ones in virtual tables."""
    end, record = reached(facts), virtual_call(facts)
    on_stack = end is not None and end.how == "pure"
    if not ended_itself(facts) or not (on_stack or (end is None and record is not None)):
        return None
    functions = end.functions if end is not None else frozenset()
    text = record.detail or "" if record is not None else ""
    deleted = "__cxa_deleted_virtual" in functions or text.startswith(DELETED)
    kind = DELETED if deleted else "pure"
    caller = by(end.caller if end is not None else None, " in ")
    lines = [f"{name} is on the stack" for name in sorted(functions) if "virtual" in name]
    if record is not None:
        lines.append(f"the log says so at {record.source}:{record.line}")
    return Cause(
        cls="pure-virtual",
        summary=f"a {kind} virtual function was called{caller}",
        confidence="high" if on_stack else "medium",
        evidence=(*lines, *signal_lines(facts)),
        advice=(
            "Either a constructor or destructor of the base class calls it, when the derived part "
            "of the object is not there, or another thread uses an object that is being destroyed.",
        ),
    )


RULE = Rule(
    id="pure-virtual",
    title="Pure virtual function called",
    explanation=(
        "Compilers fill the place of a function that is not there with __cxa_pure_virtual or "
        "__cxa_deleted_virtual, which print a line and call std::terminate (libsupc++/pure.cc). "
        "libstdc++ exports both names, so they are known without debug information."
    ),
    classes=("pure-virtual",),
    check=check,
    matches=(
        (terminated(ABORT, HIDDEN, HIDDEN, TERMINATE, PURE, CALLER), "pure-virtual"),
        (
            terminated(ABORT, TERMINATE, ("__cxa_deleted_virtual", LIBSTDCXX), CALLER),
            "pure-virtual",
        ),
        (
            terminated(log=(("libc-message", "pure virtual method called"), ("terminate", None))),
            "pure-virtual",
        ),
    ),
    misses=(
        aborting(),
        terminated(ABORT, TERMINATE, CALLER),
        terminated(log=(("terminate", None),)),
        sent(SIGSEGV, SI_TKILL, None),
    ),
)
