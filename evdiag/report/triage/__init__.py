"""A triage as text: a format is one module here and one line in `TRIAGE_FORMATS`."""

from collections.abc import Callable
from typing import Final, Protocol

import msgspec

from evdiag.model.triage import Triage


class TriageFormat(Protocol):
    """What a module needs to be a format."""

    def render(self, triage: Triage) -> str:
        """The whole triage as text that ends with a new line; harmless whatever is in it."""


class Listed(msgspec.Struct, frozen=True):
    """A format that is imported once it is asked for."""

    suffix: str
    """Of the files it is written to, with the dot."""
    load: Callable[[], TriageFormat]


def _terminal() -> TriageFormat:
    from evdiag.report.triage import terminal  # noqa: PLC0415 - brings Rich

    return terminal


def _markdown() -> TriageFormat:
    from evdiag.report.triage import markdown  # noqa: PLC0415 - as above

    return markdown


def _html() -> TriageFormat:
    from evdiag.report.html import overview  # noqa: PLC0415 - brings jinja2

    return overview


def _json() -> TriageFormat:
    from evdiag.report.triage import json  # noqa: PLC0415 - as above

    return json


def _sarif() -> TriageFormat:
    from evdiag.report.triage import sarif  # noqa: PLC0415 - as above

    return sarif


def _junit() -> TriageFormat:
    from evdiag.report.triage import junit  # noqa: PLC0415 - as above

    return junit


TRIAGE_FORMATS: Final[dict[str, Listed]] = {
    "terminal": Listed(".txt", _terminal),
    "markdown": Listed(".md", _markdown),
    "html": Listed(".html", _html),
    "json": Listed(".json", _json),
    "sarif": Listed(".sarif", _sarif),
    "junit": Listed(".xml", _junit),
}
"""By the name that `--format` takes; the first one is the default."""
