"""What the command-line tests share: the demo's core, unpacked once, and a way to run evdiag."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from evdiag.adapters.demo_data import unpack_demo
from evdiag.cli import main


class Outcome(NamedTuple):
    """What one run of evdiag left behind."""

    code: int
    out: str
    err: str


Evdiag = Callable[..., Outcome]


@pytest.fixture(autouse=True)
def no_gdb(clean_environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values are the business of the gdb tier; here each run would wait for a gdb."""
    monkeypatch.setenv("EVDIAG_VALUES", "none")


@pytest.fixture
def evdiag(capsys: pytest.CaptureFixture[str]) -> Evdiag:
    """Run `evdiag` in this process."""

    def run(*arguments: object) -> Outcome:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return Outcome(code, said.out, said.err)

    return run


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the demo's core and the files it needs."""
    folder = tmp_path_factory.mktemp("demo")
    unpack_demo("x86-64", folder)
    return folder


@pytest.fixture(scope="session")
def core(demo: Path) -> Path:
    """The core of the demo."""
    return demo / "core"
