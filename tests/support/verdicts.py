"""What is expected of the whole table of verdicts, and the table itself, for people.

python -m tests.support.verdicts > table.md
"""

import tempfile
from pathlib import Path

from evdiag.engine import Engine, Options
from evdiag.model.report import Report

from .crashers import OPTS, make_core, modes_here
from .other_machines import hidden_symbols

COMPILERS = ("g++", "clang++")

UNWOUND = (
    "clang's code unwinds the stack as far as the function that may not throw, and calls "
    "std::terminate there: the frames that threw are gone; gcc leaves them"
)

DIFFERENT_SIGNATURES = {
    "throw-noexcept": UNWOUND,
    "throw-in-destructor": UNWOUND,
    "terminate-recursive": UNWOUND,
    "use-after-free": (
        "at -O0 an instruction of its own reads the function's address from the freed object's "
        "table (wild-read), at -O2 the call itself does (bad-call)"
    ),
}
"""Modes whose signature is another one in another build, and why it has to be."""


def words_of(report: Report) -> set[str]:
    """The texts that the process left behind."""
    thrown = [t.what for t in (report.exception, *report.other_exceptions) if t and t.what]
    return {*thrown, report.abort_message or ""}


def main() -> None:
    """Print a row for every mode: class, evidence, signature, and how many builds agree."""
    print("| mode | class | detail | first evidence | signature | builds that agree |")
    print("|---|---|---|---|---|---|")
    full = Engine(Options())
    with tempfile.TemporaryDirectory() as folder:
        hidden: Engine | None = None
        for mode in modes_here():
            reports = []
            for compiler in COMPILERS:
                for opt in OPTS:
                    core = make_core(mode, opt, compiler=compiler).core
                    hidden = hidden or Engine(hidden_symbols(Path(folder), core))
                    reports += [full.report(core), hidden.report(core)]
            print(row(mode.name, reports), flush=True)


def row(name: str, reports: list[Report]) -> str:
    """One line of the table; the first report speaks for all."""
    first = reports[0]
    key = identity(first)
    same = sum(identity(report) == key for report in reports)
    cells = (
        name,
        first.verdict.cls,
        first.verdict.detail or "",
        first.verdict.evidence[0] if first.verdict.evidence else "",
        first.signature.text or "" if first.signature else "",
        f"{same} of {len(reports)}",
    )
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def identity(report: Report) -> tuple[str, str | None]:
    """What has to be the same in all builds."""
    return report.verdict.cls, report.signature.text if report.signature else None


if __name__ == "__main__":
    main()
