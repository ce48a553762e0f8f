"""`evdiag demo`, `--help`, `--version`: what a newcomer types first."""

from pathlib import Path

import pytest

from evdiag import __version__
from evdiag.adapters.demo_data import MACHINES
from evdiag.commands import COMMANDS
from evdiag.report.json import decode
from tests.cli.conftest import Evdiag


@pytest.mark.parametrize("machine", MACHINES)
def test_the_demo(machine: str, evdiag: Evdiag, tmp_path: Path) -> None:
    code, out, err = evdiag("demo", "--machine", machine, "-o", tmp_path / "demo")

    assert code == 0
    assert out.startswith("evse_manager (EvseManager): null-write in charging::Session")
    assert "report.md" in err
    assert "report.json" in err
    report = decode((tmp_path / "demo/report.json").read_text())
    assert report.verdict.cls == "null-write"
    assert len(report.threads) == 16
    assert {thread.ended for thread in report.threads} == {None}
    assert max(len(thread.frames) for thread in report.threads) == 43
    assert "null-write" in (tmp_path / "demo/report.md").read_text()
    assert report.soft_errors == ()


def test_a_machine_without_a_demo(evdiag: Evdiag, tmp_path: Path) -> None:
    code, _, err = evdiag("demo", "--machine", "vax", "-o", tmp_path / "demo")

    assert code == 2
    assert "there is no demo of 'vax'" in err


def test_a_place_that_cannot_be_written(evdiag: Evdiag) -> None:
    code, _, err = evdiag("demo", "-o", "/proc/nowhere")

    assert code == 2
    assert "cannot be written" in err


def test_help_names_every_command(evdiag: Evdiag) -> None:
    code, out, _ = evdiag("--help")

    assert code == 0
    for name in COMMANDS:
        assert f"\n  {name} " in out


def test_version(evdiag: Evdiag) -> None:
    assert evdiag("--version") == (0, f"evdiag {__version__}\n", "")


def test_an_unknown_command(evdiag: Evdiag) -> None:
    code, _, err = evdiag("backtrak")

    assert code == 2
    assert "backtrak" in err
