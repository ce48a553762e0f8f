"""The program of `doctor` that crashes in a container, as far as it needs none."""

import pytest

from evdiag.adapters.docker.inside.crash_test import SECRETS, environment_of
from evdiag.analyze.secrets.names import kind_of
from tests.support.charger_config import CONTAINER

ASKED = {"library": "/usr/local/lib/evdiag/capture.so"}


def test_without_a_manager_no_password_gets_into_the_core(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "hunter2")
    monkeypatch.setenv("OCPP_ID", "CP1")

    environment = environment_of(None, ASKED)

    assert "hunter2" not in environment.values()
    assert environment["OCPP_ID"] == "CP1"
    assert environment["LD_PRELOAD"] == ASKED["library"]


def test_it_takes_away_what_the_entrypoint_takes_away() -> None:
    lines = (CONTAINER / "entrypoint.sh").read_text().splitlines()
    unset = {name for line in lines if line.startswith("unset ") for name in line.split()[1:]}

    assert {name for name in unset if kind_of(name)} <= set(SECRETS) <= unset
