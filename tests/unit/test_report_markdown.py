"""The Markdown report: good to read on GitHub, within its limit, and nothing breaks out of it."""

import re
from html.parser import HTMLParser

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from evdiag.model.report import (
    Address,
    Frame,
    Instruction,
    LogExcerpt,
    Module,
    Process,
    Report,
    Signature,
    SoftError,
    Thread,
    TimelineEvent,
    Variable,
    Verdict,
)
from evdiag.report import markdown
from evdiag.report.markdown import LIMIT, Part, block, code, fit, prose, render
from tests.support import samples, snapshots
from tests.support.random_nouns import REPORTS
from tests.support.sample_threads import app

TEXT = st.text(st.characters(exclude_categories=["C", "Z"], include_characters=" "), max_size=80)
OURS = {"h2", "h3", "p", "strong", "em", "ul", "li", "code", "pre", "details", "summary", "sub"}


class Page(HTMLParser):
    """The elements of a rendered page, and the text outside of code."""

    def __init__(self, markdown_text: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.open: list[str] = []
        self.prose = ""
        parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
        self.feed(parser.render(markdown_text))
        self.close()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.elements.append(tag)
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "code" not in self.open:
            self.prose += data


def as_text(markdown_text: str) -> str:
    """What a reader sees of one line of Markdown."""
    html = MarkdownIt("commonmark", {"html": True}).enable(["strikethrough"]).render(markdown_text)
    return re.sub(r"<[^>]*>", "", html)


# ---------------------------------------------------------------- whole reports


@pytest.mark.parametrize("name", samples.ALL)
def test_whole_reports(name: str) -> None:
    snapshots.check(f"{name}.md", render(samples.ALL[name]()))


@pytest.mark.parametrize("name", samples.ALL)
def test_only_elements_of_our_own_are_on_the_page(name: str) -> None:
    text = render(samples.ALL[name]())
    page = Page(text)
    assert set(page.elements) <= OURS
    assert not page.open
    assert text.endswith("\n")
    assert not re.search(r"@\w|#\d|https?://|www\.", page.prose)


@given(REPORTS)
@settings(max_examples=30)
def test_no_report_at_all_can_break_out(report: Report) -> None:
    text = render(report)
    assert set(Page(text).elements) <= OURS
    assert len(text.encode()) <= LIMIT


# ---------------------------------------------------------------- single texts


@given(TEXT)
def test_code_shows_exactly_the_text(text: str) -> None:
    tokens = MarkdownIt("commonmark").parseInline(code(text))[0].children or []
    shown = [token.content for token in tokens if token.type == "code_inline"]
    # Spaces around it are the one thing that Markdown does not keep.
    assert "".join(shown).strip() == text.strip()
    assert len(shown) == (1 if text else 0)


@given(st.lists(TEXT))
def test_blocks_show_exactly_the_lines(lines: list[str]) -> None:
    tokens = MarkdownIt("commonmark").parse(block(lines))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content.rstrip("\n") == "\n".join(lines).rstrip("\n")


@given(TEXT)
def test_prose_is_one_paragraph_without_links_html_or_emphasis(text: str) -> None:
    parser = MarkdownIt("commonmark", {"html": True}).enable("strikethrough")
    tokens = parser.parse(f"- {prose(text)}")
    kinds = {token.type for token in tokens if token.type != "inline"}
    assert kinds <= {
        "bullet_list_open",
        "list_item_open",
        "paragraph_open",
        "paragraph_close",
        "list_item_close",
        "bullet_list_close",
    }
    inline = [child.type for token in tokens for child in token.children or []]
    assert set(inline) <= {"text", "code_inline", "text_special"}


@pytest.mark.parametrize(
    "text",
    [
        "# no heading", "1. no list", "1) no list", "- no list", "+ no list", "== no", "48.2 MB",
        "[no](http://link)", "![no](image)", "<b>no html</b>", "&amp; no entity", "*no* **bold**",
        "_no_ __emphasis__ in_side", "~~no~~", "$no$", r"back\slash \* \`", "odd ` tick",
        "`` no ``",
    ],
)  # fmt: skip
def test_prose_reads_as_it_was_written(text: str) -> None:
    shown = as_text(f"- {prose(text)}").replace("\u200b", "").strip()
    assert shown == text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def test_prose_keeps_code_and_mentions_nobody() -> None:
    assert prose("set `x_y` to 1") == "set `x_y` to 1"
    assert prose("@team see #12, GH-3, www.x.y") == (
        "@&#8203;team see #&#8203;12, GH-&#8203;3, www&#8203;.x.y"
    )
    assert prose("module::Charger::set_state(int)") == "module::Charger::set_state(int)"


def test_text_of_nothing_but_marks_becomes_code() -> None:
    assert prose("@" * 100) == f"`{'@' * 100}`"
    assert prose("") == code("") == ""


# ---------------------------------------------------------------- what fits


def part(name: str, *texts: str, ranks: tuple[int, ...] = ()) -> Part:
    return Part(name, texts.__getitem__, ranks)


def test_the_least_important_goes_first() -> None:
    parts = [
        part("verdict", "V" * 20),
        part("stack", "S" * 400, "S" * 40, ranks=(90,)),
        part("modules", "M" * 400, "M" * 40, "", ranks=(10, 35)),
        part("threads", "T" * 400, "", ranks=(20,)),
        part("nothing", "", "", ranks=(15,)),
    ]
    everything = fit(parts, 10_000)
    assert everything == "\n\n".join(p.write(0) for p in parts if p.write(0)) + "\n"

    def lost(limit: int) -> str:
        page = fit(parts, limit)
        assert len(page) <= limit
        return page.splitlines()[-1].partition(" The report")[0]

    assert lost(1_200) == "*Shortened: modules."
    assert lost(700) == "*Left out: threads. Shortened: modules."
    assert lost(540) == "*Left out: modules, threads."
    assert lost(400) == "*Left out: modules, threads. Shortened: stack."


def big_report() -> Report:
    """More of everything than fits into an issue."""
    frames = tuple(
        app(level, f"module::Handler{level}::run(int, char const*)", f"/src/{level}.cpp", 1)
        for level in range(600)
    )
    threads = tuple(
        Thread(number=number, lwp=number, group=number, frames=frames[:20])
        for number in range(2, 60)
    )
    return msgspec.structs.replace(
        samples.null_write(),
        threads=(Thread(number=1, crashed=True, frames=frames), *threads),
        modules=tuple(
            Module(path=f"/usr/lib/{'x' * 60}{n}.so", build_id="ab" * 20, symbols="full")
            for n in range(300)
        ),
        logs=(LogExcerpt(source="log", lines=tuple(f"line {n} " * 9 for n in range(200))),),
    )


def test_a_big_report_is_cut_and_says_so() -> None:
    text = render(big_report())
    assert len(text) <= len(text.encode()) <= LIMIT
    assert text.splitlines()[-1] == (
        "*Left out: instructions, modules. Shortened: other threads."
        " The report was too long; as JSON it has it all.*"
    )
    assert "Handler599::run" in text


def monster(char: str) -> Report:
    """Every text as long as texts may be, and too many of everything."""
    text = char * 5_000
    variables = tuple(Variable(name=f"{text}{n}", type=text, value=text) for n in range(9))
    frame = Frame(level=0, function=text, file=text, module=text, in_app=True)
    frames = tuple(
        msgspec.structs.replace(frame, level=level, args=variables if level < 25 else ())
        for level in range(3_000)
    )
    many = (text,) * 300
    return Report(
        title=text,
        verdict=Verdict(cls=text, summary=text, confidence=text, evidence=many, advice=many),
        signature=Signature(text=text),
        abort_message=text,
        process=Process(executable=text, argv=many, module_id=text, build_id=text),
        threads=(
            Thread(
                number=1, role=text, crashed=True, frames=frames, gdb_frames=frames[:99], ended=text
            ),
            *(Thread(number=n, role=text, group=n, frames=frames[:9]) for n in range(2, 200)),
        ),
        modules=tuple(Module(path=text, build_id=text, symbols="missing") for _ in range(300)),
        registers={f"{text[:50]}{n}": Address(n) for n in range(300)},
        disassembly=tuple(Instruction(address=Address(1), text=text) for _ in range(99)),
        logs=tuple(LogExcerpt(source=text, lines=many) for _ in range(9)),
        timeline=tuple(TimelineEvent(time=text, kind=text, text=text) for _ in range(99)),
        soft_errors=tuple(SoftError(stage=text, message=text, hint=text) for _ in range(99)),
    )


@pytest.mark.parametrize("char", ["a", "@", "`", "<", "_", "\x1b", "名", "😀", "\U000e0041"])
def test_the_worst_report_fits(char: str) -> None:
    text = render(monster(char))
    assert len(text.encode()) <= LIMIT
    page = Page(text)
    assert set(page.elements) <= OURS
    assert not page.open
    assert "Crashed thread" in text


def test_the_crashed_thread_is_cut_in_its_middle_and_last() -> None:
    thread = Thread(
        number=1,
        crashed=True,
        frames=tuple(
            app(level, f"f{level}_{'x' * 70}", f"/src/{level}.cpp", 1) for level in range(1_600)
        ),
    )
    text = render(Report(threads=(thread,), registers={"rax": Address(0)}))
    assert len(text.encode()) <= LIMIT
    assert "f0_" in text
    assert "f1599_" in text
    assert "lines left out" in text


# ---------------------------------------------------------------- single parts


def test_what_is_not_there_leaves_no_trace() -> None:
    text = render(Report())
    assert "Registers" not in text
    assert "details" not in text
    assert "None" not in text
    assert "No thread is known to have crashed." in text
    stackless = render(Report(threads=(Thread(number=1, crashed=True),)))
    assert "### Crashed thread `#1`, 0 frames" in stackless


def test_a_crash_line_without_source_text_is_still_named() -> None:
    text = render(samples.overflow())
    assert "`/src/tree.cpp:21` in `station::Tree::depth(station::Node const*) const`" in text
    nowhere = Thread(number=1, crashed=True, frames=(Frame(level=0, module="/lib/x.so"),))
    assert "` in `" not in render(Report(threads=(nowhere,)))


def test_the_address_stands_in_for_a_missing_signature() -> None:
    assert "- signature: `ab+0x1`" in render(Report(signature=Signature(address="ab+0x1")))
    assert "signature" not in render(Report(signature=Signature()))


def test_more_than_fits_into_a_list_is_counted() -> None:
    notes = tuple(SoftError(stage="s", message=f"note {n}") for n in range(60))
    report = Report(verdict=Verdict(evidence=tuple("abcdefghijklmnop")), soft_errors=notes)
    text = render(report)
    assert "- l\n- … 4 more" in text
    assert "- note 39\n- … 20 more" in text


def test_arguments_with_spaces_are_quoted() -> None:
    text = render(Report(process=Process(argv=("a", "b c"))))
    assert '- command line: `a "b c"`' in text


def test_the_limit_is_the_one_of_github() -> None:
    assert markdown.LIMIT == 65_536
