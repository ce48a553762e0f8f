"""How large a core may be, and what goes into it (getrlimit(2), core(5))."""

from collections.abc import Callable

from evdiag.analyze.checks._words import (
    PRELOAD,
    fail,
    info,
    largest,
    limit,
    listed,
    ok,
    preloads,
    size,
    small_limit,
    to_file,
    warn,
)
from evdiag.model.doctor import CheckGroup, CheckRule, Facts, Found, InsideFacts, ProcessFacts
from evdiag.model.incident import UNLIMITED

ASK = "`evdiag run --replace` asks for no limit; with docker it is `--ulimit core=-1`"
ROOTLESS = (
    "The engine itself has the limit 0 and may not raise it: set LimitCORE=infinity for it "
    "(`systemctl --user edit docker`), then restart it"
)
PRIVATE, HEADERS = 0x01, 0x10
"""Bits of coredump_filter: private memory (stacks, heap), first pages of mapped ELF files."""


def _subjects(inside: InsideFacts) -> tuple[ProcessFacts, ...]:
    """The manager and its modules; where none runs, what they would inherit from."""
    return inside.everest or ((inside.init,) if inside.init is not None else ())


def _smallest(
    inside: InsideFacts, limit_of: Callable[[ProcessFacts], int | None]
) -> tuple[ProcessFacts, int] | None:
    """The process with the lowest limit, and that limit."""
    known = [(one, value) for one in _subjects(inside) if (value := limit_of(one)) is not None]
    return min(known, key=lambda pair: _order(pair[1]), default=None)


def _order(value: int) -> float:
    return float("inf") if value == UNLIMITED else value


def look_at_core_limit(facts: Facts) -> Found | None:
    """The limit that EVerest's processes really have."""
    inside = facts.inside
    lowest = _smallest(inside, lambda one: one.core_soft) if inside is not None else None
    if inside is None or lowest is None:
        return None
    process, soft = lowest
    said = f"soft {limit(soft)}, hard {limit(process.core_hard)} ({process.name})"
    if preloads(inside):
        free = "" if soft == UNLIMITED else "; the image's own capture is not bound by it"
        return ok(f"{said}{free}")
    if not to_file(inside):
        return ok(f"{said}; it does not bind what the kernel gives to the host")
    if soft == UNLIMITED:
        return ok(said)
    if soft == 0:
        return _forbidden(facts, process, said)
    if soft < small_limit():
        return fail(f"{said}: every core is cut off, and its stacks with it", f"{ASK}.")
    if soft < largest(inside):
        text = f"{said}: less than the largest process has in memory ({size(largest(inside))})"
        return warn(f"{text}, so its core may be cut off", f"{ASK}.")
    return ok(said)


def _forbidden(facts: Facts, process: ProcessFacts, said: str) -> Found:
    if process.core_hard != 0:
        return fail(
            f"{said}: no core, though the process may raise its limit",
            f"{ASK}. Inside, `ulimit -c unlimited` before EVerest starts does it.",
        )
    text = f"{said}: no core, and nothing in the container can raise that"
    asked = facts.container is not None and facts.container.core_limit is not None
    if facts.engine is not None and facts.engine.rootless and not asked:
        return fail(text, f"{ROOTLESS}. Or {PRELOAD}.")
    return fail(text, f"{ASK}. Or {PRELOAD}.")


def look_at_file_limit(facts: Facts) -> Found | None:
    """The limit for files cuts cores off too."""
    inside = facts.inside
    lowest = _smallest(inside, lambda one: one.file_hard) if inside is not None else None
    if lowest is None:
        return None
    process, hard = lowest
    said = f"{limit(hard)} ({process.name})"
    if hard == UNLIMITED or hard >= 1 << 40:
        return ok("unlimited")
    if hard < small_limit():
        return fail(f"{said}: every core is cut off", "Start without `--ulimit fsize`.")
    return info(f"{said}: a larger core is cut off")


def look_at_filter(facts: Facts) -> Found | None:
    """What memory goes into a core."""
    inside = facts.inside
    known = [one for one in _subjects(inside) if one.filter is not None] if inside else []
    if not known:
        return None
    for bit, effect in (
        (PRIVATE, "neither stacks nor heap are in a core: only the first frame is left"),
        (HEADERS, "a core does not say of which builds its libraries are"),
    ):
        without = [one for one in known if not (one.filter or 0) & bit]
        if without:
            names = listed(one.name for one in without)
            text = f"{without[0].filter:#04x} ({names}): {effect}"
            return warn(text, "Leave it at 0x33: take away what writes /proc/PID/coredump_filter.")
    return ok(f"{known[0].filter:#04x}")


GROUP = CheckGroup(
    id="limits",
    title="Limits",
    rules=(
        CheckRule(
            id="core-limit",
            title="Core limit",
            explanation=(
                "RLIMIT_CORE of the manager and its modules. The kernel writes no core, or cuts it "
                "off at the limit and says that it was dumped. The image's own capture writes a "
                "file like any other, which this limit does not bind."
            ),
            look=look_at_core_limit,
            captures=True,
        ),
        CheckRule(
            id="file-limit",
            title="File limit",
            explanation="RLIMIT_FSIZE: no file may become larger, and a core is a file.",
            look=look_at_file_limit,
            captures=True,
        ),
        CheckRule(
            id="coredump-filter",
            title="coredump_filter",
            explanation=(
                "Which memory goes into a core. 0x33, the kernel's default, is what a backtrace "
                "needs: private and shared memory without a file, and the headers of libraries."
            ),
            look=look_at_filter,
        ),
    ),
)
