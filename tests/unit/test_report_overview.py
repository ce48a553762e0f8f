"""The page of a triage: its table, its groups with their reports, and that nothing harms."""

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evdiag.model.report import Report, SoftError, Tool
from evdiag.model.triage import (
    BuildCount,
    Crash,
    Failure,
    Gone,
    Group,
    Line,
    Place,
    Run,
    Similar,
    Triage,
)
from evdiag.report import json
from evdiag.report.html import overview
from evdiag.report.neutral import neutralise
from evdiag.report.triage import TRIAGE_FORMATS
from tests.support import samples
from tests.support.random_nouns import nouns, values

VOID = {"meta", "link", "input", "wbr"}


class Page(HTMLParser):
    """What a browser gets to see: text by element, anchors, links."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.scripts: dict[str, str] = {}
        self.words: list[str] = []
        self.rows: list[list[str]] = []
        self.tags: set[str] = set()
        self._open: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        assert len(found) == len(attrs)
        assert not [name for name in found if name == "style" or name.startswith("on")]
        self.tags.add(tag)
        if (own := found.get("id")) is not None:
            self.ids.append(own)
        if tag == "a":
            self.links.append(found.get("href") or "")
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
        if tag not in VOID:
            self._open.append((tag, found))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop()[0] == tag

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self._open]
        if "script" in tags:
            self.scripts[self._open[-1][1].get("id") or ""] = data
        elif "style" not in tags:
            self.words.append(data)
            if tags and {"td", "th"} & set(tags):
                self.rows[-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    @property
    def triage(self) -> Triage:
        """The triage as the page's script puts it together."""
        whole = msgspec.json.decode(self.scripts["json"])
        for i, group in enumerate(whole["groups"], 1):
            report = self.scripts.get(f"g{i}-json")
            group["report"] = msgspec.json.decode(report) if report else group["report"]
        return msgspec.convert(whole, Triage, dec_hook=json._decode_hook)


def page(triage: Triage) -> Page:
    found = Page(overview.render(triage))
    assert len(set(found.ids)) == len(found.ids)
    assert {link[1:] for link in found.links if link.startswith("#")} <= set(found.ids)
    return found


def group(number: int, **facts: Any) -> Group:  # noqa: ANN401 - the fields of a group
    told: dict[str, Any] = {
        "hash": f"{number:08x}",
        "title": f"api: abort in f{number}",
        "cls": "abort",
        "count": 1,
    }
    return Group(**(told | facts))


FULL = group(
    1,
    signature="sig:v1: api | abort | f1",
    confidence="medium",
    program="API",
    count=1200,
    first_seen="2026-11-20T03:12:43.990Z",
    last_seen="2026-11-22 04:10:00 UTC",
    builds=(BuildCount(build_id="ab" * 20, image="tree:1", count=1100), BuildCount(count=100)),
    modules=("api", "api_2"),
    lines=(Line(place=Place(file="/src/api/f.cpp", line=7), count=1200), Line(count=1)),
    status="new",
    similar=(Similar(hash="00000002", distance=0.125), Similar(hash="gone", distance=0.2)),
    representative="cores/core 1",
    report=samples.null_write(),
    cores=(
        Crash(path="cores/core 1", seen="2026-11-22 04:10:00 UTC", module_id="api", pid=7),
        Crash(path="cores/core 2", program="API", truncated=True, symbols=False, build_id="c" * 40),
    ),
)
TRIAGE = Triage(
    tool=Tool(version="0.1.0"),
    groups=(FULL, group(2, status="known", summary="It ended itself.", cores=(Crash(path="c3"),))),
    baseline="last.json",
    gone=(Gone(hash="ffff", title="ocpp: assert in g", count=4), Gone(hash="eeee", signature="s")),
    failures=(Failure(path="notes.txt", message="notes.txt: not a core file"),),
    soft_errors=(
        SoftError(stage="cache", message="the cache is full", effect="slow", hint="Empty it."),
        SoftError(stage="cache", message="odd"),
    ),
    run=Run(cores=1203, analysed=3, seconds=1.5, interrupted=True),
)


def test_it_is_a_format_of_a_triage() -> None:
    assert TRIAGE_FORMATS["html"].load() is overview
    assert TRIAGE_FORMATS["html"].suffix == overview.SUFFIX


def test_the_table_of_groups() -> None:
    found = page(TRIAGE)
    assert found.rows[1:3] == [
        ["1", "1,200", "new", "abort in f1confidence: mediumlike #2", "f.cpp:7", "API", "tree:1",
         "2026-11-20 03:12", "2026-11-22 04:10"],
        ["2", "1", "known", "abort in f2", "", "", "", "", ""],
    ]  # fmt: skip
    assert found.text.startswith("1,201 crashes in 2 groups ")
    assert "1 new 1 known, 2 gone since last.json" in found.text
    assert "Interrupted: cores that were not reached are missing." in found.text


def test_what_is_gone_what_failed_and_the_notes() -> None:
    found = page(TRIAGE)
    assert ["ocpp: assert in g", "4", "", "ffff"] in found.rows
    assert ["s", "0", "", "eeee"] in found.rows
    assert "Gone since last.json" in found.text
    assert "1 file: not a core file (notes.txt)" in found.text
    assert "the cache is full: slow. Empty it." in found.text


def test_a_group_in_full() -> None:
    found = page(TRIAGE)
    assert {"groups", "g1", "g2", "g1-report"} <= set(found.ids)
    assert "g2-report" not in found.ids
    assert "#1 api: abort in f1 1,200 crashes, 2026-11-20 03:12 to 2026-11-22 04:10 UTC new" in (
        found.text
    )
    assert "similar groups #2 (88 %)" in found.text
    assert "crash line f.cpp:7 ×1,200" in found.text
    assert "modules api, api_2" in found.text
    assert f"build tree:1 · {'ab' * 20} ×1,100" in found.text
    assert "signature sig:v1: api | abort | f1" in found.text
    assert "in full evdiag backtrace 'cores/core 1'" in found.text
    assert "The report on cores/core 1" in found.text
    assert ["cores/core 1", "2026-11-22 04:10:00 UTC", "api", "7", "", ""] in found.rows
    assert ["cores/core 2", "", "API", "", "c" * 12, "truncated, names missing"] in found.rows
    assert "It ended itself." in found.text  # the other group has no report that says it


def test_the_json_on_the_page_is_the_whole_triage() -> None:
    found = page(TRIAGE)
    assert found.triage == neutralise(TRIAGE)
    assert '"report": null' in found.scripts["json"]


def test_without_a_baseline_nothing_is_new() -> None:
    found = page(Triage(groups=(group(1),)))
    assert "Status" not in found.rows[0]
    assert "new ones only" not in found.text
    assert "Gone" not in found.text
    assert "Interrupted" not in found.text


def test_without_a_crash() -> None:
    found = page(Triage())
    assert found.text.startswith("No crash was found")
    assert "group-rows" not in found.ids
    assert found.rows == []


@pytest.mark.parametrize(
    ("builds", "words"),
    [
        ([], ""),
        ([(None, None)], ""),
        ([("a" * 40, None)], "a" * 12),
        ([("a" * 40, "i:1"), ("a" * 40, "i:2")], "a" * 12),
        ([("a" * 40, "i:1"), ("b" * 40, "i:1")], "2 builds"),
        ([(None, "i:1"), (None, "i:2"), (None, "i:3")], "3 builds"),
        ([(None, "i:1"), (None, "i:1")], "i:1"),
    ],
)
def test_which_build_crashed(builds: list[tuple[str | None, str | None]], words: str) -> None:
    told = tuple(BuildCount(build_id=build_id, image=image) for build_id, image in builds)
    assert page(Triage(groups=(group(1, builds=told),))).rows[1][5] == words


@pytest.mark.parametrize(
    ("first", "last", "words"),
    [
        (None, None, "1 crash"),
        (None, "2026-11-22 04:10:00 UTC", "1 crash, 2026-11-22 04:10 UTC"),
        ("2026-11-22 04:10:00 UTC", "2026-11-22 04:10:00 UTC", "1 crash, 2026-11-22 04:10 UTC"),
    ],
)
def test_when_a_group_was_seen(first: str | None, last: str | None, words: str) -> None:
    html = overview.render(Triage(groups=(group(1, first_seen=first, last_seen=last),)))
    [about] = re.findall(r'(?s)<div class="not-searched">\s*<p class="about">(.*?)</p>', html)
    assert " ".join(about.split()) == words


def test_the_page_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("MOST_REPORTS", "MOST_CORES", "MOST_FACTS", "MOST_GONE", "MOST_LISTED"):
        monkeypatch.setattr(overview, name, 1)
    crashes = (Crash(path="a"), Crash(path="b"))
    old = group(1, report=Report(), cores=crashes, modules=("a", "b", "c"), status="known")
    triage = Triage(
        groups=(old, group(2, report=Report(), status="new")),
        gone=(Gone(hash="a"), Gone(hash="b")),
        baseline="b",
    )
    found = page(triage)
    assert "g2-report" in found.ids
    assert "g1-report" not in found.ids
    assert "Its report is in the JSON: this page has those of 1 groups." in found.text
    assert "… 1 more core in the JSON" in found.text
    assert "module a … 2 more modules in the JSON" in found.text
    assert "… 1 more group in the JSON" in found.text
    assert found.links == ["#content", "#groups", "#g1", "#g1", "#g2"]  # all, and a row each
    assert found.triage == neutralise(triage)


def test_hostile_text_is_text() -> None:
    evil = samples.HOSTILE
    harmful = Triage(
        groups=(
            msgspec.structs.replace(
                FULL,
                title=evil,
                cls=evil,
                signature=evil,
                confidence=evil,
                program=evil,
                status=evil,
                modules=(evil,),
                representative=evil,
                report=samples.hostile(),
                cores=(Crash(path=evil, seen=evil, module_id=evil, build_id=evil),),
                builds=(BuildCount(build_id=evil, image=evil),),
                lines=(Line(place=Place(file=evil)),),
            ),
            group(2, title=evil, summary=evil, hash=evil),
        ),
        baseline=evil,
        gone=(Gone(hash=evil, title=evil, signature=evil, last_seen=evil),),
        failures=(Failure(path=evil, message=evil, advice=evil),),
        soft_errors=(SoftError(stage=evil, message=evil, effect=evil, hint=evil),),
    )
    html = overview.render(harmful)
    assert "<script>alert" not in html
    assert not {"\x1b", "\u202e", "\u200b"} & set(html)
    found = page(harmful)
    assert "<script>alert(1)</script>" in found.text
    assert set(found.scripts) == {"", "json", "g1-json"}
    assert found.triage == neutralise(harmful)


GROUPS = st.builds(
    Group,
    **{
        field.name: values(field.type)
        for field in msgspec.structs.fields(Group)
        if field.name != "report"
    },
)


@settings(max_examples=12, deadline=None)
@given(st.lists(GROUPS, max_size=3), nouns(Gone), nouns(Failure), nouns(Run), st.text())
def test_any_triage_is_a_page(
    groups: list[Group], gone: Gone, failure: Failure, run: Run, text: str
) -> None:
    triage = Triage(groups=tuple(groups), gone=(gone,), failures=(failure,), run=run, baseline=text)
    html = overview.render(triage)
    assert html.endswith("</html>\n")
    assert Page(html).triage == neutralise(triage)
