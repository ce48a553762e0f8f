"""Damaged values: bounded, told as damaged, and never in the way of the healthy ones beside them.

The values are those of tests/crashers/corrupt_values.cpp, read by real gdbs.
"""

import time
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import pytest

from evdiag.adapters.gdb import conversation
from evdiag.adapters.gdb.debugger import Answer, Debugger
from evdiag.adapters.gdb.process import Process
from evdiag.adapters.gdb.scene import Scene
from evdiag.analyze.values import attach, request_for, value_errors
from evdiag.engine import Engine, Options
from evdiag.model.report import Report
from evdiag.model.values import ReadVariable, Request
from evdiag.report import FORMATS
from tests.conftest import need
from tests.support.corrupt_program import corrupt_core
from tests.support.crashers import CannotBuild, CannotMakeCores
from tests.support.gdbs import GDBS

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

PATIENCE = 1.0
"""Instead of 4 s, for a quicker test: the longest value without damage takes milliseconds."""
SECONDS = 20.0
WITH_PYTHON = ("system", "wheel")


class Corrupt(NamedTuple):
    """The core with damaged values."""

    report: Report
    scene: Scene


class Read(NamedTuple):
    """What a gdb says of the crashed frame."""

    answer: Answer
    variables: dict[str, ReadVariable]
    seconds: float
    interrupts: int

    def text(self, name: str) -> str:
        return self.variables[name].value or ""


@pytest.fixture(scope="module")
def corrupt(request: pytest.FixtureRequest) -> Corrupt:
    try:
        core = corrupt_core().core
    except (CannotBuild, CannotMakeCores) as reason:
        need(request, "native", str(reason))
    analysis = Engine(Options()).analyse(core)
    return Corrupt(analysis.report, analysis.scene())


@pytest.fixture(params=sorted(GDBS))
def gdb(request: pytest.FixtureRequest, named_gdb: Callable[[str], str]) -> str:
    """The name of each gdb that there is."""
    name: str = request.param
    named_gdb(name)
    return name


@pytest.fixture
def interrupts(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The times of all SIGINTs that gdb gets; the next one comes sooner than it would."""
    times: list[float] = []
    interrupt = Process.interrupt

    def counted(process: Process) -> None:
        times.append(time.monotonic())
        interrupt(process)

    monkeypatch.setattr(Process, "interrupt", counted)
    monkeypatch.setattr(conversation, "PATIENCE", PATIENCE)
    return times


def read(
    name: str,
    corrupt: Corrupt,
    interrupts: list[float],
    cache: pytest.TempPathFactory,
    **limits: int,
) -> Read:
    """Values of the crashed thread by the gdb of that name, with other limits than usual."""
    begun = time.monotonic()
    request = request_for(corrupt.report, "crash", unwound=True)
    assert request is not None
    found = Debugger(GDBS[name](), cache.getbasetemp() / "gdb", SECONDS).values(
        corrupt.scene, msgspec.structs.replace(request, **limits)
    )
    seconds = time.monotonic() - begun
    frame = found.document.threads[0].frames[0]
    variables = {v.name: v for v in (*frame.args, *frame.locals)}
    print(f"{name}: {seconds:.1f} s, {len(interrupts)} interrupts, {found.document.slow} slow")
    return Read(found, variables, seconds, len(interrupts))


HEALTHY = {
    "healthy_int": "4711",
    "healthy_text": '"Session 4711"',
    "healthy_vector": "{1, 2, 3}",
    "healthy_map": '{[1] = "one", [2] = "two"}',
    "healthy_set": "{[0] = 10, [1] = 20, [2] = 30}",
    "healthy_list": "{[0] = 4, [1] = 5, [2] = 6}",
    "healthy_deque": "{7, 8, 9}",
    "healthy_table": '{["phase"] = 3}',
    "healthy_optional": "{[contained value] = 7}",
    "healthy_variant": '[index 1] = {"paused"}',
    "healthy_shared": "(use count 1, weak count 0)",
    "healthy_unique": "get() = 0x",
    "healthy_function": "_M_invoker = 0x",
    "healthy_tuple": "{[1] = 1, [2] = 98 'b', [3] = \"c\"}",
    "healthy_array": "{11, 12, 13}",
    "healthy_meter": '{connector = 1, energy_wh = 230.5, name = "grid"}',
    "healthy_chars": '"connector"',
    "connector": "2",
    "last_int": "1147",
}
"""What a value ends with, or holds, in a gdb with printers."""
HEALTHY_PLAINLY = ("healthy_int", "healthy_array", "healthy_chars", "connector", "last_int")
"""Those that look the same without printers."""

DAMAGED = {
    # container whose size is wrong: the size is shown, and only some elements
    "map_count": "with 1152921504606846976 elements",
    "map_cyclic": "with 1152921504606846976 elements",
    "set_cyclic": "with 1152921504606846976 elements",
    "vector_huge": "of length 1152921504606846976",
    "list_cyclic": "= {[0] = 1, [1] = 2, [2] = 1, [3] = 2,",
    "table_cyclic": "with 3 elements = {[",
    "map_endless": "with 3 elements",
    # what cannot be read, and where
    "map_wild": "0xdeadbeef0020",
    "vector_wild": "0xdeadbeef0000",
    "list_wild": "0xdeadbeef0010",
    "table_wild": "0xdeadbeef000",
    "string_wild": "0xdeadbeef0000",
    "shared_wild": "0xdeadbeef0008",
    "unique_wild": "get() = 0xdeadbeef0000",
    "function_wild": "0xdeadbeef0000",
    "any_wild": "0xdeadbeef0000",
    # the rest of what can be odd
    "string_huge": "1152921504606846976",
    "deque_garbage": "",
    "deque_huge": "std::deque",
    "function_null": "_M_invoker = 0x0",
    "optional_odd": "",
    "variant_odd": "no contained value",
    "nested": "{level = 40, inner = {level = 39,",
    "ring": "{number = 1, next = 0x",
    "second": "{number = 2, next = 0x",
}
"""What is found in the value or in its problem."""
LARGE = {
    "many": "std::vector of length 10000, capacity 10000 = {0, 1, 2, 3,",
    "long_text": "'?' <repeats 400 times>...",
    "mixed_text": '"abcdefghijabcdefghij',
    "unterminated": "'u' <repeats 64 times>",
    "slow": "0123456789",
    "slow_reference": "0123456789",
}


def test_healthy_values_beside_damaged_ones(
    gdb: str,
    corrupt: Corrupt,
    interrupts: list[float],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = read(gdb, corrupt, interrupts, tmp_path_factory)

    assert found.seconds < SECONDS / 2
    assert found.answer.python is (gdb in WITH_PYTHON)
    expected = HEALTHY if gdb in WITH_PYTHON else {n: HEALTHY[n] for n in HEALTHY_PLAINLY}
    wrong = {
        name: found.text(name) for name, text in expected.items() if text not in found.text(name)
    }
    assert wrong == {}
    assert all(found.variables[name].problem is None for name in expected)


def test_damaged_values_are_bounded(
    gdb: str,
    corrupt: Corrupt,
    interrupts: list[float],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = read(gdb, corrupt, interrupts, tmp_path_factory)

    names = {*HEALTHY, *DAMAGED, *LARGE}
    assert set(found.variables) == names  # each of them, and in no other frame
    for variable in found.variables.values():
        assert variable.value or variable.problem, variable.name
        assert len(variable.value or "") <= Request().longest
        assert len(variable.problem or "") <= 300
    if gdb in WITH_PYTHON:
        told = {n: f"{found.variables[n].value} {found.variables[n].problem}" for n in names}
        expected = {**DAMAGED, **LARGE}
        assert {n: told[n] for n, text in expected.items() if text not in told[n]} == {}
    # our printers do not walk in circles; whoever does without them gives up single values
    assert found.answer.document.late == 0
    assert found.interrupts == found.answer.document.slow


def test_an_interrupt_costs_one_value(
    gdb: str,
    corrupt: Corrupt,
    interrupts: list[float],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Two arrays of strings that come to a hundred megabytes when they are asked for as a whole."""
    begun = time.monotonic()
    # plain commands know one limit only
    limit = "characters" if gdb in WITH_PYTHON else "elements"

    found = read(gdb, corrupt, interrupts, tmp_path_factory, **{limit: 10**9})

    document = found.answer.document
    stalled = {n for n, v in found.variables.items() if v.problem == "took too long to print"}
    if gdb in WITH_PYTHON:
        assert stalled == {"slow", "slow_reference"}
        assert found.interrupts == 2  # one for each
    else:
        assert stalled == {"slow"}
        # gdb 13 also lists what references lead to, with the names: then without any values
        assert 1 <= found.interrupts <= 2
    assert document.slow == len(stalled)
    assert all(found.variables[name].value is None for name in stalled)
    assert interrupts[0] - begun >= PATIENCE
    assert found.text("last_int") == "1147"  # behind them
    assert found.text("healthy_int") == "4711"
    assert found.seconds < PATIENCE * found.interrupts + 5.0
    notes = value_errors(document, python=True)
    assert any(f"no end with {len(stalled)} of the values" in note.message for note in notes)


def test_the_report_shows_them(
    gdb: str,
    corrupt: Corrupt,
    interrupts: list[float],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    found = read(gdb, corrupt, interrupts, tmp_path_factory)

    report = attach(corrupt.report, found.answer.document, unwound=True).report

    frame = report.threads[0].frames[0]
    assert {v.name for v in (*frame.args, *frame.locals)} == set(found.variables)
    for name in FORMATS:
        assert len(FORMATS[name].load().render(report)) < 300_000
    assert all(f'"{name}"' in FORMATS["json"].load().render(report) for name in found.variables)
