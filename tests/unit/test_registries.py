"""What has to be listed is listed, and the documentation says what the code says."""

import inspect
import re
from pathlib import Path

import pytest

from docs.generate import PAGES, REFERENCE, stale_pages
from evdiag import commands, errors
from evdiag.commands import COMMANDS
from evdiag.errors import EXIT_CODE_MEANINGS, EvdiagError, ExitCode

ROOT = Path(commands.__file__).parents[2]


def error_classes() -> list[type[EvdiagError]]:
    return [
        value
        for value in vars(errors).values()
        if inspect.isclass(value) and issubclass(value, EvdiagError)
    ]


def test_every_command_file_is_listed() -> None:
    folder = Path(commands.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if not path.name.startswith("_")}
    assert files == COMMANDS.keys()


def test_every_exit_code_has_a_meaning() -> None:
    assert list(EXIT_CODE_MEANINGS) == list(ExitCode)
    assert all(EXIT_CODE_MEANINGS.values())


@pytest.mark.parametrize("error", error_classes(), ids=lambda error: error.__name__)
def test_every_error_is_drawn_in_the_tree_and_gives_advice(error: type[EvdiagError]) -> None:
    assert error.__name__ in (errors.__doc__ or "")
    assert error("it failed").exit_code in ExitCode
    if not error.__subclasses__():
        assert error("it failed").advice
    assert error("it failed", advice="try this").advice == "try this"


def test_the_generated_pages_are_current() -> None:
    assert stale_pages() == [], "run `make docs`"


def test_every_generated_page_is_reached_from_the_index() -> None:
    index = (REFERENCE.parent / "README.md").read_text()
    assert [name for name in PAGES if f"reference/{name}" not in index] == []


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_no_link_leads_nowhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
