"""What the native tests share: one engine per worker, so that each binary is read once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from evdiag.engine import Engine, Options
from evdiag.model.report import Report
from tests.conftest import need
from tests.support.crashers import (
    CannotBuild,
    CannotMakeCores,
    CrashedProcess,
    Mode,
    Opt,
    make_core,
)

Crash = Callable[[Mode, Opt], CrashedProcess]


@pytest.fixture
def crash(request: pytest.FixtureRequest) -> Crash:
    """Crash a module in a mode; ends the test where that cannot be done."""

    def run(mode: Mode, opt: Opt) -> CrashedProcess:
        try:
            return make_core(mode, opt)
        except (CannotBuild, CannotMakeCores) as reason:
            need(request, "native", str(reason))

    return run


def analyse(core: Path, **options: Path | None) -> Report:
    """The report on a core, by an engine of its own."""
    return Engine(Options(**options)).report(core)  # type: ignore[arg-type]  # names of Options
