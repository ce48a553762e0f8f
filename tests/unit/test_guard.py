"""The guard of the unit tests: no process, no socket."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable

import pytest

FORBIDDEN: list[Callable[[], object]] = [
    lambda: subprocess.run([sys.executable, "-V"], check=False),
    lambda: subprocess.Popen(["true"]),
    lambda: os.system("true"),
    lambda: os.fork(),
    lambda: os.posix_spawn("/bin/true", ["true"], {}),
    lambda: os.execv("/bin/true", ["true"]),
    lambda: socket.socket(),
    lambda: socket.create_connection(("127.0.0.1", 9)),
]


@pytest.mark.parametrize("call", FORBIDDEN)
def test_unit_tests_cannot_reach_the_outside(call: Callable[[], object]) -> None:
    with pytest.raises(AssertionError, match="a unit test starts no process"):
        call()
