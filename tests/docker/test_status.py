"""`evdiag status` of real containers: in good order, in trouble, and after their end."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from evdiag.cli import main
from tests.support.charger import Charger, charger, docker

pytestmark = pytest.mark.docker

Look = Callable[[str], Any]


@pytest.fixture
def look(capsys: pytest.CaptureFixture[str]) -> Look:
    """`evdiag status --json`, decoded."""

    def run(name: str) -> Any:  # noqa: ANN401
        capsys.readouterr()
        assert main(["status", "--json", "--name", name]) == 0
        return json.loads(capsys.readouterr().out)

    return run


def test_a_charger_that_nobody_harmed(
    running: Charger, look: Look, capsys: pytest.CaptureFixture[str]
) -> None:
    status = look(running.name)
    assert status["schema"] == "evdiag.status/1"
    assert [each["name"] for each in status["services"]][:3] == ["mosquitto", "everest", "nodered"]
    # supervisord trusts Node-RED after three seconds
    assert {each["state"] for each in status["services"]} <= {"running", "starting"}
    everest = status["everest"]
    assert (everest["state"], everest["restarts"], everest["pid"]) == ("up", 0, running.manager())
    modules = {each["id"]: each for each in status["modules"]}
    assert modules["ocpp"]["pid"] == running.module("ocpp")
    assert modules["ocpp"]["threads"] > 1
    assert modules["ocpp"]["memory"] > 1_000_000
    assert modules["iso15118_car"]["type"]  # a Python module: its id is in its environment only
    assert (status["orphans"], status["cores"], status["gaps"]) == ([], [], [])
    assert [each["state"] for each in status["connectors"]] == ["Unplugged"]
    assert status["ocpp"]["state"] == "disconnected"
    assert "ECONNREFUSED" in status["ocpp"]["error"]
    # the payload has a few of EVerest's modules only, and that is all there is to say
    assert [reason for reason in status["reasons"] if "do not run" not in reason] == []

    assert main(["status", "--name", running.name]) == 0
    shown = capsys.readouterr().out
    assert f"{running.name}: up" in shown
    assert "http://127.0.0.1:" in shown
    assert "$ecret" not in shown
    assert main(["status", "--all"]) == 0
    assert running.name in capsys.readouterr().out


def test_a_charger_in_trouble(image: str, look: Look) -> None:
    with charger(image, {"OCPP_URL": "ws://127.0.0.1:1/x"}) as harmed:
        harmed.await_starts(1)
        harmed.crash("ocpp", "null-member-write")
        harmed.await_starts(2)
        status = look(harmed.name)
        assert status["everest"]["restarts"] == 1
        assert status["everest"]["crashes"] == 1
        assert status["everest"]["last_crashed"] == "ocpp"
        (core,) = [each for each in status["cores"] if each["process"].startswith("ocpp:")]
        assert (core["signal"], core["state"]) == ("SIGSEGV", "complete")

        # a supervisord that hangs and a broker that has gone hide nothing else
        (broker,) = harmed.processes("sbin/mosquitto|/usr/sbin/mosquitto")
        harmed.output("sh", "-c", f"kill -STOP {harmed.manager()}; kill -STOP {broker}")
        status = look(harmed.name)
        assert status["verdict"] == "degraded"
        assert status["modules"]
        assert any("nothing on MQTT" in reason for reason in status["reasons"])
        harmed.output("sh", "-c", f"kill -CONT {broker}; kill -CONT {harmed.manager()}")
        harmed.output("supervisorctl", "stop", "mosquitto")
        assert "mosquitto is stopped (exit code 0)" in look(harmed.name)["reasons"]

        docker("pause", harmed.name)
        status = look(harmed.name)
        assert (status["verdict"], status["services"]) == ("paused", [])
        docker("unpause", harmed.name)

        docker("kill", harmed.name)
        status = look(harmed.name)
        assert (status["verdict"], status["exit_code"]) == ("stopped", 137)
        assert "it was killed (SIGKILL)" in status["reasons"]
        found = [each for each in status["cores"] if each["process"].startswith("ocpp:")]
        assert [each["signal"] for each in found] == ["SIGSEGV"]
        assert found[0]["size"] == core["size"]
        assert status["cores_complete"]


def test_cores_on_a_volume_of_an_ended_container(
    image: str, tmp_path: Any, look: Look  # noqa: ANN401
) -> None:  # fmt: skip
    """Nobody but the archive tells what is on a volume; a large file ends the reading."""
    (tmp_path / "core.a.1.2").write_bytes(b"x" * 100)
    (tmp_path / "core.a.1.2.json").write_text(
        '{"schema": "evdiag.capture/1", "core": "core.a.1.2", "pid": 1, "signal": 6}'
    )
    (tmp_path / "core.link").symlink_to("/etc/passwd")
    with (tmp_path / "core.z").open("wb") as large:
        large.truncate(1 << 30)
    name = f"evdiag-test-volume-{time.time_ns()}"
    try:
        docker("create", "--name", name, "-v", f"{tmp_path}:/tmp/everest-logs", image)
        status = look(name)
    finally:
        docker("rm", "-f", "-v", name)
    assert status["verdict"] == "created"
    cores = {each["name"]: each for each in status["cores"]}
    assert cores["core.a.1.2"]["signal"] == "SIGABRT"
    assert "core.link" not in cores
    assert not status["cores_complete"]
    assert [gap["part"] for gap in status["gaps"]] == ["cores"]


def test_a_container_that_is_no_charger(image: str, look: Look) -> None:
    name = f"evdiag-test-other-{time.time_ns()}"
    try:
        said = docker("run", "-d", "--name", name, "--network", "none", "--entrypoint", "sleep",
                      image, "60")  # fmt: skip
        assert said.code == 0, said.err
        status = look(name)
    finally:
        docker("rm", "-f", "-v", name)
    assert status["verdict"] == "starting"  # so soon after the container
    assert any(reason.startswith("supervisord does not answer") for reason in status["reasons"])
    assert status["everest"]["state"] == "down"


def test_no_such_charger(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", "--name", "nobody-has-this-name"]) == 5
    assert "nobody-has-this-name" in capsys.readouterr().err
