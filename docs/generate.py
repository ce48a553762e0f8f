"""Write the pages of docs/reference that follow from the code, or check that they are current.

python -m docs.generate [--check]
"""

import sys
from collections.abc import Callable
from pathlib import Path

from evdiag.analyze.causes import RULES
from evdiag.cli import help_texts
from evdiag.errors import EXIT_CODE_MEANINGS
from evdiag.report import FORMATS
from evdiag.report.schema import schema

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Written by `make docs` from the code; edits here are lost. -->\n\n"


def cli_page() -> str:
    """Every command with its help."""
    parts = [NOTE, "# Command line\n\n"]
    for name, text in help_texts().items():
        parts.append(f"## {name}\n\n```text\n{text.strip()}\n```\n\n")
    return "".join(parts).rstrip() + "\n"


def exit_codes_page() -> str:
    """The table of exit codes."""
    rows = [f"| {code.value} | {text} |\n" for code, text in EXIT_CODE_MEANINGS.items()]
    head = "# Exit codes\n\nScripts may rely on these numbers.\n\n| code | meaning |\n|---|---|\n"
    return NOTE + head + "".join(rows)


def rules_page() -> str:
    """Every rule about the cause of a crash, in the order in which they are tried."""
    parts = [
        NOTE,
        "# Rules about the cause of a crash\n\n",
        "They are tried in this order; the first that matches gives the verdict.\n\n",
    ]
    for rule in RULES:
        classes = ", ".join(f"`{name}`" for name in rule.classes)
        parts.append(f"## {rule.id}: {rule.title}\n\nGives: {classes}\n\n{rule.explanation}\n\n")
    return "".join(parts).rstrip() + "\n"


def formats_page() -> str:
    """The report formats."""
    rows = [
        f"| `{name}` | `{listed.suffix}` | {(listed.load().__doc__ or '').splitlines()[0]} |\n"
        for name, listed in FORMATS.items()
    ]
    head = "# Report formats\n\n| `--format` | suffix for `-o` | what it is |\n|---|---|---|\n"
    return NOTE + head + "".join(rows)


PAGES: dict[str, Callable[[], str]] = {
    "cli.md": cli_page,
    "exit-codes.md": exit_codes_page,
    "formats.md": formats_page,
    "report.schema.json": schema,
    "rules.md": rules_page,
}


def stale_pages() -> list[str]:
    """Names of the pages that do not say what the code says."""
    return [
        name
        for name, make in PAGES.items()
        if not (REFERENCE / name).is_file() or (REFERENCE / name).read_text() != make()
    ]


def main(arguments: list[str]) -> int:
    """Write the pages, or with --check name those that are stale; returns the exit code."""
    stale = stale_pages()
    if arguments == ["--check"]:
        for name in stale:
            sys.stderr.write(f"docs/reference/{name} is not current: run `make docs`\n")
        return 1 if stale else 0
    for name in stale:
        (REFERENCE / name).write_text(PAGES[name]())
        sys.stdout.write(f"wrote docs/reference/{name}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
