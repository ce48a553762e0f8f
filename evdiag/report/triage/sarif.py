"""A triage as SARIF: a result for each group, with what the format itself has for groups."""

from typing import Any

import msgspec

from evdiag.model.triage import Triage
from evdiag.report import sarif
from evdiag.report.json import to_text
from evdiag.report.triage.representatives import reports

_STATES = {"new": "new", "known": "unchanged"}
"""SARIF's words for what a baseline tells."""


def render(triage: Triage) -> str:
    """The groups as results of one run, in their order; what is gone is not among them."""
    document: Any = msgspec.json.decode(sarif.render_many(reports(triage.groups)))
    # Where there are too many, the last ones are missing.
    for group, result in zip(triage.groups, document["runs"][0]["results"], strict=False):
        result["occurrenceCount"] = max(group.count, 1)
        if state := _STATES.get(group.status or ""):
            result["baselineState"] = state
    return to_text(document)
