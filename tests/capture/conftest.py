"""What the tests of the capture layer share: the layer itself, and a directory for its cores."""

import contextlib
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypedDict, Unpack

import pytest

from evdiag.engine import Engine, Options
from evdiag.model.report import Report
from tests.conftest import need
from tests.native.conftest import crash as crash  # a fixture here too
from tests.support.capture import (
    CannotMount,
    Capture,
    Namespace,
    Run,
    Start,
    build_capture,
    own_mounts,
    program,
    run_under,
    start_under,
)
from tests.support.core_files import await_waiting
from tests.support.crashers import CannotBuild

Compiled = Callable[[str], Path]
Mounts = Callable[..., Namespace]


class Given(TypedDict, total=False):
    """What a test may say of a start: fields of Start."""

    argv: Sequence[str]
    program: Path | None
    environment: Mapping[str, str]
    settings: Mapping[str, str | None]
    core_limit: int
    limits: Mapping[str, tuple[int, int]]
    uid: int | None
    ignored: Sequence[int]
    wrapper: Sequence[str]
    cwd: Path | None
    preload: bool


class Wait(Protocol):
    """Starts the program that waits for what is done to it."""

    def __call__(self, *words: str, **start: Unpack[Given]) -> "subprocess.Popen[bytes]": ...


class RunIt(Protocol):
    """Runs a program under the layer: `run("threads", "together")`, or any one with `argv=`."""

    def __call__(self, name: str, *words: str, **start: Unpack[Given]) -> Run: ...


@pytest.fixture
def capture(request: pytest.FixtureRequest) -> Capture:
    """The layer, built from its sources."""
    try:
        return build_capture()
    except CannotBuild as reason:
        need(request, "native", str(reason))


@pytest.fixture
def compiled(request: pytest.FixtureRequest) -> Compiled:
    """Compiles a program of tests/capture/programs."""

    def compile_it(name: str) -> Path:
        try:
            return program(name)
        except CannotBuild as reason:
            need(request, "native", str(reason))

    return compile_it


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In the place of pytest's own, which only its user may enter: other users crash here too."""
    with tempfile.TemporaryDirectory(prefix="evdiag-capture-") as made:
        Path(made).chmod(0o755)
        yield Path(made)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The directory for cores, which everybody may write to, as in the image."""
    made = tmp_path / "cores"
    made.mkdir()
    made.chmod(0o1777)
    return made


@pytest.fixture
def run(capture: Capture, compiled: Compiled, folder: Path) -> RunIt:
    """Runs a program to its end."""

    def run_it(name: str, *words: str, **start: Unpack[Given]) -> Run:
        asked = replace(Start(argv=[name, *words]), **start)
        if "argv" not in start:
            asked = replace(asked, program=compiled(name))
        return run_under(capture, asked, folder)

    return run_it


@pytest.fixture
def waiting(capture: Capture, compiled: Compiled, folder: Path) -> Iterator[Wait]:
    """Starts the program that waits for what is done to it, and ends it if nothing is."""
    started: list[subprocess.Popen[bytes]] = []

    def start_it(*words: str, **start: Unpack[Given]) -> subprocess.Popen[bytes]:
        asked = replace(Start(argv=["wait", *words], program=compiled("wait")), **start)
        process = start_under(capture, asked, folder)
        started.append(process)
        await_waiting(process)
        return process

    yield start_it
    for process in started:
        with process:
            process.kill()


@pytest.fixture
def root(request: pytest.FixtureRequest) -> None:
    """Ends a test that changes users or mounts where that cannot be done."""
    if os.geteuid() != 0:
        need(request, "native", "only root may change users and mounts")


@pytest.fixture
def mounts(root: None, request: pytest.FixtureRequest) -> Iterator[Mounts]:
    """Changes mounts in a namespace of the test's own."""
    with contextlib.ExitStack() as stack:

        def mount(*commands: str) -> Namespace:
            try:
                return stack.enter_context(own_mounts(*commands))
            except CannotMount as reason:
                need(request, "native", str(reason))

        yield mount


def analyse(core: Path) -> Report:
    """The report on a core, by an engine of its own."""
    return Engine(Options()).report(core)


def functions(report: Report, thread: int = 0) -> list[str | None]:
    """Names of the functions on a thread, innermost first."""
    return [frame.function for frame in report.threads[thread].frames]
