"""Reports: nouns to text, pure. A format is one module here and one line in `FORMATS`."""

from collections.abc import Callable, Sequence
from typing import Final, Protocol

import msgspec

from evdiag.model.report import Report


class Format(Protocol):
    """What a module needs to be a report format."""

    @property
    def SUFFIX(self) -> str:
        """Of the files it is written to, with the dot."""

    @property
    def MEDIA(self) -> str:
        """Its media type."""

    def render(self, report: Report) -> str:
        """The whole report as text that ends with a new line; harmless whatever is in it."""


class Document(Format, Protocol):
    """A format in which several reports are one document, not one after the other."""

    def render_many(self, reports: Sequence[Report]) -> str:
        """All reports as one text; of one report the same as `render`."""


class Listed(msgspec.Struct, frozen=True):
    """A format that is imported once it is asked for: each costs 2 to 5 ms."""

    suffix: str
    load: Callable[[], Format]
    load_document: Callable[[], Document] | None = None
    """The same module, where several reports are one document."""


def _terminal() -> Format:
    from evdiag.report import terminal  # noqa: PLC0415

    return terminal


def _markdown() -> Format:
    from evdiag.report import markdown  # noqa: PLC0415

    return markdown


def _html() -> Document:
    from evdiag.report import html  # noqa: PLC0415

    return html


def _json() -> Document:
    from evdiag.report import json  # noqa: PLC0415

    return json


def _sarif() -> Document:
    from evdiag.report import sarif  # noqa: PLC0415

    return sarif


def _junit() -> Document:
    from evdiag.report import junit  # noqa: PLC0415

    return junit


def _github() -> Document:
    from evdiag.report import github  # noqa: PLC0415

    return github


FORMATS: Final[dict[str, Listed]] = {
    "terminal": Listed(".txt", _terminal),
    "markdown": Listed(".md", _markdown),
    "html": Listed(".html", _html, _html),
    "json": Listed(".json", _json, _json),
    "sarif": Listed(".sarif", _sarif, _sarif),
    "junit": Listed(".xml", _junit, _junit),
    "github": Listed(".summary.md", _github, _github),
}
"""By the name that `--format` takes; the first one is the default."""
