"""The HTML report: whole, self-contained, inert whatever is in it, and legible."""

import base64
import hashlib
import itertools
import json as standard_json
import re
from importlib.resources import files

import msgspec
import pytest
from hypothesis import given, settings
from markupsafe import Markup

from evdiag.model.report import (
    DeadlockMember,
    Process,
    Report,
    Sibling,
    Signature,
    Thread,
    WaitsFor,
)
from evdiag.report import FORMATS, html, json
from evdiag.report.html import base, page
from evdiag.report.html.sections import SECTIONS
from tests.support import samples
from tests.support.html_page import Page
from tests.support.random_nouns import REPORTS

OURS = {
    *("html", "head", "meta", "title", "link", "style", "body", "a", "header", "nav", "main"),
    *("article", "section", "div", "span", "p", "ul", "ol", "li", "dl", "dt", "dd", "h1", "h2"),
    *("h3", "h4", "table", "caption", "thead", "tbody", "tr", "th", "td", "code", "pre", "kbd"),
    *("small", "details", "summary", "button", "label", "input", "script", "wbr"),
    *("svg", "g", "path", "polygon", "circle", "rect", "line", "text", "tspan", "desc"),
}
HARMLESS = {
    *("lang", "charset", "http-equiv", "content", "name", "rel", "href", "id", "class", "for"),
    *("type", "role", "hidden", "open", "scope", "tabindex", "autocomplete", "spellcheck"),
    *("placeholder", "data-download", "data-name", "data-copy"),
    *("x", "y", "x1", "x2", "y1", "y2", "d", "r", "cx", "cy", "rx", "width", "height", "points"),
    *("viewbox", "text-anchor", "preserveaspectratio", "transform"),
}


def check(text: str) -> Page:
    """The page, which is inert and asks nobody for anything."""
    found = Page(text)
    assert set(found.elements) <= OURS
    strange = {name for _, name, _ in found.attributes if not name.startswith("aria-")} - HARMLESS
    assert strange == set()
    assert found.comments == []
    anchors = [value for tag, name, value in found.attributes if (tag, name) == ("a", "href")]
    assert all(value.startswith("#") for value in anchors)
    links = [value for tag, name, value in found.attributes if (tag, name) == ("link", "href")]
    assert all(value.startswith("data:image/svg+xml,") for value in links)
    levels = [level for level, _ in found.headings]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    return found


def unescaped(text: str) -> str:
    """What the page's script makes of the JSON that the page holds."""
    return re.sub(
        r"\\(?:u003c|.)",
        lambda pair: "<" if pair[0] == "\\u003c" else pair[0],
        text,
        flags=re.DOTALL,
    )


def deadlock() -> Report:
    """Two threads that wait for each other, a third that is not known any more."""
    first, second = (
        WaitsFor(kind="mutex", address=None, owner_lwp=2),
        WaitsFor(kind="mutex", address=None, owner_lwp=1),
    )
    threads = tuple(
        msgspec.structs.replace(thread, number=n, lwp=n, crashed=n == 1, waits_for=waits)
        for n, thread, waits in zip(
            (1, 2), samples.null_write().threads[1:3], (first, second), strict=True
        )
    )
    circle = (
        DeadlockMember(thread=1, lwp=1, role="main", waits_for=first),
        DeadlockMember(thread=2, lwp=2, waits_for=second),
        DeadlockMember(lwp=9),
    )
    return msgspec.structs.replace(
        samples.null_write(),
        verdict=msgspec.structs.replace(samples.NULL_POINTER, cls="deadlock"),
        threads=threads,
        deadlock=circle,
    )


ALL = {**samples.ALL, "deadlock": deadlock}


# ---------------------------------------------------------------- whole pages


@pytest.mark.parametrize("name", ALL)
def test_a_page_is_whole_and_inert(name: str) -> None:
    text = html.render(ALL[name]())
    found = check(text)
    ids = found.ids
    assert sorted(set(ids)) == sorted(ids)
    for attribute in ("aria-labelledby", "aria-describedby", "for", "data-download", "data-copy"):
        named = " ".join(found.values(attribute)).split()
        assert set(named) <= set(ids)
    assert {value[1:] for value in found.values("href") if value.startswith("#")} <= set(ids)
    assert found.elements["main"] == found.elements["h1"] == 1
    assert text.startswith("<!doctype html>\n")
    assert text.endswith("</html>\n")


@given(REPORTS)
@settings(max_examples=15)
def test_no_report_at_all_can_break_out(report: Report) -> None:
    check(html.render(report))


@pytest.mark.parametrize("name", ALL)
def test_the_page_holds_the_json_report(name: str) -> None:
    report = ALL[name]()
    held = Page(html.render(report)).raw["json"]
    assert "<" not in held
    assert unescaped(held) == json.render(report)
    assert standard_json.loads(held) == standard_json.loads(json.render(report))


@pytest.mark.parametrize(
    "text",
    ["</script><script>alert(1)</script>", "<!--<script>", "\\u003c", "\\\\u003c<", "\\", "<\\"],
)
def test_json_in_html_comes_out_as_it_went_in(text: str) -> None:
    written = json.to_text({"text": text})
    held = base.json_inside_html(written)
    assert "<" not in held
    assert unescaped(held) == written
    assert Page(f'<script type="application/json" id="x">{held}</script>').raw["x"] == held


def test_the_policy_allows_our_own_style_and_script_alone() -> None:
    found = Page(html.render(samples.null_write()))
    policy = found.values("content")[0]
    assert "unsafe" not in policy
    assert policy.startswith("default-src 'none'; ")
    for what in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(found.raw[what].encode()).digest()).decode()
        assert f"{what}-src 'sha256-{digest}'" in policy
    assert found.elements["style"] == 1


def test_nothing_of_ours_is_fetched_from_anywhere() -> None:
    folder = files("evdiag.report.html")
    for name in ("style.css", "report.css", "drawings.css", "overview.css", "page.js"):
        text = (folder / name).read_text()
        assert not re.search(r"url\(|@import|https?:|innerHTML|fetch\(|eval\(", text)
        assert "</" not in text


def test_hostile_text_is_shown_and_does_nothing() -> None:
    text = html.render(samples.hostile())
    found = check(text)
    assert "<script>alert(1)</script>" in found.text
    assert "\x1b" not in text
    assert "\u202e" not in text
    assert found.elements["script"] == 2


# ---------------------------------------------------------------- what stands where


def test_the_verdict_comes_first_and_the_sections_in_their_order() -> None:
    titles = [text for level, text in Page(html.render(samples.null_write())).headings if level < 3]
    assert titles == [
        "evse_manager_1 (EvseManager): null-write in module::Charger::set_state",
        "Verdict",
        "Where it happened",
        "3 processes ended",
        "14 threads",
        "The last events",
        "Logs",
        "6 modules",
        "Registers and instructions",
        "What is missing, and why",
        "Origin of this report",
    ]
    assert len({kind for kind, _, _ in SECTIONS}) == len(SECTIONS)


def test_a_deadlock_is_told_before_the_thread_that_took_the_signal() -> None:
    found = Page(html.render(deadlock()))
    titles = [text for _, text in found.headings]
    assert "Where it happened" not in titles
    assert titles.index("Deadlock") < titles.index("2 threads")
    assert "LWP 9" in found.words()
    assert found.values("href").count("#thread-2") == 1


def test_what_is_not_there_leaves_no_trace() -> None:
    found = check(html.render(Report()))
    assert [text for _, text in found.headings] == [
        "A process: cause unknown",
        "Verdict",
        "Threads",
        "Origin of this report",
        "Report",
    ]
    assert "None" not in found.text
    assert "The cause was not found." in found.text
    assert "No thread is known to have crashed." in found.text


# ---------------------------------------------------------------- several reports


def sibling(role: str, pid: int) -> Report:
    """A report of a process that had that part in a fall."""
    return Report(
        title=f"process {pid}",
        process=Process(pid=pid, crashed_at="2026-11-22 03:12:44 UTC"),
        signature=Signature(text=f"sig {pid}", hash=f"hash{pid}"),
        siblings=(Sibling(pid=pid, role=role), Sibling(pid=99, role="unrelated")),
        threads=(Thread(number=1, crashed=True),),
    )


def test_who_died_first_is_the_first_of_several() -> None:
    reports = [sibling("taken_down", 2), sibling("first_fault", 1), Report()]
    found = check(html.render_many(reports))
    assert sorted(set(found.ids)) == sorted(found.ids)
    labels = found.values("aria-labelledby")
    assert sorted(set(labels)) == sorted(labels)
    assert set(" ".join(labels).split()) <= set(found.ids)
    assert [text for level, text in found.headings if level == 1] == ["3 crash reports"]
    assert [text for level, text in found.headings if level == 2] == [
        "process 1",
        "A process: cause unknown",
        "process 2",
    ]
    anchors = [value for value in found.values("href") if value.endswith("-report")]
    assert anchors == ["#r1-report", "#r2-report", "#r3-report"] * 2
    assert standard_json.loads(found.raw["r1-json"])["title"] == "process 1"
    assert unescaped(found.raw["r3-json"]) == json.render(reports[0])
    assert "this process died first" in found.words()
    assert "hash2" in found.text


def test_one_report_is_a_page_of_its_own() -> None:
    report = samples.values()
    assert html.render_many([report]) == html.render(report)


def test_a_page_of_no_report() -> None:
    assert [text for _, text in check(html.render_many([])).headings] == ["No crash"]


def test_a_report_inside_of_another_page() -> None:
    inside = page.article(samples.null_write(), "g2-", level=3)
    assert 'id="g2-report"' in inside
    assert "<h3 " in inside
    assert "<h5>" in inside
    assert 'data-download="g2-json"' in inside


# ---------------------------------------------------------------- the frame of a page


def test_a_document_without_contents_and_data() -> None:
    found = check(base.document("a\x1b<b", Markup("<h1>c</h1>")))
    assert "a\\x1b<b" in found.text
    assert found.elements["nav"] == 0
    assert found.elements["script"] == 1


def test_what_is_no_markup_is_escaped() -> None:
    template = base.environment().from_string("{{ text }}|{{ text | prose }}")
    assert template.render(text="<b> `x<y` `") == (
        "&lt;b&gt; `x&lt;y` `|&lt;b&gt; <code>x&lt;y</code> `"
    )


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        (Process(module_id="evse_manager_1"), "report-evse_manager_1.json"),
        (Process(executable="/opt/a b/../été"), "report-t.json"),
        (Process(module_id='x"/../<é' * 60), f"report-{'x' * 60}.json"),
        (Process(), "report.json"),
    ],
)
def test_names_of_files(subject: Process, name: str) -> None:
    assert page.file_name(Report(process=subject)) == name


def test_the_format_is_chosen_by_its_suffix() -> None:
    listed = FORMATS["html"]
    assert listed.suffix == html.SUFFIX
    assert html.MEDIA == "text/html"
    assert listed.load() is html


# ---------------------------------------------------------------- colours


def colours(block: str) -> dict[str, tuple[int, ...]]:
    """The colours of a block of the style sheet, by their names."""
    pairs = re.findall(r"--([\w-]+): #([0-9a-f]{6});", block)
    return {name: tuple(bytes.fromhex(value)) for name, value in pairs}


def brightness(colour: tuple[int, ...]) -> float:
    """Relative luminance as WCAG defines it."""
    parts = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4
        for part in (value / 255 for value in colour)
    ]
    return 0.2126 * parts[0] + 0.7152 * parts[1] + 0.0722 * parts[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_background(scheme: str) -> None:
    text = (files("evdiag.report.html") / "style.css").read_text()
    light, dark = re.findall(r":root \{(.*?)\}", text, re.DOTALL)
    palette = colours({"light": light, "dark": dark}[scheme])
    assert colours(light).keys() == colours(dark).keys()

    def contrast(one: str, other: str) -> float:
        low, high = sorted((brightness(palette[one]), brightness(palette[other])))
        return (high + 0.05) / (low + 0.05)

    softs = ("alarm", "warning", "good", "accent")
    pairs = [
        *itertools.product(
            ("text", "dim", "accent", "alarm", "warning", "good"), ("paper", "panel")
        ),
        *((name, f"{name}-soft") for name in softs),
        *itertools.product(("text", "dim"), (f"{name}-soft" for name in softs)),
        *(("paper", name) for name in ("alarm", "dim")),
        ("text", "found"),
    ]
    assert {pair: contrast(*pair) for pair in pairs if contrast(*pair) < 4.5} == {}
    assert contrast("edge", "paper") >= 3
    assert contrast("edge", "panel") >= 3
