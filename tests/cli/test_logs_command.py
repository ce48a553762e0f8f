"""`evdiag logs` without any engine: what is wrong is said before one is looked for."""

from pathlib import Path

import pytest

from tests.cli.conftest import Evdiag


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """There is nothing to talk to."""
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["evrest"], "there is no service 'evrest'"),
        (["--level", "loud"], "there is no level 'loud'"),
        (["--grep", "a(b"], "--grep 'a(b' is no regular expression"),
        (["--tail", "-1"], "--tail"),
        (["--tail", "x"], "--tail"),
    ],
)
def test_options_that_make_no_sense(evdiag: Evdiag, arguments: list[str], said: str) -> None:
    outcome = evdiag("logs", *arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.out == ""


def test_advice_names_what_there_is(evdiag: Evdiag) -> None:
    said = evdiag("logs", "my-container").err
    assert "everest, mosquitto, nodered, supervisord, container" in said
    assert "--name" in said
    assert r"--grep 'a\\(b'" in evdiag("logs", "--grep", "a(b").err


def test_help_names_the_services(evdiag: Evdiag) -> None:
    said = evdiag("logs", "--help").out
    assert "SERVICE" in said
    assert "nodered" in said
