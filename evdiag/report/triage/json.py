"""A triage as JSON, for scripts and as a baseline for later ones."""

from evdiag.model.triage import Triage
from evdiag.report.json import to_text
from evdiag.report.neutral import neutralise


def render(triage: Triage) -> str:
    """The triage as one JSON object, with the reports of its groups."""
    return to_text(neutralise(triage))
