"""evdiag as a user starts it: a process of its own, also one that is interrupted."""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

from tests.support.charger import Said

SECONDS = 120.0


def command(*arguments: object) -> list[str]:
    """Return the command line."""
    return [sys.executable, "-m", "evdiag", *map(str, arguments)]


def evdiag(*arguments: object, seconds: float = SECONDS) -> Said:
    """Run evdiag to its end."""
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, check=False, timeout=seconds
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Said(done.returncode, done.stdout, done.stderr)


def interrupted(*arguments: object, after: str, seconds: float = SECONDS) -> Said:
    """Run evdiag, and press Ctrl-C as soon as it says something."""
    process = subprocess.Popen(
        command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    said, deadline = "", time.monotonic() + seconds
    try:
        for line in process.stderr:
            said += line
            assert time.monotonic() < deadline, said
            if after in line:
                process.send_signal(signal.SIGINT)
                break
        out, err = process.communicate(timeout=seconds)
    finally:
        process.kill()
    return Said(process.returncode, out, said + err)


@contextlib.contextmanager
def csms() -> Iterator[int]:
    """A port of this machine that takes connections and keeps them: enough of a CSMS for the
    crashers' OCPP module."""
    kept: list[socket.socket] = []
    server = socket.create_server(("0.0.0.0", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                kept.append(server.accept()[0])

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        yield int(server.getsockname()[1])
    finally:
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for connection in (server, *kept):
            connection.close()
