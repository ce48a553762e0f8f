"""`evdiag.yaml` through the command line: what goes before what, and who is told what."""

from pathlib import Path

import pytest

from evdiag.config import NAME
from tests.cli.conftest import Evdiag


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_flag_environment_file_default(
    evdiag: Evdiag, monkeypatch: pytest.MonkeyPatch, core: Path
) -> None:
    """`--values` with a word that is not known: the message tells where it came from."""
    monkeypatch.delenv("EVDIAG_VALUES")
    Path(NAME).write_text("values: of-the-file\n")

    said = evdiag("backtrace", core)
    assert said.code == 2
    assert "--values 'of-the-file' is not known" in said.err
    assert "Options come from evdiag.yaml too: values." in said.err

    monkeypatch.setenv("EVDIAG_VALUES", "of-the-environment")
    assert "'of-the-environment' is not known" in evdiag("backtrace", core).err
    assert "'of-the-flag' is not known" in evdiag("backtrace", core, "--values=of-the-flag").err

    Path(NAME).unlink()
    monkeypatch.setenv("EVDIAG_VALUES", "none")
    assert evdiag("backtrace", core).code == 0


def test_options_of_a_real_command(evdiag: Evdiag, core: Path, demo: Path) -> None:
    Path(NAME).write_text(f"format: json\nbacktrace:\n  sysroot: {demo}/root\n  exit-code: yes\n")

    said = evdiag("backtrace", core)

    assert said.code == 20
    assert said.out.startswith("{")
    assert evdiag("backtrace", core, "--format", "markdown").out.startswith("#")


def test_help_and_version_do_not_read_it(evdiag: Evdiag) -> None:
    Path(NAME).write_text("this: [is not\n")

    assert evdiag("--help").code == 0
    assert evdiag("--version").code == 0
    assert evdiag("backtrace", "--help").code == 0
    said = evdiag("backtrace")
    assert said.code == 2
    assert "evdiag.yaml, line 2 is not YAML" in said.err
    assert "  -> " in said.err


def test_a_mistake_in_it_is_a_usage_error(evdiag: Evdiag) -> None:
    Path(NAME).write_text("backtrace:\n  sysrot: x\n")

    said = evdiag("demo")

    assert (said.code, said.out) == (2, "")
    assert said.err == (
        "evdiag: evdiag.yaml, line 2: `evdiag backtrace` has no option `sysrot`\n"
        "  -> Did you mean `sysroot`?\n"
    )
