"""The groups as reports, one for each: for formats that know crashes, and not groups of them."""

from collections.abc import Sequence

import msgspec

from evdiag.model.report import CoreFile, Process, Report, Signature, Verdict
from evdiag.model.triage import Group
from evdiag.report.triage.parts import crashes_of


def reports(groups: Sequence[Group]) -> list[Report]:
    """What is known of each group's representative; its verdict says how often it happened."""
    return [_counted(group, group.report or _without_report(group)) for group in groups]


def _counted(group: Group, report: Report) -> Report:
    status = f", {group.status}" if group.status else ""
    often = f"({crashes_of(group)}{status})"
    verdict = report.verdict
    summary = f"{verdict.summary.rstrip('.')} {often}" if verdict.summary else often
    return msgspec.structs.replace(
        report, verdict=msgspec.structs.replace(verdict, summary=summary)
    )


def _without_report(group: Group) -> Report:
    """The report on a core that could be grouped, but not be reported on."""
    return Report(
        title=group.title,
        verdict=Verdict(cls=group.cls, confidence=group.confidence, summary=group.summary),
        signature=Signature(text=group.signature, hash=group.hash),
        process=Process(executable=group.program),
        core=CoreFile(path=group.representative),
    )
