"""`evdiag run` and `evdiag stop` without an engine."""

import socket
from pathlib import Path

import pytest

from evdiag.adapters.ports import is_free, page_answers

from .conftest import Evdiag


@pytest.fixture(autouse=True)
def no_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")


@pytest.mark.parametrize("words", [("run",), ("stop",)])
def test_without_an_engine_there_is_no_charger(evdiag: Evdiag, words: tuple[str, ...]) -> None:
    said = evdiag(*words)

    assert (said.code, said.out) == (4, "")
    assert "no container engine answers" in said.err


def test_what_makes_no_sense_is_said_before_the_engine_is_asked(evdiag: Evdiag) -> None:
    said = evdiag("run", "--capture", "sometimes")

    assert (said.code, said.out) == (2, "")
    assert "--capture 'sometimes' is not known" in said.err
    assert "auto, kernel, preload, off" in said.err


def test_an_option_may_come_from_the_environment(
    evdiag: Evdiag, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, text in (("OCPP_VERSION", "3"), ("PORT", "70000"), ("CAPTURE", "x")):
        with monkeypatch.context() as one:
            one.setenv(f"EVDIAG_{name}", text)
            said = evdiag("run")
            assert said.code == 2
            assert text in said.err


def test_a_port_is_free_or_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = int(server.getsockname()[1])

        assert is_free("127.0.0.1", taken) is False
        assert is_free("203.0.113.1", taken) is None
    assert is_free("127.0.0.1", taken) is True


def test_a_page_answers_or_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])

        # nobody accepts, so nothing comes back
        server.close()
        assert not page_answers(f"http://127.0.0.1:{port}/ui/")
