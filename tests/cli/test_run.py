"""`evdiag run` and `evdiag stop` without an engine."""

import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

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


class Page(BaseHTTPRequestHandler):
    """Answers with the status and the header that its path names."""

    def do_GET(self) -> None:
        status, _, header = self.path.strip("/").partition("/")
        self.send_response(int(status))
        if header:
            self.send_header(header, 'Basic realm="charger"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *_: object) -> None:
        """Keep what was asked for out of the tests' output."""


@pytest.fixture
def pages() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("path", "answers"),
    [
        ("200", True),
        ("401/WWW-Authenticate", True),  # a dashboard that asks for its password is there
        ("401", False),
        ("404", False),
        ("403/WWW-Authenticate", False),
        ("503", False),
    ],
)
def test_which_page_is_an_answer(pages: str, path: str, answers: bool) -> None:
    assert page_answers(f"{pages}/{path}") is answers


def test_a_page_answers_or_not() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = int(server.getsockname()[1])

        # nobody accepts, so nothing comes back
        server.close()
        assert not page_answers(f"http://127.0.0.1:{port}/ui/")
