"""What gdb says about the stacks in a core: the second opinion for our own unwinder."""

import json
import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Kind = Literal["normal", "inline", "sigtramp", "tailcall", "other"]

FRAME_LIMIT = 2000
SCRIPT = Path(__file__).resolve().parent / "gdb_frames.py"


class GdbFailed(Exception):
    """gdb is missing, took too long or gave no answer; the message holds what it printed."""


@dataclass(frozen=True, slots=True)
class OracleFrame:
    """One frame as gdb shows it; inlined frames share the pc of the real one below them."""

    pc: int
    function: str | None
    file: str | None  # without its directory
    line: int
    kind: Kind


@dataclass(frozen=True, slots=True)
class OracleThread:
    """One thread; `stop` is gdb's reason why the stack ends where it does."""

    lwp: int
    crashed: bool
    frames: tuple[OracleFrame, ...]
    stop: str


def gdb_oracle(
    core: Path,
    exe: Path,
    sysroot: Path | None = None,
    gdb: str = "gdb",
    debug_dir: Path | None = None,
    *,
    timeout: float = 120.0,
) -> list[OracleThread]:
    """Return the stacks of all threads as gdb sees them, the crashed thread first.

    Stacks go on past main to where gdb loses them, and are cut after FRAME_LIMIT frames.
    `sysroot` is where the libraries of a foreign core lie, `debug_dir` holds separate debug
    files in addition to the system's. Raises GdbFailed.
    """
    program = shutil.which(gdb)
    if program is None:
        raise GdbFailed(f"{gdb} is not installed")
    with tempfile.TemporaryDirectory(prefix="gdb-oracle-") as scratch:
        answer = Path(scratch) / "frames.json"
        command = [program, *options(sysroot, debug_dir), str(exe), str(core), "-x", str(SCRIPT)]
        environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            "HOME": scratch,
            "ORACLE_OUT": str(answer),
            "ORACLE_FRAMES": str(FRAME_LIMIT),
        }
        said = run_gdb(command, environment, Path(scratch), timeout)
        if not answer.exists():
            raise GdbFailed(said)
        return [thread_from(each) for each in json.loads(answer.read_text())]


def options(sysroot: Path | None, debug_dir: Path | None) -> list[str]:
    """Return gdb's options: no init files, no network, no scripts, complete stacks."""
    settings = [
        "debuginfod enabled off",
        "auto-load no",
        "confirm off",
        "pagination off",
        "backtrace past-main on",
    ]
    if sysroot is not None:
        settings.append(f"sysroot {sysroot}")
    if debug_dir is not None:
        settings.append(f"debug-file-directory {debug_dir}:/usr/lib/debug")
    words = ["-nx", "-nh", "-batch"]
    for setting in settings:
        words += ["-iex", f"set {setting}"]
    return words


def run_gdb(command: list[str], environment: dict[str, str], cwd: Path, timeout: float) -> str:
    """Run gdb and return all it printed; its exit status says nothing."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise GdbFailed(f"gdb took longer than {timeout} seconds: {' '.join(command)}") from None
    return done.stdout.decode(errors="replace")


def thread_from(facts: dict[str, Any]) -> OracleThread:
    """Return the noun for what the script inside gdb has written about one thread."""
    frames = tuple(OracleFrame(**frame) for frame in facts["frames"])
    return OracleThread(facts["lwp"], facts["crashed"], frames, facts["stop"])


def unqualified(function: str) -> str:
    """Return a function's own name: `charging::Ledger<int>::find(int) const` becomes `find`.

    What stands in brackets does not count, so `(anonymous namespace)::f`, `f(void (*)())` and
    `void f<int>` all give `f`; an operator keeps its sign: `operator()`, `operator<`.
    """
    operator = re.search(r"(?:^|::)(operator(?:\(\)|\[\]|[^\w\s(]+))", function)
    if operator is not None:
        return operator.group(1)
    depth, name = 0, ""
    for letter in function:
        if letter in "(<{":
            depth += 1
        elif letter in ")>}":
            depth -= 1
        elif depth == 0:
            name += letter
    last = name.removesuffix(" const").rsplit("::", 1)[-1].split()
    return last[-1] if last else ""
