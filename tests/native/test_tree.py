"""Cores out of a whole process tree, with a manager that starts modules as EVerest's does."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import need
from tests.native.conftest import analyse
from tests.support.core_files import check_cores_possible, take_core
from tests.support.crashers import CannotBuild, CannotMakeCores, mode_named, run_tree

CRASH = """
import ctypes
import resource

resource.setrlimit(resource.RLIMIT_CORE, (-1, -1))
ctypes.string_at(0)
"""


@pytest.mark.native
def test_a_module_that_its_manager_started(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    try:
        tree = run_tree(mode_named("null-write"), tmp_path, module_id="ocpp")
    except (CannotBuild, CannotMakeCores) as reason:
        need(request, "native", str(reason))

    report = analyse(tree.cores["ocpp"])

    assert report.process.pid == tree.pids["ocpp"]
    assert (report.process.module_id, report.process.module_type) == ("ocpp", "OCPP201")
    assert report.title.startswith("ocpp (OCPP201): null-write in ")
    assert report.process.executable == str(tree.prefix / "libexec/everest/modules/OCPP201/OCPP201")
    assert "--module" in report.process.argv


@pytest.mark.native
def test_a_python_module_is_known_by_its_environment(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    try:
        check_cores_possible()
    except CannotMakeCores as reason:
        need(request, "native", str(reason))
    script = tmp_path / "libexec/everest/modules/PyEvSim/module.py"
    script.parent.mkdir(parents=True)
    script.write_text(CRASH)
    environment = {"EV_MODULE": "car_simulator", "EV_PREFIX": str(tmp_path)}
    process = subprocess.Popen([sys.executable, str(script)], cwd=tmp_path, env=environment)
    process.wait(timeout=60)

    report = analyse(take_core(process.pid, tmp_path, 0.0, tmp_path / "found"))

    assert (report.process.module_id, report.process.module_type) == ("car_simulator", "PyEvSim")
    assert report.process.executable == str(Path(sys.executable).resolve())
    assert report.process.argv[1] == str(script)
    assert report.verdict.cls == "null-read"
    assert report.title.startswith("car_simulator (PyEvSim): null-read")
