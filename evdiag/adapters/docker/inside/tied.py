"""Runs a command in the container that ends when whoever asked for it is gone.

    python3 -I -S -c PROGRAM LENGTH COMMAND [ARGUMENT]...

The engine leaves a program alone when the connection to it breaks, but it closes its standard
input. The first LENGTH bytes of that are for the command; after them only its end counts. The
command gets SIGTERM then, and SIGKILL a second later. Standard library only.
"""

import ctypes
import os
import select
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1  # linux/prctl.h
PATIENCE = 1.0


def die_with_parent() -> None:
    """Let the kernel end the command if this program is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def feed(pipe: int, length: int) -> bool:
    """Hand the first bytes of standard input on; False if they end too early."""
    while length > 0:
        piece = os.read(0, min(length, 65536))
        if not piece:
            return False
        length -= len(piece)
        try:
            while piece:
                piece = piece[os.write(pipe, piece) :]
        except BrokenPipeError:  # the command has ended: its code says why
            return True
    return True


def main() -> int:
    length, command = int(sys.argv[1]), sys.argv[2:]
    stdin = subprocess.PIPE if length else subprocess.DEVNULL
    try:
        child = subprocess.Popen(command, stdin=stdin, preexec_fn=die_with_parent)  # noqa: S603
    except OSError as error:
        sys.stderr.write(f"{command[0]}: {error.strerror}\n")
        return 127
    ended, told = os.pipe()

    def watch() -> None:
        child.wait()
        os.close(told)

    threading.Thread(target=watch, daemon=True).start()
    if child.stdin is not None:
        whole = feed(child.stdin.fileno(), length)
        if whole:
            child.stdin.close()
    else:
        whole = True
    while whole:
        ready = select.select([0, ended], [], [])[0]
        if ended in ready:
            break
        if not os.read(0, 65536):
            whole = False
    if not whole:
        child.terminate()
        if not select.select([ended], [], [], PATIENCE)[0]:
            child.kill()
    return child.wait() if child.returncode is None else child.returncode


if __name__ == "__main__":
    sys.exit(main() % 256)
