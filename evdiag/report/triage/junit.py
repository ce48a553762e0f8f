"""A triage as JUnit: each group is one failed case, however often it happened."""

from evdiag.model.triage import Triage
from evdiag.report import junit
from evdiag.report.triage.representatives import reports


def render(triage: Triage) -> str:
    """The groups as cases, in their order."""
    return junit.render_many(reports(triage.groups))
