"""Write the pages of docs/reference that follow from the code, or check that they are current.

python -m docs.generate [--check]
"""

import sys
from collections.abc import Callable
from pathlib import Path

import typer

from evdiag.analyze.causes import RULES
from evdiag.analyze.checks import GROUPS
from evdiag.cli import build_app, help_texts
from evdiag.config import NAMED_FILE, ON_REQUEST, known
from evdiag.errors import EXIT_CODE_MEANINGS
from evdiag.report import FORMATS
from evdiag.report.schema import schema, triage_schema

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


YAML_INTRO = """\
# evdiag.yaml

Options that you would type each time, written down once for a folder. evdiag reads `evdiag.yaml` in
the current directory, or the file that `EVDIAG_CONFIG` names (`/dev/null`: none at all).

```yaml
name: charger-1                # every command that has --name
run:                           # `evdiag run` alone
  ocpp-version: 2.0.1
  ocpp-url: ws://localhost:9000
  env:
    EVSE_MAX_POWER: 50000
```

What counts first: the command line, then an `EVDIAG_*` variable, then the section of the command,
then the top of the file, then the default. Maps are added to: `-e K=V` changes one entry of `env`.

Values are taken as they are written, as if they stood on the command line: `2.10` stays `2.10` and
`yes` stays `yes`. A key without a value counts as not set. A key that no command knows, one that is
there twice and a value that its option does not take are errors that name the line, with exit
code 2. `--help` and `--version` do not look at the file.

A file that lies in the folder may have come with a crash from elsewhere. It is used only if it
belongs to you (or root) and nobody else can write it, and these keys count only in a file that
`EVDIAG_CONFIG` names: {named}. Never in a file: {request}.

| key | commands | what it is | variable |
|---|---|---|---|
"""


def yaml_page() -> str:
    """The keys of `evdiag.yaml`: the options of the commands."""
    found: dict[str, list[tuple[str, str, str]]] = {}
    for command, options in known(typer.main.get_group(build_app())).items():
        for key, option in options.items():
            variable = option.envvar if isinstance(option.envvar, str) else ""
            found.setdefault(key, []).append((command, option.help or "", variable))
    rows = []
    for key, uses in sorted(found.items()):
        commands = ", ".join(f"`{command}`" for command, *_ in uses)
        helps = " / ".join(dict.fromkeys(text for _, text, _ in uses)).replace("|", "\\|")
        variable = "".join(dict.fromkeys(f"`{name}`" for *_, name in uses if name))
        rows.append(f"| `{key}` | {commands} | {helps} | {variable} |\n")
    named = ", ".join(f"`{key}` ({why})" for key, why in NAMED_FILE.items())
    request = ", ".join(f"`{key}` ({why})" for key, why in ON_REQUEST.items())
    return NOTE + YAML_INTRO.format(named=named, request=request) + "".join(rows)


def checks_page() -> str:
    """Every check of doctor, by what it is about."""
    parts = [
        NOTE,
        "# Checks of `evdiag doctor`\n\n",
        "The first column is the `id` in the JSON. A check says `ok`, `info`, `warn` (it works, "
        "but), `fail` (with what helps), or `skip`: it could not be looked at.\n\n",
    ]
    for group in GROUPS:
        parts.append(f"## {group.title}\n\n| check | what it looks at |\n|---|---|\n")
        parts += [f"| `{rule.id}` | {rule.explanation} |\n" for rule in group.rules]
        parts.append("\n")
    return "".join(parts).rstrip() + "\n"


PAGES: dict[str, Callable[[], str]] = {
    "checks.md": checks_page,
    "cli.md": cli_page,
    "evdiag-yaml.md": yaml_page,
    "exit-codes.md": exit_codes_page,
    "formats.md": formats_page,
    "report.schema.json": schema,
    "rules.md": rules_page,
    "triage.schema.json": triage_schema,
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
