"""How alike stacks are: the numbers of CASR, and groups that stay apart whatever they are."""

from math import exp

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evdiag.analyze.triage import similar
from evdiag.analyze.triage.groups import grouped
from evdiag.analyze.triage.similar import distance, not_compared, stack_of, with_similar
from evdiag.model.report import DeadlockMember, Frame, Report, Signature, Thread, Verdict
from evdiag.model.triage import Crash, Group
from tests.support.triages import STACK, crash

STACKS = st.lists(st.sampled_from("abcd"), max_size=9).map(tuple)


def test_equal_stacks_have_no_distance() -> None:
    assert distance(STACK, STACK) == 0
    assert distance(STACK * 20, STACK * 20) == 0


def test_what_has_nothing_in_common_is_as_far_apart_as_can_be() -> None:
    assert distance(("a", "b"), ("c", "d")) == 1
    assert distance((), ("a",)) == 1
    assert distance((), ()) == 1


def test_the_beginning_of_a_stack_is_like_it() -> None:
    assert distance(STACK[:3], STACK) == 0


def test_a_function_counts_less_the_further_down_it_is() -> None:
    top = distance(("x", *STACK[1:]), STACK)
    bottom = distance((*STACK[:-1], "x"), STACK)
    whole = sum(exp(-0.04 * level) for level in range(1, len(STACK) + 1))
    assert top == pytest.approx(exp(-0.04) / whole, abs=1e-6)
    assert bottom == pytest.approx(exp(-0.04 * len(STACK)) / whole, abs=1e-6)


def test_a_function_counts_less_the_further_it_has_moved() -> None:
    one = distance(("x", *STACK), STACK)
    two = distance(("x", "y", *STACK), STACK)
    assert 0 < one < two < similar.ALIKE_BELOW
    # a frame in the same row counts in full; one that moved by one, for as much less
    assert distance(("x", "a"), ("a",)) == pytest.approx(1 - exp(-0.13), abs=1e-6)


def test_the_best_alignment_counts() -> None:
    # `a` in its own place, and not the one that was moved
    assert distance(("a", "b", "a"), ("a",)) == 0
    assert distance(("b", "a", "b"), ("a", "b")) == distance(("a", "b"), ("b", "a", "b"))


@given(STACKS, STACKS)
@settings(max_examples=150, deadline=None)
def test_a_distance_is_one(one: tuple[str, ...], other: tuple[str, ...]) -> None:
    apart = distance(one, other)
    assert 0 <= apart <= 1
    assert apart == distance(other, one)
    if one == other and len(one):
        assert apart == 0
    if not set(one) & set(other):
        assert apart == 1


# -- groups


def groups_of(*stacks: tuple[str, ...], **facts: object) -> tuple[Group, ...]:
    return grouped(
        crash(f"{i:04}", f"f{i}", proto=stack, **facts) for i, stack in enumerate(stacks)
    )


def alike(groups: tuple[Group, ...]) -> dict[str, list[str]]:
    """Paths of groups that are named as similar, by path."""
    compared = with_similar(groups)
    paths = {group.hash: group.representative or "" for group in compared}
    return {
        group.representative or "": [paths[other.hash] for other in group.similar]
        for group in compared
        if group.similar
    }


def test_groups_with_nearly_the_same_stack_name_each_other() -> None:
    groups = groups_of(STACK, ("x", *STACK), ("other", "thing"), ("x", "y", *STACK))
    assert alike(groups) == {
        "0000": ["0001", "0003"],
        "0001": ["0003", "0000"],
        "0003": ["0001", "0000"],
    }
    assert not_compared(groups) is None


@pytest.mark.parametrize(
    "facts",
    [{"cls": "wild-write"}, {"program": "Other"}, {"proto": ()}, {"path": "elsewhere"}],
)
def test_groups_of_another_kind_are_not_compared(facts: dict[str, object]) -> None:
    one, other = grouped([crash("a", "f", proto=STACK), crash("b", "g", proto=STACK)])
    assert alike((one, other))
    field, value = next(iter(facts.items()))
    if field in ("proto", "path"):
        cores = tuple(msgspec.structs.replace(core, **facts) for core in other.cores)
        other = msgspec.structs.replace(other, cores=cores)
    else:
        other = msgspec.structs.replace(other, **{field: value})
    assert alike((one, other)) == {}


def test_what_could_not_be_sorted_is_like_nothing() -> None:
    one, other = groups_of(STACK, STACK)
    assert alike((one, msgspec.structs.replace(other, unsorted=True))) == {}
    assert alike((one, msgspec.structs.replace(other, hash=None))) == {}


def test_of_many_similar_groups_the_nearest_are_told() -> None:
    groups = groups_of(*(tuple(f"x{n}" for n in range(i)) + STACK for i in range(9)))
    compared = with_similar(groups)
    assert all(len(group.similar) <= similar.MOST_SIMILAR for group in compared)
    first = next(group for group in compared if group.representative == "0000")
    assert [s.distance for s in first.similar] == sorted(s.distance for s in first.similar)
    assert all(0 <= s.distance < similar.ALIKE_BELOW for s in first.similar)


def test_more_groups_than_can_be_compared_are_told_of() -> None:
    many = groups_of(*((f"f{i}", f"g{i}") for i in range(similar.MOST_GROUPS + 1)))
    assert alike(many) == {}
    told = not_compared(many)
    assert told is not None
    assert told.effect == "some that are alike are not named"
    assert not_compared(many[1:]) is None


def test_more_pairs_than_can_be_aligned_are_told_of() -> None:
    crowd = groups_of(*((f"f{i % 3}",) for i in range(150)))
    assert not_compared(crowd) is not None
    assert alike(crowd)


# -- what is compared


def frame(level: int, function: str | None, in_app: bool = True) -> Frame:
    return Frame(level=level, function=function, in_app=in_app)


STACK_OF_ONE = Thread(
    number=1,
    lwp=10,
    crashed=True,
    frames=(
        frame(0, "raise", False),
        frame(1, "charging::Session<int>::book(int) const"),
        frame(2, None),
        frame(3, "main"),
    ),
)


def test_functions_of_the_application_are_compared() -> None:
    report = Report(threads=(STACK_OF_ONE,))
    assert stack_of(report) == ("charging::Session<T>::book", "main")


def test_without_any_the_whole_stack_is() -> None:
    thread = Thread(number=1, crashed=True, frames=(frame(0, "raise", False),))
    signed = Signature(proto=("raise", "abort"))
    assert stack_of(Report(threads=(thread,), signature=signed)) == ("raise", "abort")
    assert stack_of(Report(threads=(thread,))) == ()
    assert stack_of(Report(signature=signed)) == ("raise", "abort")


def test_of_a_deadlock_the_threads_that_wait_are_compared_in_any_order() -> None:
    waits = (
        Thread(number=2, lwp=11, frames=(frame(0, "lock_b"), frame(1, "session"))),
        Thread(number=3, lwp=12, frames=(frame(0, "lock_a"), frame(1, "meter"))),
    )
    circle = tuple(DeadlockMember(lwp=thread.lwp) for thread in waits)
    verdict = Verdict(cls="deadlock")
    for threads in ((STACK_OF_ONE, *waits), (STACK_OF_ONE, *reversed(waits))):
        report = Report(verdict=verdict, threads=threads, deadlock=circle)
        assert stack_of(report) == ("lock_a", "meter", "lock_b", "session")
    assert stack_of(Report(verdict=verdict, threads=(STACK_OF_ONE,)))[-1] == "main"


def test_a_stack_is_not_endless() -> None:
    frames = tuple(frame(i, f"f{i}") for i in range(500))
    made = stack_of(Report(threads=(Thread(number=1, crashed=True, frames=frames),)))
    assert len(made) == similar.MOST_FRAMES
    assert isinstance(crash(proto=made), Crash)
