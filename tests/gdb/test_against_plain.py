"""The values are gdb's own: compared with a gdb that has neither our printers nor our settings."""

import json
import os
import re
import shlex
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from evdiag.analyze.spelling import same_text
from evdiag.model.report import Thread
from tests.gdb.conftest import Bench
from tests.support.crashers import OPTS, Mode, Opt, modes_here

PLAIN = Path(__file__).parents[1] / "support/plain_values.py"
ITSELF = (
    *("-iex", "set debuginfod enabled off"),
    *("-iex", "set backtrace past-main on"),
    *("-iex", "set language c++"),  # else that of the innermost frame: C in libc, without maps
)
WALKED = 64
"""Frames of a thread that evdiag asks for, and plain_values.py too."""
LONG = 1200
"""Longer values may be cut at another place: names in them are made readable after the cut."""
CASES = [pytest.param(m, o, id=f"{m.name}-{o}") for m in modes_here() for o in OPTS]

MISSING = "its memory is not in the core"
"""What evdiag says where gdb shows zeros."""

Value = tuple[int, str, str | None]
"""pc, name and text of a variable of the crashed thread."""


def comparable(text: str) -> str:
    """The beginning of a value; of damaged parts only that they are damaged."""
    return re.sub(r"<error[^<>]*>", "<error>", text)[:LONG]


def plain_values(gdb: str, executable: str, core: Path, lwp: int, answer: Path) -> Counter[Value]:
    """What gdb prints by itself, with the printers of GNU's C++ library."""
    subprocess.run(
        [*shlex.split(gdb), "-nx", "-batch", *ITSELF,
         executable, str(core), "-ex", f"source {PLAIN}"],
        env={**os.environ, "PLAIN_VALUES": str(answer), "LC_ALL": "C.UTF-8"},
        check=True, capture_output=True, timeout=100,
    )  # fmt: skip
    threads = dict(json.loads(answer.read_text()))
    return Counter(
        (pc, name, comparable(same_text(text)) if text else None)
        for pc, variables in threads[lwp]
        for name, text in variables
    )


def reported_values(thread: Thread) -> Counter[Value]:
    """The same as evdiag tells it; what pointers point to is its own addition."""
    return Counter(
        (int(frame.pc or 0), variable.name, comparable(variable.value) if variable.value else None)
        for frame in thread.frames
        for variable in (*frame.args, *frame.locals)
        if not variable.name.startswith("*") and variable.problem != MISSING
    )


@pytest.mark.gdb
@pytest.mark.parametrize(("mode", "opt"), CASES)
def test_the_values_are_those_of_plain_gdb(
    mode: Mode,
    opt: Opt,
    bench: Bench,
    core_of: Callable[[Mode, Opt], Path],
    named_gdb: Callable[[str], str],
    tmp_path: Path,
) -> None:
    core, gdb = core_of(mode, opt), named_gdb("system")
    report = bench.kept_report(f"{mode.name}-{opt}-system", core, gdb)
    executable, thread = report.process.executable, report.threads[0]
    assert executable is not None
    assert thread.lwp is not None

    plain = plain_values(gdb, executable, core, thread.lwp, tmp_path / "plain")

    found = reported_values(thread)
    # Damaged strings are told to be so; GNU's printers show what they can, or nothing.
    damaged = {value[:2] for value in found | plain if "<error>" in (value[2] or "")}
    for values in (found, plain):
        for value in [value for value in values if value[:2] in damaged]:
            del values[value]
    assert found - plain == Counter()
    # Behind a folded recursion, or where gdb sees another stack, our frames have no values.
    if not (thread.folds or thread.gdb_frames) and len(thread.frames) < WALKED:
        assert plain - found == Counter()
        assert found or mode.top_frame is None
