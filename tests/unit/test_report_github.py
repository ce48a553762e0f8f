"""The job summary: a table and folded reports, within GitHub's limit, and nothing breaks out."""

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evdiag.model.report import Frame, Process, Report, Sibling, Signature, Thread, Verdict
from evdiag.report import github
from tests.support import samples
from tests.support.random_nouns import REPORTS
from tests.unit.test_report_markdown import OURS, Page, as_text, big_report, monster
from tests.unit.test_report_threads import deadlock

GITHUB_TAKES = 1_048_576
ELEMENTS = OURS | {"table", "thead", "tbody", "tr", "th", "td", "br"}


def checked(*reports: Report) -> str:
    """The summary; it must be whole, and hold no element but our own."""
    text = github.render_many(reports)
    assert len(text.encode()) < GITHUB_TAKES
    page = Page(text.replace("<br>", ""))
    assert set(page.elements) <= ELEMENTS
    assert not page.open
    assert text.endswith("\n")
    cells = page.elements.count("td")
    assert cells % 5 == 0
    return text


def rows_of(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("| ")][2:]


@pytest.mark.parametrize("name", samples.ALL)
def test_samples(name: str) -> None:
    report = samples.ALL[name]()
    text = checked(report)
    assert len(rows_of(text)) >= 1
    assert text == github.render(report)
    assert text.count("<details open>") == 1


@given(st.lists(REPORTS, max_size=3))
@settings(max_examples=12, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_no_report_at_all_can_break_out(reports: list[Report]) -> None:
    text = checked(*reports)
    assert Page(text.replace("<br>", "")).elements.count("tr") == (
        len(reports) + 1 if reports else 0
    )


def test_the_table_tells_what_where_and_who_was_first() -> None:
    victim = Report(
        verdict=Verdict(cls="sent-signal"),
        process=Process(module_id="api", pid=4133),
        siblings=samples.SIBLINGS,
    )
    snapshot = Report(verdict=Verdict(cls="snapshot"), siblings=samples.SIBLINGS[1:])
    text = checked(samples.null_write(), victim, snapshot, Report(verdict=Verdict(cls="")))
    assert text.startswith("## evdiag: 3 crashes, 1 report without a crash\n")
    assert rows_of(text)[:4] == [
        "| **null-write** | module::Charger::set_state(…)<br>"
        "…/everest-core/modules/EVSE/EvseManager/Charger.cpp:431 | evse_manager_1 (EvseManager)"
        " | this process died first | 6b1d2a9f |",
        "| **sent-signal** |  | api | evse_manager_1 (SIGSEGV) |  |",
        "| snapshot |  |  |  |  |",
        "| **unknown** |  |  |  |  |",
    ]
    assert "<details open>" not in text
    summary = "<details><summary>evse_manager_1 (EvseManager): null-write in module::Charger"
    assert text.count(summary) == 1


def test_of_a_deadlock_the_one_that_waits_is_told() -> None:
    assert "lock_it()<br>/src/meter.cpp:7" in rows_of(checked(deadlock(2)))[0]


def test_a_frame_of_nowhere() -> None:
    thread = Thread(number=1, crashed=True, frames=(Frame(level=0),))
    report = Report(threads=(thread,), signature=Signature())
    assert rows_of(checked(report)) == ["| **unknown** | &#63;&#63; |  |  |  |"]


def test_without_reports() -> None:
    assert github.render_many([]) == "## evdiag: no crash\n"


@pytest.mark.parametrize(
    "text",
    [
        "a|b", r"a\|b", "`a|b`", "<b>x</b>", "&amp;", "*a* **b** _c_ ~~d~~", "[a](b)", "![a](b)",
        "</summary></details>", "$x$", "<!-- x -->", "]]>", "\\",
    ],
)  # fmt: skip
def test_escaped_text_reads_as_it_was_written(text: str) -> None:
    shown = as_text(f"x {github.escaped(text)} x").strip()
    told = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert shown == f"x {told} x"
    report = Report(title=text, verdict=Verdict(cls=text), process=Process(module_id=text))
    assert len(rows_of(checked(report))) == 1


def test_nobody_is_called_and_nothing_is_linked() -> None:
    assert github.escaped("@me #1 GH-2 https://x www.y f_g _h") == (
        "&#64;&#8203;me &#35;&#8203;1 GH-&#8203;2 https:&#8203;//x www&#8203;.y f_g &#95;h"
    )


# ---------------------------------------------------------------- what fits


def test_many_reports_share_the_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "LIMIT", 100_000)
    text = checked(*[big_report()] * 4)
    assert 60_000 < len(text.encode()) <= 100_000
    assert text.count("<summary>evse_manager_1") == 4
    assert "left out: there is no room" not in text


@pytest.mark.parametrize("char", ["<", "|", "名"])
def test_the_worst_reports_fit(char: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "LIMIT", 50_000)
    monkeypatch.setattr(github, "MOST_IN_TABLE", 20_000)
    thread = monster(char).threads[0]
    thread = msgspec.structs.replace(thread, frames=thread.frames[:12], gdb_frames=())
    report = msgspec.structs.replace(monster(char), threads=(thread,))
    text = checked(*[report] * 4)
    assert len(text.encode()) <= 50_000
    few = checked(*[report] * 20)
    assert "20 reports left out: there is no room. As JSON there is all." in few


def test_a_report_that_cannot_be_short_enough_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(github, "FEWEST_BYTES", 100)
    monkeypatch.setattr(github, "LIMIT", 2_000)
    text = checked(samples.null_write(), samples.empty())
    assert "<summary>A process: cause unknown" in text
    assert "*1 report left out: there is no room. As JSON there is all.*" in text


def test_a_table_that_is_full_counts_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    first = Sibling(module_id="ocpp", role="first_fault")
    reports = [Report(siblings=(first,))] * 12
    monkeypatch.setattr(github, "MOST_IN_TABLE", 200)
    text = checked(*reports)
    shown = text.count("| **unknown** |")
    assert 0 < shown < 12
    assert f"… {12 - shown} more reports" in text
    monkeypatch.setattr(github, "MOST_ROWS", 2)
    monkeypatch.setattr(github, "MOST_REPORTS", 1)
    text = checked(*reports)
    assert "… 10 more reports" in text
    assert "*11 reports left out: there is no room. As JSON there is all.*" in text


def test_the_limit_is_below_the_one_of_github() -> None:
    assert github.LIMIT < GITHUB_TAKES
