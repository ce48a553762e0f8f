"""The proof: a process crashed for the test, and its core came or did not."""

from evdiag.analyze.checks._words import PRELOAD, fail, help_against, ok, size, warn
from evdiag.model.doctor import CheckGroup, CheckRule, CrashResult, Facts, Found
from evdiag.model.signals import SIGABRT, SIGSEGV, signal_name

WRITERS = {"capture": "the image's own capture", "kernel": "the kernel"}
SLOW = 2000.0
"""Milliseconds: EVerest's manager waits about five seconds for a module."""
NO_CORE = "no core of "
"""In what the capture says of a crash that it has no core of."""


def look_at_segv(facts: Facts) -> Found | None:
    """SIGSEGV."""
    return _crash(facts, SIGSEGV)


def look_at_abrt(facts: Facts) -> Found | None:
    """SIGABRT."""
    return _crash(facts, SIGABRT)


def _crash(facts: Facts, number: int) -> Found | None:
    results = facts.crashes or ()
    result = next((one for one in results if one.signal in (number, 0)), None)
    if result is None:
        return None
    name = signal_name(number)
    if result.error:
        return fail(f"nothing was crashed: {result.error}", _advice(result.error))
    if not result.path:
        return _nothing(result, name)
    took = "" if result.milliseconds is None else f" in {result.milliseconds:.0f} ms"
    writer = WRITERS.get(result.writer, "somebody")
    what = "complete core" if result.missing == 0 else "core"
    said = f"{what}{took}, {size(result.size)}, by {writer}: {result.path}"
    if result.missing is None:
        what = "it is empty" if not result.size else "it is no core"
        return fail(f"{said}, but {what}", _advice("no space left"))
    if result.missing:
        text = f"{said}, but it is cut off, {size(result.missing)} are missing"
        return fail(text, _advice(" ".join(result.said) or "no space left"))
    if result.died_of != number:
        text = f"{said}, but the process ended otherwise ({_end(result)})"
        return warn(text, "Look at what else takes signals in the container.")
    if result.milliseconds is not None and result.milliseconds > SLOW:
        return warn(f"{said}; that is slow", "A faster disk for the folder for cores.")
    return ok(said)


def _end(result: CrashResult) -> str:
    return "no signal" if result.died_of is None else signal_name(result.died_of)


def _nothing(result: CrashResult, name: str) -> Found:
    flag = ', though the kernel says "core dumped"' if result.dumped else ""
    said = f"no core came of {name} in {result.waited:.1f} s{flag}"
    if result.died_of is None:
        last = result.said[-1] if result.said else "without a word"
        return fail(f"the test process did not die of {name}: {last}", _advice(last))
    why = next((line for line in reversed(result.said) if NO_CORE in line), None)
    if why is not None:
        reason = why.partition("): ")[2] or why
        return fail(f"{said}: the capture says: {reason}", _advice(reason))
    return fail(said, "")


def _advice(reason: str) -> str:
    if "overwrite" in reason:
        return f"Copy that core away and remove it. {PRELOAD} gives each core a name of its own."
    return help_against(reason) or "The checks above say what stands in the way."


GROUP = CheckGroup(
    id="crash",
    title="Test crash",
    rules=(
        CheckRule(
            id="crash-segv",
            title="SIGSEGV",
            explanation=(
                "A process with the user, environment and limits of the manager reads address 0. "
                "Its core has to come, complete; it is removed again, and no older core makes room "
                "for it."
            ),
            look=look_at_segv,
        ),
        CheckRule(
            id="crash-abrt",
            title="SIGABRT",
            explanation="The same with `abort()`, the end of every uncaught exception.",
            look=look_at_abrt,
        ),
    ),
)
