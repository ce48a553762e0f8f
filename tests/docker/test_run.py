"""`evdiag run` with a real engine, and the crashers in EVerest's place."""

import base64
import ipaddress
import json
import socket
import threading
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from evdiag.adapters.docker import core_pattern
from evdiag.adapters.docker.engine import connect
from evdiag.adapters.docker.network import find_network, make_network, remove_network
from evdiag.analyze.run_plan import subnet_of
from evdiag.model.run import OUR_PATTERN
from tests.docker.conftest import port
from tests.support.charger import CRASH_FILE, Charger, Said, await_true, docker
from tests.support.evdiag_command import csms, evdiag, interrupted

pytestmark = pytest.mark.docker


def new_name() -> str:
    return f"evdiag-test-{uuid.uuid4().hex[:12]}"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clear(name: str) -> None:
    """Remove a charger, those that made room for it, and its network, whatever is left of them."""
    names = docker("ps", "-a", "--filter", f"name={name}", "--format", "{{.Names}}").out.split()
    docker("rm", "-f", "-v", *names or [name])
    docker("network", "rm", f"evdiag-{name}")


def names_of(what: str, name: str) -> str:
    """Return what is left of a charger: containers (ps -a) or networks."""
    words = ["ps", "-a", "--format", "{{.Names}}"]
    if what == "networks":
        words = ["network", "ls", "--format", "{{.Name}}"]
    return docker(*words, "--filter", f"name={name}").out


def status_of(page: str, password: str | None = None) -> int:
    """Return what the dashboard answers with, asked past any proxy."""
    request = urllib.request.Request(page)
    if password is not None:
        account = base64.b64encode(f"admin:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {account}")
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@dataclass(frozen=True)
class Run:
    """A charger that `evdiag run` has started, and what it said."""

    charger: Charger
    port: int
    csms_port: int
    said: Said


@pytest.fixture(scope="module")
def run(image: str) -> Iterator[Run]:
    """A charger that nobody changes."""
    name, dashboard = new_name(), free_port()
    try:
        with csms() as backend:
            said = evdiag(
                "run", "--name", name, "--image", image, "--port", dashboard,
                "--ocpp-id", "CP*7", "--ocpp-url", f"ws://localhost:{backend}/ocpp",
                "-e", "MQTT_USER=u", "-e", "MQTT_PASSWORD=p",
            )  # fmt: skip
            yield Run(Charger(name), dashboard, backend, said)
    finally:
        clear(name)


def test_it_is_ready_when_run_ends(run: Run) -> None:
    assert run.said.code == 0, run.said.err
    assert run.charger.healthy()
    for step in ("MQTT broker runs", "EVerest is up: 6 modules", "OCPP 1.6 is connected",
                 "dashboard answers"):  # fmt: skip
        assert step in run.said.err
    assert f"  dashboard  http://127.0.0.1:{run.port}/ui/\n" in run.said.out
    assert (
        f"  editor     http://127.0.0.1:{run.port}/, as admin with the password\n" in run.said.out
    )
    assert "1.6 as CP*7, connected" in run.said.out
    assert f"127.0.0.1:{port(run.charger, 1884)}, for the user of MQTT_USER" in run.said.out
    assert f"evdiag stop --name {run.charger.name}" in run.said.out


def test_the_dashboard_is_open_here_and_the_last_words_lead_to_the_password(run: Run) -> None:
    (line,) = (line for line in run.said.out.splitlines() if line.startswith("  password "))
    command = line.split()[1:]

    assert "DASHBOARD_AUTH=others" in run.charger.inspect()["Config"]["Env"]
    assert status_of(f"http://127.0.0.1:{run.port}/ui/") == 200
    assert command[:3] == ["docker", "exec", run.charger.name]
    assert len(docker(*command[1:]).out.strip()) >= 8


def test_beyond_this_machine_the_dashboard_asks_for_the_password(image: str) -> None:
    name, dashboard, password = new_name(), free_port(), "correct horse"
    try:
        with csms() as backend:
            said = evdiag(
                "run", "--name", name, "--image", image, "--port", dashboard,
                "--bind", "0.0.0.0",
                "--ocpp-url", f"ws://localhost:{backend}",
                "-e", f"DASHBOARD_PASSWORD={password}",
            )  # fmt: skip

        assert said.code == 0, said.err
        assert "dashboard answers" in said.err
        assert "published on 0.0.0.0: the dashboard and the editor ask for the pass" in said.err
        page = f"http://127.0.0.1:{dashboard}/ui/"
        assert f"  dashboard  {page}, as admin with the password\n" in said.out
        assert "  password   the one of DASHBOARD_PASSWORD\n" in said.out
        assert password not in said.out + said.err + Charger(name).logs()
        assert status_of(page) == 401
        assert status_of(page, password) == 200
        assert status_of(page, "wrong horse") == 401
    finally:
        clear(name)


def test_localhost_is_this_machine_and_that_is_said(run: Run) -> None:
    moved = f"ws://host.docker.internal:{run.csms_port}/ocpp"

    assert f"localhost in the CSMS's address is this machine: {moved}" in run.said.err
    assert "nothing listens" not in run.said.err
    assert f"OCPP_URL={moved}" in run.charger.inspect()["Config"]["Env"]


def test_what_the_engine_was_asked_for(run: Run) -> None:
    facts = run.charger.inspect()
    host = facts["HostConfig"]
    network = f"evdiag-{run.charger.name}"

    assert not host["Privileged"]
    assert not host["AutoRemove"]
    assert not host["CapAdd"]
    assert host["Ulimits"] == [{"Name": "core", "Hard": -1, "Soft": -1}]
    assert list(facts["NetworkSettings"]["Networks"]) == [network]
    assert facts["Config"]["Labels"]["org.evdiag.network"] == network
    bound = facts["NetworkSettings"]["Ports"]["1880/tcp"]
    assert bound == [{"HostIp": "127.0.0.1", "HostPort": str(run.port)}]
    made = json.loads(docker("network", "inspect", network).out)[0]
    subnets = [ipaddress.ip_network(entry["Subnet"]) for entry in made["IPAM"]["Config"]]
    assert made["EnableIPv6"]
    assert ipaddress.ip_network(subnet_of(network)) in subnets
    addresses = run.charger.read("/proc/net/if_inet6")
    assert "fe80" in addresses, "ISO 15118 needs a link-local address"


def test_a_second_one_of_that_name_is_explained(run: Run, image: str) -> None:
    said = evdiag("run", "--name", run.charger.name, "--image", image, "--port", run.port)

    assert (said.code, said.out) == (3, "")
    assert f"a charger called {run.charger.name} is there already and runs" in said.err
    assert "--replace" in said.err


def test_all_that_is_in_the_way_is_said_at_once(run: Run, image: str) -> None:
    name = new_name()

    said = evdiag(
        "run", "--name", name, "--image", image, "--port", run.port, "--cores", "/dev/null/x",
        "--network", name,
    )  # fmt: skip

    assert (said.code, said.out) == (3, "")
    assert "3 things are in the way:" in said.err
    assert f"is taken by the container {run.charger.name}" in said.err
    assert "/dev/null is no folder" in said.err
    assert f"there is no network called {name}" in said.err
    assert names_of("networks", name) == ""


def test_an_image_that_is_not_there_and_one_that_is_no_charger(image: str) -> None:
    missing = evdiag("run", "--name", new_name(), "--image", "evdiag-test-none:0")
    unreachable = evdiag("run", "--name", new_name(), "--image", "localhost:1/none:0")
    foreign = evdiag("run", "--name", new_name(), "--image", "debian:bookworm-slim")

    assert (missing.code, unreachable.code, foreign.code) == (5, 5, 3)
    assert "`evdiag build`" in missing.err
    assert "could not pull localhost:1/none:0" in unreachable.err
    assert "is no image of evdiag" in foreign.err


def test_settings_that_the_container_refuses_are_shown_and_nothing_stays(image: str) -> None:
    name = new_name()
    try:
        said = evdiag(
            "run", "--name", name, "--image", image, "--port", free_port(),
            "-e", "NUM_CONNECTORS=many", "-e", "OCPP_PASSWORD=short",
        )  # fmt: skip

        assert (said.code, said.out) == (2, "")
        assert "\n  NUM_CONNECTORS is 'many': must be a whole number from 1 to 16\n" in said.err
        assert "\n  OCPP_PASSWORD has 5 characters" in said.err
        assert names_of("containers", name) == names_of("networks", name) == ""
    finally:
        clear(name)


def test_ctrl_c_leaves_it_running_and_says_so(image: str) -> None:
    name = new_name()
    try:
        said = interrupted(
            "run", "--name", name, "--image", image, "--port", free_port(), "--bind", "127.0.0.1",
            "--ocpp-url", "ws://localhost:1", after=f"started {name}",
        )  # fmt: skip

        assert said.code == 130
        assert "nothing listens on port 1 of this machine" in said.err
        assert f"{name} is left running; `evdiag stop --name {name}` stops it" in said.err
        assert Charger(name).inspect()["State"]["Running"]

        # and while somebody waits for it, it may be removed
        waiting = threading.Timer(0.0, lambda: await_true(
            lambda: names_of("containers", f"{name}-2") != "" and
            docker("rm", "-f", f"{name}-2").code == 0, "removed"))  # fmt: skip
        waiting.start()
        gone = evdiag("run", "--name", f"{name}-2", "--image", image, "--port", free_port())
        waiting.join()
        assert gone.code == 5
        assert f"{name}-2 was removed by somebody while it started" in gone.err
    finally:
        clear(f"{name}-2")
        clear(name)


def test_a_network_whose_addresses_are_taken_gets_others(image: str) -> None:
    name = f"evdiag-{new_name()}"
    engine = connect()
    docker("network", "create", "--ipv6", "--subnet", subnet_of(name), f"{name}-first")
    try:
        assert make_network(engine, name, ipv6=True).ipv6
        found = find_network(engine, name)

        assert found is not None
        assert found.ipv6
        assert make_network(engine, name, ipv6=True) == found
        assert remove_network(engine, name)
        assert not remove_network(engine, name)
        assert not remove_network(engine, f"{name}-first"), "it is not ours"
    finally:
        docker("network", "rm", name)
        docker("network", "rm", f"{name}-first")
        engine.close()


@pytest.mark.changes_machine
def test_the_core_pattern_is_set_on_request_and_restored(image: str) -> None:
    name = new_name()
    engine = connect()
    before = core_pattern.read_pattern_once(engine, image)
    assert before is not None
    try:
        with csms() as backend:
            said = evdiag(
                "run", "--name", name, "--image", image, "--port", free_port(),
                "--ocpp-url", f"ws://localhost:{backend}", "-e", f"CRASH_FILE={CRASH_FILE}",
                "--capture", "kernel", "--set-core-pattern",
            )  # fmt: skip
        assert said.code == 0, said.err
        assert f"it was {before.text!r}, and is again after `evdiag stop`" in said.err
        assert "the kernel writes cores into /tmp/everest-logs" in said.out
        charger = Charger(name)
        now = core_pattern.read_pattern(engine, name)
        assert now is not None
        assert now.text == OUR_PATTERN
        pid = charger.crash("ocpp", "null-write")
        await_true(lambda: any(f".{pid}." in core for core in charger.cores()), "the kernel's core")

        ended = evdiag("stop", "--name", name, "--remove", "--force")

        assert ended.code == 0, ended.err
        assert f"core pattern of the engine's machine: {before.text} again" in ended.err
        assert Path(core_pattern.FILE).read_text().strip() == before.text
    finally:
        if Path(core_pattern.FILE).read_text().strip() != before.text:
            core_pattern.write_pattern(engine, image, before.text)
        clear(name)
        engine.close()
