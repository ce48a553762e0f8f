"""`evdiag build` without an engine, and with one that is played from recorded answers."""

import json
import os
import socketserver
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from .conftest import Evdiag

VERSION = {"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}
INFO = {"NCPU": 8, "MemTotal": 2_000_000_000, "Architecture": "x86_64"}
STEPS = [
    {"stream": "Step 1/3 : FROM debian AS everest-build"},
    {"stream": "\n"},
    {"stream": "Step 2/3 : RUN compile all"},
    {"stream": "\n"},
    {"stream": " ---> Running in 9b67a86bdb81\n"},
    {"stream": "[1/2] Building a.o\n[2/2] Building b.o\n"},
]
FULL = "write /usr/src/everest/build/b.o: no space left on device"
Play = Callable[..., list[bytes]]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder with something to build."""
    folder = tmp_path / "context"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM debian AS runtime\n")
    return folder


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Be an engine whose builder says this, and which then ends the connection or the answer.

    The function returns what was sent to be built.
    """
    servers: list[_Server] = []

    def start(messages: list[Any], *, status: int = 200, whole: bool = True) -> list[bytes]:
        sent: list[bytes] = []
        address = tmp_path / "engine.sock"
        servers.append(_Server(str(address), _handler(messages, status, whole, sent)))
        threading.Thread(target=servers[-1].serve_forever, args=(0.02,), daemon=True).start()
        monkeypatch.setenv("DOCKER_HOST", f"unix://{address}")
        return sent

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def _handler(
    messages: list[Any], status: int, whole: bool, sent: list[bytes]
) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            said = INFO if self.path.endswith("/info") else VERSION
            self.answer(json.dumps(said).encode())

        def do_POST(self) -> None:
            size = int(self.rfile.readline(), 16)
            while size:
                sent.append(self.rfile.read(size))
                self.rfile.readline()
                size = int(self.rfile.readline(), 16)
            self.rfile.readline()
            if status != 200:
                self.answer(json.dumps(messages[0]).encode())
                return
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for message in messages:
                text = json.dumps(message).encode() + b"\r\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(text), text))
            self.wfile.write(b"0\r\n\r\n" if whole else b"40\r\nhalf of")
            self.close_connection = True

        def answer(self, body: bytes) -> None:
            self.send_response(status if self.command == "POST" else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


# -- with a played engine


def test_a_full_disk(evdiag: Evdiag, play: Play, context: Path, tmp_path: Path) -> None:
    sent = play([*STEPS, {"errorDetail": {"message": FULL}, "error": FULL}])

    done = evdiag("build", "--context", context, "--jobs", 1)

    assert (done.code, done.out) == (6, "")
    assert b"FROM debian AS runtime" in b"".join(sent)
    assert "! the engine has 2.0 GB of memory" in done.err
    assert "engine: 20.10.24 on linux/amd64\n  1 compiler at once\n" in done.err
    assert "  | [1/2] Building a.o\n  | [2/2] Building b.o\n" in done.err
    assert f"`RUN compile all` failed (stage everest-build, step 2 of 3): {FULL}\n" in done.err
    assert "The engine's disk is full" in done.err
    (log,) = (tmp_path / "evdiag/build").glob("*.log")
    assert str(log) in done.err
    assert log.read_text().endswith(f"  failed: {FULL}\n")


@pytest.mark.parametrize("whole", [True, False], ids=["no end", "broken off"])
def test_an_engine_that_ends_meanwhile(
    whole: bool, evdiag: Evdiag, play: Play, context: Path
) -> None:
    play([*STEPS, {"aux": {"ID": "sha256:of-a-stage"}}], whole=whole)

    done = evdiag("build", "--context", context)

    assert done.code == 4
    assert "connection" in done.err.splitlines()[-2]


def test_an_answer_that_is_an_error(evdiag: Evdiag, play: Play, context: Path) -> None:
    play([{"message": "Error response: write /var/lib/docker/tmp: no space left on device"}],
         status=500)  # fmt: skip
    done = evdiag("build", "--context", context)
    assert done.code == 3
    assert "the engine's disk is full" in done.err


def test_a_log_that_cannot_be_written(
    evdiag: Evdiag, play: Play, context: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    play(STEPS)
    monkeypatch.setenv("EVDIAG_CACHE", str(context / "Dockerfile"))
    done = evdiag("build", "--context", context)
    assert done.code == 2
    assert "the build's log" in done.err
    assert "EVDIAG_CACHE" in done.err


def test_old_logs_go(evdiag: Evdiag, play: Play, context: Path, tmp_path: Path) -> None:
    folder = tmp_path / "evdiag/build"
    folder.mkdir(parents=True)
    for day in range(1, 31):
        (folder / f"2020-01-{day:02}.log").write_text("old")
    play([{"errorDetail": {"message": "no"}, "error": "no"}])

    assert evdiag("build", "--context", context).code == 6

    left = sorted(path.name for path in folder.iterdir())
    assert (len(left), left[0]) == (20, "2020-01-12.log")


# -- without one


def test_what_would_be_sent(evdiag: Evdiag, tmp_path: Path) -> None:
    own = tmp_path / "own"
    (own / "everest").mkdir(parents=True)
    (own / "everest/CMakeLists.txt").write_text("x" * 1500)
    (own / "e\x1b[2Jvil").mkdir()
    os.mkfifo(own / "pipe")

    done = evdiag(
        "build", "--print-context", "--sources", own, "--everest-ref", "main", "--jobs", 2,
        "--build-arg", "EVEREST_MODULES=A;B", "--platform", "arm64", "--tag", "x:1",
    )  # fmt: skip

    assert (done.code, done.err) == (0, "")
    lines = done.out.splitlines()
    assert lines[0].startswith("context    /")
    assert lines[1:4] == [f"sources/   {own}", "image      x:1", "platforms  linux/arm64"]
    text = " ".join(done.out.split())
    assert "sources/everest/ 1 file 1.5 kB" in text
    assert "sources/e\\x1b[2Jvil/" in text
    assert "Dockerfile" in text
    assert "capture/" in text
    assert {"  EVEREST_REF=main", "  EVEREST_JOBS=2", "  EVEREST_MODULES=A;B"} <= set(lines)
    assert "  everest: EVerest itself" in lines
    assert "  ! --everest-ref main is only written down: everest/ is built" in lines
    assert "sources/README.md" not in done.out


def test_the_shipped_context_is_the_checkout(evdiag: Evdiag) -> None:
    done = evdiag("build", "--print-context")
    assert done.code == 0
    assert "sources/README.md" in done.out
    assert "\n  VERSION=" in done.out
    assert "context.sh" not in done.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tag", "Not/Lower"], "'Not/Lower' is no name of an image"),
        (["--cache-from", "--x"], "is no name of an image"),
        (["--platform", "riscv64"], "no image for the platform 'riscv64'"),
        (["--everest-ref", "a b"], "'a b' is no branch, tag or commit"),
        (["--build-arg", "1=2"], "--build-arg '1=2' is not KEY=VALUE"),
        (["--push", "--output", "x"], "--push and --output exclude each other"),
        (["--sources", "none"], "none (--sources) does not exist"),
        (["--sources", "context/Dockerfile"], "(--sources) is no folder"),
        (["--sources", "context"], "the folder for --sources holds no folder"),
        (["--context", "."], "there is no Dockerfile in ."),
        (["--jobs", "0"], "--jobs"),
    ],
)
def test_what_cannot_be_meant(
    arguments: list[str],
    said: str,
    evdiag: Evdiag,
    context: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(context.parent)
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent")
    done = evdiag("build", *arguments)
    assert (done.code, done.out) == (2, "")
    assert said in done.err


def test_a_checkout_of_everest_as_the_folder(evdiag: Evdiag, tmp_path: Path) -> None:
    for name in ("modules", "CMakeLists.txt", "dependencies.yaml"):
        (tmp_path / name).mkdir()
    done = evdiag("build", "--sources", tmp_path)
    assert done.code == 2
    assert f"{tmp_path} (--sources) is a checkout of EVerest" in done.err
    assert f"ln -s {tmp_path} sources/everest" in done.err
