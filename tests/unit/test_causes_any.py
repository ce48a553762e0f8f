"""What holds for any crash at all: it gets one verdict, and nothing raises."""

from hypothesis import given
from hypothesis import strategies as st

from evdiag.analyze.causes import RULES, _examples, explain
from evdiag.model.core import Region, SignalFacts
from evdiag.model.crash import CrashFacts, InstructionFacts, Operand
from evdiag.model.machine import MACHINES, X86_64


def regions() -> st.SearchStrategy[tuple[Region, ...]]:
    """Sorted ranges that do not overlap, some of them adjacent."""
    pages = st.lists(st.integers(0, 1 << 36), min_size=2, max_size=12, unique=True)

    def build(numbers: list[int], flags: list[int]) -> tuple[Region, ...]:
        edges = sorted(numbers)
        pairs = zip(edges, edges[1:], flags, strict=False)
        return tuple(_examples.region(a << 12, b << 12, f) for a, b, f in pairs if f < 8)

    return st.builds(build, pages, st.lists(st.integers(0, 9), min_size=12, max_size=12))


ADDRESSES = st.one_of(
    st.integers(0, (1 << 64) - 1),
    st.integers(0, 1 << 17),
    st.sampled_from([r.start - 8 for r in _examples.REGIONS]),
    st.sampled_from([r.start for r in _examples.REGIONS]),
)
OPERANDS = st.builds(
    Operand,
    text=st.just("[rax]"),
    address=ADDRESSES,
    size=st.sampled_from((0, 1, 8, 16, 64)),
    reads=st.booleans(),
    writes=st.booleans(),
    registers=st.lists(st.tuples(st.just("rax"), ADDRESSES), max_size=2).map(tuple),
    displacement=st.integers(-64, 64),
)
INSTRUCTIONS = st.builds(
    InstructionFacts,
    text=st.sampled_from(("mov eax, [rax]", "hlt", "rep insb", "", "udf #0", "retaa")),
    kind=st.sampled_from(("call", "return", "jump", "divide", "trap", "push", "other")),
    operands=st.lists(OPERANDS, max_size=2).map(tuple),
    target=st.none() | ADDRESSES,
    divisor=st.none() | st.integers(-1, 1),
)
SIGNALS = st.builds(
    SignalFacts,
    number=st.integers(-1, 65) | st.sampled_from((4, 5, 6, 7, 8, 11, 31)),
    code=st.none() | st.integers(-7, 11) | st.sampled_from((0x80, -60)),
    address=st.none() | ADDRESSES,
    sender_pid=st.none() | st.integers(0, 2),
    sender_uid=st.none() | st.integers(0, 2),
    syscall=st.none() | st.integers(0, 400),
)
CRASHES = st.builds(
    CrashFacts,
    machine=st.sampled_from(list(MACHINES.values())),
    signal=st.none() | SIGNALS,
    pid=st.none() | st.integers(1, 2),
    registers=st.dictionaries(st.sampled_from(X86_64.registers), ADDRESSES, max_size=4),
    pc=st.none() | ADDRESSES,
    sp=st.none() | ADDRESSES,
    instruction=st.none() | INSTRUCTIONS,
    stack_word=st.none() | ADDRESSES,
    regions=st.just(_examples.REGIONS) | regions(),
    files=st.just(_examples.FILES) | st.just(()),
    depth=st.integers(0, 100_000),
)


@given(CRASHES)
def test_every_crash_has_one_verdict(facts: CrashFacts) -> None:
    # WHEN any facts at all are explained
    rule, cause = explain(facts)
    # THEN a listed rule answers with a class of its own, the same one each time
    assert cause.cls in next(r for r in RULES if r.id == rule).classes
    assert (rule, cause) == explain(facts)
    assert all((cause.summary, cause.evidence, cause.advice))
    assert cause.access in (None, "read", "write", "execute")
