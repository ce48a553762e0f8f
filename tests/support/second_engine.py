"""A container engine of a test's own: it can be stopped, held, started again, and run out of room.

It has its own folder, socket and containerd, no network, and an image of one static program; the
machine's engine does not notice.
"""

import contextlib
import functools
import io
import os
import shutil
import signal
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

IMAGE = "evdiag-small"
ENTRYPOINT = 'ENTRYPOINT ["/program"]'
OPTIONS = ("--network", "none", "--stop-signal", "KILL")  # process 1 does not end by TERM
SECONDS = 30.0
"""To come up or to end; each takes about one second."""

PROGRAM = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* talk: a line each 20 ms; wait: nothing; hole SIZE: a file /hole of that size, then nothing. */
int main(int argc, char** argv) {
    const char* what = argc > 1 ? argv[1] : "talk";
    if (strcmp(what, "hole") == 0) {
        int file = open("/hole", O_CREAT | O_WRONLY, 0644);
        if (file < 0 || ftruncate(file, atoll(argv[2])) != 0) return 1;
        puts("made");
        fflush(stdout);
    }
    for (long line = 0; strcmp(what, "talk") == 0; ++line) {
        printf("line %ld\n", line);
        fflush(stdout);
        usleep(20000);
    }
    for (;;) pause();
}
"""


def missing() -> str | None:
    """Say why no second engine can run here, or None."""
    if os.geteuid() != 0:
        return "a second engine needs root"
    for name in ("dockerd", "containerd", "gcc", "unshare"):
        if shutil.which(name) is None:
            return f"a second engine needs {name}"
    return None


@functools.cache
def small_image() -> bytes:
    """A tar with nothing but the program."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "program"
        subprocess.run(
            ["gcc", "-static", "-Os", "-s", "-x", "c", "-", "-o", program],
            input=PROGRAM.encode(), check=True, timeout=60,
        )  # fmt: skip
        target = io.BytesIO()
        with tarfile.open(fileobj=target, mode="w") as archive:
            archive.add(program, "program")
        return target.getvalue()


class SecondEngine:
    """A dockerd with everything of its own in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "engine.sock"
        self.host = f"unix://{self.socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {
            "--data-root": self.folder / "data", "--exec-root": self.folder / "exec",
            "--pidfile": self.folder / "pid", "--host": self.host, "--bridge": "none",
            "--iptables": "false", "--ip6tables": "false", "--shutdown-timeout": "5",
        }  # fmt: skip
        words = [f"{name}={value}" for name, value in options.items()]
        with (self.folder / "log").open("ab") as log:
            # In a network of its own: a dockerd without a bridge removes `docker0`, and that
            # belongs to the machine's engine.
            self._process = subprocess.Popen(
                ["unshare", "--net", "dockerd", *words],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        end = time.monotonic() + SECONDS
        while self.docker("version", check=False).returncode != 0:
            said = (self.folder / "log").read_text(errors="replace")[-2000:]
            assert self._process.poll() is None, said
            assert time.monotonic() < end, said
            time.sleep(0.05)  # there is no event for "the engine answers"

    @property
    def is_up(self) -> bool:
        """Whether it was started, and not ended since."""
        return self._process is not None

    @property
    def network(self) -> str:
        """The name of the kernel's network that it lives in."""
        assert self._process is not None
        return str(Path(f"/proc/{self._process.pid}/ns/net").readlink())

    def stop(self) -> None:
        """Stop it with all its containers, as a machine does that shuts down."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        self._process.wait(SECONDS)
        self._process = None

    def crash(self) -> None:
        """End it and its containers at once, as if the machine had lost its power."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(SECONDS)
        self._process = None
        self._sweep()

    def close(self) -> None:
        """End everything that it has started, also after a crash, and unmount what it left."""
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        if self._process is not None:
            self._process.kill()
            self._process.wait(SECONDS)
        self._sweep()

    def _sweep(self) -> None:
        """What a start of the machine does: no processes, no mounts, nothing below /run."""
        for pid in self._others():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed(mounted):
            if place.startswith(f"{self.folder}/"):
                subprocess.run(["umount", "--lazy", place], check=False, timeout=10)
        shutil.rmtree(self.folder / "exec", ignore_errors=True)
        (self.folder / "pid").unlink(missing_ok=True)

    def _others(self) -> list[int]:
        """Its containerd and shims, which name its folder, and their children: containers."""
        parents: dict[int, int] = {}
        found: set[int] = set()
        for entry in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has ended
                pid = int(entry.name)
                parents[pid] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                if bytes(self.folder) in (entry / "cmdline").read_bytes():
                    found.add(pid)
        return [*found, *(pid for pid, parent in parents.items() if parent in found - {pid})]

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While the block runs, it takes connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def docker(
        self, *arguments: str, data: bytes | None = None, check: bool = True
    ) -> subprocess.CompletedProcess[bytes]:
        """Run the docker client with this engine."""
        done = subprocess.run(
            ["docker", "--host", self.host, *arguments],
            input=data, capture_output=True, check=False, timeout=60,
        )  # fmt: skip
        assert done.returncode == 0 or not check, done.stderr
        return done

    def load(self) -> None:
        """Give it the image of the small program."""
        self.docker("import", "--change", ENTRYPOINT, "-", IMAGE, data=small_image())

    def run(self, name: str, *command: str) -> None:
        """Start a container of that image."""
        self.docker("run", "--detach", *OPTIONS, "--name", name, IMAGE, *command)


@contextlib.contextmanager
def second_engine(megabytes: int | None = None) -> Iterator[SecondEngine]:
    """An engine with the small image; with `megabytes`, its whole folder has no more room."""
    with tempfile.TemporaryDirectory(prefix="engine-", ignore_cleanup_errors=True) as name:
        if megabytes is not None:
            size = f"size={megabytes}m"
            subprocess.run(
                ["mount", "-t", "tmpfs", "-o", size, "evdiag", name], check=True, timeout=10
            )
        engine = SecondEngine(Path(name))
        try:
            engine.start()
            engine.load()
            yield engine
        finally:
            engine.close()
            if megabytes is not None:
                subprocess.run(["umount", "--lazy", name], check=True, timeout=10)
