"""`evdiag symbolize` on what a real gdb prints of files without symbols."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from evdiag.cli import main
from tests.conftest import need

pytestmark = pytest.mark.gdb

LIBRARY = """\
static __attribute__((noinline)) void inner(int* where) {
    *where = 1;
    __asm__ volatile("");
}
void outer(int* where) {
    inner(where);
    __asm__ volatile("");
}
"""
PROGRAM = """\
void outer(int*);
int main(void) {
    outer(0);
    return 0;
}
"""


def tool(folder: Path, *command: str) -> str:
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout


@pytest.fixture
def stripped(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A folder with a program and its library, without symbols; with them below `full`."""
    for name in ("gcc", "strip", "gdb"):
        if shutil.which(name) is None:
            need(request, "gdb", f"{name} is not installed")
    (tmp_path / "outer.c").write_text(LIBRARY)
    (tmp_path / "prog.c").write_text(PROGRAM)
    flags = ("-g", "-O1", "-fno-optimize-sibling-calls", "-Wl,--build-id")
    tool(tmp_path, "gcc", *flags, "-shared", "-fPIC", "outer.c", "-o", "libouter.so")
    tool(tmp_path, "gcc", *flags, "prog.c", "-L.", "-louter", "-Wl,-rpath,$ORIGIN", "-o", "prog")
    (tmp_path / "full").mkdir()
    for name in ("libouter.so", "prog"):
        shutil.copy(tmp_path / name, tmp_path / "full" / name)
        tool(tmp_path, "strip", name)
    return tmp_path


def test_frames_without_a_line_get_one(
    stripped: Path, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ("-ex", "run", "-ex", "bt", "-ex", "gcore core", "./prog")
    said = tool(stripped, "gdb", "-nx", "-q", "-batch", *asked)
    if not (stripped / "core").exists():
        need(request, "gdb", f"gdb makes no core here: {said[-300:]}")
    text = "".join(line + "\n" for line in said.splitlines() if re.match(r"#\d", line))
    (stripped / "stack.txt").write_text(text)
    files = [f"--exe={stripped}/full/{name}" for name in ("libouter.so", "prog")]

    assert main(["symbolize", f"{stripped}/stack.txt", f"--core={stripped}/core", *files]) == 0

    lines = capsys.readouterr().out.splitlines()
    inner, outer, caller = (
        next(line for line in lines if line.startswith(f"#{level} ")) for level in range(3)
    )
    assert inner.endswith(f"in ?? () from {stripped}/libouter.so inner at {stripped}/outer.c:2")
    assert outer.endswith(f"outer () from {stripped}/libouter.so outer at {stripped}/outer.c:6")
    assert caller.endswith(f"in ?? () main at {stripped}/prog.c:3")
