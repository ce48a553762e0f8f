"""Reports as JUnit XML, which every CI system reads: a crash is a failed case.

There is no standard: this is what Jenkins, GitLab, GitHub's reporters and junitparser have in
common. A case is named after the crash, not after the process that it hit, so that CI tells a new
crash from one that it knows.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final
from xml.etree.ElementTree import Element, SubElement, indent, tostring

from evdiag.analyze import names
from evdiag.model.report import Report, Sibling, is_crash
from evdiag.report import screen, words
from evdiag.report.details import LONGEST_STACK
from evdiag.report.findings import (
    Sources,
    frame_of_interest,
    identity_of,
    program_of,
)
from evdiag.report.lines import frame_lines, plain
from evdiag.report.neutral import neutralise

SUFFIX = ".xml"
MEDIA = "application/xml"

LIMIT: Final = 20_000_000
"""Bytes; GitLab takes 30 MB a file (docs.gitlab.com, "Unit test reports")."""
MOST_REPORTS: Final = 5_000
LONGEST_BODY: Final = 40_000
WIDTH: Final = 100
"""Columns of the text of a failure."""

LONGEST_NAME, LONGEST_MESSAGE, MOST_TAKEN_DOWN = 250, 500, 64
_ROOM_FOR_NAMES = 16_000
"""Bytes that a report takes besides the text of its failure, whatever is in it."""

_ILLEGAL = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML 1.0 cannot hold, not even escaped; `xml.etree` writes it all the same."""
_UTC = re.compile(r"(\d{4}-\d\d-\d\d)[ T](\d\d:\d\d:\d\d)(?:\.\d+)?(?: ?UTC|Z)")


def render(report: Report) -> str:
    """The report as a document with one suite."""
    return render_many([report])


def render_many(reports: Sequence[Report]) -> str:
    """All reports, each as a suite with its crash and with the processes that it took down."""
    root = Element("testsuites", name="evdiag")
    shown = [neutralise(report) for report in reports[:MOST_REPORTS]]
    sources, names_of_cases = Sources.of(shown), _Names()
    told = {_key(report.process.pid, report.process.module_id) for report in shown}
    longest = min(LONGEST_BODY, LIMIT // max(len(shown), 1) - _ROOM_FOR_NAMES)
    for report in shown:
        suite = SubElement(root, "testsuite", name=_clip(words.process_name(report)) or "process")
        _suite_facts(suite, report)
        _crash(suite, report, sources, names_of_cases, longest)
        for sibling in _new_siblings(report, told):
            _taken_down(suite, report, sibling, names_of_cases)
        _count(suite, [suite])
    if len(reports) > len(shown):
        lost = words.count(len(reports) - len(shown), "report")
        suite = SubElement(root, "testsuite", name="evdiag")
        case = SubElement(suite, "testcase", classname="evdiag", name="reports left out")
        SubElement(case, "skipped", message=f"{lost} left out: there were too many")
        _count(suite, [suite])
    _count(root, list(root))
    indent(root)
    text = tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


class _Names:
    """Names of cases that differ: of equal ones GitLab ignores all but the first."""

    def __init__(self) -> None:
        self._used: Counter[tuple[str, str]] = Counter()

    def new(self, classname: str, name: str) -> dict[str, str]:
        """The attributes of a case."""
        classname, name = _clip(classname), _name(name)
        self._used[classname, name] += 1
        number = self._used[classname, name]
        return {"classname": classname, "name": name if number == 1 else f"{name} (no. {number})"}


def _crash(
    suite: Element, report: Report, sources: Sources, names_of_cases: _Names, longest: int
) -> None:
    """The case of the process that the report is about."""
    case = SubElement(
        suite, "testcase", names_of_cases.new(program_of(report), identity_of(report))
    )
    found = frame_of_interest(report)
    if found is not None and found[1].file:
        file, line = found[1].file, found[1].line
        case.set("file", _clip(sources.relative(file) or file))
        if line is not None:
            case.set("line", str(line))
    if is_crash(report.verdict.cls):
        title = names.clip(words.title(report), LONGEST_MESSAGE)
        failure = SubElement(case, "failure", type=_clip(report.verdict.cls), message=_legal(title))
        failure.text = _body(report, longest)


def _new_siblings(report: Report, told: set[tuple[int | None, str | None]]) -> Iterator[Sibling]:
    """The processes that were taken down, those with a report or a case of their own left out."""
    taken = [sibling for sibling in report.siblings if sibling.role == "taken_down"]
    for sibling in taken[:MOST_TAKEN_DOWN]:
        key = _key(sibling.pid, sibling.module_id)
        if key not in told:
            told.add(key)
            yield sibling


def _key(pid: int | None, module_id: str | None) -> tuple[int | None, str | None]:
    return (pid, None if pid is not None else module_id)


def _taken_down(suite: Element, report: Report, sibling: Sibling, names_of_cases: _Names) -> None:
    """A case that neither failed nor was done."""
    classname = sibling.module_id or "process"
    case = SubElement(suite, "testcase", names_of_cases.new(classname, "taken down by another"))
    ended = f" ({sibling.status})" if sibling.status else ""
    text = f"taken down with {words.process_name(report) or 'another process'}{ended}"
    SubElement(case, "skipped", message=_clip(text))


def _suite_facts(suite: Element, report: Report) -> None:
    """What CI shows next to a suite, and what scripts look for."""
    process, signature = report.process, report.signature
    if when := _UTC.fullmatch(process.crashed_at or ""):
        suite.set("timestamp", f"{when[1]}T{when[2]}")
    known = (
        ("class", report.verdict.cls),
        ("confidence", report.verdict.confidence),
        ("signature", None if signature is None else signature.hash),
        ("signature.text", None if signature is None else signature.text),
        ("signature.address", None if signature is None else signature.address),
        ("module", process.module_id),
        ("build-id", process.build_id),
        ("image", None if report.container is None else report.container.image),
        ("core", report.core.path),
    )
    properties = SubElement(suite, "properties")
    for name, text in known:
        if text:
            value = _legal(names.clip(text, LONGEST_MESSAGE))
            SubElement(properties, "property", name=f"evdiag.{name}", value=value)


def _body(report: Report, longest: int) -> str:
    """What a reader sees who opens the failure: the first screen, then the whole stack."""
    lines = plain(screen.first_screen(report, WIDTH))
    thread, see = report.crashed, words.frame_to_see(report)
    rows = words.stack_rows(thread) if thread is not None else []
    room = screen.rows_that_fit(report, WIDTH)
    seen = [] if screen.is_deadlock(report) else screen.top_rows(rows, see, room)
    if thread is not None and seen != rows:
        rows = words.without_middle(rows, LONGEST_STACK)
        lines += ["", f"Whole stack: {words.thread_name(thread)}"]
        lines += plain(frame_lines(rows, WIDTH, see))
    text = _legal("\n".join(lines))
    if len(text.encode()) > longest:
        text = text.encode()[: max(longest, 0)].decode(errors="ignore") + "\n… (cut)"
    return f"\n{text}\n"


def _count(element: Element, suites: Sequence[Element]) -> None:
    """Set the numbers of cases: CI systems show them, and some insist on them."""
    numbers = {
        "tests": sum(len(suite.findall("testcase")) for suite in suites),
        "failures": sum(len(suite.findall("testcase/failure")) for suite in suites),
        "errors": 0,
        "skipped": sum(len(suite.findall("testcase/skipped")) for suite in suites),
    }
    for name, number in numbers.items():
        element.set(name, str(number))


def _name(text: str) -> str:
    """The name of a case; its end, the hash of the signature, is what tells it from others."""
    return _legal(names.elide(text, LONGEST_NAME))


def _clip(text: str) -> str:
    return _legal(names.clip(text, LONGEST_NAME))


def _legal(text: str) -> str:
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)
