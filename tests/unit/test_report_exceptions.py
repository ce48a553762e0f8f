"""Members of exceptions, on terminals and in Markdown."""

import msgspec

from evdiag.model.report import CxxException, Provenance, Report, Variable
from evdiag.report import markdown, value_lines
from evdiag.report.lines import plain
from evdiag.report.terminal import render

FIELDS = (
    Variable(name="connector", type="int", value="2"),
    Variable(name="limit_kw", type="double", value="22"),
)
LIMIT = CxxException(type="types::LimitExceeded", what="too much", fields=FIELDS)
REPORT = Report(exception=LIMIT, provenance=Provenance(gdb="13.1", rung="native+gdb"))


def lines(report: Report, width: int = 80) -> list[str]:
    return plain(value_lines.of_exceptions(report, width))


def test_members_stand_below_their_exception() -> None:
    older = CxxException(type="Older", fields=(Variable(name="it", problem="not in the core"),))
    bare = CxxException(type="Bare")
    report = msgspec.structs.replace(REPORT, other_exceptions=(bare, older))
    assert lines(report) == [
        "  types::LimitExceeded",
        "    connector = 2",
        "    limit_kw  = 22",
        "  Older",
        "    it = (not in the core)",
    ]
    assert lines(msgspec.structs.replace(report, exception=None))[0] == "  Older"


def test_without_members_there_is_no_section() -> None:
    bare = msgspec.structs.replace(REPORT, exception=CxxException(type="Bare"))
    assert lines(bare) == lines(Report()) == []
    assert "Members" not in render(bare, 80) + markdown.render(bare)


def test_both_formats_show_them() -> None:
    assert "Members of the exception (gdb 13.1)\n  types::LimitExceeded\n" in render(REPORT, 80)
    page = markdown.render(REPORT)
    assert "Members of the exception:\n\n```\n  types::LimitExceeded\n    connector = 2 " in page


def test_not_too_many_members_and_no_line_too_long() -> None:
    many = tuple(Variable(name=f"m{i}", value=str(i)) for i in range(20))
    thrown = CxxException(type=f"a::{'x' * 300}", fields=many)
    shown = lines(Report(exception=thrown), 40)
    assert max(map(len, shown[:-1])) <= 40
    assert shown[-1] == "    … 8 more members (all of them are in --format json)"
    nameless = CxxException(fields=FIELDS)
    assert lines(Report(exception=nameless))[0] == "  ?"


def test_a_page_without_room_does_without_them() -> None:
    value = "x" * 2000
    many = tuple(Variable(name=f"m{i}", value=value) for i in range(12))
    other = tuple(CxxException(type=f"t{i}", fields=many) for i in range(60))
    page = markdown.render(Report(other_exceptions=other))
    assert len(page.encode()) <= markdown.LIMIT
    assert "Left out: exception" in page
