"""Native stacks against gdb's: equal program counters, and every difference explained."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from evdiag.analyze.names import qualified
from evdiag.engine import Engine, Options
from evdiag.model.report import Report
from tests.conftest import Tier, need
from tests.native.conftest import Crash, analyse
from tests.support.compare import Comparison, compare
from tests.support.crashers import (
    OPTS,
    VARIANT_MODES,
    CannotMakeCores,
    Mode,
    Opt,
    Unavailable,
    Variant,
    build_variant,
    gdb_oracle,
    modes_here,
    oracle_gap,
    variant_core,
    variants,
)

MODE_CASES = [pytest.param(m, o, id=f"{m.name}-{o}") for m in modes_here() for o in OPTS]
VARIANT_CASES = [
    pytest.param(v, m, id=f"{v.name}-{m.name}") for v in variants() for m in VARIANT_MODES
]


@pytest.fixture(scope="module")
def figures() -> Iterator[Comparison]:
    """The sums over all cores of this worker; printed with -s."""
    total = Comparison()
    yield total
    print(f"\nthreads {total.equal_threads}/{total.threads}, frames ", end="")
    print(f"{total.equal_frames}/{total.frames}; {dict(total.why)}")


@pytest.mark.gdb
@pytest.mark.parametrize(("mode", "opt"), MODE_CASES)
def test_every_crash_mode(
    mode: Mode, opt: Opt, crash: Crash, figures: Comparison, request: pytest.FixtureRequest
) -> None:
    if shutil.which("gdb") is None:
        need(request, "gdb", "gdb is not installed")
    crashed = crash(mode, opt)

    result = compare(analyse(crashed.core), gdb_oracle(crashed.core, crashed.executable))

    figures.add(result)
    assert result.unexplained == []
    assert result.equal_threads >= result.threads - 1
    assert result.alike >= 0.95 * result.frames


@pytest.mark.gdb
@pytest.mark.parametrize(("variant", "mode"), VARIANT_CASES)
def test_every_compiler_variant(
    variant: Variant,
    mode: Mode,
    figures: Comparison,
    request: pytest.FixtureRequest,
    tmp_path: Path,
) -> None:
    tier: Tier = "aarch64" if variant.machine == "aarch64" else "gdb"
    try:
        made, crashed = build_variant(variant), variant_core(variant, mode)
    except CannotMakeCores as reason:
        need(request, "native", str(reason))
    if isinstance(made, Unavailable):
        need(request, tier, made.reason)
    if isinstance(crashed, Unavailable):
        need(request, tier, crashed.reason)
    if shutil.which(made.gdb) is None:
        need(request, tier, f"{made.gdb} is not installed")
    engine = Engine(Options(executable=made.executable, sysroot=made.sysroot))
    if made.debug_dir:
        shutil.copytree(made.debug_dir, engine.images.search.store or tmp_path, dirs_exist_ok=True)
    report = engine.report(crashed.core)

    if variant.name != "gcc-stripped":
        assert own_names(report) & {mode.top_frame, *mode.also_top_frames}
    if variant.name != "gcc-eh-frame-removed":  # there _start has nothing that says it is the end
        assert report.threads[0].ended is None
    if oracle_gap(variant, mode):
        return  # our own stack was checked above; gdb has none to compare with
    oracle = gdb_oracle(crashed.core, made.executable, made.sysroot, made.gdb, made.debug_dir)
    result = compare(report, oracle, names_only=variant.name == "gcc-split-dwarf")

    figures.add(result)
    assert result.unexplained == []
    if variant.name != "gcc-frame-pointers":  # gdb is wrong there
        assert result.equal_threads + result.beyond_limit == result.threads
        assert result.alike >= 0.8 * result.frames


def own_names(report: Report) -> set[str]:
    """Names of the application's functions on the crashed thread."""
    frames = [f for f in report.threads[0].frames if f.in_app and f.function]
    return {qualified(f.function or "").rpartition("::")[2].split("<")[0] for f in frames}
