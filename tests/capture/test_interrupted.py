"""A core that is being written, and somebody who has had enough of waiting for it."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.capture.conftest import Compiled, RunIt, analyse, functions
from tests.support.capture import Capture, Run, Start, end_of, signal_of, start_under

pytestmark = pytest.mark.native

Crash = Callable[[int], tuple["subprocess.Popen[bytes]", int]]

ATTEMPTS = 10


@pytest.fixture
def crashing(capture: Capture, compiled: Compiled, folder: Path) -> Crash:
    """Starts a program with a large core, for which there are so many seconds.

    Returns it and its writer, in the middle of the work. On a busy machine the writer can be done
    before it is seen: then the program crashes again.
    """

    def begin(seconds: int) -> tuple["subprocess.Popen[bytes]", int]:
        start = Start(
            argv=["memory", "large"], program=compiled("memory"),
            settings={"EVDIAG_CAPTURE_SECONDS": str(seconds)},
        )  # fmt: skip
        for _ in range(ATTEMPTS):
            process = start_under(capture, start, folder)
            writer = writer_of(process, capture)
            if writer is not None:
                return process, writer
            end_of(process, folder, 0.0)
            for left in folder.iterdir():
                left.unlink()
        raise AssertionError("the writer was always done too soon to be seen")

    return begin


def writer_of(process: "subprocess.Popen[bytes]", capture: Capture) -> int | None:
    """The process that writes the core of another one, or nothing: that one has ended."""
    name = os.fsencode(capture.writer)
    while process.poll() is None:
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            if words[0] == name and str(process.pid).encode() in words:
                return int(entry.name)
    return None


def check_nothing_stays(run: RunIt, pids: list[int]) -> None:
    """After another crash only its core is there, and nobody lives on."""
    for pid in pids:
        assert not Path(f"/proc/{pid}/exe").is_symlink()
    after = run("processes", "crash")
    assert not [name for name in after.left if name.startswith(".")]
    core = after.folder / str(next(t.core for t in after.sidecars if t.pid == after.pid))
    assert functions(analyse(core))[:2] == ["crash", "main"]


def test_the_process_is_killed(crashing: Crash, run: RunIt, folder: Path) -> None:
    """As `docker kill` does: what has been written by then is kept as a part, or not at all."""
    process, writer = crashing(60)

    process.kill()
    ended = end_of(process, folder, 0.0)

    assert signal_of(ended).name == "SIGKILL"
    await_end(writer)
    assert all(told.error or not told.truncated for told in ended.sidecars)
    check_nothing_stays(run, [writer])


def await_end(pid: int) -> None:
    """Wait for the end of a process that is not our child."""
    deadline = time.monotonic() + 20
    while Path(f"/proc/{pid}/exe").is_symlink():
        assert time.monotonic() < deadline, f"process {pid} lives on"
        time.sleep(0.002)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT])
def test_the_whole_group_is_asked_to_end(
    number: signal.Signals, crashing: Crash, folder: Path
) -> None:
    """As supervisord and a terminal do. The core is worth the moment that it takes."""
    process, _ = crashing(60)

    os.killpg(process.pid, number)
    ended = end_of(process, folder, 0.0)

    assert signal_of(ended).name == "SIGSEGV"
    assert (ended.sidecar.error, ended.sidecar.truncated) == (None, False)
    assert functions(analyse(ended.core))[:2] == ["crash", "main"]


def test_the_writer_is_stopped_for_ever(crashing: Crash, run: RunIt, folder: Path) -> None:
    since = time.monotonic()
    process, writer = crashing(1)

    os.kill(writer, signal.SIGSTOP)
    ended: Run = end_of(process, folder, since)

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.seconds < 25
    assert "evdiag capture: " in ended.stderr
    await_end(writer)
    check_nothing_stays(run, [writer])
