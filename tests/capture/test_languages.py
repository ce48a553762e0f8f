"""Runtimes with handlers and habits of their own: Python, Node.js, AddressSanitizer."""

import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.capture.conftest import RunIt, analyse
from tests.conftest import need
from tests.support.capture import Capture, Run, Start, run_under

pytestmark = pytest.mark.native

FAULT = "import ctypes; ctypes.string_at(0)"
IN_THREAD = """
import ctypes, threading
threading.Thread(target=ctypes.string_at, args=(0,), name="reader").start()
"""
MODULES = """
import concurrent.futures, json, multiprocessing, ssl, subprocess, sys
with concurrent.futures.ThreadPoolExecutor(4) as pool:
    print(sum(pool.map(abs, range(1000))))
print(subprocess.run([sys.executable, "-c", "import os; os.abort()"]).returncode)
print(subprocess.run(["false"]).returncode)
"""


def run_python(capture: Capture, folder: Path, *words: str) -> Run:
    """Run this Python; not through its environment, whose name the kernel does not know."""
    return run_under(capture, Start(argv=["python3", *words], program=interpreter()), folder)


def interpreter() -> Path:
    """The file behind the environment's link."""
    return Path(sys.executable).resolve()


@pytest.mark.parametrize(
    ("words", "status", "verdict"),
    [
        (["-c", FAULT], -11, "null-read"),
        (["-c", IN_THREAD], -11, "null-read"),
        (["-c", "import os; os.abort()"], -6, "abort"),
        (["-X", "faulthandler", "-c", FAULT], -11, "null-read"),
        (["-X", "faulthandler", "-c", IN_THREAD], -11, "null-read"),
        (["-X", "faulthandler", "-c", "import os; os.abort()"], -6, "abort"),
    ],
)
def test_python_dies(
    words: list[str], status: int, verdict: str, capture: Capture, folder: Path
) -> None:
    ended = run_python(capture, folder, *words)

    assert ended.status == status
    assert ended.sidecar.argv == ["python3", *words]
    assert ended.sidecar.executable == str(interpreter())
    assert ("Fatal Python error" in ended.stderr) == ("faulthandler" in words)
    report = analyse(ended.core)
    # Python's own handler raises the signal again: that is what the kernel would note too.
    accepted = {verdict, "raised-signal"} if "faulthandler" in words else {verdict}
    assert report.verdict.cls in accepted
    assert report.process.executable == str(interpreter())


def test_python_lives(capture: Capture, folder: Path) -> None:
    ended = run_python(capture, folder, "-c", MODULES)

    assert ended.status == 0, ended.stderr
    assert ended.stdout.split() == ["499500", "-6", "1"]
    assert ended.sidecar.signal == 6
    assert ended.sidecar.pid != ended.pid


# -- Node.js: sets every signal to its default when it starts


@pytest.fixture
def node(request: pytest.FixtureRequest) -> str:
    """The program."""
    found = shutil.which("node")
    if found is None:
        need(request, "native", "node is not installed")
    return found


def test_node_dies(node: str, capture: Capture, folder: Path) -> None:
    ended = run_under(capture, Start(argv=[node, "-e", "process.abort()"]), folder)

    assert ended.status == -6
    assert ended.sidecar.argv == [node, "-e", "process.abort()"]
    assert not ended.sidecar.truncated
    report = analyse(ended.core)
    assert report.verdict.cls == "abort"
    assert len(report.threads) == ended.sidecar.threads > 4


def test_node_lives(node: str, capture: Capture, folder: Path) -> None:
    work = """
    const {Worker} = require('worker_threads');
    const {spawnSync} = require('child_process');
    const worker = new Worker('require("worker_threads").parentPort.postMessage(42)', {eval: true});
    worker.on('message', (said) => console.log(said, spawnSync('false').status));
    """
    usual = run_under(capture, Start(argv=[node, "-e", work], preload=False), folder)

    ended = run_under(capture, Start(argv=[node, "-e", work]), folder)

    assert (ended.status, ended.stdout, ended.stderr) == (0, usual.stdout, usual.stderr)
    assert re.fullmatch(r"42 1\n", ended.stdout)
    assert ended.left == []


# -- AddressSanitizer

# Its shared runtime wants to be the first library of a program, and the preloaded one is.
ORDER = "verify_asan_link_order=0"


@pytest.mark.parametrize(
    ("case", "options", "status"),
    [
        ("none", "", 0),
        ("overflow", "", 1),
        ("overflow", "abort_on_error=1", -6),
        ("null", "abort_on_error=1", -6),
        ("null", "handle_segv=0", -11),
    ],
)
def test_a_sanitized_program(case: str, options: str, status: int, run: RunIt) -> None:
    environment = {"ASAN_OPTIONS": f"{ORDER}:{options}"}
    usual = run("sanitized", case, environment=environment, preload=False)

    ended = run("sanitized", case, environment=environment)

    assert ended.status == usual.status == status, ended.stderr
    assert ended.stdout == usual.stdout
    assert ("AddressSanitizer" in ended.stderr) == ("AddressSanitizer" in usual.stderr)
    assert len(ended.cores) == (1 if status < 0 else 0)
    if status < 0:
        assert not ended.sidecar.truncated
        accepted = {"null-write"} if status == -11 else {"sanitizer", "abort"}
        assert analyse(ended.core).verdict.cls in accepted
