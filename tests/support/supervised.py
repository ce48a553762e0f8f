"""The process tree of the crashers under a real supervisord, as in EVerest's container."""

import contextlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from .core_files import DEADLINE_SECONDS, CannotMakeCores, check_cores_possible, start, take_core
from .crasher_build import Build, build

CONFIGURATION = """
[supervisord]
nodaemon=true
logfile={logs}/supervisord.log
pidfile={run}/supervisord.pid
childlogdir={logs}

[program:everest]
command={manager} --prefix {prefix} --run-dir {run} --log-style {style}
directory={run}
environment={environment}
stdout_logfile={logs}/everest.log
redirect_stderr=true
autorestart=false
startsecs=0
stopasgroup=true
killasgroup=true
"""
"""`startsecs=0`: the tree crashes within milliseconds, which must not count as a failed start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Supervised:
    """A tree that runs, or has run: its folder has `logs/` and one folder for each module."""

    folder: Path
    process: "subprocess.Popen[bytes]"
    since: float

    @property
    def logs(self) -> Path:
        """Where supervisord and the manager log to."""
        return self.folder / "logs"

    def pids(self) -> dict[str, int]:
        """Process ids by the names of the modules, of the last start."""
        lines = [line.split() for line in (self.folder / "pids").read_text().splitlines()]
        return {name: int(pid) for name, pid in lines}

    def manager_pid(self) -> int:
        """Process id of the manager, of the last start."""
        log = (self.logs / "supervisord.log").read_text()
        return int(re.findall(r"spawned: 'everest' with pid (\d+)", log)[-1])

    def await_line(self, words: str) -> None:
        """Wait until supervisord logs a line with these words. It says so on its output too."""
        assert self.process.stdout is not None
        for line in iter(self.process.stdout.readline, b""):
            if words.encode() in line:
                return
        raise AssertionError(f"supervisord ended without having said {words!r}")

    def await_log(self, words: str) -> None:
        """Wait until the manager's log has these words."""
        deadline = time.monotonic() + DEADLINE_SECONDS
        log = self.logs / "everest.log"
        while not (log.exists() and words in log.read_text(errors="replace")):
            if time.monotonic() > deadline:
                raise AssertionError(f"{log} never had {words!r}")
            time.sleep(0.002)

    def take_core(self, module_id: str) -> Path:
        """Move the core of a module, or of the manager, to `cores/`."""
        pid, place = self.manager_pid(), self.folder
        if module_id != "manager":
            pid, place = self.pids()[module_id], self.folder / module_id
        target = self.folder / f"cores/core.{module_id}.{pid}"
        target.parent.mkdir(exist_ok=True)
        return take_core(pid, place, self.since, target)


def supervisord() -> str:
    """The program. Raises CannotMakeCores where there is none."""
    path = shutil.which("supervisord")
    if path is None:
        raise CannotMakeCores("there is no supervisord")
    return path


@contextlib.contextmanager
def supervised(
    folder: Path,
    environment: Mapping[str, str],
    *,
    style: str = "head",
    prefix: Path | None = None,
    tree: Build | None = None,
) -> Iterator[Supervised]:
    """Run the tree under supervisord; both are ended when the block is left.

    A second time in the same folder, they go on with the logs of the first.
    """
    check_cores_possible()
    program, made = supervisord(), tree or build()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    configuration = folder / "supervisord.conf"
    configuration.write_text(
        CONFIGURATION.format(
            logs=folder / "logs",
            run=folder,
            manager=made.manager("O0"),
            prefix=prefix or made.prefix("O0"),
            style=style,
            environment=",".join(f'{name}="{value}"' for name, value in environment.items()),
        )
    )
    since = time.time()
    argv = ["supervisord", "--nodaemon", "-c", str(configuration)]
    process = start(program, argv, folder, {}, merge=True)
    try:
        yield Supervised(folder=folder, process=process, since=since)
    finally:
        process.terminate()
        process.communicate(timeout=DEADLINE_SECONDS)
