"""Lays out a core and its files in a container, and runs the container's own gdb on them.

    python3 -I -S -c PROGRAM LENGTH

Standard input: LENGTH bytes of JSON that say what is offered; then the files that were asked for;
then what gdb is told, where byte 3 is Ctrl-C. Standard output: one line of JSON that says what is
missing here, one when everything is there, then gdb's own. gdb ends, and the folder goes, when
standard input ends: so they do however evdiag ends. Standard library only.
"""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import resource
import select
import shutil
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

PR_SET_PDEATHSIG = 1  # linux/prctl.h
INTERRUPT = b"\x03"
PIECE = 1 << 18
WHOLE, EDGE, STEPS, SAMPLE = 4 << 20, 1 << 20, 512, 4096
"""As in evdiag's own `adapters/docker/gdb_files.py`, which says what for."""
ROOT = 0


Child = Any
"""A process, its standard input a pipe."""


class Problem(Exception):
    """Why gdb cannot run here."""


class Unfit(Exception):
    """Why this is no place for the core."""


class Input:
    """Standard input: some of it is for this program, the rest for gdb."""

    def __init__(self) -> None:
        self.rest = b""

    def read(self, size: int) -> bytes:
        """So many bytes."""
        parts = [self.rest[:size]]
        self.rest = self.rest[size:]
        left = size - len(parts[0])
        while left:
            piece = os.read(0, min(left, PIECE))
            if not piece:
                sys.exit(1)  # evdiag has gone
            parts.append(piece)
            left -= len(piece)
        return b"".join(parts)

    def line(self) -> bytes:
        """Up to the end of a line."""
        while b"\n" not in self.rest:
            piece = os.read(0, 4096)
            if not piece:
                sys.exit(1)
            self.rest += piece
        found, _, self.rest = self.rest.partition(b"\n")
        return found


def tell(document: "dict[str, object]") -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()


def drop_root(paths: "list[str]") -> None:
    """Become the owner of the core, if this is root: gdb reads what may be anything."""
    if os.getuid() != ROOT:
        return
    for path in paths:
        try:
            found = Path(path).stat()
        except (OSError, ValueError):
            continue
        if found.st_uid == ROOT:
            raise Unfit("the core belongs to root")
        os.setgroups([])
        os.setgid(found.st_gid)
        os.setuid(found.st_uid)
        return


# -- which files are here


def fingerprint(number: int, size: int) -> str:
    spans = [(0, size)]
    if size > WHOLE:
        step = (size - 2 * EDGE) // STEPS
        spans = [(EDGE + i * step, SAMPLE) for i in range(STEPS)]
        spans = [(0, EDGE), *spans, (size - EDGE, EDGE)]
    found = hashlib.sha256()
    for at, length in spans:
        found.update(os.pread(number, length, at))
    return found.hexdigest()


def same(path: str, file: Any) -> bool:  # noqa: ANN401 - JSON
    """Whether a path of this container holds that file."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except (OSError, ValueError):
        return False
    try:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or found.st_size != file["size"]:
            return False
        return bool(fingerprint(number, found.st_size) == file["fingerprint"])
    except OSError:
        return False
    finally:
        os.close(number)


def receive(line: Input, path: str, size: int) -> None:
    """A file with its holes."""
    number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        while True:
            at, left = map(int, line.line().split())
            if at < 0:
                break
            while left:
                piece = line.read(min(left, PIECE))
                left -= len(piece)
                while piece:
                    done = os.pwrite(number, piece, at)
                    at, piece = at + done, piece[done:]
        os.ftruncate(number, size)
    finally:
        os.close(number)


def link(folder: str, name: str, target: str) -> None:
    """A name for a file; what cannot be linked is missing, and the first one keeps the name."""
    with contextlib.suppress(OSError, ValueError):
        place = Path(folder, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)


def lay_out(asked: Any, line: Input) -> None:  # noqa: ANN401 - JSON
    folder, files = asked["folder"], asked["files"]
    found = [next((p for p in file["paths"] if same(p, file)), None) for file in files]
    missing = [number for number, path in enumerate(found) if path is None]
    tell({"missing": missing})
    Path(folder, "files").mkdir()
    for number in missing:
        path = f"{folder}/files/{number}"
        receive(line, path, files[number]["size"])
        found[number] = path
    for name in asked["folders"]:
        Path(folder, name).mkdir()
    for name, number in asked["links"]:
        link(folder, name, found[number])


# -- gdb


def start(gdb: str, asked: Any) -> Child:  # noqa: ANN401 - JSON
    memory, parent = asked["memory"], os.getpid()

    def limits() -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)
        for kind, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory)):
            with contextlib.suppress(OSError, ValueError):
                resource.setrlimit(kind, (limit, limit))

    environment = {"PATH": os.environ.get("PATH", os.defpath), **asked["environment"]}
    return subprocess.Popen(  # noqa: S603 - the container's own gdb
        [gdb, *asked["arguments"]],
        stdin=subprocess.PIPE,
        cwd=asked["folder"],
        env=environment,
        preexec_fn=limits,
        start_new_session=True,
    )


def carry(line: Input, child: Child) -> None:
    """Hand on what gdb is told, until it or standard input ends."""
    ended, told = os.pipe()

    def watch() -> None:
        child.wait()
        os.close(told)

    threading.Thread(target=watch, daemon=True).start()
    pipe = child.stdin.fileno()
    os.set_blocking(pipe, False)
    waiting, line.rest = line.rest, b""
    while True:
        ready, writable, _ = select.select([0, ended], [pipe] if waiting else [], [])
        if ended in ready:
            return
        if writable:
            try:
                waiting = waiting[os.write(pipe, waiting[:PIECE]) :]
            except BlockingIOError:
                continue
            except OSError:  # it is about to end
                waiting = b""
        if 0 in ready:
            piece = os.read(0, PIECE)
            if not piece:
                return
            if INTERRUPT in piece and child.poll() is None:
                os.kill(child.pid, signal.SIGINT)
            waiting += piece.replace(INTERRUPT, b"")


def run(gdb: str, asked: Any, line: Input) -> None:  # noqa: ANN401 - JSON
    child = start(gdb, asked)
    try:
        carry(line, child)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        code = child.wait()
        sys.stderr.write(f"\n{asked['ended']} {code}\n")


def leave(*_: object) -> None:
    sys.exit(1)


def main() -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGALRM):
        signal.signal(number, leave)
    line = Input()
    asked = json.loads(line.read(int(sys.argv[1])))
    signal.alarm(asked["life"])
    os.umask(0o077)
    folder = asked["folder"]
    try:
        gdb = shutil.which("gdb")
        if gdb is None:
            raise Problem("there is no gdb")
        if asked["is_shared"]:
            drop_root(asked["files"][0]["paths"])
            Path(folder).mkdir(0o700)
        try:
            lay_out(asked, line)
            tell({"ready": True})
            run(gdb, asked, line)
        finally:
            if asked["is_shared"]:
                shutil.rmtree(folder, ignore_errors=True)
    except Unfit as reason:
        tell({"unfit": str(reason)})
    except Problem as problem:
        tell({"problem": str(problem)})
    except OSError as error:
        text = error.strerror if error.errno != errno.ENOSPC else "there is no room"
        tell({"problem": text})


if __name__ == "__main__":
    main()
