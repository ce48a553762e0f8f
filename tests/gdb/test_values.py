"""Values out of real gdbs: what the source says, with any of them, and no process left behind."""

import re

import msgspec
import pytest

from evdiag.model.report import Frame, Provenance, Report, Variable
from tests.gdb.conftest import Values, version_of
from tests.support.crashers import OPTS, Mode, Opt, mode_named, modes_here
from tests.support.gdbs import GDBS
from tests.support.mode_values import DESTROYED, RECURSION, expected, mistakes, own_name

pytestmark = [pytest.mark.gdb, pytest.mark.usefixtures("no_leftovers")]

CASES = [pytest.param(m, o, id=f"{m.name}-{o}") for m in modes_here() for o in OPTS]
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
HIGH = re.compile(r"\\[23][0-7]{2}")
NO_PYTHON = "this gdb has no Python"


def test_every_crash_has_a_literal_to_look_for() -> None:
    """Except where no frame of the crasher is left."""
    without = {mode.name for mode in modes_here() if not expected(mode, printers=False)}
    assert without == {"return-unmapped"}


@pytest.mark.parametrize("gdb", GDBS)
@pytest.mark.parametrize(("mode", "opt"), CASES)
def test_values_are_those_of_the_source(mode: Mode, opt: Opt, gdb: str, values: Values) -> None:
    report = values(mode, opt, gdb)

    python = gdb != "minimal"
    assert mistakes(report, expected(mode, printers=python), opt) == []
    assert report.provenance.rung == ("native+gdb" if python else "native+mi")
    assert report.provenance.gdb == version_of(GDBS[gdb]())
    assert [error.message for error in report.soft_errors if error.stage != "stacks"] == (
        [] if python else [NO_PYTHON]
    )
    # what follows a return address of nowhere is no other stack
    assert bool(report.threads[0].gdb_frames) == (mode.name == "stack-smash")


def test_an_atomic_number_is_shown_with_its_value(values: Values) -> None:
    report = values(mode_named("joinable-thread"), "O0", "system")

    frame = next(f for f in report.threads[0].frames if own_name(f) == "restart_meter_thread")
    (tid,) = (v.value for v in frame.locals if v.name == "tid")
    # the thread has stored its own number there
    assert tid in {f"std::atomic<int> = {{ {thread.lwp} }}" for thread in report.threads[1:]}


@pytest.mark.parametrize("gdb", GDBS)
@pytest.mark.parametrize("opt", OPTS)
def test_what_cannot_be_read_is_a_problem_and_no_value(gdb: str, opt: Opt, values: Values) -> None:
    report = values(mode_named("recursion-main"), opt, gdb)

    # Below the main thread's stack there is nothing. Where it ends is chance: if a call found no
    # room for its return address, the variables of the new frame are not asked for.
    variables = [v for f in report.threads[0].frames for v in (*f.args, *f.locals)]
    below = [v for v in variables if (v.problem or "").startswith("Cannot access memory at ")]
    assert report.signal is not None
    assert below or (report.signal.instruction or "").startswith("call")
    assert [v.value for v in below if v.value] == []
    assert [v for v in variables if v.value and v.value.startswith("<error")] == []


@pytest.mark.parametrize("gdb", ["system", "wheel"])  # plain commands do not tell addresses
def test_what_the_core_does_not_hold_has_no_value(gdb: str, values: Values) -> None:
    report = values(mode_named("recursion-thread"), "O0", gdb)

    # the innermost frame lies in the guard page, of which nothing is dumped
    inner, outer = (
        next(v.value for v in frame.args if v.name == "depth")
        for frame in report.threads[0].frames[:2]
    )
    assert outer is not None
    assert inner in {None, str(int(outer) + 1)}


@pytest.mark.parametrize(("mode", "opt"), CASES)
def test_two_gdbs_make_the_same_report(mode: Mode, opt: Opt, values: Values) -> None:
    old, new = values(mode, opt, "system"), values(mode, opt, "wheel")

    without = [f for f, g in _frames(old, new) if _has_values(f) and not _has_values(g)]
    # gdb 18 finds no variables in an inlined function of which only the call is left.
    chain = mode.name not in DESTROYED | RECURSION
    assert [(f.kind, own_name(f), [v.name for v in f.args], f.locals) for f in without] == (
        [("inline", "update_session", ["reading", "this"], ())] if chain and opt == "O2" else []
    )
    levels = {frame.level for frame in without}
    assert _comparable(old, levels) == _comparable(new, levels)


def _frames(old: Report, new: Report) -> list[tuple[Frame, Frame]]:
    return list(zip(old.threads[0].frames, new.threads[0].frames, strict=True))


def _has_values(frame: Frame) -> bool:
    return bool(frame.args or frame.locals)


def _without_garbage(variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
    """The variables without strings that are no UTF-8: what was there before it was freed.

    gdb 18 loses the character in front of an incomplete sequence, if it stands alone.
    """
    return tuple(
        msgspec.structs.replace(
            v, value=v.value and STRING.sub(lambda m: "" if HIGH.search(m[0]) else m[0], v.value)
        )
        for v in variables
    )


def _comparable(report: Report, levels: set[int]) -> Report:
    """The report without the values of some frames, and without time and name of the gdb.

    Lines of gdb's own stack, which is only kept where it is another one than ours, come from its
    reading of the line table; that differs within an optimised loop.
    """
    crashed, *others = report.threads
    frames = tuple(
        msgspec.structs.replace(
            f,
            args=() if f.level in levels else _without_garbage(f.args),
            locals=() if f.level in levels else _without_garbage(f.locals),
        )
        for f in crashed.frames
    )
    own = tuple(msgspec.structs.replace(f, line=None) for f in crashed.gdb_frames)
    crashed = msgspec.structs.replace(crashed, frames=frames, gdb_frames=own)
    return msgspec.structs.replace(
        report, threads=(crashed, *others), created=None, provenance=Provenance()
    )
