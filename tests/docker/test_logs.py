"""`evdiag logs` on a real engine: what was written comes once, in order, whatever happens."""

import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import IO

import pytest

from tests.support.charger import SERVICE_LOGS, Charger, await_true, charger, docker

pytestmark = pytest.mark.docker

SECONDS = 40.0
LATE = timedelta(milliseconds=50)
EVENT = "[\x1b[1;37mINFO\x1b[0m] \x1b[1;32mauth:Auth      \x1b[0m \x1b[1;36m\x1b[0m " \
    "\x1b[1;30m:\x1b[0m\x1b[1;32m\x1b[0m: "  # fmt: skip


class Follower:
    """`evdiag logs -f`, and what it has printed so far."""

    def __init__(self, *arguments: str, host: str = "") -> None:
        environment = {**os.environ, **({"DOCKER_HOST": host} if host else {})}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evdiag", "logs", "-f", *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip
        self._readers: list[tuple[threading.Thread, IO[str]]] = []
        self.out: list[str] = []
        self.err: list[str] = []
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            assert stream is not None
            thread = threading.Thread(target=lines.extend, args=(stream,), daemon=True)
            thread.start()
            self._readers.append((thread, stream))

    def saw(self, text: str) -> bool:
        return any(text in line for line in (*self.out, *self.err))

    def await_text(self, text: str) -> None:
        try:
            await_true(lambda: self.saw(text), text, SECONDS)
        except AssertionError:
            raise AssertionError(f"{text}\n{''.join(self.out[-30:])}{''.join(self.err)}") from None

    def end(self) -> int:
        return self.process.wait(SECONDS)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread, stream in self._readers:
            thread.join()
            stream.close()


def evdiag(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "evdiag", "logs", *arguments],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


def count(text: str) -> Counter[str]:
    """How often each text of a marked line stands there."""
    return Counter(re.findall(r"marked \S+", text))


@pytest.fixture(scope="module")
def mine(image: str) -> Iterator[Charger]:
    """A charger of this module's own; nothing here needs a network."""
    with charger(image, options=("--network", "none")) as started:
        started.await_healthy()
        yield started


@contextlib.contextmanager
def following(*arguments: str, host: str = "") -> Iterator[Follower]:
    follower = Follower(*arguments, host=host)
    try:
        yield follower
    finally:
        follower.kill()


def write(container: Charger, service: str, *texts: str) -> None:
    """Append lines to the log of a service, as the service would."""
    command = f"cat >> {SERVICE_LOGS}/{service}.log"
    data = "".join(f"{text}\n" for text in texts)
    subprocess.run(
        ["docker", "exec", "-i", container.name, "sh", "-c", command],
        input=data.encode("utf-8", "surrogateescape"), check=True, timeout=SECONDS,
    )  # fmt: skip


def event(container: Charger, text: str) -> str:
    now = container.output("date", "+%F %T.%6N").strip()
    return f"{now} {EVENT}{text}"


def test_history_of_a_running_charger(mine: Charger) -> None:
    write(mine, "everest", event(mine, "marked one\n{\n  marked two\n}"))
    shown = evdiag("--name", mine.name)
    for service in ("everest", "mosquitto", "nodered", "supervisord", "container"):
        assert f" {service} " in shown
    for service, words in (("everest", "up and running"), ("nodered", "Started flows")):
        assert shown.count(words) == mine.log(service).count(words)
    assert shown.count("spawned: 'everest'") == 1
    assert count(shown) == {"marked one": 1, "marked two": 1}
    times = re.findall(r"^(\S+ \S+\.\d+) (?:everest|supervisord)", shown, re.MULTILINE)
    moments = [datetime.fromisoformat(time) for time in times]
    # all processes of EVerest write into one file, each when it gets to it
    assert all(later - earlier > -LATE for earlier, later in pairwise(moments))
    assert "\x1b" not in shown
    last = evdiag("--name", mine.name, "--tail", "1", "--grep", "marked t", "everest")
    assert re.fullmatch(r"\S+ \S+ everest INFO auth:Auth: marked one\n.*\n.*two\n.*\n", last)
    assert evdiag("--name", mine.name, "--tail", "3", "mosquitto").count("\n") == 3
    assert evdiag("--name", mine.name, "--since", "start", "--level", "crit", "nodered") == ""


def test_following_over_a_crash_rubbish_and_restarts(mine: Charger) -> None:
    with following("--name", mine.name, "--tail", "1") as seen, _proxy() as (host, cut):
        other = Follower("--name", mine.name, "--tail", "1", host=host)
        try:
            for each in (seen, other):
                each.await_text(" INFO ")
            write(mine, "everest", event(mine, "marked before"))
            seen.await_text("marked before")
            other.await_text("marked before")
            # rubbish, and a line of a megabyte
            write(mine, "everest", event(mine, "marked \udcff\udc80\x00\x07 rubbish"))
            write(mine, "everest", event(mine, "marked huge" + "x" * 1_000_000))
            seen.await_text("more characters")
            cut(lambda: other.saw("the container engine is away"))
            write(mine, "everest", event(mine, "marked away"))
            mine.crash("evse_manager", "null-read")
            seen.await_text("CRASH module evse_manager")
            other.await_text("CRASH module evse_manager")
            assert docker("restart", mine.name).code == 0
            seen.await_text("supervisord started with pid 1")
            write(mine, "everest", event(mine, "marked after"))
            for each in (seen, other):
                each.await_text("marked after")
            for each in (seen, other):
                text = "".join(each.out)
                assert count(text)["marked before"] == count(text)["marked after"] == 1
                assert count(text)["marked away"] == 1
                assert text.count("CRASH module evse_manager") == 1
                assert text.count("received SIGTERM indicating exit request") == 1
                assert text.count("supervisord started with pid 1") == 1
                assert text.count(" died of signal ") == 1
                assert "\x07" not in text
            assert other.saw("engine is back")
            assert not seen.err
        finally:
            other.kill()
        seen.process.send_signal(signal.SIGINT)
        assert seen.end() == 130
        assert "".join(seen.err) == "evdiag: interrupted\n"


@contextlib.contextmanager
def _proxy() -> Iterator[tuple[str, Callable[[Callable[[], bool]], None]]]:
    """A socket that leads to the engine, and a way to be gone until that was noticed."""
    path = Path(f"/tmp/evdiag-test-{os.getpid()}-{time.monotonic_ns()}.sock")
    command = [sys.executable, "-c", _FORWARD, str(path)]
    running = [subprocess.Popen(command)]
    await_true(path.is_socket, "the proxy", SECONDS)

    def cut(noticed: Callable[[], bool]) -> None:
        running[0].kill()
        running[0].wait()
        path.unlink()
        await_true(noticed, "noticed", SECONDS)
        running[0] = subprocess.Popen(command)

    try:
        yield f"unix://{path}", cut
    finally:
        running[0].kill()
        running[0].wait()
        path.unlink(missing_ok=True)


_FORWARD = """
import socket, sys, threading
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
def pump(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass
while True:
    client, _ = listener.accept()
    engine = socket.socket(socket.AF_UNIX)
    engine.connect("/var/run/docker.sock")
    for pair in ((client, engine), (engine, client)):
        threading.Thread(target=pump, args=pair, daemon=True).start()
"""


def test_of_a_dead_charger_also_what_rotation_took(mine: Charger) -> None:
    """Its files, and from its output what they no longer have."""
    mine.await_starts(1)
    starts = mine.starts()
    mine.crash("evse_manager", "null-read")
    mine.await_starts(starts + 1)
    mine.stop()
    lines = evdiag("--name", mine.name, "everest").splitlines()
    assert "CRASH module evse_manager" in evdiag("--name", mine.name, "--since", "crash")
    # what rotation leaves: a first file that begins amid a line
    done = subprocess.run(
        ["docker", "cp", f"{mine.name}:{SERVICE_LOGS}/everest.log", "-"],
        capture_output=True, check=True, timeout=SECONDS,
    )  # fmt: skip
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as tar:
        file = tar.extractfile("everest.log")
        assert file is not None
        data = file.read()
    third, half = len(data) // 3, len(data) // 2
    for name, part in (("everest.log.1", data[third:half]), ("everest.log", data[half:])):
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as tar:
            member = tarfile.TarInfo(name)
            member.size, member.mtime = len(part), int(time.time())
            tar.addfile(member, io.BytesIO(part))
        subprocess.run(
            ["docker", "cp", "-", f"{mine.name}:{SERVICE_LOGS}"],
            input=out.getvalue(), check=True, timeout=SECONDS,
        )  # fmt: skip
    assert _plain(evdiag("--name", mine.name, "everest").splitlines()) == _plain(lines)


def _plain(lines: list[str]) -> list[str]:
    """Without raw text, whose time is a guess."""
    return [line for line in lines if "auth:Auth" not in line or len(line) < 400]


def test_it_ends_when_the_container_is_removed(mine: Charger) -> None:
    with following("--name", mine.name, "--tail", "1") as seen:
        mine.stop()
        seen.await_text("has stopped")
        assert docker("rm", "-f", "-v", mine.name).code == 0
        assert seen.end() == 5
        seen.await_text("was removed")


def test_a_container_of_somebody_else_and_one_without_output(image: str) -> None:
    name = f"evdiag-test-logs-{os.getpid()}"
    command = ("--entrypoint", "sh", image, "-c", "rm -r /var/log/supervisor; echo hello; exit 3")
    for driver, shown in (("json-file", ": hello\n"), ("none", "")):
        try:
            said = docker(
                "run", "--name", name, "--network", "none", "--log-driver", driver, *command
            )
            assert said.code == 3, said.err
            if shown:
                assert shown in evdiag("--name", name)
                continue
            with following("--name", name) as seen:
                assert seen.end() == 3
                seen.await_text("cannot be followed")
        finally:
            docker("rm", "-f", "-v", name)
