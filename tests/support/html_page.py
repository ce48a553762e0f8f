"""Reads a page of ours more strictly than browsers do: what is opened has to be closed."""

import re
from collections import Counter
from html.parser import HTMLParser

from evdiag.model.report import Report
from evdiag.report.html import page

VOID = {"meta", "link", "input", "wbr", "br"}
INLINE = {"code", "a", "small"}
"""Their text is part of the words around them."""
HEADINGS = ("h1", "h2", "h3", "h4")


class Page(HTMLParser):
    """The elements of a page, its texts, and what is inside of its scripts and styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        """Element, attribute, value."""
        self.headings: list[tuple[int, str]] = []
        self.raw: dict[str, str] = {}
        """What scripts and styles hold, by their ids, else by their names."""
        self.text = ""
        """All text outside of scripts and styles."""
        self.comments: list[str] = []
        self._spaced = ""
        self._open: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self._spaced += "" if tag in INLINE else " "
        named = {name: value or "" for name, value in attrs}
        assert len(named) == len(attrs), f"{tag} has an attribute twice"
        self.attributes += [(tag, name, value) for name, value in named.items()]
        if tag in HEADINGS:
            self.headings.append((int(tag[1]), ""))
        if tag not in VOID:
            self._open.append((tag, named.get("id", tag)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"<{tag}/> is no HTML")

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> without a beginning"
        assert self._open.pop()[0] == tag
        self._spaced += "" if tag in INLINE else " "

    def handle_data(self, data: str) -> None:
        tag, name = self._open[-1] if self._open else ("", "")
        if tag in ("script", "style"):
            self.raw[name] = self.raw.get(name, "") + data
            return
        self.text += data
        self._spaced += data
        if any(each in HEADINGS for each, _ in self._open):
            level, before = self.headings[-1]
            self.headings[-1] = level, before + data

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)

    @property
    def ids(self) -> list[str]:
        """All ids, in order."""
        return [value for _, name, value in self.attributes if name == "id"]

    def values(self, attribute: str) -> list[str]:
        """The values of an attribute, whatever element has it."""
        return [value for _, name, value in self.attributes if name == attribute]

    def words(self) -> str:
        """The text with single spaces, also between elements."""
        return re.sub(r"\s+", " ", self._spaced).strip()


def section(report: Report, kind: str) -> Page:
    """One section of the report's page."""
    text = str(page.article(report))
    start = text.index(f'<section class="part {kind}')
    return Page(text[start : text.index("</section>", start) + len("</section>")])


def has(report: Report, kind: str) -> bool:
    """Whether the report's page has that section."""
    return f'<section class="part {kind}' in page.article(report)
