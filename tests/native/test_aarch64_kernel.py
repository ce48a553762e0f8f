"""A core of a real aarch64 kernel, with signed return addresses, against gdb-multiarch."""

import shutil
from pathlib import Path

import pytest

from evdiag.adapters.demo_data import unpack_demo
from tests.conftest import need
from tests.native.conftest import analyse
from tests.support.compare import compare
from tests.support.crashers import gdb_oracle


@pytest.mark.gdb
def test_the_demo_of_aarch64(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    if shutil.which("gdb-multiarch") is None:
        need(request, "aarch64", "gdb-multiarch is not installed")
    core = unpack_demo("aarch64", tmp_path)
    root = tmp_path / "root"
    report = analyse(core, sysroot=root)

    # gdb looks for libraries by the names that the dynamic linker knows
    (root / "lib").symlink_to("usr/lib")
    (standard,) = root.glob("usr/lib/aarch64-linux-gnu/libstdc++.so.6.*")
    standard.with_name("libstdc++.so.6").symlink_to(standard.name)
    program = root / "opt/everest/libexec/everest/modules/EvseManager/EvseManager"
    result = compare(report, gdb_oracle(core, program, root, "gdb-multiarch"))

    assert result.unexplained == []
    assert result.equal_threads == result.threads == 16
    assert result.alike >= 0.9 * result.frames
