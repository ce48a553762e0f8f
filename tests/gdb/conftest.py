"""What the tests with a real gdb share: cores, their native analyses, and gdb's answers."""

import os
import subprocess
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from evdiag.adapters.gdb.debugger import Debugger
from evdiag.engine import Analysis, Engine, Options
from evdiag.model.report import Report
from evdiag.report.json import decode, to_text
from evdiag.values import add_values
from tests.conftest import need
from tests.support.crasher_build import locked
from tests.support.crashers import (
    Build,
    CannotBuild,
    CannotMakeCores,
    CrashedProcess,
    Mode,
    Opt,
    build,
    make_core,
    mode_named,
)
from tests.support.gdbs import GDBS, NoGdb
from tests.support.processes import none_left


@pytest.fixture
def no_leftovers() -> Iterator[None]:
    """Fail where a process that the test has started is still there at its end."""
    with none_left():
        yield


@pytest.fixture
def named_gdb(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """The command of one of GDBS; ends the test where there is none."""

    def find(name: str) -> str:
        try:
            return GDBS[name]()
        except NoGdb as reason:
            need(request, "gdb", str(reason))

    return find


@pytest.fixture(params=["system", "wheel"])
def gdb(request: pytest.FixtureRequest, named_gdb: Callable[[str], str]) -> str:
    """The command of each gdb with Python."""
    return named_gdb(request.param)


@pytest.fixture(scope="session")
def tree(request: pytest.FixtureRequest) -> Build:
    """The programs that crash, and the folders that they lie in."""
    try:
        return build()
    except CannotBuild as reason:
        need(request, "gdb", str(reason))


@pytest.fixture(scope="session")
def crashed(request: pytest.FixtureRequest, tree: Build) -> CrashedProcess:
    """The crash of the demo."""
    try:
        return make_core(mode_named("null-member-write"), "O0", tree=tree)
    except CannotMakeCores as reason:
        need(request, "gdb", str(reason))


class Bench:
    """Cores, analyses and enriched reports of a run, each made once.

    Reports are kept in files, which all workers of a run see.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._engine: Engine | None = None
        self._analyses: dict[Path, Analysis] = {}

    def analysis(self, core: Path) -> Analysis:
        """The native analysis of a core."""
        if core not in self._analyses:
            self._engine = self._engine or Engine(Options())
            self._analyses[core] = self._engine.analyse(core)
        return self._analyses[core]

    def debugger(self, command: str | None) -> Debugger:
        """A gdb that keeps its indexes where all tests do."""
        return Debugger(command, self.folder / "cache")

    def report(self, core: Path, command: str) -> Report:
        """The report on a core with values by that gdb."""
        analysis = self.analysis(core)
        report, error = add_values(
            analysis.report, analysis.scene(), self.debugger(command), "crash"
        )
        assert error is None
        return report

    def kept_report(self, name: str, core: Path, command: str) -> Report:
        """The same, made once in a run."""
        file = self.folder / f"{name}.json"
        with locked(file.with_suffix(".lock")):
            if not file.exists():
                file.write_text(to_text(self.report(core, command)))
        return decode(file.read_text())


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """One for all tests of a worker; its folder is one for all workers."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "gdb-bench"
    folder.mkdir(exist_ok=True)
    return Bench(folder)


@pytest.fixture
def core_of(request: pytest.FixtureRequest) -> Callable[[Mode, Opt], Path]:
    """The core of a mode; ends the test where none can be made."""

    def make(mode: Mode, opt: Opt) -> Path:
        try:
            return make_core(mode, opt).core
        except (CannotBuild, CannotMakeCores) as reason:
            need(request, "gdb", str(reason))

    return make


CoreOf = Callable[[Mode, Opt], Path]
Values = Callable[[Mode, Opt, str], Report]


@pytest.fixture
def values(
    bench: Bench, core_of: Callable[[Mode, Opt], Path], named_gdb: Callable[[str], str]
) -> Values:
    """The report on a mode with values by one of GDBS."""

    def read(mode: Mode, opt: Opt, gdb: str) -> Report:
        name = f"{mode.name}-{opt}-{gdb}"
        return bench.kept_report(name, core_of(mode, opt), named_gdb(gdb))

    return read


@cache
def version_of(command: str) -> str:
    """The version that a gdb says it has."""
    done = subprocess.run(
        [*command.split(), "--version"], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[0].split()[-1]
