"""The capture layer of the image, built on the spot, and programs that crash under it.

capture = build_capture()
run = run_under(capture, Start([str(program("wait")), "segv"]), folder)
run.status, run.core, run.sidecar
"""

import contextlib
import functools
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .capture_sidecar import Sidecar, read_sidecar
from .core_files import STACK_BYTES, await_end
from .crasher_build import CannotBuild, cache_directory, compiler_id, locked, run

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ROOT / "container/capture"
PROGRAMS = ROOT / "tests/capture/programs"
FLAGS = ("-g", "-O0", "-pthread", "-Wall", "-Wextra", "-Werror")

MORE_FLAGS = {
    "slow_library": ("-shared", "-fPIC"),
    "sanitized": ("-fsanitize=address",),
}

UNLIMITED = resource.RLIM_INFINITY

# Sets limits and user and becomes the program; only that gets the preload. Not preexec_fn: that
# is unsafe in processes with threads, which test workers are.
LAUNCHER = """
import json, os, resource, signal, sys
told = json.load(sys.stdin)
os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
signal.pthread_sigmask(signal.SIG_SETMASK, ())
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_DFL)
for name in told["ignored"]:
    signal.signal(name, signal.SIG_IGN)
for name, value in told["limits"].items():
    resource.setrlimit(getattr(resource, name), value)
os.umask(0o022)
os.chdir(told["cwd"])
if told["uid"] is not None:
    os.setgroups([])
    os.setresgid(told["uid"], told["uid"], told["uid"])
    os.setresuid(told["uid"], told["uid"], told["uid"])
os.execve(told["program"], told["argv"], told["environment"])
"""


@dataclass(frozen=True, slots=True)
class Capture:
    """The two files that the image has in /usr/local/lib/evdiag."""

    library: Path
    writer: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How to start a program: everything that a test may want to be different.

    `wrapper` are words before the launcher's own command, as of `unshare` or `setpriv`; they have
    to end in an exec. `settings` are variables of the capture layer and win over the usual ones;
    None takes one away. `preload` is None for a program without the layer.
    """

    argv: Sequence[str]
    program: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, str | None] = field(default_factory=dict)
    core_limit: int = 0
    limits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    uid: int | None = None
    ignored: Sequence[int] = ()
    wrapper: Sequence[str] = ()
    cwd: Path | None = None
    preload: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A process that has ended under the layer, and what lies in the directory for cores."""

    pid: int
    status: int  # as subprocess tells it: negative for a signal
    stdout: str
    stderr: str
    folder: Path
    seconds: float

    @property
    def left(self) -> list[str]:
        """Every name in the directory, hidden ones too."""
        if not self.folder.is_dir():
            return []
        return sorted(entry.name for entry in self.folder.iterdir())

    @property
    def cores(self) -> list[Path]:
        """The cores, oldest first."""
        found = [self.folder / name for name in self.left if not name.endswith(".json")]
        return sorted(found, key=lambda path: path.stat().st_mtime_ns)

    @property
    def core(self) -> Path:
        """The only core; beside it there is its document and nothing else."""
        assert len(self.cores) == 1, f"{self.left}\n{self.stderr}"
        (core,) = self.cores
        assert self.left == [core.name, f"{core.name}.json"]
        return core

    @property
    def sidecars(self) -> list[Sidecar]:
        """All documents, each checked, by name."""
        names = [name for name in self.left if name.endswith(".json")]
        return [read_sidecar(self.folder / name) for name in names]

    @property
    def sidecar(self) -> Sidecar:
        """The only document."""
        found = self.sidecars
        assert len(found) == 1, f"{self.left}\n{self.stderr}"
        return found[0]


class CannotMount(Exception):
    """This process may not mount anything; the message says why."""


# -- building


@functools.cache
def build_capture() -> Capture:
    """Build the layer, once for every state of its sources. Raises CannotBuild."""
    if shutil.which("make") is None:
        raise CannotBuild("make is not installed")
    files = sorted(path for path in SOURCES.rglob("*") if path.is_file())
    root = cache_directory() / f"capture-{_hash(files, compiler_id('gcc'))}"
    with locked(root.with_suffix(".lock")):
        if not (root / "complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            run(["make", "-C", str(SOURCES), f"OUT={root}"])
            (root / "complete").touch()
    return Capture(library=root / "capture.so", writer=root / "core-writer")


@functools.cache
def program(name: str) -> Path:
    """Compile a program of tests/capture/programs, once for every state. Raises CannotBuild."""
    source = PROGRAMS / f"{name}.c"
    flags = (*FLAGS, *MORE_FLAGS.get(name, ()))
    root = cache_directory() / f"capture-{name}-{_hash([source], compiler_id('gcc'), *flags)}"
    with locked(root.with_suffix(".lock")):
        if not (root / "complete").exists():
            shutil.rmtree(root, ignore_errors=True)
            root.mkdir(parents=True)
            run(["gcc", *flags, str(source), "-o", str(root / name)])
            (root / "complete").touch()
    return root / name


def _hash(files: Sequence[Path], *parts: str) -> str:
    digest = hashlib.sha256()
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for part in parts:
        digest.update(part.encode() + b"\0")
    return digest.hexdigest()[:16]


# -- running


def settings(capture: Capture, folder: Path) -> dict[str, str]:
    """The variables that put a program under the layer."""
    return {
        "LD_PRELOAD": str(capture.library),
        "EVDIAG_CORE_DIR": str(folder),
        "EVDIAG_CORE_WRITER": str(capture.writer),
    }


def start_under(capture: Capture, start: Start, folder: Path) -> subprocess.Popen[bytes]:
    """Start a program under the layer, by default without a kernel that writes cores."""
    given: dict[str, str | None] = {"PATH": os.defpath, "LANG": "C.UTF-8", **start.environment}
    if start.preload:
        given |= {**settings(capture, folder), **start.settings}
    _, most = resource.getrlimit(resource.RLIMIT_STACK)
    told = {
        "program": str(start.program or shutil.which(start.argv[0]) or start.argv[0]),
        "argv": list(start.argv),
        "environment": {name: value for name, value in given.items() if value is not None},
        "limits": {
            "RLIMIT_STACK": (STACK_BYTES, most),
            "RLIMIT_CORE": (start.core_limit, start.core_limit),
            **start.limits,
        },
        "uid": start.uid,
        "ignored": list(start.ignored),
        "cwd": str(start.cwd or folder.parent),
    }
    process = subprocess.Popen(
        [*start.wrapper, sys.executable, "-I", "-S", "-c", LAUNCHER],
        bufsize=0,
        env={"PATH": f"{os.defpath}:/usr/sbin:/sbin", "LANG": "C.UTF-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdin is not None
    with process.stdin:
        process.stdin.write(json.dumps(told).encode())
    process.stdin = None
    return process


def end_of(process: subprocess.Popen[bytes], folder: Path, since: float) -> Run:
    """Wait for the end of a process and say what is left of it."""
    ending = await_end(process)
    return Run(
        pid=ending.pid,
        status=ending.status,
        stdout=ending.stdout,
        stderr=ending.stderr,
        folder=folder,
        seconds=time.monotonic() - since,
    )


def run_under(capture: Capture, start: Start, folder: Path) -> Run:
    """Run a program under the layer to its end."""
    since = time.monotonic()
    return end_of(start_under(capture, start, folder), folder, since)


@dataclass(frozen=True, slots=True)
class Namespace:
    """Mounts of its own: `wrapper` runs a program among them, `see` leads there from here."""

    pid: int

    @property
    def wrapper(self) -> tuple[str, ...]:
        """Words to put before a command."""
        return ("nsenter", f"--mount=/proc/{self.pid}/ns/mnt")

    def see(self, path: Path) -> Path:
        """The name under which this process finds a file of the namespace."""
        return Path(f"/proc/{self.pid}/root{path}")


@contextlib.contextmanager
def own_mounts(*commands: str) -> Iterator[Namespace]:
    """Change mounts, in a namespace of their own, by shell commands. Raises CannotMount."""
    for tool in ("unshare", "nsenter"):
        if shutil.which(tool) is None:
            raise CannotMount(f"{tool} is not installed")
    script = "\n".join(["set -eu", *commands, "echo mounted", "read -r end"])
    words = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as holder:
        assert holder.stdout is not None
        said = holder.stdout.readline()
        if said != b"mounted\n":
            holder.kill()
            raise CannotMount(said.decode(errors="replace").strip())
        yield Namespace(holder.pid)
        holder.kill()


def signal_of(run: Run) -> signal.Signals:
    """The signal that ended a process."""
    assert run.status < 0, f"ended with {run.status}: {run.stderr}"
    return signal.Signals(-run.status)
