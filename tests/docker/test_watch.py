"""`evdiag watch` on a real engine: each crash with its bundle, none twice, none lost."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.charger import SERVICE_LOGS, Charger, await_true, charger, docker
from tests.support.evdiag_command import command

pytestmark = pytest.mark.docker

SECONDS = 60.0
RESET = "[INFO] ocpp:OCPP201     :: Performing soft reset now"
"""What a module of EVerest logs when the CSMS wants a restart; then it ends itself by SIGTERM."""


class Watching:
    """`evdiag watch`, and what it has printed so far."""

    def __init__(self, container: Charger, folder: Path, *more: str) -> None:
        self.folder = folder
        self.process = subprocess.Popen(
            command("watch", "--name", container.name, "-o", folder, *more),
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.out: list[str] = []
        self.err: list[str] = []
        self._threads = []
        for stream, lines in ((self.process.stdout, self.out), (self.process.stderr, self.err)):
            assert stream is not None
            thread = threading.Thread(target=lines.extend, args=(stream,), daemon=True)
            thread.start()
            self._threads.append((thread, stream))

    @property
    def crashes(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out]

    def wait(self, condition: Callable[[], bool], what: str) -> None:
        try:
            await_true(condition, what, SECONDS)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{''.join((*self.out, *self.err))}") from None

    def says(self, text: str) -> None:
        self.wait(lambda: any(text in line for line in self.err), text)

    def tells(self, number: int) -> dict[str, Any]:
        """Wait for the line of a crash, from 1."""
        self.wait(lambda: len(self.out) >= number, f"{number} crashes")
        return self.crashes[number - 1]

    def collects(self) -> None:
        """Wait until there is something in a bundle that is being made."""
        self.wait(lambda: any(self.folder.glob("*.partial/*/*")), "a bundle that is being made")

    def end(self) -> int:
        """Wait for its end, and for the last of its words."""
        code = self.process.wait(SECONDS)
        for thread, _ in self._threads:
            thread.join(SECONDS)
        assert "Traceback" not in "".join(self.err)
        return code

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for thread, stream in self._threads:
            thread.join()
            stream.close()


@contextmanager
def watching(container: Charger, folder: Path, *more: str) -> Iterator[Watching]:
    """It listens when the block begins."""
    watch = Watching(container, folder, *more)
    try:
        watch.says("watching")
        yield watch
    finally:
        watch.close()


def crash(container: Charger, module_id: str, mode: str) -> None:
    """At once: EVerest shall not wait before it starts again."""
    container.output("rm", "-f", "/run/everest/starts")
    container.crash(module_id, mode)


def is_whole(bundle: str, module_id: str) -> bool:
    """Whether a bundle is complete and has a core of a module."""
    manifest = json.loads((Path(bundle) / "manifest.json").read_text())
    cores = [file["path"] for file in manifest["files"] if file["kind"] == "core"]
    there = all((Path(bundle) / path).is_file() for path in cores)
    return bool(manifest["complete"] and there and any(module_id in path for path in cores))


def test_all_that_can_happen_to_a_charger(image: str, tmp_path: Path) -> None:
    with (
        charger(image, {"EVDIAG_CORES_MAX": "2"}, ("--network", "none")) as mine,
        watching(mine, tmp_path / "all", "--json", "--exit-code") as seen,
        watching(mine, tmp_path / "once", "--once", "--exit-code") as once,
        watching(mine, tmp_path / "cut") as cut,
    ):
        mine.await_starts(1)

        # a reset that the CSMS asked for is no crash
        mine.output("rm", "-f", "/run/everest/starts")
        pid = mine.module("ocpp")
        log = f"{SERVICE_LOGS}/everest.log"
        mine.output("sh", "-c", f"date '+%F %T.%6N {RESET}' >> {log}; kill -TERM {pid}")
        seen.says("a reset was asked for: no crash")
        mine.await_starts(2)

        # a crash; one of the watchers is interrupted while it collects
        crash(mine, "evse_manager", "null-read")
        cut.collects()
        cut.process.send_signal(signal.SIGINT)
        begin = time.monotonic()
        assert cut.end() == 130
        assert time.monotonic() - begin < 3, "a second, and a slow machine"
        (partial,) = (tmp_path / "cut").iterdir()
        assert partial.name.endswith(".partial")
        cut.says(f"an unfinished bundle is in {partial}; it goes on with `evdiag collect -o ")
        assert "CRASH module evse_manager (pid " in cut.out[0]
        assert f"problem: interrupted: an unfinished bundle is in {partial}\n" in "".join(cut.out)

        # another one while it is collected
        mine.await_starts(3)
        assert not seen.out
        crash(mine, "ocpp", "abort")
        first, second = seen.tells(1), seen.tells(2)
        assert (first["class"], first["module"], first["signal"]) == (
            "null-read", "evse_manager", "SIGSEGV",
        )  # fmt: skip
        assert first["title"].startswith("evse_manager (EvseManager): null-read in charging::")
        assert {"grid_connection", "ocpp"} <= set(first["taken_down"])
        assert (second["class"], second["module"], second["signal"]) == (
            "abort", "ocpp", "SIGABRT",
        )  # fmt: skip
        assert first["signature"] != second["signature"]
        assert is_whole(first["bundle"], "evse_manager")
        assert is_whole(second["bundle"], "ocpp")
        assert 0 < second["time"] - first["time"] < 60

        # who wanted one has it, in words
        assert once.end() == 20
        text = "".join(once.out)
        assert "CRASH evse_manager (EvseManager): null-read in charging::" in text
        for title in ("why: read from address", "where: /usr/src/everest/", "taken down: "):
            assert f"\n    {title}" in text
        (bundle,) = (tmp_path / "once").iterdir()
        assert f"\n    next: evdiag backtrace {bundle}\n" in text
        assert is_whole(str(bundle), "evse_manager")

        # the same once more, and again: that is a loop
        for number in (3, 4):
            mine.await_starts(number + 1)
            crash(mine, "evse_manager", "null-read")
            told = seen.tells(number)
            assert told["signature"] == first["signature"]
            assert told["loop"]["count"] == number - 1
        seen.says("crash loop: evse_manager (EvseManager): null-read")
        mine.await_starts(6)
        crash(mine, "evse_manager", "null-read")
        counted = seen.tells(5)
        assert (counted["bundle"], counted["loop"]["count"]) == (None, 4)
        assert counted["loop"]["uncollected"] == 1
        assert len(list((tmp_path / "all").iterdir())) == 4

        # another fault of the same module, by the same signal
        mine.await_starts(7)
        crash(mine, "evse_manager", "wild-write")
        other = seen.tells(6)
        assert other["signal"] == "SIGSEGV"
        assert other["signature"] != first["signature"]
        assert is_whole(other["bundle"], "evse_manager")

        # stopped on request: that is its end, and no further crash
        mine.stop()
        assert seen.end() == 20
        assert len(seen.out) == 6
        said = "".join(seen.err)
        assert said.count("crash loop") == 1
        assert "evdiag: 1 more of the same, the last at 20" in said
        assert "6 crashes\n" in said


def test_nothing_happens(image: str, tmp_path: Path) -> None:
    """A container of anybody's; a signal from inside ends it, and then somebody removes it."""
    name = f"evdiag-test-watch-{time.monotonic_ns()}"
    options = ("--network", "none", "--entrypoint", "sh")
    script = "trap 'exit 139' USR1; while :; do sleep 0.1; done"
    assert docker("run", "-d", "--name", name, *options, image, "-c", script).code == 0
    try:
        mine = Charger(name)
        quiet = subprocess.run(
            [*command("watch", "--name", name, "--exit-code"), "--for", "0.5", "-o", tmp_path],
            capture_output=True, text=True, timeout=SECONDS, check=False,
        )  # fmt: skip
        assert (quiet.returncode, quiet.stdout) == (0, "")
        assert "no crash" in quiet.stderr
        assert not list(tmp_path.iterdir())
        with watching(mine, tmp_path, "--json", "--no-cores") as seen:
            assert docker("kill", "--signal", "USR1", name).code == 0
            told = seen.tells(1)
            assert told["title"] == f"{name} was ended by SIGSEGV (exit code 139)"
            seen.says("has stopped (exit code 139); waiting for its start")
            assert docker("start", name).code == 0
            seen.says(f"{name} runs again")
            assert docker("rm", "-f", "-v", name).code == 0
            assert seen.end() == 0
            assert len(seen.out) == 1
    finally:
        docker("rm", "-f", "-v", name)
    gone = subprocess.run(
        [sys.executable, "-m", "evdiag", "watch", "--name", name],
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert gone.returncode == 5
