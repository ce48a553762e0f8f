"""Runs in the container as root: prints what can be known there of cores, as one JSON document.

    python3 -I -S -c PROGRAM '{"cores": FOLDER, "user": NAME, "prefix": FOLDER, ...}'

Standard library only, for Python 3.9 and later. What cannot be read is left out.
"""

import contextlib
import json
import os
import pwd
import re
import shutil
import stat
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Found = dict[str, Any]
UNLIMITED = "unlimited"


def text(path: str, limit: int = 65536) -> str:
    """A file of the kernel, or nothing."""
    try:
        with Path(path).open("rb") as file:
            return file.read(limit).decode(errors="replace")
    except OSError:
        return ""


def number(path: str) -> int | None:
    """A file that holds one number; `max` is none."""
    word = text(path).strip()
    return int(word) if re.fullmatch(r"-?\d{1,19}", word) else None


# -- processes


def status_of(pid: int) -> dict[str, str]:
    """/proc/PID/status (proc(5))."""
    lines = text(f"/proc/{pid}/status").splitlines()
    return {name: rest.strip() for name, _, rest in (line.partition(":") for line in lines)}


def limit_of(pid: int, row: str) -> tuple[int | None, int | None]:
    """(soft, hard) of a row in /proc/PID/limits; -1 is unlimited."""
    match = re.search(rf"^{row} +(\S+) +(\S+)", text(f"/proc/{pid}/limits"), re.MULTILINE)
    if match is None:
        return None, None
    soft, hard = (-1 if word == UNLIMITED else int(word) for word in match.groups())
    return soft, hard


def environment_of(pid: int) -> dict[str, str] | None:
    """What it was started with; only its own user may read that."""
    try:
        entries = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    pairs = (os.fsdecode(entry).partition("=") for entry in entries)
    return {name: value for name, equals, value in pairs if equals}


def owner_of(path: str) -> int | None:
    """The user id of a file."""
    try:
        return Path(path).stat().st_uid
    except OSError:
        return None


def process(pid: int) -> Found:
    """One process; its environment is only asked for what matters here."""
    about = status_of(pid)
    words = text(f"/proc/{pid}/cmdline").split("\0")
    uid = int(about["Uid"].split()[1]) if "Uid" in about else None
    core, file = limit_of(pid, "Max core file size"), limit_of(pid, "Max file size")
    environment = environment_of(pid)
    owner = owner_of(f"/proc/{pid}/environ")
    name = words[0] if ":" in words[0] else (environment or {}).get("EV_MODULE", "")
    memory = about.get("VmRSS", "").split()
    mask = text(f"/proc/{pid}/coredump_filter").strip()
    return {
        "pid": pid,
        "name": name or about.get("Name", ""),
        "uid": uid,
        "core_soft": core[0],
        "core_hard": core[1],
        "file_hard": file[1],
        "filter": int(mask, 16) if re.fullmatch(r"[0-9a-fA-F]{1,16}", mask) else None,
        # the kernel gives the files of a process that must not be dumped to root (proc(5))
        "dumpable": None if not uid or owner is None else owner == uid,
        "seccomp": int(about["Seccomp"]) if "Seccomp" in about else None,
        "no_new_privileges": about["NoNewPrivs"] == "1" if "NoNewPrivs" in about else None,
        "capabilities": int(about["CapEff"], 16) if "CapEff" in about else None,
        "memory": int(memory[0]) * 1024 if memory else None,
        "preload": None if environment is None else environment.get("LD_PRELOAD", ""),
    }


def parents() -> dict[int, int]:
    """Of every process the parent."""
    found = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208 - Path would be slower
        if entry.isdigit() and (parent := status_of(int(entry)).get("PPid")):
            found[int(entry)] = int(parent)
    return found


def everest(manager: str) -> Found:
    """The manager and all that it started."""
    tree = parents()
    managers = [pid for pid in tree if text(f"/proc/{pid}/cmdline").split("\0")[0] == manager]
    if not managers:
        return {}
    first = min(managers)
    family, grew = {first}, True
    while grew:
        more = {pid for pid, parent in tree.items() if parent in family} - family
        family |= more
        grew = bool(more)
    modules = [process(pid) for pid in sorted(family - {first})]
    return {"manager": process(first), "modules": [one for one in modules if one["uid"]]}


# -- folders


def mount_of(path: str) -> tuple[str, str, str]:
    """(mount point, type, options) of the file system that a path lies on."""
    best = ("", "", "")
    for line in text("/proc/self/mountinfo", 1 << 20).splitlines():
        left, _, right = line.partition(" - ")
        cells = left.split()
        point = cells[4].encode().decode("unicode_escape")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best[0]):
            best = (point, right.split()[0], cells[5])
    return best


def try_writing(path: str) -> str:
    """Make a file there, with something in it; the answer is the error, or nothing."""
    name = Path(path) / f".evdiag-doctor.{os.getpid()}"
    try:
        with name.open("xb") as file:
            file.write(bytes(4096))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return os.strerror(error.errno or 0)
    finally:
        with contextlib.suppress(OSError):
            name.unlink()
    return ""


def folder(path: str) -> Found:
    """A folder, as the user sees it who runs this."""
    real = os.path.realpath(path)
    try:
        seen = Path(real).stat()
    except OSError as error:
        missing = isinstance(error, (FileNotFoundError, NotADirectoryError))
        return {"path": path, "exists": not missing, "error": os.strerror(error.errno or 0)}
    if not stat.S_ISDIR(seen.st_mode):
        return {"path": path, "exists": True, "writable": False, "error": "Not a directory"}
    disk = os.statvfs(real)
    point, kind, options = mount_of(real)
    refused = try_writing(real)
    return {
        "path": path,
        "exists": True,
        "mode": stat.S_IMODE(seen.st_mode),
        "uid": seen.st_uid,
        "writable": not refused,
        "error": refused,
        "file_system": kind,
        "mounted": point != "/",
        "read_only": "ro" in options.split(","),
        "total": disk.f_blocks * disk.f_frsize,
        "free": disk.f_bavail * disk.f_frsize,
        "inodes": disk.f_favail if disk.f_files else None,
    }


def about_folders(cores: str, pattern: str) -> Found:
    """Where cores go: by the capture, and by the kernel."""
    found: Found = {"folder": folder(cores)}
    target = os.path.dirname(pattern) if pattern.startswith("/") else ""  # noqa: PTH120
    if target and "%" not in target:
        found["pattern_folder"] = folder(target)
    if pattern and pattern[0] not in "|@" and "%" not in pattern:
        path = os.path.join(cores, pattern)  # noqa: PTH118
        with contextlib.suppress(OSError):
            seen = Path(path).stat()
            found["left_core"] = {"path": path, "uid": seen.st_uid, "size": seen.st_size}
    return found


def as_user(user: pwd.struct_passwd, ask: Callable[[], Found]) -> Found:
    """What a function finds when that user runs it."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(out)
            if os.geteuid() != user.pw_uid:
                os.initgroups(user.pw_name, user.pw_gid)
                os.setgid(user.pw_gid)
                os.setuid(user.pw_uid)
            with os.fdopen(into, "w") as pipe:
                json.dump(ask(), pipe)
        finally:
            os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    found: Found = json.loads(answer) if answer else {}
    return found


# -- executables


def sections(path: Path) -> tuple[set[str], str]:
    """(names of the sections, build-id) of a 64-bit ELF file."""
    with path.open("rb") as file:
        header = file.read(64)
        if header[:5] != b"\x7fELF\x02":
            return set(), ""
        order = "<" if header[5] == 1 else ">"
        offset, *_, size, count, names_at = struct.unpack(order + "40xQIHHHHHH", header)
        file.seek(offset)
        table = file.read(min(size * count, 1 << 20))
        rows = [struct.unpack_from(order + "II16xQQ", table, at * size) for at in range(count)]
        file.seek(rows[names_at][2])
        names = file.read(min(rows[names_at][3], 1 << 20))
        found = {names[row[0] : names.find(b"\0", row[0])].decode(): row for row in rows}
        build_id = ""
        if note := found.get(".note.gnu.build-id"):
            file.seek(note[2])
            build_id = file.read(min(note[3], 64))[16:].hex()
    return set(found), build_id


def debug_data(path: Path) -> Found | None:
    """What an executable tells a debugger; None if it is none."""
    try:
        names, build_id = sections(path)
    except (OSError, struct.error, IndexError, ValueError):
        return None
    if not names:
        return None
    return {
        "path": str(path),
        "build_id": build_id,
        "debug_info": bool(names & {".debug_info", ".zdebug_info"}),
        "index": bool(names & {".gdb_index", ".debug_names"}),
        "symbols": ".symtab" in names,
    }


def is_privileged(path: Path) -> bool:
    """Whether it changes user or gains capabilities when it is started."""
    try:
        if path.stat().st_mode & (stat.S_ISUID | stat.S_ISGID):
            return True
        return bool(os.getxattr(path, "security.capability"))
    except OSError:
        return False


def about_image(prefix: Path) -> Found:
    """EVerest's executables, and the debuggers."""
    manager = prefix / "bin/manager"
    modules = sorted((prefix / "libexec/everest/modules").glob("*/*"))
    programs = [path for path in modules if path.name == path.parent.name and path.is_file()]
    found = [one for one in map(debug_data, [manager, *programs]) if one]
    return {
        "debug": found,
        "privileged": [str(path) for path in (manager, *programs) if is_privileged(path)],
        "eu_stack": shutil.which("eu-stack") or "",
        "gdb": gdb(),
    }


def gdb() -> Found | None:
    """The container's own gdb."""
    path = shutil.which("gdb")
    if path is None:
        return None
    # what this gdb would say if it had no Python; running Python in it takes 0.1 s
    marker = b"Python scripting is not supported in this copy of GDB"
    try:
        said = subprocess.run(  # noqa: S603 - of the image
            [path, "-nx", "--version"], capture_output=True, check=False, timeout=10
        ).stdout.decode(errors="replace")
        python = marker not in Path(path).read_bytes()
    except (OSError, subprocess.TimeoutExpired):
        return {"path": path}
    return {"path": path, "version": said.partition("\n")[0].split()[-1:][0], "python": python}


# -- control groups, network, services


def control_group() -> Found:
    """Memory: limit, use, and how often it ran out."""
    base = Path("/sys/fs/cgroup")
    if (base / "cgroup.controllers").exists():
        names, version = ("memory.max", "memory.current", "memory.events"), 2
    else:
        base, version = base / "memory", 1
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control")
    limit = number(str(base / names[0]))
    kills = re.search(r"^oom_kill (\d+)$", text(str(base / names[2])), re.MULTILINE)
    return {
        # version 1 says "no limit" as the largest number of pages
        "memory_limit": limit if limit is not None and limit < 1 << 60 else None,
        "memory_used": number(str(base / names[1])),
        "oom_kills": int(kills[1]) if kills else None,
        "cgroup_version": version,
    }


def ipv6() -> str:
    """Whether a car could be reached: ISO 15118 needs a link-local address."""
    if not Path("/proc/net/if_inet6").exists():
        return "absent"
    rows = [line.split() for line in text("/proc/net/if_inet6").splitlines()]
    if any(len(row) == 6 and row[3] == "20" and row[5] != "lo" for row in rows):
        return "yes"
    off = number("/proc/sys/net/ipv6/conf/all/disable_ipv6")
    return "disabled" if off else "none"


def services(address: str) -> Found:
    """supervisord's programs, by XML-RPC on its socket."""
    import http.client  # noqa: PLC0415 - 30 ms that a container without it need not take
    import socket  # noqa: PLC0415
    import xmlrpc.client  # noqa: PLC0415

    connection = http.client.HTTPConnection("localhost", timeout=5)
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(5)
    try:
        connection.sock.connect(address)
        body = xmlrpc.client.dumps((), "supervisor.getAllProcessInfo")
        connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml"})
        answer = connection.getresponse().read(1 << 20)
        programs: Any = xmlrpc.client.loads(answer.decode())[0][0]
        found = [
            {"name": one["name"], "state": one["statename"], "detail": one["description"]}
            for one in programs
        ]
    except Exception as error:  # noqa: BLE001 - whatever answers there
        return {"services_error": f"{address}: {error}"}
    return {"services": found}


def main(asked: Found) -> Found:
    """All facts."""
    kernel = "/proc/sys/kernel/"
    prefix = Path(asked["prefix"])
    pattern = text(kernel + "core_pattern").rstrip("\n")
    layer = Path(asked["library"]), Path(os.environ.get("EVDIAG_CORE_WRITER") or asked["writer"])
    found: Found = {
        "core_pattern": pattern,
        "core_uses_pid": number(kernel + "core_uses_pid"),
        "core_pipe_limit": number(kernel + "core_pipe_limit"),
        "suid_dumpable": number("/proc/sys/fs/suid_dumpable"),
        "ptrace_scope": number(kernel + "yama/ptrace_scope"),
        "kernel": os.uname().release,
        "init": process(1),
        "settings": {k: v for k, v in os.environ.items() if k.startswith("EVDIAG_")},
        "library_exists": layer[0].is_file(),
        "writer_exists": os.access(layer[1], os.X_OK),
        "root_read_only": "ro" in mount_of("/")[2].split(","),
        "ipv6": ipv6(),
        **control_group(),
        **about_image(prefix),
    }
    if asked["supervisor"]:
        found.update(services(asked["supervisor"]))
    try:
        user = pwd.getpwnam(asked["user"])
    except KeyError:
        return found
    cores = os.environ.get("EVDIAG_CORE_DIR") or asked["cores"]

    def ask() -> Found:
        return {**everest(str(prefix / "bin/manager")), **about_folders(cores, pattern)}

    found["user_uid"] = user.pw_uid
    found.update(as_user(user, ask))
    found["time"] = time.time()
    return found


if __name__ == "__main__":
    json.dump(main(json.loads(sys.argv[1])), sys.stdout)
