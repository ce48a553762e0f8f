"""A container with the real EVerest, handled with docker and MQTT as a user would."""

import json
import re
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from os import getpid
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support import charger
from tests.support.charger import CORES
from tests.support.csms import Journal, Version
from tests.support.mqtt import Mqtt

USER, PASSWORD = "tester", "tester-password"
UP = "EVerest up and running"
START_SECONDS = 90.0
"""EVerest itself needs 4 to 10 s; the machine may be busy with something else."""

SGR = re.compile(r"\x1b\[[0-9;]*m")
PLUG_IN = (
    "sleep 1;iso_wait_slac_matched;iso_start_v2g_session DC 86400 0;"
    "iso_wait_pwr_ready;iso_dc_power_on;iso_wait_for_stop 36000"
)
START_AGAIN = PLUG_IN.removeprefix("sleep 1;")
STOP_AND_UNPLUG = "iso_stop_charging;iso_wait_v2g_session_stopped;unplug"

LIST_PROCESSES = r"""
import json, pathlib
found = []
for entry in pathlib.Path("/proc").iterdir():
    try:
        parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
        argv = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        found.append([int(entry.name), parent, argv])
    except (OSError, ValueError):
        pass
print(json.dumps(found))
"""
READ_CONFIG = (
    "import json, yaml; print(json.dumps(yaml.safe_load(open('/run/everest/config.yaml'))))"
)

_numbers = count(1)


def docker(*arguments: str | Path, seconds: float = 60.0) -> str:
    """What a docker command prints; an AssertionError with its complaint if it fails."""
    words = [str(argument) for argument in arguments]
    said = charger.docker(*words, seconds=seconds)
    assert said.code == 0, f"docker {' '.join(words)}: {said.err.strip() or said.out}"
    return said.out


@contextmanager
def own_network() -> Iterator[tuple[str, str]]:
    """A network, and this machine's address in it.

    Cars look for chargers with multicasts: on a common network they find those of other containers.
    """
    name = new_name("network")
    docker("network", "create", name)
    try:
        form = "{{range .IPAM.Config}}{{println .Gateway}}{{end}}"
        addresses = docker("network", "inspect", name, "-f", form).split()
        yield name, next(address for address in addresses if "." in address)
    finally:
        docker("network", "rm", name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Process:
    """A process of the container, by the container's ids."""

    pid: int
    parent: int
    argv: tuple[str, ...]


def new_name(what: str = "charger") -> str:
    """A name that no other test run uses."""
    return f"csms-{what}-{getpid()}-{next(_numbers)}"


class RealCharger:
    """One container; removed when the block is left."""

    def __init__(
        self,
        image: str,
        *,
        version: Version,
        url: str,
        environment: Mapping[str, str] | None = None,
        arguments: Sequence[str] = (),
    ) -> None:
        self.name, self.version, self._image = new_name(), version, image
        self.log: Journal[str] = Journal()
        self._environment = {
            "OCPP_VERSION": version,
            "OCPP_URL": url,
            "MQTT_USER": USER,
            "MQTT_PASSWORD": PASSWORD,
            **(environment or {}),
        }
        self._arguments, self._port = arguments, _free_port()
        self.mqtt = Mqtt("127.0.0.1", self._port, USER, PASSWORD)
        self._config: dict[str, Any] = {}
        self._follower: subprocess.Popen[str] | None = None

    def __enter__(self) -> "RealCharger":
        variables = [f"-e{name}={value}" for name, value in self._environment.items()]
        # EVerest's ISO 15118 speaks IPv6 with link-local addresses only
        network = ("--sysctl", "net.ipv6.conf.all.disable_ipv6=0")
        ports = ("-p", f"127.0.0.1:{self._port}:1884")
        options = [*network, *ports, *variables, *self._arguments]
        docker("create", "--name", self.name, *options, self._image)
        try:
            docker("start", self.name)
        except AssertionError:
            docker("rm", "-f", "-v", self.name)
            raise
        self._follow()
        self.mqtt.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.mqtt.__exit__(kind, error, trace)
        docker("rm", "-f", "-v", self.name)
        if self._follower is not None:
            self._follower.wait(30)

    # -- the container

    def wait_up(self, *, since: int = 0, seconds: float = START_SECONDS) -> None:
        """Wait until EVerest has logged that all modules run, and MQTT is there."""
        self.log.wait(UP, lambda line: UP in line, since=since, seconds=seconds)
        self.mqtt.wait_connected()

    def wait_back(self, *, since: int, seconds: float = START_SECONDS) -> None:
        """Wait until EVerest has gone down after a mark of `log`, and is up again."""
        down = False

        def up_again(line: str) -> bool:
            nonlocal down
            down = down or "exited unexpectedly" in line
            return down and UP in line

        self.log.wait(f"end of a module, then {UP!r}", up_again, since=since, seconds=seconds)
        self.mqtt.wait_connected()

    def wait_log(self, words: str, *, since: int = 0, seconds: float = 60.0) -> str:
        """The first line of the container's log with these words."""
        return self.log.wait(words, lambda line: words in line, since=since, seconds=seconds)

    def restart(self) -> None:
        """`docker restart`, and wait until EVerest is up again."""
        docker("restart", self.name, seconds=90)
        since = self.log.mark()
        self._follow("--tail", "0")
        self.wait_up(since=since)

    def run(self, *command: str) -> str:
        """What a command inside of the container prints."""
        return docker("exec", self.name, *command)

    def config(self) -> dict[str, Any]:
        """The modules of the configuration that EVerest runs with."""
        if not self._config:
            self._config = json.loads(self.run("python3", "-c", READ_CONFIG))["active_modules"]
        return self._config

    def modules(self, module_type: str) -> list[str]:
        """The ids of the modules of a type, in the order of the configuration."""
        return [name for name, it in self.config().items() if it["module"] == module_type]

    def processes(self) -> list[Process]:
        """What runs in the container."""
        found = json.loads(self.run("python3", "-c", LIST_PROCESSES))
        return [Process(pid=pid, parent=parent, argv=tuple(argv)) for pid, parent, argv in found]

    def module_processes(self) -> dict[str, list[Process]]:
        """EVerest's module processes by module id; argv[0] is `<id>:<type>` for those in C++."""
        found: dict[str, list[Process]] = {}
        for process in self.processes():
            name, colon, module_type = process.argv[0].partition(":") if process.argv else ("",) * 3
            if colon and self.config().get(name, {}).get("module") == module_type:
                found.setdefault(name, []).append(process)
        return found

    def pid(self, module_id: str) -> int:
        """The process id of a module."""
        (process,) = self.module_processes()[module_id]
        return process.pid

    def kill(self, module_id: str, signal: str = "SEGV") -> None:
        """Send a signal to a module."""
        self.run("sh", "-c", f"kill -{signal} {self.pid(module_id)}")

    def copy(self, path: str, target: Path) -> Path:
        """`docker cp` out of the container; links are followed."""
        target.parent.mkdir(parents=True, exist_ok=True)
        docker("cp", "-L", f"{self.name}:{path}", target, seconds=120)
        return target

    def cores(self) -> set[str]:
        """The names of the cores that are complete; not of their descriptions."""
        names = self.run("ls", CORES).split()
        return {name for name in names if name.startswith("core") and name.count(".") in (0, 3)}

    # -- charging

    def evse(self, number: int = 1) -> str:
        """The id of the EvseManager with this number."""
        for name in self.modules("EvseManager"):
            if self.config()[name]["config_module"]["connector_id"] == number:
                return name
        raise AssertionError(f"the configuration has no EVSE {number}")

    def plug_in(self, number: int = 1) -> None:
        """The car is plugged in and starts a session."""
        self._car(number, "execute_charging_session", PLUG_IN)

    def unplug(self, number: int = 1) -> None:
        """The car ends what it does and is unplugged, whatever state the session is in."""
        if self.state(number) == "Charging":
            self._car(number, "modify_charging_session", STOP_AND_UNPLUG)
        else:
            self.wait_talk_ended()
            self._car(number, "modify_charging_session", "unplug")

    def pause(self, number: int = 1) -> None:
        """The charger pauses. In ISO 15118-2 and DIN 70121 that ends the car's session."""
        self.mqtt.publish(f"everest_api/{self.evse(number)}/cmd/pause_charging", "")

    def resume(self, number: int = 1) -> None:
        """The charger is ready again and the car starts a new session."""
        self.mqtt.publish(f"everest_api/{self.evse(number)}/cmd/resume_charging", "")
        self._car(number, "modify_charging_session", START_AGAIN)

    def wait_talk_ended(self, seconds: float = 60.0) -> None:
        """Wait until charger and car have closed their ISO 15118 connection, if there is one.

        It outlives what the states tell by some 10 s, and disturbs the next one until then.
        """
        opened, closed = "Started new TCP connection thread", "TCP connection closed gracefully"
        lines = self.log.entries()
        talks = 0
        for line in lines:
            talks = 0 if UP in line else talks + (opened in line) - (closed in line)

        def ended(line: str) -> bool:
            nonlocal talks
            talks += (opened in line) - (closed in line)
            return talks <= 0

        if talks > 0:
            self.log.wait(closed, ended, since=len(lines), seconds=seconds)

    def derate(self, number: int = 1, **limits: float) -> None:
        """Limit the charger, e.g. `max_export_current_A=20`; without limits: lift them."""
        evse = self.evse(number)
        for name in self.modules("dc_external_derate_consumer_API"):
            if self.config()[name]["connections"]["derate"][0]["module_id"] == evse:
                topic = (
                    f"everest_api/1/dc_external_derate_consumer/{name}/m2e/set_external_derating"
                )
                self.mqtt.publish(topic, json.dumps(limits))
                return
        raise AssertionError(f"the configuration has no derating for {evse}")

    def state(self, number: int = 1) -> str:
        """The state of the next session_info, which comes once a second."""
        topic = f"everest_api/{self.evse(number)}/var/session_info"
        since = self.mqtt.published.mark()
        told = self.mqtt.wait(topic, bool, what=topic, since=since, seconds=10)
        return str(told["state"])

    def wait_state(self, *states: str, number: int = 1, seconds: float = 60.0) -> str:
        """Wait until an EVSE says that it is in one of these states."""
        topic = f"everest_api/{self.evse(number)}/var/session_info"
        told = self.mqtt.wait(
            topic,
            lambda value: value["state"] in states,
            what=f"{' or '.join(states)} at EVSE {number}",
            since=self.mqtt.published.mark(),
            seconds=seconds,
        )
        return str(told["state"])

    def wait_power(
        self, low: float, high: float, *, number: int = 1, samples: int = 3, seconds: float = 90.0
    ) -> dict[str, Any]:
        """The reading of the powermeter when so many in a row were between these watts."""
        row = 0

        def within(reading: dict[str, Any]) -> bool:
            nonlocal row
            row = row + 1 if low <= reading["power_W"]["total"] <= high else 0
            return row >= samples

        reading: dict[str, Any] = self.mqtt.wait(
            f"everest_api/{self.evse(number)}/var/powermeter",
            within,
            what=f"{low:g} to {high:g} W at EVSE {number}",
            since=self.mqtt.published.mark(),
            seconds=seconds,
        )
        return reading

    def wait_steady(self, least: float, *, number: int = 1, seconds: float = 90.0) -> float:
        """The power in watts when it no longer rises: three equal readings of at least so much."""
        last: list[float] = []

        def steady(reading: dict[str, Any]) -> bool:
            last.append(reading["power_W"]["total"])
            tail = last[-3:]
            return len(tail) == 3 and min(tail) >= least and max(tail) - min(tail) < 0.01 * tail[0]

        self.mqtt.wait(
            f"everest_api/{self.evse(number)}/var/powermeter",
            steady,
            what=f"steady power at EVSE {number}",
            since=self.mqtt.published.mark(),
            seconds=seconds,
        )
        return last[-1]

    def _car(self, number: int, command: str, steps: str) -> None:
        self.mqtt.publish(f"everest_external/nodered/{number}/carsim/cmd/{command}", steps)

    def _follow(self, *options: str) -> None:
        """Keep the lines of the container's log, without colours."""
        self._follower = subprocess.Popen(
            ["docker", "logs", "-f", *options, self.name],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        )
        threading.Thread(target=self._read, args=(self._follower,), daemon=True).start()

    def _read(self, follower: "subprocess.Popen[str]") -> None:
        assert follower.stdout is not None
        with follower.stdout:
            for line in follower.stdout:
                self.log.add(SGR.sub("", line.rstrip("\n")))


def _free_port() -> int:
    """A port on the loopback that was free a moment ago: it must outlive restarts."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
