"""What `evdiag status`, `mqtt` and `shell` say to a command line that makes no sense."""

import pytest

from tests.cli.conftest import Evdiag


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mqtt", "--publish", "x"), "one topic"),
        (("mqtt", "a", "b", "--publish", "x"), "one topic"),
        (("mqtt", "a/#", "--publish", "x"), "many topics"),
        (("mqtt", "a/+/b", "--publish", "x"), "many topics"),
        (("mqtt", ""), "can be no topic"),
        (("mqtt", "a\nb"), "can be no topic"),
        (("mqtt", "\udcff"), "no valid text"),
        (("mqtt", "x" * 70_000), "can be no topic"),
        (("mqtt", "a", "--retain"), "--retain is for --publish"),
        (("mqtt", "a", "--publish", "x", "--count", "2"), "no sense"),
        (("mqtt", "a", "--publish", "x", "--json"), "no sense"),
        (("mqtt", "--count", "0"), "--count"),
        (("shell", "--user", "nobody"), "everest or root"),
        (("shell", "--", "a\0b"), "no valid text"),
        (("shell", "--", "\udcff"), "no valid text"),
    ],
)
def test_bad_usage(evdiag: Evdiag, arguments: tuple[str, ...], said: str) -> None:
    outcome = evdiag(*arguments)
    assert outcome.code == 2
    assert said in outcome.err
    assert outcome.out == ""


@pytest.mark.parametrize("command", ["status", "mqtt", "shell"])
def test_no_engine(evdiag: Evdiag, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    outcome = evdiag(command)
    assert outcome.code == 4
    assert "-> " in outcome.err
    assert outcome.out == ""
