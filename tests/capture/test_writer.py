"""A core-writer that is missing, broken, slow or killed: the process dies as it would have died."""

import os
import select
import time
from pathlib import Path

import pytest

from tests.capture.conftest import RunIt, analyse, functions
from tests.support.capture import UNLIMITED, Capture, Run, signal_of
from tests.support.core_files import CannotMakeCores, check_cores_possible, take_core

pytestmark = pytest.mark.native

SOON = 5.0
ATTEMPTS = 10
"""Seconds: far less than any deadline of the layer, far more than a crash takes."""


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """Where a writer would be."""
    return tmp_path / "writer"


def script(path: Path, *lines: str) -> None:
    """Put a shell script in the place of the writer. All signals are blocked: no `wait` there."""
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]))
    path.chmod(0o755)


def check_kernels_core(run: Run, cwd: Path) -> None:
    """The signal is the right one, and the kernel has written the core instead."""
    assert signal_of(run).name == "SIGSEGV"
    assert run.cores == []
    try:
        check_cores_possible()
    except CannotMakeCores:
        return
    report = analyse(take_core(run.pid, cwd, 0.0, cwd / "taken"))
    assert functions(report)[:2] == ["crash", "main"]
    assert report.verdict.cls == "null-write"


@pytest.mark.parametrize(
    ("what", "word"),
    [
        ("missing", "No such file"),
        ("directory", "ermission denied"),
        ("not executable", "ermission denied"),
        ("not a program", "format"),
        ("empty", "format"),
        ("killed", "killed"),
        ("fails", "core-writer"),
        ("a name too long", ""),
    ],
)
def test_a_writer_that_does_not_work(
    what: str, word: str, fake: Path, run: RunIt, tmp_path: Path
) -> None:
    if what == "directory":
        fake.mkdir()
    elif what == "not executable":
        fake.write_text("#!/bin/sh\n")
    elif what in ("not a program", "empty"):
        fake.write_bytes(b"" if what == "empty" else b"\x7fELF, but no more")
        fake.chmod(0o755)
    elif what in ("killed", "fails"):
        script(fake, "kill -9 $$" if what == "killed" else "exit 9")
    elif what == "a name too long":
        fake = Path("/" + "x" * 5000)
    cwd = tmp_path / "run"
    cwd.mkdir()

    ended = run(
        *("processes", "crash"),
        settings={"EVDIAG_CORE_WRITER": str(fake)}, core_limit=UNLIMITED, cwd=cwd,
    )  # fmt: skip

    check_kernels_core(ended, cwd)
    assert ended.seconds < SOON
    assert word in ended.stderr
    assert ended.stderr.startswith("evdiag capture: ")
    assert ended.stderr.count("\n") == 1
    assert ended.left == []


def test_a_writer_that_hangs(fake: Path, run: RunIt, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    script(fake, f"echo $$ >{noted}", "exec sleep 1000")

    ended = run(
        *("processes", "crash"),
        settings={"EVDIAG_CORE_WRITER": str(fake), "EVDIAG_CAPTURE_SECONDS": "1"},
    )

    assert signal_of(ended).name == "SIGSEGV"
    assert ended.seconds < 30
    assert "too long" in ended.stderr
    assert ended.left == []
    await_end_of_stranger(int(noted.read_text()))


def await_end_of_stranger(pid: int) -> None:
    """Fail if a process that is not our child lives on."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        assert select.select([handle], [], [], SOON)[0], f"process {pid} lives on"
    finally:
        os.close(handle)


def test_a_writer_that_is_killed_in_the_middle(
    fake: Path, run: RunIt, capture: Capture, folder: Path
) -> None:
    """By the kernel for want of memory, for example: what it has begun is cleared up later."""
    script(
        fake,
        f'{capture.writer} "$@" &',
        # without any other process: they would take longer than the writer
        'until test -n "$seen"; do',
        f"for f in {folder}/.[!.]* {folder}/*; do test -e $f && seen=1; done",
        "done",
        "kill -9 $!",
        "kill -9 $$",
    )
    assert any(
        without_a_core(run, folder, {"EVDIAG_CORE_WRITER": str(fake)}) for _ in range(ATTEMPTS)
    ), "the writer was done each time before it was seen"

    after = run("processes", "crash")

    assert functions(analyse(after.core))[:2] == ["crash", "main"]  # and nothing else is there


def without_a_core(run: RunIt, folder: Path, settings: dict[str, str]) -> bool:
    """A crash left no whole core; one of a writer that was done too soon is removed."""
    ended = run("memory", "large", settings=settings)
    assert signal_of(ended).name == "SIGSEGV"
    whole = [name for name in ended.left if name.startswith("core.")]
    for name in whole:
        (folder / name).unlink()
    return not whole


def test_a_writer_of_another_directory_in_the_process(run: RunIt, fake: Path) -> None:
    """The process's own descriptors, directory and terminal do not matter to the writer."""
    script(fake, "ls -l /proc/self/fd >&2", "env >&2", "exit 9")

    ended = run(
        *("processes", "crash"),
        settings={"EVDIAG_CORE_WRITER": str(fake)}, environment={"SECRET_TOKEN": "t0p"},
    )  # fmt: skip

    assert signal_of(ended).name == "SIGSEGV"
    assert "SECRET_TOKEN" not in ended.stderr
    assert "LD_PRELOAD" not in ended.stderr


def test_time_of_death(run: RunIt) -> None:
    """A crash costs what a crash costs: the program's start is the larger part of this."""
    begin = time.monotonic()
    ended = run("processes", "crash")

    assert signal_of(ended).name == "SIGSEGV"
    assert time.monotonic() - begin < SOON
    assert ended.sidecar.stop_ms is not None
    assert ended.sidecar.write_ms is not None
    assert ended.sidecar.write_ms < SOON * 1000
