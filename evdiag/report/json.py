"""The report as JSON, for scripts."""

from collections.abc import Sequence
from typing import Any

import msgspec

from evdiag.model.report import SCHEMA, Address, Report
from evdiag.report.neutral import clean, neutralise

SUFFIX = ".json"
MEDIA = "application/json"


def render(report: Report) -> str:
    """The report as one JSON object."""
    return to_text(neutralise(report))


def render_many(reports: Sequence[Report]) -> str:
    """One report as an object, several (or none) as an array of objects."""
    neutral = [neutralise(report) for report in reports]
    return to_text(neutral[0] if len(neutral) == 1 else neutral)


def decode(text: str | bytes) -> Report:
    """The report that `render` wrote; `msgspec.DecodeError` if it is none."""
    report = msgspec.json.decode(text, type=Report, dec_hook=_decode_hook)
    if report.schema != SCHEMA:
        raise msgspec.ValidationError(f"Expected schema {SCHEMA!r}, got {clean(report.schema)!r}")
    return report


def to_text(document: object) -> str:
    """A document as indented JSON."""
    compact = msgspec.json.encode(document, enc_hook=_encode_hook)
    return msgspec.json.format(compact, indent=2).decode() + "\n"


def _encode_hook(value: object) -> str:
    assert isinstance(value, Address)
    return str(value)


def _decode_hook(kind: type, value: Any) -> Address:  # noqa: ANN401 - whatever the JSON holds
    assert kind is Address
    return Address(int(value, 16))
