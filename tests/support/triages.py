"""Triages for tests: made of crashes by the code that makes real ones."""

from collections.abc import Iterable, Sequence

import msgspec

from evdiag.analyze.triage.baseline import compared
from evdiag.analyze.triage.groups import grouped
from evdiag.analyze.triage.similar import with_similar
from evdiag.model.report import Address, SoftError, Tool
from evdiag.model.triage import Crash, Failure, Group, Place, Run, Triage
from tests.support import samples

LONG = (
    "std::__invoke_impl<void, nlohmann::basic_json<std::map, std::vector, std::string, bool, long, "
    "unsigned long, double, std::allocator, nlohmann::adl_serializer> (*)(types::energy::"
    "ScheduleReqEntry const&), module::EnergyManager<types::energy::ExternalLimits>&>"
    "(std::__invoke_other, types::energy::ScheduleReqEntry const&)"
)
"""A function as templates make them."""
STACK = tuple(f"charging::level_{i}" for i in range(12))
BUILDS = ("a1b2c3d4" * 5, "b2c3d4e5" * 5)


def crash(
    path: str = "core.1", function: str = "charging::Session::book", **facts: object
) -> Crash:
    """A null pointer that was written through in a module, and whatever else is told of it."""
    text = f"sig:v1: EvseManager | null-write | {function} | charging::run"
    made = Crash(
        path=path,
        title=f"evse_manager_1 (EvseManager): null-write in {function} at session.hpp:29",
        cls="null-write",
        confidence="high",
        summary="wrote to address 0x18: a null pointer plus an offset of 0x18 (rax is 0)",
        signature=text,
        hash=f"{sum(map(ord, text)) * 2654435761:016x}"[-16:],
        address=f"{BUILDS[0]}+{len(function):#x}",
        proto=(function, *STACK),
        place=Place(
            function=function,
            file="/src/charging/session.hpp",
            line=29,
            module="/opt/everest/EvseManager",
            offset=Address(0x1234),
            build_id=BUILDS[0],
        ),
        program="EvseManager",
        module_id="evse_manager_1",
        build_id=BUILDS[0],
        seen="2026-11-22 03:12:44 UTC",
    )
    return msgspec.structs.replace(made, **facts)


def crashes(kinds: int) -> list[Crash]:
    """Of so many kinds, the first one the most frequent, in two builds over some days."""
    classes = ("null-write", "assert", "uncaught-exception", "heap-corruption", "stack-overflow")
    found = []
    for kind in range(kinds):
        function = LONG if kind % 7 == 4 else f"charging::Session::step_{kind}"
        cls = classes[kind % 5]
        detail = " reading.power_w <= limit_w" if cls == "assert" else ""
        made = crash(
            function=function,
            cls=cls,
            title=f"evse_manager_1 (EvseManager): {cls}{detail} in {function} at session.hpp:9",
            signature=f"sig:v1: EvseManager | {cls} | {function} | {kind}",
            hash=f"{kind:016x}",
            place=Place(function=function, file="/src/charging/session.hpp", line=20 + kind),
            proto=(function, *STACK[kind % 5 :]),
        )
        found += [
            msgspec.structs.replace(
                made,
                path=f"cores/core.{4000 + kind}.{number}",
                build_id=BUILDS[number % 2],
                seen=f"2026-11-{20 + number % 4:02} 0{number % 10}:12:44 UTC",
            )
            for number in range(max(1, 40 // (kind + 1)))
        ]
    return found


def triage(found: Iterable[Crash], *, reports: bool = True, **facts: object) -> Triage:
    """The triage of such crashes, each group with a report."""
    groups = with_similar(grouped(found))
    if reports:
        groups = tuple(_with_report(group) for group in groups)
    made = Triage(
        tool=Tool(version="0.1.0"),
        created="2026-11-23T09:15:00Z",
        groups=groups,
        run=Run(
            cores=sum(group.count for group in groups),
            analysed=sum(group.count for group in groups),
            debugged=len(groups),
            seconds=12.34,
            cpu_seconds=20.1,
            jobs=2,
        ),
    )
    return msgspec.structs.replace(made, **facts)


def _with_report(group: Group) -> Group:
    report = msgspec.structs.replace(samples.null_write(), title=group.title)
    return msgspec.structs.replace(group, report=report)


def against(mine: Triage, baseline: Triage, name: str = "baseline.json") -> Triage:
    """The triage compared with an earlier one."""
    groups, gone = compared(mine.groups, baseline)
    return msgspec.structs.replace(mine, groups=groups, gone=gone, baseline=name)


def full() -> Triage:
    """Everything that a triage can have: new, known and gone groups, garbage, a remainder."""
    old = triage([*crashes(4), crash("old/core.9", "charging::Session::gone_again")])
    cut = [
        crash(f"cut/core.{i}", cls="abort", anonymous=True, truncated=True, symbols=False)
        for i in range(3)
    ]
    garbage: Sequence[Failure] = (
        *(Failure(path=f"logs/{i}.txt", message="not a core dump: text") for i in range(12)),
        Failure(
            path="core.empty", message="core.empty: the file is empty", advice="Copy it again."
        ),
    )
    mine = triage([*crashes(6), *cut])
    return msgspec.structs.replace(
        against(mine, old),
        failures=garbage,
        soft_errors=(
            SoftError(stage="gdb", message="gdb died on core.7", effect="its values are missing"),
        ),
    )
