"""Runs one command and prints what it used, as JSON: python -I -S launch.py OUT ERR COMMAND...

A process of its own, and a small one: a child's peak of memory is never below that of the process
it was forked from. The figures hold for the command and all processes that it waited for.
"""

import json
import os
import sys
import time


def main() -> None:
    """Standard output and error of the command go to the files OUT and ERR."""
    output, errors, *command = sys.argv[1:]
    start = time.perf_counter()
    child = os.fork()
    if child == 0:
        for number, path in ((1, output), (2, errors)):
            os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), number)
        try:
            os.execvp(command[0], command)
        except OSError as error:
            os.write(2, f"{command[0]}: {error.strerror}\n".encode())
            os._exit(127)
    _, status, used = os.wait4(child, 0)
    wall = time.perf_counter() - start
    figures = {
        "cpu": used.ru_utime + used.ru_stime,
        "wall": wall,
        "peak_mb": used.ru_maxrss * 1024 / 1e6,
        "status": os.waitstatus_to_exitcode(status),
    }
    sys.stdout.write(json.dumps(figures))


if __name__ == "__main__":
    main()
