"""The layer switched off, and the layer beside a kernel that writes cores too."""

from pathlib import Path

import pytest

from tests.capture.conftest import RunIt, analyse
from tests.conftest import need
from tests.support.capture import UNLIMITED, signal_of
from tests.support.core_files import CannotMakeCores, check_cores_possible, take_core

pytestmark = pytest.mark.native

OFF = {"EVDIAG_CAPTURE": "off"}


@pytest.fixture(autouse=True)
def kernel_writes_cores(request: pytest.FixtureRequest) -> None:
    """Otherwise there is nothing to compare with."""
    try:
        check_cores_possible()
    except CannotMakeCores as reason:
        need(request, "native", str(reason))


@pytest.mark.parametrize(
    ("program", "case"),
    [("handlers", "query"), ("handlers", "query-children"), ("handlers", "alternate-stack")],
)
def test_off_changes_nothing(program: str, case: str, run: RunIt) -> None:
    usual = run(program, case, preload=False)

    ended = run(program, case, settings=OFF)

    assert (ended.status, ended.stdout, ended.stderr) == (0, usual.stdout, usual.stderr)


def test_off_sets_no_handler(run: RunIt) -> None:
    words = ["grep", "^Sig[IC]", "/proc/self/status"]
    usual = run("grep", preload=False, argv=words, program=None)

    ended = run("grep", settings=OFF, argv=words, program=None)

    assert "SigCgt" in ended.stdout
    assert ended.stdout == usual.stdout


def test_off_leaves_the_core_to_the_kernel(run: RunIt, tmp_path: Path) -> None:
    cwd = tmp_path / "run"
    cwd.mkdir()

    ended = run("processes", "crash", settings=OFF, core_limit=UNLIMITED, cwd=cwd)

    assert signal_of(ended).name == "SIGSEGV"
    assert (ended.stderr, ended.left) == ("", [])
    core = take_core(ended.pid, cwd, 0.0, tmp_path / "kernels-core")
    assert analyse(core).process.pid == ended.pid


@pytest.mark.parametrize("number", range(3))
@pytest.mark.parametrize(
    ("program", "case"),
    [("processes", "crash"), ("threads", "together"), ("handlers", "reset-raise")],
)
def test_only_one_of_the_two_writes(program: str, case: str, number: int, run: RunIt) -> None:
    where = run(program, case).folder  # the one before, in the same directory
    first = set(where.iterdir())

    ended = run(program, case, core_limit=UNLIMITED, cwd=where)

    assert signal_of(ended).name == "SIGSEGV"
    new = {path.name for path in set(where.iterdir()) - first}
    told = next(each for each in ended.sidecars if each.pid == ended.pid)
    assert new == {str(told.core), f"{told.core}.json"}
