"""How a charger starts and ends: bad settings, commands, restarts, stops."""

import json
import uuid
from collections.abc import Iterator

import pytest

from tests.support.charger import Charger, await_true, charger, docker, run_to_end

pytestmark = pytest.mark.docker


@pytest.fixture
def kept(image: str) -> Iterator[str]:
    """A name for an image that a test makes of a container."""
    name = f"evdiag-test-kept:{uuid.uuid4().hex[:12]}"
    yield name
    docker("rmi", name)


def ocpp_address(container: Charger) -> str:
    """Return the address of the backend that EVerest was given."""
    return str(json.loads(container.read("/run/everest/ocpp.json"))["Internal"]["CentralSystemURI"])


def test_bad_settings_end_the_start_and_every_one_is_named(image: str) -> None:
    wrong = {
        "OCPP_VERSION": "3",
        "NUM_CONNECTORS": "many",
        "OCPP_URL": "http://x",
        "MQTT_USER": "u",
        "DASHBOARD_AUTH": "nobody",
        "DASHBOARD_PASSWORD": "2 short",
    }

    # a restart policy must not make a loop of it: 2 is final only if nothing was started
    said = run_to_end(image, wrong)

    assert said.code == 2
    for name in wrong:
        assert name in said.err
    assert "Traceback" not in said.err
    assert "2 short" not in said.err
    assert len(said.err.strip().splitlines()) == len(wrong)
    assert said.out == "", "nothing was started that could be restarted for ever"


def test_it_does_not_start_without_root(image: str) -> None:
    said = run_to_end(image, {}, ["--user", "1000"])

    assert (said.code, said.err) == (
        2,
        "entrypoint: must start as root, not as uid 1000: every service then gives that up\n",
    )


def test_a_command_runs_in_place_of_the_charger(image: str) -> None:
    command = ["manager", "--prefix", "/opt/everest", "--config", "/run/everest/config.yaml"]

    said = run_to_end(image, {}, command=[*command, "--check"])

    assert said.code == 0
    assert "Config is valid, terminating as requested" in said.out
    assert "spawned" not in said.out


def test_health_names_what_is_down(image: str) -> None:
    with charger(image) as container:
        container.await_healthy()
        container.output("supervisorctl", "stop", "nodered")
        dashboard = container.exec("/usr/local/lib/evdiag/healthcheck.sh")
        container.output("supervisorctl", "stop", "everest")
        everest = container.exec("/usr/local/lib/evdiag/healthcheck.sh")
        container.output("supervisorctl", "stop", "mosquitto")
        broker = container.exec("/usr/local/lib/evdiag/healthcheck.sh")

    assert dashboard.code == everest.code == broker.code == 1
    assert dashboard.out.startswith("down: dashboard (http://127.0.0.1:1880/ui/: ")
    assert everest.out.startswith("down: EVerest (nothing on everest_api/connectors for 3 s); dash")
    assert broker.out.startswith("down: MQTT broker (127.0.0.1:1883 does not answer); dashboard")
    assert dashboard.out.count("\n") == everest.out.count("\n") == broker.out.count("\n") == 1


def test_a_stop_is_quick_and_clean_and_a_restart_goes_on(image: str, kept: str) -> None:
    with charger(image, {"OCPP_URL": "ws://one.example:9000"}) as container:
        container.await_healthy()
        outside = ("mosquitto_pub", "-h", "127.0.0.1", "-p", "1884", "-t", "x", "-m", "x")
        assert "Connection refused" in container.exec(*outside).err, "no password, no listener"
        assert "IPv6 link-local" in container.logs()
        assert ocpp_address(container) == "ws://one.example:9000"
        container.output("sh", "-c", "echo '{}' > /run/everest/ocpp.json")

        assert container.stop() < 10
        state = container.inspect()["State"]
        assert (state["ExitCode"], state["OOMKilled"]) == (0, False)
        stopped = container.logs()
        assert "EVerest manager is exiting" in stopped
        assert "exited unexpectedly" not in stopped

        docker("commit", container.name, kept)
        assert docker("start", container.name).code == 0
        container.await_starts(2)
        # the log goes on where it was, in the file and on the output
        assert container.log("everest").count("EVerest up and running") == 2
        await_true(lambda: container.logs().count("EVerest up and running") >= 2, "shown")
        assert container.logs().count("EVerest up and running") == 2
        assert ocpp_address(container) == "ws://one.example:9000"

    with charger(kept, {"OCPP_URL": "ws://two.example:9000"}) as container:
        container.await_starts(2)
        assert ocpp_address(container) == "ws://two.example:9000"
