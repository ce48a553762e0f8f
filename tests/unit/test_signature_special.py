"""Signatures of handlers, hangs, recursion, stacks that say little, and hostile cores."""

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evdiag.adapters.signature_lists import signature_lists
from evdiag.analyze.sign import sign
from evdiag.analyze.signature.treat import MOST_TREATED
from evdiag.model.core import SignalFacts
from evdiag.model.crash import Cause, CrashFacts
from evdiag.model.report import DeadlockMember, Fold, Frame, Thread
from evdiag.model.signals import SIGABRT, SIGSEGV
from evdiag.model.signature import Signed
from evdiag.report.signature_steps import render
from tests.support.random_nouns import values
from tests.support.sample_stacks import (
    ABORT,
    APP,
    MOSQUITTO,
    SIGNAL,
    START,
    Row,
    frames_of,
    header,
    libc,
    own,
    signed,
    text,
)

SEGV = SignalFacts(number=SIGSEGV, code=1)
RAISED = SignalFacts(number=SIGSEGV, code=-6)


@pytest.mark.parametrize(
    ("signal", "cls", "above", "expected"),
    [
        # a handler of the fault gave up: the fault is below
        (SignalFacts(number=SIGABRT, code=-6), "null-read", ABORT, "f | main"),
        (SignalFacts(number=SIGABRT, code=-6), "abort", ABORT, "f | main"),
        (None, "abort", ABORT, "f | main"),
        (RAISED, "raised-signal", (libc("__GI_raise"),), "f | main"),
        # the handler itself is where it happened
        (SEGV, "null-read", (), "handler"),
        (SEGV, "null-read", (libc("__memmove_avx_unaligned_erms"),), "handler"),
        (SignalFacts(number=SIGSEGV, code=0), "null-read", (), "handler"),
        (SignalFacts(number=SIGABRT, code=-6), "assert", ABORT, "handler"),
    ],
)
def test_handlers(
    signal: SignalFacts | None, cls: str, above: tuple[Row, ...], expected: str
) -> None:
    rows = (*above, own("handler(int)"), SIGNAL, own("f()"), own("main"))
    found = signed(*rows, cls=cls, signal=signal)
    assert found.signature.text == f"sig:v1: EvseManager | {cls} | {expected}"
    assert found.signature.address is not None
    is_below = expected == "f | main"
    first = len(above) if not is_below else len(above) + 2 if cls == "null-read" else None
    assert found.frame == first
    assert {t.role for t in found.treatments[: len(above) + 1]} >= (
        {"handler"} if is_below else {"kept"}
    )
    assert ("a signal has interrupted" in render("core", found)) == (not is_below)


def test_a_fault_in_a_handler_that_a_second_handler_saw() -> None:
    rows = (*ABORT, own("on_fault(int)"), SIGNAL, own("on_alarm(int)"), SIGNAL, own("anywhere()"))
    assert text(*rows, cls="null-read") == "null-read | on_alarm"


# -- hangs


def test_a_deadlock_is_that_of_the_threads_in_the_circle() -> None:
    lock = (libc("__lll_lock_wait"), libc("___pthread_mutex_lock"), header("std::mutex::lock()"))
    one = (*lock, own("B::second()"), own("a::run()::{lambda()#1}::operator()() const"), *START)
    two = (*lock, own("A::first()"), own("B::start()"), SIGNAL, own("interrupted()"))
    idle = (libc("pause"), own("main"))
    stacks = {1: idle, 2: one, 3: two}

    def hang(*numbers: int, cls: str = "deadlock", detail: str | None = None) -> Signed:
        threads = tuple(
            Thread(number=n, lwp=100 + n, frames=frames_of(stacks[m]))
            for n, m in enumerate(numbers, 1)
        )
        members = tuple(DeadlockMember(lwp=100 + n) for n, m in enumerate(numbers, 1) if m != 1)
        return signed(*idle, cls=cls, detail=detail, threads=threads,
                      deadlock=members)  # fmt: skip

    found = hang(1, 2, 3)
    expected = "sig:v1: EvseManager | deadlock | A::first | B::start | and | B::second"
    assert found.signature.text == expected
    assert hang(3, 1, 2).signature.text == expected
    assert found.frame is None
    assert hang(3, 1, 2).frame == 3
    assert "mutex_lock" in " ".join(found.signature.proto)
    assert "thread 3" in render("core", found)
    # the same threads, but they are not why it ended
    assert hang(1, 2, 3, cls="abort", detail="B::second / A::first").signature.text == (
        "sig:v1: EvseManager | abort: B::second / A::first | main"
    )


def test_many_threads_in_a_circle_do_not_make_an_endless_text() -> None:
    threads = tuple(
        Thread(number=n, lwp=n, frames=frames_of((own(f"f{n}()"),))) for n in range(1, 50)
    )
    members = tuple(DeadlockMember(lwp=n) for n in range(1, 50))
    assert text(own("main"), cls="deadlock", threads=threads, deadlock=members).count("and") == 3


def test_only_lambdas_wait() -> None:
    frames = frames_of((libc("futex_wait"), own("f()::{lambda()#1}::operator()() const")))
    threads = (Thread(number=1, lwp=1, frames=frames),)
    deadlock = (DeadlockMember(lwp=1),)
    found = text(own("main"), cls="deadlock", threads=threads, deadlock=deadlock)
    assert found == "deadlock | f::{lambda}"


# -- recursion


def overflow(*rows: Row, fold: Fold | None = None, inline: Sequence[int] = ()) -> Signed:
    thread = Thread(
        number=1, lwp=1, crashed=True, frames=frames_of(rows, inline),
        folds=(Fold(level=0, period=1, count=2), fold) if fold else (),
    )  # fmt: skip
    return signed(*rows, cls="stack-overflow", inline=inline, threads=(thread,))


ROUND = [own("c()"), own("a()"), own("b()")]


@pytest.mark.parametrize("turn", [0, 1, 2])
def test_where_a_recursion_ends_does_not_matter(turn: int) -> None:
    rows = (own("leaf()"), *(ROUND * 2)[turn : turn + 3], own("main"))
    found = overflow(*rows, fold=Fold(level=1, period=3, count=900))
    assert found.signature.text == "sig:v1: EvseManager | stack-overflow | a | b | c"
    assert found.signature.inputs[-1] == "one round of the recursion: c"
    # by address as well: from the one that comes first in the file
    offsets = [0x1000 + 1, 0x1000 + 2, 0x1000 + 3]
    assert found.signature.address == " | ".join(f"ab12+{offset:#x}" for offset in offsets)


def test_a_round_with_inlined_calls_and_rounds_that_were_unrolled() -> None:
    rows = [own("a"), own("b()"), own("a"), own("b()"), own("main")]
    found = overflow(*rows, fold=Fold(level=0, period=2, count=9), inline=(0, 2))
    assert found.signature.text == "sig:v1: EvseManager | stack-overflow | a | b"


def test_a_round_that_the_stack_does_not_hold() -> None:
    rows = (own("a()"), own("b()"))
    found = overflow(*rows, fold=Fold(level=0, period=9, count=900))
    assert found.signature.text == "sig:v1: EvseManager | stack-overflow | a | b"


def test_a_recursion_that_was_not_folded() -> None:
    rows = (own("leaf()"), *(ROUND * 5), own("main"))
    assert overflow(*rows).signature.text == "sig:v1: EvseManager | stack-overflow | a | b | c"
    plain = overflow(own("huge_frame()"), own("main"))
    assert plain.signature.text == "sig:v1: EvseManager | stack-overflow | huge_frame | main"


def test_a_recursion_of_a_library_is_told_by_who_called_it() -> None:
    dfs = header("std::__detail::_Executor<A>::_M_dfs(int)")
    rows = (dfs, header("std::regex_match<A>(B)"), own("check(int)"))
    found = overflow(*rows, fold=Fold(level=0, period=1, count=9000))
    assert found.signature.text == (
        "sig:v1: EvseManager | stack-overflow | std::regex_match<T> | check"
    )


# -- when there is little to go by


def test_of_a_smashed_stack_only_the_function_that_found_out_counts() -> None:
    rows = (*ABORT, libc("__stack_chk_fail"), own("copy_id_tag(int)"), own("perhaps()"))
    assert text(*rows, cls="stack-smash") == "stack-smash | copy_id_tag"


def test_how_terminate_was_reached_is_no_part_of_it() -> None:
    rows = (*ABORT, header("std::thread::~thread()"), own("restart_meter()"))
    found = signed(*rows, cls="terminate", detail="joinable thread")
    assert found.signature.text == "sig:v1: EvseManager | terminate | restart_meter"


@pytest.mark.parametrize(
    ("rows", "expected", "told"),
    [
        ((), "", "EMPTY: there is no stack"),
        ((libc(None), libc("__GI_abort")), "", "EMPTY: no frame of the application is known"),
        (((None, "", None),), "", "EMPTY: no frame of the application is known"),
        ((libc("memcpy"), ("loop", MOSQUITTO, None)), " | libmosquitto",
         "frame 1 of thread 1: libmosquitto"),
        ((own(None, None), own(None, None)), " | EvseManager+0x1000 | EvseManager+0x1001",
         "frame 1 of thread 1: EvseManager+0x1001"),
    ],
)  # fmt: skip
def test_without_frames_of_the_application(rows: tuple[Row, ...], expected: str, told: str) -> None:
    found = signed(*rows)
    assert found.signature.text == f"sig:v1: EvseManager | null-read{expected}"
    assert found.signature.inputs[-1] == told
    assert text(*rows, threads=()) == f"null-read{expected}"


def test_a_frame_without_offset() -> None:
    frame = Frame(level=0, module=APP, in_app=True)
    facts = CrashFacts(frames=(frame,))
    found = sign("", Cause(cls="abort", summary=""), facts, signature_lists())
    assert found.signature.text == "sig:v1: process | abort | EvseManager"
    assert found.signature.address is None


def test_by_address_without_any_symbol() -> None:
    rows = [own(None, None), own(None, None), libc(None), own(None, None), own(None, None)]
    expected = "ab12+0x1000 | ab12+0x1001 | ab12+0x1003"
    assert signed(*rows).signature.address == expected
    # symbols change nothing, and inlined calls are at the address of what they are inlined into
    known = [header("std::f()"), own("f()"), libc("g"), own("h()"), own("main")]
    assert signed(*known).signature.address == expected
    assert (
        signed(*known, inline=(0,)).signature.address == "ab12+0x1001 | ab12+0x1003 | ab12+0x1004"
    )
    assert signed(libc("a"), libc("b")).signature.address == "ab12+0x1000"


# -- hostile cores


def test_what_a_report_would_escape_is_not_in_the_text() -> None:
    evil = "\x1b]0;owned\x07f" + "x" * 5000
    rows = [own(f"{evil}{i}()") for i in range(9)]
    found = signed(*rows, cls="assert", detail=evil * 3)
    assert found.signature.text is not None
    assert found.signature.text.isprintable()
    assert len(found.signature.text) < 1000
    assert max(map(len, found.signature.proto)) < 200
    assert not set(render("a\x1bcore", found)) & {"\x1b", "\x07"}


def test_a_long_stack_is_not_followed_to_its_end() -> None:
    found = signed(*[own(f"f{i}()") for i in range(1400)])
    assert len(found.signature.proto) == MOST_TREATED
    assert len(found.treatments) == MOST_TREATED


CLASSES = st.sampled_from(["deadlock", "stack-overflow", "abort", "assert", "null-read", "\ud800"])


@given(values(CrashFacts), values(Cause), CLASSES)
def test_any_facts_give_a_signature(facts: CrashFacts, cause: Cause, cls: str) -> None:
    cause = msgspec.structs.replace(cause, cls=cls)
    found = sign("EvseManager", cause, facts, signature_lists())
    assert found.signature.text is not None
    assert found.signature.text.isprintable()
    assert render("core", found)
    again = sign("EvseManager", cause, msgspec.structs.replace(facts, pid=1), signature_lists())
    assert again == found


# -- the explanation


def test_the_explanation_tells_what_became_of_each_frame() -> None:
    rows = (
        libc("__GI_raise"), (None, "", None), ("loop", MOSQUITTO, None),
        header("std::map<int, A>::at(int const&)"), own("a::(anonymous namespace)::f(int)"),
        own("f"), own("g()"), own("h()"), own("i()"), *START,
    )  # fmt: skip
    shown = render("/cores/core.1", signed(*rows))
    assert shown.startswith("Signature of /cores/core.1\n\n  sig:v1: EvseManager | null-read | ")
    for line in (
        "  hash ", "  by address: ab12+0x1003 | ab12+0x1004",
        "  #0 dropped: raise", "      symbol: __GI_raise",
        "      because: libc, 'raise': how a process ends itself",
        "  #1 dropped: ?", "      because: lies in no module",
        "      because: libmosquitto is not the application's",
        "  #3 library, kept: std::map<T>::at",
        "  #4 in the signature: a::(anon)::f", "      in the text: f",
        "  #5 repeated: f", "  #8 too far out: i", "  #10 cut off: start_thread",
        "      because: below start_thread",
    ):  # fmt: skip
        assert line in shown, line
    assert render("c", Signed(signature=signed().signature)).count("What became") == 0
