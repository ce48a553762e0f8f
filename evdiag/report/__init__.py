"""Reports: nouns to text, pure. A format is one module here and one line in `FORMATS`."""

from collections.abc import Callable
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


class Listed(msgspec.Struct, frozen=True):
    """A format that is imported once it is asked for: each costs 2 to 5 ms."""

    suffix: str
    load: Callable[[], Format]


def _terminal() -> Format:
    from evdiag.report import terminal  # noqa: PLC0415

    return terminal


def _markdown() -> Format:
    from evdiag.report import markdown  # noqa: PLC0415

    return markdown


def _json() -> Format:
    from evdiag.report import json  # noqa: PLC0415

    return json


FORMATS: Final[dict[str, Listed]] = {
    "terminal": Listed(".txt", _terminal),
    "markdown": Listed(".md", _markdown),
    "json": Listed(".json", _json),
}
"""By the name that `--format` takes; the first one is the default."""
