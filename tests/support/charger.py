"""A charger in a container: started, asked, crashed and looked at through the docker client."""

import contextlib
import json
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

CORES = "/tmp/everest-logs"
SERVICE_LOGS = "/var/log/supervisor"
CRASH_FILE = "/tmp/crash-mode"
"""Where a module of the crashers finds the mode to crash with (see tests/crashers/module.cpp)."""
DEADLINE_SECONDS = 60.0


class Said(NamedTuple):
    """What a program in or around a container printed, and how it ended."""

    code: int
    out: str
    err: str


def docker(*arguments: str, seconds: float = DEADLINE_SECONDS) -> Said:
    """Run the docker client."""
    done = subprocess.run(["docker", *arguments], capture_output=True, check=False, timeout=seconds)
    return Said(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode())


def await_true(condition: Callable[[], bool], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    """Wait until something holds that nobody announces."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"after {seconds:g} s still not: {what}"
        time.sleep(0.05)


@dataclass(frozen=True, slots=True)
class Charger:
    """A container, running or ended, by its name."""

    name: str

    def exec(self, *command: str, user: str = "root") -> Said:
        """Run a program in the container."""
        return docker("exec", "-u", user, self.name, *command)

    def output(self, *command: str, user: str = "root") -> str:
        """Return what a program in the container prints; it has to succeed."""
        said = self.exec(*command, user=user)
        assert said.code == 0, (command, said)
        return said.out

    def inspect(self) -> Any:  # noqa: ANN401 # JSON of the engine
        """Return what the engine knows of the container."""
        return json.loads(docker("inspect", self.name).out)[0]

    def logs(self) -> str:
        """Return the container's output: what `docker logs` shows, both streams."""
        said = docker("logs", self.name)
        return said.out + said.err

    def read(self, path: str) -> str:
        """Return a text file of the running container."""
        return self.output("cat", path)

    def log(self, service: str) -> str:
        """Return the log of a service so far."""
        return self.read(f"{SERVICE_LOGS}/{service}.log")

    def copy(self, path: str, target: Path) -> Path:
        """Copy a file out of the container, which may have ended."""
        said = docker("cp", f"{self.name}:{path}", str(target))
        assert said.code == 0, said.err
        return target

    # -- processes

    def processes(self, pattern: str) -> list[int]:
        """Return the processes whose command line matches; none is no error."""
        return [int(line) for line in self.exec("pgrep", "-f", pattern).out.split()]

    def manager(self) -> int:
        """Return the process id of the manager."""
        (pid,) = self.processes("^/opt/everest/bin/manager")
        return pid

    def module(self, module_id: str) -> int:
        """Return the process id of a C++ module."""
        (pid,) = self.processes(f"^{module_id}:")
        return pid

    def starts(self) -> int:
        """Return how often EVerest was up so far; an end of the container is an error."""
        said = self.exec("grep", "-c", "EVerest up and running", f"{SERVICE_LOGS}/everest.log")
        assert "is not running" not in said.err, self.logs()
        return int(said.out or 0)

    def await_starts(self, count: int, seconds: float = DEADLINE_SECONDS) -> None:
        """Wait until EVerest was up that often."""
        try:
            await_true(lambda: self.starts() >= count, f"EVerest up {count} times", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    def healthy(self) -> bool:
        """Ask the container's own health check."""
        return self.exec("/usr/local/lib/evdiag/healthcheck.sh").code == 0

    def await_healthy(self) -> None:
        """Wait until broker, EVerest and dashboard work."""
        try:
            await_true(self.healthy, "healthy")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    # -- crashes

    def cores(self) -> list[str]:
        """Return the names of the cores, oldest first."""
        names = self.output("ls", "-tr", CORES).split("\n")
        return [name for name in names if name.startswith("core.") and not name.endswith(".json")]

    def reports(self) -> list[str]:
        """Return the names of what the capture says about each crash, oldest first."""
        names = self.output("ls", "-tr", CORES).split("\n")
        return [name for name in names if name.startswith("core.") and name.endswith(".json")]

    def crash(self, module_id: str, mode: str) -> int:
        """Make a module crash and return its process id; EVerest ends and starts again."""
        pid = self.module(module_id)
        script = f"echo {mode} > {CRASH_FILE} && kill -USR1 {pid}"
        self.output("sh", "-c", script, user="everest")
        return pid

    # -- the container

    def stop(self) -> float:
        """Stop it as `docker stop` does; return the seconds that took."""
        begin = time.monotonic()
        said = docker("stop", self.name)
        assert said.code == 0, said.err
        return time.monotonic() - begin


@contextlib.contextmanager
def charger(
    image: str, environment: Mapping[str, str] | None = None, options: Sequence[str] = ()
) -> Iterator[Charger]:
    """Start a charger that can be crashed; it is removed when the block is left."""
    name = f"evdiag-test-{uuid.uuid4().hex[:12]}"
    variables = {"CRASH_FILE": CRASH_FILE, **(environment or {})}
    words = [word for key, value in variables.items() for word in ("-e", f"{key}={value}")]
    said = docker("run", "-d", "--name", name, *words, *options, image)
    try:
        assert said.code == 0, said.err
        yield Charger(name)
    finally:
        docker("rm", "-f", "-v", name)


def run_to_end(
    image: str,
    environment: Mapping[str, str],
    options: Sequence[str] = (),
    command: Sequence[str] = (),
) -> Said:
    """Run a container until it ends by itself; one that does not is an error, and removed."""
    name = f"evdiag-test-{uuid.uuid4().hex[:12]}"
    words = [word for key, value in environment.items() for word in ("-e", f"{key}={value}")]
    try:
        return docker("run", "--name", name, *words, *options, image, *command)
    finally:
        docker("rm", "-f", "-v", name)
