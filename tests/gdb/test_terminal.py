"""On a real terminal: the first screen does not wait for gdb, and gdb can be used by hand."""

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import need
from tests.gdb.conftest import Bench, CoreOf
from tests.support import fake_gdb
from tests.support.crashers import (
    Build,
    CannotMakeCores,
    Program,
    crash_once,
    mode_named,
)

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

MODE = mode_named("null-member-write")
SECONDS = 30.0
PROMPT = "(gdb) "


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, *arguments: str, cwd: Path) -> None:
        try:
            self.master, slave = pty.openpty()
        except OSError as error:  # a system without /dev/pts
            pytest.skip(f"there is no terminal: {error}")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "evdiag", *arguments],
            stdin=slave, stdout=slave, stderr=slave, cwd=cwd, start_new_session=True,
            env=os.environ | {"TERM": "dumb", "PYTHONPATH": str(Path(__file__).parents[2])},
        )  # fmt: skip
        os.close(slave)
        self.text = ""

    def until(self, wanted: str, since: int = 0) -> str:
        """What it has printed, once the wanted text is there."""
        deadline = time.monotonic() + SECONDS
        while wanted not in self.text[since:]:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.master], [], [], left)[0] or not self.read():
                pytest.fail(f"no {wanted!r} in {self.text[since:]!r}", pytrace=False)
        return self.text[since:]

    def read(self) -> bool:
        """Take what is there; whether there may be more."""
        try:
            data = os.read(self.master, 1 << 16)
        except OSError:  # the other side is closed
            return False
        self.text += data.decode("utf-8", "replace").replace("\r\n", "\n")
        return bool(data)

    def say(self, line: str) -> str:
        """Type a line at gdb's prompt; returns the answer."""
        begun = len(self.text)
        os.write(self.master, line.encode() + b"\n")
        return self.until(PROMPT, begun)

    def end(self) -> int:
        """Its exit status, once it has ended."""
        while self.read():
            pass
        return self.process.wait(SECONDS)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Starts evdiag on a terminal."""
    started: list[Terminal] = []

    def start(*arguments: object) -> Terminal:
        started.append(Terminal(*map(str, arguments), cwd=tmp_path))
        return started[-1]

    yield start
    for each in started:
        each.close()


def test_the_first_screen_does_not_wait_for_gdb(
    terminal: Callable[..., Terminal], core_of: CoreOf, bench: Bench
) -> None:
    core = core_of(MODE, "O0")
    thread = bench.analysis(core).report.threads[0]
    gdb = fake_gdb.command("hang-greeted", pc=int(thread.frames[0].pc or 0), lwp=thread.lwp)

    shown = terminal("backtrace", core, "--gdb", gdb, "--gdb-timeout", "5")
    begun = time.monotonic()
    first = shown.until("more frames below")
    assert time.monotonic() - begun < 5.0  # gdb still has its time
    assert "null-write" in first
    assert "did not answer" not in first
    code = shown.end()

    assert code == 9
    assert "did not answer" in shown.text
    assert "Give it more time with --gdb-timeout" in shown.text
    # the rest of the report came, with stacks of all threads
    assert "other threads in" in shown.text


def test_values_follow_the_first_screen(
    terminal: Callable[..., Terminal], core_of: CoreOf, named_gdb: Callable[[str], str]
) -> None:
    shown = terminal("backtrace", core_of(MODE, "O0"), "--gdb", named_gdb("system"))
    assert shown.end() == 0

    first, _, rest = shown.text.partition("Values of the crashed thread")
    assert "Crashed thread" in first
    assert "energy_wh = value;" in first
    assert re.search(r"this += 0x0", rest)
    assert "its member `energy_wh`" in shown.text


@pytest.mark.parametrize("name", ["system", "wheel", "minimal"])
def test_a_core_of_another_folder_with_a_sysroot(
    name: str,
    terminal: Callable[..., Terminal],
    named_gdb: Callable[[str], str],
    tree: Build,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    prefix = tmp_path / "there"
    module = prefix / tree.module("O0").relative_to(tree.prefix("O0"))
    for file in (tree.module("O0"), *(tree.prefix("O0") / "lib").iterdir()):
        copy = prefix / file.relative_to(tree.prefix("O0"))
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(file, copy)
    program = Program(
        executable=module,
        command=(str(module),),
        argv=("evse_manager:EvseManager",),
        environment={"CRASH_MODE": MODE.name},
    )
    try:
        core = crash_once(program, MODE, tmp_path / "cores" / MODE.name).core
    except CannotMakeCores as reason:
        need(request, "gdb", str(reason))
    # the files are there no more, but in a copy of that system
    sysroot = tmp_path / "sysroot"
    inside = sysroot / str(prefix).lstrip("/")
    inside.parent.mkdir(parents=True)
    prefix.rename(inside)
    for library in ("lib", "lib64", "usr"):  # of this machine, as it was the one that crashed
        (sysroot / library).symlink_to(Path("/") / library)

    opened = terminal("gdb", core, "--sysroot", sysroot, "--gdb", named_gdb(name))
    greeting = opened.until(PROMPT)
    assert "null-write" in greeting
    assert "book_energy" in greeting
    assert "1250" in opened.say("print value")
    assert "this=0x0" in opened.say("frame 0")
    libraries = opened.say("info sharedlibrary")
    assert "libchargebridge.so" in libraries
    assert "Yes" in libraries
    ledger = opened.say("up 4") + opened.say("print ledger")
    assert ("std::map with 1 element" in ledger) == (name != "minimal")
    os.write(opened.master, b"quit\n")
    assert opened.end() == 0
