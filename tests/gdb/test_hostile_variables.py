"""Names of variables that are commands: gdb's expressions can run programs."""

import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from evdiag.adapters.gdb.debugger import Debugger
from evdiag.adapters.gdb.places import Here
from evdiag.analyze.values import request_for
from evdiag.engine import Engine, Options
from evdiag.values import add_values
from tests.conftest import need
from tests.support.crashers import CannotMakeCores, Program, crash_once, mode_named

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

NAME = "n" * 240
SOURCE = f"""
struct Point {{ int x, y; }};
int main() {{
    Point {NAME} = {{47, 11}};
    int healthy = 4711;
    *static_cast<volatile int*>(nullptr) = {NAME}.x + healthy;
}}
"""


@pytest.fixture
def core(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Of a program in whose debug information a variable is called like a command of gdb."""
    source, program = tmp_path / "main.cpp", tmp_path / "program"
    source.write_text(SOURCE)
    try:
        subprocess.run(["g++", "-g", "-O0", source, "-o", program], check=True)
    except FileNotFoundError:
        need(request, "gdb", "g++ is not installed")
    evil = f'$_shell("touch {tmp_path}/pwned")'.ljust(len(NAME)).encode()
    assert len(evil) == len(NAME)
    patched = program.read_bytes().replace(NAME.encode(), evil)
    assert evil in patched
    program.write_bytes(patched)
    started = Program(executable=program, command=(str(program),), argv=(str(program),))
    try:
        return crash_once(started, mode_named("null-write"), tmp_path / "cores" / "null-write").core
    except CannotMakeCores as reason:
        need(request, "gdb", str(reason))


@pytest.mark.parametrize("name", ["system", "wheel", "minimal"])
def test_the_name_of_a_variable_is_never_run(
    name: str, core: Path, named_gdb: Callable[[str], str], tmp_path: Path
) -> None:
    analysis = Engine(Options()).analyse(core)
    debugger = Debugger(named_gdb(name), tmp_path / "cache")

    report, error = add_values(analysis.report, analysis.scene(), debugger, "crash")

    assert error is None
    assert not (tmp_path / "pwned").exists()
    found = {v.name: v.value for v in report.threads[0].frames[0].locals}
    assert found["healthy"] == "4711"
    assert any(name.startswith("$_shell") for name in found)


def test_plain_commands_do_not_run_it_either(
    core: Path, named_gdb: Callable[[str], str], tmp_path: Path
) -> None:
    # gdb 18 runs programs in expressions also where there is no process
    command = f'print $_shell("touch {tmp_path}/live")'
    gdb = shlex.split(named_gdb("wheel"))
    subprocess.run([*gdb, "-nx", "-batch", "-ex", command], check=True, capture_output=True)
    assert (tmp_path / "live").exists()
    analysis = Engine(Options()).analyse(core)
    request = request_for(analysis.report, "crash", unwound=True)
    assert request is not None

    # this gdb has Python: it has to be told to do without
    with Debugger(named_gdb("wheel"), tmp_path / "cache").sitting() as sitting:
        answer = sitting.ask_in(Here(tuple(gdb)), analysis.scene(), request, plain=True)

    assert not answer.python
    assert not (tmp_path / "pwned").exists()
    (evil,) = (v for v in answer.document.threads[0].frames[0].locals if v.name.startswith("$"))
    assert (evil.value, evil.problem) == (None, "it has no name that can be asked for")
