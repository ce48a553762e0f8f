"""Who died first, by the times that the core writer noted; and crashes that left no core."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from evdiag.analyze.captured import seen
from evdiag.analyze.causality import decide, decide_without_logs, seconds
from evdiag.analyze.log_facts import facts_of
from evdiag.analyze.no_core import noted_cause, why_no_core
from evdiag.analyze.retell import cases, retold, title
from evdiag.model.crash import Cause
from evdiag.model.incident import CaptureNote, CoreSeen, Member, Run, Surroundings
from evdiag.model.logs import LogEvent
from evdiag.model.report import Report, Signal, Verdict
from tests.unit.test_causality import CORES, DAY, EVENTS, SUPERVISOR, events, head

CRASH = 1795330870.0
"""2026-11-22 07:01:10 UTC, when the logs of the other tests tell of an end."""


def note(name: str, pid: int, at: float | None, **more: object) -> CaptureNote:
    facts = {"pid": pid, "signal": 11, "crashed_at": at, "argv": (f"{name}:X",), **more}
    return CaptureNote(**facts)  # type: ignore[arg-type]  # names of CaptureNote


def core(name: str, pid: int, at: float | None, **more: object) -> CoreSeen:
    told = None if at is None else note(name, pid, at)
    facts = {"path": name, "module_id": name, "pid": pid, "signal": 11, "note": told, **more}
    return CoreSeen(**facts)  # type: ignore[arg-type]  # names of CoreSeen


def lost(name: str, pid: int, at: float | None, **more: object) -> CoreSeen:
    return seen(note(name, pid, at, **more))


def first(found: tuple[tuple[Run, ...], tuple[CoreSeen, ...]]) -> tuple[str | None, Run]:
    runs, left = found
    assert (len(runs), left) == (1, ())
    return (runs[0].first.name if runs[0].first else None), runs[0]


# ---------------------------------------------------------------- order


def test_milliseconds_are_enough_where_they_were_noted() -> None:
    copied = [core("api", 2, CRASH + 0.045, written=9.0), core("ocpp", 1, CRASH, written=9.0)]

    name, run = first(decide_without_logs(copied))

    assert (name, run.confidence) == ("ocpp", "medium")
    assert run.evidence[0] == (
        "no log names the first to end; ocpp crashed 0.045 s before the others, "
        "as the core writer noted"
    )


@pytest.mark.parametrize(
    ("at", "written", "expected"),
    [(CRASH + 0.001, None, None), (None, CRASH + 0.5, None), (None, CRASH + 2, "ocpp")],
)
def test_what_is_too_near_says_nothing(
    at: float | None, written: float | None, expected: str | None
) -> None:
    cores = [core("api", 2, at, written=written), core("ocpp", 1, CRASH)]

    name, run = first(decide_without_logs(cores))

    assert (name, run.confidence) == (expected, "low")


def test_one_that_crashed_before_the_first_that_the_manager_saw() -> None:
    cores = [core("ocpp", 101, CRASH), core("evse_manager", 103, CRASH - 0.08)]

    name, run = first(decide(cores, head()))

    assert (name, run.confidence) == ("evse_manager", "medium")
    assert "names ocpp as the first to end" in run.evidence[0]
    assert run.evidence[1] == (
        "but evse_manager had crashed 0.080 s before, as the core writer noted"
    )


@pytest.mark.parametrize("before", [-0.08, 0.001, 600.0, None])
def test_the_manager_is_believed_otherwise(before: float | None) -> None:
    other = None if before is None else CRASH - before
    cores = [core("ocpp", 101, CRASH), core("evse_manager", 103, other, written=1.0)]

    name, run = first(decide(cores, head()))

    assert (name, run.confidence) == ("ocpp", "high")
    doubts = [text for text in run.evidence if "prove nothing" in text]
    assert len(doubts) == (before is None)


def test_durations() -> None:
    assert [seconds(time) for time in (0.0451, 9.5, 12.4)] == ["0.045 s", "9.500 s", "12 s"]


# ---------------------------------------------------------------- crashes without a core


def test_a_note_and_the_logs_tell_of_one_process() -> None:
    name, run = first(decide([lost("ocpp", 101, CRASH, signal=6)], head()))

    assert name == "ocpp"
    ocpp = run.members[0]
    assert ocpp.lost is not None
    assert (ocpp.cores, ocpp.pid) == ((), 101)
    assert ocpp.status is not None
    assert ocpp.status.signal == 6
    assert next(member.name for member, _, _ in cases(run, facts_of(run))) == "ocpp"


def test_one_that_no_log_tells_of_is_told_all_the_same() -> None:
    told = events(SUPERVISOR.format(DAY), "supervisord.log")

    name, run = first(decide([lost("ocpp", 101, CRASH)], told))

    assert name == "ocpp"
    assert run.evidence[0].endswith("ocpp is the only process of which a crash was noted")
    assert "ocpp" in [member.name for member, _, core in cases(run, facts_of(run)) if not core]


@pytest.mark.parametrize("text", ["", "terminate called without an active exception\n"])
def test_alone(text: str) -> None:
    found = lost("ocpp", 101, CRASH, signal=6)

    name, run = first(decide([found], events(text)) if text else decide_without_logs([found]))

    assert (name, run.kind, run.confidence) == ("ocpp", "crash", "medium")
    ((member, facts, nothing),) = cases(run, facts_of(run))
    assert nothing is None
    assert [event.kind for event in facts.events] == ["terminate"] * bool(text)
    assert title(run, member, Cause(cls="abort", summary="")) == "ocpp: abort"


def test_a_core_and_a_crash_without_one() -> None:
    found = [core("api", 2, CRASH + 1), lost("ocpp", 1, CRASH), lost("far", 7, CRASH + 900)]

    runs, left = decide_without_logs(found)

    assert left == ()
    assert [run.first.name for run in runs if run.first] == ["ocpp", "far"]
    assert [member.name for member in runs[0].members] == ["ocpp", "api"]


def test_the_same_module_crashed_twice() -> None:
    twice = [core("ocpp", 1, CRASH), lost("ocpp", 2, CRASH + 3)]

    runs, left = decide_without_logs([*twice, core("api", 3, CRASH + 3.1), core("api", 4, None)])

    assert [[m.pid for m in run.members] for run in runs] == [[2, 3]]
    assert [core.pid for core in left] == [1, 4]
    name, run = first(decide(twice, events(SUPERVISOR.format(DAY), "supervisord.log")))
    assert name == "ocpp"
    assert [(m.pid, bool(m.cores)) for m in run.members if m.name == "ocpp"] == [
        (1, True),
        (2, False),
    ]
    assert sum(m.name == "ocpp" for m, _, _ in cases(run, facts_of(run))) == 2


def test_a_core_of_the_kernel_is_better_than_none() -> None:
    both = [core("ocpp", 1, None, written=CRASH), lost("ocpp", 1, CRASH)]

    name, run = first(decide_without_logs(both))

    assert name == "ocpp"
    assert [told is not None for _, _, told in cases(run, facts_of(run))] == [True]


def test_a_crash_of_which_the_signal_is_known_by_the_log() -> None:
    told = head()
    name, run = first(decide([lost("ocpp", 101, CRASH, signal=5)], told))

    assert name == "ocpp"
    assert run.members[0].status is not None
    assert run.members[0].status.signal == 6


def test_titles_of_crashes_in_a_run_without_a_first() -> None:
    near = [lost("api", 2, CRASH), lost("ocpp", 1, CRASH)]

    name, run = first(decide_without_logs(near))

    assert name is None
    assert [title(run, m, Cause(cls="abort", summary="")) for m in run.members] == [
        "api: abort",
        "ocpp: abort",
    ]
    assert len(cases(run, facts_of(run))) == 2


# ---------------------------------------------------------------- why there is no core


def member(**more: object) -> Member:
    return Member(name="ocpp", lost=lost("ocpp", 1, CRASH, **more))


@pytest.mark.parametrize(
    ("more", "message", "hint"),
    [
        ({"error": "No space left on device"}, "no core of ocpp: No space left", "Make room"),
        ({"error": "odd"}, "no core of ocpp: odd", "Look at the log of EVerest"),
        ({}, "its writer does not say why", "Look at the log of EVerest"),
        ({"core": "core.1"}, "core.1 of ocpp was taken away to make room", "EVDIAG_CORES_MAX"),
        ({"core": "core.2"}, "core.2 of ocpp is not here", "Copy it too."),
    ],
)
def test_why_there_is_no_core(more: dict[str, object], message: str, hint: str) -> None:
    error = why_no_core(member(**more), Surroundings(removed=frozenset({"core.1"})))

    assert message in error.message
    assert hint in (error.hint or "")


def test_the_logs_may_know_better_than_the_note() -> None:
    crashed = member(si_code=1, fault_address=0)
    assert noted_cause(Member(), None) is None
    assert noted_cause(replace(crashed, lost=replace(CORE_ALONE, note=None)), None) is None
    assert noted_cause(crashed, Cause(cls="uncaught-exception", summary="")) is None
    for told in (None, Cause(cls="unknown", summary="")):
        cause = noted_cause(crashed, told)
        assert cause is not None
        assert cause.cls == "null-access"


CORE_ALONE = CoreSeen(path="")
NOTES = st.builds(
    CaptureNote,
    pid=st.integers(0, 3),
    signal=st.integers(1, 64),
    si_code=st.none() | st.integers(-6, 128),
    argv=st.sampled_from([(), ("ocpp:OCPP201",), ("x",)]),
    crashed_at=st.none() | st.floats(-6e10, 2e11),
    core=st.none() | st.just("core"),
)


@given(st.lists(CORES, max_size=4), st.lists(NOTES, max_size=4), st.lists(EVENTS, max_size=20))
def test_whatever_the_notes_say_every_core_is_told_once(
    cores: Sequence[CoreSeen], notes: Sequence[CaptureNote], told: Sequence[LogEvent]
) -> None:
    with_notes = [
        replace(core, note=note) for core, note in zip(cores, notes, strict=False)
    ] + list(cores[len(notes) :])
    everything = [*with_notes, *map(seen, notes)]
    for runs, left in (decide(everything, told), decide_without_logs(everything)):
        found = [core for run in runs for member in run.members for core in member.cores]
        assert len(found) + len(left) == len(cores)
        assert all(core.path for core in left)
        assert all(sum(m.role == "first_fault" for m in run.members) <= 1 for run in runs)


# ---------------------------------------------------------------- who sent the signal


@pytest.mark.parametrize(
    ("cls", "sender", "said"),
    [
        ("sent-signal", 7, ("process 7 is everest",)),
        ("sent-signal", 8, ()),
        ("sent-signal", 9, ()),
        ("sent-signal", None, ()),
        ("abort", 7, ()),
    ],
)
def test_who_sent_the_signal(cls: str, sender: int | None, said: tuple[str, ...]) -> None:
    run = Run(members=(Member(name="ocpp"), Member(name="everest", pid=7), Member(pid=8)))
    verdict = Verdict(cls=cls)

    for signal in (Signal(number=6, sender_pid=sender), None):
        told = retold(Report(verdict=verdict, signal=signal), run, run.members[0], ())
        assert told.verdict.evidence == (said if signal else ())
