"""Causality in the words of a report."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze import retell
from evdiag.analyze.causality import decide
from evdiag.analyze.log_facts import facts_of
from evdiag.analyze.retell import (
    MOST_LINES,
    WINDOW,
    Excerpt,
    Wanted,
    who_was_first,
)
from evdiag.analyze.times import time_words
from evdiag.model.crash import Cause
from evdiag.model.incident import CoreSeen, Member, Run
from evdiag.model.logs import ExitStatus, LogEvent, LogFacts
from evdiag.model.report import LogExcerpt, Process, Report, Verdict
from tests.unit.test_causality import CORES, DAY, EVENTS, HEAD, core, events, head, only, release

VERDICT = Verdict(cls="null-read", summary="read from null", evidence=("e",), advice=("a",))


def cascade() -> Run:
    return only([core("evse_manager", 103), core("ocpp", 101, signal=6)], head())


# ---------------------------------------------------------------- siblings


def test_siblings_have_what_is_known_of_them() -> None:
    other = core(None, 7, program="bash")
    told = retell.siblings(cascade(), [other], {"core.ocpp.101": VERDICT})

    assert [(s.module_id, s.role, s.status) for s in told] == [
        ("ocpp", "first_fault", "SIGABRT, core dumped"),
        ("api", "taken_down", "SIGTERM"),
        ("evse_manager", "taken_down", "SIGSEGV, core dumped"),
        ("iso15118_charger", "taken_down", "SIGKILL"),
        ("bash", "unrelated", None),
    ]
    assert (told[0].cls, told[0].summary) == ("null-read", "read from null")
    assert told[0].core == "core.ocpp.101"
    assert told[2].note == "crashed while it was being shut down"
    assert told[4].note == "left by another run"


def test_a_manager_that_does_not_wait() -> None:
    told = retell.siblings(only([], release()), [], {"ocpp": VERDICT})

    assert [s.status for s in told] == ["SIGSEGV, core dumped", "SIGTERM sent"]
    assert told[0].cls == "null-read"
    untold = Run(members=(Member(name="a"),))
    assert retell.siblings(untold, [], {})[0].status is None


# ---------------------------------------------------------------- reports


def test_the_report_of_the_first() -> None:
    run = cascade()
    report = retell.retold(Report(verdict=VERDICT), run, run.members[0], ())

    assert report.verdict.evidence == ("e", *run.evidence)
    assert report.verdict.advice == ("a",)
    assert report.process.crashed_at == "2026-11-22 07:01:10.200"


def test_the_report_of_one_that_was_taken_down() -> None:
    run = cascade()
    known = Report(verdict=VERDICT, process=Process(crashed_at="noon"))
    report = retell.retold(known, run, run.members[2], ())

    assert report.verdict.evidence[1] == (
        "ocpp ended first (SIGABRT, core dumped); this process crashed while it was being shut down"
    )
    assert report.verdict.advice[0] == (
        "Look at ocpp first: this process was only being shut down."
    )
    assert report.process.crashed_at == "noon"
    quiet = retell.evidence(run, run.members[1])
    assert quiet[0] == "ocpp ended first (SIGABRT, core dumped)"


def test_the_report_of_one_that_has_nothing_to_do_with_it() -> None:
    run = cascade()
    stranger = Member(name="web", role="unrelated")

    assert retell.evidence(run, stranger) == retell.advice(run, stranger) == ()
    assert retell.retold(Report(), run, stranger, ()).process.crashed_at is None


def test_titles_of_reports_without_a_core() -> None:
    first = Member(name="ocpp", role="first_fault")
    run = Run(kind="crash", members=(first,))
    assert retell.title(run, first, Cause(cls="assert", summary="", detail="x > 0")) == (
        "ocpp: assert x > 0"
    )
    assert retell.title(run, first, Cause(cls="unknown", summary="")) == "ocpp: unknown"
    lost = Run(kind="broker-lost")
    assert retell.title(lost, Member(), Cause(cls="no-crash", summary="")) == (
        "no crash: broker lost"
    )


def test_whom_to_report_on() -> None:
    run = cascade()
    listed = retell.cases(run, facts_of(run))
    assert [(m.name, seen and seen.path) for m, _, seen in listed] == [
        ("ocpp", "core.ocpp.101"),
        ("evse_manager", "core.evse_manager.103"),
    ]

    lost = only([], head())
    assert [m.name for m, _, _ in retell.cases(lost, facts_of(lost))] == ["ocpp", "evse_manager"]

    spoke = LogEvent(kind="sanitizer", source="l", line=1, text="", pid=102)
    run = only([], [*release(), spoke])
    assert [m.name for m, _, _ in retell.cases(run, facts_of(run))] == ["ocpp", "api"]


# ---------------------------------------------------------------- times


@pytest.mark.parametrize(
    ("time", "words"),
    [
        (None, None),
        (0.5, "1970-01-01 00:00:00.500"),
        (float("inf"), None),
        (1e18, None),
        (-1e18, None),
    ],
)
def test_times(time: float | None, words: str | None) -> None:
    assert time_words(time) == words


# ---------------------------------------------------------------- lines of logs


def excerpt(text: str, **wanted: object) -> tuple[str, ...]:
    facts = {"name": "ocpp", "end": 99, "deciding": frozenset(), **wanted}
    collected = Excerpt(Wanted(**facts))  # type: ignore[arg-type]  # names of Wanted
    for number, line in enumerate(text.splitlines(), 1):
        if collected.wants(number):
            collected.add(number, line)
    return collected.lines()


def test_the_lines_of_a_process_and_those_that_decided() -> None:
    run = cascade()
    wanted = retell.wanted(facts_of(run)[0], run.members[0])["everest.log"]
    assert (wanted.name, wanted.end) == ("ocpp", 5)
    assert wanted.deciding == {3, 4, 5, 12}

    text = HEAD.format(DAY).replace("Session", 'key="x" Session')
    shown = excerpt(text, end=5, deciding=wanted.deciding)

    assert len(shown) == 5
    assert shown[0].endswith(':: key="x" Session started')
    assert shown[1].startswith("terminate called")
    assert shown[2] == "  what():  key 'status' not found"
    assert "Module ocpp exited unexpectedly" in shown[3]
    assert "did not shut down cleanly" in shown[4]


def test_lines_that_go_on_belong_to_their_record() -> None:
    text = (
        f"{DAY}01.000000 [INFO] ocpp:OCPP201     :: {{\n"
        '  "a": 1\n'
        f"{DAY}01,000 INFO spawned: 'x' with pid 1\n"
        "  not mine\n"
        f"{DAY}01.000000 [INFO] ocppx:OCPP201    :: not mine\n"
    )
    assert excerpt(text)[1:] == ('  "a": 1',)
    assert excerpt(text, name=None) == ()


def test_only_the_last_lines_of_a_process() -> None:
    line = f"{DAY}01.000000 [INFO] ocpp:OCPP201     :: "
    text = "\n".join(f"{line}{n}" for n in range(9 * MOST_LINES))

    shown = excerpt(text, end=9 * MOST_LINES)

    assert len(shown) == MOST_LINES
    assert shown[-1].endswith(f":: {9 * MOST_LINES - 1}")
    far = Excerpt(Wanted(name="ocpp", end=3 * WINDOW, deciding=frozenset({5})))
    assert [far.wants(n) for n in (5, 6, 2 * WINDOW, 3 * WINDOW, 3 * WINDOW + 1)] == [
        *(True, False, True, True, False)
    ]
    assert [far.is_over(n) for n in (5, 3 * WINDOW)] == [False, True]


def test_a_process_whose_end_no_log_tells() -> None:
    told = LogFacts(events=(LogEvent(kind="error", source="l", line=4, text="a\nb"),))

    assert retell.wanted(told, Member(name="ocpp"))["l"] == Wanted(
        name="ocpp", end=5, deciding=frozenset({4, 5})
    )


def test_logs_without_lines_are_left_out() -> None:
    some = Excerpt(Wanted(name="a", end=1, deciding=frozenset({1})))
    some.add(1, "line")
    none = Excerpt(Wanted(name="a", end=1, deciding=frozenset()))

    report = retell.with_excerpts(Report(), {"x": some, "y": none})

    assert report.logs == (LogExcerpt(source="x", lines=("line",)),)


# ---------------------------------------------------------------- one line for several reports


def test_one_line_says_who_was_first() -> None:
    run = cascade()
    assert who_was_first([run], 1) == ""
    assert who_was_first([run], 2) == (
        "ocpp died first and took 3 others down: its report comes first"
    )
    assert who_was_first([Run()], 2) == "no log says which of these processes died first"
    alone = Run(confidence="low", members=(Member(name="api", role="first_fault"),))
    assert who_was_first([run, alone], 3) == (
        "ocpp died first and took 3 others down; in the next run api died first "
        "(confidence: low); oldest first"
    )


@given(st.lists(CORES, max_size=3), st.lists(EVENTS, max_size=20), st.lists(st.text(max_size=40)))
def test_whatever_the_logs_say_it_can_be_told(
    cores: list[CoreSeen], told: list[LogEvent], lines: list[str]
) -> None:
    runs, left = decide(cores, told)
    assert isinstance(who_was_first(runs, 2), str)
    for run in runs:
        assert len(retell.siblings(run, left, {})) <= len(run.members) + len(left)
        for member, facts, _ in retell.cases(run, facts_of(run)):
            retell.retold(Report(), run, member, ())
            for wanted in retell.wanted(facts, member).values():
                collected = Excerpt(wanted)
                for number, line in enumerate(lines, 1):
                    collected.add(number, line)
                assert isinstance(collected.lines(), tuple)


def test_a_status_that_nobody_told() -> None:
    run = Run(kind="crash", members=(Member(name="a", role="first_fault", status=ExitStatus()),))
    assert events("") == []
    assert retell.siblings(run, (), {})[0].status is None
    assert retell.siblings(Run(members=(Member(),)), (), {}) == ()
