"""`evdiag doctor` without a usable engine: what can be said is said, and quickly."""

import json
import resource
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import Evdiag

MOST_CPU_SECONDS = 0.35
"""Far above the aim of 0.15, which a benchmark has to show: a busy machine counts more."""


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The place of an engine's socket, which is not there."""
    path = tmp_path / "engine.sock"
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    return path


def test_without_an_engine_this_machine_is_looked_at(evdiag: Evdiag, nowhere: Path) -> None:
    code, out, err = evdiag("doctor")

    assert code == 4
    assert "This machine\n" in out
    assert "FAIL Engine" in out
    assert out.splitlines()[-1] == "whether cores are captured is not known: 1 check fails: Engine"
    assert f"there is no container engine: no socket {nowhere} (by DOCKER_HOST)" in err
    assert "  -> Start it" in err


def test_json_without_an_engine(evdiag: Evdiag, nowhere: Path) -> None:
    code, out, _ = evdiag("doctor", "--json")
    document = json.loads(out)

    assert (code, document["exit_code"], document["state"]) == (4, 4, "fail")
    assert document["schema"] == "evdiag.doctor/1"
    assert document["error"]["kind"] == "engine"
    states = {one["id"]: one["state"] for one in document["checks"]}
    assert states["engine"] == "fail"
    assert states["crash-segv"] == "skip"


def test_a_socket_that_nobody_listens_on(nowhere: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(nowhere))

    done = subprocess.run(
        [sys.executable, "-m", "evdiag", "doctor"], capture_output=True, check=False, text=True
    )

    assert done.returncode == 4
    assert "FAIL Engine" in done.stdout
    assert "no container engine answers" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_context_that_is_not_there(evdiag: Evdiag, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setenv("DOCKER_CONTEXT", "nobody-made-this")

    code, out, err = evdiag("doctor")

    assert code == 2
    assert "This machine\n" in out
    assert "there is no docker context 'nobody-made-this'" in err


def test_name_and_image_exclude_each_other(evdiag: Evdiag, nowhere: Path) -> None:
    code, out, err = evdiag("doctor", "--name", "a", "--image", "b")

    assert (code, out) == (2, "")
    assert "--name and --image do not go together" in err


def test_it_is_as_wide_as_it_is_told(
    evdiag: Evdiag, nowhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "60")

    assert max(map(len, evdiag("doctor").out.splitlines())) <= 60


def test_the_docker_library_is_not_loaded_without_a_socket(nowhere: Path) -> None:
    script = (
        "import sys; from evdiag.cli import main; main(['doctor', '--no-crash-test']);"
        "sys.exit(any(name in sys.modules for name in ('docker', 'requests', 'jinja2', 'rich')))"
    )
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)

    assert done.returncode == 0, done.stdout
    spent = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    assert spent < MOST_CPU_SECONDS
