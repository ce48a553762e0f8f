"""Which core is looked at when, by whom."""

from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.triage.hints import Hint, hint_of
from evdiag.analyze.triage.schedule import LARGEST, Schedule
from evdiag.model.machine import X86_64
from evdiag.parse.elfcore import read_core
from evdiag.parse.memory import Memory
from evdiag.parse.modules import MappedModule
from tests.support import elfwriter as w

A, B = Hint("a", "1"), Hint("b", "1")


# -- hints


def hint(
    base: int = 0x1000, *, pc: int = 0x10, on_stack: int = 0x20, program: str = "/bin/p"
) -> Hint:
    """The hint of a core whose program lies at `base`."""
    pieces = (
        w.Piece(start=base, data=bytes(0x100), flags=w.READ | w.EXECUTE),
        w.Piece(start=0x9000, data=w.words(1, base + on_stack, 0, base + 0x5000)),
    )
    registers = {"rip": base + pc, "rsp": 0x9000}
    data = w.core(
        threads=[w.Thread(registers=registers)], memory=pieces, machine=X86_64, siginfo=w.fault(0)
    )
    facts = read_core(data)
    module = MappedModule(
        path="/bin/p", start=base, end=base + 0x100, head=base, build_id="ab12", first_bytes=b""
    )
    return hint_of(facts, Memory(data, facts), [module], program)


def test_the_place_of_a_program_in_memory_does_not_count() -> None:
    assert hint(0x1000) == hint(0x5000)
    assert hint().program == "ab12"


def test_another_place_in_the_code_is_another_kind() -> None:
    assert hint() != hint(pc=0x18)
    assert hint() != hint(on_stack=0x28)
    assert hint(pc=0x4000) != hint()


def test_a_program_without_a_build_goes_by_its_name() -> None:
    assert hint(program="/bin/other").program == "/bin/other"
    assert hint(program="").program == ""


# -- schedule


def test_one_of_each_kind_comes_first() -> None:
    kinds = [Hint("a", kind) for kind in "1112"]
    schedule = Schedule(kinds, 1)
    taken = []
    while numbers := schedule.take(0):
        taken += numbers
        for number in numbers:
            schedule.done(number)
    assert taken == [0, 3, 1, 2]


def test_others_wait_until_symbols_are_made() -> None:
    schedule = Schedule([A, A, A, B], 3)
    assert schedule.take(1) == [0]
    assert schedule.take(2) == [3]
    assert schedule.take(3) == []
    assert schedule.left == 2
    schedule.done(0)
    assert schedule.take(3) == [1]


def test_a_worker_stays_with_its_program() -> None:
    schedule = Schedule([A, B, A, B], 1)
    assert schedule.take(1) == [0]
    schedule.done(0)
    assert schedule.take(1) == [2]
    assert schedule.take(1) == [1]  # then a new one


def test_portions_get_smaller() -> None:
    schedule = Schedule([None] * 100, 2)
    sizes = []
    while taken := schedule.take(1):
        sizes.append(len(taken))
    assert sizes[0] == LARGEST
    assert sizes[-1] == 1
    assert sum(sizes) == 100


def test_what_was_not_looked_at_comes_again() -> None:
    schedule = Schedule([A, A, None], 2)
    assert schedule.take(1) == [0]
    schedule.again([0])
    assert schedule.take(2) == [0]  # nobody had made the symbols
    schedule.done(0)
    assert schedule.take(2) == [1]
    schedule.again([1])
    assert schedule.left == 2


@given(st.lists(st.sampled_from([A, B, Hint("b", "2"), None])), st.data())
def test_each_comes_once_whatever_happens(hints: list[Hint | None], data: st.DataObject) -> None:
    schedule = Schedule(hints, 2)
    at: dict[int, list[int]] = {1: [], 2: []}
    done: list[int] = []
    while len(done) < len(hints):
        free = [worker for worker, numbers in at.items() if not numbers]
        for worker in free:
            at[worker] = schedule.take(worker)
        busy = [worker for worker, numbers in at.items() if numbers]
        assert busy, "somebody can always go on"
        worker = data.draw(st.sampled_from(busy))
        number, *rest = at[worker]
        schedule.done(number)
        done.append(number)
        at[worker] = rest
        lost: bool = data.draw(st.booleans())
        if lost:
            schedule.again(rest)
            at[worker] = []
    assert sorted(done) == list(range(len(hints)))
    assert not schedule.left
