"""The JUnit report: read by a real consumer, whatever is in it."""

from xml.etree import ElementTree

import junitparser
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evdiag.model.report import (
    Container,
    CoreFile,
    Process,
    Report,
    Sibling,
    Signature,
    Thread,
    Verdict,
)
from evdiag.report import junit
from tests.support import samples
from tests.support.random_nouns import REPORTS
from tests.support.sample_threads import app, crashed
from tests.unit.test_report_threads import deadlock


def read(*reports: Report) -> junitparser.JUnitXml:
    """The document as junitparser reads it; its numbers have to be right."""
    text = junit.render_many(reports)
    assert text.startswith('<?xml version="1.0" encoding="utf-8"?>\n<testsuites ')
    assert text.endswith(("</testsuites>\n", "/>\n"))
    document = junitparser.JUnitXml.fromstring(text.encode())
    told = [(s.tests, s.failures, s.errors, s.skipped) for s in (document, *document)]
    for suite in document:
        suite.update_statistics()  # type: ignore[no-untyped-call]
    document.update_statistics()  # type: ignore[no-untyped-call]
    assert told == [(s.tests, s.failures, s.errors, s.skipped) for s in (document, *document)]
    return document


def cases_of(*reports: Report) -> list[junitparser.TestCase]:
    return [case for suite in read(*reports) for case in suite]


def failure_of(report: Report) -> junitparser.Failure:
    (case,) = cases_of(report)
    (failure,) = case.result
    assert isinstance(failure, junitparser.Failure)
    return failure


@pytest.mark.parametrize("name", samples.ALL)
def test_samples_are_failed_cases(name: str) -> None:
    report = samples.ALL[name]()
    document = read(report)
    assert document.failures == 1
    assert junit.render(report) == junit.render_many([report])


@given(st.lists(REPORTS, max_size=3))
@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_every_document_can_be_read(reports: list[Report]) -> None:
    cases = cases_of(*reports)
    names = [(case.classname, case.name) for case in cases]
    assert len(set(names)) == len(names)  # GitLab ignores all but the first of equal ones
    assert len(cases) >= len(reports)


def test_a_crash_is_a_failed_case_named_after_its_signature() -> None:
    (suite,) = read(samples.null_write())
    assert (suite.name, suite.timestamp) == ("evse_manager_1 (EvseManager)", "2026-11-22T03:12:44")
    crash, *others = suite
    assert crash.classname == "EvseManager"
    assert crash.name == (
        "null-write | module::Charger::set_state | module::Charger::start_charging (6b1d2a9f)"
    )
    (failure,) = crash.result
    assert failure.type == "null-write"
    assert failure.message == (
        "evse_manager_1 (EvseManager): null-write in module::Charger::set_state"
    )
    assert "→ 431      connector->state = state;" in failure.text
    known = {each.name: each.value for each in suite.properties()}  # type: ignore[no-untyped-call]
    assert known["evdiag.signature"] == "6b1d2a9f"
    assert known["evdiag.image"] == "everest-demo:2026.10"
    assert known["evdiag.core"] == "core.4121"
    assert [(case.classname, case.name) for case in others] == [
        ("ocpp", "taken down by another"),
        ("api", "taken down by another"),
    ]
    (skipped,) = others[0].result
    assert isinstance(skipped, junitparser.Skipped)
    assert skipped.message == "taken down with evse_manager_1 (EvseManager) (SIGTERM)"


def test_the_place_is_told_below_the_root_of_the_sources() -> None:
    root = ElementTree.fromstring(junit.render(samples.null_write()))
    case = root.find("testsuite/testcase")
    assert case is not None
    assert (case.get("file"), case.get("line")) == ("modules/EVSE/EvseManager/Charger.cpp", "431")
    root = ElementTree.fromstring(junit.render(crashed(app(0, "f", "/a.cpp"))))
    case = root.find("testsuite/testcase")
    assert case is not None
    assert (case.get("file"), case.get("line")) == ("/a.cpp", None)


@pytest.mark.parametrize("cls", ["snapshot", "no-crash"])
def test_what_is_no_crash_passes(cls: str) -> None:
    document = read(Report(verdict=Verdict(cls=cls)))
    assert (document.tests, document.failures, document.skipped) == (1, 0, 0)


def test_the_stack_stands_in_the_failure_in_full_and_once() -> None:
    assert failure_of(samples.values()).text.count("chain::update") == 1
    text = failure_of(crashed(*(app(n, f"f{n}()", "/a.cpp", n) for n in range(60)))).text
    assert "Whole stack: #1" in text
    assert "f59()" in text


def test_of_a_deadlock_both_are_told() -> None:
    text = failure_of(deadlock(2)).text
    assert "#2 worker_0 (LWP 0) waits for the mutex at 0x0" in text
    assert "Whole stack: #1 (LWP 99)" in text
    assert "pause" in text


def test_without_anything_known_there_is_a_case_too() -> None:
    (case,) = cases_of(Report())
    assert (case.classname, case.name) == ("process", "unknown")


def test_equal_crashes_have_different_names() -> None:
    report = Report(verdict=Verdict(cls="abort"))
    assert [case.name for case in cases_of(report, report, report)] == [
        "abort",
        "abort (no. 2)",
        "abort (no. 3)",
    ]


@pytest.mark.parametrize(
    ("when", "stamp"),
    [
        ("2026-11-22 03:12:44 UTC", "2026-11-22T03:12:44"),
        ("2026-11-22T03:12:44.123Z", "2026-11-22T03:12:44"),
        ("03:12:44", None),
        (None, None),
    ],
)
def test_only_a_time_in_utc_is_a_timestamp(when: str | None, stamp: str | None) -> None:
    (suite,) = read(Report(process=Process(crashed_at=when)))
    assert suite.timestamp == stamp


def taken(module_id: str | None, pid: int | None, status: str | None = None) -> Sibling:
    return Sibling(module_id=module_id, pid=pid, status=status, role="taken_down")


def test_a_process_has_one_case_in_all() -> None:
    first = Report(
        process=Process(pid=1, module_id="evse"),
        siblings=(taken("ocpp", 2), taken("api", 3), taken(None, None), taken("auth", None)),
    )
    second = Report(process=Process(pid=2, module_id="ocpp"), siblings=first.siblings)
    cases = [(case.classname, len(case.result)) for case in cases_of(first, second)]
    assert cases == [("process", 1), ("api", 1), ("process", 1), ("auth", 1), ("process", 1)]
    (api,) = (case for case in cases_of(first, second) if case.classname == "api")
    assert api.result[0].message == "taken down with evse"
    lost = Report(siblings=(taken("api", 3),))
    assert cases_of(lost)[1].result[0].message == "taken down with another process"


def test_no_more_siblings_than_anybody_reads() -> None:
    report = Report(siblings=tuple(taken("m", n) for n in range(1, 500)))
    assert read(report).skipped == junit.MOST_TAKEN_DOWN


def test_hostile_text_is_text() -> None:
    evil = '"/><failure>]]>&lt;\x00\x0b\ufffe\ud800\x1b[31m</testsuites><!--'
    report = Report(
        title=evil,
        verdict=Verdict(cls=evil, summary=evil, evidence=(evil,)),
        signature=Signature(text=evil, hash=evil, address=evil),
        process=Process(executable=evil, module_id=evil, module_type=evil),
        container=Container(image=evil),
        core=CoreFile(path=evil),
        siblings=(taken(evil, 1, evil),),
        threads=(Thread(number=1, crashed=True, role=evil, frames=(app(0, evil, evil, 1),)),),
    )
    document = read(report)
    assert (document.tests, document.failures, document.skipped) == (2, 1, 1)
    text = junit.render(report)
    assert "\\x1b[31m" in text
    assert not set(text) & {"\x00", "\x0b", "\x1b", "\ufffe", "\ud800"}


def test_illegal_characters_would_go_even_if_they_came() -> None:
    assert junit._legal("a\x00\ufffe\ud800b\t\n😀") == "a���b\t\n😀"


def test_a_long_failure_is_cut() -> None:
    report = crashed(*(app(n, f"f{n}_{'名' * 90}()", "/a.cpp", n) for n in range(60)))
    report = msgspec.structs.replace(report, verdict=Verdict(summary="名" * 20_000))
    text = failure_of(report).text
    assert len(text.encode()) <= junit.LONGEST_BODY + 20
    assert text.count("名" * 90) > 1


def test_many_reports_stay_below_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(junit, "LIMIT", 210_000)
    monkeypatch.setattr(junit, "MOST_REPORTS", 12)
    reports = [samples.hostile()] * 17
    text = junit.render_many(reports)
    assert len(text.encode()) < junit.LIMIT
    *_, left_out = cases_of(*reports)
    assert left_out.name == "reports left out"
    assert left_out.result[0].message == "5 reports left out: there were too many"
    assert "… (cut)" in text
