"""The rows about the processes that ended together."""

from evdiag.model.report import Process, Provenance, Report, Sibling
from evdiag.report import family, markdown, terminal, words
from tests.support import samples

FIRST = Sibling(module_id="ocpp", pid=101, role="first_fault", status="SIGABRT", cls="assert")
FALLEN = Sibling(
    module_id="evse",
    pid=9,
    role="taken_down",
    status="SIGSEGV",
    note="crashed while it",
    cls="unknown",
)


def test_the_rows() -> None:
    report = Report(siblings=(FIRST, FALLEN, Sibling(), Sibling(role="new")))

    assert family.rows(report, 60) == [
        "died first  ocpp  101  SIGABRT, assert",
        "taken down  evse    9  SIGSEGV, crashed while it",
        "?           ?",
        "new         ?",
    ]
    assert family.title(report) == "4 processes ended"
    assert family.rows(report, 20)[0] == "died first  ocpp  1…"


def test_one_process_needs_no_rows() -> None:
    assert family.rows(Report(siblings=(FIRST,)), 80) == []
    assert family.title(Report(siblings=(FIRST,))) == "1 process ended"


def test_not_all_of_thousands() -> None:
    rows = family.rows(Report(siblings=(FALLEN,) * 1200), 80)

    assert len(rows) == family.MOST_ROWS + 1
    assert rows[-1] == f"… {1200 - family.MOST_ROWS:,} more"


def test_every_format_has_them() -> None:
    report = samples.null_write()
    row = family.rows(report, 80)[0]

    assert row in terminal.render(report)
    assert f"<summary>{family.title(report)}</summary>" in markdown.render(report)
    assert row in markdown.render(report)


def test_who_was_taken_down_knows_who_was_first() -> None:
    report = Report(siblings=(FIRST, FALLEN), process=samples.empty().process)
    told = words.siblings(Report(siblings=report.siblings, process=_process_of(FALLEN)))
    assert told == [
        "died first: ocpp (SIGABRT)",
        "this one crashed while it",
        "taken down with it: evse",
    ]
    assert words.siblings(report)[0] == "died first: ocpp (SIGABRT)"


def _process_of(sibling: Sibling) -> Process:
    return Process(pid=sibling.pid, module_id=sibling.module_id)


def test_a_report_without_a_core_has_no_stack() -> None:
    logs = Provenance(rung="logs")
    report = Report(title="ocpp: assert", provenance=logs)

    assert "thread" not in terminal.render(report).lower()
    assert "thread" not in markdown.render(report).lower()
    assert "from logs alone, there is no core" in terminal.render(report)
