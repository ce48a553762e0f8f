"""What holds for all tests: which tiers run, a clean environment, no processes in unit tests."""

import fcntl
import os
import platform
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal, NoReturn

import hypothesis
import pytest

Tier = Literal["native", "gdb", "aarch64", "docker", "browser", "everest"]

TIERS: dict[Tier, str] = {
    "native": "programs compiled and crashed on the spot",
    "gdb": "comparison with a real gdb",
    "aarch64": "aarch64 programs run by qemu",
    "docker": "the charger's image, with crashers in EVerest's place",
    "browser": "pages in a real Chromium: reports, and the image's dashboard under Docker",
    "everest": "the image with the real EVerest, under Docker",
}

SCRUBBED = (
    *("NO_COLOR", "FORCE_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "COLUMNS", "LINES", "TERM"),
    *("DEBUGINFOD_URLS", "LC_ALL", "LC_CTYPE", "LANG", "LANGUAGE", "PAGER"),
)
"""Variables that change what a program prints or where it looks."""

STARTERS = (
    *("fork", "forkpty", "posix_spawn", "posix_spawnp", "system", "popen"),
    *("execv", "execve", "execvp", "execvpe", "execl", "execle", "execlp", "execlpe"),
    *("spawnv", "spawnve", "spawnvp", "spawnvpe", "spawnl", "spawnle", "spawnlp", "spawnlpe"),
)

UNIT = Path(__file__).resolve().parent / "unit"
QUIET = (UNIT, UNIT.parent / "cli")
"""Tests that get a cache directory of their own, empty each time."""

# Nobody's machine is so slow that a parser needs this long for one small input.
hypothesis.settings.register_profile("evdiag", deadline=5_000, print_blob=True)
hypothesis.settings.register_profile("soak", deadline=5_000, print_blob=True, max_examples=20_000)
hypothesis.settings.load_profile("evdiag")


# -- tiers


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("evdiag", "tiers that must not be skipped")
    for tier, what in TIERS.items():
        group.addoption(
            f"--require-{tier}",
            action="store_true",
            help=f"fail instead of skipping where this cannot run: {what}",
        )


def need(where: pytest.FixtureRequest | pytest.Config, tier: Tier, reason: str) -> NoReturn:
    """End a test whose tier cannot run here: skipped, or failed where the tier is required."""
    config = where if isinstance(where, pytest.Config) else where.config
    if config.getoption(f"--require-{tier}"):
        pytest.fail(f"--require-{tier} is given, but {reason}", pytrace=False)
    pytest.skip(f"{tier}: {reason}")


def pytest_configure() -> None:
    """Take the environment's programs off the path: a gdb from a wheel is not the system's."""
    own = Path(sys.executable).parent
    rest = [folder for folder in os.get_exec_path() if Path(folder) != own]
    os.environ["PATH"] = os.pathsep.join(rest)


# -- order


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that wait for containers where they delay nobody.

    To begin with, pytest-xdist gives each of three workers a twelfth of the tests, as they come. So
    one worker gets those with containers, builds the image, starts the shared chargers once and
    waits while the others compute; and another one gets the browser, when the image is there.
    """
    order = ["docker", "cli", "capture", "browser"]

    def place(item: pytest.Item) -> int:
        tiers = (name for name in ("docker", "browser") if item.get_closest_marker(name))
        name = next(tiers, item.path.parent.name)
        return order.index(name) if name in order else len(order)

    items.sort(key=place)


# -- header


def pytest_report_header(config: pytest.Config) -> str:
    """Name the versions that a result may depend on."""
    packages = " ".join(f"{name} {_package(name)}" for name in ("symbolic", "capstone"))
    tools = " ".join(f"{name} {_tool(name)}" for name in ("gdb", "g++"))
    return f"evdiag: python {platform.python_version()} {packages} {tools}"


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _tool(name: str) -> str:
    """The last word of the first line of --version."""
    path = shutil.which(name)
    if path is None:
        return "missing"
    try:
        done = subprocess.run(
            [path, "--version"], capture_output=True, text=True, check=False, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return "broken"
    first = done.stdout.partition("\n")[0].split()
    return first[-1] if first else "unknown"


# -- what belongs to the machine


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Run a test that changes the machine (its core pattern) while no other test runs.

    The others share a lock, that one has it alone. Who waits for it stands at the gate meanwhile,
    or the others would never let it in.
    """
    folder = Path(tempfile.gettempdir())
    alone = item.get_closest_marker("changes_machine") is not None
    with (folder / "evdiag-tests-machine.lock").open("a") as lock:
        with (folder / "evdiag-tests-gate.lock").open("a") as gate:
            fcntl.flock(gate, fcntl.LOCK_EX)
            fcntl.flock(lock, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        return (yield)


# -- environment


@pytest.fixture(autouse=True)
def clean_environment(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Take away what the developer's shell says, and their symbol cache."""
    for name in os.environ:
        if name.startswith("EVDIAG_") or name in SCRUBBED:
            monkeypatch.delenv(name)
    if any(folder in request.path.parents for folder in QUIET):
        monkeypatch.setenv("XDG_CACHE_HOME", str(request.getfixturevalue("tmp_path")))
    else:
        # symbols of real programs take a second to prepare: once for all tests of a run
        shared = tmp_path_factory.getbasetemp() / "symbols"
        monkeypatch.setenv("EVDIAG_CACHE", str(shared))


# -- unit tests stay by themselves


class ForbiddenSocket(socket.socket):
    """Stands in for socket.socket, which must stay a class: other modules inherit from it."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        _refuse("socket.socket")


class ForbiddenPopen(subprocess.Popen[bytes]):
    """Stands in for subprocess.Popen, on which subprocess.run and its kin rest."""

    def __init__(self, *args: object, **kwargs: object) -> None:
        self._child_created = False  # what __del__ of the parent class looks at
        _refuse("subprocess.Popen")


def _refuse(what: str) -> NoReturn:
    raise AssertionError(
        f"{what}: a unit test starts no process and opens no socket "
        "(values in, values out; other tests belong in another tier)"
    )


@pytest.fixture(autouse=True)
def no_outside(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make every test below tests/unit fail that starts a process or opens a socket."""
    if UNIT not in request.path.parents:
        return

    def refuse_as(name: str) -> object:
        return lambda *args, **kwargs: _refuse(name)

    monkeypatch.setattr(subprocess, "Popen", ForbiddenPopen)
    for name in STARTERS:
        monkeypatch.setattr(os, name, refuse_as(f"os.{name}"), raising=False)
    monkeypatch.setattr(socket, "socket", ForbiddenSocket)
