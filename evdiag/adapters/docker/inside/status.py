"""Runs in the container as root: prints what goes on there, as one JSON document.

    python3 -I -S -c PROGRAM '{"cores": FOLDER, "logs": FOLDER, "config": FILE, ...}'

Every part is for itself: one that fails is left out and its reason stands in `errors`. Facts only,
nothing is decided here. Standard library only, for Python 3.9 and later.
"""

import contextlib
import http.client
import json
import os
import pwd
import re
import select
import signal
import socket
import stat
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

Found = dict[str, Any]

MOST_PROCESSES = 2000
MOST_FILES = 500
MOST_NOTES = 100
LONGEST_NOTE = 65536
LONGEST_LINE = 2000
MOST_CRASHES = 20
PIECE = 1 << 20
OUTPUT_LIMIT = 4 << 20
RPC_SECONDS = 0.8
LONGEST = 15  # seconds: then this program ends, whatever it waits for
TICKS = os.sysconf("SC_CLK_TCK")

# What is looked for in everest.log, each with a name. A line holds one of them at most.
WORDS = (
    (b"EVerest up and running", "up"),
    (b"OCPP client ", "ocpp"),
    (b"CLIENT_CONNECTION_ERROR", "ocpp-error"),
    (b"Websocket peer initiated close", "ocpp-close"),
    (b"exited unexpectedly, ", "crash"),
    (b". Terminating all modules.", "crash"),  # in releases, where the line above is not
)
COLOURS = re.compile(rb"\x1b\[[0-9;]*m")
STAMP = re.compile(rb"(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)[.,](\d{1,9})")


# -- processes


def read(path: str, limit: int = 65536) -> bytes:
    """A file of the kernel, or nothing."""
    try:
        with Path(path).open("rb") as file:
            return file.read(limit)
    except OSError:
        return b""


def boot_time() -> float:
    """When the machine started, in seconds since 1970; the clocks of /proc count from there."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def processes() -> list[Found]:
    """The processes of the container but this one, by number."""
    booted, page = boot_time(), os.sysconf("SC_PAGE_SIZE")
    found: list[Found] = []
    for name in sorted((at.name for at in Path("/proc").iterdir() if at.name.isdigit()), key=int):
        if len(found) >= MOST_PROCESSES:
            break
        if name == str(os.getpid()):
            continue
        head, _, tail = read(f"/proc/{name}/stat").rpartition(b")")
        fields = tail.split()
        if len(fields) < 22:
            continue  # it has just ended
        arguments = read(f"/proc/{name}/cmdline").split(b"\0")
        entry: Found = {
            "pid": int(name),
            "parent": int(fields[1]),
            "session": int(fields[3]),
            "state": fields[0].decode("ascii", "replace"),
            "threads": int(fields[17]),
            "memory": int(fields[21]) * page,
            "started": round(booted + int(fields[19]) / TICKS, 2),
            "comm": decode(head.partition(b"(")[2]),
            "argv0": decode(arguments[0]),
            "script": decode(arguments[1]) if len(arguments) > 2 else "",
        }
        with contextlib.suppress(OSError, KeyError):
            uid = Path(f"/proc/{name}").stat().st_uid
            entry["user"] = str(uid)
            entry["user"] = pwd.getpwuid(uid).pw_name
            if arguments[0].rpartition(b"/")[2].startswith(b"python"):
                entry["module"] = variable(name, uid, b"EV_MODULE")
        found.append(entry)
    return found


def decode(text: bytes) -> str:
    return text[:300].decode("utf-8", "replace")


def variable(pid: str, uid: int, name: bytes) -> str:
    """A variable of another user's process: without CAP_SYS_PTRACE only that user may see it."""
    group = pwd.getpwuid(uid).pw_gid
    os.setegid(group)
    try:
        os.seteuid(uid)
        try:
            pairs = read(f"/proc/{pid}/environ", 1 << 20).split(b"\0")
        finally:
            os.seteuid(0)
    finally:
        os.setegid(0)
    return next(
        (decode(pair[len(name) + 1 :]) for pair in pairs if pair.startswith(name + b"=")), ""
    )


# -- supervisord


class Local(http.client.HTTPConnection):
    """HTTP over a unix socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(RPC_SECONDS)
        self.sock.connect(self.host)


def services(path: str) -> list[Found]:
    """What supervisord says of its programs."""
    connection = Local("localhost", timeout=RPC_SECONDS)
    connection.host = path
    body = xmlrpc.client.dumps((), "supervisor.getAllProcessInfo")
    try:
        connection.request("POST", "/RPC2", body, {"Content-Type": "text/xml", "Host": "localhost"})
        answer = connection.getresponse()
        text = answer.read(OUTPUT_LIMIT)
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"it answers with status {answer.status}")
    (programs,), _ = xmlrpc.client.loads(text)
    kept = ("name", "statename", "pid", "start", "stop", "exitstatus", "spawnerr")
    return [{key: program.get(key) for key in kept} for program in programs]  # type: ignore[union-attr]


# -- logs


def rotated(path: str, most: int) -> list[str]:
    """A log and its older parts, the oldest first."""
    older = [f"{path}.{number}" for number in range(most, 0, -1)]
    return [name for name in (*older, path) if Path(name).is_file()]


def hits(path: str, words: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    """The lines of a file that hold one of the words, with the word, in order; in little memory."""
    rest = b""
    with Path(path).open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            piece = rest + piece
            end = piece.rfind(b"\n") + 1
            if not end and len(piece) < 4 * PIECE:
                rest = piece
                continue
            end = end or len(piece)
            rest = piece[end:]
            yield from found_in(piece[:end], words)
    yield from found_in(rest, words)


def found_in(text: bytes, words: tuple[bytes, ...]) -> Iterator[tuple[bytes, bytes]]:
    places: list[tuple[int, bytes]] = []
    for word in words:
        at = text.find(word)
        while at >= 0:
            places.append((at, word))
            at = text.find(word, at + len(word))
    for at, word in sorted(places):
        begin = text.rfind(b"\n", max(0, at - LONGEST_LINE), at) + 1
        end = text.find(b"\n", at, at + LONGEST_LINE)
        yield COLOURS.sub(b"", text[begin : end if end >= 0 else at + LONGEST_LINE]), word


def moment(line: bytes) -> float | None:
    """When a line was written: the logs have the container's local time."""
    match = STAMP.match(line)
    if match is None:
        return None
    try:
        broken = time.strptime(match[1].decode(), "%Y-%m-%d %H:%M:%S")
        return time.mktime(broken) + float(b"0." + match[2])
    except (ValueError, OverflowError):
        return None


def everest_log(folder: str) -> Found:
    """How often EVerest was up, the crashes it told, and what it last said of the CSMS."""
    counts: dict[str, int] = {}
    last: dict[str, Found] = {}
    crashes: list[Found] = []
    kinds = dict(WORDS)
    words = tuple(kinds)
    for path in rotated(f"{folder}/everest.log", 3):
        with contextlib.suppress(FileNotFoundError):
            for line, word in hits(path, words):
                kind = kinds[word]
                counts[kind] = counts.get(kind, 0) + 1
                text = decode(line[line.find(b": ", 26) + 2 :])
                entry = {"time": moment(line), "text": text}
                if kind == "ocpp":
                    ends = ("connected", "closed", "failed")
                    kind = next((f"ocpp-{end}" for end in ends if end in text), kind)
                last[kind] = entry
                if kind == "crash":
                    crashes = [*crashes[1 - MOST_CRASHES :], entry]
    return {"counts": counts, "last": last, "crashes": crashes}


def supervisor_log(folder: str) -> list[Found]:
    """The starts and ends of EVerest and the starts of supervisord."""
    words = (b" spawned: 'everest' ", b" exited: everest ", b" supervisord started with pid ")
    kinds = {words[0]: "start", words[1]: "end", words[2]: "boot"}
    events: list[Found] = []
    for path in rotated(f"{folder}/supervisord.log", 3):
        with contextlib.suppress(FileNotFoundError):
            for line, word in hits(path, words):
                event = {"kind": kinds[word], "time": moment(line), "text": decode(line[24:])}
                events = [*events[1 - MOST_FILES :], event]
    return events


# -- cores


def cores(folder: str) -> Found:
    """The files in the folder for cores; nothing of them is read but the notes."""
    files: list[Found] = []
    notes: list[Found] = []
    left_out = size = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith(("core", ".core")):
                continue
            try:
                about = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if not stat.S_ISREG(about.st_mode):
                continue
            size += about.st_blocks * 512
            if entry.name.endswith(".json"):
                notes.append({"name": entry.name, "time": about.st_mtime})
            elif len(files) < MOST_FILES:
                files.append({"name": printable(entry.name), "size": about.st_size,
                              "disk": about.st_blocks * 512, "time": about.st_mtime})  # fmt: skip
            else:
                left_out += 1
    notes.sort(key=lambda note: note["time"])
    told = [
        {"name": printable(note["name"]), "text": small_file(f"{folder}/{note['name']}")}
        for note in notes[-MOST_NOTES:]
    ]
    return {"files": files, "notes": told, "note_count": len(notes), "left_out": left_out,
            "disk": size}  # fmt: skip


def printable(name: str) -> str:
    """A file's name may be any bytes; JSON takes text."""
    return os.fsencode(name).decode("utf-8", "replace")


def small_file(path: str) -> str | None:
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    with os.fdopen(handle, "rb") as file:
        text = file.read(LONGEST_NOTE + 1)
    return text.decode("utf-8", "replace") if len(text) <= LONGEST_NOTE else None


# -- configuration


def configured(path: str) -> list[list[str]]:
    """The modules that EVerest was told to start: [id, type]. The file is made by configure.py."""
    found: list[list[str]] = []
    inside = False
    with Path(path).open(encoding="utf-8", errors="replace") as file:
        for line in file.read(PIECE).splitlines():
            if line and not line[0].isspace():
                inside = line.startswith("active_modules:")
            elif inside and (match := re.match(r" {2}([\w.-]{1,200}):\s*$", line)):
                found.append([match[1], ""])
            elif (
                inside and found and (match := re.match(r" {4}module: *([\w.-]{1,200})\s*$", line))
            ):
                found[-1][1] = found[-1][1] or match[1]
    return found


# -- MQTT


class Messages:
    """The newest message of each topic, collected while other things are looked at."""

    def __init__(self, command: list[str], seconds: float) -> None:
        self.deadline = time.monotonic() + seconds
        self.topics: dict[str, str] = {}
        self.rest = b""
        self.ended = False
        self.client = subprocess.Popen(  # noqa: S603 - mosquitto_sub, and what evdiag says
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def complete(self) -> bool:
        """Whether every connector, the link to the CSMS and the errors have been told."""
        try:
            ids = json.loads(self.topics["everest_api/connectors"])
        except (KeyError, ValueError):
            return False
        wanted = ["everest_api/ocpp/var/connection_status", "everest_api/errors/var/active_errors"]
        wanted += [f"everest_api/{each}/var/session_info" for each in ids]
        wanted += [f"everest_api/{each}/var/powermeter" for each in ids]
        return all(topic in self.topics for topic in wanted)

    def wait(self) -> None:
        assert self.client.stdout is not None
        handle = self.client.stdout.fileno()
        os.set_blocking(handle, False)
        size = 0
        while not self.complete() and (left := self.deadline - time.monotonic()) > 0:
            if not select.select([handle], [], [], left)[0]:
                break
            piece = os.read(handle, 65536)
            size += len(piece)
            if not piece or size > OUTPUT_LIMIT:
                self.ended = not piece
                break
            self.take(piece)

    def take(self, piece: bytes) -> None:
        lines = (self.rest + piece).split(b"\n")
        self.rest = lines.pop()[-PIECE:]
        for line in lines:
            payload, _, topic = line.partition(b" ")
            with contextlib.suppress(ValueError):
                text = bytes.fromhex(payload.decode("ascii")).decode("utf-8", "replace")
                self.topics[topic.decode("utf-8", "replace")] = text[:LONGEST_NOTE]

    def result(self) -> Found:
        """Raises OSError with what the client said if it ended by itself."""
        self.wait()
        if self.ended:
            _, said = self.client.communicate(timeout=1)
            raise OSError(decode(said.strip()) or f"it ended with code {self.client.returncode}")
        self.client.kill()
        self.client.communicate(timeout=1)
        return self.topics


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

    part("client", Messages, asked["mqtt"], asked["mqtt_seconds"])
    client = document.pop("client", None)
    part("processes", processes)
    part("services", services, asked["socket"])
    part("everest_log", everest_log, asked["logs"])
    part("supervisor_log", supervisor_log, asked["logs"])
    part("cores", cores, asked["cores"])
    part("configured", configured, asked["config"])
    if isinstance(client, Messages):
        part("mqtt", client.result)
    document["now"] = time.time()
    sys.stdout.write(json.dumps(document) + "\n")


if __name__ == "__main__":
    main()
