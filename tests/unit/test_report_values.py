"""Values of variables: the right ones, in the right place, and what is wrong is seen at once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.model.report import (
    Frame,
    Variable,
)
from evdiag.report import markdown, value_lines, values
from evdiag.report.lines import frame_lines, plain
from evdiag.report.value_lines import Look, variable_lines
from tests.support.random_nouns import TEXT, VALUES
from tests.support.sample_threads import (
    LOST,
    METER,
    READING,
    STRING,
    app,
    crashed,
    line,
    system,
    var,
)


def named(variables: list[Variable]) -> str:
    return " ".join(variable.name for variable in variables)


# ---------------------------------------------------------------- what is wrong with a value


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ("0x0", "null"),
        ("(charging::Session *) 0x0", "null"),
        ("(void (*)(int)) 0x0", "null"),
        ("@0x0: <error: Cannot access memory at address 0x0>", "null"),
        ("std::unique_ptr<X, Y> = {get() = 0x0}", "null"),
        ("std::shared_ptr<X> (empty) = {get() = 0x0}", "null"),
        ("0x18 <error: Cannot access memory at address 0x18>", "almost null"),
        ("0x4141414141414141", "not an address"),
        ("0xffffffffffffffff", "not an address"),
        ("std::vector of length -3, capacity 49 = {0}", "impossible length"),
        ("@0x7ffe1234: std::map with 9223372036854775807 elements = {...}", "impossible length"),
        ("<error: Cannot access memory at address 0x7f00>", "not readable"),
        ('{name = <error reading variable>, text = "x"}', "not readable"),
        ("6.9208711947333056e-310", "unlikely number"),
        ("@0x7ffe12: {connector = -593834513, power_w = -4.98e-235}", "unlikely number"),
        ("{least = 2.2250738585072014e-308, most = 1.7976931348623157e+308}", ""),
        ("1.5e+20", ""),
        ('"1.5e+300"', ""),
        ('"<error> page"', ""),
        ("std::vector of length 2, capacity 2 = {0x0, 0x0}", ""),
        ("std::vector of length 1, capacity 1 = {std::unique_ptr<X> = {get() = 0x0}}", ""),
        ("0x7fff5c3a1b20", ""),
        ("{next = 0x0}", ""),
        ("0", ""),
        ("0 '\\000'", ""),
        (LOST, ""),
        ("", ""),
        (None, ""),
    ],
)
def test_what_looks_wrong(value: str | None, wrong: str) -> None:
    assert values.suspicion(Variable(name="x", value=value)) == wrong


@given(st.one_of(VALUES, TEXT), TEXT)
def test_any_text_at_all_is_judged_shortened_and_set(value: str, name: str) -> None:
    variable = Variable(name=name, type=name, value=value)
    assert len(values.brief(variable)) <= values.LONGEST_BRIEF
    assert len(values.type_of(variable, 20)) <= 20
    assert isinstance(values.suspicion(variable), str)
    assert len(variable_lines([variable], 60, Look(rows=4))) <= 4


@pytest.mark.parametrize(
    ("kind", "room", "text"),
    [
        (f"const {STRING} &", 40, "const std::string &"),
        ("charging::Session * const", 40, "charging::Session * const"),
        ("std::map<int, std::vector<long> > *", 20, "std::map<…> *"),
        ("unsigned long", 40, "unsigned long"),
        ("int", 40, "int"),
        (None, 40, ""),
        ("const x &", 9, "const x &"),
        ("const x &", 8, "const x…"),
    ],
)
def test_types_as_people_write_them(kind: str | None, room: int, text: str) -> None:
    assert values.type_of(Variable(name="x", type=kind), room) == text


# ---------------------------------------------------------------- which variables, in which order


def test_a_target_stands_behind_its_pointer() -> None:
    frame = Frame(
        level=0,
        args=(var("this", None, "0x1"), var("x", None, "1")),
        locals=(var("y", None, "2"), var("*this", None, "{}"), var("*gone", None, "{}")),
    )
    assert named(values.in_order(frame)) == "this *this x y *gone"


def test_the_most_telling_variables_stay() -> None:
    variables = [
        var("lost", None, LOST),
        var("a", None, "1"),
        var("b", None, "2", problem="cut after 2 characters"),
        var("slow", None, None, problem="took longer than 4 s"),
        var("null", None, "0x0"),
    ]
    assert named(values.most_telling(variables, 5)) == "lost a b slow null"
    assert named(values.most_telling(variables, 3)) == "a slow null"
    assert named(values.most_telling(variables, 2)) == "slow null"


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("connector->state = state;", "this *this connector *connector state"),
        ("other.state = other->connector;", "this *this connector *connector"),
        ('log("state"); // connector', "this *this connector *connector"),
        ("f(state, 'x');", "this *this state"),
        ("this->state = 1;", "this *this"),
        ("return;", "this *this connector *connector"),
        (None, "this *this connector *connector"),
    ],
)
def test_the_variables_of_the_source_line(text: str | None, names: str) -> None:
    # `this` is always among them: a name in the line can be that of its member.
    frame = Frame(
        level=0,
        source=() if text is None else line(text),
        args=(var("this", None, "0x1"), var("connector", None, "0x0")),
        locals=(
            var("state", None, "7"),
            var("state", None, "8"),
            var("*connector", None, problem="Cannot access memory at address 0x0"),
            var("*this", None, "{}"),
            var("unrelated", None, "1"),
        ),
    )
    shown = values.at_the_line(frame, 6)
    assert named(shown) == names
    # The innermost of several variables of one name comes first.
    assert all(v.value == "7" for v in shown if v.name == "state")


def test_few_variables_at_the_source_line_and_the_wrong_ones_among_them() -> None:
    many = tuple(var(f"v{n}", "int", str(n)) for n in range(20))
    frame = Frame(
        level=0,
        file="/a.cpp",
        source=line(f"f(bad, {', '.join(v.name for v in many)});"),
        locals=(*many, var("bad", "X *", "0x0")),
    )
    lines = plain(value_lines.at_the_line(frame, 80))
    assert lines == [
        "  with  v0  = 0", "        v1  = 1", "        v2  = 2", "        v3  = 3",
        "        v4  = 4", "        bad = 0x0  ← null",
    ]  # fmt: skip


# ---------------------------------------------------------------- calls


@pytest.mark.parametrize(
    ("variable", "text"),
    [
        (var("x", None, "12.5"), "12.5"),
        (var("x", None, None, problem="took too long"), "…"),
        (var("x", None, LOST), "…"),
        (var("x", METER, f"@0x7ffe: {READING}"), "{…}"),
        (var("x", None, "@0x7ffe: 12"), "12"),
        (var("x", None, "@0x7ffe"), "{…}"),
        (var("x", None, "(charging::Session *) 0x0"), "0x0"),
        (var("x", None, '0x55a8dc9b2f40 "energy {x}"'), '"energy {x}"'),
        (var("x", None, '"a string that does not end at all"'), '"a string that does not…'),
        (var("x", None, "std::unique_ptr<X> = {get() = 0x55}"), "0x55"),
        (var("x", None, "std::vector of length 2 = {1, 2}"), "{…}"),
        (var("x", None, "<error: Cannot access memory at address 0x8>"), "<error>"),
        (var("x", None, "0x8 <error: Cannot access memory at address 0x8>"), "0x8"),
    ],
)
def test_brief_values(variable: Variable, text: str) -> None:
    assert values.brief(variable) == text


BOOK = "charging::Session::book_energy(charging::Session*, double)"
ARGUMENTS = (var("session", None, "0x0"), var("kwh", None, "12.5"))


@pytest.mark.parametrize(
    ("room", "text"),
    [
        (80, "charging::Session::book_energy(session=0x0, kwh=12.5)"),
        (52, "…::Session::book_energy(session=0x0, kwh=12.5)"),
        (36, "…book_energy(session=0x0, kwh=12.5)"),
        (34, "…::book_energy(session=0x0, …)"),
        (22, ""),
        (3, ""),
    ],
)
def test_a_call_fits_or_is_none(room: int, text: str) -> None:
    assert values.call(app(0, BOOK, None, args=ARGUMENTS), room) == text


def test_calls_that_tell_something() -> None:
    def call(function: str | None, *args: Variable, **more: object) -> str:
        frame = Frame(level=0, **{"function": function, "in_app": True, "args": args, **more})  # type: ignore[arg-type]
        return values.call(frame, 80)

    this, null = var("this", None, "0x7ffe00"), var("this", None, "0x0")
    struct, closure = var("r", METER, READING), var("__closure", None, "0x7ffe00")
    assert call("f(int)", var("x", None, "1")) == "f(x=1)"
    assert call("A::f(int)", this, var("x", None, "1")) == "A::f(x=1)"
    assert call("A::f()", null) == "A::f(this=0x0)"
    assert call("operator()", closure, var("x", None, "1")) == "operator()(x=1)"
    assert call("f(int, R)", var("x", None, "1"), struct, var("y", None, LOST)) == (
        "f(x=1, r={…}, y=…)"
    )
    many = [var(f"v{n}", None, str(n)) for n in range(9)]
    assert call("f(int)", *many) == "f(v0=0, v1=1, v2=2, v3=3, v4=4, v5=5, v6=6, v7=7, …)"
    # Nothing that the name alone does not tell:
    assert call("f(R)", struct, var("y", None, LOST)) == ""
    assert call("A::f()", this) == ""
    assert call("f(X*)", var("x", "X *", "0x7ffe00")) == ""
    assert call("f(X*)", var("x", "X *", "0x7ffe00"), var("n", "int", "0")) == "f(x=0x7ffe00, n=0)"
    assert call("f()") == ""
    assert call("f(int)", var("x", None, "1"), in_app=False) == ""
    assert call("f(int)", var("x", None, "1"), kind="signal") == ""
    assert call(None, var("x", None, "1")) == ""


def test_stacks_have_the_values_of_arguments_and_no_more_room() -> None:
    rows = [app(0, BOOK, "/a.cpp", 9, kind="inline", args=ARGUMENTS), system(1, "f(int)")]
    assert plain(frame_lines(rows, 80)) == [
        "  0  charging::Session::book_energy(session=0x0, kwh=12.5) inlined  a.cpp:9",
        "  1  f(int)                                                         libc.so.6",
    ]
    assert "book_energy(…) inlined" in plain(frame_lines(rows, 80, arguments=False))[0]
    assert all(len(text) <= 60 for text in plain(frame_lines(rows, 60)))
    page = markdown.render(crashed(*rows))
    assert "→ 0  charging::Session::book_energy(session=0x0, kwh=12.5) inlined  /a.cpp:9" in page
