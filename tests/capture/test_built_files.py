"""The two files themselves: what they need, what they show, and how they take wrong calls."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import need
from tests.support.capture import Capture

pytestmark = pytest.mark.native

INTERPOSED = {
    *("sigaction", "signal", "bsd_signal", "ssignal", "sigset", "sysv_signal", "__sysv_signal"),
    *("pthread_create", "thrd_create"),
}


@pytest.fixture
def readelf(request: pytest.FixtureRequest) -> str:
    """The program."""
    found = shutil.which("readelf")
    if found is None:
        need(request, "native", "readelf is not installed")
    return found


def said(*words: str | Path) -> str:
    """What a tool says."""
    done = subprocess.run([str(w) for w in words], capture_output=True, text=True, check=True)
    return done.stdout


def test_the_library_needs_libc_and_shows_what_it_stands_in_for(
    capture: Capture, readelf: str
) -> None:
    dynamic = said(readelf, "-dW", capture.library)
    symbols = said(readelf, "--dyn-syms", "-W", capture.library).splitlines()

    assert re.findall(r"NEEDED.*\[(.*)\]", dynamic) == ["libc.so.6"]
    assert "TEXTREL" not in dynamic
    assert "BIND_NOW" in dynamic or "NOW" in dynamic
    rows = [line.split() for line in symbols if line.strip()[:1].isdigit()]
    shown = {row[7] for row in rows if row[3] == "FUNC" and row[6] != "UND"}
    assert shown == INTERPOSED
    wanted = {row[7].partition("@")[0] for row in rows if row[6] == "UND" and len(row) > 7}
    assert not wanted & {"malloc", "calloc", "realloc", "free", "printf", "fork", "syslog"}


def test_the_writer_needs_nothing(capture: Capture, readelf: str) -> None:
    assert "INTERP" not in said(readelf, "-lW", capture.writer)


def test_no_stack_can_be_executed(capture: Capture, readelf: str) -> None:
    for path in (capture.library, capture.writer):
        (row,) = (r for r in said(readelf, "-lW", path).splitlines() if "GNU_STACK" in r)
        assert "RWE" not in row


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["/tmp", "1"],
        ["/tmp", "x", "y", "z", "0", "0", "0", "0", "0", "0"],
        ["/tmp", "-1", "-1", "00", "0", "0.0", "1", "10", "1000", "1"],
        ["/tmp", "99999999999", "1", "0b", "0", "1.0", "1", "10", "1000", "1"],
        ["/tmp", "1", "1", "0b" * 4000, "ffff", "1.0", "1", "10", "1000", "1"],
        ["", "", "", "", "", "", "", "", "", ""],
    ],
)
def test_the_writer_called_wrongly(words: list[str], capture: Capture, tmp_path: Path) -> None:
    place = tmp_path / "cores"
    place.mkdir()
    called = [str(place) if word == "/tmp" else word for word in words]

    done = subprocess.run(
        [capture.writer, *called], capture_output=True, text=True, check=False, timeout=20
    )

    assert done.returncode > 0
    assert "core-writer" in done.stderr
    assert list(place.iterdir()) == []


def test_the_writer_called_for_a_process_that_is_gone(capture: Capture, tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    pid = str(process.pid)
    info = "0b" + "00" * 127

    done = subprocess.run(
        [capture.writer, tmp_path, pid, pid, info, "1000", "1.000000001", "1", "10", "1000", "1"],
        capture_output=True, text=True, check=False, timeout=20,
    )  # fmt: skip

    assert done.returncode > 0
    assert "evdiag capture: no core of" in done.stderr
    assert not [path for path in tmp_path.iterdir() if not path.name.endswith(".json")]
