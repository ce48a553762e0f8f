"""Reports as SARIF 2.1.0: crashes as results, for code scanning, editors and viewers.

The document does not depend on when or where it is written. It stays below what GitHub takes: 10 MB
compressed, 25,000 results of which 5,000 are shown, 20 runs (docs.github.com, "SARIF support for
code scanning", "SARIF results exceed limits").
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from evdiag.analyze import names
from evdiag.analyze.causes import RULES
from evdiag.model.report import Report, SoftError, is_crash
from evdiag.report import words
from evdiag.report.findings import Sources, uri_of
from evdiag.report.json import to_text
from evdiag.report.neutral import neutralise
from evdiag.report.sarif_results import DETAILS, Json, message, result, rule_id

SUFFIX = ".sarif"
MEDIA = "application/sarif+json"

SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
LIMIT: Final = 8_000_000
"""Bytes of all results, without indentation and not compressed."""
MOST_RESULTS: Final = 5_000
MOST_NOTES: Final = 200
MOST_CORES: Final = 1_000

_WITHOUT_RULE = {
    "oom-killed": "Killed for want of memory",
    "no-crash": "Nothing crashed",
}
"""Classes that are told by logs, not by a core."""


def render(report: Report) -> str:
    """The report as a document with one result."""
    return render_many([report])


def render_many(reports: Sequence[Report]) -> str:
    """All reports as results of one run; where they are too large, with fewer stacks."""
    neutral = [neutralise(report) for report in reports[:MOST_RESULTS]]
    sources = Sources.of(neutral)
    results = _fitting(neutral, sources)
    shown = neutral[: len(results)]
    rules = list(dict.fromkeys(sorted(rule_id(report) for report in shown)))
    _add_indexes(shown, results, rules)
    lost = len(reports) - len(results)
    run: Json = {
        "tool": {"driver": _driver(neutral, rules)},
        "invocations": [
            {"executionSuccessful": True, "toolExecutionNotifications": _notes(shown, lost)}
        ],
        "originalUriBaseIds": {"SRCROOT": _source_root(sources)},
        "artifacts": _cores(shown),
        "columnKind": "unicodeCodePoints",
        "results": results,
    }
    return to_text({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]})


def _fitting(reports: Sequence[Report], sources: Sources) -> list[Json]:
    """The results, each with as much detail as its share of the room allows."""
    results: list[Json] = []
    room = LIMIT
    for i, report in enumerate(reports):
        document, size = _fullest(report, sources, room // (len(reports) - i))
        if size > room:
            break
        results.append(document)
        room -= size
    return results


def _fullest(report: Report, sources: Sources, share: int) -> tuple[Json, int]:
    """The fullest result that takes no more than its share, else the barest; and its size."""
    *more, barest = DETAILS
    for detail in more:
        document = result(report, sources, detail)
        if (size := len(msgspec.json.encode(document))) <= share:
            return document, size
    document = result(report, sources, barest)
    return document, len(msgspec.json.encode(document))


def _add_indexes(reports: Sequence[Report], results: Sequence[Json], rules: list[str]) -> None:
    numbers = {rule: i for i, rule in enumerate(rules)}
    places = {path: i for i, path in enumerate(_core_paths(reports))}
    for report, document in zip(reports, results, strict=True):
        document["ruleIndex"] = numbers[rule_id(report)]
        path = report.core.path
        if path is not None and path in places:
            document["analysisTarget"] = {"uri": uri_of(path), "index": places[path]}


def _driver(reports: Sequence[Report], rules: Sequence[str]) -> Json:
    version = next((r.tool.version for r in reports if r.tool.version), None)
    driver: Json = {"name": "evdiag", "rules": [_rule(name) for name in rules]}
    return driver if version is None else {**driver, "version": names.clip(version, 60)}


def _rule(name: str) -> Json:
    """What a class of verdicts means, as the documentation of evdiag's rules has it."""
    known = next((rule for rule in RULES if name in rule.classes), None)
    title = known.title if known is not None else _WITHOUT_RULE.get(name, name)
    text = known.explanation if known is not None else f"{title}: as evdiag's verdict says."
    kind = "error" if is_crash(name) else "note"
    return {
        "id": name,
        "shortDescription": message(title),
        "fullDescription": message(text, 4000),
        "help": message(text, 4000),
        "defaultConfiguration": {"level": kind},
        "properties": {"tags": ["crash"]},
    }


def _source_root(sources: Sources) -> Json:
    text = message("The folder of the sources, where the program was built")
    return {"description": text, **({"uri": uri_of(sources.root) + "/"} if sources.root else {})}


def _core_paths(reports: Sequence[Report]) -> list[str]:
    return list(dict.fromkeys(r.core.path for r in reports if r.core.path))[:MOST_CORES]


def _cores(reports: Sequence[Report]) -> list[Json]:
    """The cores: memory of the programs that crashed."""
    by_path = {report.core.path: report.core for report in reports}
    documents: list[Json] = []
    for path in _core_paths(reports):
        core = by_path[path]
        document: Json = {
            "location": {"uri": uri_of(path)},
            "roles": ["analysisTarget", "memoryContents"],
        }
        if core.bytes is not None:
            document["length"] = core.bytes
        if core.sha256:
            document["hashes"] = {"sha-256": core.sha256}
        documents.append(document)
    return documents


def _notes(reports: Sequence[Report], lost: int) -> list[Json]:
    """What went wrong while the reports were made, and what is left out here."""
    found: list[tuple[Report, SoftError]] = [
        (report, error) for report in reports for error in report.soft_errors
    ]
    notes: list[Json] = []
    for report, error in found[:MOST_NOTES]:
        text = " ".join(words.note(error)).rstrip()
        notes.append(
            {
                "level": "warning",
                "message": message(f"{words.title(report)}: {text}"),
                "descriptor": {"id": names.clip(error.stage, 60) or "unknown"},
            }
        )
    if len(found) > MOST_NOTES:
        more = words.count(len(found) - MOST_NOTES, "more note")
        notes.append({"level": "note", "message": message(f"{more}: as JSON it has all")})
    if lost:
        text = f"{words.count(lost, 'report')} left out, there were too many: as JSON it has all"
        notes.append({"level": "warning", "message": message(text)})
    return notes
