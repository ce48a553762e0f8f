"""`evdiag doctor` in real containers: each obstacle is named, and the test crash proves it."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.support.charger import CORES, Charger, await_true, charger, docker

pytestmark = pytest.mark.docker

PATTERN = Path("/proc/sys/kernel/core_pattern")
ALONE = ("--network", "none")
"""Quicker to start, and nothing here is about the network."""
OFF = {"EVDIAG_CAPTURE": "off"}
NEEDED = ("CHOWN", "SETUID", "SETGID", "DAC_OVERRIDE", "FOWNER", "KILL")
TMPFS = ("/run", "/tmp", CORES, "/var/log/supervisor", "/var/lib/everest", "/opt/nodered/user")
OPTIONS: dict[str, tuple[dict[str, str], tuple[str, ...]]] = {
    "limit-0": (OFF, (*ALONE, "--ulimit", "core=0")),
    "small-tmpfs": ({}, (*ALONE, "--tmpfs", f"{CORES}:size=3m,mode=1777")),
    "locked": (
        {},
        (
            *(*ALONE, "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--read-only"),
            *(word for name in NEEDED for word in ("--cap-add", name)),
            *(word for path in TMPFS for word in ("--tmpfs", f"{path}:mode=1777,exec")),
        ),
    ),
}


PATTERNS = ("|/bin/false", "@/run/nobody.sock", f"{CORES}/core.%e.%p", "/gone/core", "core")
LOST_TOO = ("@/run/nobody.sock", "/gone/core")
"""What is lost like a pipe's cores; looking for cores that do not come takes its time."""


class Diagnosis(NamedTuple):
    """What doctor said."""

    code: int
    document: Any
    err: str

    def state(self, check_id: str) -> str:
        return str(self.check(check_id)["state"])

    def check(self, check_id: str) -> Any:  # noqa: ANN401 - JSON
        (found,) = [one for one in self.document["checks"] if one["id"] == check_id]
        return found

    def failed(self) -> list[str]:
        return [one["id"] for one in self.document["checks"] if one["state"] == "fail"]


def doctor(*arguments: str) -> Diagnosis:
    """Ask doctor for JSON, as a process of its own."""
    words = [sys.executable, "-m", "evdiag", "doctor", "--json", *arguments]
    done = subprocess.run(words, capture_output=True, check=False, timeout=60)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return Diagnosis(done.returncode, json.loads(done.stdout), done.stderr.decode())


def test_a_charger_as_it_should_be(running: Charger) -> None:
    before = running.starts(), running.output("ls", "-a", CORES)

    said = doctor("--name", running.name)

    assert (said.code, said.failed()) == (0, []), said.document
    assert said.document["state"] == "ok"
    assert said.document["container"]["name"] == running.name
    for crash, number in zip(said.document["crashes"], (11, 6), strict=True):
        assert (crash["signal"], crash["died_of"], crash["writer"]) == (number, number, "capture")
        assert crash["missing"] == 0
        assert crash["path"].startswith(f"{CORES}/core.evdiag-doctor.")
        assert 0 < crash["milliseconds"] < 10_000
    for check in ("services", "capture", "dumpable", "cores-folder", "debug-data", "ipv6"):
        assert said.state(check) in ("ok", "info"), said.check(check)
    assert (running.starts(), running.output("ls", "-a", CORES)) == before


# one test, and so one set of containers: tests of a file are spread over several workers
def test_each_obstacle_is_named(image: str) -> None:
    with ExitStack() as stack, ThreadPoolExecutor() as pool:
        jobs = [
            pool.submit(stack.enter_context, charger(image, *given)) for given in OPTIONS.values()
        ]
        limited, small, locked = (job.result() for job in jobs)
        for one in (limited, small, locked):
            one.await_starts(1)
        asked = [pool.submit(doctor, "--name", one.name) for one in (limited, small, locked)]
        check_limit_0(asked[0].result())
        check_a_small_tmpfs(asked[1].result(), small)
        check_a_hardened_charger(asked[2].result())
        check_a_folder_that_nobody_can_write_to(locked)


def check_limit_0(said: Diagnosis) -> None:
    assert said.code == 3
    assert said.failed() == ["core-limit", "crash-segv", "crash-abrt"]
    assert "Most likely because of: Core limit" in said.check("crash-segv")["reason"]
    assert "--ulimit core=-1" in said.check("crash-segv")["fix"]
    assert said.document["verdict"].startswith("cores will NOT be captured")


def check_a_small_tmpfs(said: Diagnosis, container: Charger) -> None:
    assert said.code == 3
    assert {"cores-space", "crash-segv", "crash-abrt"} <= set(said.failed())
    assert "on a tmpfs" in said.check("cores-space")["reason"]
    assert said.state("cores-kept") == "warn"
    assert container.cores() == container.reports() == []


def check_a_hardened_charger(said: Diagnosis) -> None:
    assert (said.code, said.document["state"]) == (0, "ok"), said.document
    assert [crash["writer"] for crash in said.document["crashes"]] == ["capture", "capture"]
    assert "no new privileges" in said.check("sandbox")["reason"]


def check_a_folder_that_nobody_can_write_to(container: Charger) -> None:
    container.output("chmod", "755", CORES)

    said = doctor("--name", container.name)

    assert said.failed() == ["cores-folder", "crash-segv", "crash-abrt"]
    assert "Permission denied" in said.check("cores-folder")["reason"]
    assert f"docker exec {container.name} chmod 1777 {CORES}" in said.check("cores-folder")["fix"]
    assert "the capture says: " in said.check("crash-segv")["reason"]


def test_an_image_without_a_charger(image: str) -> None:
    said = doctor("--image", image)

    assert (said.code, said.failed()) == (0, []), said.document
    assert said.document["container"]["throw_away"] is True
    assert len(said.document["crashes"]) == 2
    assert said.state("core-limit") == "ok"
    name = said.document["container"]["name"]
    assert docker("inspect", name).code != 0, "it was to be removed"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_doctor_leaves_no_container(
    image: str, number: signal.Signals, code: int
) -> None:
    words = [sys.executable, "-m", "evdiag", "doctor", "--image", image]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        mine = ("ps", "-aq", "--filter", f"label=evdiag-doctor={process.pid}")
        await_true(lambda: bool(docker(*mine).out), "doctor made a container")
        process.send_signal(number)
        assert process.wait(timeout=30) == code

    # the engine may still be at it: the container goes away by itself when it ends
    await_true(lambda: not docker(*mine).out, "the container was removed")


def test_nothing_crashes_if_that_is_not_wanted(running: Charger) -> None:
    said = doctor("--name", running.name, "--no-crash-test")

    assert (said.code, said.document["state"], said.document["crashes"]) == (0, "warn", None)


@pytest.mark.parametrize(("option", "check"), [("--name", "container"), ("--image", "image")])
def test_what_is_not_there(image: str, option: str, check: str) -> None:
    said = doctor(option, "nobody-has-this")

    assert said.code == 5
    assert said.failed() == [check]
    assert said.state("engine") == "ok"
    assert "  -> " in said.err


def test_an_image_that_is_no_charger(image: str) -> None:
    said = doctor("--image", "debian:bookworm-slim")

    assert (said.code, said.failed()) == (3, ["image"])


@pytest.mark.changes_machine
def test_what_is_said_of_the_machines_core_pattern(image: str) -> None:
    if not os.access(PATTERN, os.W_OK):
        pytest.fail("this test needs root")
    before = PATTERN.read_text()
    said = {}
    with charger(image, OFF, (*ALONE, "--ulimit", "core=-1")) as plain:
        plain.await_starts(1)
        # what a real crash left must stay, though the kernel's next core has the same name
        plain.output("sh", "-c", f"echo real > {CORES}/core", user="everest")
        try:
            for pattern in PATTERNS:
                PATTERN.write_text(pattern)
                quick = ("--no-crash-test",) if pattern in LOST_TOO else ()
                said[pattern] = doctor("--name", plain.name, *quick)
        finally:
            PATTERN.write_text(before)
        left = plain.output("ls", "-A", CORES).split()
        assert plain.read(f"{CORES}/core") == "real\n"
        assert not [name for name in left if "doctor" in name or name.startswith("core.")]

    pipe, socket, absolute, gone, relative = said.values()
    assert pipe.failed() == ["core-pattern", "crash-segv", "crash-abrt"]
    assert socket.failed() == gone.failed() == ["core-pattern"]
    assert "the kernel pipes cores to false on the host" in pipe.check("core-pattern")["reason"]
    assert "because of: core_pattern" in pipe.check("crash-segv")["reason"]
    assert "--capture preload" in pipe.check("crash-segv")["fix"]
    assert "the socket /run/nobody.sock on the host" in socket.check("core-pattern")["reason"]
    assert "writes cores to /gone in the container" in gone.check("core-pattern")["reason"]
    assert absolute.failed() == relative.failed() == []
    assert absolute.state("core-pattern") == "ok"
    assert absolute.document["crashes"][0]["path"].startswith(f"{CORES}/core.evdiag-doctor.")
    assert relative.state("core-pattern") == relative.state("core-name-free") == "warn"
    assert relative.state("core-limit") == "ok"
    assert [crash["writer"] for crash in relative.document["crashes"]] == ["kernel", "kernel"]
