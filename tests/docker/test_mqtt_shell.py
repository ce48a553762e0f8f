"""`evdiag mqtt` and `evdiag shell` at real containers: nothing of them stays behind in there."""

import fcntl
import json
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.charger import Charger, await_true, charger, docker

pytestmark = pytest.mark.docker

SECONDS = 30.0
COMMAND = (sys.executable, "-m", "evdiag")
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "TERM": "xterm"}


def evdiag(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    """Run evdiag to its end."""
    return subprocess.run(
        [*COMMAND, *arguments], input=given, capture_output=True, timeout=SECONDS, env=ENVIRONMENT,
        check=False,
    )  # fmt: skip


@pytest.fixture
def begin() -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start evdiag and go on."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*arguments: str) -> "subprocess.Popen[bytes]":
        started.append(
            subprocess.Popen([*COMMAND, *arguments], stdin=subprocess.DEVNULL, env=ENVIRONMENT,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        )  # fmt: skip
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.communicate()


def clients(container: Charger) -> list[int]:
    """What runs in the container for `evdiag mqtt`."""
    return container.processes("mosquitto_sub .*evdiag-test-topic")


# -- mqtt


def test_messages_there_and_back(running: Charger) -> None:
    name = ("--name", running.name)
    heard = evdiag("mqtt", *name, "--count", "3", "--json")
    assert heard.returncode == 0, heard.stderr
    messages = [json.loads(line) for line in heard.stdout.splitlines()]
    assert len(messages) == 3
    assert all(message["topic"].startswith("everest_") for message in messages)

    topic = "everest_external/evdiag-test"
    for given, arguments, wanted in (
        (b"", ("--publish", "hello \x1b[31m"), b" (retained) hello \\x1b[31m\n"),
        (b"\xff" * 300_000, ("--publish", "-"), b" (retained) (300,000 bytes: ff ff"),
    ):
        sent = evdiag("mqtt", *name, topic, *arguments, "--retain", given=given)
        assert (sent.returncode, sent.stdout, sent.stderr) == (0, b"", b"")
        heard = evdiag("mqtt", *name, "--count", "1", topic)
        assert wanted in heard.stdout
    assert evdiag("mqtt", *name, topic, "--publish", "", "--retain").returncode == 0

    refused = evdiag("mqtt", *name, "a/#/b")
    assert refused.returncode == 2
    assert b"Traceback" not in refused.stderr


def test_nothing_stays_in_the_container(
    running: Charger, begin: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    def following() -> "subprocess.Popen[bytes]":
        process = begin("mqtt", "--name", running.name, "evdiag-test-topic")
        await_true(lambda: len(clients(running)) == 2, "the client and what it is tied to")
        return process

    for number, code in ((signal.SIGINT, 130), (signal.SIGKILL, -signal.SIGKILL)):
        process = following()
        process.send_signal(number)
        assert process.wait(SECONDS) == code
        await_true(lambda: not clients(running), f"ended after {number.name}")
    process = following()
    assert process.stdout is not None
    process.stdout.close()  # nobody reads any more, and nothing comes
    assert process.wait(SECONDS) == 0
    await_true(lambda: not clients(running), "ended after its reader")


def test_a_charger_that_ends_meanwhile(
    image: str, begin: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    with charger(image) as ending:
        ending.await_starts(1)
        ending.output("supervisorctl", "stop", "mosquitto")
        down = evdiag("mqtt", "--name", ending.name)
        assert down.returncode == 3
        assert b"does not answer: Error: Connection refused" in down.stderr
        ending.output("supervisorctl", "start", "mosquitto")
        followers = [begin("mqtt", "--name", ending.name, "evdiag-test-topic"),
                     begin("shell", "--name", ending.name, "--", "sleep", "1000")]  # fmt: skip
        await_true(lambda: len(clients(ending)) == 2, "it follows")
        await_true(lambda: bool(ending.processes("^sleep 1000")), "it sleeps")
        docker("kill", ending.name)
        for follower in followers:
            _, said = follower.communicate(timeout=SECONDS)
            assert follower.returncode == 5, said
            assert b"has ended" in said
        stopped = evdiag("shell", "--name", ending.name)
        assert stopped.returncode == 5


# -- shell without a terminal


def test_a_command_without_a_terminal(
    running: Charger, begin: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    name = ("--name", running.name)
    done = evdiag(
        "shell", *name, "--user", "everest", "--", "sh", "-c", "id -un; echo no >&2; exit 7"
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, b"everest\n", b"no\n")
    missing = evdiag("shell", *name, "--", "no-such-program")
    assert missing.returncode == 127
    assert b"not found" in missing.stderr
    large = os.urandom(5_000_000)
    assert evdiag("shell", *name, "--", "cat", given=large).stdout == large
    assert evdiag("shell", *name, given=b"echo from bash\nexit 3\n").stdout == b"from bash\n"

    sleeping = begin("shell", *name, "--", "sleep", "1001")
    await_true(lambda: bool(running.processes("^sleep 1001")), "it sleeps")
    sleeping.send_signal(signal.SIGINT)
    assert sleeping.wait(SECONDS) == 130
    await_true(lambda: not running.processes("^sleep 1001"), "it is ended too")


# -- shell on a terminal


class Terminal:
    """`evdiag shell` on a terminal of its own."""

    def __init__(self, name: str) -> None:
        self.master, self.slave = pty.openpty()
        self.size(33, 101)
        self.before = termios.tcgetattr(self.slave)
        self.process = subprocess.Popen(
            [*COMMAND, "shell", "--name", name], stdin=self.slave, stdout=self.slave,
            stderr=self.slave, env=ENVIRONMENT, start_new_session=True,
        )  # fmt: skip
        self.text = ""

    def size(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self.slave, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def until(self, wanted: str) -> str:
        """What it shows, up to the wanted text."""
        deadline = time.monotonic() + SECONDS
        while wanted not in self.text:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0]:
                pytest.fail(f"no {wanted!r} in {self.text!r}", pytrace=False)
            self.text += os.read(self.master, 1 << 16).decode("utf-8", "replace")
        shown, _, self.text = self.text.partition(wanted)
        return shown

    def end(self) -> int:
        """How it ended; the terminal is as it was."""
        code = self.process.wait(SECONDS)
        assert termios.tcgetattr(self.slave) == self.before
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal() -> Iterator[Callable[[str], Terminal]]:
    """Starts a shell on a terminal."""
    started: list[Terminal] = []

    def start(name: str) -> Terminal:
        started.append(Terminal(name))
        started[-1].until(":/# ")
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_a_shell_on_a_terminal(running: Charger, terminal: Callable[[str], Terminal]) -> None:
    shell = terminal(running.name)
    shell.type("stty size; tty\n")
    shell.until("33 101\r\n/dev/pts/")
    shell.size(44, 122)
    os.kill(shell.process.pid, signal.SIGWINCH)
    shell.type("trap 'stty size' WINCH; stty size; while ! stty size | grep -q 44; do :; done\n")
    shell.type("echo rows $((40 + 4))\n")
    shell.until("rows 44")
    shell.type("sleep 1002\n")
    await_true(lambda: bool(running.processes("^sleep 1002")), "it sleeps")
    shell.type("\x03")
    shell.type("echo code $((100 + 30)) $?\n")
    shell.until("code 130 130")
    assert shell.process.poll() is None
    shell.type("exit 42\n")
    assert shell.end() == 42


def test_a_terminal_that_is_taken_away(
    running: Charger, terminal: Callable[[str], Terminal]
) -> None:
    shell = terminal(running.name)
    shell.type("exec sleep 1003\n")
    await_true(lambda: bool(running.processes("^sleep 1003")), "it sleeps")
    shell.process.send_signal(signal.SIGHUP)
    assert shell.end() == 128 + signal.SIGHUP
    await_true(lambda: not running.processes("^sleep 1003"), "nothing stays behind")
