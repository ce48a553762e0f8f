"""Which records are about which process, and which of them nobody gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.causality import decide
from evdiag.analyze.log_facts import MAX_EVENTS, facts_of
from evdiag.model.incident import CoreSeen, Run
from evdiag.model.logs import ExitStatus, LogEvent
from tests.unit.test_causality import CORES, DAY, EVENTS, HEAD, core, events, only

RELEASE_END = """\
{0}10.200000 [CRIT] manager         int boot() :: Module {1} (pid: {2}) exited with status: {3}. \
Terminating all modules.
"""
STOPPED = (
    "{0}10.220000 [INFO] manager          :: Module {1} (pid {2}) shutdown [6ms] with status: \
signal={3}\n"
)
TERMINATE = "terminate called after throwing an instance of 'E{0}'\n"
HEAP = "free(): invalid pointer\n"
TRACEBACK = """\
Traceback (most recent call last):
  File "/opt/module.py", line 9, in <module>
    main()
KeyError: 'iso15118'
"""


def said(run: Run, name: str) -> list[tuple[str, str | None]]:
    """What a process is told to have said, its ends left out."""
    facts = facts_of(run)[[m.name for m in run.members].index(name)]
    return [(e.kind, e.detail) for e in facts.events if not e.kind.startswith("module-")]


def run_of(text: str, *cores: CoreSeen) -> Run:
    return only(cores, events(text))


def end(name: str, pid: int, status: int) -> str:
    return RELEASE_END.format(DAY, name, pid, status)


def stopped(name: str, pid: int, signal: int) -> str:
    return STOPPED.format(DAY, name, pid, signal)


def test_the_last_words_are_those_of_the_first_that_ends() -> None:
    run = only([core("ocpp", 101, signal=6)], events(HEAD.format(DAY)))

    assert said(run, "ocpp") == [
        ("terminate", "std::out_of_range"),
        ("what", "key 'status' not found"),
    ]
    assert said(run, "evse_manager") == []
    assert [e.kind for e in facts_of(run)[0].events][2:] == ["module-exit", "module-exit"]


@pytest.mark.parametrize(
    ("text", "status", "fits"),
    [
        (TERMINATE, 134, True),
        (TERMINATE, 139, False),
        (TERMINATE, 256, False),
        (HEAP, 6, True),
        (TRACEBACK, 256, True),
        (TRACEBACK, 0, False),
        (TRACEBACK, 134, False),
    ],
)
def test_what_does_not_fit_to_the_end_is_nobodys(text: str, status: int, fits: bool) -> None:
    run = run_of(text + end("ocpp", 101, status))

    assert bool(said(run, "ocpp")) is fits


def test_a_second_process_that_fits_better() -> None:
    text = TERMINATE + end("ocpp", 101, 139) + stopped("api", 102, 6) + stopped("evse", 103, 15)
    run = run_of(text)
    assert said(run, "ocpp") == []
    assert said(run, "api") == [("terminate", "E{0}")]


def test_words_while_all_are_being_ended() -> None:
    first = end("ocpp", 101, 134)
    one = run_of(first + TERMINATE + stopped("api", 102, 6) + stopped("evse", 103, 15))
    assert said(one, "ocpp") == []
    assert said(one, "api") == [("terminate", "E{0}")]

    two = run_of(first + TERMINATE + stopped("api", 102, 6) + stopped("evse", 103, 6))
    assert said(two, "api") == said(two, "evse") == said(two, "ocpp") == []


def test_two_speakers_before_one_end() -> None:
    text = TERMINATE.format(1) + TERMINATE.format(2) + end("ocpp", 101, 134)

    assert said(run_of(text + stopped("api", 102, 6)), "ocpp") == []


def test_the_first_is_not_in_this_log() -> None:
    text = TERMINATE + stopped("api", 102, 6)
    run = run_of(text, core("ocpp", 101, signal=6))

    assert run.first is not None
    assert run.first.name == "ocpp"
    assert said(run, "api") == said(run, "ocpp") == []


def test_words_without_an_end_are_nobodys() -> None:
    run = run_of(end("ocpp", 101, 134) + TERMINATE)

    assert said(run, "ocpp") == []


def test_words_with_a_name_or_an_id_belong_to_it() -> None:
    def event(kind: str, line: int, **more: object) -> LogEvent:
        facts = {"kind": kind, "source": "l", "line": line, "text": "", "time": 1.0, **more}
        return LogEvent(**facts)  # type: ignore[arg-type]  # names of LogEvent

    status = ExitStatus(signal=6)
    told = [
        event("sanitizer", 1, pid=101),
        event("terminate", 2, module_id="iso15118_charge"),
        event("module-exit", 3, module_id="iso15118_charger", pid=101, status=status),
        event("sanitizer", 4, pid=102),
        event("module-stopped", 5, module_id="api", pid=102, status=ExitStatus(code=1)),
    ]
    run = only([], told)

    assert [e.line for e in facts_of(run)[0].events] == [1, 2, 3]
    assert [e.line for e in facts_of(run)[1].events] == [4, 5]


def test_the_status_may_be_unknown() -> None:
    announced = HEAD.format(DAY).split("\n")[4] + "\n"
    assert said(run_of(TERMINATE + announced), "ocpp") == [("terminate", "E{0}")]
    assert said(run_of(TRACEBACK + announced), "ocpp") == [("script", "KeyError")]


def test_a_program_that_nobody_watches() -> None:
    known = run_of(HEAP + "x\n", core(None, 7, signal=6))
    assert (known.kind, known.first) == ("unknown", None)
    assert [e.kind for e in facts_of(known)[0].events] == ["libc-message"]
    assert facts_of(run_of(HEAP, core(None, 7, signal=11)))[0].events == ()
    assert facts_of(run_of(TERMINATE * 2, core(None, 7, signal=6)))[0].events == ()

    lost = run_of(TRACEBACK)
    assert lost.first is not None
    assert [e.kind for e in facts_of(lost)[0].events] == ["script"]


def test_a_program_that_nobody_watches_may_have_told_its_id() -> None:
    def report(pid: int) -> LogEvent:
        return LogEvent(kind="sanitizer", source="l", line=pid, text="", pid=pid)

    run = only([], [report(7)])
    assert run.first is not None
    assert run.first.pid == 7
    assert len(facts_of(run)[0].events) == 1
    two = only([], [report(7), report(8)])
    assert facts_of(two)[0].events == ()
    error = LogEvent(kind="error", source="l", line=1, text="")
    assert decide([], [error]) == ((), ())
    cores = (core("a", 1), core("b", 2))
    assert decide(cores, [report(7)]) == ((), cores)


def test_the_report_of_a_sanitizer_without_an_id() -> None:
    told = [
        LogEvent(kind="sanitizer", source="l", line=1, text=""),
        LogEvent(
            kind="module-exit",
            source="l",
            line=2,
            text="",
            module_id="ocpp",
            status=ExitStatus(code=1),
        ),
    ]
    assert len(facts_of(only([], told))[0].events) == 2


def test_only_the_last_events_are_kept() -> None:
    many = [
        LogEvent(kind="error", source="l", line=n, text="", module_id="ocpp", time=1.0)
        for n in range(2 * MAX_EVENTS)
    ]
    text = events(end("ocpp", 101, 139), "l")

    kept = facts_of(only([], [*many, *text]))[0].events

    assert len(kept) == MAX_EVENTS
    assert kept[-1].kind == "module-exit"


@given(st.lists(CORES, max_size=3), st.lists(EVENTS, max_size=20))
def test_nothing_has_two_owners(cores: list[CoreSeen], told: list[LogEvent]) -> None:
    for run in decide(cores, told)[0]:
        facts = facts_of(run)
        assert len(facts) == len(run.members)
        nameless = [e for f in facts for e in f.events if e.kind == "terminate" and not e.module_id]
        owned = [id(e) for e in nameless if e.pid is None]
        assert len(owned) == len(set(owned))
