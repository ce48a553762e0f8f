"""What is said of values: what is missing, and which pointer was bad."""

import pytest

from evdiag.analyze.values import attach, value_errors
from evdiag.analyze.verdict_values import best_pointer
from evdiag.model.report import (
    Report,
    Verdict,
)
from evdiag.model.values import (
    BadPointer,
    Document,
)
from tests.support.gdb_answers import (
    answer,
    own,
    read,
    report_of,
    source,
    thread,
)

# ---------------------------------------------------------------- what was cut or skipped


def test_nothing_is_said_as_long_as_nothing_is_missing() -> None:
    assert value_errors(Document(), python=True) == ()


def test_everything_that_is_missing_is_said() -> None:
    errors = value_errors(Document(late=3, slow=2, cut=1), python=False)
    assert [e.stage for e in errors] == ["values"] * 4
    assert [e.message for e in errors] == [
        "the time for values was over: 3 were not read",
        "gdb came to no end with 2 of the values",
        "long values were cut: 1",
        "this gdb has no Python",
    ]
    assert all(e.effect for e in errors)
    assert [bool(e.hint) for e in errors] == [True, False, False, True]


# ---------------------------------------------------------------- the pointer that was bad


def pointer(expression: str, address: int = 0, member: str = "m") -> BadPointer:
    return BadPointer(expression, "M const*", address, member, 8)


@pytest.mark.parametrize(
    ("found", "names", "best"),
    [
        ([], (), None),
        ([pointer("a")], (), "a"),
        # null before what is not
        ([pointer("a", 0x10), pointer("b.c.d")], ("a",), "b.c.d"),
        # on the line before others
        ([pointer("a"), pointer("b")], ("b",), "b"),
        ([pointer("a", member="x"), pointer("b", member="y")], ("y",), "b"),
        ([pointer("a"), pointer("a->b", member="c")], ("a", "b", "c"), "a->b"),
        # `this` is on every line
        ([pointer("a"), pointer("this")], ("this",), "a"),
        # few steps
        ([pointer("a->b->c"), pointer("d->e")], (), "d->e"),
        ([pointer("a"), pointer("b")], (), "a"),
    ],
)
def test_the_pointer_that_a_person_would_name(
    found: list[BadPointer], names: tuple[str, ...], best: str | None
) -> None:
    chosen = best_pointer(found, names)
    assert (chosen.expression if chosen else None) == best


def evidence(*found: BadPointer, text: str | None = None) -> tuple[str, ...]:
    first = own(0, 0x10, source=() if text is None else source(text))
    verdict = Verdict(cls="null-write", evidence=("SIGSEGV",))
    report = report_of(first, own(1, 0x20), verdict=verdict)
    document = answer(read(0x10, members=found[:1]), read(0x20, members=found[1:]))
    attached = attach(report, document, unwound=True).report
    assert attached.verdict.cls == "null-write"
    return attached.verdict.evidence


def test_the_bad_pointer_is_evidence() -> None:
    assert evidence(pointer("session", member="energy_wh")) == (
        "SIGSEGV",
        "`session` is null (`const M*`): the fault is at offset 0x8 behind it, "
        "its member `energy_wh`",
    )
    assert "`session` is 0x10 (`const M*`)" in evidence(pointer("session", 0x10))[1]


def test_the_source_line_tells_which_pointer_was_bad() -> None:
    found = pointer("a"), pointer("b")
    assert evidence(*found)[1].startswith("`a` is null")
    assert evidence(*found, text="b->m = 1;")[1].startswith("`b` is null")


def test_without_a_bad_pointer_the_evidence_stays() -> None:
    assert evidence() == ("SIGSEGV",)
    for report in (Report(), Report(threads=(thread(lwp=None),))):
        assert attach(report, Document(), unwound=True).report == report
    nobody = Report(threads=(thread(own(0, 0x10), crashed=False),))
    document = answer(read(0x10, members=(pointer("a"),)))
    assert attach(nobody, document, unwound=True).report.verdict.evidence == ()


def test_a_bad_pointer_in_a_thread_without_frames() -> None:
    document = answer(read(0x10, members=(pointer("a"),)))
    assert len(attach(report_of(), document, unwound=True).report.verdict.evidence) == 1
