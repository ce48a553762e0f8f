"""The whole table: each way to crash is told the same by all builds, with and without symbols."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.engine import Engine, Options
from evdiag.model.report import Report
from tests.conftest import need
from tests.support.crashers import (
    OPTS,
    CannotBuild,
    CannotMakeCores,
    CrashedProcess,
    Mode,
    make_core,
    modes_here,
)
from tests.support.other_machines import CannotHide, hidden_symbols
from tests.support.verdicts import COMPILERS, DIFFERENT_SIGNATURES, words_of

SYMBOLS = ("full", "hidden")

Told = dict[str, Report]
"""A report for every build and state of symbols, by its name."""


@pytest.fixture
def told(request: pytest.FixtureRequest, tmp_path: Path) -> Told:
    """All reports on one mode."""
    mode: Mode = request.param
    try:
        return dict(reports(mode, tmp_path))
    except (CannotBuild, CannotMakeCores, CannotHide) as reason:
        need(request, "native", str(reason))


def reports(mode: Mode, tmp_path: Path) -> Iterator[tuple[str, Report]]:
    """The reports on one mode, by compiler, optimisation and symbols."""
    with_symbols = Engine(Options())
    without: Engine | None = None
    for compiler in COMPILERS:
        for opt in OPTS:
            crashed: CrashedProcess = make_core(mode, opt, compiler=compiler)
            if without is None:
                without = Engine(hidden_symbols(tmp_path, crashed.core))
            for symbols, engine in zip(SYMBOLS, (with_symbols, without), strict=True):
                yield f"{compiler} {opt} {symbols}", engine.report(crashed.core)


@pytest.mark.native
@pytest.mark.parametrize("told", modes_here(), ids=lambda mode: mode.name, indirect=True)
def test_every_build_tells_the_same(told: Told, request: pytest.FixtureRequest) -> None:
    mode: Mode = request.node.callspec.params["told"]
    for name, report in told.items():
        assert report.verdict.cls in {mode.verdict_class, *mode.also_classes}, name
        if mode.detail is not None:
            assert report.verdict.detail == mode.detail, name
        if mode.message is not None:
            assert mode.message in words_of(report), name
    signatures = {report.signature.text for report in told.values() if report.signature}
    assert (len(signatures) == 1) == (mode.name not in DIFFERENT_SIGNATURES), signatures
