"""A triage as a page for a terminal, as Markdown, JSON, SARIF and JUnit."""

import json
import re
import xml.etree.ElementTree as Xml

import jsonschema
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from evdiag.model.report import SoftError
from evdiag.model.triage import BuildCount, Crash, Failure, Gone, Group, Line, Place, Run, Triage
from evdiag.report.markdown import LIMIT
from evdiag.report.schema import triage_schema
from evdiag.report.triage import TRIAGE_FORMATS, junit, markdown, parts, sarif, terminal
from evdiag.report.triage import json as triage_json
from tests.support import triages
from tests.support.random_nouns import nouns
from tests.support.triages import LONG, against, crash, crashes, full, triage

VALIDATOR = jsonschema.Draft202012Validator(json.loads(triage_schema()))
HOSTILE = "\x1b[31mred\x1b]0;title\x07 | <script>alert(1)</script> \u202egnp `x` [a](http://b) @me"


def hostile() -> Triage:
    """Everything that a process can name, named by an attacker."""
    made = crash(
        HOSTILE,
        HOSTILE,
        title=HOSTILE,
        cls=HOSTILE,
        summary=HOSTILE,
        program=HOSTILE,
        module_id=HOSTILE,
        build_id=HOSTILE,
        seen=HOSTILE,
        place=Place(function=HOSTILE, file=HOSTILE, line=3),
    )
    return triage(
        [made, crash("b", title=f"x: null-write in {LONG} at a.cpp:1")],
        failures=(Failure(path=HOSTILE, message=HOSTILE, advice=HOSTILE),),
        baseline=HOSTILE,
        gone=(Gone(hash="1", title=HOSTILE, last_seen=HOSTILE),),
        soft_errors=(SoftError(stage="x", message=HOSTILE, effect=HOSTILE, hint=HOSTILE),),
    )


def numbered(page: str) -> list[str]:
    """Rows of the table."""
    return [line for line in page.splitlines() if re.match(r" *\d+ +[\d,]+ ", line)]


# -- the terminal


@pytest.mark.parametrize("width", [40, 80, 129, 130, 160])
@pytest.mark.parametrize("kinds", [0, 1, 30])
def test_no_line_is_wider_than_the_terminal(width: int, kinds: int) -> None:
    page = terminal.render(triage(crashes(kinds)), width)
    assert max(map(len, page.splitlines())) <= width
    assert len(numbered(page)) == kinds
    assert page.endswith("\n")


def test_a_narrow_table_has_two_rows_for_each_group() -> None:
    lines = terminal.render(full(), 80).splitlines()
    at = next(i for i, line in enumerate(lines) if "WHAT" in line)
    assert lines[at].split() == ["#", "COUNT", "STATUS", "WHAT"]
    assert lines[at + 1].split() == [
        *("1", "40", "known", "null-write", "in", "charging::Session::step_0"),
    ]
    assert lines[at + 2].split() == [
        *("session.hpp:20", "·", "EvseManager", "·", "11-20", "00:12", "to", "11-23", "09:12"),
    ]


def test_a_wide_table_has_one() -> None:
    lines = terminal.render(full(), 160).splitlines()
    at = next(i for i, line in enumerate(lines) if "WHAT" in line)
    heads = "# COUNT STATUS WHAT CRASH LINE PROGRAM BUILDS FIRST SEEN LAST SEEN"
    assert " ".join(lines[at].split()) == heads
    assert " ".join(lines[at + 1].split()) == (
        "1 40 known null-write in charging::Session::step_0 session.hpp:20 EvseManager 2"
        " 11-20 00:12 11-23 09:12"
    )
    assert lines[at + 2].startswith("2 ")


def test_the_page_tells_what_there_is_to_know() -> None:
    page = " ".join(terminal.render(full(), 100).split())
    for text in (
        "97 crashes in 6 groups, 3 more without a stack: 3 new, 4 known, 1 gone since baseline",
        "2026-11-20 00:12 to 2026-11-23 09:12 UTC · 2 builds",
        "abort; stacks are missing, perhaps several crashes",
        "#1 is like #6 (90 %)",
        "null-write in charging::Session::gone_again",
        "(1 crash, last seen 2026-11-22 03:12)",
        "12 files: not a core dump: text (logs/0.txt, logs/1.txt, logs/2.txt and 9 more)",
        "1 file: the file is empty (core.empty)",
        "! gdb died on core.7: its values are missing",
        "100 cores analysed · 7 with gdb · 12.3 s, 20.1 s of CPU",
    ):
        assert text in page, text


def test_new_groups_are_looked_at_first() -> None:
    page = terminal.render(full(), 80)
    commands = re.findall(r"evdiag backtrace (\S+)", page)
    assert commands == ["cores/core.4004.7", "cores/core.4005.3", "cores/core.4000.19"]
    assert page.rstrip().splitlines()[-2].strip() == "evdiag backtrace cores/core.4000.19"


def test_without_a_baseline_there_is_no_status() -> None:
    page = terminal.render(triage(crashes(2)), 80)
    assert "STATUS" not in page
    assert "new" not in page
    assert page.startswith("60 crashes in 2 groups\n")


def test_nothing_at_all() -> None:
    assert terminal.render(Triage(), 80) == "No crash was found\n\nevdiag\n"


def test_an_interrupted_run_says_so() -> None:
    stopped = triage(crashes(1), run=Run(interrupted=True))
    assert "Interrupted: cores that were not reached" in terminal.render(stopped, 80)
    assert "**Interrupted**" in markdown.render(stopped)


def test_colours_only_where_they_are_wanted() -> None:
    plain, coloured = terminal.render(full(), 80), terminal.render(full(), 80, colour=True)
    assert "\x1b" not in plain
    assert "\x1b[1;31m" in coloured
    bare = re.sub(r"\x1b\[[0-9;]*m", "", coloured)
    assert [line.rstrip() for line in bare.splitlines()] == plain.splitlines()
    quiet = against(triage(crashes(1)), triage(crashes(1)))
    assert "\x1b[1;31m" not in terminal.render(quiet, 80, colour=True)


def test_of_very_many_groups_the_new_ones_are_shown() -> None:
    mine = against(triage(crashes(130), reports=False), triage(crashes(125), reports=False))
    page = terminal.render(mine, 80)
    assert len(numbered(page)) == terminal.MOST_ROWS
    assert sum(" new " in row for row in numbered(page)) == 5
    numbers = [int(row.split()[0]) for row in numbered(page)]
    assert numbers == sorted(numbers)
    assert "30 more groups: as HTML or JSON they are all there" in page


def test_wide_characters_keep_the_columns() -> None:
    made = triage([crash("a", program="充電器"), crash("b", "f", program="e\u0301vse")])
    lines = terminal.render(made, 160).splitlines()
    rows = numbered("\n".join(lines))
    cells = [sum(terminal._cells_of(c) for c in row[: row.index("11-22")]) for row in rows]
    assert len(rows) == 2
    assert cells[0] == cells[1]
    narrow = terminal.render(triage([crash("a", program="充" * 40)]), 80)
    assert "充" * 9 + "…" in narrow


def test_odd_words_and_numbers_do_not_break_the_table() -> None:
    odd = triage([crash("a")])
    strange = msgspec.structs.replace(odd.groups[0], status="充" * 99, count=2**60, program="充")
    made = msgspec.structs.replace(odd, groups=(strange,), baseline="b")
    for width in (40, 160):
        assert max(map(len, terminal.render(made, width).splitlines())) <= width


def test_what_is_not_known_is_left_out() -> None:
    bare = Group(hash="1", count=1)
    made = Triage(groups=(bare,), baseline="b.json", run=Run(cores=9, analysed=3, seconds=1.0))
    page = terminal.render(made, 160)
    assert "unknown" in page
    assert "6 known from earlier" in page
    assert "next" not in page
    assert terminal.render(made, 80)
    assert markdown.render(made)


# -- the words


def group(**facts: object) -> Group:
    return msgspec.structs.replace(Group(cls="null-write", title="a: null-write in f"), **facts)


@pytest.mark.parametrize(
    ("title", "room", "text"),
    [
        ("evse (Evse): null-write in a::f at x.cpp:12", 99, "null-write in a::f"),
        ("evse: null-write in a::f", 99, "null-write in a::f"),
        ("evse: null-write", 99, "null-write"),
        ("evse: null-write", 6, "null-…"),
        ("something else", 99, "something else"),
        ("", 99, "null-write"),
        ("evse: null-write in charging::Session::book", 30, "null-write in …::Session::book"),
        (f"evse: null-write {'x' * 90} in a::f", 30, "null-write xxxxxxxxxx… in a::f"),
    ],
)
def test_what_a_group_is(title: str, room: int, text: str) -> None:
    assert parts.what(group(title=title), room) == text


def test_where_a_group_is() -> None:
    place = Place(file="/src/charging/session.hpp", line=7)
    assert parts.place(group()) == ""
    assert parts.place(group(lines=(Line(place=place, count=1),))) == "session.hpp:7"
    assert parts.place_text(place, directories=True) == "/src/charging/session.hpp:7"


def test_the_next_step_can_be_pasted() -> None:
    assert parts.next_step(group()) == ""
    assert parts.next_step(group(representative="a b'; rm -rf x")) == (
        "evdiag backtrace 'a b'\"'\"'; rm -rf x'"
    )


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("2026-11-20 01:02:03", "2026-11-21 01:02:03", "11-20 01:02 to 11-21 01:02"),
        ("2026-11-20 01:02:03", "2026-11-20 04:02:03", "11-20 01:02 to 04:02"),
        ("2026-11-20 01:02:03", "2026-11-20 01:02:09", "11-20 01:02"),
        ("2025-11-20 01:02:03", "2026-11-20 01:02:09", "2025-11-20 01:02 to 2026-11-20 01:02"),
        (None, None, ""),
    ],
)
def test_when_a_group_was_seen(first: str | None, last: str | None, text: str) -> None:
    seen = group(first_seen=first, last_seen=last)
    assert parts.Times(Triage(groups=(seen,))).span(seen) == text


def test_between_when_and_how_much() -> None:
    once = group(first_seen="2026-11-20 01:02:03", last_seen="2026-11-20 01:02:03", program="a")
    assert parts.scope(Triage(groups=(once,))) == ["2026-11-20 01:02 UTC"]
    other = group(program="b", builds=(BuildCount(build_id="1"), BuildCount(build_id="2")))
    assert parts.scope(Triage(groups=(once, other)))[1:] == ["2 programs", "2 builds"]


def test_gone_groups_without_a_title_have_a_name() -> None:
    old = (Gone(hash="1", signature="sig", count=2), Gone(hash="2", count=1))
    assert parts.gone(Triage(gone=old)) == ["sig (2 crashes)", "2 (1 crash)"]


def test_long_lists_are_cut() -> None:
    many = tuple(Gone(hash=str(i), count=1) for i in range(99))
    assert parts.gone(Triage(gone=many))[-1] == "89 more groups"


def test_the_same_problem_of_several_files_is_told_once() -> None:
    found = (
        Failure(path="", message="odd"),
        *(Failure(path=path, message=f"{path}: cannot read {path}") for path in ("a/x", "b/y")),
    )
    assert parts.failures(Triage(failures=found)) == [
        "2 files: cannot read it (a/x, b/y)",
        "1 file: odd ()",
    ]


# -- Markdown


def test_markdown_has_the_table_and_each_group() -> None:
    page = markdown.render(full())
    assert "| 1 | 40 | `known` | `null-write in charging::Session::step_0` |" in page
    assert "**new**" in page
    assert "**3 new**, 4 known, 1 gone since baseline.json" in page
    assert page.count("<details>") == 6
    assert "`evdiag backtrace cores/core.4004.7`" in page
    assert "Status" not in markdown.render(triage(crashes(1)))


def test_markdown_of_a_group_of_which_little_is_known() -> None:
    page = markdown.render(Triage(groups=(Group(hash="1", count=1, representative="core.1"),)))
    assert "- group: `1`\n- `evdiag backtrace core.1`" in page


def test_markdown_of_nothing() -> None:
    assert markdown.render(Triage()) == "### No crash was found\n\n<sub>evdiag</sub>\n"


def test_markdown_fits_its_limit() -> None:
    many = triage([crash(f"{i}", f"{LONG[:300]}{i}") for i in range(900)], reports=False)
    modules = tuple(f"module_{i}" for i in range(20))
    groups = tuple(msgspec.structs.replace(group, modules=modules) for group in many.groups)
    page = markdown.render(msgspec.structs.replace(many, groups=groups))
    assert len(page.encode()) <= LIMIT
    assert re.search(r"\d+ more groups", page)
    assert "too long" in page
    few = msgspec.structs.replace(many, groups=groups[:2])
    assert "`module_7` and 12 more" in markdown.render(few)


def test_markdown_stays_in_its_cells() -> None:
    page = markdown.render(hostile())
    rows = [line for line in page.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    bars = {len(re.findall(r"(?<!\\)\|", row)) for row in rows}
    assert len(bars) == 1
    outside = re.sub(r"(`+).*?\1", "", page)
    assert "<script" not in outside
    assert "@me" not in outside


# -- JSON, SARIF, JUnit


@pytest.mark.parametrize("made", [full(), Triage(), hostile()], ids=["full", "empty", "hostile"])
def test_json_fits_the_schema_that_is_published(made: Triage) -> None:
    VALIDATOR.validate(json.loads(triage_json.render(made)))


def test_the_schema_tells_what_fields_mean() -> None:
    schema = json.loads(triage_schema())
    assert schema["properties"]["schema"] == {"const": "evdiag.triage/1"}
    assert schema["required"] == ["schema"]
    defined = schema["$defs"]
    assert defined["Report"]["properties"]["schema"] == {"const": "evdiag.report/1"}
    assert "missing" in defined["Group"]["properties"]["unsorted"]["description"]
    assert defined["Crash"]["required"] == []
    assert not any("." in name for name in defined)


def test_sarif_counts_and_compares() -> None:
    made = full()
    results = json.loads(sarif.render(made))["runs"][0]["results"]
    assert [result["occurrenceCount"] for result in results] == [g.count for g in made.groups]
    states = [result["baselineState"] for result in results]
    assert states == ["unchanged"] * 4 + ["new"] * 3
    assert "(40 crashes, known)" in results[0]["message"]["text"]
    alone = json.loads(sarif.render(triage(crashes(1))))["runs"][0]["results"]
    assert "baselineState" not in alone[0]


def test_junit_has_a_case_for_each_group() -> None:
    document = Xml.fromstring(junit.render(full()))
    assert len(list(document.iter("failure"))) == 7
    assert "(40 crashes, known)" in junit.render(full())


@pytest.mark.parametrize("name", ["sarif", "junit"])
def test_a_group_without_a_report_is_told_too(name: str) -> None:
    made = triage(crashes(2), reports=False)
    bare = msgspec.structs.replace(made.groups[0], summary="")
    text = TRIAGE_FORMATS[name].load().render(Triage(groups=(bare, *made.groups[1:])))
    assert "(40 crashes)" in text
    assert "(20 crashes)" in text


# -- all of them


@pytest.mark.parametrize("name", TRIAGE_FORMATS)
def test_every_format_is_harmless_whatever_is_in_it(name: str) -> None:
    text = TRIAGE_FORMATS[name].load().render(hostile())
    assert text.endswith("\n")
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert "\x07" not in text


def test_formats_are_told_by_their_suffixes() -> None:
    suffixes = [listed.suffix for listed in TRIAGE_FORMATS.values()]
    assert len(set(suffixes)) == len(suffixes)
    assert next(iter(TRIAGE_FORMATS)) == "terminal"


@given(nouns(Triage))
@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_every_triage_can_be_shown(made: Triage) -> None:
    for width in (40, 160):
        page = terminal.render(made, width)
        assert all(char.isprintable() for char in page.replace("\n", ""))
    assert len(markdown.render(made).encode()) <= LIMIT
    VALIDATOR.validate(json.loads(triage_json.render(made)))


def test_the_sample_has_crashes() -> None:
    assert all(isinstance(core, Crash) for core in triages.crashes(2))
