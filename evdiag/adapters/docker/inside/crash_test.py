"""Runs in the container as EVerest's user: lets processes crash as a module would, and watches.

    python3 -I -S -c PROGRAM '{"signals": [11, 6], "manager": PATH, "cores": FOLDER, ...}'

Prints one JSON document: of each signal the core that came. What was made is removed again. No
core of a real crash is touched: the kernel's core goes into a folder of its own, and the capture
is told to keep all cores. Standard library only, for Python 3.9 and later.
"""

import contextlib
import json
import os
import resource
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

Found = dict[str, Any]

AFTER_DEATH = 0.5
"""Seconds. Capture and kernel have written their core before the process is dead; a handler of the
host that copies it into the container may take a moment longer."""
POLL = 0.005
ROOT = "/"
PREFIX = ".evdiag-doctor."
LEFT_AFTER = 600.0
KEEP_ALL = {"EVDIAG_CORES_MAX": str(1 << 30), "EVDIAG_CORES_MAX_BYTES": str(1 << 60)}
STAND_IN = {"HOME": "/var/lib/everest", "USER": "everest"}
SECRETS = ("MQTT_USER", "MQTT_PASSWORD", "OCPP_PASSWORD", "DASHBOARD_PASSWORD")
"""What entrypoint.sh takes out of the environment, because a core has it."""
VICTIM = """
import os, sys, time
open("/proc/self/comm", "w").write(sys.argv[2])
try:
    import ctypes
except ImportError:
    ctypes = None
os.write(3, repr(time.monotonic()).encode())
os.close(3)
if sys.argv[1] == "6":
    os.abort()
if ctypes is not None and sys.argv[1] == "11":
    ctypes.string_at(0)
os.kill(os.getpid(), int(sys.argv[1]))
time.sleep(60)
"""


def manager(path: str) -> int | None:
    """The process id of the running manager."""
    for entry in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):  # noqa: PTH208
        with contextlib.suppress(OSError):
            if Path(f"/proc/{entry}/cmdline").read_bytes().split(b"\0")[0] == os.fsencode(path):
                return int(entry)
    return None


def environment_of(pid: int | None, asked: Found) -> dict[str, str]:
    """The manager's; without one, what everest-start.sh would give it."""
    if pid is not None:
        with contextlib.suppress(OSError):
            entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            pairs = (os.fsdecode(entry).partition("=") for entry in entries)
            if found := {name: value for name, equals, value in pairs if equals}:
                return found
    found = {name: value for name, value in os.environ.items() if name not in SECRETS}
    found.update(STAND_IN)
    if found.get("EVDIAG_CAPTURE") != "off":
        found["LD_PRELOAD"] = asked["library"]
    return found


def keep_real_cores(environment: dict[str, str]) -> None:
    """Nothing of earlier crashes may make room for the test; 0 stays, it means "no cores"."""
    for name, value in KEEP_ALL.items():
        if environment.get(name, "").strip("0") or name not in environment:
            environment[name] = value


def limits_of(pid: int) -> tuple[int, int] | None:
    """(soft, hard) for cores."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in Path(f"/proc/{pid}/limits").read_text().splitlines():
            if line.startswith("Max core file size"):
                words = line.split()[4:6]
                soft, hard = (-1 if word == "unlimited" else int(word) for word in words)
                return soft, hard
    return None


# -- cores


def listing(folders: list[str]) -> set[str]:
    """Every file in them."""
    found = set()
    for folder in folders:
        with contextlib.suppress(OSError):
            for entry in os.scandir(folder):
                with contextlib.suppress(OSError):
                    if entry.is_file(follow_symlinks=False):
                        found.add(entry.path)
    return found


def missing_bytes(path: str) -> int | None:
    """What the program headers of a core promise and its file does not have (elf(5))."""
    try:
        with Path(path).open("rb") as file:
            head = file.read(64)
            if (
                len(head) < 64
                or head[:5] != b"\x7fELF\x02"
                or head[16:18] not in (b"\4\0", b"\0\4")
            ):
                return None
            order = "<" if head[5] == 1 else ">"
            start, size, count = struct.unpack_from(order + "32xQ14xHH", head)
            file.seek(start)
            table = file.read(size * count)
            length = os.fstat(file.fileno()).st_size
        ends = [sum(struct.unpack_from(order + "8xQ16xQ", table, at * size)) for at in range(count)]
    except (OSError, struct.error):
        return None
    most: int = max(ends, default=0)
    return max(most - length, 0)


def is_ours(path: str, asked: Found, own: str, pid: int) -> bool:
    """Whether a new file is what the test made, and no real crash of the same moment."""
    name = os.path.basename(path)  # noqa: PTH119
    if own != ROOT and path.startswith(own + "/"):
        return True
    if path == asked["pattern"] or asked["name"] in name or f".{pid}." in f"{name}.":
        return True
    try:  # a name with the process id of the host tells nothing here, but the core has its own
        with Path(path).open("rb") as file:
            head = file.read(65536)
            return head.startswith(b"\x7fELF") and asked["name"].encode() in head
    except OSError:
        return False


class Crash:
    """One process, from its start to the removal of what it left."""

    def __init__(self, number: int, asked: Found, environment: dict[str, str], own: str) -> None:
        self.number, self.asked, self.environment, self.own = number, asked, environment, own
        cores = environment.get("EVDIAG_CORE_DIR") or asked["cores"]
        target = asked["pattern"].rpartition("/")[0] if asked["pattern"][:1] == "/" else ""
        self.folders = list(dict.fromkeys([own, cores, *([target] if target else [])]))
        self.before = listing(self.folders)
        self.pid = 0
        self.begun: float | None = None
        self.said = b""

    def start(self, limits: tuple[int, int] | None) -> tuple[int, int]:
        """Start it; the answer is (pipe with the time of the crash, pipe with what it prints)."""
        clock, clock_in = os.pipe()
        words, words_in = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.dup2(words_in, 1)
                os.dup2(words_in, 2)
                os.dup2(clock_in, 3)
                os.set_inheritable(3, True)
                os.chdir(self.own)
                if limits is not None:
                    resource.setrlimit(resource.RLIMIT_CORE, limits)
                name = self.asked["name"]
                argv = [name, "-I", "-S", "-c", VICTIM, str(self.number), name]
                os.execve(sys.executable, argv, self.environment)  # noqa: S606 - no shell wanted
            except BaseException as error:  # noqa: BLE001 - there is nobody above
                os.write(2, f"not started: {error}\n".encode())
            finally:
                os._exit(127)
        os.close(clock_in)
        os.close(words_in)
        return clock, words

    def watch(self, clock: int, words: int) -> Found:
        """Wait for its death and for its core."""
        deadline = time.monotonic() + self.asked["seconds"]
        status, core, waiting = None, "", {clock, words}
        end = deadline
        while not core and time.monotonic() < end:
            self.read(waiting, clock)
            if status is None and (ended := os.waitpid(self.pid, os.WNOHANG))[0]:
                status = ended[1]
                end = min(deadline, time.monotonic() + AFTER_DEATH)
            if status is not None:
                core = self.core()
        waited = time.monotonic() - (self.begun or deadline - self.asked["seconds"])
        if status is None:
            os.kill(self.pid, signal.SIGKILL)
            status = os.waitpid(self.pid, 0)[1]
        self.read(waiting, clock)
        took = waited * 1000 if core and self.begun is not None else None
        return {**self.result(status, core), "waited": waited, "milliseconds": took}

    def read(self, waiting: set[int], clock: int) -> None:
        """Take what the pipes have; this is also the pause between two looks."""
        ready = select.select(list(waiting), [], [], POLL)[0] if waiting else []
        if not waiting:
            time.sleep(POLL)
        for pipe in ready:
            piece = os.read(pipe, 65536)
            if not piece:
                waiting.discard(pipe)
                os.close(pipe)
            elif pipe == clock:
                self.begun = float(piece)
            else:
                self.said = (self.said + piece)[-8192:]

    def new_files(self) -> list[str]:
        """What is there since the start, of this process; never a file of before."""
        return [
            path
            for path in listing(self.folders) - self.before
            if is_ours(path, self.asked, self.own, self.pid)
        ]

    def core(self) -> str:
        """The core, if one is there."""
        files = [path for path in self.new_files() if not path.endswith((".json", ".part"))]
        # both may be there: the capture's is the one that stays
        files.sort(key=lambda path: (not Path(path + ".json").exists(), path))
        return files[0] if files else ""

    def result(self, status: int, core: str) -> Found:
        """What there is to say of it."""
        found: Found = {
            "signal": self.number,
            "died_of": os.WTERMSIG(status) if os.WIFSIGNALED(status) else None,
            "dumped": os.WIFSIGNALED(status) and os.WCOREDUMP(status),
            "said": self.said.decode(errors="replace").splitlines()[-20:],
            "path": core,
        }
        if core:
            found["writer"] = "capture" if Path(core + ".json").exists() else "kernel"
            found["size"] = Path(core).stat().st_size
            found["missing"] = missing_bytes(core)
        return found

    def clean(self) -> None:
        """Remove what it left."""
        for path in self.new_files():
            with contextlib.suppress(OSError):
                Path(path).unlink()


def spare_real_core(
    limits: tuple[int, int] | None, asked: Found, environment: dict[str, str]
) -> tuple[int, int] | None:
    """The limits for the test, so that the kernel writes over no core of before.

    Raises OSError where the kernel's core is the only one, and would do that.
    """
    pattern = asked["pattern"]
    fixed = pattern.startswith("/") and "%" not in pattern and not asked["uses_pid"]
    if not fixed or not Path(pattern).exists():
        return limits
    if asked["library"] in environment.get("LD_PRELOAD", ""):
        return (0, limits[1] if limits else -1)
    raise FileExistsError(f"the kernel's next core would overwrite {pattern}")


def own_folder(cores: str) -> str:
    """Where the test crashes; a folder that nobody can write to where cores have none either."""
    for left in Path(cores).glob(PREFIX + "*"):  # of a test that was killed
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > LEFT_AFTER:
                shutil.rmtree(left, ignore_errors=True)
    try:
        return tempfile.mkdtemp(prefix=PREFIX, dir=cores)
    except OSError:
        return ROOT


def main(asked: Found) -> Found:
    """Crash once for each signal."""
    pid = manager(asked["manager"])
    environment = environment_of(pid, asked)
    keep_real_cores(environment)
    try:
        limits = spare_real_core(limits_of(pid or 1), asked, environment)
    except OSError as error:
        return {"crashes": [{"error": str(error)}]}
    own = own_folder(environment.get("EVDIAG_CORE_DIR") or asked["cores"])
    results = []
    try:
        for number in asked["signals"]:
            crash = Crash(number, asked, environment, own)
            try:
                results.append(crash.watch(*crash.start(limits)))
            finally:
                crash.clean()
    finally:
        if own != ROOT:
            shutil.rmtree(own, ignore_errors=True)
    return {"crashes": results}


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
