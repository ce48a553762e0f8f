"""The ports of ISO 15118 in a charger with several connectors."""

import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import need
from tests.support.charger_config import CONTAINER

SPEAK = """
import socket
charger, car = (socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) for _ in range(2))
charger.bind(("::1", {port}))
charger.settimeout(10)
car.sendto(b"where?", ("::1", {port}))
print(charger.getsockname()[1], charger.recv(99).decode())
"""


@pytest.fixture(scope="module")
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("gcc")
    if compiler is None:
        need(request, "native", "there is no gcc")
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        need(request, "native", f"there is no IPv6 here: {error}")
    target = tmp_path_factory.mktemp("v2g") / "v2g-ports.so"
    flags = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-O2", "-fPIC", "-shared")
    subprocess.run([compiler, *flags, "-o", target, CONTAINER / "v2g-ports.c"], check=True)
    return target


@pytest.mark.native
@pytest.mark.parametrize(
    ("name", "module", "port", "moved"),
    [
        ("iso15118_charger:EvseV2G", "", 15118, 0),
        ("iso15118_charger_2:EvseV2G", "", 15118, 1),
        ("iso15118_charger_2:EvseV2G", "", 61341, 1),
        ("iso15118_charger_16:EvseV2G", "", 64109, 15),
        ("iso15118_charger_17:EvseV2G", "", 61341, 0),
        ("iso15118_charger_2:EvseV2G", "", 61340, 0),
        ("evse_manager_2:EvseManager", "", 61341, 0),
        ("python3", "iso15118_car", 15118, 0),
        ("python3", "iso15118_car_3", 15118, 2),
        ("python3", "iso15118_car_x", 15118, 0),
    ],
)
def test_each_connector_has_its_own(
    library: Path, name: str, module: str, port: int, moved: int
) -> None:
    ended = subprocess.run(
        [name, "-c", SPEAK.format(port=port)],
        executable=sys.executable,
        env={"LD_PRELOAD": str(library), "EV_MODULE": module},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (ended.stdout, ended.stderr) == (f"{port + moved} where?\n", "")
