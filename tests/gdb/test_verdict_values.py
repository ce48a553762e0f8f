"""Values that belong to a verdict, out of real gdbs: exceptions, assertions, null pointers."""

import re
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from evdiag.adapters.gdb.debugger import Debugger
from evdiag.engine import Analysis, Engine, Options
from evdiag.model.report import Address, Assertion, CxxException, Report
from evdiag.values import add_values
from tests.conftest import need
from tests.gdb.conftest import Values
from tests.support import thrown_program
from tests.support.crashers import (
    OPTS,
    CannotMakeCores,
    Opt,
    Program,
    crash_once,
    mode_named,
)
from tests.support.gdbs import GDBS

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

Ask = Callable[..., Report]
WITH_PYTHON = ["system", "wheel"]
HEX = re.compile(r"0x[0-9a-f]{6,}")


def fields(thrown: CxxException | None) -> list[str]:
    """`connector = 2` for each member."""
    found = thrown.fields if thrown else ()
    return [f"{v.name} = {HEX.sub('0x_', v.value or f'({v.problem})')}" for v in found]


# ---------------------------------------------------------------- the crash programs


@pytest.mark.parametrize("gdb", GDBS)
@pytest.mark.parametrize("opt", OPTS)
def test_members_of_the_exception_that_ended_the_process(
    gdb: str, opt: Opt, values: Values
) -> None:
    report = values(mode_named("throw-thread"), opt, gdb)

    assert fields(report.exception) == (
        [] if gdb == "minimal" else ["connector = 2", "limit_kw = 22"]
    )


@pytest.mark.parametrize("gdb", GDBS)
@pytest.mark.parametrize("opt", OPTS)
def test_what_the_assertion_compared(gdb: str, opt: Opt, values: Values) -> None:
    report = values(mode_named("assert"), opt, gdb)

    said = [line for line in report.verdict.evidence if line.startswith("values of the assertion")]
    compared = [] if gdb == "minimal" else ["reading.power_w = 22080"]
    if opt == "O0":
        compared.append("limit_w = 11000")
    assert said == ([f"values of the assertion: {', '.join(compared)}"] if compared else [])


@pytest.mark.parametrize("gdb", GDBS)
@pytest.mark.parametrize("opt", OPTS)
def test_the_member_behind_a_null_pointer(gdb: str, opt: Opt, values: Values) -> None:
    report = values(mode_named("null-member-write"), opt, gdb)

    named = report.verdict.summary == "wrote to a null pointer: `this->energy_wh`, offset 0x18"
    assert named == (gdb != "minimal")
    assert "null pointer" in report.verdict.summary
    assert "energy_wh" not in report.title


# ---------------------------------------------------------------- exceptions of all kinds


@pytest.fixture(scope="module", params=OPTS)
def analysis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Analysis:
    """Of a program with many exceptions alive."""
    folder = tmp_path_factory.mktemp("thrown")
    try:
        program = thrown_program.build(folder, f"-{request.param}")
    except FileNotFoundError:
        need(request, "gdb", "g++ is not installed")
    started = Program(executable=program, command=(str(program),), argv=(str(program),))
    try:
        core = crash_once(started, mode_named("abort"), folder / "cores" / "abort").core
    except CannotMakeCores as reason:
        need(request, "gdb", str(reason))
    return Engine(Options()).analyse(core)


@pytest.fixture
def ask(analysis: Analysis, named_gdb: Callable[[str], str], tmp_path: Path) -> Ask:
    """The program's report with values by one of GDBS, with other questions if need be."""

    def report_by(gdb: str, **changed: object) -> Report:
        asked = msgspec.structs.replace(analysis.report, **changed)
        debugger = Debugger(named_gdb(gdb), tmp_path / "cache")
        report, error = add_values(asked, analysis.scene(), debugger, "crash")
        assert error is None
        return report

    return report_by


@pytest.mark.parametrize("gdb", WITH_PYTHON)
def test_members_by_the_type_of_the_object(gdb: str, ask: Ask) -> None:
    report = ask(gdb)

    found = {thrown.type: fields(thrown) for thrown in report.other_exceptions}
    assert found == {
        # two units have a type of this name; the crashed stack goes through one of them
        "(anonymous namespace)::Hidden": ["here = 47"],
        "everest::v2::Coded": [
            "base_number = 11",
            "shared_number = 12",
            "connector = 3",
            "by_reference = @0x_: 3",
            "as_number = 5",
            "as_float = 7.00649232e-45",
            'password = "hunter22"',
            'name = "EVSE 1"',
            'phases = std::map with 2 elements = {["L1"] = 6, ["L2"] = 7}',
        ],
        "everest::v2::Limit<double, 3u>": ["limit = 22", "also = {0, 0, 0}"],
        "everest::v2::Fault": ["value = everest::v2::Fault::Contactor"],
        "(anonymous namespace)::Huge": [
            *(f"a{i} = {i}" for i in range(10)),
            *(f"b{i} = {10 + i}" for i in range(6)),
        ],
        "std::string": [],  # its text says it all
        "std::system_error": [],  # only declared: its members are in the C++ library
    }


@pytest.mark.parametrize("gdb", WITH_PYTHON)
def test_an_object_that_is_one_value(gdb: str, ask: Ask, analysis: Analysis) -> None:
    by_type = {thrown.type: thrown for thrown in analysis.report.other_exceptions}
    text = msgspec.structs.replace(
        by_type["std::string"],
        type="std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> >",
        what=None,
    )

    assert fields(ask(gdb, exception=text).exception) == ['value = "a text"']


NOBODY_KNOWS = (
    "no::such::Type", "(anonymous namespace)::NoSuch", "int", "x" * 500, "Broken<<<",
    '$_shell("touch pwned")', "\u20ac\n*(char*)0",
)  # fmt: skip


@pytest.mark.parametrize("gdb", GDBS)
def test_types_that_nobody_knows(gdb: str, ask: Ask, analysis: Analysis) -> None:
    known = next(e for e in analysis.report.other_exceptions if e.type == "everest::v2::Coded")
    odd = tuple(
        msgspec.structs.replace(known, type=name, address=Address((known.address or 0) + i + 1))
        for i, name in enumerate(NOBODY_KNOWS)
    )

    *others, last = ask(gdb, other_exceptions=(*odd, known)).other_exceptions

    assert tuple(others) == odd
    assert bool(last.fields) == (gdb != "minimal")


@pytest.mark.parametrize("gdb", WITH_PYTHON)
def test_an_object_that_is_not_there(gdb: str, ask: Ask) -> None:
    lost = CxxException(type="everest::v2::Coded", address=Address(16))

    found = fields(ask(gdb, exception=lost).exception)

    assert [text for text in found if "error" not in text and "Cannot" not in text] == []


# ---------------------------------------------------------------- an assertion of all kinds


@pytest.mark.parametrize("gdb", GDBS)
def test_variables_members_and_constants_of_an_assertion(gdb: str, ask: Ask) -> None:
    evidence = ask(gdb).verdict.evidence[-1]

    if gdb == "minimal":
        assert evidence == "values of the assertion: closed = true"
        return
    assert evidence == (
        "values of the assertion: session->energy = 4711, limit = 6, kept->samples = std::vector "
        "of length 3, capacity 3 = {1, 2, 3}, null = 0x0, this->limit = 6, most = 2, "
        'closed = true, secret_key = "0123456789"'
    )


@pytest.mark.parametrize("gdb", WITH_PYTHON)
@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("seen.energy == opened", "seen.energy = 4711, opened = 9"),
        # null, no structure, nothing, functions, a type, and a static variable of libm
        (
            "null->energy && limit.x && nosuch && check && Station && this->nosuch && main && b`a",
            None,
        ),
    ],
)
def test_other_expressions(gdb: str, expression: str, said: str | None, ask: Ask) -> None:
    broken = Assertion(expression=expression, function="void Station::check()")

    lines = [
        line
        for line in ask(gdb, assertion=broken).verdict.evidence
        if line.startswith("values of the assertion")
    ]

    assert lines == ([] if said is None else [f"values of the assertion: {said}"])
