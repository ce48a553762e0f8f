"""What gdb is asked about a report."""

import pytest

from evdiag.analyze.values import MOST_FRAMES, request_for, stacks_request
from evdiag.analyze.verdict_values import MOST_NAMES, names_on_line
from evdiag.model.report import (
    Address,
    Frame,
    Report,
    Signal,
    SourceLine,
    Thread,
)
from evdiag.model.values import (
    Request,
)
from tests.support.gdb_answers import (
    LWP,
    OTHER,
    own,
    report_of,
    source,
)

# ---------------------------------------------------------------- what gdb is asked


def request(report: Report, which: str = "crash", *, unwound: bool = True) -> Request:
    made = request_for(report, which, unwound=unwound)
    assert made is not None
    return made


def test_the_crashed_thread_is_asked_about() -> None:
    made = request(report_of(own(0, 0x10), own(1, 0x20)))
    assert (made.lwps, made.values) == ((LWP,), (LWP,))
    assert (made.frames, made.places, made.fault) == (MOST_FRAMES, False, None)
    assert (made.pointees, made.names) == ((0x10,), ("this",))


def test_all_threads_are_asked_about() -> None:
    made = request(report_of(own(0, 0x10)), "all")
    assert (made.lwps, made.values) == (None, None)


def test_nothing_is_asked() -> None:
    report = report_of(own(0, 0x10))
    assert request_for(report, "none", unwound=True) is None
    for empty in (Report(), Report(threads=(Thread(number=1, lwp=LWP),))):
        assert request_for(empty, "all", unwound=True) is None
    nameless = Report(threads=(Thread(number=1, crashed=True),))
    assert request_for(nameless, "crash", unwound=True) is None


def test_all_stacks_are_asked_for_where_we_cannot_unwind() -> None:
    made = request(report_of(own(0, 0x10)), unwound=False)
    assert (made.lwps, made.values, made.places) == (None, (LWP,), True)


@pytest.mark.parametrize(
    ("frame", "places"),
    [
        (own(0, 0x10), False),
        (own(0, 0x10, line=None), True),
        (own(0, 0x10, line=0), True),
        (own(0, 0x10, line=None, in_app=False), False),  # nobody reads those
    ],
)
def test_places_are_asked_for_where_lines_are_missing(frame: Frame, places: bool) -> None:
    assert request(report_of(own(0, 0x8), frame)).places is places


def test_pointers_are_followed_in_the_frame_to_look_at_first() -> None:
    system = own(0, 0x10, in_app=False, module="/usr/lib/libc.so.6")
    made = request(report_of(system, own(1, 0x20, source=source("a->b = c;"))))
    assert (made.pointees, made.names) == ((0x20,), ("this", "a", "b", "c"))
    assert request(report_of()).pointees == ()
    assert request(report_of(Frame(level=0))).pointees == ()


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("connector->state = state; // of other", "this connector state"),
        ("return this->x1 + _y[2];", "this return x1 _y"),
        ("", "this"),
        ("// only words", "this"),
        ("{ } = 12 + 'ä';", "this"),
    ],
)
def test_names_come_from_the_source_line(text: str, names: str) -> None:
    assert names_on_line(own(0, 0x10, source=source(text))) == tuple(names.split())


def test_names_without_a_source_line() -> None:
    assert names_on_line(None) == ("this",)
    assert names_on_line(own(0, 0x10)) == ("this",)
    lines = (SourceLine(number=1, text="other"),)
    assert names_on_line(own(0, 0x10, source=lines)) == ("this",)


def test_only_so_many_names_are_asked_for() -> None:
    text = " ".join(f"name{n}" for n in range(100))
    found = names_on_line(own(0, 0x10, source=source(text)))
    assert len(found) == MOST_NAMES
    assert found[:2] == ("this", "name0")


@pytest.mark.parametrize(
    ("signal", "fault"),
    [
        (None, None),
        (Signal(number=6), None),
        (Signal(access="read", fault_address=Address(8)), 8),
        (Signal(access="write", fault_address=Address(0)), 0),
        (Signal(access="execute", fault_address=Address(8)), None),
        (Signal(fault_address=Address(8)), None),
        (Signal(access="read"), None),
        # the kernel cannot say addresses that no pointer may have
        (Signal(access="read", fault_address=Address(0), adjusted_address=Address(99)), 99),
        (Signal(access="read", fault_address=Address(8), adjusted_address=Address(0)), 0),
    ],
)  # fmt: skip
def test_the_address_of_a_memory_fault_is_asked_about(
    signal: Signal | None, fault: int | None
) -> None:
    made = request(report_of(own(0, 0x10), signal=signal))
    assert made.fault == fault
    assert type(made.fault) in (int, type(None))


def test_stacks_are_asked_for_without_values() -> None:
    made = request(report_of(own(0, 0x10), signal=Signal(access="read", fault_address=Address(8))))
    stacks = stacks_request(made, (OTHER,))
    assert (stacks.lwps, stacks.values, stacks.places, stacks.fault) == ((OTHER,), (), True, None)
    assert stacks.frames == made.frames
