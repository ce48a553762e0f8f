"""Reports for pages in a browser: one with everything, one that tries to do harm, a large one."""

from typing import Final, TypeVar

import msgspec

from evdiag.model.report import (
    Address,
    DeadlockMember,
    Frame,
    LogExcerpt,
    Module,
    Noun,
    Report,
    Thread,
    TimelineEvent,
    Variable,
    WaitsFor,
)
from tests.support import samples
from tests.support.sample_threads import app, system

PAYLOADS: Final = (
    "<script>window.owned=1</script>",
    "<img src=x onerror=window.owned=2>",
    "\"'><svg onload=window.owned=3>",
    "</script><script>window.owned=4</script>",
    "</title></style></textarea><iframe srcdoc='<script>top.owned=5</script>'>",
    "javascript:window.owned=6",
    "{{ 7*7 }}{% include 'x' %}",
    "<!--<script>",
    "\x1b[31mred\x1b[0m\x07",
    "\u202egnp.exe\u202c\u2066",
    "\x00\ud800\r\n\t",
    "&lt;b&gt;&amp;`code`",
)
POISON: Final = " ".join(PAYLOADS)

ENUMERATED: Final = {"schema", "cls", "rung", "kind", "symbols", "direction"}
"""Fields whose words decide what a page has; they are poisoned in a report of their own."""

_AnyNoun = TypeVar("_AnyNoun", bound=Noun)


def poisoned(noun: _AnyNoun, *, all_fields: bool = False) -> _AnyNoun:
    """The noun with harm in every text."""
    kept = {"schema"} if all_fields else ENUMERATED
    changed = {
        name: _poisoned(getattr(noun, name), all_fields)
        for name in noun.__struct_fields__
        if name not in kept
    }
    return msgspec.structs.replace(noun, **changed)


def _poisoned(value: object, all_fields: bool) -> object:
    if isinstance(value, Noun):
        return poisoned(value, all_fields=all_fields)
    if isinstance(value, str):
        return f"{value} {POISON}"
    if isinstance(value, tuple):
        return tuple(_poisoned(item, all_fields) for item in value)
    if isinstance(value, dict):
        return {f"{key} {POISON}": _poisoned(item, all_fields) for key, item in value.items()}
    return value


# ---------------------------------------------------------------- what a page may have


def circle(members: int) -> tuple[tuple[Thread, ...], tuple[DeadlockMember, ...]]:
    """Threads that wait for each other."""
    threads = tuple(
        Thread(
            number=100 + i,
            lwp=5000 + i,
            role=f"meter {i}",
            state="waiting for a mutex",
            waits_for=WaitsFor(
                kind="mutex",
                address=Address(0x7F3A_0000 + 0x40 * i),
                owner_lwp=5000 + (i + 1) % members,
            ),
            frames=(
                system(0, "__lll_lock_wait"),
                app(1, f"charging::Meter::lock_{i}()", "/workspace/charger/meter.cpp", 40 + i),
                app(2, "charging::run(int)", "/workspace/charger/run.cpp", 12),
            ),
        )
        for i in range(members)
    )
    waiting = tuple(
        DeadlockMember(
            thread=thread.number,
            lwp=thread.lwp,
            role=thread.role,
            waits_for=thread.waits_for,
            frame=1,
        )
        for thread in threads
    )
    return threads, waiting


def events() -> tuple[TimelineEvent, ...]:
    """What led to a crash: of every lane something."""
    kinds = ("session", "v2g", "ocpp", "mqtt", "module-exit", "error", "core-written", "strange")
    ways = (None, "to_car", "to_csms", None, None, None, None, None)
    told = tuple(
        TimelineEvent(
            time=f"2026-11-22 03:12:{i:02}.000 UTC",
            offset=i - 30.5,
            kind=kinds[i % len(kinds)],
            text=f"event number {i}",
            direction=ways[i % len(kinds)],
            module="evse_manager_1",
            source="everest.log",
            count=1 + i % 3,
        )
        for i in range(30)
    )
    own = TimelineEvent(
        time="2026-11-22 03:12:44.002 UTC",
        offset=0.0,
        kind="crash",
        text="evse_manager_1 died of SIGSEGV",
        current=True,
    )
    return (*told, own)


def everything() -> Report:
    """A crash with values, a circle of waits, a timeline, exceptions, logs and notes."""
    report, valued, aborted = samples.null_write(), samples.values(), samples.abort()
    waiting, members = circle(3)
    crashed = msgspec.structs.replace(valued.threads[0], number=7)
    logs = (
        LogExcerpt(source="everest.log", lines=tuple(f"03:12:{i:02} line {i}" for i in range(40))),
    )
    return msgspec.structs.replace(
        report,
        threads=(crashed, *report.threads[1:], *waiting),
        deadlock=members,
        timeline=events(),
        exception=aborted.exception,
        abort_message=aborted.abort_message,
        logs=(*report.logs, *logs),
        provenance=valued.provenance,
    )


def hostile() -> Report:
    """The same with harm in every text."""
    return poisoned(everything())


def all_hostile() -> Report:
    """A smaller one, with harm also where only words of our own can be."""
    return poisoned(samples.null_write(), all_fields=True)


# ---------------------------------------------------------------- a large one


def large(threads: int = 400) -> Report:
    """Threads with stacks of their own and values in them: five megabytes of JSON."""
    crashed, *_ = samples.null_write().threads
    return msgspec.structs.replace(
        samples.null_write(),
        threads=(crashed, *(_worker(number) for number in range(2, threads + 1))),
        modules=tuple(
            Module(path=f"/opt/everest/lib/lib{n}.so", build_id=f"{n:040x}", symbols="full")
            for n in range(200)
        ),
        timeline=events(),
    )


def _worker(number: int) -> Thread:
    frames = tuple(_frame(number, level) for level in range(13))
    return Thread(number=number, lwp=10_000 + number, role=f"worker {number}", frames=frames)


def _frame(number: int, level: int) -> Frame:
    variables = tuple(
        Variable(
            name=f"value_{n}", type="types::energy::Limits", value=f"{{w = {number * level + n}}}"
        )
        for n in range(2)
    )
    return app(
        level,
        f"charging::pool_{number}::Handler<charging::Step{level}>::run(int, char const*)",
        f"/workspace/charger/modules/pool_{number}/step_{level}.cpp",
        10 + level,
        args=variables,
    )
