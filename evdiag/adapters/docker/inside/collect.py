"""Runs in the container as root: prints what a bundle tells of it, as one JSON document.

    python3 -I -S -c PROGRAM '{"cores": FOLDER, "manager": FILE, "more": [FOLDER, ...]}'

Every part is for itself: one that fails is left out and its reason stands in `errors`. Facts only,
no environment, nothing is decided here. Standard library only, for Python 3.9 and later.
"""

import json
import os
import pwd
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Found = dict[str, Any]

MOST_PROCESSES = 2000
MOST_FILES = 5000
MOST_ARGUMENTS = 64
LONGEST_WORD = 500
DEEPEST = 4
LONGEST = 10  # seconds: then this program ends, whatever it waits for
TICKS = os.sysconf("SC_CLK_TCK")
MEMORY = (
    "/sys/fs/cgroup/memory.events",
    "/sys/fs/cgroup/memory/memory.oom_control",
)


def text(path: str, limit: int = 65536) -> str:
    """A file of the kernel. Raises OSError."""
    with Path(path).open("rb") as file:
        return file.read(limit).decode("utf-8", "replace")


# -- processes


def processes() -> list[Found]:
    """The processes of the container but this one, by number."""
    booted = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    page = os.sysconf("SC_PAGE_SIZE")
    found: list[Found] = []
    for name in sorted((at.name for at in Path("/proc").iterdir() if at.name.isdigit()), key=int):
        if len(found) >= MOST_PROCESSES:
            break
        if name == str(os.getpid()):
            continue
        try:
            head, _, tail = text(f"/proc/{name}/stat").rpartition(")")
            words = text(f"/proc/{name}/cmdline").split("\0")
            uid = Path(f"/proc/{name}").stat().st_uid
        except OSError:
            continue  # it has just ended
        fields = tail.split()
        if len(fields) < 22:
            continue
        found.append(
            {
                "pid": int(name),
                "parent": int(fields[1]),
                "user": user(uid),
                "state": fields[0],
                "threads": int(fields[17]),
                "memory": int(fields[21]) * page,
                "started": round(booted + int(fields[19]) / TICKS, 2),
                "comm": head.partition("(")[2][:64],
                "argv": [word[:LONGEST_WORD] for word in words[:-1][:MOST_ARGUMENTS]],
            }
        )
    return found


def user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def limits(manager: str) -> Found:
    """The limits of EVerest's manager, or else of the first process."""
    chosen, named = "1", "process 1"
    for name in sorted((at.name for at in Path("/proc").iterdir() if at.name.isdigit()), key=int):
        try:
            if text(f"/proc/{name}/cmdline").split("\0")[0] == manager:
                chosen, named = name, "the manager"
                break
        except OSError:
            continue
    return {"of": named, "text": text(f"/proc/{chosen}/limits")}


def folders_of_work() -> list[str]:
    """The working directories of all processes: there the kernel writes a core called `core`."""
    found = set()
    for name in os.listdir("/proc"):  # noqa: PTH208 - Path would be slower
        if name.isdigit():
            try:
                found.add(os.readlink(f"/proc/{name}/cwd"))  # noqa: PTH115
            except OSError:
                continue
    return sorted(path for path in found if path.startswith("/") and printable(path))[:100]


def printable(path: str) -> bool:
    """Whether a name is text, as JSON can tell it."""
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


# -- memory and disks


def memory() -> Found:
    """The first counter file of the control group that there is, by its name."""
    for path in MEMORY:
        try:
            return {"name": path.rpartition("/")[2], "text": text(path)}
        except OSError:
            continue
    raise OSError("the control group is not visible")


def disks() -> str:
    done = subprocess.run(
        ["df", "-P", "-k"],  # noqa: S607
        stdin=subprocess.DEVNULL, capture_output=True, timeout=3, check=False,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    )  # fmt: skip
    return done.stdout[:65536].decode("utf-8", "replace")


def versions() -> Found:
    """The system of the image, and the kernel below it."""
    name = os.uname()
    found: Found = {"kernel": name.release, "machine": name.machine, "python": sys.version[:40]}
    try:
        found["os_release"] = text("/etc/os-release", 4096)
    except OSError:
        found["os_release"] = ""
    found["libc"] = (
        os.confstr("CS_GNU_LIBC_VERSION") if "CS_GNU_LIBC_VERSION" in os.confstr_names else ""
    )
    return found


# -- files


def files(folder: str, deepest: int, left: dict[str, int]) -> list[Found]:
    """The regular files of a folder and below, without following links.

    What else is there is counted in `left`.
    """
    found: list[Found] = []

    def leave(what: str) -> None:
        left[what] = left.get(what, 0) + 1

    waiting = [(folder, 0)]
    while waiting:
        path, depth = waiting.pop()
        with os.scandir(path) as entries:
            for entry in entries:
                if len(found) >= MOST_FILES:
                    leave(f"folders with more than {MOST_FILES} files, read no further")
                    return found
                try:
                    about = entry.stat(follow_symlinks=False)
                except OSError:
                    continue
                if stat.S_ISDIR(about.st_mode):
                    if depth < deepest:
                        waiting.append((entry.path, depth + 1))
                    else:
                        leave("folders too deep in others")
                elif not stat.S_ISREG(about.st_mode):
                    leave("links" if stat.S_ISLNK(about.st_mode) else "pipes, sockets or devices")
                elif not printable(entry.path):
                    leave("files with a name that is no text")
                else:
                    disk = about.st_blocks * 512
                    found.append({"path": entry.path, "size": about.st_size, "disk": disk,
                                  "time": about.st_mtime})  # fmt: skip
    return found


def elsewhere(cores: str, more: list[str]) -> list[Found]:
    """Files that are called like cores, in further folders."""
    found: list[Found] = []
    seen = {os.path.realpath(cores)}
    for folder in more:
        real = os.path.realpath(folder)
        if real in seen or real.startswith(("/proc/", "/sys/", "/dev/")):
            continue
        seen.add(real)
        try:
            found += [
                each for each in files(real, 0, {})
                if each["path"].rpartition("/")[2].startswith("core")
                or each["path"].endswith(".core")
            ]  # fmt: skip
        except OSError:
            continue
    return found[:MOST_FILES]


# -- all of it


def main() -> None:
    signal.alarm(LONGEST)
    asked = json.loads(sys.argv[1])
    errors: dict[str, str] = {}
    document: Found = {"errors": errors}

    def part(name: str, look: Callable[..., object], *arguments: object) -> None:
        try:
            document[name] = look(*arguments)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other parts count
            errors[name] = " ".join(str(error).split())[:300] or type(error).__name__

    part("processes", processes)
    part("limits", limits, asked["manager"])
    part("core_pattern", text, "/proc/sys/kernel/core_pattern", 4096)
    part("core_uses_pid", text, "/proc/sys/kernel/core_uses_pid", 64)
    part("memory", memory)
    part("versions", versions)
    left: dict[str, int] = {}
    part("files", files, asked["cores"], DEEPEST, left)
    document["left"] = left
    part("work", folders_of_work)
    pattern = str(document.get("core_pattern", ""))
    more = [*asked["more"], pattern.rpartition("/")[0]] if pattern[:1] == "/" else asked["more"]
    if pattern[:1] not in ("|", "@", "/"):
        more = [*more, *document.get("work", [])]
    part("elsewhere", elsewhere, asked["cores"], more)
    part("df", disks)
    document["now"] = time.time()
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
