"""What runs in the charger's container, as whom, and what it shows and refuses."""

import re
import socket
from datetime import UTC, datetime

import pytest

from tests.docker.conftest import DASHBOARD, MQTT, port
from tests.support.charger import Charger, await_true

pytestmark = pytest.mark.docker


def publish(container: Charger, *words: str) -> str:
    """Publish one message on the listener for the outside; return what goes wrong."""
    said = container.exec(
        "mosquitto_pub", "-h", "127.0.0.1", "-p", "1884", "-q", "1", *words, "-m", "x"
    )
    return said.err if said.code else ""


def test_the_engine_finds_it_healthy(running: Charger) -> None:
    def status() -> str:
        return str(running.inspect()["State"]["Health"]["Status"])

    await_true(lambda: status() == "healthy", "healthy for the engine")


def test_every_service_runs_and_none_is_root(running: Charger) -> None:
    lines = running.output("ps", "-eo", "user:20=,args=").splitlines()
    users = {tuple(line.split(maxsplit=1)) for line in lines}

    def user_of(start: str) -> str:
        (user,) = {user for user, command in users if command.startswith(start)}
        return user

    assert user_of("/opt/everest/bin/manager") == "everest"
    assert user_of("evse_manager:EvseManager") == "everest"
    assert user_of("node-red") == "nodered"
    assert user_of("/usr/sbin/mosquitto") == "mosquitto"
    assert running.output("id", "-u", "everest") == "1000\n"
    assert running.output("id", "-u", "nodered") == "1880\n"


def test_supervisor_knows_four_programs(running: Charger) -> None:
    lines = running.output("supervisorctl", "status").splitlines()

    assert {tuple(line.split()[:2]) for line in lines} == {
        ("everest", "RUNNING"), ("logs", "RUNNING"), ("mosquitto", "RUNNING"),
        ("nodered", "RUNNING"),
    }  # fmt: skip


def test_everest_waits_for_the_broker(running: Charger) -> None:
    log = running.log("supervisord")

    assert log.index("spawned: 'mosquitto'") < log.index("spawned: 'everest'")
    # a manager without a broker ends at once
    assert log.count("spawned: 'everest'") == 1
    assert "exited: " not in log


@pytest.mark.parametrize(
    ("service", "words"),
    [
        ("everest", "EVerest up and running"),
        ("nodered", "Started flows"),
        ("mosquitto", r"mosquitto version \S+ running"),
        ("supervisord", "spawned: 'everest'"),
    ],
)
def test_a_log_is_in_a_file_and_on_the_output(running: Charger, service: str, words: str) -> None:
    await_true(lambda: re.search(words, running.logs()) is not None, f"{words} is shown")

    assert len(re.findall(words, running.logs())) == 1
    assert len(re.findall(words, running.log(service))) == 1


def test_times_are_utc(running: Charger) -> None:
    assert running.output("date", "+%Z") == "UTC\n"
    (stamp,) = re.findall(r"^(\S+ \S+)\.\d+ .*Starting \d+ modules", running.log("everest"), re.M)
    age = datetime.now(UTC) - datetime.strptime(f"{stamp}+0000", "%Y-%m-%d %H:%M:%S%z")
    assert -1 < age.total_seconds() < 900


def test_the_capture_is_for_everest_alone(running: Charger) -> None:
    def environment(pid: int, user: str) -> str:
        return running.output("cat", f"/proc/{pid}/environ", user=user)

    (node,) = running.processes("^node-red")
    (broker,) = running.processes("^/usr/sbin/mosquitto")
    preload = "LD_PRELOAD=/usr/local/lib/evdiag/capture.so\0"

    assert preload in environment(running.manager(), "everest")
    assert preload in environment(running.module("ocpp"), "everest")
    assert "capture.so" in running.output(
        "cat", f"/proc/{running.module('ocpp')}/maps", user="everest"
    )
    assert "LD_PRELOAD" not in environment(node, "nodered")
    assert "LD_PRELOAD" not in environment(broker, "mosquitto")


def test_passwords_do_not_get_into_cores(running: Charger) -> None:
    (node,) = running.processes("^node-red")
    (broker,) = running.processes("^/usr/sbin/mosquitto")
    services = {running.manager(): "everest", node: "nodered", broker: "mosquitto"}

    for pid, user in services.items():
        environment = running.output("cat", f"/proc/{pid}/environ", user=user)
        assert "OCPP_VERSION=1.6\0" in environment
        assert MQTT["MQTT_PASSWORD"] not in environment
        assert DASHBOARD["DASHBOARD_PASSWORD"] not in environment


def test_the_published_broker_wants_the_password(running: Charger) -> None:
    good = ("-u", MQTT["MQTT_USER"], "-P", MQTT["MQTT_PASSWORD"])

    with socket.create_connection(("127.0.0.1", port(running, 1884)), timeout=10):
        pass  # it is there for this machine
    assert "not authorised" in publish(running, "-t", "everest_api/x")
    assert "not authorised" in publish(running, "-u", "tester", "-P", "x", "-t", "everest_api/x")
    assert publish(running, *good, "-t", "everest_api/x") == ""


def test_the_published_broker_hides_the_inner_topics(running: Charger) -> None:
    """Published inside: first an inner topic, then one for everybody. Only that one arrives."""
    listen = 'mosquitto_sub -h 127.0.0.1 -p 1884 -u tester -P "$P" -W 10 -C 1 -v'
    script = (
        f"{listen} -t everest/# -t everest_external/probe & "
        "while kill -0 $! 2>/dev/null; do"
        " mosquitto_pub -h 127.0.0.1 -t everest/modules/x -m inner;"
        " mosquitto_pub -h 127.0.0.1 -t everest_external/probe -m outer; done"
    )

    seen = running.output("env", f"P={MQTT['MQTT_PASSWORD']}", "sh", "-c", script)

    assert seen == "everest_external/probe outer\n"


def test_debuggers_are_there(running: Charger) -> None:
    assert running.output("gdb", "--version").startswith("GNU gdb")
    assert running.output("eu-stack", "--version").startswith("eu-stack")
    # attaching to a process of the same user needs no right that a container lacks
    stack = running.output("eu-stack", "-p", str(running.module("ocpp")), user="everest")
    assert "await_request" in stack


def test_what_the_image_says_of_itself(running: Charger) -> None:
    config = running.inspect()["Config"]

    assert sorted(config["ExposedPorts"]) == ["1880/tcp", "1884/tcp"]
    assert (config["StopSignal"], config["Volumes"]) == ("SIGTERM", None)
    assert config["Labels"]["org.evdiag.node-red"] == "5.0.7"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "Apache-2.0"
    version = running.output("node", "-p", "require('/opt/nodered/package-lock.json').packages"
                             "['node_modules/node-red'].version")  # fmt: skip
    assert version.strip() == config["Labels"]["org.evdiag.node-red"]


def test_an_interface_for_charging_is_there(running: Charger) -> None:
    """With the sysctl that the warning names, there is a link-local address, and no warning."""
    assert "fe80" in running.read("/proc/net/if_inet6")
    assert "IPv6" not in running.logs()
