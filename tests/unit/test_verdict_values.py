"""What gdb's values add to a verdict: thrown objects, assertions, the null pointer by its name."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.demangled import readable
from evdiag.analyze.values import attach, request_for, stacks_request
from evdiag.analyze.verdict_values import (
    LONGEST_TYPE,
    MOST_OBJECTS,
    MOST_PATHS,
    MOST_STEPS,
    asserted_paths,
    asserting_frame,
    is_certain,
    paths_in,
    thrown_objects,
)
from evdiag.model.report import (
    Address,
    Assertion,
    CxxException,
    Report,
    Variable,
    Verdict,
)
from evdiag.model.values import BadPointer, Document, Path, ReadObject, ReadVariable, Thrown
from tests.support.gdb_answers import answer, own, read, report_of, source

# ---------------------------------------------------------------- thrown objects

LIMIT = CxxException(type="types::LimitExceeded", what="too much", address=Address(0x1000))
OLDER = CxxException(type="types::Older", address=Address(0x2000), role="caught")


def test_the_exception_of_the_crash_is_asked_for_first() -> None:
    report = report_of(own(0, 0x10), exception=LIMIT, other_exceptions=(OLDER,))
    asked = Thrown(0x1000, "types::LimitExceeded"), Thrown(0x2000, "types::Older")
    assert thrown_objects(report) == asked

    made = request_for(report, "crash", unwound=True)
    assert made is not None
    assert made.objects == asked
    assert stacks_request(made, (7,)).objects == ()


@pytest.mark.parametrize(
    "thrown",
    [
        CxxException(type="types::A"),
        CxxException(address=Address(0x1000)),
        CxxException(type="std::runtime_error", address=Address(0x1000)),  # its text is known
        CxxException(type="x" * (LONGEST_TYPE + 1), address=Address(0x1000)),
    ],
)
def test_what_has_no_members_to_find_is_not_asked_for(thrown: CxxException) -> None:
    assert thrown_objects(Report(exception=thrown, other_exceptions=(thrown,))) == ()


def test_not_too_many_are_asked_for() -> None:
    assert len(thrown_objects(Report(other_exceptions=(OLDER,) * 20))) == MOST_OBJECTS
    assert thrown_objects(Report()) == ()


def thrown_after(report: Report, *objects: ReadObject) -> Report:
    document = answer(read(0x10)).threads
    return attach(report, Document(threads=document, objects=objects), unwound=True).report


def test_members_stand_in_their_exception() -> None:
    report = report_of(own(0, 0x10), exception=LIMIT, other_exceptions=(OLDER,))
    fields = (
        ReadVariable("connector", "int const", "2"),
        ReadVariable("password", "std::string", '"hunter22"'),
        ReadVariable("lost", "int", None, "Cannot access memory at address 0x18"),
    )
    found = thrown_after(
        report,
        ReadObject(address=0x1000, fields=fields),
        ReadObject(address=0x3000, fields=fields),
    )

    assert found.exception is not None
    assert found.exception.fields == (
        Variable(name="connector", type="const int", value="2"),
        Variable(name="password", type="std::string", value='"hunter22"'),
        Variable(name="lost", type="int", problem="Cannot access memory at address 0x18"),
    )
    assert found.exception.what == "too much"
    assert found.other_exceptions == (OLDER,)


@pytest.mark.parametrize(("what", "fields"), [("E::A", 0), ("7", 1), ("", 1), (None, 1)])
def test_an_object_that_is_one_value_is_told_once(what: str | None, fields: int) -> None:
    thrown = msgspec.structs.replace(LIMIT, what=what)
    whole = ReadObject(address=0x1000, whole=True, fields=(ReadVariable("value", "E", "E::A"),))
    found = thrown_after(report_of(own(0, 0x10), other_exceptions=(thrown,)), whole)
    assert len(found.other_exceptions[0].fields) == fields
    assert found.exception is None


def test_an_exception_without_an_address_stays() -> None:
    nowhere = CxxException(type="types::A")
    whole = ReadObject(address=0, fields=(ReadVariable("value", "E", "E::A"),))
    assert thrown_after(report_of(own(0, 0x10), exception=nowhere), whole).exception == nowhere


def test_mangled_names_in_members_become_readable() -> None:
    variable = ReadVariable("f", "_Zabc *", "0x1 <_Zabc+8>")
    document = Document(
        threads=answer(read(0x10, paths=(variable,))).threads,
        objects=(ReadObject(address=1, fields=(variable,)),),
    )
    made = readable(document, lambda name: name.upper(), 100)
    shown = ReadVariable("f", "_ZABC *", "0x1 <_ZABC+8>")
    assert made.objects[0].fields == made.threads[0].frames[0].paths == (shown,)


# ---------------------------------------------------------------- assertions


@pytest.mark.parametrize(
    ("expression", "texts"),
    [
        ('reading.power_w <= limit_w && "power limit exceeded"', "reading.power_w limit_w"),
        ("!sessions.empty()", "sessions"),
        ("this->next->kind == kinds[i].kind", "this->next->kind kinds i"),
        ("__n < this->size()", "__n"),
        ("this", ""),
        ("ptr", "ptr"),
        ("ptr != nullptr && true", "ptr"),
        ("types::Mode::idle == mode", "mode"),
        ("::opened && a::b.c", ""),
        ("static_cast<int>(k) == MAX", "k MAX"),
        ("x == '\\n' && y == 'y' && z == 1'000'000 && w", "x y z w"),
        ('s == "a \\" b" && t', "s t"),
        ('unterminated == "a', "unterminated"),
        ("f(a)->g(b)", "a b"),
        ("f().x + (*it).second", "it"),
        ("a . b -> c", "a.b->c"),
        ("a-> 5", "a"),
        ("a.", "a"),
        ("x > 1.5e3 && x < 0x7f", "x"),
        ("", ""),
        ("(", ""),
        (".".join("abcdefg"), ""),
        (" ".join(f"v{i}" for i in range(20)), "v0 v1 v2 v3 v4 v5 v6 v7"),
    ],
)
def test_what_an_assertion_names(expression: str, texts: str) -> None:
    assert " ".join(path.text for path in paths_in(expression)) == texts


def test_the_steps_to_a_member() -> None:
    assert paths_in("this->a.b->c") == [Path("this->a.b->c", ("this", "a", "b", "c"))]


@given(st.text(alphabet="ab_.->:()[]\"'\\ 19\n", max_size=2000))
def test_any_expression_is_cut_into_names(expression: str) -> None:
    found = paths_in(expression)
    assert len(found) <= MOST_PATHS
    for path in found:
        assert 0 < len(path.steps) <= MOST_STEPS
        assert all(step.isidentifier() for step in path.steps)


def asserted(expression: str | None, function: str | None = None) -> Report:
    return report_of(
        own(0, 0x10, function="__assert_fail", in_app=False, module="/lib/libc.so.6"),
        own(1, 0x20, function="helper()"),
        own(2, 0x30, function="charging::(anonymous namespace)::check(Reading const&, double)"),
        assertion=Assertion(expression=expression, function=function),
        verdict=Verdict(evidence=("SIGABRT",)),
    )


@pytest.mark.parametrize(
    ("function", "level"),
    [
        ("void charging::{anonymous}::check(const Reading&, double)", 2),
        ("check", 2),
        ("elsewhere", 1),
        ("_helper", 1),
        (None, 1),
    ],
)
def test_the_frame_that_has_the_assertion(function: str | None, level: int) -> None:
    frame = asserting_frame(asserted("x", function))
    assert frame is not None
    assert frame.level == level


def test_nothing_is_asked_without_an_assertion() -> None:
    assert asserted_paths(report_of(own(0, 0x10))) == ((), None)
    assert asserted_paths(asserted(None)) == ((), None)
    assert asserted_paths(Report(assertion=Assertion(expression="x"))) == ((), None)
    frame = msgspec.structs.replace(own(0, 0x10), pc=None)
    nowhere = report_of(frame, assertion=Assertion(expression="x"))
    assert asserted_paths(nowhere) == ((), None)


def test_the_request_names_the_paths_and_their_frame() -> None:
    made = request_for(asserted("a.b", "check"), "crash", unwound=True)
    assert made is not None
    assert (made.paths, made.paths_at) == ((Path("a.b", ("a", "b")),), 0x30)
    assert stacks_request(made, (7,)).paths == ()


def said(report: Report, *read_at_30: ReadVariable, **more: object) -> tuple[str, ...]:
    document = answer(read(0x10), read(0x20), read(0x30, paths=read_at_30, **more))
    return attach(report, document, unwound=True).report.verdict.evidence


def test_the_values_of_an_assertion_are_evidence() -> None:
    evidence = said(
        asserted("reading.power_w <= limit_w && gone && secret && sessions.empty()", "check"),
        ReadVariable("reading.power_w", "double", "22080"),
        ReadVariable("gone", "int", "<optimized out>"),
        ReadVariable("secret", "std::string", '"hunter22"'),
        ReadVariable("limit_w", "double const&", "@0x7ffe0010: 11000"),
        ReadVariable("sessions", "std::vector<int>", "{" + "\n 1," * 100),
    )
    assert evidence[0] == "SIGABRT"
    assert evidence[1].startswith(
        "values of the assertion: reading.power_w = 22080, limit_w = 11000, secret = "
        '"hunter22", sessions = { 1, 1, 1,'
    )
    assert evidence[1].endswith("…")


def test_a_gdb_without_python_knows_the_local_variables() -> None:
    limit = (ReadVariable("limit", "int", "7"), ReadVariable("odd", "int", None, "no"))
    assert said(asserted("reading.x < limit && odd", "check"), locals=limit)[1:] == (
        "values of the assertion: limit = 7",
    )
    assert said(asserted("reading.x < other", "check"), locals=limit) == ("SIGABRT",)


# ---------------------------------------------------------------- the null pointer


def pointer(expression: str, member: str = "m", address: int = 0, type_: str = "M *") -> BadPointer:
    return BadPointer(expression, type_, address, member, 0x18)


@pytest.mark.parametrize(
    ("found", "names", "certain"),
    [
        ([pointer("a")], (), True),
        ([pointer("a"), pointer("b")], (), False),
        ([pointer("a"), pointer("b", address=0x10)], (), True),
        ([pointer("a"), pointer("b")], ("this", "a"), True),
        ([pointer("a"), pointer("b")], ("a", "b"), False),
        ([pointer("this", "energy")], ("this", "energy", "x"), True),
        ([pointer("this", "energy")], ("this", "x"), False),
        ([pointer("a", address=0x10)], (), False),
    ],
)
def test_whether_only_one_pointer_can_be_meant(
    found: list[BadPointer], names: tuple[str, ...], certain: bool
) -> None:
    assert is_certain(found[0], found, names) is certain


def summary(found: BadPointer, cls: str = "null-write", text: str | None = None) -> str:
    first = own(0, 0x10, source=() if text is None else source(text))
    report = report_of(first, verdict=Verdict(cls=cls, summary="native"), title="a title")
    attached = attach(report, answer(read(0x10, members=(found,))), unwound=True).report
    assert attached.title == "a title"
    assert len(attached.verdict.evidence) == 1
    return attached.verdict.summary


def test_the_summary_names_a_null_pointer_that_is_certain() -> None:
    this = pointer("this", "energy_wh")
    assert summary(this) == "wrote to a null pointer: `this->energy_wh`, offset 0x18"
    assert summary(this, "null-read").startswith("read from a null pointer: ")
    assert summary(this, "null-access").startswith("touched a null pointer: ")
    assert summary(this, text="energy_wh += kwh;").startswith("wrote to a null pointer: ")
    reference = pointer("reading", "power.w", type_="const M &")
    assert summary(reference).startswith("wrote to a null pointer: `reading.power.w`,")


def test_the_summary_stays_where_it_is_not_certain() -> None:
    assert summary(pointer("a"), "bad-call") == "native"
    assert summary(pointer("a", address=0x10)) == "native"
    assert summary(pointer("a"), text="b->m2 = 1;") == "native"
