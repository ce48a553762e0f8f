"""`evdiag build` with a real engine, on contexts of a few lines."""

import os
import pty
import re
import signal
import stat
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag import __version__
from evdiag.cli import main
from tests.conftest import need
from tests.support.charger import await_true, docker
from tests.support.charger_image import missing_engine

pytestmark = pytest.mark.docker

GOOD = """\
ARG BASE=debian:bookworm-slim
FROM ${BASE} AS sources
COPY sources/ /src/
RUN cd /src && find . | LC_ALL=C sort && ls -l everest && cat everest/link && echo NONCE
FROM ${BASE} AS runtime
COPY --from=sources /src/everest/own.txt /
ARG VERSION=""
ARG EXTRA=none
LABEL org.evdiag.test="$VERSION $EXTRA"
FROM ${BASE} AS unwanted
RUN exit 1
"""
BAD = r"""\
FROM debian:bookworm-slim AS runtime
RUN exec >&2; printf '\033]0;owned\007\033[2J\n'; seq 40 | sed 's/^/line /'; echo NONCE; exit 3
"""


@pytest.fixture(autouse=True)
def engine(request: pytest.FixtureRequest) -> None:
    """These tests need an engine, but not the charger's image."""
    if reason := missing_engine():
        need(request, "docker", reason)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logs go."""
    monkeypatch.setenv("EVDIAG_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache/build"


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A folder for a Dockerfile."""
    folder = tmp_path / "context"
    folder.mkdir()
    return folder


@pytest.fixture
def tag() -> Iterator[str]:
    """A name for an image."""
    made = f"evdiag-test-build:{uuid.uuid4().hex[:12]}"
    yield made
    docker("rmi", made)


def write(context: Path, text: str) -> None:
    (context / "Dockerfile").write_text(text.replace("NONCE", uuid.uuid4().hex))


def test_an_image_from_own_sources(
    context: Path, tag: str, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(context, GOOD)
    (context / ".dockerignore").write_text("*\n!sources\n")
    (context / "secret").write_text("x")
    own = tmp_path / "own"
    (own / "everest").mkdir(parents=True)
    for name in ("CMakeLists.txt", "own.txt", "it's odd"):
        (own / "everest" / name).write_text(name)
    (own / "everest/own.txt").chmod(0o751)
    (own / "everest/link").symlink_to("own.txt")
    command = ["build", "--context", str(context), "--sources", str(own), "--tag", tag]

    assert main([*command, "--build-arg", "EXTRA=a b"]) == 0

    said = capsys.readouterr()
    assert said.out == ""
    assert "everest: EVerest itself" in said.err
    assert "✓ sources: 3 steps" in said.err
    assert re.search(rf"✓ {tag} is built: [0-9a-f]{{12}}, [\d.]+ MB, after \d+ s\n", said.err)
    assert said.err.endswith(f"next: evdiag run --image {tag}\n")
    label = docker("inspect", "-f", '{{index .Config.Labels "org.evdiag.test"}}', tag).out
    assert label == f"{__version__} a b\n"
    (log,) = cache.glob("*.log")
    assert stat.S_IMODE(log.stat().st_mode) == 0o600
    text = log.read_text()
    for wanted in ("./everest/it's odd", "-rwxr-x--x 1 root root", "link -> own.txt", "] own.txt"):
        assert wanted in text
    assert "secret" not in text

    # the same once more: nothing is built, whenever the files were touched
    os.utime(own / "everest/own.txt", (1, 1))
    assert main([*command, "--build-arg", "EXTRA=a b"]) == 0
    assert "✓ sources: 3 steps, 2 from the cache" in capsys.readouterr().err


def test_a_step_that_fails(
    context: Path, tag: str, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(context, BAD)

    assert main(["build", "--context", str(context), "--tag", tag]) == 6

    said = capsys.readouterr().err
    assert "\x1b" not in said
    assert "\x07" not in said
    shown = [line for line in said.splitlines() if line.startswith("  | ")]
    assert shown[:-1] == [f"  | line {number}" for number in range(12, 41)]
    (log,) = cache.glob("*.log")
    assert "failed with exit code 3 (stage runtime, step 2 of 2)\n" in said
    assert said.endswith(f"  -> The full log is {log}\n")
    assert "] \\x1b]0;owned\\x07\\x1b[2J" in log.read_text()
    assert not docker("images", "-q", tag).out


def test_what_the_builder_does_not_begin(
    context: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(context, "ARG BASE=registry.invalid/none:1\nFROM ${BASE} AS runtime\n")
    assert main(["build", "--context", str(context)]) == 6
    said = capsys.readouterr().err
    assert "the base image registry.invalid/none:1 is not there and could not be fetched" in said
    assert "--build-arg BASE=IMAGE" in said

    write(context, "FROM scratch AS other\n")
    assert main(["build", "--context", str(context)]) == 6
    said = capsys.readouterr().err
    assert "does not take the Dockerfile: failed to reach build target runtime" in said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_build_that_is_stopped(
    number: int, code: int, context: Path, tag: str, cache: Path
) -> None:
    """On a terminal: the live line is gone, the log is named, and the step does not run on."""
    mark = f"sleep 1{uuid.uuid4().int % 10**8}"
    write(context, f"FROM debian:bookworm-slim AS runtime\nRUN echo begun; {mark}\n")
    command = [sys.executable, "-m", "evdiag", "build", "--context", str(context), "--tag", tag]
    ours, theirs = pty.openpty()
    listed = ("ps", "--no-trunc", "--format", "{{.Command}}")
    process = subprocess.Popen(command, stderr=theirs)
    try:
        os.close(theirs)
        shown = _read_until(ours, b") begun")
        # what a step prints may come before the engine lists its container
        await_true(lambda: mark in docker(*listed).out, "the step runs", 20)
        process.send_signal(number)
        shown += _read_until(ours, None)
        assert process.wait(timeout=20) == code
    finally:
        process.kill()
        process.wait()
    os.close(ours)

    (log,) = cache.glob("*.log")
    last = shown.decode().replace("\r", "\n").split("\n")
    stopped = f"stopped. What was built so far stays in the cache; the log is {log}"
    assert stopped in last
    assert f"2/2 runtime: RUN echo begun; {mark}"[:30] in shown.decode()
    await_true(lambda: mark not in docker(*listed).out, "the step has ended", 20)


def _read_until(terminal: int, text: bytes | None) -> bytes:
    """What comes until a text, or until the other end is closed."""
    shown = b""
    while text is None or text not in shown:
        try:
            piece = os.read(terminal, 4096)
        except OSError:  # Linux says so at the end
            break
        if not piece:
            break
        shown += piece
    return shown


# -- another platform: buildx, played by a script

FAKE = """\
#!/bin/sh
case "$2" in version) exit VERSION;; esac
printf '%s\\n' "$@" > FOLDER/words
tar -t > FOLDER/listing
echo '#5 [linux/arm64 runtime 1/2] RUN make'
echo '#5 0.3 \033[31mmaking\033[0m'
ENDING
"""


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that comes first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def play(folder: Path, ending: str, *, version: int = 0) -> None:
    text = FAKE.replace("FOLDER", str(folder)).replace("ENDING", ending)
    program = folder / "docker"
    program.write_text(text.replace("VERSION", str(version)))
    program.chmod(0o755)


def test_buildx_gets_the_context(
    context: Path, cache: Path, fake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(context, GOOD)
    (context / "start.sh").write_text("x")
    command = ["build", "--context", str(context), "--platform", "amd64,arm64"]
    play(fake, "exit 0")

    assert main([*command, "--push", "--jobs", "3", "--tag", "host:5000/x:1"]) == 0

    said = capsys.readouterr().err
    assert "✓ host:5000/x:1 is in its registry" in said
    assert (fake / "listing").read_text().split() == ["Dockerfile", "start.sh"]
    words = (fake / "words").read_text().split("\n")
    assert words[:2] == ["buildx", "build"]
    assert words[-3:-1] == ["--push", "-"]
    assert {"linux/amd64,linux/arm64", "EVEREST_JOBS=3", f"VERSION={__version__}"} <= set(words)

    play(fake, "echo '#5 ERROR: process did not complete: exit code: 9'; exit 1")
    assert main([*command, "--output", str(fake / "x.tar")]) == 6
    said = capsys.readouterr().err
    assert "  | making\n" in said
    assert "failed with exit code 9 (stage linux/arm64 runtime, step 1 of 2)" in said


def test_buildx_is_ended_when_the_context_breaks_off(
    context: Path, cache: Path, fake: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(context, GOOD)
    # the tool reads a part of the file, and no further before that has changed
    play(fake, "sleep 100")
    (fake / "docker").write_text(
        f'#!/bin/sh\n[ "$2" = version ] && exit\n'
        f"head -c 100000 > /dev/null\ntruncate -s 0 {context}/large\ncat > /dev/null\n"
    )
    with (context / "large").open("wb") as file:
        file.truncate(32 << 20)

    assert main(["build", "--context", str(context), "--platform", "arm64"]) == 6
    assert "large became shorter while it was sent" in capsys.readouterr().err


def test_buildx_is_ended_with_evdiag(context: Path, cache: Path, fake: Path) -> None:
    write(context, GOOD)
    play(fake, "echo $$ > FOLDER/pid.new; mv FOLDER/pid.new FOLDER/pid; exec sleep 1000".replace(
        "FOLDER", str(fake)))  # fmt: skip
    command = [sys.executable, "-m", "evdiag", "build", "--context", str(context)]
    with subprocess.Popen([*command, "--platform", "arm64"], stderr=subprocess.PIPE) as process:
        await_true((fake / "pid").exists, "buildx is at work", 20)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=20)

    assert process.returncode == 130
    assert b"stopped. What was built so far stays in the cache" in said
    with pytest.raises(ProcessLookupError):
        os.kill(int((fake / "pid").read_text()), 0)


def test_what_another_platform_needs(
    context: Path,
    cache: Path,
    fake: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(context, GOOD)
    command = ["build", "--context", str(context), "--platform"]
    play(fake, "exit 0", version=1)
    assert main([*command, "arm64"]) == 3
    said = capsys.readouterr().err
    assert f"takes buildx, and {fake}/docker has none" in said
    assert "docker-buildx" in said

    monkeypatch.setenv("PATH", "/nonexistent")
    assert main([*command, "arm64"]) == 3
    assert "takes the docker program, and there is none" in capsys.readouterr().err
    assert main([*command, "arm64,amd64"]) == 3
    assert "an image of one platform only" in capsys.readouterr().err
