"""Running a program until it leaves a core dump, and finding that core."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path

CORE_PATTERN = Path("/proc/sys/kernel/core_pattern")
CORE_USES_PID = Path("/proc/sys/kernel/core_uses_pid")

# A small stack keeps the cores of endless recursions small.
STACK_BYTES = 1 << 20
DEADLINE_SECONDS = 60.0

# The line with which a program says that it waits for a signal from outside.
WAITING_LINE = b"waiting for a signal\n"

# Sets the limits and becomes the program, under the same pid. Not preexec_fn: that is unsafe
# and warns in processes with threads, which test workers are. Signals go back to their default
# because a shell starts its background jobs, maybe this test run, with SIGQUIT ignored.
LAUNCHER = """
import os, resource, signal, sys
signal.pthread_sigmask(signal.SIG_SETMASK, ())
for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_DFL)
stack, program, *argv = sys.argv[1:]
_, most = resource.getrlimit(resource.RLIMIT_STACK)
resource.setrlimit(resource.RLIMIT_STACK, (int(stack), most))
try:
    resource.setrlimit(resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
except ValueError:
    _, most = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (most, most))
os.execv(program, argv)
"""


class CannotMakeCores(Exception):
    """This machine gives no core dumps to a test; the message says why."""


class CrasherFailed(Exception):
    """A crasher did something else than its mode promises."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrashedProcess:
    """A process that is gone and the core it left.

    `signal` is the number that ended it, 0 for a snapshot. `executable` is the file to open
    together with the core.
    """

    core: Path
    pid: int
    executable: Path
    signal: int
    argv: tuple[str, ...]
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """What is left of a process besides its core: exit status and output."""

    pid: int
    status: int  # as subprocess tells it: negative for a signal
    stdout: str
    stderr: str


def check_cores_possible() -> None:
    """Raise CannotMakeCores with the reason when no test can get a core here."""
    pattern = CORE_PATTERN.read_text().strip()
    if pattern.startswith(("|", "@")):
        raise CannotMakeCores(
            f"{CORE_PATTERN} is {pattern!r}: the kernel hands cores to another program; "
            "set it to `core` for the tests"
        )
    if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 and os.geteuid() != 0:
        raise CannotMakeCores("the hard limit of RLIMIT_CORE is 0 and only root may raise it")


def core_glob(pattern: str, uses_pid: bool, pid: int, cwd: Path) -> str:
    """Return the glob expression of core files that `pattern` (see core(5)) gives a process.

    What the test knows, the pid, is filled in; what it does not know becomes `*`.
    """
    known = {"%%": "%", "%p": str(pid)}
    pieces = re.split(r"(%.)", pattern)
    name = "".join(
        known.get(piece, "*") if piece.startswith("%") else escape(piece) for piece in pieces
    )
    if uses_pid and "%p" not in pattern:
        name += f".{pid}"
    return name if name.startswith("/") else f"{escape(str(cwd))}/{name}"


def take_core(pid: int, cwd: Path, since: float, target: Path) -> Path:
    """Move the core of an ended process to `target`.

    The kernel finishes the core before it lets the process go, so there is nothing to wait
    for. `since` keeps an older file in a shared directory from being taken for it.
    """
    pattern = CORE_PATTERN.read_text().strip()
    expression = core_glob(pattern, CORE_USES_PID.read_text().strip() != "0", pid, cwd)
    found = [path for path in Path("/").glob(expression.lstrip("/")) if path.is_file()]
    fresh = [path for path in found if path.stat().st_mtime >= since - 2.0]
    if not fresh:
        raise CannotMakeCores(f"process {pid} left no core at {expression} (pattern {pattern!r})")
    newest = max(fresh, key=lambda path: path.stat().st_mtime)
    if newest.stat().st_size == 0:
        raise CannotMakeCores(f"{newest} is empty; is the disk full?")
    shutil.move(newest, target)
    return target


def take_emulated_core(pid: int, cwd: Path, since: float, target: Path) -> Path:
    """Move the core that qemu has written for the program it emulated to `target`.

    The emulator ignores the kernel's pattern: its name is qemu_<program>_<time>_<pid>.core.
    """
    found = sorted(cwd.glob(f"qemu_*_{pid}.core"))
    if not found:
        raise CannotMakeCores(f"the emulator with pid {pid} left no core in {cwd}")
    shutil.move(found[0], target)
    return target


def start(
    program: str,
    argv: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    *,
    merge: bool = False,
) -> subprocess.Popen[bytes]:
    """Start `program` with a free `argv`, unlimited cores and a bare environment.

    With `merge` its error output goes where its output goes.
    """
    path = shutil.which(program) or program
    command = [sys.executable, "-I", "-S", "-c", LAUNCHER, str(STACK_BYTES), path, *argv]
    return subprocess.Popen(
        command,
        bufsize=0,
        cwd=cwd,
        env={"PATH": os.defpath, "LANG": "C.UTF-8", **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT if merge else subprocess.PIPE,
    )


def await_end(process: subprocess.Popen[bytes]) -> Ending:
    """Wait for the end of a process and return what it leaves behind."""
    try:
        stdout, stderr = process.communicate(timeout=DEADLINE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        _, stderr = process.communicate()
        raise CrasherFailed(f"process {process.pid} did not end: {stderr!r}") from None
    return Ending(
        pid=process.pid,
        status=process.returncode,
        stdout=stdout.decode(errors="replace"),
        stderr=(stderr or b"").decode(errors="replace"),
    )


def await_waiting(process: subprocess.Popen[bytes]) -> None:
    """Return when the process has said that it waits for a signal, and really sleeps."""
    assert process.stdout is not None
    for line in iter(process.stdout.readline, b""):
        if line == WAITING_LINE:
            break
    else:
        raise CrasherFailed(f"process {process.pid} ended before it waited for a signal")
    deadline = time.monotonic() + DEADLINE_SECONDS
    while "\nState:\tS" not in Path(f"/proc/{process.pid}/status").read_text(errors="replace"):
        if time.monotonic() > deadline:
            raise CrasherFailed(f"process {process.pid} does not sleep")
        time.sleep(0.001)


def write_snapshot(pid: int, target: Path) -> None:
    """Let gdb's gcore write a core of a living process."""
    gdb = shutil.which("gdb")
    if gdb is None:
        raise CannotMakeCores("a snapshot needs gdb")
    off = ["-iex", "set debuginfod enabled off", "-iex", "set auto-load no"]
    command = [gdb, "-nx", "-batch", *off, "-p", str(pid), "-ex", f"gcore {target}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=DEADLINE_SECONDS
    )
    if not target.exists():
        raise CannotMakeCores(f"gcore failed: {done.stderr.strip()}")


def save(crashed: CrashedProcess, directory: Path) -> None:
    """Write what is known of a crashed process next to its core; `load` reads it back."""
    facts = {**asdict(crashed), "core": crashed.core.name, "executable": str(crashed.executable)}
    (directory / "process.json").write_text(json.dumps(facts, indent=2))


def load(directory: Path) -> CrashedProcess | None:
    """Return the crashed process saved in a directory, or None."""
    try:
        facts = json.loads((directory / "process.json").read_text())
    except FileNotFoundError:
        return None
    facts["argv"] = tuple(facts["argv"])
    facts["core"] = directory / facts["core"]
    facts["executable"] = Path(facts["executable"])
    return CrashedProcess(**facts)


def signal_name(number: int) -> str:
    """Return the name of a signal for messages, or its number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
